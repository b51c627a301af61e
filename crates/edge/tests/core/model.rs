//! Holding and deciding, beside a model that keeps everything in maps.

use super::*;

/// A span that a test sends: of which trace, which number, failed or slow.
#[derive(Debug, Clone)]
struct Sent {
    trace: u64,
    number: u64,
    fails: bool,
    is_slow: bool,
    is_tagged: bool,
}

impl Sent {
    fn span(&self) -> Span {
        let mut sent = span(self.trace, self.number);
        if self.fails {
            sent = failed(sent);
        }
        if self.is_slow {
            sent = lasting(sent, 700);
        }
        if self.is_tagged {
            sent.attributes.push(text("test.actor", "a"));
        }
        sent
    }
}

/// What the model knows of a trace.
#[derive(Debug, Clone, Default)]
struct Known {
    held: Vec<Sent>,
    since_ms: u64,
    ended_ms: Option<u64>,
    root: Option<Sent>,
    decided: Option<Option<Threshold>>,
}

#[derive(Default)]
struct Model {
    traces: BTreeMap<u64, Known>,
    kept: Vec<(Vec<u8>, Threshold)>,
    counts: HashMap<Class, (u64, u64)>,
}

impl Model {
    fn count(&mut self, class: Class, is_kept: bool) {
        let count = self.counts.entry(class).or_default();
        count.0 += 1;
        count.1 += u64::from(is_kept);
    }

    fn push(&mut self, sent: &Sent, now_ms: u64) {
        let known = self.traces.entry(sent.trace).or_default();
        let is_new_root = sent.number == 0 && known.root.is_none();
        if let Some(decided) = known.decided {
            if is_new_root {
                known.root = Some(sent.clone());
                self.count(
                    class(std::slice::from_ref(sent), Some(sent)),
                    decided.is_some(),
                );
            }
            if let Some(threshold) = decided {
                self.kept.push((sent.span().span_id, threshold));
            }
            return;
        }
        if known.held.is_empty() {
            known.since_ms = now_ms;
        }
        if is_new_root {
            known.root = Some(sent.clone());
            known.ended_ms = Some(now_ms);
        }
        let is_again = |held: &Sent| held.number == sent.number;
        if !known.held.iter().any(is_again) {
            known.held.push(sent.clone());
        } else if sent.number != 0 {
            // The second one is held, says what it says, and is left out when the trace is written.
            let first = known
                .held
                .iter_mut()
                .find(|held| held.number == sent.number)
                .unwrap();
            first.fails |= sent.fails;
            first.is_slow |= sent.is_slow;
            first.is_tagged |= sent.is_tagged;
        }
    }

    fn advance(&mut self, now_ms: u64) {
        let due = |known: &Known| match (known.ended_ms, known.decided) {
            (_, Some(_)) => false,
            (Some(ended_ms), _) => ended_ms + LIMITS.decision_delay_ms <= now_ms,
            (None, _) => known.since_ms + LIMITS.trace_timeout_ms <= now_ms,
        };
        let all: Vec<u64> = self
            .traces
            .iter()
            .filter(|(_, known)| due(known))
            .map(|(id, _)| *id)
            .collect();
        for id in all {
            let known = self.traces[&id].clone();
            let class = class(&known.held, known.root.as_ref());
            let probability = match (class, known.root.is_some()) {
                (Class::Error | Class::Tagged, _) => 1.0,
                (Class::Slow, _) => 0.5,
                (Class::Rest, true) => 0.125,
                (Class::Rest, false) => 0.25,
            };
            let threshold = Threshold::of_probability(probability);
            let is_kept = threshold.keeps(randomness(id));
            if known.root.is_some() {
                self.count(class, is_kept);
            }
            if is_kept {
                self.kept.extend(
                    known
                        .held
                        .iter()
                        .map(|sent| (sent.span().span_id, threshold)),
                );
            }
            let known = self.traces.get_mut(&id).unwrap();
            known.decided = Some(is_kept.then_some(threshold));
            known.held.clear();
        }
    }
}

