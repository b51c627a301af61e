//! Table `compatibility`: which releases can work with this database.

use crate::store::WriteFormat;
use crate::store::backend::{Backend, Kind, Row, Transaction};
use crate::store::compatibility;
use crate::store::fault::Fault;

/// The lowest level of the schema that a program must know. During a restore the table is empty.
pub const READABLE_FROM: &str = "\
-- compatibility: readable from
select readable_from from compatibility";

const READ_FORMAT: &str = "\
-- compatibility: read format
select write_format from compatibility";

const WRITE_FORMAT: &str = "\
-- compatibility: write format
update compatibility set write_format = $1";

/// The formats to write.
pub async fn format<B: Backend>(backend: &B) -> Result<WriteFormat, Fault> {
    let mut transaction = backend.begin(Kind::Glance).await?;
    let row = transaction.only_row(READ_FORMAT, &[]).await?;
    transaction.commit().await?;
    Ok(compatibility::format(row.integer("write_format")?))
}

/// Chooses the formats to write.
pub async fn set_format<B: Backend>(backend: &B, format: WriteFormat) -> Result<(), Fault> {
    let number = compatibility::number(format);
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(WRITE_FORMAT, &[number.into()]).await?;
    transaction.commit().await
}
