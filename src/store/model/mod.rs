//! The arguments and results of a store, independent of SQL and drivers.
//!
//! Nothing here knows SQL or a driver.

mod audit;
mod configuration;
mod connections;
mod edges;
mod final_names;
mod fleet;
mod formats;
mod history;
mod lease;
mod names;
mod observations;
mod plans;
mod polls;
mod replicas;
mod reports;
mod retention;
mod series;
mod tokens;

pub use audit::{
    AUDIT_ENTRIES_MAX, AuditAction, AuditAsked, AuditEntry, NewAuditEntry, Origin, REASON_MAX,
};
pub use configuration::{ConfigurationRevision, ConfigurationWrite, RevisionMark, StoredOrigins};
pub use connections::PoolState;
pub use edges::{EdgeBeat, StoredEdge};
pub use final_names::{FinalName, ReplicaFinalNames, ServiceFinalNames, StoredFinalNames};
pub use fleet::FleetSettings;
pub use formats::WriteFormat;
pub use history::{HistoryRow, Settlement, Settling};
pub use lease::LeaseAnswer;
pub use names::{
    DictionaryCursor, DictionaryEntry, DictionaryLimits, DictionaryPage, Incarnation, Placement,
    Step,
};
pub use observations::{
    Observation, Poller, RefusedReports, ReplicaObservations, ServiceSpans, SpanSums,
    StoredObservations,
};
pub use plans::{Claim, NewPlan, PlanMark, PlanRow, Publication, StoredPlan};
pub use polls::{PollsAsked, ReplicaPolls, StoredPolls};
pub use replicas::{ReplicaBeat, StoredReplica};
pub use reports::{
    Admission, BucketCounts, BucketOperation, NextState, ResolvedReport, SourceState, StoredDelta,
    UNKNOWN_SEQUENCE,
};
pub use retention::{Maintained, Retention, Revisions};
pub use series::{
    Covered, NewSeries, SeriesAsked, SeriesBefore, SeriesBlock, SeriesKey, SeriesMark, SeriesOf,
    SeriesPart, SeriesRow, SeriesStep, StepsKept, Sums, TRACE_PARTS,
};
pub use tokens::{TokenCreation, TokensMark};