fn class(held: &[Sent], root: Option<&Sent>) -> Class {
    let is_slow = match root {
        Some(root) => root.is_slow,
        None => held.iter().any(|sent| sent.is_slow),
    };
    if held.iter().any(|sent| sent.is_tagged) {
        Class::Tagged
    } else if held.iter().any(|sent| sent.fails) {
        Class::Error
    } else if is_slow {
        Class::Slow
    } else {
        Class::Rest
    }
}

#[derive(Debug, Clone)]
enum Event {
    Push(Vec<Sent>),
    Wait(u64),
}

prop_compose! {
    fn a_sent()(trace in 0..60_u64, number in 0..4_u64, fails in 0..12_u8, slow in 0..6_u8, tagged in 0..20_u8) -> Sent {
        Sent { trace, number, fails: fails == 0, is_slow: slow == 0, is_tagged: tagged == 0 }
    }
}

fn an_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => prop::collection::vec(a_sent(), 1..12).prop_map(Event::Push),
        1 => (1..8_000_u64).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn traces_are_held_and_decided_as_in_the_model(events in prop::collection::vec(an_event(), 1..60)) {
        let (mut core, mut model, mut now_ms) = (core(LIMITS), Model::default(), 100_000);
        let mut written = Vec::new();
        for event in events.into_iter().chain([Event::Wait(40_000)]) {
            match event {
                Event::Push(sent) => {
                    // A root that is sent again is said to be the same one.
                    let sent: Vec<Sent> = sent.into_iter().map(|one| {
                        let root = model.traces.get(&one.trace).and_then(|known| known.root.clone());
                        if one.number == 0 { root.unwrap_or(one) } else { one }
                    }).collect();
                    let mut once = Vec::new();
                    for one in sent {
                        if !once.iter().any(|other: &Sent| (other.trace, other.number) == (one.trace, one.number)) {
                            once.push(one);
                        }
                    }
                    push(&mut core, "shop", once.iter().map(Sent::span).collect(), now_ms);
                    for one in &once {
                        model.push(one, now_ms);
                    }
                }
                Event::Wait(ms) => {
                    now_ms += ms;
                    while core.advance(now_ms, 7) {}
                    model.advance(now_ms);
                }
            }
            written.extend(taken(&mut core));
        }
        let said = |span: &Span| (span.span_id.clone(), threshold(span).unwrap());
        let mut written: Vec<_> = written.iter().map(said).collect();
        written.sort_unstable();
        model.kept.sort_unstable();
        prop_assert_eq!(written, model.kept);
        let mut counts = HashMap::new();
        for counted in core.take_counts(now_ms) {
            prop_assert_eq!((&*counted.service, &*counted.operation), ("shop", "GET /"));
            counts.insert(counted.class, (counted.offered, counted.sampled));
        }
        prop_assert_eq!(counts, model.counts);
        prop_assert_eq!(core.figures().held_spans, 0);
    }

    /// However small the ring, memory stays within it, every span has one outcome, and the same traces are kept.
    #[test]
    fn a_ring_that_is_too_small_decides_early_and_loses_nothing(
        traces in 100..600_u64,
        size in 100..3_000_usize,
        order in any::<u64>(),
    ) {
        let limits = Limits { ring_bytes: 256 << 10, table_bytes: 20_000, ..LIMITS };
        let mut core = core(limits);
        let mut sent: Vec<(u64, u64)> = (0..traces).flat_map(|trace| (0..3).map(move |number| (trace, number))).collect();
        sent.sort_by_key(|(trace, number)| (trace / 50, (trace * 31 + number * 17 + order) % 101));
        let mut kept = 0;
        for (trace, number) in sent {
            let mut one = span(trace, number);
            one.attributes.push(text("filler", &"x".repeat(size)));
            push(&mut core, "shop", vec![one], 1);
            prop_assert!(core.figures().ring_bytes <= limits.ring_bytes as u64);
            kept += taken(&mut core).len() as u64;
        }
        while core.drain(2, 10) {}
        kept += taken(&mut core).len() as u64;
        let figures = core.figures();
        balances(&figures);
        prop_assert_eq!(figures.held_spans, 0);
        prop_assert_eq!(kept, figures.of(Outcome::Kept) + figures.of(Outcome::LateKept));
        prop_assert!(figures.decided[Cause::Memory as usize] > 0 || traces < 200);
    }
}
