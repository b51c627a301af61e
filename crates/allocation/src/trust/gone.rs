//! Finds where the traffic of missing agents went: to agents that replace them, or to the rest of the service.

use super::super::Window;
use super::mass::Pair;
use super::service::Context;
use super::windows_between;

impl Context<'_> {
    /// Lets agents that began when others fell silent take their place.
    pub(super) fn replace(&self, pairs: &mut [Pair], agents_return: f64) {
        let tuning = &self.tuning.service;
        let window = self.windows[self.windows.len() - 1].window;
        let mut gone: Vec<usize> = Vec::new();
        for (at, pair) in pairs.iter().enumerate() {
            if self.timeline(pair).is_missing() && pair.mass > 0.0 {
                gone.push(at);
            }
        }
        if gone.is_empty() {
            return;
        }
        let mut begun: Vec<usize> = (0..pairs.len())
            .filter(|at| pairs[*at].replaces < 1.0 && pairs[*at].mass > 0.0)
            .collect();
        begun.sort_by_key(|at| self.timeline(&pairs[*at]).state.since);
        gone.sort_by_key(|at| self.timeline(&pairs[*at]).state.heard_until);
        let level = self.fallen(pairs, agents_return);
        let mut first = 0;
        for lost in gone {
            let onset = self.timeline(&pairs[lost]).state.heard_until;
            let whole = level * pairs[lost].mass * self.expected(&pairs[lost], agents_return);
            let mut left = whole;
            for &new in &begun[first..] {
                let after = windows_between(onset, self.timeline(&pairs[new]).state.since, window);
                // What is left of one that is replaced is scatter: its successor's rate, not another agent.
                let replaced = left <= (1.0 - tuning.replaced) * whole;
                if after > tuning.replaced_after + self.unread(window) || replaced {
                    break;
                }
                let free = pairs[new].mass * (1.0 - pairs[new].replaces);
                let since = |at: usize| self.timeline(&pairs[at]).state.since;
                let younger = since(new) > since(lost);
                if after < -tuning.replaced_before || !younger || free <= 0.0 {
                    // Later ones fell silent later still, and what has replaced another stays so.
                    let done = after < -tuning.replaced_before || free <= 0.0;
                    first += usize::from(done && begun[first] == new);
                    continue;
                }
                let taken = free.min(left);
                pairs[new].replaces = (pairs[new].replaces + taken / pairs[new].mass).min(1.0);
                left -= taken;
            }
            let part = if whole > 0.0 && left <= (1.0 - tuning.replaced) * whole {
                0.0
            } else if whole > 0.0 {
                left / whole
            } else {
                1.0
            };
            pairs[lost].mass *= part;
            pairs[lost].rate *= part;
        }
    }

    /// To which part of what they usually count the agents that are heard have fallen: those that are missing
    /// count as much less, wherever they are.
    fn fallen(&self, pairs: &[Pair], agents_return: f64) -> f64 {
        let heard = || {
            let known = pairs.iter().filter(|pair| pair.settled);
            known.filter(|pair| !self.timeline(pair).is_missing())
        };
        let newest = (0..self.windows.len()).rev().find_map(|window| {
            let (covered, expected) = self.sum(heard(), window, agents_return);
            let seconds = self.windows[window].window.seconds();
            let usual = covered * seconds;
            let offered: f64 = heard().map(|pair| pair.offered(window)).sum();
            (covered >= self.tuning.service.some * expected && usual > 0.0).then(|| offered / usual)
        });
        newest.unwrap_or(1.0).clamp(0.0, 1.0)
    }

    /// The windows without a plan before this one: nobody could report, and agents may have been replaced.
    fn unread(&self, window: Window) -> f64 {
        if self.previous.number == 0 {
            return 0.0;
        }
        (windows_between(self.previous.window.end, window.end, window) - 1.0).max(0.0)
    }

    /// Whether the rest of the service has risen by what is missing since a short while.
    pub(super) fn have_moved(&self, pairs: &[Pair], agents_return: f64) -> bool {
        let (mass, missing) = self.missing(pairs, agents_return);
        let (mass, missing) = (self.behind * mass, self.behind * missing);
        let gone = |pair: &&Pair| self.timeline(pair).is_missing() && pair.mass > 0.0;
        let recent = pairs.iter().filter(gone).filter(|pair| {
            self.timeline(pair).state.missing_windows <= self.tuning.service.moved_windows
        });
        let onset = recent
            .map(|pair| self.timeline(pair).state.heard_until)
            .max();
        let Some(onset) = onset.filter(|_| missing > 0.0 && missing < mass) else {
            return false;
        };
        let heard = || {
            pairs
                .iter()
                .filter(|pair| !self.timeline(pair).is_missing())
        };
        let tuning = &self.tuning.service;
        let part = missing / mass;
        let rose = |window: usize| {
            let span = self.windows[window].window;
            let seconds = span.seconds();
            let (covered, expected) = self.sum(heard(), window, agents_return);
            // Since then, and reported almost whole.
            if covered < tuning.whole * expected || span.start < onset || seconds <= 0.0 {
                return None;
            }
            let offered: f64 = heard().map(|pair| pair.offered(window)).sum();
            let seen = offered / seconds * expected / covered;
            let own = mass / seconds + (tuning.noise * mass).powi(2);
            let deviation = (own + self.scatter(heard(), window)).sqrt();
            let far = seen - (mass - missing) > tuning.moved_deviations * deviation;
            Some(far && seen >= (1.0 - part / 2.0) * mass)
        };
        let rose: Vec<bool> = (0..self.windows.len()).filter_map(rose).collect();
        rose.len() >= tuning.moved_least && rose.iter().all(|rose| *rose)
    }

    /// The variance of what some agents count together in a window, in root requests per second, squared. It is
    /// estimated from how differently these agents have risen or fallen.
    fn scatter<'p>(&self, pairs: impl Iterator<Item = &'p Pair> + Clone, window: usize) -> f64 {
        let seconds = self.windows[window].window.seconds();
        let seen = |pair: &Pair| pair.offered(window) / seconds;
        let sum = |of: &dyn Fn(&Pair) -> f64| pairs.clone().map(of).sum::<f64>();
        let risen = sum(&seen) / sum(&|pair| pair.mass);
        let squares = sum(&|pair| (seen(pair) - risen * pair.mass).powi(2));
        let count = pairs.clone().count() as f64;
        if count > 1.0 && squares.is_finite() {
            squares * count / (count - 1.0)
        } else {
            0.0
        }
    }

    pub(super) fn release(&self, pairs: &mut [Pair]) {
        for pair in pairs {
            if self.timeline(pair).is_missing() {
                (pair.mass, pair.rate) = (0.0, 0.0);
            }
        }
    }
}
