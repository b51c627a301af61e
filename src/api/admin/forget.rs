//! Forgets operations that no report names any more.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, Responder};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::audit::Act;
use super::services::{number_between, unknown_service};
use super::{Admin, configuration};
use crate::allocation::{OperationId, OperationPlan, Timestamp};
use crate::configuration::BoundsSettings;
use crate::http::problem::Problem;
use crate::names::{self, Forgotten, Names};
use crate::snapshot::Snapshot;
use crate::store::AuditAction;
use crate::view::change::ChangeDocument;
use crate::view::silent::{REMOVED_MAX, WINDOWS_MIN, is_silent, unsettled, windows_of};

/// Names in an answer.
const EXAMPLES: usize = 20;

/// How long operations must have been silent.
#[derive(Deserialize)]
pub(super) struct Asked {
    silent_for_seconds: Option<String>,
}

#[derive(Serialize)]
struct Forgot {
    service: String,
    removed: u64,
    examples: Vec<String>,
    more: bool,
}

/// Forgets a service's operations that no report has named for some time, the longest silent first.
/// Those that the configuration names stay.
pub(super) async fn forget(
    request: HttpRequest,
    service: Path<String>,
    asked: Query<Asked>,
    admin: Data<Admin>,
) -> Result<impl Responder, Problem> {
    let silent_for = admin.silent_for(asked.silent_for_seconds.as_deref())?;
    let service = service.into_inner();
    let act = Act::of(&request)?.doing(AuditAction::NamesForgotten);
    let act = act.to(&service);
    let (configuration, _) = configuration::current(&admin).await?;
    // A repeated request must not count what is gone already.
    admin.dictionary.refresh().await?;
    let known = admin.dictionary.names();
    let snapshot = admin.served.snapshot();
    if snapshot.service(&service).is_none() && known.find_service(&service).is_none() {
        return Err(unknown_service(&service));
    }
    let since = admin.unsettled(&snapshot)?;
    let configured = configuration.services.get(&service);
    let configured = configured.map(|service| &service.operations);
    let mut found = candidates(&snapshot, &known, &service, silent_for);
    found.retain(|(name, _)| !is_configured(configured, name));
    found.sort_unstable_by_key(|(_, known)| (Reverse(known.silent_windows), known.operation));
    let more = found.len() > REMOVED_MAX;
    found.truncate(REMOVED_MAX);
    let operations = found.iter().map(|(_, known)| known.operation).collect();
    // It reads counts, as history does.
    let turn = admin.histories.acquire().await;
    let _turn = turn.map_err(|_| Problem::Internal)?;
    if act.is_dry_run() {
        let silent = names::silent(&*admin.store, since, operations).await?;
        return Ok(Json(Forgot::of(
            service,
            silent.len() as u64,
            &silent,
            &found,
            more,
        )));
    }
    let record = |gone: &[OperationId]| Some(act.record(&change(gone, &found), None));
    let removing = names::forget(
        &*admin.store,
        snapshot.named_in(),
        since,
        operations,
        record,
    );
    let Forgotten {
        removed,
        operations,
    } = removing.await?;
    if removed > 0 {
        // The other replicas read this with their next refresh.
        admin.dictionary.refresh().await?;
        tracing::info!(
            service,
            removed,
            silent_for_seconds = silent_for.as_secs(),
            "forgot silent operations of a service on request"
        );
    }
    Ok(Json(Forgot::of(
        service,
        removed,
        &operations,
        &found,
        more,
    )))
}

impl Forgot {
    /// What was removed of what was found, or would be.
    fn of(
        service: String,
        removed: u64,
        operations: &[OperationId],
        found: &[(&str, &OperationPlan)],
        more: bool,
    ) -> Self {
        let gone: HashSet<&OperationId> = operations.iter().collect();
        let gone = found.iter().filter(|(_, of)| gone.contains(&of.operation));
        let examples = gone.take(if removed > 0 { EXAMPLES } else { 0 });
        Self {
            removed,
            examples: examples.map(|(name, _)| (*name).to_owned()).collect(),
            more,
            service,
        }
    }
}

/// What is recorded: how many operations, and the names of some.
fn change(gone: &[OperationId], found: &[(&str, &OperationPlan)]) -> ChangeDocument {
    let gone: HashSet<&OperationId> = gone.iter().collect();
    let names = found.iter().filter(|(_, of)| gone.contains(&of.operation));
    let names: Vec<&str> = names.map(|(name, _)| *name).take(EXAMPLES).collect();
    let forgotten = json!({ "operations": gone.len(), "examples": names });
    ChangeDocument::of_new(&json!({ "forgotten": forgotten }))
}

impl Admin {
    /// The time that was asked for.
    fn silent_for(&self, given: Option<&str>) -> Result<Duration, Problem> {
        let least = self.interval * WINDOWS_MIN;
        let most = self.retire_after.max(least);
        let whole_seconds = |time: Duration| time.as_secs_f64().ceil() as usize;
        let range = whole_seconds(least)..=whole_seconds(most);
        // A request without it is answered as one that leaves it empty.
        let given = Some(given.unwrap_or_default());
        let seconds = number_between("silent_for_seconds", given, 0, range)?;
        Ok(Duration::from_secs(seconds as u64))
    }

    /// From when on reports may have come that the plan does not know. An old plan is refused.
    fn unsettled(&self, snapshot: &Snapshot) -> Result<Range<Timestamp>, Problem> {
        let age = snapshot.age_seconds(self.clock.now());
        let since = unsettled(snapshot.plan(), self.clock.timestamp());
        let since = since.filter(|_| age.is_none_or(|age| age <= self.stale_after_seconds));
        since.ok_or(Problem::Unavailable {
            detail: "the plan is stale, so it does not show which operations are silent",
            retry_after_seconds: 10,
        })
    }
}

/// The operations of a service that were silent for so long and still have their numbers.
fn candidates<'s>(
    snapshot: &'s Snapshot,
    names: &Names,
    service: &str,
    silent_for: Duration,
) -> Vec<(&'s str, &'s OperationPlan)> {
    let Some(held) = snapshot.service(service) else {
        return Vec::new();
    };
    let windows = windows_of(snapshot.plan(), silent_for);
    let operations = snapshot.operations(held);
    operations
        .filter(|(name, known)| {
            is_silent(known, windows) && names.find(service, name) == Some(known.operation)
        })
        .collect()
}

fn is_configured(configured: Option<&BTreeMap<String, BoundsSettings>>, name: &str) -> bool {
    configured.is_some_and(|operations| operations.contains_key(name))
}
