//! Several edges that decide together, with messages that are values: each trace is kept whole or not at all, and its
//! root is counted once.

use weir_edge::core::peers::Edge;
use weir_edge::core::peers::message::{Answer, Message};

use super::*;

/// How often edges speak.
const EACH_MS: u64 = 100;

/// Spans of a trace.
const SPANS: u64 = 6;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Arrives,
    IsLost,
    /// It arrives, and the answer does not.
    AnswerIsLost,
}

/// Edges, and what they have written and counted.
struct Fleet {
    cores: Vec<Option<Core>>,
    now_ms: u64,
    written: Vec<Span>,
    /// What each edge has counted, and may not report yet.
    taken: Vec<Vec<Counted>>,
    counts: HashMap<Class, (u64, u64)>,
}

fn id(edge: usize) -> u64 {
    edge as u64 + 1
}

impl Fleet {
    fn of(edges: usize) -> Self {
        let mut fleet = Self {
            cores: Vec::new(),
            now_ms: 1_000_000,
            written: Vec::new(),
            taken: Vec::new(),
            counts: HashMap::new(),
        };
        (0..edges).for_each(|_| fleet.add());
        fleet
    }

    fn add(&mut self) {
        let limits = Limits {
            edge_id: id(self.cores.len()),
            ..LIMITS
        };
        self.cores.push(Some(core(limits)));
        self.taken.push(Vec::new());
        self.meet(&[]);
    }

    /// All see who is there.
    fn meet(&mut self, leaving: &[usize]) {
        let there = |(edge, core): (usize, &Option<Core>)| {
            core.as_ref().map(|_| Edge {
                id: id(edge),
                is_leaving: leaving.contains(&edge),
            })
        };
        let edges: Vec<Edge> = self.cores.iter().enumerate().filter_map(there).collect();
        for core in self.cores.iter_mut().flatten() {
            core.meet(edges.clone(), self.now_ms);
        }
    }

    fn push(&mut self, edge: usize, span: Span) {
        let core = self.cores[edge].as_mut().unwrap();
        push(core, "shop", vec![span], self.now_ms);
    }

    /// Each edge speaks to each other one.
    fn speak(&mut self, mut fate: impl FnMut() -> Fate) {
        let edges = self.cores.len();
        for (from, to) in (0..edges).flat_map(|from| (0..edges).map(move |to| (from, to))) {
            let now_ms = self.now_ms;
            if from == to {
                continue;
            }
            let Some(mut one) = self.cores[from].take() else {
                continue;
            };
            if let Some(message) = one.message(id(to)) {
                let read = Message::decode(&message.encode()).unwrap();
                assert_eq!(read, message);
                let fate = fate();
                let other = self.cores[to].as_mut().filter(|_| fate != Fate::IsLost);
                let answer = other.and_then(|other| other.answer(&read, now_ms));
                match answer.filter(|_| fate == Fate::Arrives) {
                    Some(answer) => {
                        let read = Answer::decode(&answer.encode()).unwrap();
                        assert_eq!(read, answer);
                        one.hear(&read, now_ms);
                    }
                    None => one.not_sent(id(to), message, now_ms),
                }
            }
            self.cores[from] = Some(one);
        }
        self.collect();
    }

    fn collect(&mut self) {
        for (core, waiting) in self.cores.iter_mut().zip(&mut self.taken) {
            let Some(core) = core else { continue };
            self.written.extend(taken(core));
            balances(&core.figures());
            if waiting.is_empty() {
                *waiting = core.take_counts(self.now_ms);
            }
            if core.are_counts_known(self.now_ms) {
                report(waiting, &mut self.counts);
            }
        }
    }

    fn wait(&mut self, ms: u64, mut fate: impl FnMut() -> Fate) {
        for _ in 0..ms / EACH_MS {
            self.now_ms += EACH_MS;
            for core in self.cores.iter_mut().flatten() {
                while core.advance(self.now_ms, 100) {}
            }
            self.speak(&mut fate);
        }
    }

