//! Agents as they are in the field, whole fleets in virtual time: which counts are believed.

mod names;
mod operators;
mod polls;
mod properties;
mod unheard;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use weir::allocation::{Hold, OperationName, Plan, ServiceName};
use weir::simulate::faults::Faults;
use weir::simulate::virtual_time::{Agent, Delay, Timing, VirtualRun, budget_alone, play};
use weir::simulate::{Schedule, Traffic};

const SERVICES: usize = 5;
const OPERATIONS: usize = 60;
const PER_SECOND: f64 = 2_000.0;
/// 1 % of the traffic.
const BUDGET: f64 = 20.0;
const AGENTS: usize = 8;
/// The interval in which something happens.
const EVENT: usize = 20;
const INTERVALS: usize = 60;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn timing() -> Timing {
    Timing {
        interval: seconds(60),
        grace: seconds(10),
        poll_interval: seconds(60),
        report_interval: seconds(10),
    }
}

/// A fleet whose rates all follow a course.
fn fleet(course: impl Fn(usize) -> f64) -> Traffic {
    fleet_of(|_, interval| course(interval))
}

/// A fleet in which the rate of each operation follows a course of its own.
fn fleet_of(course: impl Fn(usize, usize) -> f64) -> Traffic {
    let mut random = StdRng::seed_from_u64(9);
    let sum: f64 = (1..=OPERATIONS).map(|rank| 1.0 / rank as f64).sum();
    let mut row = |rank: usize| {
        let mean = PER_SECOND * 60.0 / sum / (rank as f64 + 1.0);
        let mut count = |interval: usize| {
            let scatter = random.random_range(0.9..1.1);
            (mean * course(rank, interval) * scatter).round() as u32
        };
        (
            ServiceName::parse(&format!("service-{}", rank % SERVICES)).unwrap(),
            OperationName::parse(&format!("GET /{rank}")).unwrap(),
            (0..INTERVALS).map(&mut count).collect(),
        )
    };
    let rows = (0..OPERATIONS).map(&mut row).collect();
    let labels = (0..INTERVALS).map(|row| row.to_string()).collect();
    Traffic::new(labels, rows).unwrap()
}

/// A run of a steady fleet.
fn steady() -> VirtualRun {
    with(fleet(|_| 1.0))
}

/// A run of a fleet with nothing special about it.
fn with(traffic: Traffic) -> VirtualRun {
    VirtualRun {
        schedule: Schedule::new(traffic.rows(), 0, 1.0, None),
        traffic: Arc::new(traffic),
        timing: timing(),
        agents: Agent::fleet(AGENTS, &timing()),
        faults: Faults::default(),
        policy: budget_alone(BUDGET),
        warm_up: 0,
        cell: seconds(300),
        seed: 1,
    }
}

/// Changes every agent of a run.
fn agents(mut run: VirtualRun, change: impl Fn(usize, &mut Agent)) -> VirtualRun {
    for (place, agent) in run.agents.iter_mut().enumerate() {
        change(place, agent);
    }
    run
}

/// What a run shows.
struct Seen {
    /// What the probabilities kept on average over the budget, or all traffic where that is less, in
    /// budgets.
    errors: Vec<f64>,
    plans: Vec<Plan>,
}

impl Seen {
    fn of(run: &VirtualRun) -> Self {
        let mut seen = Self {
            errors: Vec::new(),
            plans: Vec::new(),
        };
        let budget = run.policy.budget;
        let _ = play(run, |_, interval, plan| {
            let kept = interval.tally.served.expected / interval.seconds;
            let budget = interval.budget(budget);
            seen.errors
                .push((kept - budget.min(interval.offered())) / budget);
            seen.plans.push(plan.clone());
        });
        seen
    }

    /// The mean error from an interval on.
    fn mean(&self, from: usize) -> f64 {
        let errors = &self.errors[from..];
        errors.iter().sum::<f64>() / errors.len() as f64
    }

    /// The largest and smallest mean of three intervals.
    fn extremes(&self, range: std::ops::Range<usize>) -> (f64, f64) {
        let means = self.errors[range]
            .windows(3)
            .map(|run| run.iter().sum::<f64>() / 3.0);
        let extreme = |of: fn(f64, f64) -> f64| means.clone().reduce(of).unwrap();
        (extreme(f64::max), extreme(f64::min))
    }

    /// The budget is kept within 5 %, and nothing is held.
    fn assert_kept(&self, from: usize, what: &str) {
        let mean = self.mean(from);
        assert!(mean.abs() < 0.05, "{what}: {mean}");
        let (over, under) = self.extremes(from..self.errors.len());
        assert!(over < 0.08 && under > -0.08, "{what}: {under} to {over}");
        for plan in &self.plans[from..] {
            assert_eq!(plan.fleet.hold, Hold::None, "{what}: plan {}", plan.number);
        }
    }
}

/// The first interval that is judged of a fleet that is as it is from the beginning.
const SETTLED: usize = 8;

