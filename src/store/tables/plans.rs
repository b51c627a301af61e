//! Tables `plan_head`, `plan` and `plan_body`: the plans.

use std::ops::Range;

use uuid::Uuid;

use super::{dictionary, history, lease};
use crate::allocation::Timestamp;
use crate::store::backend::{Backend, Coming, Kind, Row, Transaction};
use crate::store::fault::{self, Fault};
use crate::store::{Incarnation, NewPlan, PlanMark, PlanRow, Publication, StoredPlan, plan_codec};

const READ_HEAD: &str = "\
-- plans: read head
select number, identity from plan_head";

const LIST: &str = "\
-- plans: list
select number, window_start_ms, window_end_ms, configuration_revision, published_ms, summary
from plan where number < $1 order by number desc limit $2";

const OF_WINDOWS: &str = "\
-- plans: of windows
select number, window_start_ms, window_end_ms, configuration_revision, published_ms, summary
from plan where window_start_ms >= $1 and window_start_ms < $2 order by window_start_ms, number";

/// Of two plans with one number, the one published last is meant. The identity is a null of its type.
const READ_ONE: &str = "\
-- plans: read one
select plan.number, nullif(dictionary.incarnation, dictionary.incarnation) as identity, plan.epoch as term,
    plan.window_start_ms, plan.window_end_ms, plan.configuration_revision, plan.published_ms,
    plan.summary, plan_body.body, dictionary.incarnation as names
from plan_body
cross join dictionary
join plan on plan.number = plan_body.number and plan.published_ms = plan_body.published_ms
where plan_body.number = $1
order by plan.published_ms desc limit 1";

fn listed(row: &impl Row) -> Result<PlanRow, Fault> {
    let number = row.integer("number")?;
    let cell = |column: &str| format!("plan.{column} of number {number}");
    let revision = row.integer("configuration_revision")?;
    Ok(PlanRow {
        number: fault::number(number, || cell("number"))?,
        window: history::window(row)?,
        configuration_revision: fault::number(revision, || cell("configuration_revision"))?,
        published_at: fault::instant(row.integer("published_ms")?, || cell("published_ms"))?,
        summary: row.text("summary")?.to_owned(),
    })
}

fn plan(row: &impl Row) -> Result<StoredPlan, Fault> {
    let number = row.integer("number")?;
    let cell = |column: &str| format!("{column} of number {number}");
    let there = |column| {
        let value = row.integer_or_null(column)?;
        value.ok_or_else(|| missing(cell("plan")))
    };
    let term = there("term")?;
    let window = match row.integer_or_null("window_start_ms")? {
        Some(_) => history::window(row)?,
        None => return Err(missing(cell("plan"))),
    };
    let revision = there("configuration_revision")?;
    let body = row.bytes_or_null("body")?;
    let body = body.ok_or_else(|| missing(cell("plan_body")))?;
    Ok(StoredPlan {
        number: fault::number(number, || cell("plan_head.number"))?,
        identity: row.id_or_null("identity")?.unwrap_or_default(),
        term: fault::number(term, || cell("plan.epoch"))?,
        names: Incarnation(row.id("names")?),
        window,
        configuration_revision: fault::number(revision, || cell("plan.configuration_revision"))?,
        published_at: fault::instant(there("published_ms")?, || cell("plan.published_ms"))?,
        summary: row.text_or_null("summary")?.unwrap_or_default().to_owned(),
        body: body.to_vec(),
    })
}

fn missing(row: String) -> Fault {
    Fault::corrupt(row, "the current plan's row is missing")
}

/// The plans of the windows that start in a range, oldest first.
pub async fn of_windows<B: Backend>(
    backend: &B,
    starts: Range<Timestamp>,
) -> Result<Vec<PlanRow>, Fault> {
    let values = [starts.start.0.into(), starts.end.0.into()];
    let mut transaction = backend.begin(Kind::Read).await?;
    let rows = transaction.rows(OF_WINDOWS, &values).await?;
    transaction.commit().await?;
    rows.iter().map(listed).collect()
}

