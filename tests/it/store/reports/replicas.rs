//! Reports that reach several replicas at the same time.

use std::sync::Arc;

use weir::allocation::OperationId;
use weir::store::Admission::Counted;

use super::super::{Fixture, window};
use super::{INSTANCES, agent_totals, bucket, instances, operation, report, small, stored, totals};

pub async fn a_report_sent_to_two_replicas_at_once_counts_once(fixture: &Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    let mut expected = 0;
    for round in 0..10 {
        let agents = ["a", "b", "c", "d"];
        let batch: Vec<_> = agents.iter().map(|agent| small(agent, round)).collect();
        let tries: Vec<_> = (0..6)
            .map(|number| {
                let (store, batch) = (Arc::clone(&stores[number % 2]), batch.clone());
                tokio::spawn(async move { store.commit_reports(&batch).await.unwrap() })
            })
            .collect();
        let mut counted = [0; 4];
        for attempt in tries {
            for (count, answer) in counted.iter_mut().zip(attempt.await.unwrap()) {
                *count += u32::from(answer == Counted);
            }
        }
        assert_eq!(counted, [1; 4], "round {round}");
        expected += 4;
    }
    let deltas = stored(&stores[0]).await;
    let total = totals(&deltas)[&(window(0), OperationId(1))];
    assert_eq!(total, (expected, 0));
    assert_eq!(instances(&deltas, window(0)), expected * INSTANCES);
}

/// Each replica's batches contain the same agents in another order, some of them new, some of them
/// sent to both replicas.
pub async fn overlapping_batches_of_two_replicas_lose_nothing(fixture: &Fixture) {
    const ROUNDS: u64 = 12;
    let mut running = Vec::new();
    for replica in 0..2_u64 {
        let store = fixture.open().await;
        running.push(tokio::spawn(async move {
            let mut accepted = Vec::new();
            for round in 0..ROUNDS {
                let mut batch: Vec<_> = (0..40)
                    .map(|agent| {
                        let sequence = if agent % 3 == 0 {
                            round
                        } else {
                            round * 2 + replica
                        };
                        let counts = [operation(agent % 5, u64::from(agent) + round, round)];
                        let name = format!("agent {} of {}", agent, round / 4);
                        let bucket = bucket(window(i64::from(agent) % 2), 1, &counts);
                        report(&name, sequence, vec![bucket])
                    })
                    .collect();
                if replica == 1 {
                    batch.reverse();
                }
                let answers = store.commit_reports(&batch).await.unwrap();
                let counted = batch
                    .into_iter()
                    .zip(answers)
                    .filter(|(_, is)| *is == Counted);
                accepted.extend(counted.flat_map(|(report, _)| report.buckets));
            }
            accepted
        }));
    }
    let mut accepted = Vec::new();
    for replica in running {
        accepted.extend(replica.await.unwrap());
    }
    // Two of three agents sent ROUNDS reports through each replica, the third the same through
    // both.
    let unshared = (0..40).filter(|agent| agent % 3 != 0).count() as u64;
    let all = (unshared * 2 + (40 - unshared)) * ROUNDS;
    assert_eq!(accepted.len() as u64, all);
    let deltas = stored(&fixture.open().await).await;
    assert_eq!(totals(&deltas), totals(&accepted));
    assert_eq!(agent_totals(&deltas), agent_totals(&accepted));
}
