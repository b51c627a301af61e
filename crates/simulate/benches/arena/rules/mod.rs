//! Who plays: Weir's engine, the published rules of other systems, and oracles for scale.
//!
//! Every peer is a rule transplanted from its public behaviour into one central loop with Weir's
//! own interval, grace, polls and reports; no code is copied, only rules and constants. What a
//! rule leaves to its operator is set to what suits the loop; what a choice costs a peer stands in
//! `docs/arena.md`.

mod datadog;
mod dynsampler;
mod jaeger;
mod oracle;
mod sentry;
mod uniform;
mod weir;
mod zipkin;

use ::weir_allocation::WindowCounts;
use ::weir_simulate::Traffic;

use crate::workload::Workload;

/// What is served until a controller says otherwise.
pub const INITIAL_PROBABILITY: f64 = 0.001;

/// What a controller is told when an interval has closed.
pub struct Observed<'a> {
    /// Its length in seconds.
    pub seconds: f64,
    /// What the agents said of it in time: all that anybody but a reference may use.
    pub heard: &'a WindowCounts,
    /// What they said of the interval before, late reports included.
    pub corrected: Option<&'a WindowCounts>,
    /// What truly was offered, operation by operation.
    pub counts: &'a [u64],
}

impl Observed<'_> {
    /// Root requests heard of, operation by operation.
    pub fn offered(&self) -> Vec<u64> {
        self.dense(|count| count.offered)
    }

    /// Traces heard of, operation by operation.
    pub fn sampled(&self) -> Vec<u64> {
        self.dense(|count| count.sampled)
    }

    fn dense(&self, of: impl Fn(&::weir_allocation::OperationCount) -> u64) -> Vec<u64> {
        let mut counts = vec![0; self.counts.len()];
        for count in &self.heard.operations {
            counts[count.operation.0 as usize - 1] = of(count);
        }
        counts
    }
}

/// Somebody who decides on probabilities.
pub trait Controller {
    /// What SDKs that poll from now on are told, operation by operation.
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64>;

    /// What applies to the very interval that is about to be played: for oracles alone, who know
    /// its counts beforehand and wait for no poll.
    fn foresee(&mut self, _number: usize, _counts: &[u64]) -> Option<Vec<f64>> {
        None
    }

    /// What its SDKs keep per instance and operation whatever it says, in traces per second.
    fn lower_bound(&self) -> f64 {
        0.0
    }

    /// What its SDKs keep of each operation at most, whatever they are told: in traces per second
    /// over the fleet, operation by operation.
    fn upper_bounds(&self) -> Option<Vec<f64>> {
        None
    }

    /// By how much its last plan says that it falls short of what was asked, in traces per second.
    fn missing(&self) -> Option<f64> {
        None
    }
}

/// What a rule is told of the fleet when it is set up.
pub struct Setting<'a> {
    /// The operations; their counts are not for controllers.
    pub traffic: &'a Traffic,
    /// The wanted sampled rate, in traces per second.
    pub budget: f64,
    /// Operations that have traffic at a time, for rules whose operator must know.
    pub operations: usize,
    /// The interval in seconds.
    pub seconds: f64,
    /// What every operation is to get at least, in traces per second.
    pub floor: f64,
    /// Whether clients that bound what they keep play too.
    pub enforced: bool,
    /// SDK instances that each serve every operation, where a lower bound would cost something.
    pub instances: Option<u64>,
    /// The rates behind the counts, where they are known, in root requests per second.
    pub expected: Option<&'a [Vec<f64>]>,
    /// Where the rule's own randomness starts.
    pub seed: u64,
}

/// What a contender is measured as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Weir's engine.
    Weir,
    /// Weir's engine with clients that do more than what is published for any.
    Variant,
    /// The rule of another system.
    Peer,
    /// Somebody who knows what nobody can know, for scale.
    Scale,
}

/// One who plays.
#[derive(Clone, Copy)]
pub struct Contender {
    /// What it is called in the table.
    pub name: &'static str,
    /// What it is measured as.
    pub kind: Kind,
    /// Sets it up, if it can play such a workload.
    pub enter: for<'a> fn(&Setting<'a>) -> Option<Box<dyn Controller + 'a>>,
}

/// Everybody, in the order of the tables.
pub const CONTENDERS: &[Contender] = &[
    Contender {
        name: "Weir",
        kind: Kind::Weir,
        enter: |setting| Some(Box::new(weir::Engine::new(setting))),
    },
    Contender {
        name: "Weir, clients that keep 4 × the share at most",
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
    /// What the rules are told of a workload.
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
