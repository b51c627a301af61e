//! Who polls: services with the clients of their SDKs, beside those that are counted. Begin with [`list`], which says
//! who does not take part.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::Responder;
use actix_web::web::{Data, Json, Query, block};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::services::page_limit;
use crate::allocation::{Timestamp, Window};
use crate::clock::date;
use crate::http::problem::Problem;
use crate::snapshot::Snapshot;
use crate::store::{Observation, Poller, StoredObservations};
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;

/// How far back polls are summed: SDKs ask once a minute mostly, and once in five minutes at most.
const SPAN: Duration = Duration::from_secs(300);

/// Windows that are summed at least.
const WINDOWS_LEAST: i64 = 3;

/// One family of clients that polled for a service.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ClientDocument {
    client: String,
    protocol: String,
    polls: u64,
    /// The end of the newest window in which it polled.
    last_seen: DateTime<Utc>,
}

/// The polls of all replicas in the newest windows.
#[derive(Default)]
pub(super) struct Polled {
    services: BTreeMap<String, Vec<ClientDocument>>,
    /// Polls of names that were not counted one by one.
    others: u64,
}

/// When polls were counted.
fn span(admin: &Admin) -> std::ops::Range<Timestamp> {
    let length = admin.interval.as_millis().max(1) as i64;
    let until = Window::aligned(admin.clock.timestamp(), length).start.0;
    let windows = SPAN.as_millis().div_ceil(length.unsigned_abs().into()) as i64;
    let back = windows.max(WINDOWS_LEAST).saturating_mul(length);
    Timestamp(until.saturating_sub(back))..Timestamp(until)
}

impl Polled {
    async fn read(admin: &Admin) -> Result<Self, Problem> {
        let turn = admin.histories.acquire().await;
        let _turn = turn.map_err(|_| Problem::Internal)?;
        let rows = admin
            .store
            .read_observations(Poller::KIND, span(admin))
            .await?;
        block(move || Self::of(&rows))
            .await
            .map_err(|_| Problem::Internal)
    }

    fn of(rows: &[StoredObservations]) -> Self {
        let mut polled = Self::default();
        for row in rows {
            match row.read::<Poller>() {
                Ok(pollers) => pollers
                    .into_iter()
                    .for_each(|of| polled.add(of, row.window)),
                Err(error) => {
                    log_seldom!(
                        warn,
                        error = chain(&error),
                        "the pollers of a window cannot be read"
                    );
                }
            }
        }
        for clients in polled.services.values_mut() {
            clients.sort_by(|one, other| {
                other
                    .polls
                    .cmp(&one.polls)
                    .then_with(|| one.client.cmp(&other.client))
            });
        }
        polled
    }

    fn add(&mut self, of: Poller, window: Window) {
        if of.service.is_empty() {
            self.others = self.others.saturating_add(of.polls);
            return;
        }
        let seen = date(window.end);
        let clients = self.services.entry(of.service).or_default();
        let same =
            |held: &&mut ClientDocument| held.client == of.client && held.protocol == of.protocol;
        match clients.iter_mut().find(same) {
            Some(held) => {
                held.polls = held.polls.saturating_add(of.polls);
                held.last_seen = held.last_seen.max(seen);
            }
            None => clients.push(ClientDocument {
                client: of.client,
                protocol: of.protocol,
                polls: of.polls,
                last_seen: seen,
            }),
        }
    }

    /// The clients of one service; none if the database does not answer in time.
    pub(super) async fn of_service(admin: &Admin, service: &str) -> Option<Vec<ClientDocument>> {
        let mut polled = admin.patience.wait(Self::read(admin)).await?.ok()?;
        Some(polled.services.remove(service).unwrap_or_default())
    }
}

/// Which services are asked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    limit: Option<String>,
    after: Option<String>,
    part: Option<String>,
}

/// How a service takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// It polls, and its requests are counted.
    Both,
    /// It polls, and nothing counts its requests.
    OnlyPolls,
    /// Its requests are counted, and nobody polls for it.
    OnlyCounts,
}

impl Part {
    fn named(given: &str) -> Result<Self, Problem> {
        match given {
            "both" => Ok(Self::Both),
            "only_polls" => Ok(Self::OnlyPolls),
            "only_counts" => Ok(Self::OnlyCounts),
            _ => Err(Problem::Malformed {
                field: "part".into(),
                detail: "must be both, only_polls or only_counts".into(),
            }),
        }
    }
}

#[derive(Serialize)]
struct Pollers {
    plan: u64,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    both: usize,
    only_polls: usize,
    only_counts: usize,
    polls_of_other_names: u64,
    services: Vec<Service>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Service {
    service: String,
    part: Part,
    offered_per_second: f64,
    polls: u64,
    clients: Vec<ClientDocument>,
}

/// Lists services by name: those that poll, and those that are counted.
pub(super) async fn list(
    wanted: Query<Wanted>,
    admin: Data<Admin>,
) -> Result<impl Responder, Problem> {
    let limit = page_limit(wanted.limit.as_deref())?;
    let part = wanted.part.as_deref().map(Part::named).transpose()?;
    let after = wanted.into_inner().after;
    let span = span(&admin);
    let polled = Polled::read(&admin).await?;
    let snapshot = admin.served.snapshot();
    let listed = block(move || {
        let all = services(polled.services, &snapshot);
        let count = |part: Part| all.iter().filter(|of| of.part == part).count();
        let counts = [Part::Both, Part::OnlyPolls, Part::OnlyCounts].map(count);
        let asked = |of: &Service| {
            part.is_none_or(|part| part == of.part)
                && after.as_ref().is_none_or(|after| of.service > *after)
        };
        let mut services: Vec<Service> = all.into_iter().filter(asked).take(limit + 1).collect();
        let more = services.len() > limit;
        services.truncate(limit);
        let [both, only_polls, only_counts] = counts;
        Pollers {
            plan: snapshot.plan().number,
            start: date(span.start),
            end: date(span.end),
            both,
            only_polls,
            only_counts,
            polls_of_other_names: polled.others,
            next: services
                .last()
                .filter(|_| more)
                .map(|of| of.service.clone()),
            services,
        }
    });
    listed.await.map(Json).map_err(|_| Problem::Internal)
}

/// Every service that polls or has requests, by name.
fn services(polled: BTreeMap<String, Vec<ClientDocument>>, snapshot: &Snapshot) -> Vec<Service> {
    let mut all: BTreeMap<String, Service> = BTreeMap::new();
    for (name, held) in snapshot.services() {
        let offered = held.sums.offered;
        if offered > 0.0 {
            let of = Service {
                service: name.to_string(),
                part: Part::OnlyCounts,
                offered_per_second: offered,
                polls: 0,
                clients: Vec::new(),
            };
            all.insert(name.to_string(), of);
        }
    }
    for (service, clients) in polled {
        let polls = clients.iter().map(|of| of.polls);
        let polls = polls.fold(0, u64::saturating_add);
        let of = all.entry(service.clone()).or_insert_with(|| Service {
            service,
            part: Part::OnlyPolls,
            offered_per_second: 0.0,
            polls: 0,
            clients: Vec::new(),
        });
        if of.part == Part::OnlyCounts {
            of.part = Part::Both;
        }
        (of.polls, of.clients) = (polls, clients);
    }
    all.into_values().collect()
}
