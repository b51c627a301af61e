//! Plays processes, losses, repetitions, restarts and pauses at random.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::*;
use super::{NINE, SECOND, at, export, point};
use crate::ingest::source::{Convention, Family, Temporality};

/// A process that counts requests by series.
#[derive(Debug, Clone)]
struct Process {
    number: u64,
    start_ns: u64,
    /// Of each series its start, its value, and what it had at the last collection.
    series: BTreeMap<u64, (u64, u64, u64)>,
    collected_ns: u64,
}

/// What may happen to a fleet of one resource.
#[derive(Debug, Clone)]
enum Event {
    Request {
        process: usize,
        series: u64,
        count: u64,
    },
    Collect {
        process: usize,
    },
    /// An export that was collected reaches a replica, perhaps not for the first time.
    Arrive {
        export: usize,
        replica: usize,
    },
    Restart {
        process: usize,
    },
    Pause {
        seconds: u64,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (0..3_usize, 0..4_u64, 1..50_u64)
            .prop_map(|(process, series, count)| Event::Request { process, series, count }),
        3 => (0..3_usize).prop_map(|process| Event::Collect { process }),
        5 => (0..12_usize, 0..2_usize)
            .prop_map(|(export, replica)| Event::Arrive { export, replica }),
        1 => (0..3_usize).prop_map(|process| Event::Restart { process }),
        1 => prop_oneof![Just(60_u64), Just(600), Just(3 * 3600)]
            .prop_map(|seconds| Event::Pause { seconds }),
    ];
    prop::collection::vec(event, 1..120)
}

/// How processes say when they began to count.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Starts {
    /// All series at the start of the process.
    Process,
    /// Each series at its first request.
    Series,
}

/// A fleet of one resource, two replicas that remember the state they last saw, and the store.
struct World {
    now_ns: u64,
    starts: Starts,
    temporality: Temporality,
    processes: Vec<Process>,
    sent: Vec<Vec<Point<'static>>>,
    stored: (u64, Vec<u8>),
    seen: [(u64, Vec<u8>); 2],
    said: Said,
    counted: u64,
    /// What processes counted and what has arrived of it, by process and series or by export.
    arrived: BTreeMap<(u64, u64), u64>,
    deltas: BTreeSet<usize>,
    born: u64,
}

impl World {
    fn new(starts: Starts, temporality: Temporality) -> Self {
        let mut world = Self {
            now_ns: NINE,
            starts,
            temporality,
            processes: Vec::new(),
            sent: Vec::new(),
            stored: (0, Vec::new()),
            seen: [(0, Vec::new()), (0, Vec::new())],
            said: Said::default(),
            counted: 0,
            arrived: BTreeMap::new(),
            deltas: BTreeSet::new(),
            born: 0,
        };
        for _ in 0..3 {
            let process = world.begin();
            world.processes.push(process);
        }
        world
    }

    fn begin(&mut self) -> Process {
        self.born += 1;
        Process {
            number: self.born,
            start_ns: self.now_ns + self.born,
            series: BTreeMap::new(),
            collected_ns: self.now_ns + self.born,
        }
    }

    fn happens(&mut self, event: &Event) {
        self.now_ns += SECOND;
        match *event {
            Event::Request {
                process,
                series,
                count,
            } => {
                let (start_ns, starts) = (self.now_ns, self.starts);
                let process = &mut self.processes[process];
                let start_ns = match starts {
                    Starts::Process => process.start_ns,
                    Starts::Series => start_ns + process.number,
                };
                process.series.entry(series).or_insert((start_ns, 0, 0)).1 += count;
            }
            Event::Collect { process } => self.collect(process),
            Event::Arrive { export, replica } => {
                // The newest exports: older ones have been given up.
                if let Some(export) = self.sent.len().checked_sub(export + 1) {
                    self.arrive(export, replica);
                }
            }
            Event::Restart { process } => self.processes[process] = self.begin(),
            Event::Pause { seconds } => self.now_ns += seconds * SECOND,
        }
    }

