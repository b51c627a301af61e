//! The trace state that probability sampling uses: how random a trace is, and which part of traces was left out.
//!
//! # Source
//! OpenTelemetry, "TraceState: Probability Sampling" (OTEP 235): the vendor `ot` with `rv`, 14 hexadecimal digits
//! of randomness, and `th`, the rejection threshold without its zeros at the end. W3C Trace Context level 2: the
//! last 56 bits of a random trace id.

/// Thresholds and randomness are below this.
pub const WHOLE: u64 = 1 << 56;

/// Hexadecimal digits of a whole threshold.
const DIGITS: usize = 14;

/// Significant digits of a threshold after those that are `f`: a relative error of the probability below 2^-16.
const PRECISION: u32 = 5;

/// A threshold of rejection: a trace is kept if its [`Randomness`] is not below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u64);

/// The randomness of a trace, which every edge reads the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Randomness(u64);

impl Threshold {
    /// Keeps everything.
    pub const ALL: Self = Self(0);
    /// Keeps nothing. It cannot be written into a trace state.
    pub const NONE: Self = Self(WHOLE);

    /// Keeps traces with this probability, rounded to what is written into trace states.
    #[must_use]
    pub fn of_probability(probability: f64) -> Self {
        // NaN keeps nothing.
        if probability.is_nan() || probability <= 0.0 {
            return Self::NONE;
        }
        if probability >= 1.0 {
            return Self::ALL;
        }
        let exact = WHOLE - (probability * WHOLE as f64) as u64;
        // How many of the digits are f: they say how small the probability is, not how exact.
        let nines = ((WHOLE - 1 - exact.min(WHOLE - 1)) << 8).leading_zeros() / 4;
        let dropped = 4 * (DIGITS as u32).saturating_sub(nines + PRECISION);
        let half = (1_u64 << dropped) >> 1;
        let rounded = (exact + half) >> dropped << dropped;
        Self(if rounded >= WHOLE { exact } else { rounded }.min(WHOLE))
    }

    /// As other edges say it; none if it is too large.
    #[must_use]
    pub fn of_number(number: u64) -> Option<Self> {
        (number <= WHOLE).then_some(Self(number))
    }

    /// For other edges.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// The probability with which it keeps traces.
    #[must_use]
    pub fn probability(self) -> f64 {
        (WHOLE - self.0) as f64 / WHOLE as f64
    }

    /// How many requests a kept one stands for; none if nothing is kept.
    #[must_use]
    pub fn weight(self) -> Option<f64> {
        (self.0 < WHOLE).then(|| 1.0 / self.probability())
    }

    /// Whether it keeps a trace.
    #[must_use]
    pub fn keeps(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }

    /// As `th` says it.
    #[must_use]
    pub fn digits(self) -> String {
        if self.0 == 0 {
            return "0".into();
        }
        let all = format!("{:014x}", self.0.min(WHOLE - 1));
        all.trim_end_matches('0').into()
    }

    fn parse(digits: &[u8]) -> Option<Self> {
        if !(1..=DIGITS).contains(&digits.len()) {
            return None;
        }
        Some(Self(hexadecimal(digits)? << (4 * (DIGITS - digits.len()))))
    }
}

impl Randomness {
    /// That of a trace whose spans say nothing: the last 56 bits of its id.
    #[must_use]
    pub fn of_trace_id(id: u128) -> Self {
        Self(id as u64 & (WHOLE - 1))
    }

    /// As other edges say it; none if it is too large.
    #[must_use]
    pub fn of_number(number: u64) -> Option<Self> {
        (number < WHOLE).then_some(Self(number))
    }

    /// For other edges.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    fn parse(digits: &[u8]) -> Option<Self> {
        (digits.len() == DIGITS).then(|| hexadecimal(digits).map(Self))?
    }
}

/// Lower-case digits alone, as the specification asks for.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

/// What a trace state says about sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// `th`.
    pub threshold: Option<Threshold>,
    /// `rv`.
    pub randomness: Option<Randomness>,
}

