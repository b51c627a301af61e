//! States of sources: each moves by one step, together with the counts of the step.

use std::sync::Arc;

use uuid::Uuid;
use weir::allocation::{AgentName, OperationId, Timestamp};
use weir::store::Admission::{Counted, Duplicate, OtherNames};
use weir::store::{
    Incarnation, NextState, ResolvedReport, Retention, Revisions, SourceState, Store,
};

use super::reports::{bucket, operation, report, small, stored, totals};
use super::{Fixture, NINE, window};

/// A report of a source: its state gets this number.
fn step(agent: &str, number: u64, state: &[u8]) -> ResolvedReport {
    ResolvedReport {
        state: Some(NextState {
            bytes: state.to_vec(),
            heard: window(0).end,
        }),
        ..small(agent, number)
    }
}

fn key(agent: &str) -> (AgentName, Uuid) {
    (AgentName::parse(agent).unwrap(), Uuid::from_u128(1))
}

async fn read(store: &Arc<dyn Store>, agent: &str) -> Option<SourceState> {
    let states = store.source_states(&[key(agent)]).await.unwrap();
    let [state] = <[_; 1]>::try_from(states).unwrap();
    state
}

fn state(number: u64, bytes: &[u8]) -> Option<SourceState> {
    Some(SourceState {
        number,
        bytes: Some(bytes.to_vec()),
    })
}

async fn counted(store: &Arc<dyn Store>) -> u64 {
    let deltas = stored(store).await;
    let totals = totals(&deltas);
    totals
        .get(&(window(0), OperationId(1)))
        .map_or(0, |of| of.0)
}

pub async fn a_state_counts_only_if_it_follows_the_stored_one(fixture: &Fixture) {
    let store = fixture.open().await;
    assert_eq!(read(&store, "a").await, None);
    let large = vec![7; 60_000];
    let steps: [(u64, &[u8], _); 8] = [
        (2, b"no first", Duplicate),
        (0, b"no first", Duplicate),
        (1, b"one", Counted),
        (1, b"again", Duplicate),
        (3, b"ahead", Duplicate),
        (2, &large, Counted),
        (1, b"late", Duplicate),
        (3, b"", Counted),
    ];
    for (number, bytes, expected) in steps {
        let answers = store.commit_reports(&[step("a", number, bytes)]).await;
        assert_eq!(answers.unwrap(), [expected], "{number}");
        if expected == Counted {
            assert_eq!(read(&store, "a").await, state(number, bytes));
        }
    }
    assert_eq!(counted(&store).await, 3);
}

/// A batch may have sources that are new, known and overtaken, and agents.
pub async fn sources_and_agents_are_committed_together(fixture: &Fixture) {
    let store = fixture.open().await;
    let first = [step("known", 1, b"k1"), small("agent", 5)];
    assert_eq!(store.commit_reports(&first).await.unwrap(), [Counted; 2]);
    let unknown_names = ResolvedReport {
        names: Incarnation(Uuid::from_u128(9)),
        ..step("unnamed", 1, b"u1")
    };
    let batch = [
        small("z agent", 1),
        step("new", 1, b"n1"),
        unknown_names,
        step("known", 2, b"k2"),
        small("agent", 5),
        step("known too", 4, b"x"),
        small("agent 2", 9),
    ];
    let answers = store.commit_reports(&batch).await.unwrap();
    let expected = [
        Counted, Counted, OtherNames, Counted, Duplicate, Duplicate, Counted,
    ];
    assert_eq!(answers, expected);
    let keys = ["known", "unnamed", "new", "agent", "nobody"].map(key);
    let states = store.source_states(&keys).await.unwrap();
    let agent = SourceState {
        number: 5,
        bytes: None,
    };
    let expected = [state(2, b"k2"), None, state(1, b"n1"), Some(agent), None];
    assert_eq!(states, expected);
    // A report without a state leaves the state as it is.
    assert_eq!(
        store.commit_reports(&[small("new", 7)]).await.unwrap(),
        [Counted]
    );
    assert_eq!(read(&store, "new").await, state(7, b"n1"));
}

