//! Whether the fleet is on budget, in a word and a sentence.

use maud::{Markup, html};

use super::Plan;
use crate::console::history::Kept;
use crate::console::page::format::{length, number};

/// What is within this part of the budget is on budget, whatever chance explains.
const NEAR: f64 = 0.05;

/// A budget that moved by more than this part of itself is said.
const MOVED: f64 = 0.01;

/// Whether the fleet is on budget.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    class: &'static str,
    sign: &'static str,
    word: String,
    sentence: String,
}

impl Verdict {
    /// The verdict on what was kept lately.
    pub fn of(plan: &Plan, kept: Kept) -> Self {
        if plan.offered_per_second <= 0.0 {
            let why = "no agent has reported a request lately";
            return Self::new("quiet", "○", "Nothing is counted", why);
        }
        let lately = length(kept.seconds);
        let budget = kept.budget.unwrap_or(plan.budget_traces_per_second);
        let mut chance = format!("last {lately}; ±{} is chance", number(kept.chance));
        if (budget - plan.budget_traces_per_second).abs() > MOVED * budget {
            chance += &format!("; the budget was {} in the mean", number(budget));
        }
        match plan.serving.as_str() {
            "observe" => {
                return Self::new(
                    "note",
                    "◌",
                    "Weir only observes",
                    "SDKs are not steered until the mode is enforce",
                );
            }
            "freeze" => {
                return Self::new(
                    "note",
                    "❄",
                    "Frozen",
                    "SDKs are served what they were before the freeze",
                );
            }
            _ => {}
        }
        let over = kept.kept - budget;
        let part = |of: f64| format!("{} %", number(100.0 * (of / budget).abs()));
        match () {
            () if over.abs() <= kept.chance.max(NEAR * budget) => {
                Self::new("good", "●", "On budget", &chance)
            }
            () if budget <= 0.0 => Self::new("note", "●", "The budget is 0", &chance),
            () if over > 0.0 => {
                Self::new("bad", "▲", &format!("{} over budget", part(over)), &chance)
            }
            () if plan.level_traces_per_second.is_none() => Self::new(
                "good",
                "●",
                "Everything is kept",
                "the fleet offers less than the budget",
            ),
            () => Self::new(
                "warn",
                "▼",
                &format!("{} under budget", part(over)),
                &chance,
            ),
        }
    }

    fn new(class: &'static str, sign: &'static str, word: &str, sentence: &str) -> Self {
        Self {
            class,
            sign,
            word: word.into(),
            sentence: sentence.into(),
        }
    }

    /// As one of the figures.
    pub fn shown(&self) -> Markup {
        html! {
            div {
                dt.unseen { "Verdict" }
                dd {
                    strong id="verdict" class=(self.class) { span aria-hidden="true" { (self.sign) " " } (self.word) }
                    span.quiet { (self.sentence) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(level: Option<f64>, serving: &str) -> Plan {
        let plan = json!({
            "window": {"start": "2026-11-20T09:59:00Z", "end": "2026-11-20T10:00:00Z"}, "serving": serving, "stale": false, "age_seconds": 3.0,
            "budget_traces_per_second": 100.0, "offered_per_second": 1000.0,
            "observed_sampled_traces_per_second": 99.0, "due_sampled_traces_per_second": 100.0,
            "level_traces_per_second": level, "missing_traces_per_second": 0.0, "completeness": 1.0,
            "agents_missing": 0, "services_unheard": 0, "coverage": 1.0, "services": 2, "operations": 3,
        });
        serde_json::from_value(plan).unwrap()
    }

    #[test]
    fn it_says_what_is_chance_and_what_is_not() {
        let word = |kept: f64, level, serving| {
            let kept = Kept {
                kept,
                chance: 9.0,
                budget: Some(100.0),
                seconds: 60.0,
            };
            Verdict::of(&plan(level, serving), kept).word
        };
        let level = Some(4.0);
        assert_eq!(word(96.0, level, "plan"), "On budget");
        assert_eq!(word(108.9, level, "plan"), "On budget");
        assert_eq!(word(150.0, level, "plan"), "50 % over budget");
        assert_eq!(word(60.0, level, "plan"), "40 % under budget");
        assert_eq!(word(60.0, None, "plan"), "Everything is kept");
        assert_eq!(word(150.0, level, "observe"), "Weir only observes");
        let mut silent = plan(level, "plan");
        silent.offered_per_second = 0.0;
        assert_eq!(
            Verdict::of(&silent, silent.kept()).word,
            "Nothing is counted"
        );
    }
}
