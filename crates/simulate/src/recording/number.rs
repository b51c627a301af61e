//! Counts as tools write them: with fractions, grouped digits, and words for nothing.

use super::LARGEST_COUNT;
use super::fault::{At, RecordingFault, at, shortened};
use super::line::Line;

/// What a tool writes where it has no number.
const NOTHING: [&str; 10] = [
    "",
    "-",
    "nan",
    "null",
    "none",
    "nil",
    "na",
    "n/a",
    "\\n",
    "undefined",
];

/// The meaning of a mark in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// What follows is a fraction.
    Decimal,
    /// It separates groups of three digits.
    Group,
}

/// Reads the numbers of a file, and remembers what its cells have shown about their spelling.
///
/// `1,234` and `1.234` can each be two numbers. A cell that can be only one of them, such as `12,5`
/// or `1,234.5`, decides for the file. Otherwise the separator of the cells does: a file with commas
/// between its cells has decimal points. If that does not decide either, the cell is refused.
#[derive(Debug)]
pub(super) struct Numbers {
    separator: u8,
    dot: Option<Mark>,
    comma: Option<Mark>,
    /// The first cell whose point was taken for a decimal one without any sign of it.
    doubt: Option<At>,
    empty: u64,
    fractions: u64,
}

impl Numbers {
    /// For a file with this byte between its cells.
    pub fn new(separator: u8) -> Self {
        Self {
            separator,
            dot: None,
            comma: None,
            doubt: None,
            empty: 0,
            fractions: 0,
        }
    }

    /// The count in a cell; 0 if it says that there is none.
    ///
    /// # Errors
    /// If it is not a number from 0 to [`LARGEST_COUNT`], or could be two.
    pub fn read(&mut self, line: &Line, column: usize) -> Result<f64, (usize, RecordingFault)> {
        let cell = line.cell(column)?;
        let doubtful = self.doubt.is_some();
        let count = self.count(cell).map_err(|fault| (column, fault))?;
        if !doubtful && let Some(doubt) = &mut self.doubt {
            *doubt = at(line.number, column, doubtful_mark(cell));
        }
        Ok(count)
    }

