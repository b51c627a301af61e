//! Tables `plan_head`, `plan` and `plan_body`: what was decided.

use chrono::DateTime;
use sqlx::{SqliteConnection, SqliteExecutor};
use uuid::Uuid;

use super::SqliteStore;
use super::{dictionary, history, lease};
use crate::allocation::{Timestamp, Window};
use crate::store::fault::{self, Fault};
use crate::store::{NewPlan, PlanMark, Publication, StoredPlan, plan_codec};

const SWAP_HEAD: &str = "\
-- plans: swap head
update plan_head set number = $3, identity = $4 where number = $1 and identity = $2";

const READ_HEAD: &str = "\
-- plans: read head
select number, identity from plan_head";

const INSERT_PLAN: &str = "\
-- plans: insert plan
insert into plan (number, epoch, window_start_ms, window_end_ms, configuration_revision,
    published_ms, summary)
values ($1, $2, $3, $4, $5, $6, $7)";

const INSERT_BODY: &str = "\
-- plans: insert body
insert into plan_body (number, published_ms, body) values ($1, $2, $3)";

const READ_CURRENT: &str = "\
-- plans: read current
select head.number, head.identity, plan.epoch as term, plan.window_start_ms, plan.window_end_ms,
    plan.configuration_revision, plan.published_ms, plan.summary, plan_body.body,
    (select incarnation from dictionary) as names
from plan_head as head
left join plan on plan.number = head.number
left join plan_body on plan_body.number = head.number
where head.number > 0";

const READ_READABLE: &str = "\
-- plans: read readable
select plan.number, null as identity, plan.epoch as term, plan.window_start_ms, plan.window_end_ms,
    plan.configuration_revision, plan.published_ms, plan.summary, plan_body.body,
    (select incarnation from dictionary) as names
from plan_body
join plan using (number)
where plan_body.number < $1 and substr(plan_body.body, 1, 1) between $2 and $3
order by plan_body.number desc
limit 1";

#[derive(sqlx::FromRow)]
struct PlanRow {
    number: i64,
    identity: Option<String>,
    term: Option<i64>,
    names: Option<String>,
    window_start_ms: Option<i64>,
    window_end_ms: Option<i64>,
    configuration_revision: Option<i64>,
    published_ms: Option<i64>,
    summary: Option<String>,
    body: Option<Vec<u8>>,
}

impl PlanRow {
    fn plan(self) -> Result<StoredPlan, Fault> {
        let number = self.number;
        let cell = |column: &str| format!("{column} of number {number}");
        let there = |value: Option<i64>| {
            value.ok_or_else(|| Fault::corrupt(cell("plan"), "the current plan's row is missing"))
        };
        let window = Window {
            start: Timestamp(there(self.window_start_ms)?),
            end: Timestamp(there(self.window_end_ms)?),
        };
        let published = there(self.published_ms)?;
        let revision = there(self.configuration_revision)?;
        let names = self
            .names
            .ok_or_else(|| Fault::corrupt("dictionary", "its row is missing"))?;
        Ok(StoredPlan {
            number: fault::number(number, || cell("plan_head.number"))?,
            identity: self
                .identity
                .map_or(Ok(Uuid::nil()), |cell| identity(&cell))?,
            term: fault::number(there(self.term)?, || cell("plan.epoch"))?,
            names: dictionary::incarnation(&names)?,
            window,
            configuration_revision: fault::number(revision, || {
                cell("plan.configuration_revision")
            })?,
            published_at: DateTime::from_timestamp_millis(published)
                .ok_or_else(|| Fault::corrupt(cell("plan.published_ms"), "it is out of range"))?,
            summary: self.summary.unwrap_or_default(),
            body: self.body.ok_or_else(|| {
                Fault::corrupt(cell("plan_body"), "the current plan's row is missing")
            })?,
        })
    }
}

