//! The conditions checked at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use weir::store::postgres::PostgresStore;

use crate::Mode;
use crate::failover::Failover;
use crate::ledger::Ledger;
use crate::polls::Seen;
use crate::soak::{GRACE_SECONDS, INTERVAL_SECONDS};
use crate::support::client::http_client;
use crate::support::process::{WeirProcess, eventually};
use crate::support::stored::stored_totals;

const DEADLINE: Duration = Duration::from_secs(60);

/// How late a plan may be. A leader checks every second.
const PROMPT_MILLISECONDS: i64 = 3_000;

/// The most differences named in a fault.
const NAMED: usize = 8;

/// The outcome of the plans.
#[derive(Debug, Clone, Default)]
pub struct Plans {
    /// Windows that closed while the soak ran.
    pub due: usize,
    /// Of them, those whose plan was late or missing, for each failover.
    pub late: Vec<usize>,
    /// Late or missing plans that no failover explains.
    pub late_for_no_reason: usize,
    /// The longest delay of a plan after it was due.
    pub latest: Duration,
    /// Windows without a plan.
    pub missing: usize,
}

/// Compares, by name, the stored counts with the counts that were acknowledged and not lost by
/// PostgreSQL.
pub async fn stored(url: &str, ledger: &Ledger) {
    let store = PostgresStore::connect(url, 2).await.unwrap();
    let stored = stored_totals(&store).await;
    let (expected, sent) = (ledger.expected(), ledger.sent());
    let names: BTreeSet<_> = stored.keys().chain(expected.keys()).collect();
    let mut wrong = Vec::new();
    let mut more_than_sent = 0;
    for name in names {
        let [is, should, at_most] =
            [&stored, &expected, &sent].map(|totals| totals.get(name).copied().unwrap_or_default());
        if is != should {
            wrong.push(format!("{name:?} has {is:?} instead of {should:?}"));
        }
        if is.0 > at_most.0 || is.1 > at_most.1 {
            more_than_sent += 1;
        }
    }
    if !wrong.is_empty() {
        ledger.fault(format!(
            "{} of {} names have wrong counts, {more_than_sent} of them more than was sent: {}",
            wrong.len(),
            sent.len(),
            wrong[..wrong.len().min(NAMED)].join("; ")
        ));
    }
}

/// Both replicas serve the same names, and only names that were reported.
pub async fn replicas_agree(replicas: &[WeirProcess; 2], ledger: &Ledger) {
    let http = http_client();
    let ((plan, first), (_, second)) =
        eventually(DEADLINE, "one plan on both replicas", async || {
            let first = listed(&http, replicas[0].admin_url()).await?;
            let second = listed(&http, replicas[1].admin_url()).await?;
            (first.0 == second.0).then_some((first, second))
        })
        .await;
    if first != second {
        let differ: Vec<_> = first.symmetric_difference(&second).take(NAMED).collect();
        ledger.fault(format!(
            "plan {plan} has other names on each replica: {differ:?}"
        ));
    }
    let sent = ledger.sent();
    let unknown: Vec<_> = first
        .iter()
        .filter(|name| !sent.contains_key(*name) && name.1 != "__other__")
        .take(NAMED)
        .collect();
    if !unknown.is_empty() {
        ledger.fault(format!(
            "plan {plan} has names that nobody reported: {unknown:?}"
        ));
    }
}

/// The served plan's number and the names it lists.
async fn listed(
    http: &reqwest::Client,
    admin_url: &str,
) -> Option<(u64, BTreeSet<(String, String)>)> {
    let get = async |path: &[&str], field: &str| {
        let mut url = reqwest::Url::parse(admin_url).ok()?;
        url.path_segments_mut().ok()?.extend(path);
        url.query_pairs_mut().append_pair("limit", "10000");
        let page: Value = http.get(url).send().await.ok()?.json().await.ok()?;
        let plan = page["plan"].as_u64()?;
        Some((plan, page[field].as_array()?.clone()))
    };
    let (plan, services) = get(&["v1", "services"], "services").await?;
    let mut names = BTreeSet::new();
    for service in services {
        let service = service["service"].as_str()?;
        let path = ["v1", "services", service, "operations"];
        let (same, operations) = get(&path, "operations").await?;
        if same != plan {
            return None;
        }
        for operation in operations {
            let operation = operation["operation"].as_str()?;
            names.insert((service.to_owned(), operation.to_owned()));
        }
    }
    Some((plan, names))
}

