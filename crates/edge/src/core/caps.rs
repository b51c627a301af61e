//! Caps of tagged requests between two plans: what each rule and service has had this second and the one before.

use hashbrown::HashMap;

use super::names::ServiceId;

/// The most rules and services that are followed; beyond, those that were not seen lately give way.
const FOLLOWED_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    second: u64,
    current: f64,
    previous: f64,
}

/// How many tagged traces there were.
#[derive(Debug, Default)]
pub(super) struct Caps(HashMap<(u16, ServiceId), Rate>);

impl Caps {
    /// Adds a tagged trace, and says with which factor of its probability it is kept.
    pub fn factor(&mut self, rule: u16, service: ServiceId, cap: f64, now_ms: u64) -> f64 {
        let second = now_ms / 1000;
        if self.0.len() >= FOLLOWED_MAX && !self.0.contains_key(&(rule, service)) {
            self.0.retain(|_, rate| rate.second + 1 >= second);
            if self.0.len() >= FOLLOWED_MAX {
                return 0.0;
            }
        }
        let rate = self.0.entry((rule, service)).or_default();
        if rate.second != second {
            let is_next = rate.second + 1 == second;
            rate.previous = if is_next { rate.current } else { 0.0 };
            (rate.second, rate.current) = (second, 0.0);
        }
        rate.current += 1.0;
        (cap / rate.current.max(rate.previous)).min(1.0)
    }

    /// Forgets everything: another plan has other rules.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
