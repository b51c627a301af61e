//! Caps between two plans: what each rule for tagged requests, each class of a service, and each operation has had lately.
//!
//! What is followed is kept with the name that it is of, so it has the bound of names and goes with them.

use crate::plan::{Class, ClassCaps};

/// The longest time over which something rare is counted.
const LONGEST_MS: f64 = 60_000.0;

/// Something is counted over a time in which its cap keeps this many traces, and over a second at least. Of fewer,
/// chance alone would exceed the cap.
const KEPT: f64 = 10.0;

/// How many traces were about to be kept, by windows of one length.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    window: u64,
    window_ms: u64,
    current: f64,
    previous: f64,
}

impl Rate {
    /// Moves on to the window of this time. Says how many there are in a window: as many as in the last one, or more.
    fn in_window(&mut self, window_ms: u64, now_ms: u64) -> f64 {
        let window = now_ms / window_ms;
        if self.window != window || self.window_ms != window_ms {
            let is_next = self.window + 1 == window && self.window_ms == window_ms;
            *self = Self {
                window,
                window_ms,
                current: 0.0,
                previous: if is_next { self.current } else { 0.0 },
            };
        }
        self.current.max(self.previous)
    }

    /// Adds what is about to be kept, and says with which factor of it this many in a window are kept.
    fn factor(&mut self, allowed: f64, kept: f64, window_ms: u64, now_ms: u64) -> f64 {
        self.in_window(window_ms, now_ms);
        self.current += kept;
        // Nothing is kept of nothing, whatever is allowed.
        let all = self.current.max(self.previous);
        if all > allowed { allowed / all } else { 1.0 }
    }
}

/// How long the windows of a cap are, and what it allows in one.
fn window(cap: f64) -> (u64, f64) {
    let window_ms = (1000.0 * KEPT / cap).clamp(1000.0, LONGEST_MS) as u64;
    (window_ms, cap * window_ms as f64 / 1000.0)
}

/// The caps of the classes of a service.
#[derive(Debug, Default)]
pub(super) struct HeldClasses {
    caps: ClassCaps,
    rates: [Rate; Class::ALL.len()],
}

impl HeldClasses {
    /// Follows the caps of another plan; what was kept stays known.
    pub fn follow(&mut self, caps: ClassCaps) {
        self.caps = caps;
    }

    /// Adds a trace of a class that is kept with a probability, and says with which factor of it.
    pub fn factor(&mut self, class: Class, probability: f64, now_ms: u64) -> f64 {
        let cap = self.caps.of(class);
        if cap.is_infinite() {
            return 1.0;
        }
        let (window_ms, allowed) = window(cap);
        self.rates[class as usize].factor(allowed, probability, window_ms, now_ms)
    }
}

/// The cap of an operation, which all of its classes have together.
#[derive(Debug, Default)]
pub(super) struct HeldOperation {
    cap: f64,
    /// Errors and tagged requests.
    first: Rate,
    others: Rate,
}

impl HeldOperation {
    /// What another plan says, if it is a cap; what was kept stays known.
    pub fn follow(held: Option<Box<Self>>, cap: f64) -> Option<Box<Self>> {
        if cap.is_infinite() {
            return None;
        }
        let mut held = held.unwrap_or_default();
        held.cap = cap;
        Some(held)
    }

    /// Adds a trace of a class that is kept with a probability, and says with which factor of it. Errors and tagged
    /// requests come first, as in the plan, and the others have what they leave.
    pub fn factor(&mut self, class: Class, probability: f64, now_ms: u64) -> f64 {
        let (window_ms, allowed) = window(self.cap);
        match class {
            Class::Error | Class::Tagged => {
                self.first.factor(allowed, probability, window_ms, now_ms)
            }
            Class::Slow | Class::Rest => {
                let first = self.first.in_window(window_ms, now_ms);
                let left = (allowed - first).max(0.0);
                self.others.factor(left, probability, window_ms, now_ms)
            }
        }
    }
}

/// What rules for tagged requests have had of a service, by their places in the plan. Those that had nothing are left out.
#[derive(Debug, Default)]
pub(super) struct HeldRules(Vec<(u16, Rate)>);