    /// The count in a text, without a place.
    pub fn count(&mut self, text: &str) -> Result<f64, RecordingFault> {
        if text.len() <= 9 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let count = text.parse::<u32>().map(f64::from);
            return count.map_err(|_| RecordingFault::count(text));
        }
        if NOTHING.contains(&text.to_ascii_lowercase().as_str()) {
            self.empty += 1;
            return Ok(0.0);
        }
        /// No count is as long.
        const LONGEST: usize = 60;
        if text.len() > LONGEST {
            return Err(RecordingFault::count(text));
        }
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        let count: Option<f64> = self.plain(unsigned)?.and_then(|plain| plain.parse().ok());
        let count = count.filter(|count| (0.0..=f64::from(LARGEST_COUNT)).contains(count));
        let count = count.ok_or_else(|| RecordingFault::count(text))?;
        self.fractions += u64::from(count.fract() != 0.0);
        Ok(count)
    }

    /// The same number with digits and a decimal point only; none if it is not a number.
    fn plain(&mut self, text: &str) -> Result<Option<String>, RecordingFault> {
        if scientific(text) {
            return Ok(Some(text.to_owned()));
        }
        let blanks = [' ', '\u{a0}', '\u{202f}', '\u{2009}', '\'', '’', '_'];
        let known = |letter: char| letter.is_ascii_digit() || ".,".contains(letter);
        if !text
            .chars()
            .all(|letter| known(letter) || blanks.contains(&letter))
        {
            return Ok(None);
        }
        let text = match text.find(blanks) {
            None => text.to_owned(),
            Some(place) => {
                let blank = text[place..].chars().next().unwrap_or(' ');
                let end = text.find(['.', ',']).unwrap_or(text.len());
                let Some(whole) = ungrouped(&text[..end], blank) else {
                    return Ok(None);
                };
                whole + &text[end..]
            }
        };
        match (text.rfind('.'), text.rfind(',')) {
            (None, None) => Ok(Some(text)),
            (Some(_), None) => self.one_mark(&text, '.'),
            (None, Some(_)) => self.one_mark(&text, ','),
            (Some(dot), Some(comma)) => {
                let (group, last) = if dot < comma { ('.', ',') } else { (',', '.') };
                let (whole, part) = text.split_at(dot.max(comma));
                let Some(whole) = ungrouped(whole, group) else {
                    return Ok(None);
                };
                self.decide(group, Mark::Group, &text)?;
                self.decide(last, Mark::Decimal, &text)?;
                Ok(Some(format!("{whole}.{}", &part[1..])))
            }
        }
    }

    /// A number with one kind of mark.
    fn one_mark(&mut self, text: &str, mark: char) -> Result<Option<String>, RecordingFault> {
        let grouped = ungrouped(text, mark);
        let decimal = (text.matches(mark).count() == 1).then(|| text.replace(mark, "."));
        let (meaning, plain) = match (grouped, decimal) {
            (None, None) => return Ok(None),
            (Some(grouped), None) => (Mark::Group, grouped),
            (None, Some(decimal)) => (Mark::Decimal, decimal),
            (Some(grouped), Some(decimal)) => match self.meaning(text, mark)? {
                Mark::Group => return Ok(Some(grouped)),
                Mark::Decimal => return Ok(Some(decimal)),
            },
        };
        self.decide(mark, meaning, text)?;
        Ok(Some(plain))
    }

    /// What a mark means before three digits, where it may mean both.
    fn meaning(&mut self, text: &str, mark: char) -> Result<Mark, RecordingFault> {
        let known = if mark == '.' { self.dot } else { self.comma };
        match (known, mark, self.separator) {
            (Some(known), ..) => Ok(known),
            (None, '.', b';') => {
                // Grafana writes points in such a file, a spreadsheet may group digits by them.
                // Some other cell may still decide.
                self.doubt
                    .get_or_insert_with(|| at(1, 0, doubtful_mark(text)));
                Ok(Mark::Decimal)
            }
            (None, '.', _) => Ok(Mark::Decimal),
            (None, _, b',') => {
                self.comma = Some(Mark::Group);
                Ok(Mark::Group)
            }
            (None, ..) => Err(doubtful_mark(text)),
        }
    }

    fn decide(&mut self, mark: char, meaning: Mark, text: &str) -> Result<(), RecordingFault> {
        let other = |meaning: Mark| match meaning {
            Mark::Decimal => Mark::Group,
            Mark::Group => Mark::Decimal,
        };
        let pairs = if mark == '.' {
            [(&mut self.dot, meaning), (&mut self.comma, other(meaning))]
        } else {
            [(&mut self.comma, meaning), (&mut self.dot, other(meaning))]
        };
        for (known, meaning) in pairs {
            if known.is_some_and(|known| known != meaning) {
                return Err(doubtful_mark(text));
            }
            *known = Some(meaning);
        }
        if self.dot == Some(Mark::Group) && self.doubt.is_some() {
            return Err(doubtful_mark(text));
        }
        Ok(())
    }

    /// What was done about cells that are not whole numbers.
    ///
    /// # Errors
    /// The place of a number that could be two, if no other cell decided.
    pub fn notes(&mut self) -> Result<Vec<String>, At> {
        if let Some(doubt) = self.doubt.take().filter(|_| self.dot.is_none()) {
            return Err(doubt);
        }
        let mut notes = Vec::new();
        if self.empty > 0 {
            notes.push(format!(
                "{} cells without a number (empty, NaN or null) are read as 0",
                self.empty
            ));
        }
        if self.fractions > 0 {
            notes.push(format!(
                "{} counts have a fraction, as increase() gives them: they are read as requests in a row, not as rates a second, and rounded so that each operation keeps its total",
                self.fractions
            ));
        }
        Ok(notes)
    }
}

/// Rounds counts one after the other, so that their total stays.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rounding {
    carried: f64,
}

impl Rounding {
    /// The next count, as a whole number.
    pub fn next(&mut self, count: f64) -> u32 {
        let exact = count + self.carried;
        // A sum over LARGEST_COUNT ends at the largest number.
        let whole = exact.round().clamp(0.0, f64::from(u32::MAX));
        self.carried = (exact - whole).clamp(-1.0, 1.0);
        whole as u32
    }
}

