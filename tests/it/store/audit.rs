use chrono::TimeDelta;
use uuid::Uuid;
use weir::allocation::Timestamp;
use weir::clock::{Clock, SystemClock};
use weir::store::{
    AuditAction, AuditAsked, Claim, ConfigurationWrite, NewAuditEntry, Origin, ReplicaBeat,
    Retention, Store,
};

use super::{Fixture, instant};

fn entry(by: &str, revisions: Option<(u64, u64)>) -> NewAuditEntry {
    NewAuditEntry {
        by: by.into(),
        kind: "token".into(),
        role: Some("operator".into()),
        address: Some("10.0.0.1".into()),
        origin: Origin::File,
        action: AuditAction::BudgetChanged,
        subject: None,
        reason: Some("'; drop table audit".into()),
        revisions,
        change: r#"{"words":["é"]}"#.into(),
        predicted: None,
    }
}

fn asked(limit: u32) -> AuditAsked {
    AuditAsked {
        limit,
        ..AuditAsked::default()
    }
}

async fn write(store: &dyn Store, from: u64, record: &NewAuditEntry) -> ConfigurationWrite {
    let written =
        store.write_configuration(from, "new", &record.by, instant(1), Some(record), None);
    written.await.unwrap()
}

pub async fn an_entry_is_written_with_its_change_or_not_at_all(fixture: &Fixture) {
    let store = fixture.open().await;
    store.create_configuration("1", instant(0)).await.unwrap();
    let mine = entry("mine", Some((1, 2)));
    let written = write(&*store, 1, &mine).await;
    assert!(matches!(written, ConfigurationWrite::Written(_)));
    let late = write(&*store, 1, &entry("late", Some((1, 2)))).await;
    assert!(matches!(late, ConfigurationWrite::Conflict(_)));
    let replica = fixture.open().await;
    let all = replica.audit(&asked(10)).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0].entry, &all[0].measured), (&mine, &None));
    let ago = SystemClock.now() - all[0].at;
    assert!(
        ago.abs() < TimeDelta::minutes(5),
        "the database's clock: {ago}"
    );
}

pub async fn entries_are_filtered_and_paged(fixture: &Fixture) {
    let store = fixture.open().await;
    store.create_configuration("1", instant(0)).await.unwrap();
    for revision in 1..=4 {
        let by = if revision % 2 == 0 { "even" } else { "odd" };
        write(
            &*store,
            revision,
            &entry(by, Some((revision, revision + 1))),
        )
        .await;
    }
    let by = async |asked: AuditAsked| {
        let found = store.audit(&asked).await.unwrap();
        let revisions = found.iter().filter_map(|of| of.entry.revisions);
        revisions.map(|(_, after)| after).collect::<Vec<u64>>()
    };
    assert_eq!(by(asked(3)).await, [5, 4, 3]);
    let even = AuditAsked {
        by: Some("even".into()),
        ..asked(9)
    };
    assert_eq!(by(even.clone()).await, [5, 3]);
    let newest = store.audit(&even).await.unwrap()[0].id;
    let before = AuditAsked {
        before: Some(newest),
        ..even
    };
    assert_eq!(by(before).await, [3]);
    let other = AuditAsked {
        action: Some(AuditAction::TokenCreated),
        ..asked(9)
    };
    assert_eq!(by(other).await, [0; 0]);
    let old = AuditAsked {
        end: Some(instant(0)),
        ..asked(9)
    };
    assert_eq!(by(old).await, [0; 0]);
}

pub async fn an_effect_is_filled_in_once_by_whoever_leads(fixture: &Fixture) {
    let store = fixture.open().await;
    store.create_configuration("1", instant(0)).await.unwrap();
    write(&*store, 1, &entry("a", Some((1, 2)))).await;
    let unmeasured = store.unmeasured(9).await.unwrap();
    let id = unmeasured[0].id;
    let holder = Uuid::new_v4();
    let minute = std::time::Duration::from_secs(60);
    let term = store.acquire_lease("plan", holder, minute).await.unwrap();
    let claim = Claim {
        lease: "plan",
        holder,
        term: term.term.unwrap(),
    };
    let gone = Claim { term: 99, ..claim };
    assert!(!store.write_measured(gone, id, "{}").await.unwrap());
    assert!(store.write_measured(claim, id, "{}").await.unwrap());
    assert!(
        !store.write_measured(claim, id, "[]").await.unwrap(),
        "once"
    );
    let measured = store.audit(&asked(1)).await.unwrap().pop().unwrap();
    assert_eq!(measured.measured.as_deref(), Some("{}"));
    assert_eq!(store.unmeasured(9).await.unwrap(), []);
}

pub async fn old_entries_are_deleted(fixture: &Fixture) {
    let store = fixture.open().await;
    store.create_configuration("1", instant(0)).await.unwrap();
    write(&*store, 1, &entry("a", Some((1, 2)))).await;
    let nothing = super::maintenance::before(Timestamp(0));
    store.maintain(Timestamp(0), nothing).await.unwrap();
    assert_eq!(store.audit(&asked(9)).await.unwrap().len(), 1);
    let everything = Retention {
        audit_before: Timestamp(i64::MAX),
        ..nothing
    };
    store.maintain(Timestamp(0), everything).await.unwrap();
    assert_eq!(store.audit(&asked(9)).await.unwrap(), []);
}

pub async fn replicas_come_and_go(fixture: &Fixture) {
    let store = fixture.open().await;
    let beat = |plan, started| ReplicaBeat {
        replica: Uuid::from_u128(started),
        host: "weir-0:7".into(),
        version: "0.2.0".into(),
        started_at: instant(started as i64),
        plan,
    };
    for of in [beat(3, 2), beat(4, 1), beat(5, 2)] {
        store.note_replica(&of).await.unwrap();
    }
    let holder = Uuid::from_u128(2);
    let minute = std::time::Duration::from_secs(60);
    store.acquire_lease("plan", holder, minute).await.unwrap();
    let replicas = fixture.open().await.replicas("plan").await.unwrap();
    let seen: Vec<_> = replicas
        .iter()
        .map(|of| (of.beat.clone(), of.leads))
        .collect();
    assert_eq!(seen, [(beat(4, 1), false), (beat(5, 2), true)]);
    store.remove_replica(holder).await.unwrap();
    assert_eq!(store.replicas("plan").await.unwrap().len(), 1);
}