impl HeldRules {
    /// Adds a tagged trace, and says with which factor of its probability it is kept.
    pub fn factor(&mut self, rule: u16, cap: f64, now_ms: u64) -> f64 {
        let place = match self.0.binary_search_by_key(&rule, |(rule, _)| *rule) {
            Ok(place) => place,
            Err(place) => {
                self.0.insert(place, (rule, Rate::default()));
                place
            }
        };
        self.0[place].1.factor(cap, 1.0, 1000, now_ms)
    }

    /// Forgets all of them: another plan has others.
    pub fn forget(&mut self) {
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capped(class: Class, cap: f64) -> HeldClasses {
        let mut caps = ClassCaps::default();
        caps.set(class, cap);
        let mut held = HeldClasses::default();
        held.follow(caps);
        held
    }

    #[test]
    fn a_class_keeps_its_cap_and_what_is_under_it_stays_whole() {
        let mut held = capped(Class::Error, 5.0);
        let mut kept = |per_second: u64, from: u64| {
            let mut kept = 0.0;
            for second in from..from + 60 {
                for trace in 0..per_second {
                    let now_ms = second * 1000 + trace * 1000 / per_second;
                    kept += held.factor(Class::Error, 1.0, now_ms);
                }
            }
            kept / 60.0
        };
        assert_eq!(kept(4, 0), 4.0);
        let storm = kept(400, 60);
        // In the first two seconds more, by the logarithm of the excess.
        assert!((5.0..6.0).contains(&storm), "{storm}");
        assert!((4.9..=5.1).contains(&kept(400, 120)));
        assert_eq!(held.factor(Class::Slow, 1.0, 0), 1.0);
    }

    #[test]
    fn another_plan_forgets_rules_and_keeps_classes_and_operations() {
        let mut classes = capped(Class::Error, 1.0);
        let mut operation = HeldOperation::follow(None, 1.0);
        let mut rules = HeldRules::default();
        for _ in 0..100 {
            rules.factor(3, 1.0, 5);
            classes.factor(Class::Error, 1.0, 5);
            operation.as_mut().unwrap().factor(Class::Rest, 1.0, 5);
        }
        rules.forget();
        classes.follow(capped(Class::Error, 1.0).caps);
        let mut operation = HeldOperation::follow(operation, 1.0).unwrap();
        assert_eq!(rules.factor(3, 1.0, 5), 1.0);
        assert!(classes.factor(Class::Error, 1.0, 5) < 0.1);
        assert!(operation.factor(Class::Rest, 1.0, 5) < 0.2);
        assert!(HeldOperation::follow(Some(operation), f64::INFINITY).is_none());
    }

    #[test]
    fn errors_and_tagged_requests_come_first_of_the_cap_of_an_operation() {
        let mut held = HeldOperation::follow(None, 10.0).unwrap();
        let mut kept = [0.0; 4];
        for ms in 0..120_000_u64 {
            // Two errors, one tagged request and 1,000 others a second, of which the plan keeps a tenth.
            for (class, each_ms, probability) in [
                (Class::Error, 500, 1.0),
                (Class::Tagged, 1000, 1.0),
                (Class::Rest, 1, 0.1),
            ] {
                if ms % each_ms == 0 {
                    let factor = held.factor(class, probability, ms);
                    // Without what a burst keeps at its start.
                    if ms >= 60_000 {
                        kept[class as usize] += probability * factor / 60.0;
                    }
                }
            }
        }
        assert!((kept[Class::Error as usize] - 2.0).abs() < 1e-9);
        assert!((kept[Class::Tagged as usize] - 1.0).abs() < 1e-9);
        let rest = kept[Class::Rest as usize];
        assert!((6.5..7.5).contains(&rest), "{rest}");
    }

    #[test]
    fn nothing_is_kept_of_a_cap_of_nothing() {
        assert_eq!(capped(Class::Rest, 0.0).factor(Class::Rest, 0.5, 7), 0.0);
        let mut held = HeldOperation::follow(None, 0.0).unwrap();
        assert_eq!(held.factor(Class::Rest, 0.5, 7), 0.0);
        assert_eq!(held.factor(Class::Error, 1.0, 7), 0.0);
        assert_eq!(HeldRules::default().factor(1, 0.0, 7), 0.0);
    }
}
