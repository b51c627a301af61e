//! What Weir tells edges: which services are decided about here, and with which probability each class of an
//! operation is kept. The document is described in `docs/edge.md`.

mod document;
mod tagged;

use std::collections::HashMap;

pub use self::document::WrongPlan;
pub use self::tagged::{Glob, Rule, RulesOf, Tagged};
use crate::otlp::trace_state::Threshold;

/// Where a service's traces are decided about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Governed {
    /// By the samplers of its SDKs: the edge passes on what comes.
    Head,
    /// At the edge: its SDKs sample everything.
    Tail,
}

/// The class of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// One of its spans has failed.
    Error,
    /// It took longer than the service's threshold.
    Slow,
    /// A span fulfils a rule for tagged requests. Goes before the other classes.
    Tagged,
    /// All others.
    Rest,
}

impl Class {
    /// All of them, in the order of [`Classes`].
    pub const ALL: [Self; 4] = [Self::Error, Self::Slow, Self::Tagged, Self::Rest];

    /// As documents, reports and metrics say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Tagged => "tagged",
            Self::Rest => "rest",
        }
    }
}

/// A threshold for each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classes([Threshold; 4]);

impl Classes {
    /// The same for all classes.
    #[must_use]
    pub fn all(threshold: Threshold) -> Self {
        Self([threshold; 4])
    }

    /// That of a class.
    #[must_use]
    pub fn of(&self, class: Class) -> Threshold {
        self.0[class as usize]
    }
}

/// The most traces per second of each class that are kept of a service between two plans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassCaps([f64; 4]);

impl Default for ClassCaps {
    /// None.
    fn default() -> Self {
        Self([f64::INFINITY; 4])
    }
}

impl ClassCaps {
    /// That of a class; infinite without one.
    #[must_use]
    pub fn of(&self, class: Class) -> f64 {
        self.0[class as usize]
    }

    /// Sets that of a class.
    pub fn set(&mut self, class: Class, traces_per_second: f64) {
        self.0[class as usize] = traces_per_second;
    }
}

/// What the plan says of an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperationPlan {
    /// By the class of a trace.
    pub classes: Classes,
    /// The most traces per second of all classes together that are kept between two plans; infinite without a cap.
    pub cap: f64,
}

/// What the plan says of a service, or of those that it does not name.
#[derive(Debug, Clone, PartialEq)]
pub struct ServicePlan {
    /// Where its traces are decided about.
    pub governed: Governed,
    /// A longer trace is slow.
    pub slow_ns: u64,
    /// For operations that are not named.
    pub default: Classes,
    /// What is kept of each class between two plans at most.
    pub caps: ClassCaps,
    /// For those that are.
    pub operations: HashMap<Box<str>, OperationPlan>,
}

/// A plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Its number in Weir; 0 if none has come yet.
    pub number: u64,
    /// For services that are not named. Its operations are empty.
    pub default: ServicePlan,
    /// Those that are.
    pub services: HashMap<Box<str>, ServicePlan>,
    /// Rules for tagged requests.
    pub tagged: Tagged,
}

/// A trace that takes longer is slow, unless the plan says otherwise.
pub const SLOW_MS_DEFAULT: u64 = 500;

impl ServicePlan {
    /// What it says of an operation. The cap of its classes holds those that it does not name.
    #[must_use]
    pub fn operation(&self, name: &str) -> OperationPlan {
        let named = self.operations.get(name).copied();
        named.unwrap_or(OperationPlan {
            classes: self.default,
            cap: f64::INFINITY,
        })
    }
}

impl Plan {
    /// What applies before the first plan: every trace is kept with one probability, whatever its service. Not
    /// everything, because nobody has said which services have samplers of their own.
    #[must_use]
    pub fn initial(probability: f64) -> Self {
        Self {
            number: 0,
            default: ServicePlan {
                governed: Governed::Tail,
                slow_ns: SLOW_MS_DEFAULT * 1_000_000,
                default: Classes::all(Threshold::of_probability(probability)),
                caps: ClassCaps::default(),
                operations: HashMap::new(),
            },
            services: HashMap::new(),
            tagged: Tagged::default(),
        }
    }

    /// What it says of a service.
    #[must_use]
    pub fn service(&self, name: &str) -> &ServicePlan {
        self.services.get(name).unwrap_or(&self.default)
    }

    /// Whether it decides about no service, so that everything passes.
    #[must_use]
    pub fn passes_everything(&self) -> bool {
        let mut all = self.services.values().chain([&self.default]);
        all.all(|service| service.governed == Governed::Head)
    }
}
