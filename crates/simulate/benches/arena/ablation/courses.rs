//! What is played: few workloads, each for another part of the allocation.

use std::ops::Range;

use weir_allocation::Policy;
use weir_simulate::Traffic;
use weir_simulate::virtual_time::{Agent, AgentFaults, Timing, budget_alone};

use crate::trust;
use crate::workload::{RecordedWorkload, SYNTHETIC, WARM_UP, Workload};

/// The synthetic workloads that are played. The scatter of others is mostly what nobody can know.
const NAMES: [&str; 2] = ["diurnal, 10 s noise", "step"];
/// The one that is played with SDKs that keep less than they are to keep, and the part that they keep.
const UNFAITHFUL: &str = "steady, 10 s noise";
const KEEPS: f64 = 0.85;
/// The rows of the table of agents that are played.
const ROWS: [&str; 21] = [
    "reports of 10 s, agents 0, 30, 75 and 180 s late",
    "agents that have requests in one of four reports of 10 s, and send no empty ones",
    "the same, 75 s late",
    "agents that live for one report of 45 s",
    "a third of the operations fires every five intervals, reports 75 s late",
    "all agents restart under new names in one window",
    "half of the agents end, and nothing says so; the others get their traffic",
    "half of the agents end with their traffic, and only their SDKs, which stop asking, say so",
    "4 of 8 agents unheard for an hour; their traffic goes on",
    "the same, 4 of 8, while traffic climbs by half",
    "an unknown sender claims 10¹² requests in each of five intervals and falls silent; traffic rises by half \
     meanwhile",
    "traffic fades to silence and is back at once",
    "traffic fades, agents send no empty reports, 0.1 % kept",
    "the busiest service is idle, then back at once",
    "100 names an interval that never come back, 1 % kept",
    "a deploy renames 30 % of the operations, 1 % kept",
    "50 times the usual traffic for three intervals",
    "the first three intervals have 100 times the usual traffic",
    "exports of 60 s at any phase, each 0 to 180 s late by chance",
    "1 of 8 agents unheard for an hour, while traffic climbs by 3 % an interval",
    "the busiest service is gone for some intervals, three times within an hour",
];
/// The budgets of recordings, as parts of the mean traffic.
const BUDGETS: [f64; 1] = [0.01];
/// No more than half a day of a recording in minutes is played.
const INTERVALS: usize = 720;
/// The first interval of a fleet of the table of agents that is judged.
const SETTLED: usize = 8;
/// The seeds of the large fleets, and of the small ones.
const SEEDS: [u64; 1] = [1];
const SEEDS_OF_AGENTS: [u64; 2] = [1, 2];

/// What a course shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Synthetic,
    Recorded,
    Agents,
}

/// A course, ready to be played.
pub struct Course {
    pub name: String,
    pub kind: Kind,
    pub runs: Vec<Run>,
    pub timing: Timing,
    pub agents: Vec<Agent>,
    pub faults: AgentFaults,
    /// What SDKs keep of what they are to keep.
    pub keeps: f64,
    /// The policy of the plan after an interval.
    pub policy: Box<dyn Fn(usize) -> Policy + Sync>,
    pub judged: Range<usize>,
}

/// A course's traffic with a seed.
pub struct Run {
    pub seed: u64,
    pub traffic: Traffic,
    /// The offered requests, interval by interval.
    pub counts: Vec<Vec<u64>>,
}

/// All courses; of recordings the halves that may be used for tuning, because the table decides on parts.
pub fn all(recordings: &[RecordedWorkload]) -> Vec<Course> {
    let synthetic = SYNTHETIC.iter().filter(|spec| NAMES.contains(&spec.name));
    let synthetic = synthetic.map(|spec| {
        Course::of(spec.name.to_owned(), Kind::Synthetic, |seed| {
            spec.make(seed)
        })
    });
    let unfaithful = SYNTHETIC.iter().filter(|spec| spec.name == UNFAITHFUL);
    let unfaithful = unfaithful.map(|spec| {
        let name = format!("{}; SDKs keep {:.0} % of it", spec.name, 100.0 * KEEPS);
        let course = Course::of(name, Kind::Synthetic, |seed| spec.make(seed));
        Course {
            keeps: KEEPS,
            judged: course.judged.end / 2..course.judged.end,
            ..course
        }
    });
    let recorded = recordings.iter().flat_map(|recording| {
        BUDGETS.iter().map(|budget| {
            let name = format!("{}, {:.0} %", recording.name, 100.0 * budget);
            Course::of(name, Kind::Recorded, |seed| recording.with(seed, *budget))
        })
    });
    let agents = trust::cases(&ROWS).into_iter().map(|(name, case)| {
        let run = |seed| {
            let scene = case.scene(seed);
            Run {
                seed,
                traffic: scene.traffic,
                counts: scene.counts,
            }
        };
        Course {
            name,
            kind: Kind::Agents,
            judged: SETTLED..case.intervals,
            runs: SEEDS_OF_AGENTS.map(run).into(),
            timing: case.timing,
            agents: case.agents.clone(),
            faults: case.faults.agents.clone(),
            keeps: 1.0,
            policy: Box::new(move |interval| case.policy(interval)),
        }
    });
    let fleets = synthetic.chain(unfaithful).chain(recorded);
    fleets.chain(agents).collect()
}

impl Course {
    fn of(name: String, kind: Kind, make: impl Fn(u64) -> Workload) -> Self {
        let workload = make(SEEDS[0]);
        let span = &workload.spans[0].intervals;
        let end = span.end.min(INTERVALS);
        let policy = budget_alone(workload.budget);
        let run = |seed| {
            let Workload {
                traffic, schedule, ..
            } = make(seed);
            let counts = (0..end).map(|number| schedule.counts(&traffic, number));
            Run {
                seed,
                counts: counts.collect(),
                traffic,
            }
        };
        Self {
            name,
            kind,
            judged: span.start.min(WARM_UP)..end,
            runs: SEEDS.map(run).into(),
            timing: workload.timing,
            agents: workload.agents,
            faults: workload.faults,
            keeps: 1.0,
            policy: Box::new(move |_| policy.clone()),
        }
    }
}