fn doubtful_mark(text: &str) -> RecordingFault {
    RecordingFault::DoubtfulNumber(shortened(text))
}

/// Whether this is a number like `1.5e+03`.
fn scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    digits(whole) && digits(part) && digits(exponent) && exponent.len() <= 3
}

/// The digits of a number in groups of three; none if it has other groups.
fn ungrouped(text: &str, mark: char) -> Option<String> {
    let mut groups = text.split(mark);
    let first = groups.next()?;
    let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    // `0,123` is a fraction.
    let leads = (1..=3).contains(&first.len()) && digits(first) && !first.starts_with('0');
    let mut plain = first.to_owned();
    let mut count = 0;
    for group in groups {
        if group.len() != 3 || !digits(group) {
            return None;
        }
        plain.push_str(group);
        count += 1;
    }
    (leads && count > 0).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(separator: u8, cells: &[&str]) -> Result<Vec<f64>, String> {
        let mut numbers = Numbers::new(separator);
        let counts: Result<Vec<f64>, _> = cells.iter().map(|cell| numbers.count(cell)).collect();
        let counts = counts.map_err(|fault| fault.to_string())?;
        numbers.notes().map_err(|at| at.fault.to_string())?;
        Ok(counts)
    }

    #[test]
    fn counts_are_read_as_tools_write_them() {
        for (separator, cell, count) in [
            (b',', "3.0", 3.0),
            (b',', "0.000", 0.0),
            (b',', "12.345", 12.345),
            (b',', "3,000", 3000.0),
            (b',', "1,234,567.5", 1_234_567.5),
            (b',', "12,5", 12.5),
            (b',', "3e+03", 3000.0),
            (b',', "+3", 3.0),
            (b',', "3 000", 3000.0),
            (b';', "3\u{202f}000", 3000.0),
            (b';', "3'000,5", 3000.5),
            (b';', "12,5", 12.5),
            (b';', "0,125", 0.125),
            (b';', "1.234,5", 1234.5),
            (b';', "1.234.567", 1_234_567.0),
            (b';', "12.25", 12.25),
            (b'\t', "12.345", 12.345),
            (b',', "NaN", 0.0),
            (b',', "", 0.0),
            (b',', "\\N", 0.0),
        ] {
            assert_eq!(read(separator, &[cell]), Ok(vec![count]), "{cell}");
        }
        for cell in [
            "-1",
            "-0",
            "1e",
            "e5",
            "1e9999",
            "Inf",
            "+Inf",
            "3.03 K",
            "1,2,3",
            "1..2",
            ".",
            "12 34",
            "1000000001",
            "∞",
            "0x10",
            "12ms",
        ] {
            assert!(read(b',', &[cell]).is_err(), "{cell}");
        }
    }

    #[test]
    fn a_number_that_could_be_two_is_refused_unless_another_decides() {
        for (separator, cells) in [
            (b';', ["3.000", "5"]),
            (b';', ["3,000", "5"]),
            (b'\t', ["3,000", "5"]),
            (b';', ["3.000", "1.000.000"]),
            (b',', ["3,000", "12,5"]),
            (b',', ["12.5", "1.000.000"]),
        ] {
            let error = read(separator, &cells).unwrap_err();
            assert!(error.contains("thousand"), "{error}");
        }
        let decided = [
            (b';', ["3.000", "12.25"], [3.0, 12.25]),
            (b';', ["12,25", "3,000"], [12.25, 3.0]),
            (b';', ["1,000,000", "3,000"], [1e6, 3000.0]),
            (b'\t', ["1,000.5", "3,000"], [1000.5, 3000.0]),
            (b';', ["1.000,5", "3.000"], [1000.5, 3000.0]),
        ];
        for (separator, cells, counts) in decided {
            assert_eq!(read(separator, &cells), Ok(counts.to_vec()), "{cells:?}");
        }
    }

    #[test]
    fn rounding_keeps_the_total() {
        let mut rounding = Rounding::default();
        let whole: Vec<u32> = (0..10).map(|_| rounding.next(0.3)).collect();
        assert_eq!(whole.iter().sum::<u32>(), 3, "{whole:?}");
        assert_eq!(rounding.next(7.0), 7);
        assert_eq!(Rounding::default().next(1e12), u32::MAX);
    }
}
