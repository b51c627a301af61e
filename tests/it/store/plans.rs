use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use weir::allocation::{FleetPlan, Plan, Timestamp};
use weir::store::{
    Claim, HistoryRow, Incarnation, NewPlan, PlanMark, Publication, Store, StoredPlan, WriteFormat,
    plan_codec,
};

use super::{Fixture, corrupt_cell, instant, window};
use crate::support::stored::ReadWhole;

const LONG: Duration = Duration::from_secs(600);

/// A plan published ten seconds after the previous one.
pub fn plan(number: u64, term: u64) -> StoredPlan {
    let number_signed = i64::try_from(number).unwrap();
    let content = Plan {
        number,
        term,
        fleet: FleetPlan {
            level: f64::INFINITY,
            ..FleetPlan::default()
        },
        ..Plan::default()
    };
    StoredPlan {
        number,
        identity: Uuid::from_u128(number.into()),
        term,
        names: Incarnation::EMPTY,
        window: window(number_signed),
        configuration_revision: 3,
        published_at: instant(number_signed * 10_000 + 9_123),
        summary: format!("{{\"plan\":{number}}}"),
        body: plan_codec::encode(&content, WriteFormat::Newest).unwrap(),
    }
}

/// Takes the lease for a leader and returns its term.
pub async fn lead(store: &Arc<dyn Store>, leader: u128) -> u64 {
    let answer = store
        .acquire_lease("leader", Uuid::from_u128(leader), LONG)
        .await
        .unwrap();
    answer.term.unwrap()
}

/// Publishes a plan as the first leader, as the successor of the plan with the previous number.
pub async fn publish(store: &Arc<dyn Store>, plan: &StoredPlan) -> Publication {
    publish_as(store, 1, plan).await
}

pub async fn publish_as(store: &Arc<dyn Store>, leader: u128, plan: &StoredPlan) -> Publication {
    let new = NewPlan {
        claim: claim(leader, plan.term),
        ..new(plan)
    };
    store.publish_plan(new).await.unwrap()
}

async fn publish_after(store: &Arc<dyn Store>, head: u64, plan: &StoredPlan) -> Publication {
    let new = NewPlan {
        replaces: (head > 0).then(|| mark(head)),
        ..new(plan)
    };
    store.publish_plan(new).await.unwrap()
}

async fn publish_with(store: &Arc<dyn Store>, plan: &StoredPlan, history: &[HistoryRow]) {
    let new = NewPlan {
        history,
        ..new(plan)
    };
    let publication = store.publish_plan(new).await.unwrap();
    assert_eq!(publication, Publication::Published);
}

/// A plan as the first leader publishes it, as the successor of the plan with the previous number.
pub fn new(plan: &StoredPlan) -> NewPlan<'_> {
    NewPlan {
        claim: claim(1, plan.term),
        replaces: (plan.number > 1).then(|| mark(plan.number - 1)),
        plan,
        history: &[],
    }
}

fn claim(leader: u128, term: u64) -> Claim {
    Claim {
        lease: "leader",
        holder: Uuid::from_u128(leader),
        term,
    }
}

/// The mark of a plan that [`plan`] makes.
pub fn mark(number: u64) -> PlanMark {
    PlanMark {
        number,
        identity: Uuid::from_u128(number.into()),
    }
}

fn history(number: i64, payload: &[u8]) -> HistoryRow {
    HistoryRow {
        window: window(number),
        payload: payload.to_vec(),
    }
}

pub async fn there_is_none_at_first(fixture: &Fixture) {
    let store = fixture.open().await;
    assert_eq!(store.current_plan_mark().await.unwrap(), None);
    assert_eq!(store.current_plan().await.unwrap(), None);
}

pub async fn a_plan_comes_back_whole(fixture: &Fixture) {
    let store = fixture.open().await;
    let term = lead(&store, 1).await;
    let mut published = plan(1, term);
    // Larger than a page, and not compressible by a general compression.
    published.body = (0..200_000_u32)
        .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    assert_eq!(publish(&store, &published).await, Publication::Published);
    let replica = fixture.open().await;
    assert_eq!(replica.current_plan_mark().await.unwrap(), Some(mark(1)));
    assert_eq!(replica.current_plan().await.unwrap(), Some(published));
}

