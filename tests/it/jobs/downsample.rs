//! History is summed into steps of ten minutes, hours and days.

use std::collections::BTreeMap;

use uuid::Uuid;
use weir::clock::Clock;
use weir::configuration::Configuration;
use weir::jobs::Downsample;
use weir::store::{
    ConfigurationWrite, NewPlan, PlanMark, SeriesAsked, SeriesKey, SeriesOf, SeriesPart,
    SeriesStep, StoredPlan, Sums, TRACE_PARTS, plan_codec, series_codec,
};

use super::*;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How much history there is, in hours: two days and a part of a third.
const HOURS: i64 = 55;

/// Sums by name of the service; the fleet has none.
type Totals = BTreeMap<String, [u64; 4]>;

/// The start of the day before the day before yesterday.
fn origin(replica: &Replica) -> i64 {
    let now = replica.shared.clock.timestamp().0;
    now.div_euclid(DAY_MS) * DAY_MS - 3 * DAY_MS
}

/// The history of a minute. In some hours there is none.
fn minute(origin: i64, number: i64, [get, buy]: [OperationId; 2], more: u64) -> Option<HistoryRow> {
    if (20..23).contains(&(number / 60)) {
        return None;
    }
    let noise = number.unsigned_abs().wrapping_mul(2_654_435_761) >> 7;
    let operation = |operation, offered, sampled, probability| HistoryOperation {
        operation,
        offered,
        sampled,
        probability,
    };
    let mut operations = vec![operation(
        get,
        noise % 1000 + more,
        Some(noise % 90),
        Some(0.125),
    )];
    if number % 7 == 0 {
        operations.push(operation(buy, noise % 5, None, Some(0.5)));
    }
    let start = Timestamp(origin + number * 60_000);
    Some(HistoryRow {
        window: Window {
            start,
            end: Timestamp(start.0 + 60_000),
        },
        payload: history_codec::encode(&operations, WriteFormat::Newest),
    })
}

fn minutes(range: std::ops::Range<i64>, origin: i64, of: [OperationId; 2]) -> Vec<HistoryRow> {
    range
        .filter_map(|number| minute(origin, number, of, 0))
        .collect()
}

async fn run(replica: &Replica) {
    // A job that has just run looks again only a while later.
    let job = Downsample::new(replica.shared.clone(), 100 * 24 * HOUR);
    job.run().await.unwrap();
}

/// The sums of every step of a length, by its start.
async fn steps(replica: &Replica, step: SeriesStep) -> BTreeMap<i64, Totals> {
    let asked = SeriesAsked {
        step,
        from: Timestamp(0),
        until: Timestamp(i64::MAX),
        of: SeriesOf::All,
        class: None,
    };
    let names = replica.shared.dictionary.names();
    let mut found: BTreeMap<i64, Totals> = BTreeMap::new();
    for row in replica.shared.store.read_series(asked).await.unwrap() {
        let block = series_codec::decode(&row.payload).unwrap();
        for (key, sums) in &block.entries {
            let name = match key {
                SeriesKey::Number(service) => names.service(*service).unwrap().to_string(),
                SeriesKey::Name(name) => name.clone(),
            };
            assert_eq!(row.part == SeriesPart::FLEET, name.is_empty());
            for (place, sums) in sums.iter().enumerate() {
                let start = row.window.start.0 + step.milliseconds() * place as i64;
                let totals = [sums.offered, sums.sampled, sums.unsaid, sums.due];
                let held = found.entry(start).or_default().entry(name.clone());
                assert_eq!(*held.or_insert(totals), totals, "each is there once");
            }
        }
    }
    found
}

/// The sums of a range of steps.
fn summed(steps: &BTreeMap<i64, Totals>, range: std::ops::Range<i64>) -> Totals {
    let mut all = Totals::new();
    for (name, totals) in steps.range(range).flat_map(|(_, totals)| totals) {
        let sum = all.entry(name.clone()).or_default();
        for (sum, total) in sum.iter_mut().zip(totals) {
            *sum += total;
        }
    }
    all
}

