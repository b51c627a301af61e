//! The judgement over a run: a sentence, and on request the figures and the criterion behind it.

use weir_terminal::{BAD, GOOD, Table};

use crate::summary::RunSummary;
use crate::verdict::{Check, DEVIATIONS, ONE_MISS_IN, REFERENCE_FACTOR, SLACK, Verdict};

/// The sentence, in colour where it is good or bad.
#[must_use]
pub fn sentence(summary: &RunSummary) -> String {
    let said = &summary.sentence;
    let style = match summary.passes {
        None => return said.clone(),
        Some(true) => GOOD,
        Some(false) => BAD,
    };
    let (first, rest) = said.split_once(". ").unwrap_or((said, ""));
    format!("{style}{first}.{style:#} {rest}")
}

/// The figures, and the criterion that they were judged by: paragraphs.
#[must_use]
pub fn explanation(verdict: &Verdict) -> Vec<String> {
    let mut said = vec![figures(verdict).to_string()];
    let within = verdict.judged as f64 - verdict.misses.measured;
    said.push(format!(
        "{within} of {} intervals were within their allowance ({:.1} %).",
        verdict.judged,
        100.0 * within / verdict.judged as f64
    ));
    said.extend(criterion(verdict));
    let (style, word) = match verdict.passes() {
        true => (GOOD, "PASS"),
        false => (BAD, "FAIL"),
    };
    said.push(format!(
        "{style}{word}{style:#}: judged on {} intervals after a warm-up of {}.",
        verdict.judged, verdict.warm_up
    ));
    said
}

fn figures(verdict: &Verdict) -> Table {
    let (served, reference) = (&verdict.served, &verdict.reference);
    let mut shown = Table::new(&["of the budget", ">Weir", ">reference"]);
    for (what, ours, theirs) in [
        ("mean |error|", served.absolute, reference.absolute),
        (
            "mean |error| without sampling noise",
            served.systematic,
            reference.systematic,
        ),
    ] {
        let percent = |part: f64| format!("{:.2} %", 100.0 * part);
        shown.row([what.into(), percent(ours), percent(theirs)]);
    }
    let signed = |part: f64| format!("{:+.2} %", 100.0 * part);
    shown.row(["bias".into(), signed(served.bias), signed(reference.bias)]);
    shown
}

/// What was asked for, what was measured, and whether it holds.
fn criterion(verdict: &Verdict) -> Vec<String> {
    let slack = 100.0 * SLACK;
    let share = |check: Check| {
        format!(
            "{:.2} % ≤ {:.2} %",
            100.0 * check.measured,
            100.0 * check.allowed
        )
    };
    let lines = [
        (
            verdict.tracking.holds(),
            "tracking",
            share(verdict.tracking),
            format!(
                "mean |error| without sampling noise ≤ {REFERENCE_FACTOR} × reference + {slack} %"
            ),
        ),
        (
            verdict.bias.holds(),
            "bias",
            share(verdict.bias),
            format!(
                "|bias| ≤ |reference's| + {slack} % + {DEVIATIONS} standard errors of sampling noise"
            ),
        ),
        (
            verdict.misses.holds(),
            "intervals",
            format!(
                "{} missed ≤ {}",
                verdict.misses.measured, verdict.misses.allowed
            ),
            format!(
                "|error| ≤ reference's (this interval or the last) + {slack} % + {DEVIATIONS} σ, but for one in {ONE_MISS_IN}"
            ),
        ),
        (
            verdict.protocol,
            "protocol",
            if verdict.protocol { "met" } else { "broken" }.to_owned(),
            "every strategy usable by every client, every request reported exactly once".to_owned(),
        ),
    ];
    let line = |(holds, name, figures, rule): (bool, &str, String, String)| {
        let (style, mark) = if holds { (GOOD, "ok") } else { (BAD, "FAIL") };
        format!("{style}{mark}{style:#} {name}: {figures}, where {rule}.")
    };
    lines.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Sampled, Tally};
    use crate::verdict::Interval;
    use crate::wire::WireTally;

    #[test]
    fn the_explanation_states_the_criterion() {
        let sampled = Sampled {
            count: 104,
            expected: 102.0,
            variance: 100.0,
        };
        let interval = Interval {
            label: String::new(),
            seconds: 2.0,
            budget_factor: 1.0,
            tally: Tally {
                offered: 6000,
                served: sampled,
                reference: sampled,
            },
        };
        let judged = Verdict::of(&vec![interval; 30], &WireTally::default(), 50.0, 2).unwrap();
        let text = explanation(&judged).join("\n");
        let text = weir_terminal::plain(&text);
        assert!(text.contains("PASS: judged on 28 intervals"), "{text}");
        assert!(text.contains("1.25 × reference + 2 %"), "{text}");
        assert!(text.contains("ok tracking: 2.00 % ≤ 4.50 %"), "{text}");
    }
}
