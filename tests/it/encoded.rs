//! Any wire format: a body is encoded when a plan is installed, and reused if it does not change.

use std::sync::atomic::{AtomicUsize, Ordering};

use weir::allocation::Plan;
use weir::protocols::encoded::{Encoded, StrategyFormat};
use weir::snapshot::{Served, ServedStrategy, Snapshot};

/// A format of one number, which counts how often it encodes.
#[derive(Default)]
struct Number(AtomicUsize);

impl StrategyFormat for &'static Number {
    fn encode(&self, strategy: &ServedStrategy<'_>) -> Vec<u8> {
        self.0.fetch_add(1, Ordering::Relaxed);
        strategy.default_probability.to_string().into_bytes()
    }
}

fn number() -> &'static Number {
    Box::leak(Box::default())
}

fn plan(number: u64, probability: f64) -> Snapshot {
    let mut plan = Plan {
        number,
        ..Plan::default()
    };
    plan.fleet.default_probability = probability;
    Snapshot::build(plan, None, &weir::names::Names::default())
}

#[test]
fn a_body_that_did_not_change_keeps_its_compressed_form() {
    let served = Served::new(Plan::default());
    let encoded = Encoded::attach(&served, number());
    served.install(plan(1, 0.5));
    let first = encoded.load().unknown().clone();
    served.install(plan(2, 0.5));
    assert_eq!(encoded.load().snapshot().plan().number, 2);
    let second = encoded.load().unknown().gzip();
    assert_eq!(second.as_ptr(), first.gzip().as_ptr());
    served.install(plan(3, 0.25));
    assert_eq!(&*encoded.load().unknown().plain(), b"0.25");
    assert_eq!(served.bytes(), 4);
}

#[test]
fn every_format_is_given_every_plan_once_and_no_request_encodes() {
    let served = Served::new(Plan::default());
    let formats = [number(), number()];
    let first = Encoded::attach(&served, formats[0]);
    served.install(plan(7, 0.5));
    let second = Encoded::attach(&served, formats[1]);
    served.install(plan(6, 0.75));
    assert_eq!(served.highest(), 7, "what comes next lies above it");
    for encoded in [&first, &second] {
        assert_eq!(&*encoded.load().unknown().plain(), b"0.75");
        assert!(encoded.load().service("shop").is_none());
    }
    let encodings = formats.map(|format| format.0.load(Ordering::Relaxed));
    assert_eq!(encodings, [3, 2]);
}
