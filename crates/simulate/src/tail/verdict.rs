//! Judges what an edge kept.

use serde::Serialize;
use weir_allocation::Class;
use weir_terminal::{number, percent};

/// How far off the budget what is kept may be, as a part of it, beside what chance explains.
const OFF_MOST: f64 = 0.05;

/// Chance explains this many standard deviations.
const DEVIATIONS: f64 = 2.0;

/// How far over its cap a class may be while it comes up: before the next plan, an edge learns from what it sees.
const OVER_CAP_MOST: f64 = 1.5;

/// The part that counts as all: one trace at either end of the time may be counted on one side alone.
const ALL: f64 = 0.98;

/// How many traces an edge has decided about since its start, in the order of [`Class::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counted {
    /// Kept and dropped.
    pub came: [f64; Class::ALL.len()],
    /// Kept.
    pub kept: [f64; Class::ALL.len()],
}

impl Counted {
    /// Reads the metrics of an edge.
    #[must_use]
    pub fn read(metrics: &str) -> Self {
        let mut counted = Self::default();
        let lines = metrics.lines();
        for line in lines.filter(|line| line.starts_with("weir_edge_traces_total{")) {
            let value = line.rsplit(' ').next().and_then(|text| text.parse().ok());
            let value: f64 = value.unwrap_or(0.0);
            let class = |class: &Class| line.contains(&format!("class=\"{class}\""));
            let Some(class) = Class::ALL.into_iter().find(class) else {
                continue;
            };
            counted.came[class as usize] += value;
            if line.contains("decision=\"kept\"") {
                counted.kept[class as usize] += value;
            }
        }
        counted
    }

    /// What came and was kept since, in traces per second.
    #[must_use]
    pub fn since(&self, before: &Self, seconds: f64) -> Seen {
        let rate = |now: [f64; Class::ALL.len()], before: [f64; Class::ALL.len()]| {
            Class::ALL.map(|class| (now[class as usize] - before[class as usize]) / seconds)
        };
        Seen {
            came: rate(self.came, before.came),
            kept: rate(self.kept, before.kept),
            seconds,
        }
    }
}

/// What came and was kept in a time, in traces per second, in the order of [`Class::ALL`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// What came.
    pub came: [f64; Class::ALL.len()],
    /// What was kept of it.
    pub kept: [f64; Class::ALL.len()],
    /// For how long.
    pub seconds: f64,
}

impl Seen {
    /// How many traces per second chance keeps more or less than planned: each trace is kept or not by itself.
    #[must_use]
    pub fn chance(&self) -> f64 {
        let variance = |class| self.kept[class as usize] * (1.0 - self.part(class));
        let variances = Class::ALL.into_iter().map(variance);
        DEVIATIONS * (variances.sum::<f64>().max(0.0) / self.seconds).sqrt()
    }

    /// All classes together: what came, and what was kept.
    #[must_use]
    pub fn together(&self) -> (f64, f64) {
        (self.came.iter().sum(), self.kept.iter().sum())
    }

    /// Which part of a class was kept.
    #[must_use]
    pub fn part(&self, class: Class) -> f64 {
        let (came, kept) = (self.came[class as usize], self.kept[class as usize]);
        if came > 0.0 { kept / came } else { 1.0 }
    }
}

/// One thing that was promised, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Whether it was kept.
    pub is_good: bool,
    /// What was seen, in a sentence.
    pub said: String,
}

/// What an edge kept of a calm service, and while its errors came a hundred times as often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailVerdict {
    /// The budget, in traces per second.
    pub budget: f64,
    /// The cap of errors, in traces per second.
    pub error_cap: f64,
    /// While it was calm.
    pub calm: Seen,
    /// While errors came.
    pub storm: Seen,
}

