//! Tables that fit the terminal. Columns that do not fit are left out, and named.

use std::fmt;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use crate::{BOLD, width, wrapped};

/// Between two columns.
const GAP: usize = 2;

/// The narrowest that a column of names is cut to.
const NAME_MIN: usize = 12;

/// A table. The columns that matter most come first.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
    elsewhere: &'static str,
}

enum Row {
    /// A cell for each column, in this style.
    Cells(Vec<String>, Style),
    /// A line between two rows, over all columns.
    Between(String),
}

impl Row {
    fn cell(&self, at: usize) -> Option<&String> {
        match self {
            Self::Cells(cells, _) => cells.get(at),
            Self::Between(_) => None,
        }
    }
}

struct Column {
    title: String,
    right: bool,
}

impl Table {
    /// A table of these columns. A title that begins with `>` stands over numbers, which are aligned
    /// on the right.
    #[must_use]
    pub fn new(titles: &[impl AsRef<str>]) -> Self {
        let columns = titles.iter().map(|title| Column {
            title: title.as_ref().trim_start_matches('>').to_owned(),
            right: title.as_ref().starts_with('>'),
        });
        Self {
            columns: columns.collect(),
            rows: Vec::new(),
            elsewhere: "--output json has all",
        }
    }

    /// Says where the columns are that have no room, if not in `--output json`.
    #[must_use]
    pub fn elsewhere(mut self, place: &'static str) -> Self {
        self.elsewhere = place;
        self
    }

    /// Adds a row, with a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.styled(Style::new(), cells);
    }

    /// Adds a row in this style.
    pub fn styled(&mut self, style: Style, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push(Row::Cells(cells.into_iter().collect(), style));
    }

    /// Adds a line between two rows, over all columns.
    pub fn between(&mut self, text: String) {
        self.rows.push(Row::Between(text));
    }

    /// Prints it as wide as the terminal is; as wide as it is, if there is none.
    pub fn print(&self) {
        crate::outln!("{self}");
    }

    /// The lines of the table, none wider than `width`.
    #[must_use]
    pub fn lines(&self, width: usize) -> Vec<String> {
        let mut widths = self.widths();
        let mut shown = widths.len();
        let total = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
        while shown > 1 && total(&widths[..shown]) > width && !self.can_cut(&widths[..shown], width)
        {
            shown -= 1;
        }
        widths.truncate(shown);
        let over = total(&widths).saturating_sub(width);
        if over > 0 {
            widths[0] = widths[0].saturating_sub(over).max(1);
        }
        let titles: Vec<_> = self.columns.iter().map(|it| it.title.clone()).collect();
        let mut lines = vec![format!("{BOLD}{}{BOLD:#}", self.line(&titles, &widths))];
        lines.extend(self.rows.iter().map(|row| match row {
            Row::Cells(cells, style) => format!("{style}{}{style:#}", self.line(cells, &widths)),
            Row::Between(text) => cut(text, width),
        }));
        let left_out = self.columns[shown..].iter().map(|it| it.title.as_str());
        let left_out: Vec<_> = left_out.collect();
        if !left_out.is_empty() {
            let (names, elsewhere) = (left_out.join(", "), self.elsewhere);
            let note = wrapped(&format!("(no room for: {names}; {elsewhere})"), Some(width));
            lines.extend(note.lines().map(str::to_owned));
        }
        lines
    }

    /// Whether the table fits with shorter names in its first column.
    fn can_cut(&self, widths: &[usize], width: usize) -> bool {
        let others: usize = widths[1..].iter().map(|column| column + GAP).sum();
        widths[0] > NAME_MIN && others + NAME_MIN <= width
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        let widest = columns.map(|(at, column)| {
            let cells = self.rows.iter().filter_map(|row| row.cell(at));
            let widest = cells.map(|cell| cell.width()).max().unwrap_or(0);
            widest.max(column.title.width())
        });
        widest.collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (at, (cell, &width)) in cells.iter().zip(widths).enumerate() {
            let cell = cut(cell, width);
            let blank = " ".repeat(width - cell.width().min(width));
            if at > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            if self.columns[at].right {
                line.push_str(&blank);
                line.push_str(&cell);
            } else {
                line.push_str(&cell);
                line.push_str(&blank);
            }
        }
        line.trim_end().to_owned()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines(width().unwrap_or(usize::MAX)).join("\n"))
    }
}

/// A name that is cut to this width, if it is wider.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    for character in text.chars() {
        cut.push(character);
        if cut.width() + 1 > width {
            cut.pop();
            break;
        }
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["service", ">kept/s", ">share"]);
        table.row(["checkout".into(), "14.1".into(), "28.2 %".into()]);
        table.row([
            "a-service-with-a-long-name".into(),
            "3".into(),
            "6 %".into(),
        ]);
        table
    }

    /// Lines without the marks of style.
    fn plain(table: &Table, width: usize) -> Vec<String> {
        let lines = table.lines(width);
        lines
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect()
    }

    #[test]
    fn numbers_are_aligned_on_the_right() {
        assert_eq!(
            plain(&table(), 80),
            [
                "service                     kept/s   share",
                "checkout                      14.1  28.2 %",
                "a-service-with-a-long-name       3     6 %",
            ]
        );
    }

    #[test]
    fn lines_between_rows_are_as_wide_as_the_table_may_be() {
        let mut table = table().elsewhere("the file has all");
        table.between("the worst of many services that are not shown here:".into());
        table.styled(crate::BAD, ["admin".into(), "1".into(), "2 %".into()]);
        let lines = table.lines(24);
        let plain = plain(&table, 24);
        assert_eq!(plain[3], "the worst of many servi…");
        assert_eq!(plain[5], "(no room for: share; the");
        assert!(lines[4].starts_with(&crate::BAD.to_string()), "{lines:?}");
    }

    #[test]
    fn names_are_cut_before_columns_are_left_out() {
        assert_eq!(
            plain(&table(), 30),
            [
                "service         kept/s   share",
                "checkout          14.1  28.2 %",
                "a-service-wit…       3     6 %",
            ]
        );
        let narrow = plain(&table(), 22);
        assert_eq!(narrow[2], "a-service-wit…       3");
        assert_eq!(
            narrow[3..],
            ["(no room for: share;", "--output json has all)"]
        );
        // Wide characters take two columns.
        let mut wide = Table::new(&["service", ">n"]);
        wide.row(["漢字漢字漢字漢字漢字".into(), "1".into()]);
        assert!(plain(&wide, 15).iter().all(|line| line.width() <= 15));
    }
}
