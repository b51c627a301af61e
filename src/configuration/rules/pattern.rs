//! Names or patterns of names: `*` stands for any characters, `?` for one, `\` takes the next one as it is.

use std::fmt;
use std::str::Chars;

/// The longest pattern, in bytes. A comparison takes at most this times the length of the name.
pub const PATTERN_MAX: usize = 512;

/// Which names are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Every name.
    Any,
    /// One name.
    Exact(String),
    /// The names that look like this.
    Glob(Glob),
}

/// A pattern with wildcards, and at least one other part than `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob {
    parts: Vec<Part>,
    own: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    One(char),
    AnyOne,
    Any,
}

/// What is wrong with a pattern, in words that follow the field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// It is empty.
    Empty,
    /// It is longer than [`PATTERN_MAX`].
    TooLong,
    /// It has a control character, which no name has.
    ControlCharacter,
    /// A `\` is not followed by `*`, `?` or `\`.
    Escape,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty"),
            Self::TooLong => write!(f, "must be at most {PATTERN_MAX} bytes long"),
            Self::ControlCharacter => f.write_str("must not hold control characters"),
            Self::Escape => f.write_str("has a \\ that is not followed by *, ? or \\"),
        }
    }
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > PATTERN_MAX {
            return Err(PatternError::TooLong);
        }
        if text.contains(char::is_control) {
            return Err(PatternError::ControlCharacter);
        }
        let parts = parts(text)?;
        if parts == [Part::Any] {
            return Ok(Self::Any);
        }
        let exact: Option<String> = parts.iter().map(Part::own).collect();
        Ok(match exact {
            Some(name) => Self::Exact(name),
            None => Self::Glob(Glob::of(parts)),
        })
    }

    /// Whether a name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == name,
            Self::Glob(glob) => glob.matches(name),
        }
    }

    /// How specific it is: 0 for `*`, more for a pattern with more characters of its own, most for a name.
    #[must_use]
    pub fn specificity(&self) -> u32 {
        match self {
            Self::Any => 0,
            Self::Exact(_) => Self::EXACT,
            Self::Glob(glob) => 1 + glob.own,
        }
    }

    /// The specificity of a name.
    pub const EXACT: u32 = u32::MAX;
}

/// Several `*` in a row mean the same as one.
fn parts(text: &str) -> Result<Vec<Part>, PatternError> {
    let mut parts = Vec::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        let part = match next {
            '*' => Part::Any,
            '?' => Part::AnyOne,
            '\\' => match rest.next() {
                Some(own @ ('*' | '?' | '\\')) => Part::One(own),
                _ => return Err(PatternError::Escape),
            },
            own => Part::One(own),
        };
        if part != Part::Any || parts.last() != Some(&Part::Any) {
            parts.push(part);
        }
    }
    Ok(parts)
}

impl Part {
    fn own(&self) -> Option<char> {
        match self {
            Self::One(own) => Some(*own),
            Self::AnyOne | Self::Any => None,
        }
    }
}

impl Glob {
    fn of(parts: Vec<Part>) -> Self {
        Self {
            own: parts.iter().filter_map(Part::own).count() as u32,
            parts,
        }
    }

    /// The runs of its own characters. Every name that it matches contains all of them.
    pub fn runs(&self) -> impl Iterator<Item = String> {
        let runs = self.parts.split(|part| part.own().is_none());
        let runs = runs.map(|run| run.iter().filter_map(Part::own).collect::<String>());
        runs.filter(|run| !run.is_empty())
    }

    /// The characters that each name begins with.
    #[must_use]
    pub fn prefix(&self) -> String {
        self.parts.iter().map_while(Part::own).collect()
    }

    /// Compares part by part. After a difference, the last `*` takes one character more: what came before it
    /// need not be compared again.
    fn matches(&self, name: &str) -> bool {
        let mut at = 0;
        let mut rest = name.chars();
        let mut star: Option<(usize, Chars<'_>)> = None;
        loop {
            let mut after = rest.clone();
            let fits = match (self.parts.get(at), after.next()) {
                (Some(Part::Any), _) => {
                    at += 1;
                    star = Some((at, rest.clone()));
                    if at == self.parts.len() {
                        return true;
                    }
                    continue;
                }
                (None, None) => return true,
                (Some(Part::AnyOne), Some(_)) => true,
                (Some(Part::One(own)), Some(next)) => *own == next,
                _ => false,
            };
            if fits {
                (at, rest) = (at + 1, after);
                continue;
            }
            let Some((from, taken)) = &mut star else {
                return false;
            };
            if taken.next().is_none() {
                return false;
            }
            (at, rest) = (*from, taken.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn wildcards_match() {
        for (pattern, name) in [
            ("*", "anything"),
            ("GET /health*", "GET /healthz"),
            ("GET /health*", "GET /health"),
            ("*health*", "GET /health/live"),
            ("GET /?", "GET /ä"),
            ("*a*b*c", "xxaxxbxxbc"),
            ("a*?c", "abbc"),
            ("**", ""),
            (r"GET /users/\*", "GET /users/*"),
            (r"C:\\?", r"C:\x"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("GET /health", "GET /healthz"),
            ("GET /?", "GET /"),
            ("*a*b*c", "xxaxxbxxbd"),
            (r"GET /users/\*", "GET /users/7"),
            ("a*?c", "ac"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn wrong_patterns_are_named() {
        let parse = |text: &str| Pattern::parse(text).unwrap_err();
        assert_eq!(parse(""), PatternError::Empty);
        assert_eq!(parse(&"a".repeat(PATTERN_MAX + 1)), PatternError::TooLong);
        assert_eq!(parse("a\nb"), PatternError::ControlCharacter);
        assert_eq!(parse(r"a\b"), PatternError::Escape);
        assert_eq!(parse(r"a\"), PatternError::Escape);
    }

    #[test]
    fn a_name_is_more_specific_than_a_pattern_than_any() {
        let of = |text: &str| Pattern::parse(text).unwrap().specificity();
        let ordered = ["GET /health", "GET /health*", "GET*", "?", "***"].map(of);
        assert!(ordered.is_sorted_by(|a, b| a > b), "{ordered:?}");
    }

    /// The meaning, without regard to time.
    fn meant(parts: &[Part], name: &[char]) -> bool {
        match (parts.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((Part::Any, rest)), next) => {
                meant(rest, name) || next.is_some_and(|(_, name)| meant(parts, name))
            }
            (Some((Part::AnyOne, rest)), Some((_, name))) => meant(rest, name),
            (Some((Part::One(own), rest)), Some((next, name))) => own == next && meant(rest, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_fast_comparison_is_the_meaning(text in "[ab*?]{1,8}", name in "[abc]{0,10}") {
            let pattern = Pattern::parse(&text).unwrap();
            let name_chars: Vec<char> = name.chars().collect();
            let expected = meant(&parts(&text).unwrap(), &name_chars);
            prop_assert_eq!(pattern.matches(&name), expected);
            if let (Pattern::Glob(glob), true) = (&pattern, expected) {
                prop_assert!(glob.runs().all(|run| name.contains(&run)));
            }
        }
    }
}
