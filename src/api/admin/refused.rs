//! Whose reports were refused in the last hour, by all replicas.

use std::collections::HashMap;
use std::time::Duration;

use actix_web::web::block;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Admin;
use crate::allocation::Timestamp;
use crate::clock::date;
use crate::store::{Observation, RefusedReports, StoredObservations};
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;

/// How far back refused reports are summed.
const SPAN: Duration = Duration::from_secs(3600);

/// The agents that are listed of which no plan knows anything.
const LISTED: usize = 100;

/// The refused reports of one agent.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RefusedDocument {
    reports: u64,
    last_reason: String,
    last_at: DateTime<Utc>,
}

/// An agent that no plan knows; without a name if its reports did not say it.
#[derive(Debug, Serialize)]
pub(super) struct UnknownAgent {
    agent: Option<String>,
    #[serde(flatten)]
    refused: RefusedDocument,
}

/// The refused reports of all agents.
pub(super) struct Refused(HashMap<String, RefusedDocument>);

impl Refused {
    /// Reads them; none if the database does not answer in time.
    pub(super) async fn read(admin: &Admin) -> Option<Self> {
        let now = admin.clock.timestamp();
        let from = Timestamp(now.0.saturating_sub(SPAN.as_millis() as i64));
        let until = Timestamp(i64::MAX);
        let reading = async {
            let _turn = admin.histories.acquire().await.ok()?;
            let rows = admin
                .store
                .read_observations(RefusedReports::KIND, from..until);
            // Its failure was logged by the store.
            let rows = rows.await.ok()?;
            block(move || Self::of(&rows)).await.ok()
        };
        admin.patience.wait(reading).await.flatten()
    }

    fn of(rows: &[StoredObservations]) -> Self {
        let mut all: HashMap<String, RefusedDocument> = HashMap::new();
        for row in rows {
            match row.read::<RefusedReports>() {
                Ok(refused) => refused.into_iter().for_each(|of| add(&mut all, of)),
                Err(error) => {
                    log_seldom!(
                        warn,
                        error = chain(&error),
                        "the refused reports of a window cannot be read"
                    );
                }
            }
        }
        Self(all)
    }

    /// Those of an agent.
    pub(super) fn of_agent(&self, name: &str) -> Option<&RefusedDocument> {
        self.0.get(name)
    }

    /// Those of agents that are not known, the most first.
    pub(super) fn unknown(&self, is_known: impl Fn(&str) -> bool) -> Vec<UnknownAgent> {
        let unknown = self.0.iter().filter(|(agent, _)| !is_known(agent));
        let mut unknown: Vec<UnknownAgent> = unknown
            .map(|(agent, refused)| UnknownAgent {
                agent: Some(agent.clone()).filter(|name| !name.is_empty()),
                refused: refused.clone(),
            })
            .collect();
        unknown.sort_by(|one, other| {
            let most_first = other.refused.reports.cmp(&one.refused.reports);
            most_first.then_with(|| one.agent.cmp(&other.agent))
        });
        unknown.truncate(LISTED);
        unknown
    }
}

fn add(all: &mut HashMap<String, RefusedDocument>, of: RefusedReports) {
    let at = date(Timestamp(of.at_ms));
    let Some(held) = all.get_mut(&of.agent) else {
        let new = RefusedDocument {
            reports: of.reports,
            last_reason: of.reason,
            last_at: at,
        };
        all.insert(of.agent, new);
        return;
    };
    held.reports = held.reports.saturating_add(of.reports);
    if at >= held.last_at {
        (held.last_at, held.last_reason) = (at, of.reason);
    }
}
