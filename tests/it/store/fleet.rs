use std::time::Duration;

use weir::store::{DictionaryLimits, FleetSettings};

use super::{Fixture, corrupt_cell};

fn settings(interval_milliseconds: u64) -> FleetSettings {
    FleetSettings {
        interval: Duration::from_millis(interval_milliseconds),
        report_age_max: Duration::from_secs(3600),
        grace: None,
        history: Duration::from_secs(7200),
        steps: weir::store::StepsKept {
            ten_minutes: Duration::from_secs(200_000),
            hours: Duration::from_secs(300_000),
            days: Duration::from_secs(400_000),
        },
        retire_after: Duration::from_secs(10_800),
        names: DictionaryLimits {
            services: 3,
            operations_per_service: 5,
            operations: 7,
        },
    }
}

pub async fn the_first_to_write_decides(fixture: &Fixture) {
    let (one, two) = (fixture.open().await, fixture.open().await);
    assert_eq!(one.fleet_settings().await.unwrap(), None);
    let first = settings(1500);
    assert_eq!(one.write_fleet_settings(first, false).await.unwrap(), first);
    let second = two.write_fleet_settings(settings(9000), false).await;
    assert_eq!(second.unwrap(), first);
    assert_eq!(two.fleet_settings().await.unwrap(), Some(first));
}

pub async fn a_change_is_seen_by_all(fixture: &Fixture) {
    let (one, two) = (fixture.open().await, fixture.open().await);
    one.write_fleet_settings(settings(1000), false)
        .await
        .unwrap();
    let changed = FleetSettings {
        grace: Some(Duration::from_millis(1)),
        history: Duration::from_secs(14_400),
        ..settings(30_000)
    };
    let stored = two.write_fleet_settings(changed, true).await.unwrap();
    assert_eq!(stored, changed);
    assert_eq!(one.fleet_settings().await.unwrap(), Some(changed));
}

pub async fn a_corrupt_interval_is_named(fixture: &Fixture) {
    let store = fixture.open().await;
    store
        .write_fleet_settings(settings(1000), false)
        .await
        .unwrap();
    let relaxed = match fixture {
        Fixture::Postgres(_) => {
            "alter table fleet drop constraint fleet_interval_ms_check; \
             update fleet set interval_ms = 0"
        }
        Fixture::Sqlite(_) => {
            "pragma ignore_check_constraints = on; update fleet set interval_ms = 0"
        }
    };
    fixture.tamper(relaxed).await;
    let cell = corrupt_cell(store.fleet_settings().await);
    assert_eq!(cell, "fleet.interval_ms");
}
