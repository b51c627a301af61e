//! Tables `series_window`, `series` and `series_mark`: what the fleet, its groups and its services did, step by step.

use futures_util::TryStreamExt;

use super::dictionary;
use crate::allocation::{Timestamp, Window};
use crate::store::backend::{Backend, Coming, Kind, Row, Transaction, Value};
use crate::store::fault::{self, Fault};
use crate::store::{
    NewSeries, Rows, SeriesAsked, SeriesBefore, SeriesMark, SeriesOf, SeriesPart, SeriesRow,
    SeriesStep, Settlement,
};

const READ_MARK: &str = "\
-- series: read mark
select until_ms, (select max(start_ms) from series_window) as newest_ms from series_mark";

const WRITE_MARK: &str = "\
-- series: write mark
update series_mark set until_ms = $1 where until_ms is not distinct from $2";

const WRITE_WINDOW: &str = "\
-- series: write window
insert into series_window (start_ms, part, end_ms, payload) values ($1, $2, $3, $4)
on conflict (start_ms, part) do update set end_ms = excluded.end_ms, payload = excluded.payload";

const WRITE_STEPS: &str = "\
-- series: write steps
insert into series (step_ms, start_ms, part, end_ms, payload) values ($5, $1, $2, $3, $4)
on conflict (step_ms, start_ms, part) do update
set end_ms = excluded.end_ms, payload = excluded.payload";

/// A window may be summed again into fewer parts.
const DELETE_WINDOW: &str = "\
-- series: delete window
delete from series_window where start_ms = $1";

const DELETE_STEPS: &str = "\
-- series: delete steps
delete from series where step_ms = $1 and start_ms = $2";

const READ_WINDOWS: &str = "\
-- series: read windows
select start_ms, part, end_ms, payload from series_window
where start_ms >= $1 and start_ms < $2 and part >= $3 and part <= $4
order by start_ms, part";

const READ_WINDOWS_OF: &str = "\
-- series: read windows of a service
select start_ms, part, end_ms, payload from series_window
where start_ms >= $1 and start_ms < $2 and part in ($3, $4, $5, $6, $7, $8, $9, $10)
order by start_ms, part";

const READ_STEPS: &str = "\
-- series: read steps
select start_ms, part, end_ms, payload from series
where start_ms >= $1 and start_ms < $2 and part >= $3 and part <= $4 and step_ms = $5
order by start_ms, part";

const READ_STEPS_OF: &str = "\
-- series: read steps of a service
select start_ms, part, end_ms, payload from series
where start_ms >= $1 and start_ms < $2 and part in ($3, $4, $5, $6, $7, $8, $9, $10) and step_ms = $11
order by start_ms, part";

const DELETE_OLD: &str = "\
-- series: delete old
delete from series where step_ms = $1 and end_ms <= $2";

/// Up to where history is summed.
pub async fn mark<B: Backend>(backend: &B) -> Result<SeriesMark, Fault> {
    let mut transaction = backend.begin(Kind::Glance).await?;
    let row = transaction.only_row(READ_MARK, &[]).await?;
    transaction.commit().await?;
    Ok(SeriesMark {
        until: row.integer_or_null("until_ms")?.map(Timestamp),
        newest_window: row.integer_or_null("newest_ms")?.map(Timestamp),
    })
}

