//! What a fleet counts.

/// What was kept in an interval and how much of it was chance.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Kept {
    /// Root requests kept.
    pub count: u64,
    /// The mean of `count` over all ways the coins may fall: Σ p over the requests.
    pub expected: f64,
    /// The variance of `count` over all ways the coins may fall: Σ p·(1−p).
    pub variance: f64,
}

impl Kept {
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
    /// What the SDKs kept by the probabilities that the server gave them.
    pub served: Kept,
    /// What they would have kept by those of the reference controller.
    pub reference: Kept,
}

/// Root requests of one operation that an agent has not reported yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationTally {
    /// The operation's place in the traffic.
    pub operation: usize,
    /// Root requests before sampling.
    pub offered: u64,
    /// Root requests kept.
    pub sampled: u64,
}

/// What an agent has to report of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTally {
    /// The service's place in the traffic.
    pub service: usize,
    /// SDK instances of it that the agent hears.
    pub instances: u32,
    /// The operations that had requests.
    pub operations: Vec<OperationTally>,
}