/// Publishes a plan if its leader holds the lease and the plan that it replaces is current.
pub(super) async fn publish(store: &SqliteStore, new: NewPlan<'_>) -> Result<Publication, Fault> {
    let mut transaction = store.connections.write().await?;
    let publication = attempt(&mut transaction, new).await?;
    if publication == Publication::Published {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(publication)
}

async fn attempt(
    connection: &mut SqliteConnection,
    new: NewPlan<'_>,
) -> Result<Publication, Fault> {
    if !lease::hold(connection, new.claim).await? {
        return Ok(Publication::StaleTerm);
    }
    if !swap_head(connection, new).await? {
        let current = read_head(connection).await?;
        return Ok(Publication::StaleParent(
            current.map_or(0, |mark| mark.number),
        ));
    }
    // Once nobody else can publish: the wait for that may have taken a while.
    if !dictionary::is_past(connection, new.plan.names).await? {
        return Ok(Publication::OtherNames);
    }
    insert(connection, new.plan).await?;
    history::upsert(connection, new.history).await?;
    Ok(Publication::Published)
}

/// Makes a plan the current one if it lies above the one that it replaces and that is current.
async fn swap_head(connection: &mut SqliteConnection, new: NewPlan<'_>) -> Result<bool, Fault> {
    let plan = new.plan;
    let (number, identity) = match new.replaces {
        Some(mark) => (mark.number, mark.identity),
        None => (0, Uuid::nil()),
    };
    if plan.number <= number {
        return Ok(false);
    }
    let swapped = sqlx::query(SWAP_HEAD)
        .bind(fault::signed(number, "the number of the plan before")?)
        .bind(identity.simple().to_string())
        .bind(fault::signed(plan.number, "the plan's number")?)
        .bind(plan.identity.simple().to_string())
        .execute(connection)
        .await?;
    Ok(swapped.rows_affected() > 0)
}

async fn insert(connection: &mut SqliteConnection, plan: &StoredPlan) -> Result<(), Fault> {
    let number = fault::signed(plan.number, "the plan's number")?;
    let revision = fault::signed(plan.configuration_revision, "the configuration's revision")?;
    let published = plan.published_at.timestamp_millis();
    sqlx::query(INSERT_PLAN)
        .bind(number)
        .bind(fault::signed(plan.term, "the plan's term")?)
        .bind(plan.window.start.0)
        .bind(plan.window.end.0)
        .bind(revision)
        .bind(published)
        .bind(&plan.summary)
        .execute(&mut *connection)
        .await?;
    sqlx::query(INSERT_BODY)
        .bind(number)
        .bind(published)
        .bind(&plan.body)
        .execute(connection)
        .await?;
    Ok(())
}

/// The identity in a cell.
fn identity(cell: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(cell).map_err(|error| Fault::corrupt("plan_head.identity", error))
}

async fn read_head(reader: impl SqliteExecutor<'_>) -> Result<Option<PlanMark>, Fault> {
    let (number, cell): (i64, String) = sqlx::query_as(READ_HEAD).fetch_one(reader).await?;
    let number = fault::number(number, || "plan_head.number".to_owned())?;
    let identity = identity(&cell)?;
    Ok((number > 0).then_some(PlanMark { number, identity }))
}

/// Which plan is current.
pub(super) async fn current_mark(store: &SqliteStore) -> Result<Option<PlanMark>, Fault> {
    read_head(store.connections.readers()).await
}

/// The current plan; one statement, so one state of the three tables.
pub(super) async fn current(store: &SqliteStore) -> Result<Option<StoredPlan>, Fault> {
    let row: Option<PlanRow> = sqlx::query_as(READ_CURRENT)
        .fetch_optional(store.connections.readers())
        .await?;
    row.map(PlanRow::plan).transpose()
}

/// The newest plan below a number whose body has a format that this program reads.
pub(super) async fn readable(store: &SqliteStore, below: u64) -> Result<Option<StoredPlan>, Fault> {
    let row: Option<PlanRow> = sqlx::query_as(READ_READABLE)
        .bind(i64::try_from(below).unwrap_or(i64::MAX))
        .bind(vec![*plan_codec::KNOWN.start()])
        .bind(vec![*plan_codec::KNOWN.end()])
        .fetch_optional(store.connections.readers())
        .await?;
    row.map(PlanRow::plan).transpose()
}
