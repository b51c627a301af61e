//! Plays windows of the past again under another budget, with the allocation's own code: what would have been kept.
//!
//! The fleet begins unknown. One agent counts everything in time, and SDKs hold what each plan says for a window: half
//! of it what the plan before says, because they poll once in a while. What is kept is what is expected, without chance.
//!
//! [`steady`] plays sums of history, of which operations and windows are no longer known.

pub mod mix;
pub mod steady;

use std::collections::HashMap;

use crate::allocation::{
    AgentCount, AgentId, AgentReport, Basis, Inputs, OperationCount, OperationId, Plan, Policy,
    ServiceId, Serving, Timestamp, Window, WindowCounts, next_plan,
};

/// Windows that are played before they count, while the allocation gets to know the fleet.
pub const WARM_UP: usize = 10;

/// The most windows that a plan is given: more are settled before.
const READ_MAX: usize = 64;

/// Who counts everything.
const AGENT: AgentId = AgentId(1);

/// What a budget came to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tried {
    /// Windows or steps that count.
    pub windows: usize,
    /// Their length, in seconds.
    pub seconds: f64,
    /// What was offered in them.
    pub offered: f64,
    /// What was kept of it, in traces.
    pub kept: f64,
    /// The most that was kept in a window, in traces per second.
    pub worst_per_second: f64,
    /// When that window begins.
    pub worst_start: Timestamp,
    /// Seconds in which everything was kept, because less was offered than the budget.
    pub unbound_seconds: f64,
    /// The coverage of each plan times the seconds of its window.
    pub covered_seconds: f64,
}

impl Tried {
    /// What was kept, in traces per second.
    #[must_use]
    pub fn kept_per_second(&self) -> f64 {
        self.kept / self.seconds
    }

    /// The mean coverage.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        self.covered_seconds / self.seconds
    }

    /// Notes a window or a step: when it begins and its seconds, what was offered and kept in it, its coverage and whether
    /// everything was kept.
    fn note(
        &mut self,
        (start, seconds): (Timestamp, f64),
        (offered, kept): (f64, f64),
        (coverage, unbound): (f64, bool),
    ) {
        if seconds <= 0.0 {
            return;
        }
        self.windows += 1;
        self.seconds += seconds;
        self.offered += offered;
        self.kept += kept;
        self.covered_seconds += coverage * seconds;
        if unbound {
            self.unbound_seconds += seconds;
        }
        if self.windows == 1 || kept / seconds > self.worst_per_second {
            self.worst_per_second = kept / seconds;
            self.worst_start = start;
        }
    }
}

/// A budget that is tried.
pub struct Trial {
    policy: Policy,
    plan: Plan,
    /// What SDKs held of the plan before.
    held: HashMap<OperationId, f64>,
    held_otherwise: f64,
    /// What each operation kept of a trace so far.
    rest: HashMap<OperationId, f64>,
    windows: Vec<WindowCounts>,
    played: usize,
    tried: Tried,
}

impl Trial {
    /// A fleet that is not known yet, under this policy with this budget.
    #[must_use]
    pub fn new(mut policy: Policy, budget: f64) -> Self {
        policy.budget = budget;
        policy.serving = Serving::Plan;
        let plan = Plan::genesis(&policy);
        Self {
            held: HashMap::new(),
            held_otherwise: plan.fleet.default_probability,
            policy,
            plan,
            rest: HashMap::new(),
            windows: Vec::new(),
            played: 0,
            tried: Tried::default(),
        }
    }

    /// What it came to so far.
    #[must_use]
    pub fn tried(&self) -> Tried {
        self.tried
    }

    /// How many operations the newest plan has.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.plan.operations.len()
    }

    /// Plays the window that follows. `offered` says the same of its operations as was counted then; what was sampled
    /// is what this budget keeps. Counts from `warm_up` windows on.
    pub fn play(&mut self, window: Window, offered: &[OperationCount], warm_up: usize) {
        let holds = Holds::of(&self.plan);
        let mut kept = 0.0;
        let mut operations = Vec::with_capacity(offered.len());
        for count in offered {
            let before = self.held.get(&count.operation);
            let before = before.copied().unwrap_or(self.held_otherwise);
            let probability = f64::midpoint(before, holds.of_operation(count.operation));
            let expected = probability * count.offered as f64;
            kept += expected;
            let rest = self.rest.entry(count.operation).or_insert(0.0);
            *rest += expected;
            let sampled = (rest.floor() as u64).min(count.offered);
            *rest -= sampled as f64;
            operations.push(OperationCount { sampled, ..*count });
        }
        if self.played >= warm_up {
            self.note(window, kept, offered);
        }
        (self.held, self.held_otherwise) = (holds.all, holds.otherwise);
        self.played += 1;
        self.windows.push(counts(window, operations, self.played));
        let settled = self.plan.settled;
        self.windows
            .retain(|of| of.window.start >= settled || of.window == window);
        let from = self.windows.len().saturating_sub(READ_MAX);
        self.plan = next_plan(
            &self.plan,
            &self.policy,
            Inputs::new(1, &self.windows[from..]),
        );
    }

    fn note(&mut self, window: Window, kept: f64, offered: &[OperationCount]) {
        let offered = offered.iter().map(|of| of.offered as f64).sum();
        self.tried.note(
            (window.start, window.seconds()),
            (offered, kept),
            (
                self.plan.figures.coverage,
                !self.plan.fleet.level.is_finite(),
            ),
        );
    }
}

