//! Counts the lines of a part's code: without comments, empty lines and tests.

use std::path::Path;

/// The lines of some files, or of items in them.
///
/// # Errors
/// Names the file that cannot be read, or the item that is not there.
pub fn lines(code: &[(&str, &[&str])]) -> Result<usize, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../allocation/src");
    let mut sum = 0;
    for (file, items) in code {
        let text =
            std::fs::read_to_string(folder.join(file)).map_err(|it| format!("{file}: {it}"))?;
        let (text, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
        if items.is_empty() {
            sum += counted(text.lines());
        }
        for item in *items {
            let lines = item_of(text, item).ok_or_else(|| format!("{file} has no {item}"))?;
            sum += counted(lines.into_iter());
        }
    }
    Ok(sum)
}

fn counted<'a>(lines: impl Iterator<Item = &'a str>) -> usize {
    let code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    lines.filter(code).count()
}

/// The lines of an item: up to the first brace that is indented like its beginning.
fn item_of<'a>(text: &'a str, item: &str) -> Option<Vec<&'a str>> {
    let begins = |line: &&str| {
        let rest = line
            .trim()
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub(super) ")
            .trim_start_matches("pub ");
        let next = rest.strip_prefix(item).and_then(|rest| rest.chars().next());
        next.is_some_and(|next| !next.is_alphanumeric() && next != '_')
    };
    let mut lines = text.lines().skip_while(|line| !begins(line));
    let first = lines.next()?;
    let indent = first.len() - first.trim_start().len();
    let end = format!("{:indent$}}}", "");
    let mut found = vec![first];
    for line in lines {
        found.push(line);
        if line == end {
            break;
        }
    }
    Some(found)
}
