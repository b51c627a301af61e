//! The part of Markdown that the document's descriptions use: paragraphs, lists with `*`,
//! `code`, **strong** and *emphasis*.

use maud::{Markup, html};

/// A description.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
            @if let Some(list) = block.strip_prefix("* ") {
                ul { @for item in list.split("\n* ") { li { (inline(item)) } } }
            } @else {
                p { (inline(block)) }
            }
        }
    }
}

/// Marks that open and close a piece of a line.
const MARKS: [&str; 3] = ["`", "**", "*"];

/// Text with marks, without a paragraph around it.
pub(super) fn inline(text: &str) -> Markup {
    let found = MARKS.iter().filter_map(|mark| {
        let start = text.find(mark)?;
        let from = start + mark.len();
        let length = text[from..].find(mark).filter(|length| *length > 0)?;
        Some((start, mark, from, from + length))
    });
    // If two marks start at the same place, `min_by_key` takes the first of MARKS, which is the
    // longer.
    let Some((start, mark, from, until)) = found.min_by_key(|(start, ..)| *start) else {
        return html! { (text) };
    };
    let inner = &text[from..until];
    html! {
        (text[..start])
        @match *mark {
            "`" => { code { (inner) } }
            "**" => { strong { (inline(inner)) } }
            _ => { em { (inline(inner)) } }
        }
        (inline(&text[until + mark.len()..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_become_paragraphs_and_lists() {
        let text = "Two *kinds*, `a < b`:\n\n* the **first**\n  one;\n* the `*`.\n\nEnd.\n";
        let expected = "<p>Two <em>kinds</em>, <code>a &lt; b</code>:</p>\
                        <ul><li>the <strong>first</strong>\n  one;</li>\
                        <li>the <code>*</code>.</li></ul><p>End.</p>";
        assert_eq!(prose(text).into_string(), expected);
    }
}
