//! Tables `plan_head`, `plan` and `plan_body`: what was decided.

use chrono::DateTime;
use sqlx::postgres::PgQueryResult;
use uuid::Uuid;

use super::PostgresStore;
use super::connection::Connection;
use super::partitions::{HISTORY, PLAN, PLAN_BODY};
use super::session::Session;
use super::{dictionary, history, lease};
use crate::allocation::{Timestamp, Window};
use crate::store::fault::{self, Fault};
use crate::store::{Incarnation, NewPlan, PlanMark, Publication, StoredPlan, plan_codec};

const SWAP_HEAD: &str = "\
-- plans: swap head
update plan_head set number = $3, identity = $4, published_ms = $5
where number = $1 and identity = $2";

const READ_HEAD: &str = "\
-- plans: read head
select number, identity from plan_head";

/// Names the key, as every insert does: without it this is an error.
const INSERT_PLAN: &str = "\
-- plans: insert plan
insert into plan (number, epoch, window_start_ms, window_end_ms, configuration_revision,
    published_ms, summary)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (number, published_ms) do nothing";

const INSERT_BODY: &str = "\
-- plans: insert body
insert into plan_body (number, published_ms, body) values ($1, $2, $3)
on conflict (number, published_ms) do nothing";

const READ_CURRENT: &str = "\
-- plans: read current
select head.number, head.identity, plan.epoch as term, plan.window_start_ms, plan.window_end_ms,
    plan.configuration_revision, head.published_ms, plan.summary, plan_body.body,
    (select incarnation from dictionary) as names
from plan_head as head
left join plan on plan.number = head.number and plan.published_ms = head.published_ms
left join plan_body on plan_body.number = head.number
    and plan_body.published_ms = head.published_ms
where head.number > 0";

/// Only the first byte of a body that is not wanted is read: bodies are stored uncompressed.
const READ_READABLE: &str = "\
-- plans: read readable
select plan.number, null::uuid as identity, plan.epoch as term, plan.window_start_ms,
    plan.window_end_ms, plan.configuration_revision, plan.published_ms, plan.summary, plan_body.body,
    (select incarnation from dictionary) as names
from plan_body
join plan using (number, published_ms)
where plan_body.number < $1 and substring(plan_body.body from 1 for 1) between $2 and $3
order by plan_body.number desc
limit 1";

#[derive(sqlx::FromRow)]
struct PlanRow {
    number: i64,
    identity: Option<Uuid>,
    term: Option<i64>,
    names: Option<Uuid>,
    window_start_ms: Option<i64>,
    window_end_ms: Option<i64>,
    configuration_revision: Option<i64>,
    published_ms: i64,
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
        let revision = there(self.configuration_revision)?;
        let names = self
            .names
            .ok_or_else(|| Fault::corrupt("dictionary", "its row is missing"))?;
        Ok(StoredPlan {
            number: fault::number(number, || cell("plan_head.number"))?,
            identity: self.identity.unwrap_or_default(),
            term: fault::number(there(self.term)?, || cell("plan.epoch"))?,
            names: Incarnation(names),
            window,
            configuration_revision: fault::number(revision, || {
                cell("plan.configuration_revision")
            })?,
            published_at: DateTime::from_timestamp_millis(self.published_ms).ok_or_else(|| {
                Fault::corrupt(cell("plan_head.published_ms"), "it is out of range")
            })?,
            summary: self.summary.unwrap_or_default(),
            body: self.body.ok_or_else(|| {
                Fault::corrupt(cell("plan_body"), "the current plan's row is missing")
            })?,
        })
    }
}

/// Publishes a plan if its leader holds the lease and the plan that it replaces is current.
pub(super) async fn publish(store: &PostgresStore, new: NewPlan<'_>) -> Result<Publication, Fault> {
    let published = new.plan.published_at.timestamp_millis();
    let windows = new.history.iter().map(|row| HISTORY.at(row.window.start.0));
    let partitions = windows.chain([PLAN.at(published), PLAN_BODY.at(published)]);
    store.partitions.ensure(&store.pool, partitions).await?;
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin().await?;
    let publication = attempt(&mut transaction, new)
        .await
        .map_err(|fault| store.partitions.mind(fault))?;
    if publication == Publication::Published {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    session.keep();
    Ok(publication)
}

async fn attempt(connection: &mut Connection, new: NewPlan<'_>) -> Result<Publication, Fault> {
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
async fn swap_head(connection: &mut Connection, new: NewPlan<'_>) -> Result<bool, Fault> {
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
        .bind(identity)
        .bind(fault::signed(plan.number, "the plan's number")?)
        .bind(plan.identity)
        .bind(plan.published_at.timestamp_millis())
        .execute(connection)
        .await?;
    Ok(swapped.rows_affected() > 0)
}

async fn insert(connection: &mut Connection, plan: &StoredPlan) -> Result<(), Fault> {
    let number = fault::signed(plan.number, "the plan's number")?;
    let revision = fault::signed(plan.configuration_revision, "the configuration's revision")?;
    let published = plan.published_at.timestamp_millis();
    let inserted = sqlx::query(INSERT_PLAN)
        .bind(number)
        .bind(fault::signed(plan.term, "the plan's term")?)
        .bind(plan.window.start.0)
        .bind(plan.window.end.0)
        .bind(revision)
        .bind(published)
        .bind(&plan.summary)
        .execute(&mut *connection)
        .await?;
    new(plan, "plan", &inserted)?;
    let inserted = sqlx::query(INSERT_BODY)
        .bind(number)
        .bind(published)
        .bind(&plan.body)
        .execute(connection)
        .await?;
    new(plan, "plan_body", &inserted)
}

/// Checks that a row of the plan was a new one.
fn new(plan: &StoredPlan, table: &str, inserted: &PgQueryResult) -> Result<(), Fault> {
    if inserted.rows_affected() == 1 {
        return Ok(());
    }
    let row = format!("{table} of number {}", plan.number);
    Err(Fault::corrupt(row, "it is there before it was published"))
}

async fn read_head(connection: &mut Connection) -> Result<Option<PlanMark>, Fault> {
    let (number, identity): (i64, Uuid) = sqlx::query_as(READ_HEAD).fetch_one(connection).await?;
    let number = fault::number(number, || "plan_head.number".to_owned())?;
    Ok((number > 0).then_some(PlanMark { number, identity }))
}

/// Which plan is current.
pub(super) async fn current_mark(store: &PostgresStore) -> Result<Option<PlanMark>, Fault> {
    let mut session = Session::open(&store.pool).await?;
    let mark = read_head(session.connection()).await?;
    session.keep();
    Ok(mark)
}

/// The current plan; one statement, so one state of the three tables.
pub(super) async fn current(store: &PostgresStore) -> Result<Option<StoredPlan>, Fault> {
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin().await?;
    let row: Option<PlanRow> = sqlx::query_as(READ_CURRENT)
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    session.keep();
    row.map(PlanRow::plan).transpose()
}

/// The newest plan below a number whose body has a format that this program reads.
pub(super) async fn readable(
    store: &PostgresStore,
    below: u64,
) -> Result<Option<StoredPlan>, Fault> {
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin().await?;
    let row: Option<PlanRow> = sqlx::query_as(READ_READABLE)
        .bind(i64::try_from(below).unwrap_or(i64::MAX))
        .bind(vec![*plan_codec::KNOWN.start()])
        .bind(vec![*plan_codec::KNOWN.end()])
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    session.keep();
    row.map(PlanRow::plan).transpose()
}