pub async fn each_plan_follows_its_parent(fixture: &Fixture) {
    let store = fixture.open().await;
    let term = lead(&store, 1).await;
    for number in 1..=5 {
        assert_eq!(
            publish(&store, &plan(number, term)).await,
            Publication::Published
        );
        assert_eq!(store.current_plan_mark().await.unwrap(), Some(mark(number)));
        assert_eq!(
            store.current_plan().await.unwrap(),
            Some(plan(number, term))
        );
    }
    let body = store.current_plan().await.unwrap().unwrap().body;
    assert_eq!(plan_codec::decode(&body).unwrap().number, 5);
}

pub async fn another_parent_is_stale(fixture: &Fixture) {
    let store = fixture.open().await;
    let term = lead(&store, 1).await;
    assert_eq!(
        publish(&store, &plan(2, term)).await,
        Publication::StaleParent(0)
    );
    assert_eq!(
        publish(&store, &plan(0, term)).await,
        Publication::StaleParent(0)
    );
    assert_eq!(
        publish(&store, &plan(1, term)).await,
        Publication::Published
    );
    for number in [0, 1, 3, 1 << 30] {
        assert_eq!(
            publish(&store, &plan(number, term)).await,
            Publication::StaleParent(1)
        );
    }
    assert_eq!(store.current_plan().await.unwrap(), Some(plan(1, term)));
}

pub async fn a_plan_without_the_lease_is_stale(fixture: &Fixture) {
    let store = fixture.open().await;
    assert_eq!(publish(&store, &plan(1, 1)).await, Publication::StaleTerm);
    let term = lead(&store, 1).await;
    assert_eq!(
        publish(&store, &plan(1, term + 1)).await,
        Publication::StaleTerm
    );
    let first = plan(1, term);
    let mut elsewhere = new(&first);
    elsewhere.claim.lease = "another";
    let elsewhere = store.publish_plan(elsewhere).await.unwrap();
    assert_eq!(elsewhere, Publication::StaleTerm);
    assert_eq!(store.current_plan_mark().await.unwrap(), None);
}

pub async fn a_leader_that_lost_its_lease_is_fenced(fixture: &Fixture) {
    let (old, other) = (fixture.open().await, fixture.open().await);
    let before = lead(&old, 1).await;
    assert_eq!(
        publish(&old, &plan(1, before)).await,
        Publication::Published
    );
    old.release_lease("leader", Uuid::from_u128(1))
        .await
        .unwrap();
    let after = lead(&other, 2).await;
    assert_eq!(
        publish(&old, &plan(2, before)).await,
        Publication::StaleTerm
    );
    assert_eq!(
        publish_as(&other, 2, &plan(2, after)).await,
        Publication::Published
    );
    assert_eq!(
        publish(&old, &plan(3, before)).await,
        Publication::StaleTerm
    );
}

pub async fn of_two_publications_at_once_one_holds(fixture: &Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    let term = lead(&stores[0], 1).await;
    for number in 1..=5 {
        let tries = [0, 1, 0, 1].map(|replica| {
            let store = Arc::clone(&stores[replica]);
            tokio::spawn(async move { publish(&store, &plan(number, term)).await })
        });
        let mut published = 0;
        for attempt in tries {
            match attempt.await.unwrap() {
                Publication::Published => published += 1,
                other => assert_eq!(other, Publication::StaleParent(number)),
            }
        }
        assert_eq!(published, 1);
    }
}

pub async fn a_refused_plan_leaves_nothing_behind(fixture: &Fixture) {
    let store = fixture.open().await;
    let term = lead(&store, 1).await;
    let rows = [history(0, b"refused")];
    for refused in [plan(1, term + 1), plan(2, term)] {
        let refused = NewPlan {
            history: &rows,
            ..new(&refused)
        };
        let answer = store.publish_plan(refused).await.unwrap();
        assert_ne!(answer, Publication::Published);
    }
    let all = Timestamp(0)..Timestamp(i64::MAX);
    assert_eq!(store.read_history(all).await.unwrap(), []);
    assert_eq!(store.current_plan().await.unwrap(), None);
}

pub async fn a_plan_brings_its_history(fixture: &Fixture) {
    let store = fixture.open().await;
    let term = lead(&store, 1).await;
    let first = [history(0, b"first")];
    publish_with(&store, &plan(1, term), &first).await;
    let second = [history(1, b"second"), history(0, b"corrected")];
    publish_with(&store, &plan(2, term), &second).await;
    let all = window(0).start..window(9).start;
    let expected = [history(0, b"corrected"), history(1, b"second")];
    assert_eq!(store.read_history(all).await.unwrap(), expected);
}