impl Said {
    /// Reads a trace state. What is not valid counts as absent.
    #[must_use]
    pub fn read(trace_state: &[u8]) -> Self {
        let mut said = Self::default();
        if trace_state.is_empty() {
            return said;
        }
        let Some(ours) = members(trace_state).find_map(ours) else {
            return said;
        };
        for part in ours.split(|byte| *byte == b';') {
            if let Some(digits) = part.strip_prefix(b"th:") {
                said.threshold = said.threshold.or(Threshold::parse(digits));
            } else if let Some(digits) = part.strip_prefix(b"rv:") {
                said.randomness = said.randomness.or(Randomness::parse(digits));
            }
        }
        said
    }
}

fn members(trace_state: &[u8]) -> impl Iterator<Item = &[u8]> {
    trace_state
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

fn ours(member: &[u8]) -> Option<&[u8]> {
    member.strip_prefix(b"ot=")
}

/// The trace state with a threshold that is at least this one. It comes first, as what was changed last; the
/// other members stay as they are.
#[must_use]
pub fn at_least(trace_state: &[u8], threshold: Threshold) -> Vec<u8> {
    let said = Said::read(trace_state).threshold;
    let threshold = said.map_or(threshold, |said| said.max(threshold));
    let mut written = b"ot=th:".to_vec();
    written.extend_from_slice(threshold.digits().as_bytes());
    for part in members(trace_state)
        .find_map(ours)
        .into_iter()
        .flat_map(|ours| ours.split(|byte| *byte == b';'))
    {
        if !part.is_empty() && !part.starts_with(b"th:") {
            written.push(b';');
            written.extend_from_slice(part);
        }
    }
    for member in members(trace_state).filter(|member| ours(member).is_none()) {
        written.push(b',');
        written.extend_from_slice(member);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(trace_state: &str, threshold: Threshold) -> String {
        String::from_utf8(at_least(trace_state.as_bytes(), threshold)).unwrap()
    }

    #[test]
    fn a_threshold_is_written_as_short_as_it_is_exact() {
        for (probability, digits) in [
            (1.0, "0"),
            (0.5, "8"),
            (0.25, "c"),
            (0.1, "e6666"),
            (0.01, "fd70a4"),
            (1e-4, "fff9724"),
        ] {
            let threshold = Threshold::of_probability(probability);
            assert!(digits.len() <= 9, "{digits}");
            assert_eq!(
                &threshold.digits()[..digits.len() - 1],
                &digits[..digits.len() - 1]
            );
            let error = threshold.probability() / probability - 1.0;
            assert!(error.abs() < 2_f64.powi(-16), "{probability}: {error}");
            assert_eq!(
                Threshold::parse(threshold.digits().as_bytes()),
                Some(threshold)
            );
        }
        for nothing in [0.0, -1.0, f64::NAN] {
            assert_eq!(Threshold::of_probability(nothing), Threshold::NONE);
        }
        assert_eq!(Threshold::NONE.weight(), None);
        assert_eq!(
            Threshold::of_probability(1e-16).probability(),
            2_f64.powi(-56) * 7.0
        );
    }

    #[test]
    fn a_threshold_is_never_lowered_and_the_rest_stays() {
        let quarter = Threshold::of_probability(0.25);
        for (before, after) in [
            ("", "ot=th:c"),
            ("ot=th:8", "ot=th:c"),
            ("ot=th:e", "ot=th:e"),
            (
                "ot=rv:0123456789abcd;th:8;x:y",
                "ot=th:c;rv:0123456789abcd;x:y",
            ),
            ("a=1, ot=th:0 ,b=2", "ot=th:c,a=1,b=2"),
            ("ot=th:ZZ", "ot=th:c"),
            ("congo=t61rcWkgMzE", "ot=th:c,congo=t61rcWkgMzE"),
        ] {
            assert_eq!(text(before, quarter), after, "{before}");
        }
    }

    #[test]
    fn what_is_not_valid_counts_as_absent() {
        let nothing = Said::default();
        for trace_state in [
            "ot=",
            "ot=th:",
            "ot=th:C",
            "ot=rv:12",
            "xot=th:8",
            ",,",
            "ot=th:000000000000000",
        ] {
            assert_eq!(Said::read(trace_state.as_bytes()), nothing, "{trace_state}");
        }
        let said = Said::read(b"a=b,ot=rv:80000000000000;th:8");
        let (threshold, randomness) = (said.threshold.unwrap(), said.randomness.unwrap());
        assert!(threshold.keeps(randomness));
        assert!(!threshold.keeps(Randomness(randomness.0 - 1)));
        assert_eq!(threshold.weight(), Some(2.0));
    }
}
