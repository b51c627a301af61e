//! Reads the parsed document. A [`Node`] is a place in it, and keeps the root to follow references.

use yaml_rust2::Yaml;

/// A place in the document.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    root: &'a Yaml,
    at: &'a Yaml,
}

impl<'a> Node<'a> {
    /// The document's root.
    pub fn root(root: &'a Yaml) -> Self {
        Self { root, at: root }
    }

    /// The YAML at this place; references are not followed.
    pub fn yaml(self) -> &'a Yaml {
        self.at
    }

    /// The value under a key.
    pub fn get(self, key: &str) -> Option<Self> {
        let at = &self.at[key];
        (!at.is_badvalue()).then_some(Self { at, ..self })
    }

    /// The text under a key; empty if there is none.
    pub fn text(self, key: &str) -> &'a str {
        self.at[key].as_str().unwrap_or_default()
    }

    /// Whether the value under a key is `true`.
    pub fn is(self, key: &str) -> bool {
        self.at[key].as_bool() == Some(true)
    }

    /// The entries of the map under a key, in the order of the document.
    pub fn entries(self, key: &str) -> impl Iterator<Item = (&'a str, Self)> {
        let map = self.at[key].as_hash();
        map.into_iter()
            .flatten()
            .filter_map(move |(key, at)| Some((key.as_str()?, Self { at, ..self })))
    }

    /// The items of the list under a key.
    pub fn items(self, key: &str) -> impl Iterator<Item = Self> {
        let list = self.at[key].as_vec();
        list.into_iter()
            .flatten()
            .map(move |at| Self { at, ..self })
    }

    /// The name of the component that this place refers to.
    pub fn reference(self) -> Option<&'a str> {
        self.at["$ref"].as_str()?.rsplit('/').next()
    }

    /// The place that a reference here leads to; this place itself if it is not a reference.
    pub fn resolved(self) -> Self {
        let Some(path) = self.at["$ref"].as_str() else {
            return self;
        };
        let steps = path.trim_start_matches("#/").split('/');
        let at = steps.fold(self.root, |at, step| &at[step]);
        Self { at, ..self }.resolved()
    }
}
