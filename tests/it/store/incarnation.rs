//! The database goes back to an earlier state while replicas use it: numbers that it had given out
//! mean nothing any more, or something else.

use std::sync::Arc;

use tokio::sync::mpsc;
use weir::allocation::{OperationId, Timestamp};
use weir::configuration::Configuration;
use weir::store::Admission::{Counted, Duplicate, OtherNames};
use weir::store::{
    DictionaryCursor, DictionaryLimits, DictionaryPage, HistoryRow, Incarnation, NewPlan,
    Placement, Publication, ResolvedReport, Retention, Settlement, Settling, Step, Store,
    StoredPlan,
};

use super::dictionary::{WIDE, add, names, number, remove};
use super::plans;
use super::reports::{bucket, operation, report, stored};
use super::{Fixture, window};
use crate::support::stored::ReadWhole;

async fn read(store: &Arc<dyn Store>, at: Option<DictionaryCursor>) -> DictionaryPage {
    store.read_dictionary(at, None).await.unwrap()
}

async fn includes(store: &Arc<dyn Store>, state: Incarnation) -> bool {
    let page = store.read_dictionary(None, Some(state)).await.unwrap();
    page.includes
}

/// The names of a page, without overflow entries.
fn named(page: &DictionaryPage) -> Vec<&str> {
    let operations = page
        .entries
        .iter()
        .map(|entry| entry.operation_name.as_str());
    operations.filter(|name| *name != "__other__").collect()
}

pub async fn every_change_is_another_state(fixture: &Fixture) {
    let store = fixture.open().await;
    let mut states = vec![read(&store, None).await.cursor];
    for change in 0..3 {
        add(&store, WIDE, &[("a", &change.to_string())]).await;
        states.push(read(&store, None).await.cursor);
    }
    let gone = number(&store, "a", "1").await;
    assert_eq!(remove(&store, &[gone]).await, 1);
    states.push(read(&store, None).await.cursor);
    add(&store, WIDE, &[("a", "0")]).await;
    assert_eq!(
        read(&store, None).await.cursor,
        states[4],
        "nothing was new"
    );
    for (at, state) in states.iter().enumerate() {
        let others = states
            .iter()
            .filter(|of| of.incarnation == state.incarnation);
        assert_eq!(others.count(), 1, "{states:?}");
        let step = if at == 4 { Step::Forward } else { Step::Anew };
        assert_eq!(read(&store, Some(*state)).await.step, step);
        assert!(includes(&store, state.incarnation).await);
    }
    assert_eq!(states[0].incarnation, Incarnation::EMPTY);
    assert!(!includes(&store, Incarnation(uuid::Uuid::new_v4())).await);
}

pub async fn a_reader_of_another_past_reads_everything_again(fixture: &Fixture) {
    let (store, other) = (fixture.open().await, fixture.open().await);
    add(&store, WIDE, &[("a", "kept")]).await;
    fixture.remember().await;
    add(&store, WIDE, &[("a", "lost")]).await;
    let lost = read(&store, None).await.cursor;
    fixture.go_back().await;
    let back = read(&store, Some(lost)).await;
    assert_eq!((back.step, named(&back)), (Step::Back, vec!["kept"]));
    assert!(!includes(&store, lost.incarnation).await);
    // The same number is given to another name: only the incarnation shows it.
    add(&other, WIDE, &[("a", "new")]).await;
    let again = read(&store, Some(lost)).await;
    let expected = DictionaryCursor {
        incarnation: again.cursor.incarnation,
        ..lost
    };
    assert_eq!(again.cursor, expected);
    assert_eq!(
        (again.step, named(&again)),
        (Step::Back, vec!["kept", "new"])
    );
}

