use std::sync::Arc;

use weir::allocation::{Class, Timestamp};
use weir::store::{
    Incarnation, NewSeries, Publication, SeriesAsked, SeriesBefore, SeriesKey, SeriesMark,
    SeriesOf, SeriesPart, SeriesRow, SeriesStep, Settlement, Store,
};

use super::maintenance::before;
use super::plans::{lead, plan, publish};
use super::{Fixture, window};
use crate::support::stored::ReadWhole;

fn row(step: SeriesStep, number: i64, part: u16, payload: &str) -> SeriesRow {
    SeriesRow {
        step,
        window: window(number),
        part: SeriesPart(part),
        payload: payload.as_bytes().to_vec(),
    }
}

/// Writes rows from where the mark stands, and leaves it there.
async fn write(store: &Arc<dyn Store>, rows: &[SeriesRow]) {
    let until = store.series_mark().await.unwrap().until;
    let new = NewSeries {
        rows,
        names: Incarnation::EMPTY,
        after: until,
        until,
    };
    let written = store.write_series(new).await.unwrap();
    assert_eq!(written, Settlement::Settled);
}

fn asked(step: SeriesStep, of: SeriesOf) -> SeriesAsked {
    SeriesAsked {
        step,
        from: window(0).start,
        until: window(9_000_000).start,
        of,
        class: None,
    }
}

/// The payloads that are found, oldest first.
async fn found(store: &Arc<dyn Store>, step: SeriesStep, of: SeriesOf) -> Vec<String> {
    let rows = store.read_series(asked(step, of)).await.unwrap();
    assert!(rows.iter().all(|row| row.step == step));
    let rows = rows.into_iter();
    rows.map(|row| String::from_utf8(row.payload).unwrap())
        .collect()
}

pub async fn steps_come_back_whole_or_by_service(fixture: &Fixture) {
    let store = fixture.open().await;
    // Three hundred thousand services have 64 parts, few have one.
    let hash = SeriesKey::Name("shop".into()).hash();
    let shop = SeriesPart::of(hash, 64).0;
    let other = SeriesPart::of(hash.wrapping_add(1), 64).0;
    for step in [SeriesStep::Window, SeriesStep::Hour] {
        let rows = [
            row(step, 0, 0, "fleet"),
            row(step, 0, shop, "shop"),
            row(step, 0, other, "other"),
            row(step, 9_000, 0, "next day"),
            row(step, 9_000, 1, "all"),
        ];
        write(&store, &rows).await;
        let fleet = found(&store, step, SeriesOf::Fleet).await;
        assert_eq!(fleet, ["fleet", "next day"]);
        let service = found(&store, step, SeriesOf::Service(hash)).await;
        assert_eq!(service, ["fleet", "shop", "next day", "all"]);
        assert_eq!(found(&store, step, SeriesOf::All).await.len(), 5);
    }
    classes_are_in_parts_of_their_own(&store, hash).await;
    assert!(
        found(&store, SeriesStep::Day, SeriesOf::All)
            .await
            .is_empty()
    );
}

async fn classes_are_in_parts_of_their_own(store: &Arc<dyn Store>, hash: u8) {
    let (step, number) = (SeriesStep::TenMinutes, 12_000);
    let of = |part: SeriesPart, class| part.of_class(class).0;
    let (error, rest) = (Some(Class::Error), Some(Class::Rest));
    let (fleet, shop) = (SeriesPart::FLEET, SeriesPart::of(hash, 2));
    let rows = [
        row(step, number, 0, "fleet"),
        row(step, number, shop.0, "shop"),
        row(step, number, of(fleet, error), "errors"),
        row(step, number, of(shop, error), "errors of shop"),
        row(step, number, of(shop, rest), "rest of shop"),
    ];
    write(store, &rows).await;
    let found = async |of, class| {
        let asked = SeriesAsked {
            class,
            ..asked(step, of)
        };
        let rows = store.read_series(asked).await.unwrap().into_iter();
        let payloads = rows.map(|row| String::from_utf8(row.payload).unwrap());
        payloads.collect::<Vec<_>>()
    };
    let service = SeriesOf::Service(hash);
    assert_eq!(found(service, None).await, ["fleet", "shop"]);
    assert_eq!(found(service, error).await, ["errors", "errors of shop"]);
    assert_eq!(found(service, rest).await, ["rest of shop"]);
    assert_eq!(found(SeriesOf::Fleet, error).await, ["errors"]);
    assert_eq!(found(SeriesOf::Services, None).await, ["fleet", "shop"]);
    assert_eq!(found(SeriesOf::All, None).await.len(), 5);
    // A step that is written again takes the place of its classes, too.
    write(store, &rows[..1]).await;
    assert_eq!(found(SeriesOf::All, None).await, ["fleet"]);
}

