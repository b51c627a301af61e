//! Tables `history` and `settlement`: one row per window, and up to when they are final.

use super::dictionary;
use crate::allocation::{Timestamp, Window};
use crate::store::backend::{Backend, Coming, Kind, Row, Transaction};
use crate::store::fault::Fault;
use crate::store::{Settlement, Settling};

const READ_SETTLED: &str = "\
-- history: read settled
select until_ms from settlement";

const WRITE_SETTLED: &str = "\
-- history: write settled
update settlement set until_ms = $1 where until_ms is not distinct from $2";

/// The window of a row.
pub fn window(row: &impl Row) -> Result<Window, Fault> {
    Ok(Window {
        start: Timestamp(row.integer("window_start_ms")?),
        end: Timestamp(row.integer("window_end_ms")?),
    })
}

/// Writes rows, and up to when history is settled now.
pub async fn settle<B: Backend>(backend: &B, settling: Settling<'_>) -> Result<Settlement, Fault> {
    let coming = Coming {
        history: settling.rows,
        ..Coming::default()
    };
    backend.make_room(coming).await?;
    let mut transaction = backend.begin(Kind::Write).await?;
    let settlement = attempt::<B>(&mut transaction, settling).await?;
    if settlement == Settlement::Settled {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(settlement)
}

async fn attempt<B: Backend>(
    transaction: &mut B::Transaction,
    settling: Settling<'_>,
) -> Result<Settlement, Fault> {
    let after = settling.after.map(|after| after.0);
    let values = [settling.until.0.into(), after.into()];
    if transaction.execute(WRITE_SETTLED, &values).await? == 0 {
        return Ok(Settlement::Moved);
    }
    let given = !settling.rows.is_empty();
    if given && !dictionary::is_past(transaction, settling.names).await? {
        return Ok(Settlement::OtherNames);
    }
    B::write_history(transaction, settling.rows).await?;
    Ok(Settlement::Settled)
}

/// Up to when history is settled.
pub async fn settled<B: Backend>(backend: &B) -> Result<Option<Timestamp>, Fault> {
    let mut transaction = backend.begin(Kind::Glance).await?;
    let row = transaction.only_row(READ_SETTLED, &[]).await?;
    transaction.commit().await?;
    Ok(row.integer_or_null("until_ms")?.map(Timestamp))
}
