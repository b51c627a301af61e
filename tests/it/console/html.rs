//! Reads pages as a browser does, so that tests ask what a page says and not how it is written.

use std::collections::{BTreeMap, BTreeSet};

/// Elements without an end.
const VOID: [&str; 5] = ["input", "link", "meta", "br", "hr"];

/// A page.
#[derive(Debug)]
pub struct Page {
    pub elements: Vec<Element>,
}

/// An element, with all text in it.
#[derive(Debug, Default)]
pub struct Element {
    pub tag: String,
    pub attributes: BTreeMap<String, String>,
    pub text: String,
    parent: Option<usize>,
}

impl Element {
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    fn has_class(&self, class: &str) -> bool {
        self.attribute("class").split(' ').any(|of| of == class)
    }

    /// Whether it is `tag`, `#id`, `.class`, `tag.class`, `[name=value]` or `tag[name=value]`.
    fn is(&self, selector: &str) -> bool {
        if let Some((tag, rest)) = selector.split_once('[') {
            let (name, value) = rest.trim_end_matches(']').split_once('=').unwrap();
            return (tag.is_empty() || tag == self.tag) && self.attribute(name) == value;
        }
        if let Some(id) = selector.strip_prefix('#') {
            return self.attribute("id") == id;
        }
        let (tag, class) = selector.split_once('.').unwrap_or((selector, ""));
        (tag.is_empty() || tag == self.tag) && (class.is_empty() || self.has_class(class))
    }
}

impl Page {
    /// Reads a page, and fails if an element does not end where it should.
    pub fn parse(html: &str) -> Self {
        let mut elements: Vec<Element> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        let mut rest = html;
        while let Some(at) = rest.find('<') {
            write(&mut elements, &open, &unescaped(&rest[..at]));
            let end = end_of(&rest[at..]) + at;
            let inside = &rest[at + 1..end];
            rest = &rest[end + 1..];
            if inside.starts_with('!') {
                continue;
            }
            if let Some(tag) = inside.strip_prefix('/') {
                let last = open.pop().expect("something ends that began");
                assert_eq!(elements[last].tag, tag, "in {html}");
                continue;
            }
            let mut element = element(inside);
            element.parent = open.last().copied();
            let is_void = VOID.contains(&element.tag.as_str());
            elements.push(element);
            if !is_void {
                open.push(elements.len() - 1);
            }
        }
        assert_eq!(open, Vec::<usize>::new(), "all ends");
        Self { elements }
    }

    /// The elements that a selector means: parts separated by spaces, each inside the one before.
    pub fn all(&self, selector: &str) -> Vec<&Element> {
        let parts: Vec<&str> = selector.split(' ').collect();
        let is_meant = |at: &usize| self.matches(*at, &parts);
        let places = (0..self.elements.len()).filter(is_meant);
        places.map(|at| &self.elements[at]).collect()
    }

    /// The only one.
    pub fn one(&self, selector: &str) -> &Element {
        let all = self.all(selector);
        assert_eq!(all.len(), 1, "{selector}: {all:?}");
        all[0]
    }

    pub fn text(&self, selector: &str) -> String {
        squeezed(&self.one(selector).text)
    }

    /// The texts of all that a selector means.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let all = self.all(selector).into_iter();
        all.map(|of| squeezed(&of.text)).collect()
    }

    fn matches(&self, at: usize, parts: &[&str]) -> bool {
        let (last, before) = parts.split_last().unwrap();
        if !self.elements[at].is(last) {
            return false;
        }
        let (mut place, mut before) = (self.elements[at].parent, before);
        while let (Some(of), Some((last, rest))) = (place, before.split_last()) {
            if self.elements[of].is(last) {
                before = rest;
            }
            place = self.elements[of].parent;
        }
        before.is_empty()
    }

    /// What every page holds to: no script or style stands in it, ids are its own, fields have labels, tables captions.
    pub fn check(&self) {
        let mut ids = BTreeSet::new();
        for element in &self.elements {
            let id = element.attribute("id");
            assert!(id.is_empty() || ids.insert(id), "{id} is there twice");
            for name in element.attributes.keys() {
                assert!(name != "style" && !name.starts_with("on"), "{element:?}");
            }
            if element.tag == "script" {
                assert!(element.attribute("src").starts_with("/console/assets/"));
                assert_eq!(element.text, "");
            }
            assert_ne!(element.tag, "style");
        }
        for input in self
            .elements
            .iter()
            .filter(|of| ["input", "select"].contains(&&*of.tag))
        {
            if input.attribute("type") == "hidden" {
                continue;
            }
            let label = format!("label[for={}]", input.attribute("id"));
            let has_label =
                !self.all(&label).is_empty() || !input.attribute("aria-label").is_empty();
            assert!(has_label, "{input:?}");
        }
        assert_eq!(self.all("table").len(), self.all("table caption").len());
        for of in self
            .elements
            .iter()
            .filter(|of| of.attributes.contains_key("aria-labelledby"))
        {
            assert!(ids.contains(of.attribute("aria-labelledby")), "{of:?}");
        }
        self.one("h1");
        self.one("main");
    }
}

fn write(elements: &mut [Element], open: &[usize], text: &str) {
    for place in open {
        elements[*place].text += text;
    }
}

/// Where a tag ends: attributes may hold `>`.
fn end_of(tag: &str) -> usize {
    let mut quoted = false;
    let end = tag.char_indices().find(|(_, of)| {
        quoted ^= *of == '"';
        *of == '>' && !quoted
    });
    end.expect("a tag ends").0
}

fn element(inside: &str) -> Element {
    let (tag, mut rest) = inside.split_once(' ').unwrap_or((inside, ""));
    let mut element = Element {
        tag: tag.to_owned(),
        ..Element::default()
    };
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return element;
        }
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        let Some(value) = rest[end..].strip_prefix("=\"") else {
            element.attributes.insert(name, String::new());
            rest = &rest[end..];
            continue;
        };
        let end = value.find('"').expect("a value ends");
        element.attributes.insert(name, unescaped(&value[..end]));
        rest = &value[end + 1..];
    }
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&quot;", "\"").replace("&amp;", "&")
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn pages_are_read_as_they_are_written() {
    let html = "<!DOCTYPE html><div id=\"a\"><p class=\"x y\">1 &lt; <b>2</b></p><input name=\"q\" required></div>";
    let page = Page::parse(html);
    assert_eq!(page.text("#a p.y"), "1 < 2");
    assert_eq!(page.one("input[name=q]").attribute("required"), "");
    assert_eq!(page.texts("div b"), ["2"]);
    assert!(page.all("b p").is_empty());
}
