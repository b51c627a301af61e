//! Deletes data past its retention, table by table.

use crate::allocation::Timestamp;
use crate::store::backend::Backend;
use crate::store::fault::Fault;
use crate::store::tables::{
    audit, configuration, dictionary, edges, final_names, observations, polls, replicas, series,
};
use crate::store::{Maintained, Retention};

/// Deletes data past its retention.
pub(super) async fn maintain<B: Backend>(
    backend: &B,
    now: Timestamp,
    retention: Retention,
) -> Result<Maintained, Fault> {
    backend.maintain(now, retention).await?;
    polls::delete(backend, retention.polls_before).await?;
    final_names::delete(backend, retention.final_names_before).await?;
    observations::delete(backend, retention.observations_before).await?;
    series::delete_old(backend, retention.series_before).await?;
    dictionary::forget(backend, retention.dictionary_states).await?;
    audit::prune(backend, retention.audit_before).await?;
    edges::prune(backend).await?;
    replicas::prune(backend).await?;
    let revisions = configuration::prune(backend, retention.revisions).await?;
    Ok(Maintained {
        configuration_revisions: revisions,
    })
}