/// What SDKs hold of a plan.
struct Holds {
    all: HashMap<OperationId, f64>,
    otherwise: f64,
}

impl Holds {
    fn of(plan: &Plan) -> Self {
        let all = plan.operations.iter();
        Self {
            all: all.map(|of| (of.operation, of.probability)).collect(),
            otherwise: plan.fleet.default_probability,
        }
    }

    fn of_operation(&self, operation: OperationId) -> f64 {
        self.all.get(&operation).copied().unwrap_or(self.otherwise)
    }
}

/// A window's counts, as one agent reports them in time.
fn counts(window: Window, operations: Vec<OperationCount>, played: usize) -> WindowCounts {
    let mut sums: HashMap<ServiceId, (u64, u64)> = HashMap::new();
    for of in &operations {
        let sum = sums.entry(of.service).or_default();
        sum.0 = sum.0.saturating_add(of.offered);
        sum.1 = sum.1.saturating_add(of.sampled);
    }
    let agents = sums
        .into_iter()
        .map(|(service, (offered, sampled))| AgentCount {
            agent: AGENT,
            service: Some(service),
            offered,
            sampled,
        });
    WindowCounts {
        window,
        agents: agents.collect(),
        reports: vec![AgentReport {
            agent: AGENT,
            epoch: 1,
            sequence: played as u64,
            span: window,
            last: false,
            basis: Basis::Reports,
        }],
        operations,
        ..WindowCounts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fleet of 40 operations, of which this many requests come in a minute.
    fn offered(minute: i64, requests: u64) -> (Window, Vec<OperationCount>) {
        let window = Window {
            start: Timestamp(minute * 60_000),
            end: Timestamp((minute + 1) * 60_000),
        };
        let operation = |number: u32| OperationCount {
            operation: OperationId(number),
            service: ServiceId(1 + number / 10),
            overflow: false,
            offered: requests * u64::from(number),
            sampled: 0,
        };
        (window, (1..=40).map(operation).collect())
    }

    fn tried(budget: f64, minutes: impl IntoIterator<Item = u64>) -> Tried {
        let mut trial = Trial::new(Policy::of_budget(budget), budget);
        for (minute, requests) in minutes.into_iter().enumerate() {
            let (window, offered) = offered(minute as i64, requests);
            trial.play(window, &offered, WARM_UP);
        }
        trial.tried()
    }

    #[test]
    fn steady_traffic_keeps_the_budget_that_is_tried() {
        for budget in [5.0, 50.0, 200.0] {
            let of = tried(budget, vec![100; 60]);
            assert_eq!((of.windows, of.seconds), (50, 3000.0));
            let kept = of.kept_per_second() / budget;
            assert!((0.97..1.03).contains(&kept), "{budget}: {of:?}");
            assert!(of.worst_per_second < 1.2 * budget, "{budget}: {of:?}");
            assert!(of.unbound_seconds == 0.0 && of.coverage() > 0.9, "{of:?}");
        }
    }

    #[test]
    fn a_leap_of_the_traffic_is_the_worst_window_and_what_is_small_is_kept_whole() {
        let minutes = (0..60).map(|minute| if minute < 30 { 100 } else { 400 });
        let of = tried(50.0, minutes);
        assert_eq!(of.worst_start, Timestamp(30 * 60_000), "{of:?}");
        assert!((150.0..=205.0).contains(&of.worst_per_second), "{of:?}");
        // 1,367 requests/s come: a budget above them keeps all.
        let of = tried(2000.0, vec![100; 40]);
        assert_eq!(of.unbound_seconds, of.seconds);
        assert!(of.kept > 0.99 * of.offered, "{of:?}");
    }
}
