//! The counts of a fleet.

/// What was sampled in an interval, and how much of it was chance.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sampled {
    /// Root requests sampled.
    pub count: u64,
    /// The mean of `count` over all outcomes of the coins: Σ p over the requests.
    pub expected: f64,
    /// The variance of `count` over all outcomes of the coins: Σ p·(1−p).
    pub variance: f64,
}

impl Sampled {
    pub(super) fn add(&mut self, sampled: u64, offered: u64, probability: f64) {
        let expected = offered as f64 * probability;
        self.count += sampled;
        self.expected += expected;
        self.variance += expected * (1.0 - probability);
    }
}

/// What the whole fleet did in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// Root requests before sampling.
    pub offered: u64,
    /// What the SDKs sampled with the probabilities of the server.
    pub served: Sampled,
    /// What they would have sampled with those of the reference controller.
    pub reference: Sampled,
}

/// Root requests of one operation that an agent has not reported yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationTally {
    /// The index of the operation in the traffic.
    pub operation: usize,
    /// Root requests before sampling.
    pub offered: u64,
    /// Root requests sampled.
    pub sampled: u64,
}

/// The part of an agent's next report about one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTally {
    /// The index of the service in the traffic.
    pub service: usize,
    /// SDK instances of it that report to the agent.
    pub instances: u32,
    /// The operations that had requests.
    pub operations: Vec<OperationTally>,
}
