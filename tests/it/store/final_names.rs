use std::sync::Arc;

use uuid::Uuid;
use weir::allocation::Timestamp;
use weir::store::{FinalName, ReplicaFinalNames, ServiceFinalNames, Store, StoredFinalNames};

use super::maintenance::before;
use super::{Fixture, corrupt_cell, window};

/// A final name of a service, and its requests.
type Told<'t> = (&'t str, &'t str, u64);

/// What a replica heard in a window.
fn heard(replica: u128, number: i64, names: &[Told<'_>]) -> ReplicaFinalNames {
    let of = |(service, at_end, requests): &Told<'_>| ServiceFinalNames {
        service: (*service).into(),
        names: vec![FinalName {
            at_start: "GET".into(),
            at_end: (*at_end).into(),
            requests: *requests,
        }],
    };
    ReplicaFinalNames {
        window: window(number),
        replica: Uuid::from_u128(replica),
        services: names.iter().map(of).collect(),
    }
}

async fn write(store: &Arc<dyn Store>, heard: &ReplicaFinalNames) {
    store.commit_final_names(heard).await.unwrap();
}

/// The rows that these services are in, of the windows from the first to before another one.
async fn rows(store: &Arc<dyn Store>, services: &[&str], until: i64) -> Vec<StoredFinalNames> {
    let services: Vec<String> = services.iter().map(|service| (*service).into()).collect();
    let starts = window(0).start..window(until).start;
    store.read_final_names(&services, starts).await.unwrap()
}

/// What these rows say of a service: the window, the final name and the requests.
fn told(rows: &[StoredFinalNames], service: &str) -> Vec<(i64, String, u64)> {
    let mut told = Vec::new();
    for row in rows {
        let number = (row.window.start.0 - super::NINE) / 10_000;
        assert_eq!(row.window, window(number));
        let services = row.services().unwrap();
        for of in services.iter().filter(|of| of.service == service) {
            for name in &of.names {
                assert_eq!(name.at_start, "GET");
                told.push((number, name.at_end.clone(), name.requests));
            }
        }
    }
    told.sort();
    told
}

pub async fn they_come_back_by_service_and_window(fixture: &Fixture) {
    let (one, other) = (fixture.open().await, fixture.open().await);
    let both = [("shop", "GET /", 3), ("\u{1f6d2}", "GET /cart", u64::MAX)];
    write(&one, &heard(1, 0, &both)).await;
    write(&other, &heard(2, 0, &[("shop", "GET /cart", 4)])).await;
    write(&other, &heard(2, 1, &[("shop", "GET /", 5)])).await;
    write(&other, &heard(2, 2, &[("shop", "GET /", 6)])).await;
    write(&other, &heard(2, 1, &[])).await;
    let found = rows(&one, &["shop"], 2).await;
    let expected = [(0, "GET /", 3), (0, "GET /cart", 4), (1, "GET /", 5)];
    let expected = expected.map(|(number, name, requests)| (number, name.into(), requests));
    assert_eq!(told(&found, "shop"), expected, "window 2 was not asked for");
    let found = rows(&one, &["shop", "\u{1f6d2}", "unknown"], 1).await;
    assert_eq!(
        told(&found, "\u{1f6d2}"),
        [(0, "GET /cart".into(), u64::MAX)]
    );
    assert_eq!(told(&found, "shop").len(), 2);
    assert_eq!(rows(&one, &[], 9).await, []);
}

pub async fn a_window_written_again_is_replaced(fixture: &Fixture) {
    let store = fixture.open().await;
    write(&store, &heard(1, 0, &[("shop", "GET /", 3)])).await;
    write(&store, &heard(1, 0, &[("shop", "GET /", 4)])).await;
    let found = rows(&store, &["shop"], 1).await;
    assert_eq!(told(&found, "shop"), [(0, "GET /".into(), 4)]);
}

pub async fn a_corrupt_row_is_named(fixture: &Fixture) {
    let store = fixture.open().await;
    for replica in [1, 2] {
        write(&store, &heard(replica, 0, &[("shop", "GET /", 3)])).await;
    }
    let damage = match fixture {
        Fixture::Postgres(_) => {
            "update final_names set payload = '\\x01ff' where replica::text like '%1'"
        }
        Fixture::Sqlite(_) => "update final_names set payload = x'01ff' where replica like '%1'",
    };
    fixture.tamper(damage).await;
    let (damaged, sound): (Vec<_>, Vec<_>) = rows(&store, &["shop"], 1)
        .await
        .into_iter()
        .partition(|row| row.services().is_err());
    let start = window(0).start.0;
    let cell = format!("final_names.payload of a row of bucket_start_ms {start}");
    assert_eq!(corrupt_cell(damaged[0].services()), cell);
    assert_eq!(told(&sound, "shop"), [(0, "GET /".into(), 3)]);
}

pub async fn old_ones_go(fixture: &Fixture) {
    let store = fixture.open().await;
    for number in 0..3 {
        write(&store, &heard(1, number, &[("shop", "GET /", 1)])).await;
    }
    let retention = weir::store::Retention {
        final_names_before: window(2).start,
        ..before(Timestamp(0))
    };
    store.maintain(window(9).end, retention).await.unwrap();
    let found = rows(&store, &["shop"], 9).await;
    assert_eq!(told(&found, "shop"), [(2, "GET /".into(), 1)]);
}