    /// Ends an edge in order.
    fn leave(&mut self, edge: usize) {
        for _ in 0..5 {
            while self.cores[edge].as_mut().unwrap().leave(self.now_ms, 10) {}
            self.speak(|| Fate::Arrives);
            self.meet(&[edge]);
        }
        let core = self.cores[edge].as_ref().unwrap();
        assert!(core.has_settled(self.now_ms));
        assert_eq!(core.figures().held_spans, 0);
        let left = &mut self.taken[edge];
        left.extend(self.cores[edge].as_mut().unwrap().take_counts(self.now_ms));
        report(left, &mut self.counts);
        self.kill(edge);
    }

    /// What it has not reported is lost with it.
    fn kill(&mut self, edge: usize) {
        self.cores[edge] = None;
        self.taken[edge].clear();
        self.meet(&[]);
    }

    /// The spans that were written of each trace.
    fn kept(&self) -> BTreeMap<Vec<u8>, usize> {
        let mut kept = BTreeMap::new();
        let mut seen = std::collections::HashSet::new();
        for span in &self.written {
            assert!(seen.insert(&span.span_id), "a span is written once");
            *kept.entry(span.trace_id.clone()).or_default() += 1;
        }
        kept
    }

    fn sum(&self, of: impl Fn(&Figures) -> u64) -> u64 {
        let there = self.cores.iter().flatten();
        there.map(|core| of(&core.figures())).sum()
    }

    fn offered(&self) -> u64 {
        self.counts.values().map(|count| count.0).sum()
    }
}

/// Adds what an edge reports.
fn report(taken: &mut Vec<Counted>, counts: &mut HashMap<Class, (u64, u64)>) {
    for counted in taken.drain(..) {
        assert_eq!((&*counted.service, &*counted.operation), ("shop", "GET /"));
        let count = counts.entry(counted.class).or_default();
        count.0 += counted.offered;
        count.1 += counted.sampled;
    }
}

/// A class for each trace, by its number.
fn class_of(trace: u64) -> Class {
    match trace % 8 {
        0 => Class::Error,
        1 => Class::Slow,
        2 => Class::Tagged,
        _ => Class::Rest,
    }
}

/// A span of a trace of a class; its last one says what the trace is.
fn part(trace: u64, number: u64) -> Span {
    let one = span(trace, number);
    match (class_of(trace), number) {
        (Class::Error, 5) => failed(one),
        (Class::Slow, 0) => lasting(one, 700),
        (Class::Tagged, 4) => Span {
            attributes: vec![text("test.actor", "a")],
            ..one
        },
        _ => one,
    }
}

fn is_kept(trace: u64) -> bool {
    let probability = match class_of(trace) {
        Class::Error | Class::Tagged => 1.0,
        Class::Slow => 0.5,
        Class::Rest => 0.125,
    };
    Threshold::of_probability(probability).keeps(randomness(trace))
}

