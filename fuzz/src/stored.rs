//! What replicas read from the database, which may be damaged: it is refused, or it is read as it is
//! written.

use uuid::Uuid;
use weir::allocation::{Timestamp, Window};
use weir::store::{StoredDelta, StoredPolls, WriteFormat, history_codec, plan_codec, series_codec};

const WINDOW: Window = Window {
    start: Timestamp(0),
    end: Timestamp(60_000),
};

/// Reads the body of a plan: its version, and what is compressed in the database. What is read is
/// written as the same bytes again.
pub fn plan(bytes: &[u8]) {
    let Ok(plan) = plan_codec::decode(&framed(bytes)) else {
        return;
    };
    let written = plan_codec::encode(&plan, WriteFormat::Newest).expect("it is small");
    let again = plan_codec::decode(&written).expect("it was written here");
    let again = plan_codec::encode(&again, WriteFormat::Newest).expect("it is small");
    assert!(again == written, "a plan is the same after it was stored");
    let _ = plan_codec::encode(&plan, WriteFormat::Previous);
}

/// Reads the counts of reports, of polls, of history and of series. They begin with which of them it is.
pub fn counts(bytes: &[u8]) {
    match bytes {
        [0, length, rest @ ..] => {
            let (payload, reports) = rest.split_at(rest.len().min(usize::from(*length)));
            delta(payload, Some(reports.to_vec()));
        }
        [1, payload @ ..] => delta(payload, None),
        [2, payload @ ..] => {
            let polls = StoredPolls::new(WINDOW, Uuid::nil(), WINDOW, Some(payload.to_vec()));
            if let Ok(services) = polls.services() {
                let services = services.expect("there is a payload");
                assert!(services.is_sorted_by(|one, next| one.service < next.service));
            }
        }
        [3, content @ ..] => history(&framed(content)),
        [4, payload @ ..] => history(payload),
        [5, content @ ..] => series(&framed(content)),
        _ => {}
    }
}

fn delta(payload: &[u8], reports: Option<Vec<u8>>) {
    let Ok(counts) = StoredDelta::new(WINDOW, payload.to_vec(), reports).counts() else {
        return;
    };
    let operations = &counts.operations;
    assert!(operations.is_sorted_by(|one, next| one.operation < next.operation));
    let services = &counts.services;
    assert!(services.is_sorted_by(|one, next| one.service < next.service));
}

fn series(payload: &[u8]) {
    let Ok(block) = series_codec::decode(payload) else {
        return;
    };
    assert!(block.entries.is_sorted_by(|one, next| one.0 < next.0));
    let again = series_codec::decode(&series_codec::encode(&block));
    assert_eq!(again.expect("it was written here"), block);
}

fn history(payload: &[u8]) {
    let Ok(operations) = history_codec::decode(payload) else {
        return;
    };
    assert!(operations.is_sorted_by(|one, next| one.operation < next.operation));
    let stored = |format| {
        let written = history_codec::encode(&operations, format);
        history_codec::decode(&written).expect("it was written here")
    };
    assert!(
        stored(WriteFormat::Newest) == operations,
        "history is the same after it was stored"
    );
    // The format before cannot say that nobody knows how many were sampled.
    let mut known = operations.clone();
    known
        .iter_mut()
        .for_each(|of| of.sampled = of.sampled.or(Some(0)));
    assert!(stored(WriteFormat::Previous) == known, "so is the rest");
}

/// A version byte, then the rest in a zstd frame, whose checksums no fuzzer gets right.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let Some((version, content)) = bytes.split_first() else {
        return Vec::new();
    };
    let mut framed = vec![*version];
    framed.extend(zstd::bulk::compress(content, 1).expect("there is memory"));
    framed
}
