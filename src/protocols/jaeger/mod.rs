//! Jaeger remote sampling: returns the current strategy of a service, over HTTP and over gRPC, and
//! the strategies of all services as a file.
//!
//! A poll looks up a body in the snapshot and sends it: no database, no lock, no encoder. Compression
//! is the only thing that depends on a request header.

pub mod file;
mod grpc;
mod http;
mod json;
pub mod protobuf;

use std::sync::Arc;

use crate::clock::Clock;
use crate::protocols::encoded::{Body, Encoded, StrategyFormat};
use crate::snapshot::{PollClient, Snapshot, Strangers};
use crate::telemetry::metrics::{Metrics, PollOutcome, PollProtocol};

pub use grpc::SamplingManager;
pub use http::ROUTES;
pub(super) use http::send;
pub use json::Json;
pub use protobuf::Protobuf;

/// The header with the number of the plan that an answer is from.
const PLAN_HEADER: &str = "weir-plan";

/// The header that says whether that plan is older than it should be.
const STALE_HEADER: &str = "weir-plan-stale";

/// What answers polls in one format.
#[derive(Clone)]
pub struct Polls<F> {
    /// The bodies to send.
    pub strategies: Arc<Encoded<F>>,
    /// What is said beside them.
    pub about: About,
}

/// Says how old a plan is, and counts polls.
#[derive(Clone)]
pub struct About {
    /// The metrics of polls.
    pub metrics: Arc<Metrics>,
    /// The time all replicas agree on.
    pub clock: Arc<dyn Clock>,
    /// A plan older than this is stale, in seconds.
    pub stale_after_seconds: f64,
    /// Counts the polls of services that the plan does not know.
    pub strangers: Arc<Strangers>,
}

/// What is said of a plan beside a body: versions never go into the body, because a client refuses
/// fields that it does not know.
#[derive(Debug, Clone, Copy)]
struct PlanAge {
    number: u64,
    /// Its age in seconds, and whether that is too old; none before the first plan.
    age: Option<(u64, bool)>,
}

impl About {
    fn plan(&self, snapshot: &Snapshot) -> PlanAge {
        let age = snapshot.age_seconds(self.clock.now());
        PlanAge {
            number: snapshot.plan().number,
            age: age.map(|seconds| (seconds as u64, seconds > self.stale_after_seconds)),
        }
    }

    fn count(&self, protocol: PollProtocol, outcome: PollOutcome) {
        self.metrics.polls.of((protocol, outcome)).inc();
    }
}

impl<F: StrategyFormat> Polls<F> {
    /// Answers the poll of a service: `take` gets its body, or the fleet's default if the plan does
    /// not know it.
    fn answer<T>(
        &self,
        protocol: PollProtocol,
        client: PollClient,
        service: &str,
        take: impl FnOnce(&Body, PlanAge) -> T,
    ) -> T {
        let bodies = self.strategies.load();
        let (outcome, body) = match bodies.poll(service, client) {
            Some(known) => (PollOutcome::Known, known),
            None => {
                self.about.strangers.count(service, client);
                (PollOutcome::Unknown, bodies.unknown())
            }
        };
        self.about.count(protocol, outcome);
        take(body, self.about.plan(bodies.snapshot()))
    }
}
