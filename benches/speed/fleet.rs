//! A fleet's reports, by the million operations.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::SecondsFormat;
use uuid::Uuid;
use weir::clock::{Clock, SystemClock};

/// Operations in each service.
pub const PER_SERVICE: usize = 100;
/// More services than this are more than can be reported in three seconds.
const FEW: usize = 1_000;
/// Services in one report: the most operations that fit.
const SERVICES_PER_REPORT: usize = 200;

/// Agents that together report every service.
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

    /// The interval that Weir is started with, which is also each report's window: so every window
    /// is complete.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(if self.services > FEW { 10 } else { 3 })
    }

    /// The interval, as a flag takes it.
    pub fn interval_text(&self) -> String {
        format!("{}s", self.interval().as_secs())
    }

    /// Reports every operation once, as of the interval that ends now.
    pub async fn report(&mut self, client: &reqwest::Client, sdk_url: &str) {
        self.sequence += 1;
        let start =
            (SystemClock.now() - self.interval()).to_rfc3339_opts(SecondsFormat::Millis, true);
        for first in (0..self.services).step_by(SERVICES_PER_REPORT) {
            let last = (first + SERVICES_PER_REPORT).min(self.services);
            let sent = client
                .post(format!("{sdk_url}/v1/reports"))
                .header("Content-Type", "application/json")
                .body(self.body(first..last, &start))
                .send();
            assert_eq!(sent.await.unwrap().status(), 200);
        }
    }

    fn body(&self, services: std::ops::Range<usize>, start: &str) -> String {
        let agent = services.start;
        let services: Vec<String> = services.map(|at| self.service(at)).collect();
        format!(
            r#"{{"agent":"agent-{agent}","epoch":"{}","sequence":{},"window_start":"{start}","window_seconds":{},"services":[{}]}}"#,
            self.epoch,
            self.sequence,
            self.interval().as_secs(),
            services.join(","),
        )
    }

    fn service(&self, at: usize) -> String {
        let mut text = format!(r#"{{"service":"service-{at}","instances":3,"operations":["#);
        for operation in 0..PER_SERVICE {
            // Over four orders of magnitude, and a little different each time.
            let offered = 10_usize.pow((at + operation) as u32 % 5) * 7
                + (at * operation + self.sequence as usize) % 90;
            let comma = if operation == 0 { "" } else { "," };
            write!(
                text,
                r#"{comma}{{"operation":"GET /path/{operation}","offered":{offered},"sampled":1}}"#
            )
            .unwrap();
        }
        text + "]}"
    }
}