impl TailVerdict {
    /// What was promised, and what came of it.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let finding = |is_good, said| Finding { is_good, said };
        let (calm, storm) = (&self.calm, &self.storm);
        let (came, kept) = calm.together();
        let (_, stormed) = storm.together();
        let [errors, tagged] = [Class::Error, Class::Tagged].map(|class| calm.part(class));
        let rest = calm.part(Class::Rest);
        let errors_kept = storm.kept[Class::Error as usize];
        vec![
            finding(
                (kept - self.budget).abs() <= OFF_MOST * self.budget + calm.chance(),
                format!(
                    "{} traces/s were kept of {} that came: the budget is {}, and chance explains {} more or less",
                    number(kept),
                    number(came),
                    number(self.budget),
                    number(calm.chance())
                ),
            ),
            finding(
                errors >= ALL && tagged >= ALL,
                format!(
                    "{} of the errors and {} of the tagged requests were kept, and {} of the rest",
                    percent(errors),
                    percent(tagged),
                    percent(rest)
                ),
            ),
            finding(
                errors_kept <= OVER_CAP_MOST * self.error_cap,
                format!(
                    "then errors came 100 times as often: {} traces/s of them were kept, their cap is {}",
                    number(errors_kept),
                    number(self.error_cap)
                ),
            ),
            finding(
                stormed <= (1.0 + OFF_MOST) * self.budget + storm.chance(),
                format!("{} traces/s were kept in all meanwhile", number(stormed)),
            ),
        ]
    }

    /// Whether all of it was kept.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings().iter().all(|finding| finding.is_good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict() -> TailVerdict {
        TailVerdict {
            budget: 50.0,
            error_cap: 2.5,
            calm: Seen {
                came: [1.0, 10.0, 2.0, 500.0],
                kept: [1.0, 9.0, 2.0, 38.5],
                seconds: 25.0,
            },
            storm: Seen {
                came: [100.0, 10.0, 2.0, 500.0],
                kept: [2.9, 9.0, 2.0, 36.0],
                seconds: 25.0,
            },
        }
    }

    #[test]
    fn each_promise_that_is_broken_is_found() {
        assert!(verdict().is_good(), "{:?}", verdict().findings());
        let rest = Class::Rest as usize;
        let broken: [fn(&mut TailVerdict); 5] = [
            |of| of.calm.kept[Class::Rest as usize] = 44.0,
            |of| of.calm.kept[Class::Error as usize] = 0.9,
            |of| of.calm.kept[Class::Tagged as usize] = 1.9,
            |of| of.storm.kept[Class::Error as usize] = 4.0,
            |of| of.storm.kept[Class::Rest as usize] = 45.0,
        ];
        for (place, wrong) in broken.into_iter().enumerate() {
            let mut verdict = verdict();
            wrong(&mut verdict);
            assert!(!verdict.is_good(), "{place}");
        }
        assert_eq!(verdict().calm.part(Class::Error), 1.0);
        assert_eq!(verdict().calm.came[rest], 500.0);
        // The longer it is watched, the less chance explains.
        let chance = |seconds| {
            Seen {
                seconds,
                ..verdict().calm
            }
            .chance()
        };
        assert!((2.4..2.6).contains(&chance(25.0)), "{}", chance(25.0));
        assert!(chance(2500.0) < 0.26);
    }

    #[test]
    fn the_metrics_of_an_edge_are_read() {
        let before = Counted::read("weir_edge_traces_total{class=\"rest\",decision=\"kept\"} 5\n");
        let after = Counted::read(
            "# TYPE weir_edge_traces_total counter\n\
             weir_edge_traces_total{class=\"rest\",decision=\"kept\"} 25\n\
             weir_edge_traces_total{class=\"rest\",decision=\"dropped\"} 180\n\
             weir_edge_traces_total{class=\"error\",decision=\"kept\"} 4\n\
             weir_edge_traces_without_root_total 9\n",
        );
        let seen = after.since(&before, 2.0);
        assert_eq!(seen.came, [2.0, 0.0, 0.0, 100.0]);
        assert_eq!(seen.kept, [2.0, 0.0, 0.0, 10.0]);
        assert_eq!(seen.together(), (102.0, 12.0));
    }
}