/// The requests and traces that history says, from the rows themselves.
async fn history(replica: &Replica, range: std::ops::Range<i64>) -> (u64, u64) {
    let starts = Timestamp(range.start)..Timestamp(range.end);
    let rows = replica.shared.store.read_history(starts).await.unwrap();
    let mut sum = (0, 0);
    for row in rows {
        for of in history_codec::decode(&row.payload).unwrap() {
            sum.0 += of.offered;
            sum.1 += of.sampled.unwrap_or(0);
        }
    }
    sum
}

/// Checks that every coarse step is the sum of its windows.
async fn check(replica: &Replica, origin: i64, hours: i64) {
    let windows = steps(replica, SeriesStep::Window).await;
    let end = origin + hours * HOUR_MS;
    for step in SeriesStep::COARSE {
        let coarse = steps(replica, step).await;
        let last = match step {
            SeriesStep::TenMinutes => end,
            _ => (end - 1).div_euclid(DAY_MS) * DAY_MS,
        };
        assert!(coarse.range(last..).next().is_none(), "{step:?} too soon");
        let mut from = origin;
        while from < last {
            let until = from + step.milliseconds();
            let mut found = summed(&coarse, from..until);
            found.retain(|_, totals| *totals != [0; 4]);
            let mut expected = summed(&windows, from..until);
            expected.retain(|_, totals| *totals != [0; 4]);
            assert_eq!(
                found,
                expected,
                "{step:?} from {}",
                (from - origin) / 60_000
            );
            from = until;
        }
        let fleet = summed(&coarse, origin..last).remove("").unwrap();
        let counted = history(replica, origin..last).await;
        assert_eq!((fleet[0], fleet[1]), counted, "{step:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coarse_steps_are_the_sums_of_their_windows_once_these_are_settled() {
    let directory = tempfile::tempdir().unwrap();
    let replica = Replica::start(directory.path()).await;
    let names = replica.names().await;
    let origin = origin(&replica);
    let until = |hours: i64| Timestamp(origin + hours * HOUR_MS);
    let store = &replica.shared.store;
    let rows = minutes(0..HOURS * 60, origin, names);
    store.settle(&rows, until(30)).await.unwrap();
    run(&replica).await;
    check(&replica, origin, 30).await;
    let mark = store.series_mark().await.unwrap();
    assert_eq!(mark.until, Some(until(30)));
    let last = origin + (HOURS * 60 - 1) * 60_000;
    assert_eq!(mark.newest_window, Some(Timestamp(last)), "as it is known");

    // Reports come late for windows that are not settled yet.
    let late: Vec<_> = (31 * 60..33 * 60)
        .filter_map(|number| minute(origin, number, names, 1_000_000))
        .collect();
    store.settle(&late, until(HOURS)).await.unwrap();
    run(&replica).await;
    check(&replica, origin, HOURS).await;
    let windows = steps(&replica, SeriesStep::Window).await;
    let hour = summed(&windows, until(31).0..until(32).0);
    assert!(hour["shop"][0] > 60 * 1_000_000, "{hour:?}");
    let before = steps(&replica, SeriesStep::Hour).await;
    run(&replica).await;
    assert_eq!(steps(&replica, SeriesStep::Hour).await, before);
}

/// The next leader continues, and so does one whose database was put back to an earlier state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_continues_and_so_does_a_database_that_went_back() {
    let directory = tempfile::tempdir().unwrap();
    let first = Replica::start(directory.path()).await;
    let names = first.names().await;
    let origin = origin(&first);
    let until = |hours: i64| Timestamp(origin + hours * HOUR_MS);
    let rows = minutes(0..HOURS * 60, origin, names);
    first.shared.store.settle(&rows, until(3)).await.unwrap();
    run(&first).await;
    first.stop.cancel();
    let store = Arc::clone(&first.shared.store);
    store.release_lease("plan", first.holder).await.unwrap();
    store.close().await;
    let kept = tempfile::tempdir().unwrap();
    let file = |directory: &tempfile::TempDir| directory.path().join("weir.db");
    std::fs::copy(file(&directory), file(&kept)).unwrap();

    for (directory, hours) in [(&directory, 50), (&kept, HOURS)] {
        let next = Replica::start(directory.path()).await;
        next.shared.dictionary.refresh().await.unwrap();
        next.shared.store.settle(&[], until(hours)).await.unwrap();
        run(&next).await;
        check(&next, origin, hours).await;
        let store = Arc::clone(&next.shared.store);
        store.release_lease("plan", next.holder).await.unwrap();
    }
}

/// A clock that is set back lets windows be settled again that were summed before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_are_settled_again_are_summed_again() {
    let directory = tempfile::tempdir().unwrap();
    let replica = Replica::start(directory.path()).await;
    let names = replica.names().await;
    let origin = origin(&replica);
    let until = |hours: i64| Timestamp(origin + hours * HOUR_MS);
    let store = &replica.shared.store;
    let rows = minutes(0..30 * 60, origin, names);
    store.settle(&rows, until(30)).await.unwrap();
    run(&replica).await;
    let late = minute(origin, 20 * 60 - 1, names, 77).unwrap();
    store.settle(&[late], until(19)).await.unwrap();
    run(&replica).await;
    let mark = store.series_mark().await.unwrap().until;
    assert_eq!(mark, Some(until(19)));
    store.settle(&[], until(30)).await.unwrap();
    run(&replica).await;
    check(&replica, origin, 30).await;
}

