//! A backend whose calls are bounded, retried and classified.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;

use crate::store::backend::Backend;
use crate::store::fault::Fault;
use crate::store::soundness::Inspect;
use crate::store::{Cause, StoreError};
use crate::telemetry::metrics::StoreCall;

/// The longest that any call may take, including retries and waiting for a connection. Otherwise a
/// server that vanished without closing its connections would block callers for the kernel's
/// quarter of an hour.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// How often a transaction that conflicts with another one is tried, including the first attempt.
const ATTEMPTS: u32 = 10;

/// A backend whose calls are bounded.
pub(super) struct Limited<B>(pub B);

impl<B: Backend> Limited<B> {
    /// Runs a call within the time limit, and again if it conflicted with another transaction.
    pub async fn run<T, F>(
        &self,
        call: StoreCall,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let considered = || {
            let attempt = attempt();
            async { attempt.await.map_err(|fault| self.0.consider(fault)) }
        };
        self.at_host(run(during(call), considered).await)
    }

    /// Runs a call that passes rows on as they arrive. It runs only once, because rows that were
    /// passed on cannot be taken back.
    pub async fn once<T>(
        &self,
        call: StoreCall,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, StoreError> {
        self.at_host(bounded(during(call), work).await)
    }

    fn at_host<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        outcome.map_err(|error| error.at(self.0.host().as_deref()))
    }
}

/// Runs work within the time limit, and again if it conflicted with another transaction.
pub(in crate::store) async fn run<T, F>(
    during: &'static str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, Fault>>,
{
    let attempts = async {
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            match attempt().await {
                Err(fault) if left > 0 && fault.is_worth_another_attempt() => {}
                outcome => return outcome,
            }
        }
    };
    bounded(during, attempts).await
}

async fn bounded<T>(
    during: &'static str,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(TIME_LIMIT, work).await {
        Ok(outcome) => outcome.map_err(|fault| fault.during(during)),
        Err(_) => Err(StoreError::Unavailable {
            during,
            source: Cause::of(format!("no answer within {} s", TIME_LIMIT.as_secs())),
        }),
    }
}

#[async_trait]
impl<B: Backend> Inspect for Limited<B> {
    async fn inspect(&self) -> Result<(), StoreError> {
        self.run(StoreCall::Inspect, || self.0.inspect()).await
    }
}

/// The activity of a call, for errors like «the database is unavailable while …».
fn during(call: StoreCall) -> &'static str {
    match call {
        StoreCall::CommitReports => "committing reports",
        StoreCall::SourceStates => "reading the states of sources",
        StoreCall::ReadDeltas => "reading deltas",
        StoreCall::CommitPolls => "writing the polls of a window",
        StoreCall::ReadPolls => "reading polls",
        StoreCall::CommitFinalNames => "writing the final names of a window",
        StoreCall::NoteEdges => "writing which edges there are",
        StoreCall::Edges => "reading which edges there are",
        StoreCall::ReadFinalNames => "reading final names",
        StoreCall::CommitObservations => "writing what was seen in a window",
        StoreCall::ReadObservations => "reading what replicas saw",
        StoreCall::AgentNames => "reading the names of agents",
        StoreCall::NextBucket => "looking for the next bucket",
        StoreCall::ReadDictionary => "reading the dictionary",
        StoreCall::AddNames => "adding names",
        StoreCall::RemoveNames => "removing names",
        StoreCall::AcquireLease => "acquiring the lease",
        StoreCall::ReleaseLease => "releasing the lease",
        StoreCall::PublishPlan => "publishing a plan",
        StoreCall::CurrentPlanNumber => "reading which plan is current",
        StoreCall::CurrentPlan => "reading the current plan",
        StoreCall::ReadablePlan => "reading the newest readable plan",
        StoreCall::Plans => "listing plans",
        StoreCall::Plan => "reading a plan",
        StoreCall::SettledUntil => "reading up to where history is settled",
        StoreCall::SettleHistory => "settling history",
        StoreCall::ReadHistory => "reading history",
        StoreCall::PlansOf => "listing the plans of windows",
        StoreCall::SeriesMark => "reading up to where history is summed",
        StoreCall::WriteSeries => "writing sums of history",
        StoreCall::ReadSeries => "reading sums of history",
        StoreCall::FleetSettings => "reading the shared settings",
        StoreCall::WriteFleetSettings => "writing the shared settings",
        StoreCall::Configuration => "reading the configuration",
        StoreCall::CreateConfiguration => "creating the configuration",
        StoreCall::WriteConfiguration => "writing the configuration",
        StoreCall::Origins => "reading who wrote the configuration",
        StoreCall::WriteOrigins => "writing who wrote the configuration",
        StoreCall::ConfigurationRevision => "reading a revision of the configuration",
        StoreCall::ConfigurationRevisions => "listing the configuration's revisions",
        StoreCall::CreateToken => "creating a token",
        StoreCall::RevokeToken => "revoking a token",
        StoreCall::Tokens => "reading the tokens",
        StoreCall::TokensMark => "asking whether tokens changed",
        StoreCall::Audit => "reading what was recorded of changes",
        StoreCall::Unmeasured => "looking for changes whose effect is not known yet",
        StoreCall::WriteMeasured => "writing the effect of a change",
        StoreCall::NoteReplica => "saying that this replica is there",
        StoreCall::RemoveReplica => "saying that this replica is there no longer",
        StoreCall::Replicas => "reading which replicas there are",
        StoreCall::WriteFormat => "reading which formats to write",
        StoreCall::SetWriteFormat => "writing which formats to write",
        StoreCall::Maintain => "maintaining the tables",
        StoreCall::Inspect => "checking the tables",
    }
}