pub async fn a_reader_of_the_past_reads_on(fixture: &Fixture) {
    let store = fixture.open().await;
    add(&store, WIDE, &[("a", "kept")]).await;
    let kept = read(&store, None).await.cursor;
    fixture.remember().await;
    add(&store, WIDE, &[("a", "lost")]).await;
    fixture.go_back().await;
    let nothing = read(&store, Some(kept)).await;
    assert_eq!((nothing.step, nothing.cursor), (Step::Forward, kept));
    add(&store, WIDE, &[("a", "new")]).await;
    let on = read(&store, Some(kept)).await;
    assert_eq!((on.step, named(&on)), (Step::Forward, vec!["new"]));
}

pub async fn a_reader_further_back_than_is_remembered_reads_everything_again(fixture: &Fixture) {
    let store = fixture.open().await;
    let mut states = Vec::new();
    for change in 0..4 {
        add(&store, WIDE, &[("a", &change.to_string())]).await;
        states.push(read(&store, None).await.cursor);
    }
    let nothing_is_old = Timestamp(i64::MIN);
    let retention = Retention {
        deltas_before: nothing_is_old,
        polls_before: nothing_is_old,
        final_names_before: nothing_is_old,
        observations_before: nothing_is_old,
        history_before: nothing_is_old,
        series_before: weir::store::SeriesBefore::all(nothing_is_old),
        plan_bodies_before: nothing_is_old,
        agents_before: nothing_is_old,
        audit_before: nothing_is_old,
        dictionary_states: 2,
        revisions: Configuration::REVISIONS,
    };
    store.maintain(window(0).start, retention).await.unwrap();
    let steps = [Step::Anew, Step::Anew, Step::Forward, Step::Forward];
    for (state, step) in states.into_iter().zip(steps) {
        assert_eq!(read(&store, Some(state)).await.step, step, "{state:?}");
    }
}

/// What the previous release does, which knows no incarnations.
pub async fn a_replica_of_the_release_before_changes_it_too(fixture: &Fixture) {
    let store = fixture.open().await;
    add(&store, WIDE, &[("a", "0")]).await;
    let before = read(&store, None).await.cursor;
    fixture
        .tamper(
            "begin;
            insert into operation (operation_id, service_id, name) values (3, 1, 'old');
            update service set operations = 2 where service_id = 1;
            update dictionary
            set next_service_id = 2, next_operation_id = 4, services = 1, operations = 2;
            commit;",
        )
        .await;
    let added = read(&store, Some(before)).await;
    assert_eq!((added.step, named(&added)), (Step::Forward, vec!["old"]));
    assert_ne!(added.cursor.incarnation, before.incarnation);
    fixture
        .tamper(
            "begin;
            delete from operation where operation_id = 3;
            update service set operations = 1 where service_id = 1;
            update dictionary
            set generation = generation + 1, services = services - 0, operations = operations - 1;
            commit;",
        )
        .await;
    let removed = read(&store, Some(added.cursor)).await;
    assert_eq!((removed.step, named(&removed)), (Step::Anew, vec!["0"]));
}

pub async fn names_without_room_are_told_from_the_others(fixture: &Fixture) {
    use Placement::{FleetFull, Placed, ServiceFull};
    let store = fixture.open().await;
    let limits = DictionaryLimits {
        services: 2,
        operations_per_service: 2,
        operations: 3,
    };
    let wanted = names(&[
        ("a", "1"),
        ("a", "2"),
        ("a", "3"),
        ("a", "2"),
        ("b", "1"),
        ("b", "2"),
        ("b", "__other__"),
        ("c", "1"),
        ("__other__", "1"),
        ("__other__", "__other__"),
    ]);
    let expected = [
        Placed,
        Placed,
        ServiceFull,
        Placed,
        Placed,
        FleetFull,
        Placed,
        FleetFull,
        ServiceFull,
        Placed,
    ];
    for _ in 0..2 {
        let placements = store.add_names(&wanted, limits).await.unwrap();
        assert_eq!(placements, expected);
    }
    let nothing = store.add_names(&[], limits).await.unwrap();
    assert_eq!(nothing, []);
}