/// The budget, and the groups and their caps, are those of the plan that was in force.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_know_the_budget_and_the_groups_of_their_time() {
    let directory = tempfile::tempdir().unwrap();
    let replica = Replica::start(directory.path()).await;
    let names = replica.names().await;
    let store = &replica.shared.store;
    let now = replica.shared.clock.now();
    let first = Configuration::default().document();
    let from = store.create_configuration(&first, now).await.unwrap();
    let document = r#"{"groups": {"tier-1": {"cap_traces_per_second": 3.0}},
        "services": {"shop": {"group": "tier-1"}}}"#;
    let written = store.write_configuration(from.revision, document, "test", now, None, None);
    let ConfigurationWrite::Written(revision) = written.await.unwrap() else {
        panic!("nobody else writes");
    };
    let origin = origin(&replica);
    let summary = r#"{"budget_traces_per_second": 5.0,
        "groups": [{"group": "tier-1", "cap_traces_per_second": 3.0}]}"#;
    let rows = minutes(0..60, origin, names);
    let plan = StoredPlan {
        number: 1,
        identity: Uuid::new_v4(),
        term: replica.shared.leadership.term().unwrap(),
        names: replica.shared.dictionary.names().incarnation(),
        window: rows[9].window,
        configuration_revision: revision.revision,
        published_at: now,
        summary: summary.to_owned(),
        body: plan_codec::encode(&Plan::default(), WriteFormat::Newest).unwrap(),
    };
    let new = NewPlan {
        claim: replica.shared.leadership.claim().unwrap(),
        replaces: None::<PlanMark>,
        plan: &plan,
        history: &[],
    };
    store.publish_plan(new).await.unwrap();
    store
        .settle(&rows, Timestamp(origin + HOUR_MS))
        .await
        .unwrap();
    run(&replica).await;

    let asked = SeriesAsked {
        step: SeriesStep::TenMinutes,
        from: Timestamp(origin),
        until: Timestamp(origin + HOUR_MS),
        of: SeriesOf::Fleet,
        class: None,
    };
    let stored = store.read_series(asked).await.unwrap();
    let block = series_codec::decode(&stored[0].payload).unwrap();
    let of = |name: &str| -> Vec<Sums> {
        let mut entries = block.entries.iter();
        let found = entries.find(|(key, _)| *key == SeriesKey::Name(name.into()));
        found.unwrap().1.clone()
    };
    let (fleet, group) = (of(""), of("tier-1"));
    let traces = |parts: u64| parts as f64 / TRACE_PARTS;
    // The plan answers the tenth minute, so it is in force from the eleventh on.
    for (step, minutes) in [(0, 1), (1, 10), (5, 10)] {
        let known = minutes * 60_000;
        assert_eq!(fleet[step].budget_milliseconds, known, "step {step}");
        assert_eq!(traces(fleet[step].budget), known as f64 / 1000.0 * 5.0);
        assert_eq!(traces(group[step].budget), known as f64 / 1000.0 * 3.0);
    }
    assert_eq!(group[3].offered, fleet[3].offered, "its only service");
    assert_eq!(block.covered[3].windows, 10);
    assert_eq!(block.covered[3].milliseconds, 600_000);
}