#[test]
fn agents_that_are_late_for_ever_cost_no_budget_and_hold_nothing() {
    for late in [0, 30, 75, 180] {
        let tens = agents(steady(), |_, agent| {
            agent.delay = Delay::fixed(seconds(late))
        });
        Seen::of(&tens).assert_kept(SETTLED, &format!("reports of 10 s, {late} s late"));
        let mut whole = agents(steady(), |_, agent| {
            agent.period = seconds(60);
            agent.phase = 0.0;
            agent.delay = Delay::fixed(seconds(late));
        });
        whole.agents.truncate(4);
        Seen::of(&whole).assert_kept(SETTLED, &format!("reports of 60 s, {late} s late"));
    }
    let mixture = agents(steady(), |place, agent| {
        agent.delay = Delay::fixed(seconds([0, 30, 75, 180][place % 4]));
    });
    Seen::of(&mixture).assert_kept(SETTLED, "a mixture");
}

/// Exports once a minute, at phases that look drawn.
fn exporting(place: usize, agent: &mut Agent) {
    agent.period = seconds(60);
    agent.phase = (0.37 + 0.618 * place as f64).fract();
}

#[test]
fn agents_that_export_once_a_minute_cost_no_budget() {
    let on_time = agents(steady(), exporting);
    Seen::of(&on_time).assert_kept(SETTLED, "on time");
    let late = agents(steady(), |place, agent| {
        exporting(place, agent);
        agent.delay = Delay {
            least: seconds(0),
            most: seconds(90),
        };
    });
    Seen::of(&late).assert_kept(SETTLED, "0 to 90 s late");
}

#[test]
fn agents_that_send_nothing_when_idle_cost_no_budget() {
    for late in [0, 75] {
        let idle = agents(steady(), |_, agent| {
            agent.sparse = true;
            agent.busy = 0.25;
            agent.delay = Delay::fixed(seconds(late));
        });
        Seen::of(&idle).assert_kept(SETTLED, &format!("{late} s late"));
    }
}

/// A report across the end of a window leaves a little of a burst in the window beside it.
#[test]
fn operations_that_fire_every_five_intervals_are_expected_however_late_reports_are() {
    let fires = |rank: usize, interval: usize| match (rank % 3, interval % 5 == rank / 3 % 5) {
        (0, true) => 5.0,
        (0, false) => 0.0,
        _ => 1.0,
    };
    let error = |late| {
        let run = agents(with(fleet_of(fires)), |_, agent| {
            agent.delay = Delay::fixed(seconds(late));
        });
        let errors = Seen::of(&run).errors.split_off(EVENT + 10);
        errors.iter().map(|error| error.abs()).sum::<f64>() / errors.len() as f64
    };
    let on_time = error(0);
    for (late, times) in [(75, 1.5), (180, 2.5)] {
        let error = error(late);
        assert!(
            error < times * on_time,
            "{late} s late: {error} instead of {on_time}"
        );
    }
}

#[test]
fn agents_that_live_for_one_report_cost_no_budget() {
    let live_once = |run| {
        agents(run, |place, agent| {
            exporting(place, agent);
            agent.period = seconds(45);
            agent.reports = Some(1);
        })
    };
    Seen::of(&live_once(steady())).assert_kept(SETTLED, "steady");
    let falls = fleet(|interval| if interval < EVENT { 1.0 } else { 0.3 });
    let seen = Seen::of(&live_once(with(falls)));
    let mean = seen.mean(EVENT + 8);
    assert!(mean.abs() < 0.08, "{mean}");
}

#[test]
fn lateness_is_known_of_each_agent() {
    let late = agents(steady(), |place, agent| {
        agent.delay = Delay::fixed(seconds(if place == 0 { 180 } else { 0 }));
    });
    let seen = Seen::of(&late);
    seen.assert_kept(SETTLED, "one of 8 agents late");
    let plan = seen.plans.last().unwrap();
    assert_eq!(plan.agents.len(), AGENTS);
    let late: Vec<_> = plan.agents.iter().filter(|of| of.habit > 1.0).collect();
    assert_eq!(late.len(), 1, "{:?}", plan.agents);
    assert!((2.0..4.0).contains(&late[0].habit), "{:?}", late[0]);
    assert!(plan.agents.iter().all(|of| of.missing_windows == 0));
    assert!(plan.fleet.windows_read > 3, "{:?}", plan.fleet);
}

#[test]
fn the_order_and_the_names_of_agents_do_not_matter() {
    let run = agents(steady(), |place, agent| {
        agent.delay = Delay::fixed(seconds([0, 30, 75, 180][place % 4]));
    });
    let mut turned = run.clone();
    turned.agents.rotate_left(4);
    let plans = [run, turned].map(|run| Seen::of(&run).plans.pop().unwrap());
    let offered = plans.each_ref().map(|plan| plan.fleet.offered);
    assert!((offered[0] / offered[1] - 1.0).abs() < 0.02, "{offered:?}");
    let names = plans.map(|plan| {
        let names: HashSet<_> = plan.agents.iter().map(|of| of.agent).collect();
        names
    });
    assert_eq!(names[0], names[1]);
}
