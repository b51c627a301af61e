//! What came of a run: the figures, the judgement, and the sentence that says it.

use serde::Serialize;
use weir_terminal::{number, signed_percent};

use super::lines::{IntervalLine, Run};
use super::verdict::{Check, Errors, Interval, Verdict};

/// From this part of the budget on, what was offered was enough to fill it.
const FILLED: f64 = 0.999;

/// A run in figures, for people and programs.
///
/// # Units
/// Rates are means over the judged intervals, per second; over all of them if none is judged. Errors
/// are parts of the budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// What came of it, in a sentence.
    pub sentence: String,
    /// Whether the budget was kept as well as the traffic allows; none without a verdict.
    pub passes: Option<bool>,
    /// The mean budget in force.
    pub budget_traces_per_second: f64,
    /// The mean target: the budget, or what was offered where that was less.
    pub target_traces_per_second: f64,
    /// What was sampled.
    pub sampled_traces_per_second: f64,
    /// What a controller would have sampled that knew the last interval exactly.
    pub reference_traces_per_second: f64,
    /// Root requests.
    pub offered_per_second: f64,
    /// How it was judged; none if the run was too short.
    pub judgement: Option<Judgement>,
    /// Every interval, those before the judged ones too.
    pub intervals: Vec<IntervalLine>,
}

/// The figures of a verdict and their limits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// Intervals judged.
    pub intervals: usize,
    /// Intervals before them, which are not.
    pub warm_up: usize,
    /// The errors of what was served.
    pub served: Errors,
    /// The reference controller's.
    pub reference: Errors,
    /// Mean error without sampling noise.
    pub tracking: Judged,
    /// Mean error with its sign.
    pub bias: Judged,
    /// Intervals outside their allowance.
    pub misses: Judged,
    /// Whether all requests and answers were correct.
    pub protocol: bool,
}

/// A measured value, its limit, and whether it is within.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Judged {
    measured: f64,
    allowed: f64,
    holds: bool,
}

impl From<Check> for Judged {
    fn from(check: Check) -> Self {
        Self {
            measured: check.measured,
            allowed: check.allowed,
            holds: check.holds(),
        }
    }
}

impl From<&Verdict> for Judgement {
    fn from(verdict: &Verdict) -> Self {
        Self {
            intervals: verdict.judged,
            warm_up: verdict.warm_up,
            served: verdict.served,
            reference: verdict.reference,
            tracking: verdict.tracking.into(),
            bias: verdict.bias.into(),
            misses: verdict.misses.into(),
            protocol: verdict.protocol,
        }
    }
}

impl RunSummary {
    /// Sums a run up. The first `warm_up` intervals are not judged.
    #[must_use]
    pub fn of(run: &Run<'_>, warm_up: usize) -> Self {
        let all = run.intervals;
        let judged = all.get(warm_up..).filter(|judged| !judged.is_empty());
        let judged = judged.unwrap_or(all);
        let seconds: f64 = judged.iter().map(|interval| interval.seconds).sum();
        let mean = |of: &dyn Fn(&Interval) -> f64| {
            let sum: f64 = judged.iter().map(|it| of(it) * it.seconds).sum();
            sum / seconds.max(f64::MIN_POSITIVE)
        };
        let mut summary = Self {
            sentence: String::new(),
            passes: run.verdict.map(Verdict::passes),
            budget_traces_per_second: mean(&|it| it.budget(run.budget)),
            target_traces_per_second: mean(&|it| it.budget(run.budget).min(it.offered())),
            sampled_traces_per_second: mean(&Interval::sampled),
            reference_traces_per_second: mean(&Interval::reference),
            offered_per_second: mean(&Interval::offered),
            judgement: run.verdict.map(Into::into),
            intervals: run.lines().collect(),
        };
        let length = all.first().map_or(0.0, |interval| interval.seconds);
        summary.sentence = summary.say(length, run.verdict);
        summary
    }

    fn say(&self, interval_seconds: f64, verdict: Option<&Verdict>) -> String {
        if self.intervals.is_empty() {
            return "Nothing was played: no interval came to its end.".into();
        }
        let (budget, target) = (self.budget_traces_per_second, self.target_traces_per_second);
        let sampled = number(self.sampled_traces_per_second);
        let off = signed_percent((self.sampled_traces_per_second - target) / budget);
        let kept = if target >= FILLED * budget {
            format!("Kept {sampled} of {} traces/s ({off})", number(budget))
        } else {
            format!(
                "Kept {sampled} traces/s of a budget of {}, where {} were there to keep ({off})",
                number(budget),
                number(target)
            )
        };
        let how = match verdict {
            None => format!(
                " in {} intervals: too few for a verdict",
                self.intervals.len()
            ),
            Some(verdict) if verdict.passes() => ", as well as the traffic allows".into(),
            Some(verdict) => format!(
                ", not as well as the traffic allows: {}",
                failed(verdict).join(", ")
            ),
        };
        format!(
            "{kept}{how}. A controller that knew the last {} exactly would have kept {}.",
            span(interval_seconds),
            number(self.reference_traces_per_second)
        )
    }
}

/// What a run did not do well enough, in words.
fn failed(verdict: &Verdict) -> Vec<&'static str> {
    let checks = [
        (verdict.tracking.holds(), "it was too far off in the mean"),
        (verdict.bias.holds(), "it was off to one side"),
        (verdict.misses.holds(), "too many intervals were far off"),
        (verdict.protocol, "requests or answers were wrong"),
    ];
    let failed = checks.into_iter().filter(|(holds, _)| !holds);
    failed.map(|(_, what)| what).collect()
}

/// A length of time as people say it.
fn span(seconds: f64) -> String {
    if seconds == 60.0 {
        return "minute".into();
    }
    format!("{} s", number(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Sampled, Tally};
    use crate::wire::WireTally;

    fn intervals(count: usize, offered: u64, sampled: u64) -> Vec<Interval> {
        let of = |count: u64| Sampled {
            count,
            expected: count as f64,
            variance: count as f64,
        };
        let interval = Interval {
            label: String::new(),
            seconds: 60.0,
            budget_factor: 1.0,
            tally: Tally {
                offered,
                served: of(sampled),
                reference: of(2940.min(offered)),
            },
        };
        vec![interval; count]
    }

    fn said(intervals: &[Interval], budget: f64) -> String {
        let verdict = Verdict::of(intervals, &WireTally::default(), budget, 2);
        let run = Run {
            intervals,
            budget,
            verdict: verdict.as_ref(),
        };
        RunSummary::of(&run, 2).sentence
    }

    #[test]
    fn a_sentence_says_how_well_the_budget_was_kept() {
        assert_eq!(
            said(&intervals(20, 60_000, 3030), 50.0),
            "Kept 50.5 of 50 traces/s (+1 %), as well as the traffic allows. A controller that knew \
             the last minute exactly would have kept 49."
        );
        let wrong = said(&intervals(20, 60_000, 3900), 50.0);
        assert!(
            wrong.contains("(+30 %), not as well as the traffic allows: it was too far off"),
            "{wrong}"
        );
        let short = said(&intervals(4, 60_000, 3000), 50.0);
        assert!(short.contains("in 4 intervals: too few"), "{short}");
        assert!(said(&[], 50.0).starts_with("Nothing was played"));
    }

    #[test]
    fn what_was_not_offered_is_not_missed() {
        let quiet = said(&intervals(20, 600, 600), 50.0);
        assert!(
            quiet.starts_with(
                "Kept 10 traces/s of a budget of 50, where 10 were there to keep (±0 %)"
            ),
            "{quiet}"
        );
    }
}
