//! What began or ran out by itself around a change, so that nobody can tell what the change did.

use chrono::{DateTime, Utc};

use crate::allocation::Timestamp;
use crate::clock::date;
use crate::configuration::{ByItself, Timed, Timers};
use crate::store::{Store, StoreError};

/// The times of a change.
pub(super) struct Spans {
    /// The windows before show what came until then.
    pub since: Timestamp,
    /// When it was written.
    pub changed: DateTime<Utc>,
    /// The end of the window whose plan it changed first.
    pub applied: Timestamp,
    /// The end of the last window that is compared.
    pub until: Timestamp,
}

/// Why something else hides what the change from one revision to another did, if anything does.
pub(super) async fn came(
    store: &dyn Store,
    (before, after): (u64, u64),
    spans: &Spans,
) -> Result<Option<String>, StoreError> {
    let [before, after] = [timers(store, before).await?, timers(store, after).await?];
    Ok(match (before, after) {
        (Ok(before), Ok(after)) => first(&before, &after, spans).map(|of| words(&of)),
        (Err(why), _) | (_, Err(why)) => Some(why),
    })
}

/// What is set to begin and end by itself, or why that is not known.
async fn timers(store: &dyn Store, revision: u64) -> Result<Result<Timers, String>, StoreError> {
    let Some(stored) = store.configuration_revision(revision).await? else {
        return Ok(Err(format!("revision {revision} was deleted")));
    };
    let read = Timers::read(&stored.document);
    Ok(read.ok_or_else(|| format!("revision {revision} cannot be read")))
}

/// The first that came. What the change itself set, and what came before its first plan, is a part of what it did.
fn first(before: &Timers, after: &Timers, spans: &Spans) -> Option<ByItself> {
    let Spans { changed, .. } = *spans;
    let [since, applied, until] = [spans.since, spans.applied, spans.until].map(date);
    // A plan is made with the configuration of a moment after its window.
    let written = changed.min(applied).max(since);
    let mut came = before.between(since, written);
    let meanwhile = after.between(written, applied);
    let unchanged = before.between(written, applied);
    came.extend(meanwhile.into_iter().filter(|of| unchanged.contains(of)));
    came.extend(after.between(applied, until));
    came.into_iter().min()
}

fn words(of: &ByItself) -> String {
    let what = match &of.of {
        Timed::Rule(name) => format!("the rule {name}"),
        Timed::Freeze => "the freeze".into(),
        Timed::Emergency => "the emergency".into(),
    };
    let did = if of.ended { "ran out" } else { "began" };
    format!("{what} {did} at {}, close to it", of.at.format("%FT%TZ"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    /// A rule that begins and runs out then.
    fn rule(start: i64, expires: i64) -> Timers {
        let rule = json!({ "start": at(start), "expires": at(expires) });
        Timers::read(&json!({ "rules": { "a": rule } }).to_string()).expect("a document")
    }

    /// What came around a change at 100 s, whose first plan is of the window that ends at `applied`.
    fn came(before: &Timers, after: &Timers, applied: i64) -> Option<i64> {
        let timestamp = |seconds: i64| Timestamp(seconds * 1000);
        let spans = Spans {
            since: timestamp(60),
            changed: at(100),
            applied: timestamp(applied),
            until: timestamp(160),
        };
        first(before, after, &spans).map(|of| of.at.timestamp())
    }

    #[test]
    fn what_came_between_the_windows_is_found_and_what_the_change_itself_set_is_not() {
        for (start, expires, expected) in [
            // The windows before show it already, and those after show it not yet.
            (0, 60, None),
            (10, 161, None),
            (0, 61, Some(61)),
            (0, 100, Some(100)),
            (105, 300, Some(105)),
            (0, 110, Some(110)),
            (0, 111, Some(111)),
            (0, 160, Some(160)),
            // It begins and runs out between two plans.
            (70, 75, Some(70)),
        ] {
            let same = rule(start, expires);
            assert_eq!(came(&same, &same, 110), expected, "{start} to {expires}");
        }
        let none = Timers::default();
        // A rule of the change begins before its first plan, or is gone with the change.
        assert_eq!(came(&none, &rule(105, 300), 110), None);
        assert_eq!(came(&rule(0, 105), &none, 110), None);
        assert_eq!(came(&rule(0, 105), &rule(0, 300), 110), None, "extended");
        assert_eq!(came(&rule(0, 95), &none, 110), Some(95), "it had run out");
        assert_eq!(came(&none, &rule(0, 120), 110), Some(120));
        // The first plan is made with the configuration of a moment after its window.
        assert_eq!(came(&rule(0, 97), &rule(0, 300), 95), None);
        assert_eq!(came(&none, &rule(0, 97), 95), Some(97));
    }
}