pub async fn a_step_takes_the_place_of_all_that_there_was(fixture: &Fixture) {
    let store = fixture.open().await;
    for step in [SeriesStep::Window, SeriesStep::TenMinutes] {
        let before = [
            row(step, 0, 0, "a"),
            row(step, 0, 2, "b"),
            row(step, 0, 3, "c"),
        ];
        write(&store, &before).await;
        let kept = row(step, 1, 0, "kept");
        write(&store, &[row(step, 0, 0, "d"), row(step, 0, 1, "e"), kept]).await;
        let all = found(&store, step, SeriesOf::All).await;
        assert_eq!(all, ["d", "e", "kept"]);
    }
}

/// What a job has read must not be written after the database has gone back to an earlier state, or after another
/// replica was faster.
pub async fn history_is_summed_only_from_where_it_stands(fixture: &Fixture) {
    let store = fixture.open().await;
    assert_eq!(store.series_mark().await.unwrap(), SeriesMark::default());
    let new = |after: Option<i64>, until: i64| NewSeries {
        rows: &[],
        names: Incarnation::EMPTY,
        after: after.map(|number| window(number).start),
        until: Some(window(until).start),
    };
    let write = async |after, until| store.write_series(new(after, until)).await.unwrap();
    assert_eq!(write(None, 1).await, Settlement::Settled);
    assert_eq!(write(None, 1).await, Settlement::Moved, "once");
    fixture.remember().await;
    assert_eq!(write(Some(1), 2).await, Settlement::Settled);
    fixture.go_back().await;
    assert_eq!(write(Some(2), 3).await, Settlement::Moved);
    assert_eq!(write(Some(1), 3).await, Settlement::Settled);
    let other = Incarnation(uuid::Uuid::from_u128(7));
    let rows = [row(SeriesStep::Window, 5, 0, "a")];
    let lost = NewSeries {
        rows: &rows,
        names: other,
        ..new(Some(3), 4)
    };
    let written = store.write_series(lost).await.unwrap();
    assert_eq!(written, Settlement::OtherNames);
    let mark = store.series_mark().await.unwrap();
    let stands = SeriesMark {
        until: Some(window(3).start),
        newest_window: None,
    };
    assert_eq!(mark, stands, "nothing was written");
}

pub async fn old_steps_are_deleted_by_their_length(fixture: &Fixture) {
    let store = fixture.open().await;
    let steps = [
        SeriesStep::Window,
        SeriesStep::TenMinutes,
        SeriesStep::Hour,
        SeriesStep::Day,
    ];
    // The second is days after the first, so in another partition.
    for step in steps {
        write(
            &store,
            &[row(step, 0, 0, "old"), row(step, 40_000, 0, "new")],
        )
        .await;
    }
    let newest = store.series_mark().await.unwrap().newest_window;
    assert_eq!(newest, Some(window(40_000).start));
    let now = window(50_000).start;
    let ever = Timestamp(0);
    let mut kept = SeriesBefore::all(ever);
    for step in steps {
        let between = window(30_000).start;
        match step {
            SeriesStep::Window => kept.windows = between,
            SeriesStep::TenMinutes => kept.ten_minutes = between,
            SeriesStep::Hour => kept.hours = between,
            SeriesStep::Day => kept.days = between,
        }
        assert_eq!(found(&store, step, SeriesOf::All).await.len(), 2);
        let retention = weir::store::Retention {
            series_before: kept,
            ..before(ever)
        };
        store.maintain(now, retention).await.unwrap();
        assert_eq!(found(&store, step, SeriesOf::All).await, ["new"]);
    }
}

pub async fn plans_are_found_by_their_windows(fixture: &Fixture) {
    let store = fixture.open().await;
    let term = lead(&store, 1).await;
    for number in 1..=4 {
        let published = publish(&store, &plan(number, term)).await;
        assert_eq!(published, Publication::Published);
    }
    let starts = window(2).start..window(4).start;
    let found = store.plans_of(starts).await.unwrap();
    let numbers: Vec<u64> = found.iter().map(|plan| plan.number).collect();
    assert_eq!(numbers, [2, 3]);
    assert_eq!(found[0].summary, "{\"plan\":2}");
}