pub async fn numbers_of_another_past_are_not_removed(fixture: &Fixture) {
    let store = fixture.open().await;
    add(&store, WIDE, &[("a", "kept")]).await;
    fixture.remember().await;
    add(&store, WIDE, &[("a", "lost")]).await;
    let under = read(&store, None).await.cursor.incarnation;
    let lost = number(&store, "a", "lost").await;
    fixture.go_back().await;
    add(&store, WIDE, &[("a", "new")]).await;
    assert_eq!(number(&store, "a", "new").await, lost);
    assert_eq!(store.remove_names(under, &[lost], None).await.unwrap(), 0);
    assert_eq!(number(&store, "a", "new").await, lost);
    assert_eq!(remove(&store, &[lost]).await, 1);
}

/// A report of one request of an operation, with the number that the dictionary gives it now.
async fn resolved(store: &Arc<dyn Store>, agent: &str, operation: OperationId) -> ResolvedReport {
    let counts = [super::reports::operation(operation.0, 1, 0)];
    ResolvedReport {
        names: read(store, None).await.cursor.incarnation,
        ..report(agent, 1, vec![bucket(window(0), 1, &counts)])
    }
}

pub async fn numbers_of_another_past_are_not_counted(fixture: &Fixture) {
    let store = fixture.open().await;
    add(&store, WIDE, &[("a", "kept")]).await;
    let kept = number(&store, "a", "kept").await;
    let good = resolved(&store, "good", kept).await;
    let before = resolved(&store, "before", kept).await;
    assert_eq!(
        store
            .commit_reports(std::slice::from_ref(&before))
            .await
            .unwrap(),
        [Counted]
    );
    fixture.remember().await;
    add(&store, WIDE, &[("a", "lost")]).await;
    let lost = number(&store, "a", "lost").await;
    let bad = resolved(&store, "bad", lost).await;
    let repeated = ResolvedReport {
        names: bad.names,
        ..before
    };
    fixture.go_back().await;
    add(&store, WIDE, &[("a", "new")]).await;
    let batch = [bad.clone(), good, repeated];
    for counted in [Counted, Duplicate] {
        let admissions = store.commit_reports(&batch).await.unwrap();
        assert_eq!(admissions, [OtherNames, counted, Duplicate]);
    }
    let offered = async |of: OperationId| -> u64 {
        let deltas = stored(&store).await;
        let counts = deltas.iter().flat_map(|delta| &delta.operations);
        let counts = counts.filter(|counts| counts.operation == of);
        counts.map(|counts| counts.offered).sum()
    };
    assert_eq!(offered(lost).await, 0, "its number is another's now");
    assert_eq!(offered(kept).await, 2);
    // Its sequence number is still unused: under the operation's new number it is counted.
    let renumbered = resolved(&store, "bad", lost).await;
    assert_eq!(
        store.commit_reports(&[renumbered]).await.unwrap(),
        [Counted]
    );
    assert_eq!(store.commit_reports(&[bad]).await.unwrap(), [Duplicate]);
    assert_eq!(offered(lost).await, 1);
}

pub async fn numbers_from_before_a_removal_are_not_counted(fixture: &Fixture) {
    let store = fixture.open().await;
    add(&store, WIDE, &[("a", "kept"), ("a", "gone")]).await;
    let gone = number(&store, "a", "gone").await;
    let late = resolved(&store, "late", gone).await;
    assert_eq!(remove(&store, &[gone]).await, 1);
    let admissions = store.commit_reports(&[late]).await.unwrap();
    assert_eq!(admissions, [OtherNames]);
    assert_eq!(stored(&store).await, []);
    let counts = [operation(gone.0, 1, 0)];
    let unknown = report("unknown", 1, vec![bucket(window(0), 1, &counts)]);
    let admissions = store.commit_reports(&[unknown]).await.unwrap();
    assert_eq!(
        admissions,
        [OtherNames],
        "no state before the removal holds"
    );
}

