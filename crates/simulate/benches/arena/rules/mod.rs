//! The contenders: Weir's allocation, the published rules of other systems, and oracles as a scale.
//!
//! Every peer is a rule taken from its public behaviour into one central loop with Weir's own
//! interval, grace, polls and reports. No code is copied, only rules and constants. What a rule
//! leaves to its operator is set to a value that suits the loop. `docs/arena.md` says which choices
//! cost a peer something.

mod datadog;
mod dynsampler;
mod jaeger;
mod oracle;
mod sentry;
mod uniform;
mod weir;
mod zipkin;

use ::weir_allocation::{Timestamp, WindowCounts};
use ::weir_simulate::Traffic;

use crate::workload::Workload;

/// The probability that is served until a controller changes it.
pub const INITIAL_PROBABILITY: f64 = 0.001;

/// What a controller gets after an interval has closed.
pub struct Observed<'a> {
    /// Its length in seconds.
    pub seconds: f64,
    /// What has arrived of the windows from [`Controller::settled`] on, oldest first. Only a reference
    /// may use anything else.
    pub windows: &'a [WindowCounts],
    /// The requests that were really offered, operation by operation.
    pub counts: &'a [u64],
}

impl Observed<'_> {
    /// The reports of the interval that has closed, as far as they arrived in time.
    pub fn heard(&self) -> &WindowCounts {
        self.windows.last().expect("a window has just closed")
    }

    /// Root requests in the reports, operation by operation.
    pub fn offered(&self) -> Vec<u64> {
        self.dense(|count| count.offered)
    }

    /// Sampled traces in the reports, operation by operation.
    pub fn sampled(&self) -> Vec<u64> {
        self.dense(|count| count.sampled)
    }

    fn dense(&self, of: impl Fn(&::weir_allocation::OperationCount) -> u64) -> Vec<u64> {
        let mut counts = vec![0; self.counts.len()];
        for count in &self.heard().operations {
            counts[count.operation.0 as usize - 1] = of(count);
        }
        counts
    }
}

/// A rule that decides on probabilities.
pub trait Controller {
    /// The probabilities for SDKs that poll from now on, operation by operation.
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64>;

    /// The start of the first window that it reads again.
    fn settled(&self) -> Timestamp {
        Timestamp(i64::MAX)
    }

    /// The probabilities for the interval that is about to be played. Only for oracles, which know
    /// its counts beforehand and wait for no poll.
    fn foresee(&mut self, _number: usize, _counts: &[u64]) -> Option<Vec<f64>> {
        None
    }

    /// The traces per second that its SDKs sample per instance and operation in any case.
    fn lower_bound(&self) -> f64 {
        0.0
    }

    /// The most that its SDKs sample of each operation in any case: traces per second of the fleet,
    /// operation by operation.
    fn upper_bounds(&self) -> Option<Vec<f64>> {
        None
    }

    /// By how much its last plan says that floors exceed the budget, in traces per second.
    fn missing(&self) -> Option<f64> {
        None
    }
}

/// The setting that a rule is created for.
pub struct Setting<'a> {
    /// The operations. Controllers must not use their counts.
    pub traffic: &'a Traffic,
    /// The budget, in traces per second.
    pub budget: f64,
    /// Operations with traffic at a time, for rules whose operator must know.
    pub operations: usize,
    /// The interval in seconds.
    pub seconds: f64,
    /// The floor of every operation, in traces per second.
    pub floor: f64,
    /// Whether SDKs that limit what they sample play too.
    pub enforced: bool,
    /// SDK instances that each serve every operation, if a lower bound would cost something.
    pub instances: Option<u64>,
    /// The rates behind the counts, if they are known, in root requests per second.
    pub expected: Option<&'a [Vec<f64>]>,
    /// The seed of the rule's own randomness.
    pub seed: u64,
}

/// The kind of a contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Weir's allocation.
    Weir,
    /// Weir's allocation, with SDKs that do more than any published one.
    Variant,
    /// The rule of another system.
    Peer,
    /// A contender that knows what nobody can know, as a scale.
    Scale,
}

/// A contender.
#[derive(Clone, Copy)]
pub struct Contender {
    /// Its name in the tables.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Creates it, if it can play the workload.
    pub enter: for<'a> fn(&Setting<'a>) -> Option<Box<dyn Controller + 'a>>,
}

/// All contenders, in the order of the tables.
pub const CONTENDERS: &[Contender] = &[
    Contender {
        name: "Weir",
        kind: Kind::Weir,
        enter: |setting| Some(Box::new(weir::Engine::new(setting))),
    },
    Contender {
        name: "Weir, SDKs that sample 4 × the share at most",
        kind: Kind::Variant,
        enter: |setting| weir::Enforced::new(setting).map(|it| Box::new(it) as _),
    },
    Contender {
        name: "Weir, a lower bound from a reserve",
        kind: Kind::Variant,
        enter: |setting| weir::Reserved::new(setting).map(|it| Box::new(it) as _),
    },
    Contender {
        name: "Jaeger",
        kind: Kind::Peer,
        enter: |setting| Some(Box::new(jaeger::Jaeger::new(setting))),
    },
    Contender {
        name: "dynsampler Total",
        kind: Kind::Peer,
        enter: |setting| Some(Box::new(dynsampler::Total::new(setting))),
    },
    Contender {
        name: "dynsampler EMA",
        kind: Kind::Peer,
        enter: |setting| Some(Box::new(dynsampler::Ema::new(setting))),
    },
    Contender {
        name: "Datadog, by service",
        kind: Kind::Peer,
        enter: |setting| Some(Box::new(datadog::Agent::by_service(setting))),
    },
    Contender {
        name: "Datadog, by operation",
        kind: Kind::Peer,
        enter: |setting| Some(Box::new(datadog::Agent::by_operation(setting))),
    },
    Contender {
        name: "Sentry",
        kind: Kind::Peer,
        enter: |setting| Some(Box::new(sentry::Sentry::new(setting))),
    },
    Contender {
        name: "Zipkin",
        kind: Kind::Peer,
        enter: |setting| Some(Box::new(zipkin::Zipkin::new(setting))),
    },
    Contender {
        name: "one probability",
        kind: Kind::Peer,
        enter: |setting| Some(Box::new(uniform::Uniform::new(setting))),
    },
    Contender {
        name: "*exact counts, late*",
        kind: Kind::Scale,
        enter: |setting| Some(Box::new(oracle::Late::new(setting))),
    },
    Contender {
        name: "*best without foresight*",
        kind: Kind::Scale,
        enter: |setting| oracle::Expecting::new(setting).map(|it| Box::new(it) as _),
    },
    Contender {
        name: "*oracle*",
        kind: Kind::Scale,
        enter: |setting| Some(Box::new(oracle::Oracle::new(setting))),
    },
];

impl<'a> Setting<'a> {
    /// The setting of a workload.
    pub fn of(workload: &'a Workload, seed: u64) -> Self {
        Self {
            traffic: &workload.traffic,
            budget: workload.budget,
            operations: workload.operations,
            seconds: workload.timing.interval.as_secs_f64(),
            floor: workload.floor,
            enforced: workload.enforced,
            instances: workload.instances,
            expected: workload.expected.as_deref(),
            seed,
        }
    }
}
