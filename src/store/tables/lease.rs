//! Table `lease`: who may act alone.
//!
//! The statements for taking it differ, because leases expire by the clock of the database: see
//! each backend's `lease`.

use uuid::Uuid;

use crate::store::Claim;
use crate::store::backend::{Backend, Kind, Transaction};
use crate::store::fault::{self, Fault};

/// Gives the lease back.
pub async fn release<B: Backend>(backend: &B, name: &str, holder: Uuid) -> Result<(), Fault> {
    let values = [name.into(), holder.into()];
    let mut transaction = backend.begin(Kind::Brief).await?;
    transaction
        .execute(B::STATEMENTS.release_lease, &values)
        .await?;
    transaction.commit().await
}

/// Whether a lease is held as claimed. That does not change until the transaction ends.
pub async fn hold<B: Backend>(
    transaction: &mut B::Transaction,
    claim: Claim,
) -> Result<bool, Fault> {
    let term = fault::signed(claim.term, "the lease's term")?;
    let values = [claim.lease.into(), claim.holder.into(), term.into()];
    let held = transaction.row(B::STATEMENTS.hold_lease, &values).await?;
    Ok(held.is_some())
}