pub async fn counts_come_with_the_state_of_their_names(fixture: &Fixture) {
    let store = fixture.open().await;
    let streamed = async || {
        let (rows, mut read) = mpsc::channel(10);
        let state = store.stream_deltas(Timestamp(0)..window(9).end, rows).await;
        read.close();
        state.unwrap()
    };
    assert_eq!(streamed().await, Incarnation::EMPTY);
    add(&store, WIDE, &[("a", "counted")]).await;
    let counted = number(&store, "a", "counted").await;
    let report = resolved(&store, "agent", counted).await;
    let state = report.names;
    store.commit_reports(&[report]).await.unwrap();
    assert_eq!(streamed().await, state);
}

/// The first plan, computed with the names and the history of this state.
async fn publish_under(store: &Arc<dyn Store>, names: Incarnation) -> Publication {
    let term = plans::lead(store, 1).await;
    let plan = StoredPlan {
        names,
        ..plans::plan(1, term)
    };
    let new = NewPlan {
        history: &[written()],
        ..plans::new(&plan)
    };
    store.publish_plan(new).await.unwrap()
}

fn written() -> HistoryRow {
    HistoryRow {
        window: window(0),
        payload: b"under some numbers".to_vec(),
    }
}

async fn history(store: &Arc<dyn Store>) -> Vec<HistoryRow> {
    let all = Timestamp(0)..Timestamp(i64::MAX);
    store.read_history(all).await.unwrap()
}

/// A database that has lost its newest name; the name's number may since have been given to
/// another.
async fn lost_names(fixture: &Fixture, store: &Arc<dyn Store>) -> Incarnation {
    add(store, WIDE, &[("a", "kept")]).await;
    fixture.remember().await;
    add(store, WIDE, &[("a", "lost")]).await;
    let lost = read(store, None).await.cursor.incarnation;
    fixture.go_back().await;
    add(store, WIDE, &[("a", "new")]).await;
    lost
}

pub async fn a_plan_of_another_past_is_refused(fixture: &Fixture) {
    let store = fixture.open().await;
    let lost = lost_names(fixture, &store).await;
    assert_eq!(publish_under(&store, lost).await, Publication::OtherNames);
    assert_eq!(store.current_plan_mark().await.unwrap(), None);
    assert_eq!(history(&store).await, []);
    let now = read(&store, None).await.cursor.incarnation;
    assert_eq!(publish_under(&store, now).await, Publication::Published);
}

pub async fn a_plan_from_before_new_names_is_not(fixture: &Fixture) {
    let store = fixture.open().await;
    add(&store, WIDE, &[("a", "known"), ("a", "gone")]).await;
    let before = read(&store, None).await.cursor.incarnation;
    add(&store, WIDE, &[("a", "new")]).await;
    let gone = number(&store, "a", "gone").await;
    assert_eq!(remove(&store, &[gone]).await, 1);
    assert_eq!(publish_under(&store, before).await, Publication::Published);
}

pub async fn a_plan_comes_with_the_state_of_its_names(fixture: &Fixture) {
    let store = fixture.open().await;
    publish_under(&store, Incarnation::EMPTY).await;
    add(&store, WIDE, &[("a", "later")]).await;
    let now = read(&store, None).await.cursor.incarnation;
    let current = store.current_plan().await.unwrap().unwrap();
    assert_eq!(current.names, now);
    let readable = store.readable_plan(9).await.unwrap().unwrap();
    assert_eq!(readable.names, now);
}

pub async fn history_of_another_past_is_refused(fixture: &Fixture) {
    let store = fixture.open().await;
    let lost = lost_names(fixture, &store).await;
    let mut settling = Settling {
        rows: &[written()],
        names: lost,
        after: None,
        until: window(1).start,
    };
    let settlement = store.settle_history(settling).await.unwrap();
    assert_eq!(settlement, Settlement::OtherNames);
    assert_eq!(history(&store).await, []);
    assert_eq!(store.settled_until().await.unwrap(), None);
    settling.names = read(&store, None).await.cursor.incarnation;
    let settlement = store.settle_history(settling).await.unwrap();
    assert_eq!(settlement, Settlement::Settled);
    assert_eq!(history(&store).await, [written()]);
}
