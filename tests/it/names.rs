//! Names are an immutable snapshot: readers wait for nobody and delay nobody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use uuid::Uuid;
use weir::names::Dictionary;
use weir::store::sqlite::SqliteStore;
use weir::store::{DictionaryLimits, Store};

use crate::support::app::{TestApp, config, report};
use crate::support::postgres::Cluster;
use crate::support::process::eventually;
use crate::support::proxy::Proxy;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(30);

const WIDE: DictionaryLimits = DictionaryLimits {
    services: 100,
    operations_per_service: 3000,
    operations: 3000,
};

async fn dictionary(directory: &std::path::Path, limits: DictionaryLimits) -> Dictionary {
    let store = SqliteStore::open(&directory.join("weir.db")).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    Dictionary::new(store, limits, Arc::default())
}

#[tokio::test]
async fn names_that_are_held_change_no_more_and_hold_up_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let dictionary = dictionary(directory.path(), WIDE).await;
    let mut numbers = HashMap::new();
    let mut held = vec![(0, dictionary.names())];
    // Enough to grow over several chunks and shards, by one name and by many.
    for (round, count) in [1, 700, 1, 1500, 1].into_iter().enumerate() {
        let new: Vec<(String, String)> = (0..count)
            .map(|of| (format!("service {}", of % 7), format!("{round} {of}")))
            .collect();
        let wanted = new.iter().map(|(service, name)| (&**service, &**name));
        let resolved = dictionary.resolve(wanted).await.unwrap();
        numbers.extend(new.into_iter().zip(resolved.rows));
        held.push((numbers.len(), dictionary.names()));
    }
    for (known, names) in held {
        let found = numbers.iter().filter(|((service, name), row)| {
            let number = names.find(service, name);
            assert!(number.is_none_or(|number| number == row.operation));
            assert_eq!(names.row(row.operation).is_some(), number.is_some());
            if let Some(named) = names.name(row.operation) {
                assert_eq!((&*named.service, &*named.operation), (&**service, &**name));
            }
            number.is_some()
        });
        assert_eq!(found.count(), known);
    }
}

#[tokio::test]
async fn what_found_no_room_is_asked_for_again_once_there_is_some() {
    let directory = tempfile::tempdir().unwrap();
    let limits = DictionaryLimits {
        services: 2,
        operations_per_service: 1,
        operations: 2,
    };
    let dictionary = dictionary(directory.path(), limits).await;
    let number = async |service, name| {
        let resolved = dictionary.resolve([(service, name)].into_iter()).await;
        let row = resolved.unwrap().rows[0];
        (!row.overflow).then_some(row.operation)
    };
    let first = number("a", "1").await.expect("there is room");
    assert_eq!(number("a", "2").await, None);
    assert!(number("b", "1").await.is_some());
    assert_eq!(number("c", "1").await, None);
    let under = dictionary.names().incarnation();
    let store = SqliteStore::open(&directory.path().join("weir.db"))
        .await
        .unwrap();
    assert_eq!(store.remove_names(under, &[first], None).await.unwrap(), 1);
    assert_eq!(number("c", "1").await, None, "nobody has told this replica");
    dictionary.refresh().await.unwrap();
    assert!(number("c", "1").await.is_some(), "service a made room");
}

/// A restore fills the tables one after the other. A replica that runs meanwhile may read the
/// dictionary's state before its names.
#[tokio::test]
async fn names_that_a_restore_brings_late_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let before = dictionary(directory.path(), WIDE).await;
    let wanted = [("a", "1"), ("a", "2")];
    let known = before.resolve(wanted.into_iter()).await.unwrap();
    let file = SqliteConnectOptions::new().filename(directory.path().join("weir.db"));
    let mut connection = file.connect().await.unwrap();
    let mut execute = async |statement: &'static str| {
        sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    };
    execute("create table late as select * from operation; delete from operation").await;
    let replica = dictionary(directory.path(), WIDE).await;
    replica.refresh().await.unwrap();
    assert_eq!(replica.names().find("a", "1"), None);
    execute("insert into operation select * from late").await;
    let found = replica.resolve(wanted.into_iter()).await.unwrap();
    assert_eq!(found.rows, known.rows);
}

/// The database stops in the middle of everything: names are being added, reports committed, plans
/// published, the lease renewed. Polls, and what operators read from memory, continue.
#[tokio::test(flavor = "multi_thread")]
async fn polls_are_answered_whatever_waits_for_the_database() {
    let cluster = Cluster::start();
    let proxy = Proxy::to_unix(&cluster.socket()).await;
    let url = proxy.postgres_url("postgres");
    let app = TestApp::start_with(config(&["--interval", "1s", "--database-url", &url])).await;
    let epoch = Uuid::new_v4();
    assert_eq!(app.report(&report("a", epoch, 1, 100)).await.0, 200);
    eventually(DEADLINE, "a plan", async || app.plan().await).await;
    proxy.silence();
    let mut new = report("b", epoch, 1, 1);
    let committing = tokio::spawn(send(&app, report("a", epoch, 2, 100)));
    new["services"][0]["operations"][0]["operation"] = json!("GET /new");
    let adding = tokio::spawn(send(&app, new));
    eventually(DEADLINE, "a report waits", async || {
        (Scrape::of(&app).await.value("weir_reports_waiting") >= 1.0).then_some(())
    })
    .await;
    for _ in 0..50 {
        app.poll("checkout").await;
        app.poll("nobody").await;
        assert_eq!(app.admin_get("/v1/services").await.0, 200);
        let operations = app.admin_get("/v1/services/checkout/operations").await;
        assert_eq!(operations.0, 200);
    }
    proxy.restore();
    for sent in [committing, adding] {
        sent.await.unwrap();
    }
    app.stop().await;
}

fn send(app: &TestApp, report: serde_json::Value) -> impl Future<Output = ()> + use<> {
    let post = app.client.post(format!("{}/v1/reports", app.sdk));
    async move {
        post.json(&report).send().await.expect("an answer");
    }
}