pub async fn of_two_replicas_one_moves_the_state(fixture: &Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    for number in 1..=10 {
        let tries: Vec<_> = (0..6)
            .map(|attempt| {
                let store = Arc::clone(&stores[attempt % 2]);
                tokio::spawn(async move {
                    let batch = ["a", "b"].map(|agent| step(agent, number, &[attempt as u8]));
                    let answers = store.commit_reports(&batch).await.unwrap();
                    (attempt as u8, answers)
                })
            })
            .collect();
        let mut moved: [Vec<u8>; 2] = Default::default();
        for attempt in tries {
            let (attempt, answers) = attempt.await.unwrap();
            for (moved, answer) in moved.iter_mut().zip(answers) {
                assert!([Counted, Duplicate].contains(&answer));
                moved.extend((answer == Counted).then_some(attempt));
            }
        }
        for (agent, moved) in ["a", "b"].iter().zip(&moved) {
            assert_eq!(moved.len(), 1, "of six with number {number}, one counts");
            assert_eq!(read(&stores[1], agent).await, state(number, moved));
        }
    }
    assert_eq!(counted(&stores[0]).await, 20);
}

/// After the database went back, the state is that of the counts which it still has.
pub async fn a_state_goes_back_with_its_counts(fixture: &Fixture) {
    let store = fixture.open().await;
    store.commit_reports(&[step("a", 1, b"one")]).await.unwrap();
    fixture.remember().await;
    for number in 2..5 {
        let batch = [step("a", number, b"later")];
        assert_eq!(store.commit_reports(&batch).await.unwrap(), [Counted]);
    }
    fixture.go_back().await;
    let batch = [step("a", 5, b"of another past")];
    assert_eq!(store.commit_reports(&batch).await.unwrap(), [Duplicate]);
    assert_eq!(read(&store, "a").await, state(1, b"one"));
    let batch = [step("a", 2, b"two")];
    assert_eq!(store.commit_reports(&batch).await.unwrap(), [Counted]);
    assert_eq!(counted(&store).await, 2);
}

/// A source is remembered from when it was heard, also if nothing of it was counted.
pub async fn a_state_goes_with_its_mark(fixture: &Fixture) {
    let store = fixture.open().await;
    let heard = |agent: &str, heard: Timestamp| {
        let silent = report(agent, 1, vec![]);
        let bytes = agent.as_bytes().to_vec();
        ResolvedReport {
            state: Some(NextState { bytes, heard }),
            ..silent
        }
    };
    let counted = ResolvedReport {
        buckets: vec![bucket(window(9), 1, &[operation(1, 1, 0)])],
        ..heard("counted", window(0).start)
    };
    let batch = [
        heard("old", window(0).start),
        heard("young", window(9).start),
        counted,
    ];
    assert_eq!(store.commit_reports(&batch).await.unwrap(), [Counted; 3]);
    let retention = Retention {
        deltas_before: Timestamp(NINE),
        history_before: Timestamp(NINE),
        series_before: weir::store::SeriesBefore::all(Timestamp(NINE)),
        plan_bodies_before: Timestamp(NINE),
        polls_before: Timestamp(NINE),
        final_names_before: Timestamp(NINE),
        observations_before: Timestamp(NINE),
        agents_before: window(5).start,
        audit_before: Timestamp(0),
        revisions: Revisions { most: 9, bytes: 99 },
        dictionary_states: 9,
    };
    store.maintain(Timestamp(NINE), retention).await.unwrap();
    assert_eq!(read(&store, "old").await, None);
    assert_eq!(read(&store, "young").await, state(1, b"young"));
    assert_eq!(read(&store, "counted").await, state(1, b"counted"));
}
