//! Cuts: everything that is served, multiplied by a factor for some time. They come and go at once, beside plans.

use std::sync::Arc;

use crate::allocation::{Timestamp, Window};

/// How many cuts are remembered. SDKs hold what they were served for minutes, and operators cut seldom.
const REMEMBERED: usize = 16;

/// One cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// What everything is multiplied by, in [0, 1].
    pub factor: f64,
    /// From when on.
    pub since: Timestamp,
    /// Until when; none while it lasts.
    pub until: Option<Timestamp>,
}

/// The last cuts, oldest first. No two overlap.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cuts(Arc<[Cut]>);

impl Cuts {
    /// The cut that lasts.
    #[must_use]
    pub fn current(&self) -> Option<Cut> {
        self.0.last().copied().filter(|cut| cut.until.is_none())
    }

    /// What everything is multiplied by now.
    #[must_use]
    pub fn factor(&self) -> f64 {
        self.current().map_or(1.0, |cut| cut.factor)
    }

    /// What everything was multiplied by at a time.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> f64 {
        let lasted = |cut: &&Cut| cut.since <= at && cut.until.is_none_or(|until| at < until);
        self.0.iter().find(lasted).map_or(1.0, |cut| cut.factor)
    }

    /// What the probabilities that SDKs held in a window had been multiplied by, in the mean, if they poll once in
    /// `poll_milliseconds`, each at another time.
    #[must_use]
    pub fn held(&self, window: Window, poll_milliseconds: i64) -> f64 {
        let taken = self.0.iter().map(|cut| {
            let until = cut
                .until
                .map_or(0.0, |until| known(until, window, poll_milliseconds));
            (1.0 - cut.factor) * (known(cut.since, window, poll_milliseconds) - until)
        });
        (1.0 - taken.sum::<f64>()).clamp(0.0, 1.0)
    }

    /// The same when this cut lasts from now on, or none. One that goes on with the same factor began when it did.
    pub(super) fn followed_by(&self, next: Option<Cut>, now: Timestamp) -> Self {
        let mut cuts = self.0.to_vec();
        if let Some(lasting) = cuts.last_mut().filter(|cut| cut.until.is_none()) {
            if next.is_some_and(|next| next.factor == lasting.factor) {
                return self.clone();
            }
            let until = next.map_or(now, |next| next.since.min(now));
            lasting.until = Some(until.max(lasting.since));
        }
        if let Some(next) = next {
            let free = cuts.last().and_then(|cut| cut.until).unwrap_or(next.since);
            cuts.push(Cut {
                since: next.since.max(free),
                until: None,
                ..next
            });
        }
        let old = cuts.len().saturating_sub(REMEMBERED);
        Self(cuts.split_off(old).into())
    }
}

/// The part of a window's time, in the mean over SDKs, in which they knew of something that began at a time.
fn known(since: Timestamp, window: Window, poll_milliseconds: i64) -> f64 {
    let length = window.milliseconds() as f64;
    let poll = poll_milliseconds.max(1) as f64;
    // The integral over the time of the part of the SDKs that have polled since.
    let polled = |at: Timestamp| {
        let after = at.0.saturating_sub(since.0).max(0) as f64;
        match after < poll {
            true => after * after / (2.0 * poll),
            false => after - poll / 2.0,
        }
    };
    if length > 0.0 {
        ((polled(window.end) - polled(window.start)) / length).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(factor: f64, since: i64) -> Option<Cut> {
        Some(Cut {
            factor,
            since: Timestamp(since),
            until: None,
        })
    }

    #[test]
    fn a_cut_begins_lasts_and_ends() {
        let none = Cuts::default();
        assert_eq!((none.factor(), none.at(Timestamp(5))), (1.0, 1.0));
        let one = none.followed_by(cut(0.1, 1000), Timestamp(1400));
        assert_eq!(one.factor(), 0.1);
        assert_eq!(one.at(Timestamp(999)), 1.0);
        assert_eq!(one.at(Timestamp(1000)), 0.1);
        let extended = one.followed_by(cut(0.1, 3000), Timestamp(3100));
        assert_eq!(extended, one, "it is the same cut");
        let deeper = one.followed_by(cut(0.01, 3000), Timestamp(3100));
        assert_eq!(deeper.at(Timestamp(2999)), 0.1);
        assert_eq!(deeper.at(Timestamp(3000)), 0.01);
        let over = deeper.followed_by(None, Timestamp(4000));
        assert_eq!(over.factor(), 1.0);
        assert_eq!(over.at(Timestamp(3999)), 0.01);
        assert_eq!(over.at(Timestamp(4000)), 1.0);
        let many = (0..100).fold(over, |cuts, at| {
            let cuts = cuts.followed_by(cut(0.5, 5000 + 10 * at), Timestamp(5000 + 10 * at));
            cuts.followed_by(None, Timestamp(5005 + 10 * at))
        });
        assert_eq!(many.0.len(), REMEMBERED);
        assert_eq!(many.at(Timestamp(5991)), 0.5);
    }

    #[test]
    fn sdks_learn_of_a_cut_when_they_poll() {
        let window = |start| Window {
            start: Timestamp(start),
            end: Timestamp(start + 60_000),
        };
        let held = |cuts: &Cuts, start| cuts.held(window(start), 60_000);
        let begun = Cuts::default().followed_by(cut(0.0, 60_000), Timestamp(60_000));
        assert_eq!(held(&begun, 0), 1.0);
        assert_eq!(held(&begun, 60_000), 0.5);
        assert_eq!(held(&begun, 120_000), 0.0);
        let over = begun.followed_by(None, Timestamp(120_000));
        assert_eq!(held(&over, 60_000), 0.5);
        assert_eq!(held(&over, 120_000), 0.5);
        assert_eq!(held(&over, 180_000), 1.0);
        let short = Cuts::default().followed_by(cut(0.2, 60_000), Timestamp(60_000));
        let short = short.followed_by(None, Timestamp(60_000));
        assert_eq!(held(&short, 60_000), 1.0, "it lasted no time");
    }
}