    fn collect(&mut self, process: usize) {
        let (temporality, time_ns) = (self.temporality, self.now_ns + process as u64);
        let process = &mut self.processes[process];
        let mut points = Vec::new();
        for (series, (start_ns, value, before)) in &mut process.series {
            let (start_ns, value) = match temporality {
                Temporality::Cumulative => (*start_ns, *value),
                Temporality::Delta => (process.collected_ns, *value - *before),
            };
            *before += if temporality == Temporality::Delta {
                value
            } else {
                0
            };
            let counted = Counted::Requests {
                family: Family::Http,
                convention: Convention::Stable,
                at_start: format!("GET {series}").into(),
                at_end: None,
            };
            let mut point = point(*series, counted, start_ns, time_ns, value);
            point.temporality = temporality;
            points.push(point);
        }
        process.collected_ns = time_ns;
        self.sent.push(points);
    }

    /// Takes an export as a replica does: with the state that it remembers, until the store's is the same.
    fn arrive(&mut self, number: usize, replica: usize) {
        let instants = at(self.now_ns);
        let export = export(self.sent[number].clone());
        loop {
            let (version, bytes) = self.seen[replica].clone();
            let state = match version {
                0 => SourceState::default(),
                _ => decode(&bytes).expect("the store gives back what was written"),
            };
            let mut taken = take(state.clone(), &export, instants);
            if taken.next != state {
                if version != self.stored.0 {
                    self.seen[replica] = self.stored.clone();
                    continue;
                }
                self.stored = (version + 1, encode(&mut taken.next, instants.now_ns));
                self.seen[replica] = self.stored.clone();
            } else if version != self.stored.0 {
                // Nothing is new, even by an older state.
                assert_eq!(taken.counts, None);
            }
            self.said.add(taken.said);
            if let Some(counts) = taken.counts {
                let (now, oldest) = (instants.now_ns, instants.oldest_ns);
                assert!(counts.window.start < counts.window.end);
                assert!(counts.window.end.0 <= milliseconds(now));
                assert!(counts.window.start.0 >= milliseconds(oldest));
                self.counted += counts
                    .entries
                    .iter()
                    .map(|entry| entry.offered)
                    .sum::<u64>();
            }
            break;
        }
        self.note_arrival(number, instants);
    }

    fn note_arrival(&mut self, number: usize, instants: Instants) {
        let recent = |point: &&Point<'_>| point.time_ns >= instants.oldest_ns;
        match self.temporality {
            Temporality::Cumulative => {
                for point in self.sent[number].iter().filter(recent) {
                    let key = (point.series, point.start_ns);
                    let newest = self.arrived.entry(key).or_default();
                    *newest = point.value.max(*newest);
                }
            }
            Temporality::Delta => {
                if self.sent[number].iter().all(|point| recent(&point)) {
                    self.deltas.insert(number);
                }
            }
        }
    }

    fn expected(&self) -> u64 {
        let deltas = self.deltas.iter().flat_map(|number| &self.sent[*number]);
        self.arrived.values().sum::<u64>() + deltas.map(|point| point.value).sum::<u64>()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Whatever is sent again, overtaken, lost, paused or restarted, by however many processes and at
    /// whichever replica: what is counted is what the processes had counted in what arrived.
    #[test]
    fn what_is_counted_is_what_processes_counted(
        events in events(),
        starts in prop_oneof![Just(Starts::Process), Just(Starts::Series)],
        temporality in prop_oneof![Just(Temporality::Cumulative), Just(Temporality::Delta)],
    ) {
        let mut world = World::new(starts, temporality);
        for event in &events {
            world.happens(event);
            prop_assert!(world.counted <= world.expected(), "{:?}", world.said);
            if world.said.is_empty() {
                prop_assert_eq!(world.counted, world.expected());
            }
        }
    }
}
