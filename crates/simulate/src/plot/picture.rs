//! What every picture has: a title and a description for those who do not see it, and other colours
//! where the reader's screen is dark.

use std::fmt::Write;

/// Colours of the drawing, and what they are on a dark screen.
const DARK: [(&str, &str); 15] = [
    ("#FFFFFF", "#0d1117"),
    ("#24292F", "#e6edf3"),
    ("#656D76", "#9198a1"),
    ("#E4E7EB", "#262c36"),
    ("#0969DA", "#58a6ff"),
    ("#E36209", "#f0883e"),
    ("#B6D3F5", "#1f4a80"),
    ("#DAEAFC", "#14304f"),
    ("#6E7781", "#9198a1"),
    ("#8C959F", "#6e7681"),
    ("#1A7F37", "#3fb950"),
    ("#8250DF", "#a371f7"),
    ("#BF3989", "#f778ba"),
    ("#9A6700", "#d29922"),
    ("#DEDEDE", "#444c56"),
];

/// Adds a title, a description and the colours for dark screens to an SVG.
#[must_use]
pub fn accessible(picture: &str, title: &str, description: &str) -> String {
    let Some((head, rest)) = picture.split_once('>') else {
        return picture.to_owned();
    };
    let mut whole = format!(
        "{head} role=\"img\" aria-labelledby=\"title description\">\n<title id=\"title\">{}</title>\n\
         <desc id=\"description\">{}</desc>\n<style>@media (prefers-color-scheme: dark) {{\n",
        escaped(title),
        escaped(description)
    );
    for (light, dark) in DARK {
        // Writing to a string cannot fail.
        let _ = writeln!(
            whole,
            "[fill=\"{light}\"] {{ fill: {dark} }} [stroke=\"{light}\"] {{ stroke: {dark} }}"
        );
    }
    whole.push_str("}</style>");
    whole.push_str(rest);
    whole
}

fn escaped(text: &str) -> String {
    let escape = |character: char| match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        // XML 1.0 has no other control characters.
        control if control.is_control() => " ".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_says_what_it_shows_and_names_cannot_break_it() {
        let picture = "<svg width=\"1\">\n<rect fill=\"#FFFFFF\"/>\n</svg>";
        let whole = accessible(picture, "a < b", "</desc><script>");
        assert!(
            whole.starts_with("<svg width=\"1\" role=\"img\""),
            "{whole}"
        );
        assert!(
            whole.contains("<title id=\"title\">a &lt; b</title>"),
            "{whole}"
        );
        assert!(!whole.contains("<script"), "{whole}");
        assert!(
            whole.contains("[fill=\"#FFFFFF\"] { fill: #0d1117 }"),
            "{whole}"
        );
        assert!(whole.ends_with("</svg>"));
    }
}
