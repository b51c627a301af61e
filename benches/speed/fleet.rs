//! A fleet's reports, by the million operations.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;
use weir::clock::{Clock, SystemClock};

/// Operations in each service.
pub const PER_SERVICE: usize = 100;
/// Services in one report: the most operations that fit.
const SERVICES_PER_REPORT: usize = 200;

/// Agents that between them see every service.
pub struct Fleet {
    services: usize,
    epoch: Uuid,
    sequence: u64,
}

impl Fleet {
    pub fn new(services: usize) -> Self {
        Self {
            services,
            epoch: Uuid::new_v4(),
            sequence: 0,
        }
    }

    pub fn operations(&self) -> usize {
        self.services * PER_SERVICE
    }

    /// Reports every operation once, as of the last two seconds.
    pub async fn report(&mut self, client: &reqwest::Client, sdk_url: &str) {
        self.sequence += 1;
        let start: chrono::DateTime<Utc> = SystemClock.now() - TimeDelta::seconds(2);
        for first in (0..self.services).step_by(SERVICES_PER_REPORT) {
            let last = (first + SERVICES_PER_REPORT).min(self.services);
            let services: Vec<Value> = (first..last).map(|at| service(at, self.sequence)).collect();
            let report = json!({
                "agent": format!("agent-{first}"), "epoch": self.epoch, "sequence": self.sequence,
                "window_start": start, "window_seconds": 2, "services": services,
            });
            let sent = client
                .post(format!("{sdk_url}/v1/reports"))
                .json(&report)
                .send();
            assert_eq!(sent.await.unwrap().status(), 200);
        }
    }
}

fn service(at: usize, sequence: u64) -> Value {
    let operations: Vec<Value> = (0..PER_SERVICE)
        .map(|operation| {
            let offered = 10 + (at * operation + sequence as usize) % 90;
            json!({ "operation": format!("GET /path/{operation}"), "offered": offered, "sampled": 1 })
        })
        .collect();
    json!({ "service": format!("service-{at}"), "instances": 3, "operations": operations })
}
