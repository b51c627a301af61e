use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use weir::allocation::{OperationId, Timestamp};
use weir::configuration::Configuration;
use weir::store::{Admission, BucketOperation, HistoryRow, Publication, Retention};

use super::plans::{lead, mark, plan, publish};
use super::reports::{bucket, report};
use super::{Fixture, NINE, window};
use crate::support::stored::ReadWhole;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn at(milliseconds: i64) -> Timestamp {
    Timestamp(NINE + milliseconds)
}

/// A retention that lets everything that ends before an instant be deleted.
pub(super) fn before(instant: Timestamp) -> Retention {
    Retention {
        deltas_before: instant,
        polls_before: instant,
        final_names_before: instant,
        observations_before: instant,
        history_before: instant,
        series_before: weir::store::SeriesBefore::all(instant),
        plan_bodies_before: instant,
        agents_before: instant,
        audit_before: instant,
        dictionary_states: 10,
        revisions: Configuration::REVISIONS,
    }
}

fn one() -> [BucketOperation; 1] {
    [BucketOperation {
        operation: OperationId(1),
        offered: 1,
        sampled: 1,
    }]
}

pub async fn it_runs_on_an_empty_store_and_again(fixture: &Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    for store in &stores {
        for hour in 0..3 {
            store
                .maintain(at(hour * HOUR), before(at(hour * HOUR - DAY)))
                .await
                .unwrap();
        }
    }
    let bucket = bucket(window(0), 1, &one());
    let answer = stores[0]
        .commit_reports(&[report("a", 1, vec![bucket])])
        .await
        .unwrap();
    assert_eq!(answer, [Admission::Counted]);
}

pub async fn what_is_old_goes_and_the_rest_stays(fixture: &Fixture) {
    let store = fixture.open().await;
    let days: Vec<i64> = (0..6).map(|day| day * DAY / 10_000).collect();
    let buckets = days
        .iter()
        .map(|day| bucket(window(*day), 1, &one()))
        .collect();
    store
        .commit_reports(&[report("a", 1, buckets)])
        .await
        .unwrap();
    let rows: Vec<_> = days
        .iter()
        .map(|day| HistoryRow {
            window: window(*day),
            payload: vec![1],
        })
        .collect();
    store.settle(&rows, Timestamp(0)).await.unwrap();
    // Two whole days and a part of the third.
    store
        .maintain(at(5 * DAY), before(at(2 * DAY + HOUR)))
        .await
        .unwrap();
    let all = Timestamp(0)..Timestamp(i64::MAX);
    let mut kept: Vec<_> = store.read_deltas(all.clone()).await.unwrap();
    kept.sort_by_key(|delta| delta.bucket);
    let starts: Vec<_> = kept.iter().map(|delta| delta.bucket.start).collect();
    // Deltas are deleted by the hour or finer; what is within its retention stays.
    assert_eq!(
        starts,
        days[3..]
            .iter()
            .map(|day| window(*day).start)
            .collect::<Vec<_>>()
    );
    let history = store.read_history(all).await.unwrap();
    let young: Vec<_> = rows[3..].to_vec();
    assert!(history.ends_with(&young), "{history:?}");
    // History is deleted by the day or finer.
    assert!(history.len() <= young.len() + 1, "{history:?}");
}

pub async fn the_current_plan_stays_whatever_its_age(fixture: &Fixture) {
    let store = fixture.open().await;
    let term = lead(&store, 1).await;
    for number in 1..=3 {
        assert_eq!(
            publish(&store, &plan(number, term)).await,
            Publication::Published
        );
    }
    let later = at(90 * DAY);
    store.maintain(later, before(later)).await.unwrap();
    assert_eq!(store.current_plan_mark().await.unwrap(), Some(mark(3)));
    assert_eq!(store.current_plan().await.unwrap(), Some(plan(3, term)));
    // The next plan is published as usual.
    let mut next = plan(4, term);
    next.published_at += chrono::TimeDelta::days(90);
    assert_eq!(publish(&store, &next).await, Publication::Published);
    store.maintain(later, before(later)).await.unwrap();
    assert_eq!(store.current_plan().await.unwrap(), Some(next));
}

pub async fn old_marks_go(fixture: &Fixture) {
    let store = fixture.open().await;
    let old = report("old", 1, vec![bucket(window(0), 1, &one())]);
    let young = report("young", 1, vec![bucket(window(9), 1, &one())]);
    let batch = [old, young];
    store.commit_reports(&batch).await.unwrap();
    let retention = Retention {
        agents_before: window(5).start,
        ..before(Timestamp(0))
    };
    store.maintain(at(0), retention).await.unwrap();
    // The old agent has been forgotten, so the report counts as a new agent's.
    let answers = store.commit_reports(&batch).await.unwrap();
    assert_eq!(answers, [Admission::Counted, Admission::Duplicate]);
}

/// Maintenance drops the partition that a writer is about to write into; the writer must not fail.
pub async fn it_disturbs_no_writer(fixture: &Fixture) {
    let (writer, pruner) = (fixture.open().await, fixture.open().await);
    let running = Arc::new(AtomicBool::new(true));
    let stop = Arc::clone(&running);
    let pruning = tokio::spawn(async move {
        let mut rounds = 0;
        while stop.load(Ordering::SeqCst) || rounds == 0 {
            pruner.maintain(at(0), before(at(DAY))).await.unwrap();
            rounds += 1;
        }
    });
    let term = lead(&writer, 1).await;
    for number in 1..=20_u64 {
        let bucket = bucket(window(0), 1, &one());
        let answer = writer
            .commit_reports(&[report("a", number, vec![bucket])])
            .await
            .unwrap();
        assert_eq!(answer, [Admission::Counted]);
        assert_eq!(
            publish(&writer, &plan(number, term)).await,
            Publication::Published
        );
        assert_eq!(
            writer.current_plan().await.unwrap(),
            Some(plan(number, term))
        );
    }
    running.store(false, Ordering::SeqCst);
    pruning.await.unwrap();
}
