//! `GET /metrics`: Weir's own metrics.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{Agent, TestApp, config, report};
use crate::support::postgres::Cluster;
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);

/// Counters and histograms that Weir changes by itself, without a request.
const MOVED_BY_ITSELF: [&str; 6] = [
    "process_cpu_seconds_total",
    "weir_database_call_seconds",
    "weir_job_runs_total",
    "weir_plan_phase_seconds",
    "weir_plans_total",
    "weir_probabilities_changed_total",
];

const ESCAPED: &str = r#"a "b" \c {d}"#;

const REFERENCE: &str = "docs/metrics.md";

const PREFACE: &str = "\
# Metrics

Weir tells its own metrics at `GET /metrics` on the admin listener, in Prometheus's text format.
Every series is there from the start, at zero, so that rates and alerts need no special case for
what has not happened yet. Labels are bounded: only the services that spend most have series of
their own (`--metrics-services`, 20 by default), all others are told together as `other`.

Each replica tells of itself what it counted, and of the fleet what the plan says that it serves.
The sum over replicas is meant for counters; for the figures of a plan, take the maximum or those
of one replica.

This page is made from the code: `WEIR_BLESS=1 cargo test --test it metrics::the_reference`.
";

async fn start(flags: &[&str]) -> (TestApp, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (TestApp::start(directory.path(), flags).await, directory)
}

async fn send(app: &TestApp, kind: &str, body: Vec<u8>) -> u16 {
    let request = app.client.post(format!("{}/v1/reports", app.sdk));
    let request = request.header("Content-Type", kind).body(body);
    request.send().await.unwrap().status().as_u16()
}