/// Writes rows, and up to where history is summed now.
pub async fn write<B: Backend>(backend: &B, new: NewSeries<'_>) -> Result<Settlement, Fault> {
    let coming = Coming {
        series: new.rows,
        ..Coming::default()
    };
    backend.make_room(coming).await?;
    let mut transaction = backend.begin(Kind::Write).await?;
    let settlement = attempt(&mut transaction, new).await?;
    if settlement == Settlement::Settled {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(settlement)
}

async fn attempt(
    transaction: &mut impl Transaction,
    new: NewSeries<'_>,
) -> Result<Settlement, Fault> {
    let at = |instant: Option<Timestamp>| instant.map(|at| at.0).into();
    let marks: [Value<'_>; 2] = [at(new.until), at(new.after)];
    if transaction.execute(WRITE_MARK, &marks).await? == 0 {
        return Ok(Settlement::Moved);
    }
    if !new.rows.is_empty() && !dictionary::is_past(transaction, new.names).await? {
        return Ok(Settlement::OtherNames);
    }
    for row in new.rows {
        // The first row of a step takes the place of all that there was.
        if row.part == SeriesPart::FLEET {
            delete(transaction, row).await?;
        }
        put(transaction, row).await?;
    }
    Ok(Settlement::Settled)
}

async fn delete(transaction: &mut impl Transaction, row: &SeriesRow) -> Result<(), Fault> {
    let start = row.window.start.0.into();
    match row.step {
        SeriesStep::Window => transaction.execute(DELETE_WINDOW, &[start]).await?,
        step => {
            let values = [step.milliseconds().into(), start];
            transaction.execute(DELETE_STEPS, &values).await?
        }
    };
    Ok(())
}

async fn put(transaction: &mut impl Transaction, row: &SeriesRow) -> Result<(), Fault> {
    let values: [Value<'_>; 5] = [
        row.window.start.0.into(),
        i64::from(row.part.0).into(),
        row.window.end.0.into(),
        row.payload.as_slice().into(),
        row.step.milliseconds().into(),
    ];
    match row.step {
        SeriesStep::Window => transaction.execute(WRITE_WINDOW, &values[..4]).await?,
        _ => transaction.execute(WRITE_STEPS, &values).await?,
    };
    Ok(())
}

fn stored(step: SeriesStep, row: &impl Row) -> Result<SeriesRow, Fault> {
    let start = row.integer("start_ms")?;
    let part = row.integer("part")?;
    Ok(SeriesRow {
        step,
        window: Window {
            start: Timestamp(start),
            end: Timestamp(row.integer("end_ms")?),
        },
        part: SeriesPart(fault::number(part, || {
            format!("series.part of start_ms {start}")
        })?),
        payload: row.bytes("payload")?.to_vec(),
    })
}

/// Sends rows, oldest first; of each time the fleet's first.
pub async fn stream<B: Backend>(
    backend: &B,
    asked: SeriesAsked,
    rows: &Rows<SeriesRow>,
) -> Result<(), Fault> {
    let mut values: Vec<Value<'_>> = vec![asked.from.0.into(), asked.until.0.into()];
    let of_class = |part: SeriesPart| Value::from(i64::from(part.of_class(asked.class).0));
    let first = of_class(SeriesPart::FLEET);
    let (windows, steps) = match asked.of {
        SeriesOf::Service(hash) => {
            values.push(first);
            values.extend(SeriesPart::candidates(hash).map(of_class));
            (READ_WINDOWS_OF, READ_STEPS_OF)
        }
        SeriesOf::Fleet => {
            values.extend([first, of_class(SeriesPart::FLEET)]);
            (READ_WINDOWS, READ_STEPS)
        }
        SeriesOf::Services => {
            values.extend([first, of_class(SeriesPart(u8::MAX.into()))]);
            (READ_WINDOWS, READ_STEPS)
        }
        SeriesOf::All => {
            values.extend([0, i64::from(u16::MAX)].map(Value::from));
            (READ_WINDOWS, READ_STEPS)
        }
    };
    let statement = match asked.step {
        SeriesStep::Window => windows,
        step => {
            values.push(step.milliseconds().into());
            steps
        }
    };
    let mut transaction = backend.begin(Kind::Read).await?;
    {
        let mut found = transaction.stream(statement, &values);
        while let Some(row) = found.try_next().await? {
            if rows.send(stored(asked.step, &row)?).await.is_err() {
                return Ok(());
            }
        }
    }
    transaction.commit().await
}

/// Deletes rows of steps that are old. Those of windows are deleted elsewhere, with their partitions.
pub async fn delete_old<B: Backend>(backend: &B, before: SeriesBefore) -> Result<(), Fault> {
    let kept = [before.ten_minutes, before.hours, before.days];
    for (step, before) in SeriesStep::COARSE.into_iter().zip(kept) {
        let mut transaction = backend.begin(Kind::Write).await?;
        let values = [step.milliseconds().into(), before.0.into()];
        transaction.execute(DELETE_OLD, &values).await?;
        transaction.commit().await?;
    }
    Ok(())
}
