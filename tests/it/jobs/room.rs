//! Where names fill up, those that were seen once make room for others.

use std::time::Duration;

use serde_json::json;
use weir::allocation::{Belief, OperationId, OperationPlan, Plan};
use weir::clock::Clock;
use weir::jobs::{Job, Maintain, RetentionPace};
use weir::snapshot::Snapshot;

use super::{HOUR, LIMITS, OPERATION, Replica, minutes_ago};

/// An operation as a plan knows it.
struct Known {
    service: &'static str,
    name: &'static str,
    /// In windows of a minute.
    silent: u32,
    once: bool,
}

const fn once(service: &'static str, name: &'static str, silent: u32) -> Known {
    Known {
        service,
        name,
        silent,
        once: true,
    }
}

const fn seen_again(service: &'static str, name: &'static str, silent: u32) -> Known {
    Known {
        once: false,
        ..once(service, name, silent)
    }
}

/// A replica that serves a plan of these operations.
async fn serving(directory: &std::path::Path, operations: &[Known]) -> Replica {
    let replica = Replica::start(directory).await;
    let wanted = operations.iter().map(|known| (known.service, known.name));
    let resolved = replica.shared.dictionary.resolve(wanted).await.unwrap();
    let planned = operations.iter().zip(&resolved.rows);
    let planned = planned.map(|(known, row)| OperationPlan {
        operation: row.operation,
        service: row.service,
        silent_windows: known.silent,
        belief: Belief {
            once: known.once,
            ..OPERATION.belief
        },
        ..OPERATION
    });
    let mut planned: Vec<OperationPlan> = planned.collect();
    planned.sort_by_key(|planned| planned.operation);
    let plan = Plan {
        number: 1,
        window: minutes_ago(&replica, 1),
        operations: planned,
        ..Plan::default()
    };
    let snapshot = Snapshot::build(plan, None, &replica.shared.dictionary.names());
    replica.shared.served.install(snapshot);
    replica
}

/// The operations of these that maintenance leaves.
async fn left<'k>(replica: &Replica, operations: &'k [Known]) -> Vec<&'k str> {
    let maintain = Maintain {
        pace: RetentionPace::from(&*replica.shared.clock, &Plan::default()),
        shared: replica.shared.clone(),
        report_age_max: HOUR,
        grace: Duration::ZERO,
        history: HOUR,
        steps: weir::settings::TimingSettings::STEPS,
        retire_after: HOUR,
        names: LIMITS,
    };
    maintain.run().await.unwrap();
    replica.shared.dictionary.refresh().await.unwrap();
    let names = replica.shared.dictionary.names();
    let left = operations.iter();
    left.filter(|known| names.find(known.service, known.name).is_some())
        .map(|known| known.name)
        .collect()
}

async fn number(replica: &Replica, service: &str, name: &str) -> Option<OperationId> {
    let wanted = [(service, name)].into_iter();
    let rows = replica
        .shared
        .dictionary
        .resolve(wanted)
        .await
        .unwrap()
        .rows;
    (!rows[0].overflow).then_some(rows[0].operation)
}

#[tokio::test]
async fn a_full_service_forgets_first_what_it_saw_once() {
    let full = [
        seen_again("shop", "a", 0),
        seen_again("shop", "b", 59),
        once("shop", "pinned", 58),
        once("shop", "oldest", 20),
        once("shop", "older", 19),
        once("shop", "old", 12),
        once("shop", "late", 11),
        once("shop", "c", 0),
        once("shop", "d", 0),
        once("shop", "e", 0),
    ];
    let directory = tempfile::tempdir().unwrap();
    let replica = serving(directory.path(), &full).await;
    let pinned = json!({ "services": { "shop": { "operations": {
        "pinned": { "probability": 0.5 } } } } })
    .to_string();
    let (store, now) = (&replica.shared.store, replica.shared.clock.now());
    store.create_configuration("{}", now).await.unwrap();
    store
        .write_configuration(1, &pinned, "a test", now, None, None)
        .await
        .unwrap();
    assert_eq!(number(&replica, "shop", "new").await, None, "it is full");
    let all: Vec<&str> = full.iter().map(|known| known.name).collect();
    let rest: Vec<&str> = all
        .iter()
        .copied()
        .filter(|name| *name != "oldest")
        .collect();
    assert_eq!(left(&replica, &full).await, rest, "a tenth is free");
    assert!(number(&replica, "shop", "new").await.is_some());
}

#[tokio::test]
async fn a_full_fleet_forgets_first_what_any_service_saw_once() {
    let full = [
        seen_again("shop", "a", 59),
        seen_again("shop", "b", 59),
        once("shop", "younger", 12),
        once("shop", "c", 3),
        seen_again("shop", "d", 0),
        seen_again("stock", "e", 0),
        once("stock", "oldest", 13),
        once("stock", "f", 11),
        seen_again("stock", "g", 30),
        seen_again("stock", "h", 30),
    ];
    let directory = tempfile::tempdir().unwrap();
    let replica = serving(directory.path(), &full).await;
    // A replica writes the first configuration at its start.
    let (store, now) = (&replica.shared.store, replica.shared.clock.now());
    store.create_configuration("{}", now).await.unwrap();
    assert_eq!(number(&replica, "shop", "new").await, None, "it is full");
    let names = left(&replica, &full).await;
    assert!(!names.contains(&"oldest"), "{names:?}");
    assert_eq!(names.len(), full.len() - 1, "{names:?}");
    assert!(number(&replica, "shop", "new").await.is_some());
    assert_eq!(number(&replica, "shop", "newer").await, None, "full again");
}

#[tokio::test]
async fn with_room_nothing_goes_before_its_time() {
    let some = [
        once("shop", "a", 59),
        once("shop", "b", 59),
        once("shop", "c", 60),
    ];
    let directory = tempfile::tempdir().unwrap();
    let replica = serving(directory.path(), &some).await;
    assert_eq!(left(&replica, &some).await, ["a", "b"]);
}

#[tokio::test]
async fn an_operation_that_was_reported_after_the_plan_stays() {
    let some = [seen_again("shop", "a", 60), seen_again("shop", "b", 60)];
    let directory = tempfile::tempdir().unwrap();
    let replica = serving(directory.path(), &some).await;
    let back = number(&replica, "shop", "a").await.unwrap();
    replica
        .count(1, minutes_ago(&replica, 0), &[(back, 1, 0)])
        .await;
    assert_eq!(left(&replica, &some).await, ["a"]);
}
