//! The times of plans, polls and reports, and what follows from them.

use std::time::Duration;

/// The number of steps over an interval in which its requests are matched with plans.
const STEPS: u32 = 1000;

/// All times except the length of the run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// How often a plan is computed.
    pub interval: Duration,
    /// How long after its end a window waits for reports.
    pub grace: Duration,
    /// How often an SDK polls.
    pub poll_interval: Duration,
    /// How often an agent reports.
    pub report_interval: Duration,
}

impl Timing {
    /// The parts of an interval's requests that are sampled by the plan of the window before, of
    /// the one before that, and so on.
    #[must_use]
    pub fn ages(&self) -> Vec<f64> {
        let interval = self.interval.as_secs_f64();
        let poll = self.poll_interval.as_secs_f64() / interval;
        let grace = self.grace.as_secs_f64() / interval;
        // A request at u sees a poll between u − poll and u. The plan of the window that ended j
        // intervals before this one began exists from grace − j on.
        let met = |since: f64| {
            let part = |u: f64| ((u - since) / poll).clamp(0.0, 1.0);
            let steps = (0..STEPS).map(|step| (f64::from(step) + 0.5) / f64::from(STEPS));
            steps.map(part).sum::<f64>() / f64::from(STEPS)
        };
        let mut ages = Vec::new();
        let mut before = 0.0;
        while before < 1.0 - 1e-9 {
            let until = met(grace - ages.len() as f64);
            ages.push(until - before);
            before = until;
        }
        ages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(grace: u64, poll: u64, report: u64) -> Timing {
        Timing {
            interval: Duration::from_secs(60),
            grace: Duration::from_secs(grace),
            poll_interval: Duration::from_secs(poll),
            report_interval: Duration::from_secs(report),
        }
    }

    #[test]
    fn requests_meet_the_plans_that_their_sdks_polled() {
        let close = |ages: Vec<f64>, expected: &[f64]| {
            assert_eq!(ages.len(), expected.len(), "{ages:?}");
            for (age, expected) in ages.iter().zip(expected) {
                assert!((age - expected).abs() < 1e-3, "{ages:?}");
            }
        };
        // Without a grace, half of an interval's requests come after their SDK's poll in it.
        close(timing(0, 60, 10).ages(), &[0.5, 0.5]);
        let grace: f64 = 10.0 / 60.0;
        let newest = (1.0 - grace).powi(2) / 2.0;
        let oldest = grace.powi(2) / 2.0;
        close(
            timing(10, 60, 10).ages(),
            &[newest, 1.0 - newest - oldest, oldest],
        );
    }
}
