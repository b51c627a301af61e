//! Makes traces, in the JSON of OTLP.

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use weir_allocation::Class;

/// The service.
pub const SERVICE: &str = "checkout";

/// A trace that takes longer is slow.
pub const SLOW_MS: i64 = 500;

/// The operations, as they take turns.
const OPERATIONS: [&str; 4] = ["GET /cart", "POST /cart", "GET /cart", "POST /order"];

/// What comes, in traces per second of each class, in the order of [`Class::ALL`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates([f64; Class::ALL.len()]);

impl Rates {
    /// A calm service that has ten times as many traces as the budget keeps, in traces per second.
    #[must_use]
    pub fn calm(budget: f64) -> Self {
        Self([0.02, 0.2, 0.04, 10.0].map(|part| part * budget))
    }

    /// The same with a hundred times as many errors.
    #[must_use]
    pub fn storm(budget: f64) -> Self {
        let mut rates = Self::calm(budget);
        rates.0[Class::Error as usize] *= 100.0;
        rates
    }
}

/// Traces as they come.
#[derive(Debug)]
pub struct Traces {
    random: StdRng,
    /// Parts of traces that are left of the time before.
    owed: [f64; Class::ALL.len()],
    /// How many traces there were. Operations take turns in each class, so that a plan soon knows them all.
    made: [usize; Class::ALL.len()],
}

impl Traces {
    /// The same seed gives the same traces.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            owed: [0.0; Class::ALL.len()],
            made: [0; Class::ALL.len()],
        }
    }

    /// What came in the last `seconds` up to now, as one export.
    pub fn export(&mut self, rates: &Rates, seconds: f64, now: DateTime<Utc>) -> Value {
        let mut spans = Vec::new();
        for class in Class::ALL {
            let owed = &mut self.owed[class as usize];
            *owed += rates.0[class as usize] * seconds;
            let whole = owed.floor();
            *owed -= whole;
            for _ in 0..whole as u64 {
                spans.extend(self.trace(class, now));
            }
        }
        let service = json!([{"key": "service.name", "value": {"stringValue": SERVICE}}]);
        json!({"resourceSpans": [{"resource": {"attributes": service}, "scopeSpans": [{"spans": spans}]}]})
    }

    /// A request, and what it asks of a database.
    fn trace(&mut self, class: Class, now: DateTime<Utc>) -> [Value; 2] {
        let id: u128 = self.random.random();
        let [root, child] = [(); 2].map(|()| self.random.random::<u64>() | 1);
        let made = &mut self.made[class as usize];
        let operation = OPERATIONS[*made % OPERATIONS.len()];
        *made += 1;
        let took = if class == Class::Slow {
            2 * SLOW_MS
        } else {
            20
        };
        let ns = |ago_ms: i64| {
            let at = now - TimeDelta::milliseconds(ago_ms);
            at.timestamp_nanos_opt().unwrap_or_default().to_string()
        };
        let code = if class == Class::Error { 2 } else { 0 };
        let actor = json!([{"key": "test.actor", "value": {"stringValue": "ann"}}]);
        let attributes = if class == Class::Tagged {
            actor
        } else {
            json!([])
        };
        let span = |id_of: u64, parent: Option<u64>, name: &str, kind: u32, status: u32| {
            json!({
                "traceId": format!("{id:032x}"), "spanId": format!("{id_of:016x}"),
                "parentSpanId": parent.map(|id| format!("{id:016x}")).unwrap_or_default(),
                "name": name, "kind": kind, "attributes": attributes, "status": {"code": status},
                "startTimeUnixNano": ns(took), "endTimeUnixNano": ns(0),
            })
        };
        [
            span(child, Some(root), "SELECT", 3, code),
            span(root, None, operation, 2, 0),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_traces_come_as_the_rates_say_and_each_says_what_it_is() {
        let mut traces = Traces::new(1);
        let (mut roots, mut failed, mut tagged) = (0, 0, 0);
        for _ in 0..100 {
            let export = traces.export(&Rates::calm(50.0), 0.1, DateTime::UNIX_EPOCH);
            let spans = &export["resourceSpans"][0]["scopeSpans"][0]["spans"];
            for span in spans.as_array().unwrap() {
                let is_root = span["parentSpanId"] == "";
                roots += usize::from(is_root);
                failed += usize::from(span["status"]["code"] == 2);
                tagged += usize::from(is_root && span["attributes"] != json!([]));
            }
        }
        assert!((5_125..=5_130).contains(&roots), "{roots}");
        assert!((9..=10).contains(&failed), "{failed}");
        assert!((19..=20).contains(&tagged), "{tagged}");
    }
}
