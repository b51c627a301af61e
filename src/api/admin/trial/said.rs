//! What a trial leaves out, in words: the answer and the console's page say it alike.

use weir_words::{length, percent};

use super::{Came, Played};
use crate::allocation::Timestamp;

impl Came {
    /// Where what was played differs from what would have been.
    pub(super) fn approximations(&self, asked: Timestamp) -> Vec<String> {
        let mut said = Vec::new();
        match self.played {
            Played::Windows(warm_up) => said.push(format!(
                "Traffic is as it was counted, without chance. The first {warm_up} windows are played and do not count."
            )),
            Played::Steps(milliseconds) => {
                let step = length(milliseconds as f64 / 1000.0);
                said.push(format!(
                    "Traffic is even within each step of {step}: leaps within a step, and how fast plans follow \
                     them, are not in these figures."
                ));
                said.push(
                    "History of services is played, not of operations: each service's requests are divided among its \
                     operations as in the current plan."
                        .into(),
                );
            }
        }
        if self.together > 0 {
            said.push(format!(
                "{} small operations, with {} of the requests, are played in groups of about the same size, so that \
                 there is time for all.",
                self.together,
                percent(self.together_ratio)
            ));
        }
        if self.other_ratio > 0.0 {
            said.push(format!(
                "{} of the requests are of services that are no longer known by name: they count as one operation.",
                percent(self.other_ratio)
            ));
        }
        if !self.in_time {
            said.push("Time was over before all was played: start and end say what was.".into());
        } else if self.is_later(asked) {
            said.push(self.why_later().into());
        }
        said
    }

    /// Whether what counts begins later than was asked for.
    fn is_later(&self, asked: Timestamp) -> bool {
        let late = match self.played {
            // Windows that are played before any count.
            Played::Windows(warm_up) => {
                let windows = i64::try_from(warm_up).unwrap_or(i64::MAX).saturating_add(2);
                windows.saturating_mul(self.step_milliseconds())
            }
            Played::Steps(length) => length,
        };
        let begins = self.first.map(|first| first.0.saturating_sub(late));
        begins.is_some_and(|begins| begins > asked.0)
    }

    fn step_milliseconds(&self) -> i64 {
        let tried = self.budgets.first().map(|(_, tried)| *tried);
        let tried = tried.filter(|tried| tried.windows > 0);
        tried.map_or(0, |tried| {
            (tried.seconds * 1000.0 / tried.windows as f64) as i64
        })
    }

    fn why_later(&self) -> &'static str {
        match self.played {
            Played::Windows(_) => {
                "The newest windows are played: what is before them is not stored, or there is no time for more."
            }
            Played::Steps(_) => "Nothing is stored of the time before.",
        }
    }
}