/// Every poll was answered, and no replica went back to an older plan, unless PostgreSQL had lost
/// the newer one.
pub fn polls(mode: Mode, polls: &[Seen; 2], ledger: &Ledger) {
    for (replica, seen) in polls.iter().enumerate() {
        if seen.failed > 0 {
            let Seen { failed, polls, .. } = seen;
            ledger.fault(format!(
                "replica {replica}: {failed} of {polls} polls failed"
            ));
        }
        if mode == Mode::Synchronous && !seen.back.is_empty() {
            ledger.fault(format!(
                "replica {replica} went back to older plans: {:?}",
                seen.back
            ));
        }
    }
}

/// A stored plan, without its body.
#[derive(Debug, sqlx::FromRow)]
struct PlanRow {
    number: i64,
    window_end_ms: i64,
    published_ms: i64,
}

/// When each window's plan was published, and which failover delayed it.
pub async fn plans(
    url: &str,
    started: DateTime<Utc>,
    failovers: &[Failover],
    ledger: &Ledger,
) -> Plans {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let rows: Vec<PlanRow> = sqlx::query_as(
        "-- soak: plans
         select number, window_end_ms, published_ms from plan order by number",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    for pair in rows.windows(2) {
        if pair[1].window_end_ms <= pair[0].window_end_ms || pair[1].number == pair[0].number {
            ledger.fault(format!("plans do not follow each other: {pair:?}"));
        }
    }
    let published: BTreeMap<i64, i64> = rows
        .iter()
        .map(|row| (row.window_end_ms, row.published_ms))
        .collect();
    let mut plans = Plans {
        late: vec![0; failovers.len()],
        ..Plans::default()
    };
    let interval = INTERVAL_SECONDS * 1000;
    // The first plan answers the first whole window.
    let first = started.timestamp_millis().div_euclid(interval) * interval + 2 * interval;
    let last = rows.last().map_or(first, |row| row.window_end_ms);
    for end in (first..=last).step_by(interval as usize) {
        plans.count(end, published.get(&end).copied(), failovers);
    }
    if let Some(most) = plans.late.iter().position(|late| *late > 1) {
        ledger.fault(format!("failover {most}: {} plans late", plans.late[most]));
    }
    if plans.late_for_no_reason > 0 {
        let late = plans.late_for_no_reason;
        ledger.fault(format!("{late} plans late without a failover"));
    }
    plans
}

impl Plans {
    fn count(&mut self, end: i64, published: Option<i64>, failovers: &[Failover]) {
        self.due += 1;
        let due = end + GRACE_SECONDS * 1000;
        let delay = published.map(|at| at - due);
        self.missing += usize::from(delay.is_none());
        let delay_known = u64::try_from(delay.unwrap_or_default()).unwrap_or_default();
        self.latest = self.latest.max(Duration::from_millis(delay_known));
        if delay.is_some_and(|delay| delay <= PROMPT_MILLISECONDS) {
            return;
        }
        // A commit that the failover lost was in time: its plan was computed again later.
        let from = TimeDelta::milliseconds(2 * PROMPT_MILLISECONDS);
        let at = |instant: DateTime<Utc>| instant.timestamp_millis();
        let cause = failovers.iter().position(|failover| {
            due >= at(failover.began - from) && due <= at(failover.over + from)
        });
        match cause {
            Some(failover) => self.late[failover] += 1,
            None => self.late_for_no_reason += 1,
        }
    }
}
