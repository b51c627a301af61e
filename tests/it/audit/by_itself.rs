//! What a change did is not known if something began or ran out by itself around it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use weir::clock::{Clock, SystemClock};

use super::{DEADLINE, entries, set};
use crate::support::app::TestApp;
use crate::support::process::eventually;

/// Plans before a change of which the windows are compared, and those that SDKs held before them.
const PLANS: usize = 7;

/// Adds a rule that runs out when a few plans have been made with it. Returns when, and its revision.
async fn soon_over(app: &TestApp, id: &str, lasts: TimeDelta) -> (DateTime<Utc>, u64) {
    let expires = SystemClock.now() + lasts;
    let rule = json!({
        "id": id, "service": "shop", "set": { "weight": 2.0 }, "owner": "ann", "reason": "a sale",
        "expires": expires, "expect": "later",
    });
    let added = app.client.post(format!("{}/v1/rules", app.admin));
    let added = added.json(&rule).send().await.unwrap();
    assert_eq!(added.status(), 201);
    let revision = entries(app, "?limit=1").await[0]["revision_after"].as_u64();
    (expires, revision.unwrap())
}

/// Whether enough plans were made with a revision, and a change right after a time was in time for what follows.
async fn was_in_time(app: &TestApp, revision: u64, entry: &Value, expires: DateTime<Utc>) -> bool {
    let (_, plans) = app.admin_get("/v1/plans?limit=100").await;
    let plans = plans["plans"].as_array().unwrap().iter();
    let made = plans.filter(|plan| plan["summary"]["configuration_revision"] == revision);
    let at: DateTime<Utc> = entry["at"].as_str().unwrap().parse().unwrap();
    made.count() >= PLANS && at - expires < TimeDelta::seconds(2)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_change_did_is_not_known_when_a_rule_ran_out_just_before() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    // A slow machine needs longer for as many plans.
    let mut lasts = TimeDelta::seconds(9);
    for attempt in 1.. {
        let id = format!("sale-{attempt}");
        let (expires, revision) = soon_over(&app, &id, lasts).await;
        eventually(DEADLINE, "it ran out", async || {
            (SystemClock.now() > expires).then_some(())
        })
        .await;
        set(&app, "", 20.0 + f64::from(attempt)).await;
        let entry = entries(&app, "?limit=1").await.remove(0);
        if !was_in_time(&app, revision, &entry, expires).await {
            assert!(attempt < 4, "this machine is too slow");
            lasts = lasts * 2;
            continue;
        }
        let path = format!("/v1/audit/{}", entry["id"]);
        let measured = eventually(DEADLINE, "it is measured", async || {
            let (_, entry) = app.admin_get(&path).await;
            entry["measured"]
                .is_object()
                .then(|| entry["measured"].clone())
        })
        .await;
        let at = expires.format("%FT%TZ");
        let why = format!("the rule {id} ran out at {at}, close to it");
        assert_eq!(measured, json!({ "known": false, "why_unknown": why }));
        break;
    }
    app.stop().await;
}
