//! The background jobs: hold the lease, compute plans, follow them, delete old data.
//!
//! The scheduler only sends a job's name; [`Runner`] decides whether it runs. To see how a plan is
//! made, begin with [`recompute`].

mod downsample;
mod edges;
mod emergency;
mod final_names;
mod follow;
mod leadership;
mod lease;
mod maintain;
mod measure;
mod observations;
mod polls;
mod prepare;
mod readability;
mod recompute;
mod replicas;
mod room;
mod runner;
mod settle;
mod steering;
mod tokens;
mod windows;

use std::sync::Arc;
use std::time::Duration;

pub use downsample::Downsample;
pub use edges::EdgeFollower;
pub use emergency::EmergencyFollower;
pub use final_names::FinalNameWriter;
pub use follow::{PlanFollower, load_current};
pub use leadership::{GivenUp, Leadership, Patience};
pub use lease::LeaseKeeper;
pub use maintain::{Maintain, RetentionPace};
pub use measure::Measure;
pub use polls::PollWriter;
pub use readability::{Readability, Unreadable};
pub use recompute::Recompute;
pub use replicas::{ReplicaWriter, host};
pub use runner::{Job, JobError, Runner, Scheduler};
pub use settle::Settle;
pub use tokens::TokenFollower;

use crate::clock::FleetClock;
use crate::configuration::{CostMeter, MatchCache};
use crate::names::{AgentNames, Dictionary};
use crate::observed::Observed;
use crate::snapshot::Served;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// The lease under which plans are computed.
pub const PLAN_LEASE: &str = "plan";

/// What all jobs need.
#[derive(Clone)]
pub struct JobContext {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The time all replicas agree on.
    pub clock: Arc<FleetClock>,
    /// Names and numbers.
    pub dictionary: Arc<Dictionary>,
    /// The names of agents.
    pub agents: Arc<AgentNames>,
    /// What is served.
    pub served: Arc<Served>,
    /// Whether this replica computes, and under which term.
    pub leadership: Leadership,
    /// Held while this replica publishes a plan and installs it, so that it does not load the plan
    /// that it is about to serve.
    pub publishing: Arc<tokio::sync::Mutex<()>>,
    /// Whether this replica can read the stored plans, counts and configuration.
    pub readability: Readability,
    /// How often a plan is computed; also the length of a bucket.
    pub interval: Duration,
    /// The metrics of the jobs.
    pub metrics: Arc<Metrics>,
    /// What this replica sees beside the counts.
    pub observed: Arc<Observed>,
    /// What a trace costs, as sources tell it.
    pub costs: Arc<CostMeter>,
    /// What the rules match.
    pub matches: Arc<MatchCache>,
}