/// Publishes a plan if its leader holds the lease, the plan that it replaces is current, and the
/// database has the names that it was computed with.
pub async fn publish<B: Backend>(backend: &B, new: NewPlan<'_>) -> Result<Publication, Fault> {
    let coming = Coming {
        history: new.history,
        plan: Some(new.plan),
        ..Coming::default()
    };
    backend.make_room(coming).await?;
    let mut transaction = backend.begin(Kind::Write).await?;
    let publication = attempt::<B>(&mut transaction, new).await?;
    if publication == Publication::Published {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(publication)
}

async fn attempt<B: Backend>(
    transaction: &mut B::Transaction,
    new: NewPlan<'_>,
) -> Result<Publication, Fault> {
    if !lease::hold::<B>(transaction, new.claim).await? {
        return Ok(Publication::StaleTerm);
    }
    if !swap_head::<B>(transaction, new).await? {
        let current = read_head(transaction).await?;
        return Ok(Publication::StaleParent(
            current.map_or(0, |mark| mark.number),
        ));
    }
    // Checked when nobody else can publish any more, because waiting for that may have taken a
    // while.
    if !dictionary::is_past(transaction, new.plan.names).await? {
        return Ok(Publication::OtherNames);
    }
    insert::<B>(transaction, new.plan).await?;
    B::write_history(transaction, new.history).await?;
    Ok(Publication::Published)
}

/// Makes a plan the current one if its number is above the one that it replaces, and that one is
/// current.
async fn swap_head<B: Backend>(
    transaction: &mut B::Transaction,
    new: NewPlan<'_>,
) -> Result<bool, Fault> {
    let plan = new.plan;
    let (number, identity) = match new.replaces {
        Some(mark) => (mark.number, mark.identity),
        None => (0, Uuid::nil()),
    };
    if plan.number <= number {
        return Ok(false);
    }
    let values = [
        fault::signed(number, "the number of the plan before")?.into(),
        identity.into(),
        fault::signed(plan.number, "the plan's number")?.into(),
        plan.identity.into(),
        plan.published_at.timestamp_millis().into(),
    ];
    let swapped = transaction
        .execute(B::STATEMENTS.swap_head, &values)
        .await?;
    Ok(swapped > 0)
}

async fn insert<B: Backend>(
    transaction: &mut B::Transaction,
    plan: &StoredPlan,
) -> Result<(), Fault> {
    let number = fault::signed(plan.number, "the plan's number")?;
    let revision = fault::signed(plan.configuration_revision, "the configuration's revision")?;
    let published = plan.published_at.timestamp_millis();
    let values = [
        number.into(),
        fault::signed(plan.term, "the plan's term")?.into(),
        plan.window.start.0.into(),
        plan.window.end.0.into(),
        revision.into(),
        published.into(),
        plan.summary.as_str().into(),
    ];
    let inserted = transaction
        .execute(B::STATEMENTS.insert_plan, &values)
        .await?;
    check_new(plan, "plan", inserted)?;
    let values = [number.into(), published.into(), plan.body.as_slice().into()];
    let inserted = transaction
        .execute(B::STATEMENTS.insert_body, &values)
        .await?;
    check_new(plan, "plan_body", inserted)
}

/// Checks that a row of the plan was new.
fn check_new(plan: &StoredPlan, table: &str, inserted: u64) -> Result<(), Fault> {
    if inserted == 1 {
        return Ok(());
    }
    let row = format!("{table} of number {}", plan.number);
    Err(Fault::corrupt(row, "it is there before it was published"))
}

async fn read_head(transaction: &mut impl Transaction) -> Result<Option<PlanMark>, Fault> {
    let row = transaction.only_row(READ_HEAD, &[]).await?;
    let number = row.integer("number")?;
    let mark = PlanMark {
        number: fault::number(number, || "plan_head.number".to_owned())?,
        identity: row.id("identity")?,
    };
    Ok((number > 0).then_some(mark))
}

/// The mark of the current plan.
pub async fn current_mark<B: Backend>(backend: &B) -> Result<Option<PlanMark>, Fault> {
    let mut transaction = backend.begin(Kind::Glance).await?;
    let mark = read_head(&mut transaction).await?;
    transaction.commit().await?;
    Ok(mark)
}

/// The current plan: one statement, so that the three tables are read in one state.
pub async fn current<B: Backend>(backend: &B) -> Result<Option<StoredPlan>, Fault> {
    let mut transaction = backend.begin(Kind::Read).await?;
    let row = transaction.row(B::STATEMENTS.read_current, &[]).await?;
    transaction.commit().await?;
    row.as_ref().map(plan).transpose()
}

/// The newest plan below a number whose body this program can read.
pub async fn readable<B: Backend>(backend: &B, below: u64) -> Result<Option<StoredPlan>, Fault> {
    let (first, last) = ([*plan_codec::KNOWN.start()], [*plan_codec::KNOWN.end()]);
    let values = [
        i64::try_from(below).unwrap_or(i64::MAX).into(),
        first.as_slice().into(),
        last.as_slice().into(),
    ];
    let mut transaction = backend.begin(Kind::Read).await?;
    let row = transaction
        .row(B::STATEMENTS.read_readable, &values)
        .await?;
    transaction.commit().await?;
    row.as_ref().map(plan).transpose()
}

/// The newest plans before one, without their bodies.
pub async fn list<B: Backend>(
    backend: &B,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<PlanRow>, Fault> {
    let before = before.and_then(|before| i64::try_from(before).ok());
    let values = [before.unwrap_or(i64::MAX).into(), i64::from(limit).into()];
    let mut transaction = backend.begin(Kind::Read).await?;
    let rows = transaction.rows(LIST, &values).await?;
    transaction.commit().await?;
    rows.iter().map(listed).collect()
}

/// One plan, if its body is stored.
pub async fn one<B: Backend>(backend: &B, number: u64) -> Result<Option<StoredPlan>, Fault> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let mut transaction = backend.begin(Kind::Read).await?;
    let row = transaction.row(READ_ONE, &[number.into()]).await?;
    transaction.commit().await?;
    row.as_ref().map(plan).transpose()
}
