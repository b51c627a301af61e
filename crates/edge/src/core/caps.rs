//! Caps between two plans: what each rule for tagged requests, and each class, has had of each service lately.

use hashbrown::HashMap;

use super::names::ServiceId;
use crate::plan::Class;

/// In the longest time over which a rare class is counted.
const LONGEST_MS: f64 = 60_000.0;

/// A class is counted over a time in which its cap keeps this many traces, and over a second at least. Of fewer, chance
/// alone would exceed the cap.
const KEPT: f64 = 10.0;

/// The most rules and services that are followed; beyond, those that were not seen lately give way.
const FOLLOWED_MAX: usize = 4096;

/// What is capped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Capped {
    /// A rule for tagged requests, by its place in the plan.
    Rule(u16),
    /// A class.
    Class(Class),
}

#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    window: u64,
    window_ms: u64,
    seen_ms: u64,
    current: f64,
    previous: f64,
}

/// How many traces there were.
#[derive(Debug, Default)]
pub(super) struct Caps(HashMap<(Capped, ServiceId), Rate>);

impl Caps {
    /// Adds a tagged trace, and says with which factor of its probability it is kept.
    pub fn factor_of_rule(&mut self, rule: u16, service: ServiceId, cap: f64, now_ms: u64) -> f64 {
        self.factor((Capped::Rule(rule), service), (cap, 1.0), 1000, now_ms)
    }

    /// Adds a trace of a class that is kept with a probability, and says with which factor of it.
    pub fn factor_of_class(
        &mut self,
        class: Class,
        service: ServiceId,
        (cap, probability): (f64, f64),
        now_ms: u64,
    ) -> f64 {
        if cap.is_infinite() {
            return 1.0;
        }
        let window_ms = (1000.0 * KEPT / cap).clamp(1000.0, LONGEST_MS) as u64;
        let key = (Capped::Class(class), service);
        self.factor(key, (cap, probability), window_ms, now_ms)
    }

    fn factor(
        &mut self,
        key: (Capped, ServiceId),
        (cap, kept): (f64, f64),
        window_ms: u64,
        now_ms: u64,
    ) -> f64 {
        let window = now_ms / window_ms;
        if self.0.len() >= FOLLOWED_MAX && !self.0.contains_key(&key) {
            let oldest_ms = now_ms.saturating_sub(2 * window_ms);
            self.0.retain(|_, rate| rate.seen_ms >= oldest_ms);
            if self.0.len() >= FOLLOWED_MAX {
                return 0.0;
            }
        }
        let rate = self.0.entry(key).or_default();
        if rate.window != window || rate.window_ms != window_ms {
            let is_next = rate.window + 1 == window && rate.window_ms == window_ms;
            rate.previous = if is_next { rate.current } else { 0.0 };
            (rate.window, rate.current) = (window, 0.0);
        }
        (rate.window_ms, rate.seen_ms) = (window_ms, now_ms);
        rate.current += kept;
        let allowed = cap * window_ms as f64 / 1000.0;
        (allowed / rate.current.max(rate.previous)).min(1.0)
    }

    /// Forgets the rules: another plan has others. Classes stay the same.
    pub fn forget_rules(&mut self) {
        self.0
            .retain(|(capped, _), _| matches!(capped, Capped::Class(_)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_keeps_its_cap_and_what_is_under_it_stays_whole() {
        let mut caps = Caps::default();
        let mut kept = |per_second: u64, from: u64| {
            let mut kept = 0.0;
            for second in from..from + 60 {
                for trace in 0..per_second {
                    let now_ms = second * 1000 + trace * 1000 / per_second;
                    kept += caps.factor_of_class(Class::Error, ServiceId(1), (5.0, 1.0), now_ms);
                }
            }
            kept / 60.0
        };
        assert_eq!(kept(4, 0), 4.0);
        let storm = kept(400, 60);
        // In the first two seconds more, by the logarithm of the excess.
        assert!((5.0..6.0).contains(&storm), "{storm}");
        assert!((4.9..=5.1).contains(&kept(400, 120)));
        assert_eq!(
            caps.factor_of_class(Class::Slow, ServiceId(1), (f64::INFINITY, 1.0), 0),
            1.0
        );
    }

    #[test]
    fn another_plan_forgets_rules_and_keeps_classes() {
        let mut caps = Caps::default();
        for _ in 0..100 {
            caps.factor_of_rule(3, ServiceId(1), 1.0, 5);
            caps.factor_of_class(Class::Error, ServiceId(1), (1.0, 1.0), 5);
        }
        caps.forget_rules();
        assert_eq!(caps.factor_of_rule(3, ServiceId(1), 1.0, 5), 1.0);
        assert!(caps.factor_of_class(Class::Error, ServiceId(1), (1.0, 1.0), 5) < 0.1);
    }
}