async fn listed(app: &TestApp, services: usize) {
    eventually(DEADLINE, "a plan that lists the services", async || {
        (app.plan().await?["services"] == services).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_reference_says_what_the_code_says() {
    let (app, _directory) = start(&[]).await;
    let scrape = Scrape::of(&app).await;
    app.stop().await;
    let expected = format!("{PREFACE}{}", scrape.reference());
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::create_dir_all("docs").unwrap();
        std::fs::write(REFERENCE, &expected).unwrap();
    }
    let found = std::fs::read_to_string(REFERENCE).unwrap_or_default();
    assert!(
        found == expected,
        "{REFERENCE} is not what the code says; write it anew with WEIR_BLESS=1"
    );
}

#[tokio::test]
async fn every_series_is_there_from_the_start_and_none_comes_later() {
    let (app, _directory) = start(&[]).await;
    let before = Scrape::of(&app).await;
    for (name, family) in &before.families {
        let by_itself = MOVED_BY_ITSELF.contains(&name.as_str());
        if family.kind == "gauge" || by_itself {
            continue;
        }
        for (series, value) in &family.samples {
            assert_eq!(*value, 0.0, "{series} has counted nothing yet");
        }
    }

    let mut agent = Agent::new("a");
    eventually(DEADLINE, "a report that is counted", async || {
        let report = agent.next(&[("shop", &[("GET /", 100.0)])])?;
        (app.report(&report).await.0 == 200).then_some(())
    })
    .await;
    listed(&app, 1).await;
    app.poll("shop").await;
    app.poll("nobody").await;
    assert_eq!(send(&app, "application/json", b"{".to_vec()).await, 400);
    let after = Scrape::of(&app).await;
    let mut came: Vec<&str> = after
        .series()
        .difference(&before.series())
        .copied()
        .collect();
    came.retain(|series| !series.ends_with("{service=\"shop\"}"));
    assert_eq!(came, Vec::<&str>::new());
    assert!(before.series().is_subset(&after.series()), "none goes");
    before.check_with_promtool();
    after.check_with_promtool();
    app.stop().await;
}

#[tokio::test]
async fn reports_are_counted_by_what_their_sender_was_told() {
    let (app, _directory) = start(&[]).await;
    let epoch = Uuid::new_v4();
    let kind = "application/json";
    let body = |report: &Value| serde_json::to_vec(report).unwrap();
    let first = report("a", epoch, 1000, 70);
    let mut wrong = report("b", epoch, 1, 5);
    wrong["window_seconds"] = json!(301);
    let mut kept = report("c", epoch, 1, 30);
    kept["services"][0]["operations"][0]["sampled"] = json!(4);
    for (status, kind, body) in [
        (200, kind, body(&first)),
        (200, kind, body(&first)),
        (200, kind, body(&first)),
        (200, kind, body(&kept)),
        (409, kind, body(&report("a", epoch, 1, 1))),
        (400, kind, b"{".to_vec()),
        (422, kind, body(&wrong)),
        (422, kind, body(&wrong)),
        (415, "text/plain", body(&first)),
        (413, kind, vec![b' '; 5 << 20]),
    ] {
        assert_eq!(send(&app, kind, body).await, status);
    }

    let scrape = Scrape::of(&app).await;
    for (outcome, count) in [
        ("counted", 2),
        ("duplicate", 2),
        ("too_far_behind", 1),
        ("malformed", 1),
        ("invalid", 2),
        ("unsupported", 1),
        ("too_large", 1),
        ("too_slow", 0),
        ("overloaded", 0),
        ("late", 0),
        ("unavailable", 0),
        ("internal", 0),
    ] {
        let series = format!("weir_reports_total{{outcome=\"{outcome}\"}}");
        assert_eq!(scrape.value(&series), f64::from(count), "{outcome}");
    }
    for (series, value) in [
        ("weir_reported_offered_total", 100.0),
        ("weir_reported_sampled_total", 4.0),
        ("weir_ingest_lag_seconds_count", 2.0),
        ("weir_reports_waiting", 0.0),
        // One after the other: each of the five that reach the database is its own group.
        ("weir_commits_total{outcome=\"committed\"}", 5.0),
        ("weir_commits_total{outcome=\"failed\"}", 0.0),
        ("weir_commit_reports_sum", 5.0),
        ("weir_commit_seconds_count", 5.0),
        (
            "weir_database_call_seconds_count{call=\"commit_reports\"}",
            5.0,
        ),
        ("weir_overflow_requests_total{entry=\"service\"}", 0.0),
        ("weir_overflow_requests_total{entry=\"fleet\"}", 0.0),
    ] {
        assert_eq!(scrape.value(series), value, "{series}");
    }
    app.stop().await;
}

#[tokio::test]
async fn polls_are_counted_by_what_they_got() {
    let (app, _directory) = start(&[]).await;
    app.report(&report("a", Uuid::nil(), 1, 1000)).await;
    listed(&app, 1).await;
    for _ in 0..3 {
        app.poll("checkout").await;
    }
    app.poll("nobody").await;
    app.poll("").await;
    for query in ["", "?service=a&service=b"] {
        let (status, _) = app.get(format!("{}/sampling{query}", app.sdk)).await;
        assert_eq!(status, 400);
    }
    let scrape = Scrape::of(&app).await;
    for (outcome, count) in [("known", 3.0), ("unknown", 2.0), ("malformed", 2.0)] {
        let series = format!("weir_polls_total{{outcome=\"{outcome}\",protocol=\"http\"}}");
        assert_eq!(scrape.value(&series), count, "{outcome}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_finds_no_room_is_counted_as_overflow() {
    let limits = ["--max-services", "1", "--max-operations-per-service", "1"];
    let (app, _directory) = start(&limits).await;
    let mut full = report("a", Uuid::nil(), 1, 10);
    let operations = full["services"][0]["operations"].as_array_mut().unwrap();
    operations.push(json!({ "operation": "GET /", "offered": 7, "sampled": 1 }));
    assert_eq!(app.report(&full).await.0, 200);
    let mut stranger = report("a", Uuid::nil(), 2, 5);
    stranger["services"][0]["service"] = json!("stranger");
    assert_eq!(app.report(&stranger).await.0, 200);
    let scrape = Scrape::of(&app).await;
    let overflow = |entry: &str| {
        let series = format!("weir_overflow_requests_total{{entry=\"{entry}\"}}");
        scrape.value(&series)
    };
    assert_eq!((overflow("service"), overflow("fleet")), (7.0, 5.0));
    app.stop().await;
}

#[tokio::test]
async fn the_plan_that_is_served_is_told() {
    let (app, _directory) = start(&[]).await;
    app.set_budget(50.0).await;
    let mut agent = Agent::new("a");
    let rates: &[(&str, &[(&str, f64)])] = &[("shop", &[("GET /", 1000.0), ("POST /buy", 10.0)])];
    let (plan, scrape) = eventually(DEADLINE, "a plan, and the metrics of it", async || {
        if let Some(report) = agent.next(rates) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let plan = app.plan().await?;
        let scrape = Scrape::of(&app).await;
        let told = scrape.value("weir_plan_number");
        // A plan about reports, with a budget that binds.
        let settled = plan["operations"] == 2
            && plan["observed_offered_per_second"] != 0.0
            && plan["level_traces_per_second"].is_number()
            && plan["hold"] == "none"
            && scrape.value("weir_leader") == 1.0;
        (settled && told == plan["plan"].as_f64()?).then_some((plan, scrape))
    })
    .await;
    for (series, field) in [
        ("weir_budget_traces_per_second", "budget_traces_per_second"),
        ("weir_offered_per_second", "offered_per_second"),
        (
            "weir_expected_sampled_traces_per_second",
            "expected_sampled_traces_per_second",
        ),
        (
            "weir_observed_offered_per_second",
            "observed_offered_per_second",
        ),
        (
            "weir_observed_sampled_traces_per_second",
            "observed_sampled_traces_per_second",
        ),
        ("weir_level_traces_per_second", "level_traces_per_second"),
        ("weir_completeness_ratio", "completeness"),
        ("weir_default_probability", "default_probability"),
        ("weir_plan_term", "term"),
        ("weir_leader_term", "term"),
        ("weir_plan_configuration_revision", "configuration_revision"),
        ("weir_plan_services", "services"),
        ("weir_plan_operations", "operations"),
    ] {
        assert_eq!(
            scrape.value(series),
            plan[field].as_f64().unwrap(),
            "{series}"
        );
    }
    assert_eq!(scrape.value("weir_budget_traces_per_second"), 50.0);
    let share = scrape.value("weir_service_share_traces_per_second{service=\"shop\"}");
    let expected = plan["expected_sampled_traces_per_second"].as_f64().unwrap();
    assert!((share - expected).abs() < 1e-6);
    leads_and_publishes(&scrape);
    app.stop().await;
}

/// The metrics of a single replica that has published a plan.
fn leads_and_publishes(scrape: &Scrape) {
    // Nothing was reported as sampled.
    assert_eq!(scrape.value("weir_tracking_error_ratio"), -1.0);
    assert_eq!(scrape.value("weir_hold{hold=\"none\"}"), 1.0);
    let stale = scrape.value("weir_plan_age_seconds") > 3.0;
    assert_eq!(scrape.value("weir_plan_stale"), f64::from(stale));
    assert_eq!(scrape.value("weir_plan_agents"), 1.0);
    assert!(scrape.value("weir_snapshot_bytes") > 200.0);
    assert!(scrape.value("weir_probabilities_changed_total") >= 2.0);
    let published = scrape.value("weir_plans_total{outcome=\"published\"}");
    for phase in ["read", "compute", "publish"] {
        let series = format!("weir_plan_phase_seconds_count{{phase=\"{phase}\"}}");
        assert!(scrape.value(&series) >= published, "{phase}");
    }
    let ran = "weir_job_runs_total{name=\"recompute\",outcome=\"succeeded\"}";
    assert!(scrape.value(ran) >= 1.0);
    assert!(scrape.value("weir_job_last_success_timestamp_seconds{name=\"recompute\"}") > 1.7e9);
    assert!(scrape.value("weir_database_connections_max") >= 2.0);
}

/// A report of 200 services, `s000` the busiest; then one named like the sum of the others, and one
/// whose name must be escaped.
fn many_services() -> Value {
    let mut report = report("a", Uuid::nil(), 1, 0);
    let services = (0..200).map(|index| {
        let name = match index {
            1 => "other".into(),
            2 => ESCAPED.into(),
            _ => format!("s{index:03}"),
        };
        // Far enough apart that the order stays the same over two buckets.
        let offered = 10 * (400 - index);
        let operations = [json!({ "operation": "GET /", "offered": offered, "sampled": 1 })];
        json!({ "service": name, "operations": operations })
    });
    report["services"] = services.collect();
    report
}

#[tokio::test]
async fn two_hundred_services_have_a_few_series() {
    for (flags, expected) in [(&[][..], 20), (&["--metrics-services", "3"], 3)] {
        let (app, _directory) = start(flags).await;
        // Enough that each keeps all of its traffic, so that shares differ.
        app.set_budget(1e6).await;
        assert_eq!(app.report(&many_services()).await.0, 200);
        let scrape = eventually(DEADLINE, "a plan of all services", async || {
            let scrape = Scrape::of(&app).await;
            (scrape.value("weir_plan_services") == 200.0).then_some(scrape)
        })
        .await;
        for name in [
            "weir_service_offered_per_second",
            "weir_service_share_traces_per_second",
            "weir_service_observed_sampled_traces_per_second",
        ] {
            let services = &scrape.labels(name)["service"];
            assert_eq!(services.len(), expected + 1, "{name}: {services:?}");
            assert!(services.contains("other") && services.contains("s000"));
            assert!(services.contains(r#"a \"b\" \\c {d}"#), "{services:?}");
        }
        let offered = &scrape.families["weir_service_offered_per_second"].samples;
        let sum: f64 = offered.values().sum();
        let all = scrape.value("weir_offered_per_second");
        assert!(
            (sum - all).abs() < all * 1e-9,
            "{sum} of {all}: nobody is lost"
        );
        scrape.check_with_promtool();
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told_without_asking_it() {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let flags = ["--interval", "1s", "--database-url", &url];
    let app = TestApp::start_with(config(&flags)).await;
    let before = Scrape::of(&app).await;
    assert_eq!(before.value("weir_database_available"), 1.0);
    assert_eq!(before.value("weir_database_connections_max"), 8.0);
    cluster.kill9();
    assert_eq!(app.report(&report("a", Uuid::nil(), 1, 7)).await.0, 503);
    let after = eventually(DEADLINE, "the outage is told", async || {
        let scrape = Scrape::of(&app).await;
        (scrape.value("weir_database_available") == 0.0).then_some(scrape)
    })
    .await;
    assert_eq!(
        after.value("weir_reports_total{outcome=\"unavailable\"}"),
        1.0
    );
    let errors = "weir_database_errors_total{call=\"acquire_lease\",kind=\"unavailable\"}";
    assert!(after.value(errors) >= 1.0);
    cluster.restart();
    eventually(DEADLINE, "its return is told", async || {
        let scrape = Scrape::of(&app).await;
        (scrape.value("weir_database_available") == 1.0).then_some(())
    })
    .await;
    app.stop().await;
}