pub async fn a_missing_plan_is_named(fixture: &Fixture) {
    let store = fixture.open().await;
    let term = lead(&store, 1).await;
    publish(&store, &plan(1, term)).await;
    fixture.tamper("update plan set epoch = -4").await;
    assert_eq!(
        corrupt_cell(store.current_plan().await),
        "plan.epoch of number 1"
    );
    fixture
        .tamper("update plan set epoch = 1; delete from plan_body")
        .await;
    assert_eq!(
        corrupt_cell(store.current_plan().await),
        "plan_body of number 1"
    );
    fixture.tamper("delete from plan").await;
    assert_eq!(corrupt_cell(store.current_plan().await), "plan of number 1");
}

/// A leader that cannot read the current plan publishes under a higher number.
pub async fn a_number_may_skip_those_that_cannot_be_read(fixture: &Fixture) {
    let store = fixture.open().await;
    let term = lead(&store, 1).await;
    for number in [1, 2, 3] {
        publish(&store, &plan(number, term)).await;
    }
    let next = plan(9, term);
    for head in [0, 2, 4, 8, 9, 1 << 40] {
        let answer = publish_after(&store, head, &next).await;
        assert_eq!(answer, Publication::StaleParent(3), "{head}");
    }
    let below = plan(2, term);
    let answer = publish_after(&store, 3, &below).await;
    assert_eq!(answer, Publication::StaleParent(3), "numbers rise");
    assert_eq!(
        publish_after(&store, 3, &next).await,
        Publication::Published
    );
    assert_eq!(store.current_plan().await.unwrap(), Some(next));
}

pub async fn the_newest_plan_of_a_known_format_is_found(fixture: &Fixture) {
    let store = fixture.open().await;
    assert_eq!(store.readable_plan(9).await.unwrap(), None);
    let term = lead(&store, 1).await;
    for number in 1..=5 {
        let mut plan = plan(number, term);
        match number {
            3 | 5 => plan.body[0] = 200,
            4 => plan.body.clear(),
            _ => {}
        }
        publish(&store, &plan).await;
    }
    let readable = async |below| store.readable_plan(below).await.unwrap();
    for (below, found) in [
        (5, Some(2)),
        (3, Some(2)),
        (2, Some(1)),
        (1, None),
        (u64::MAX, Some(2)),
    ] {
        let number = readable(below).await.map(|plan| plan.number);
        assert_eq!(number, found, "below {below}");
    }
    let second = StoredPlan {
        identity: Uuid::nil(),
        ..plan(2, term)
    };
    assert_eq!(readable(3).await, Some(second));
}

pub async fn a_number_published_anew_is_another_plan(fixture: &Fixture) {
    let store = fixture.open().await;
    let term = lead(&store, 1).await;
    publish(&store, &plan(1, term)).await;
    fixture.remember().await;
    let lost = plan(2, term);
    publish(&store, &lost).await;
    fixture.go_back().await;
    assert_eq!(store.current_plan_mark().await.unwrap(), Some(mark(1)));
    let anew = StoredPlan {
        identity: Uuid::from_u128(77),
        ..plan(2, term)
    };
    assert_eq!(publish(&store, &anew).await, Publication::Published);
    let current = store.current_plan_mark().await.unwrap();
    assert_eq!(current, Some(anew.mark()));
    assert_eq!(store.current_plan().await.unwrap(), Some(anew));
    // Its parent is the plan that was lost, and not the one that has its number now.
    let next = publish(&store, &plan(3, term)).await;
    assert_eq!(next, Publication::StaleParent(2));
}

pub async fn a_lease_is_fenced_by_its_holder_too(fixture: &Fixture) {
    let store = fixture.open().await;
    fixture.remember().await;
    let lost = lead(&store, 1).await;
    fixture.go_back().await;
    let term = lead(&store, 2).await;
    assert_eq!(term, lost, "the same term, of another leader");
    let plan = plan(1, term);
    assert_eq!(publish(&store, &plan).await, Publication::StaleTerm);
    assert_eq!(publish_as(&store, 2, &plan).await, Publication::Published);
}

/// What the previous release does, which knows no identities of plans.
pub async fn a_plan_of_the_release_before_has_an_identity_too(fixture: &Fixture) {
    let store = fixture.open().await;
    let term = lead(&store, 1).await;
    publish(&store, &plan(1, term)).await;
    fixture
        .tamper("update plan_head set number = 2 where number = 1")
        .await;
    let current = store.current_plan_mark().await.unwrap().unwrap();
    assert_eq!(current.number, 2);
    assert_ne!(current.identity, mark(1).identity);
    assert!(!current.identity.is_nil());
}
