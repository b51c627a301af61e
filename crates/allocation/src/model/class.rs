//! Classes: what a trace turned out to be, of services whose traces are decided about when they have ended.
//!
//! An operation of such a service has an entry for each class. An entry is an operation like any other, and its name says
//! which class it is: the operation's name, a separator that no other name may hold, and the class. So an entry can never
//! be mistaken for an operation that somebody called like that.

use std::fmt;

use crate::amount::amount;

/// Between an operation's name and its class. A noncharacter of Unicode: no text has it, and UTF-8 can hold it.
const SEPARATOR: char = '\u{FDD0}';

/// What a trace turned out to be. The first one that fits, in the order tagged, error, slow, rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// One of its spans has failed.
    Error,
    /// It took longer than its service's threshold.
    Slow,
    /// A span fulfils a rule for tagged requests.
    Tagged,
    /// All others.
    Rest,
}

impl Class {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Error, Self::Slow, Self::Tagged, Self::Rest];

    /// The most bytes that a class adds to an operation's name.
    pub const BYTES: usize = SEPARATOR.len_utf8() + "tagged".len();

    /// As reports, documents and metrics say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Tagged => "tagged",
            Self::Rest => "rest",
        }
    }

    /// The class of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// The name of an operation's entry of this class.
    #[must_use]
    pub fn entry(self, operation: &str) -> String {
        format!("{operation}{SEPARATOR}{}", self.name())
    }

    /// The operation of an entry, and its class; none if it is an operation without classes.
    #[must_use]
    pub fn of(entry: &str) -> (&str, Option<Self>) {
        // Most names are of no class.
        let split = entry.rsplit_once(SEPARATOR);
        let class = split.and_then(|(operation, class)| Some((operation, Self::parse(class)?)));
        class.map_or((entry, None), |(operation, class)| (operation, Some(class)))
    }

    /// An entry as people read it in texts: `GET /cart (error)`.
    #[must_use]
    pub fn shown(entry: &str) -> String {
        match Self::of(entry) {
            (operation, Some(class)) => format!("{operation} ({class})"),
            (operation, None) => operation.to_owned(),
        }
    }

    /// Whether a name holds what separates operations from classes, so that nobody may have it.
    #[must_use]
    pub fn is_reserved(name: &str) -> bool {
        name.contains(SEPARATOR)
    }
}

/// The most that errors of a service may take of the budget. So an error storm in one service costs the others less than
/// they notice, and a few failing requests among many are all kept.
const ERRORS_OF_BUDGET: f64 = 0.05;

/// How much more of the level a slow trace gets than others.
const SLOW_WEIGHT: f64 = 10.0;

/// The most that is served of errors and slow traces of an operation that the plan does not name. Nothing unknown is ever
/// kept whole, and what comes of it is held to the cap of its class.
const UNNAMED: f64 = 0.5;

/// What a class gets where nobody says anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassDefault {
    /// Its weight when the budget is shared; 1 for that of the operation.
    pub weight: f64,
    /// The lowest probability, under the cap.
    pub probability_min: f64,
    /// The most traces per second of all operations of a service together; infinite without a cap. That of tagged
    /// requests is in their rules.
    pub cap: f64,
}

impl Class {
    /// What it gets of a budget where nobody says anything: errors and tagged requests are kept whole under a cap, slow
    /// traces are favoured.
    #[must_use]
    pub fn by_default(self, budget: f64) -> ClassDefault {
        let rest = ClassDefault {
            weight: 1.0,
            probability_min: 0.0,
            cap: f64::INFINITY,
        };
        match self {
            Self::Error => ClassDefault {
                probability_min: 1.0,
                cap: ERRORS_OF_BUDGET * amount(budget),
                ..rest
            },
            Self::Slow => ClassDefault {
                weight: SLOW_WEIGHT,
                ..rest
            },
            Self::Tagged => ClassDefault {
                probability_min: 1.0,
                ..rest
            },
            Self::Rest => rest,
        }
    }

    /// What is served of it for operations that the plan does not name. `known` is what others of the service get,
    /// `unknown` what the plan gives to unknown operations, `cut` what an emergency leaves of probabilities.
    ///
    /// Tagged requests are known by their rule, whatever their operation. The rest gets no more than unknown operations of
    /// head-governed services, because it may be as much traffic as everything else.
    #[must_use]
    pub fn of_unnamed(self, known: Option<f64>, unknown: f64, cut: f64) -> f64 {
        match self {
            Self::Tagged => known.unwrap_or(cut),
            Self::Error => known.unwrap_or(cut).min(UNNAMED * cut),
            Self::Slow => known.unwrap_or(unknown).min(UNNAMED * cut),
            Self::Rest => known.unwrap_or(unknown).min(unknown.max(0.0)),
        }
    }
}

/// What a class of a service without a cap of its own may keep over its share between two plans: this factor of the share.
const HEADROOM: f64 = 2.0;

/// The same for a class with a small share or none: this part of the budget.
const HEADROOM_OF_BUDGET: f64 = 0.02;

/// The most that a class of a service keeps between two plans, in traces per second: its cap, or a headroom over its share
/// of the plan. So traffic that no plan has foreseen cannot take much more than the plan gave.
#[must_use]
pub fn held_between_plans(cap: f64, share: f64, budget: f64) -> f64 {
    let (share, budget) = (amount(share), amount(budget));
    let headroom = (HEADROOM * share).max(share + HEADROOM_OF_BUDGET * budget);
    if cap.is_finite() {
        amount(cap)
    } else {
        headroom
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_held_to_its_cap_or_near_its_share() {
        assert_eq!(held_between_plans(5.0, 80.0, 100.0), 5.0);
        assert_eq!(held_between_plans(f64::INFINITY, 10.0, 100.0), 20.0);
        assert_eq!(held_between_plans(f64::INFINITY, 0.5, 100.0), 2.5);
        assert_eq!(held_between_plans(f64::NAN, -1.0, f64::NAN), 0.0);
    }

    #[test]
    fn nothing_unknown_is_kept_whole_but_tagged_requests() {
        let served = |known| Class::ALL.map(|class| class.of_unnamed(known, 0.01, 1.0));
        assert_eq!(served(None), [0.5, 0.01, 1.0, 0.01]);
        assert_eq!(served(Some(0.9)), [0.5, 0.5, 0.9, 0.01]);
        assert_eq!(served(Some(0.001)), [0.001; 4]);
        assert_eq!(Class::Error.of_unnamed(None, 0.01, 0.25), 0.125);
    }

    #[test]
    fn an_entry_is_its_operation_and_its_class() {
        for class in Class::ALL {
            assert_eq!(Class::parse(class.name()), Some(class));
            for operation in ["GET /cart", "__other__", "error", "GET /(error)", ""] {
                let entry = class.entry(operation);
                assert_eq!(Class::of(&entry), (operation, Some(class)));
                assert!(Class::is_reserved(&entry) && !Class::is_reserved(operation));
                assert!(entry.len() <= operation.len() + Class::BYTES);
            }
        }
        for operation in ["GET /cart", "rest", "a\u{FDD0}b", "a\u{FDD0}", ""] {
            assert_eq!(Class::of(operation), (operation, None));
        }
    }
}