fn check_whole(fleet: &Fleet, traces: u64) {
    let kept = fleet.kept();
    for trace in 0..traces {
        let spans = kept.get(&trace_id(trace)).copied().unwrap_or(0);
        let expected = if is_kept(trace) { SPANS as usize } else { 0 };
        assert_eq!(spans, expected, "trace {trace}, {:?}", class_of(trace));
    }
    assert_eq!(fleet.sum(|figures| figures.conflicts + figures.alone), 0);
    let mut expected: HashMap<Class, (u64, u64)> = HashMap::new();
    for trace in 0..traces {
        let count = expected.entry(class_of(trace)).or_default();
        count.0 += 1;
        count.1 += u64::from(is_kept(trace));
    }
    assert_eq!(fleet.counts, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Spans come to edges at random and in any order; messages and answers are lost.
    #[test]
    fn traces_over_three_edges_are_whole_and_counted_once(
        places in prop::collection::vec((0..3_usize, 0..1_000_u32), 120 * SPANS as usize),
        fates in prop::collection::vec(0..6_u8, 200),
    ) {
        let mut fleet = Fleet::of(3);
        let mut fates = fates.into_iter().cycle();
        let mut fate = || match fates.next() {
            Some(0) => Fate::IsLost,
            Some(1) => Fate::AnswerIsLost,
            _ => Fate::Arrives,
        };
        let mut sent: Vec<(u64, u64, usize, u32)> = places.iter().enumerate().map(|(index, (edge, order))| {
            let index = index as u64;
            (index / SPANS, index % SPANS, *edge, *order)
        }).collect();
        sent.sort_by_key(|(trace, _, _, order)| (trace / 20, *order));
        for (trace, number, edge, _) in sent {
            fleet.push(edge, part(trace, number));
            if number == 3 {
                fleet.wait(EACH_MS, &mut fate);
            }
        }
        // Some spans of a group of twenty traces come after the decision, and follow it.
        fleet.wait(40_000, || Fate::Arrives);
        let kept = fleet.kept();
        prop_assert!(kept.values().all(|spans| *spans == SPANS as usize), "{kept:?}");
        prop_assert_eq!(fleet.offered(), 120);
        let sampled: u64 = fleet.counts.values().map(|count| count.1).sum();
        prop_assert_eq!(sampled, kept.len() as u64);
        prop_assert_eq!(fleet.sum(|figures| figures.conflicts + figures.alone), 0);
        prop_assert_eq!(fleet.sum(|figures| figures.held_traces), 0);
    }

    #[test]
    fn damaged_messages_are_refused_or_read_and_never_more_than_that(
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = (Message::decode(&body), Answer::decode(&body));
        let mut versioned = vec![1, 0, 0];
        versioned.extend(&body);
        if let Ok(message) = Message::decode(&versioned) {
            prop_assert_eq!(Message::decode(&message.encode()).unwrap(), message.clone());
            let mut core = core(LIMITS);
            core.answer(&message, 1);
        }
    }
}

#[test]
fn three_edges_decide_as_one_would() {
    let mut fleet = Fleet::of(3);
    for trace in 0..300 {
        for number in 0..SPANS {
            fleet.push(((trace * 7 + number * 5) % 3) as usize, part(trace, number));
        }
    }
    fleet.wait(5_000, || Fate::Arrives);
    check_whole(&fleet, 300);
    assert!(fleet.sum(|figures| figures.decided[Cause::Owner as usize]) > 300);
}

#[test]
fn an_edge_that_joins_and_one_that_leaves_in_the_middle_cost_no_trace() {
    let mut fleet = Fleet::of(2);
    for trace in 0..300 {
        if trace == 100 {
            fleet.add();
        }
        if trace == 200 {
            fleet.leave(0);
        }
        let edges: &[usize] = match trace {
            0..100 => &[0, 1],
            100..200 => &[0, 1, 2],
            _ => &[1, 2],
        };
        for number in 0..SPANS {
            let edge = edges[((trace * 7 + number * 5) % edges.len() as u64) as usize];
            fleet.push(edge, part(trace, number));
        }
        fleet.wait(EACH_MS, || Fate::Arrives);
    }
    fleet.wait(5_000, || Fate::Arrives);
    check_whole(&fleet, 300);
}

/// What the killed edge held is lost. Of each trace, the others keep all of their spans or none, and whoever holds the
/// root has it counted.
#[test]
fn an_edge_that_is_killed_takes_its_own_spans_alone() {
    let mut fleet = Fleet::of(3);
    let place = |trace: u64, number: u64| ((trace * 7 + number * 5) % 3) as usize;
    for trace in 0..300 {
        for number in 0..SPANS {
            let edge = place(trace, number);
            if trace < 150 || edge != 2 {
                fleet.push(edge, part(trace, number));
            }
        }
        fleet.wait(EACH_MS, || Fate::Arrives);
        if trace == 149 {
            fleet.kill(2);
        }
    }
    fleet.wait(40_000, || Fate::Arrives);
    let mut kept: HashMap<Vec<u8>, usize> = HashMap::new();
    for span in &fleet.written {
        *kept.entry(span.trace_id.clone()).or_default() += 1;
    }
    let (mut roots, mut lost) = (0, 0);
    for trace in 0..300 {
        let of_others = (0..SPANS)
            .filter(|number| place(trace, *number) != 2)
            .count();
        let spans = kept.get(&trace_id(trace)).copied().unwrap_or(0);
        let is_whole = spans == 0 || spans == of_others || spans == SPANS as usize;
        assert!(is_whole, "trace {trace} has {spans} spans of {of_others}");
        roots += u64::from(place(trace, 0) != 2);
        lost += u64::from(place(trace, 0) == 2);
    }
    assert!(lost > 0);
    assert!(
        (roots..=300).contains(&fleet.offered()),
        "{}",
        fleet.offered()
    );
    assert_eq!(fleet.sum(|figures| figures.held_traces), 0);
    assert_eq!(fleet.sum(|figures| figures.conflicts), 0);
}

/// An edge reports a root only once the others know what became of it, so nobody counts it again. What it had told and not
/// reported is lost, as all counts of an edge that is killed.
#[test]
fn no_root_is_counted_twice_whenever_its_owner_dies() {
    const TRACES: u64 = 90;
    let mut lost_most = 0;
    for (dies, are_lost) in (15..35).flat_map(|dies| [(dies, false), (dies, true)]) {
        let mut fleet = Fleet::of(3);
        for trace in 0..TRACES {
            for number in 0..SPANS {
                fleet.push(((trace + number) % 2) as usize, part(trace, number));
            }
        }
        fleet.wait(15 * EACH_MS, || Fate::Arrives);
        let fate = if are_lost {
            Fate::AnswerIsLost
        } else {
            Fate::Arrives
        };
        fleet.wait((dies - 15) * EACH_MS, || fate);
        fleet.kill(2);
        fleet.wait(40_000, || Fate::Arrives);
        assert!(fleet.offered() <= TRACES, "{} at {dies}", fleet.offered());
        if are_lost {
            assert_eq!(
                fleet.offered(),
                TRACES,
                "nobody was told, so the others count"
            );
        }
        lost_most = lost_most.max(TRACES - fleet.offered());
        let kept = fleet.kept();
        assert!(
            kept.values().all(|spans| *spans == SPANS as usize),
            "{kept:?}"
        );
    }
    println!("at most {lost_most} of {TRACES} roots were counted by nobody");
}

#[test]
fn a_full_ring_asks_the_owner_to_hurry_before_it_decides_alone() {
    let mut fleet = Fleet::of(2);
    let filled = |trace| {
        let mut one = span(trace, 1);
        one.attributes.push(text("filler", &"x".repeat(9_000)));
        one
    };
    for trace in 0..3_000 {
        fleet.push(0, filled(trace));
        if trace % 20 == 0 {
            fleet.wait(EACH_MS, || Fate::Arrives);
        }
    }
    assert_eq!(fleet.sum(|figures| figures.alone), 0);
    assert!(fleet.sum(|figures| figures.decided[Cause::Owner as usize]) > 500);
    // Where the other one does not answer, the oldest are decided without it.
    for trace in 3_000..5_000 {
        fleet.push(0, filled(trace));
    }
    assert!(fleet.sum(|figures| figures.alone) > 100);
}

#[test]
fn an_owner_that_is_silent_is_not_waited_for() {
    for comes_back in [true, false] {
        let mut fleet = Fleet::of(2);
        for trace in 0..100 {
            fleet.push(0, part(trace, 0));
        }
        fleet.wait(40_000, || Fate::IsLost);
        let silent = fleet.sum(|figures| figures.decided[Cause::OwnerSilent as usize]);
        assert!((20..80).contains(&silent), "{silent}");
        assert_eq!(fleet.sum(|figures| figures.held_traces), 0);
        // Either it gets to know them later, and counts them, or it has gone.
        if !comes_back {
            fleet.kill(1);
        }
        fleet.wait(5_000, || Fate::Arrives);
        assert_eq!(fleet.offered(), 100);
    }
}

#[test]
fn what_one_edge_relieves_all_relieve() {
    let mut fleet = Fleet::of(2);
    fleet.cores[1].as_mut().unwrap().relieve(0.9, 0);
    for trace in 0..400 {
        fleet.push((trace % 2) as usize, failed(span(trace, 0)));
    }
    fleet.wait(5_000, || Fate::Arrives);
    let kept = fleet.written.len();
    assert!((150..250).contains(&kept), "{kept}");
    assert!(
        fleet
            .written
            .iter()
            .all(|span| span.trace_state == "ot=th:8")
    );
}
