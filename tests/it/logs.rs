//! Weir's log: enough to see what it did and why, but never a line per poll.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use weir::clock::{Clock, SystemClock};

use crate::support::app::{Agent, report};
use crate::support::postgres::{Cluster, TestDatabase};
use crate::support::process::{WeirCommand, WeirProcess, eventually};

const DEADLINE: Duration = Duration::from_secs(60);

fn command() -> WeirCommand {
    WeirProcess::command()
        .flag("--log-format", "json")
        .flag("--interval", "1s")
}

/// The first line with a message, as JSON.
async fn line(weir: &WeirProcess, message: &str) -> Value {
    let line = eventually(DEADLINE, message, async || weir.logged(message).pop()).await;
    serde_json::from_str(&line).expect("a line is a JSON document")
}

/// The same while an agent reports: a window without reports changes nothing, and logs that
/// instead.
async fn reporting(weir: &WeirProcess, agent: &mut Agent, message: &str) -> Value {
    let line = eventually(DEADLINE, message, async || {
        if let Some(report) = agent.next(&[("shop", &[("GET /", 900.0)])]) {
            assert_eq!(send(weir, &report).await.status(), 200);
        }
        weir.logged(message).pop()
    });
    serde_json::from_str(&line.await).expect("a line is a JSON document")
}

async fn send(weir: &WeirProcess, body: &Value) -> reqwest::Response {
    let request = reqwest::Client::new().post(format!("{}/v1/reports", weir.sdk_url()));
    request.json(body).send().await.unwrap()
}

async fn set_budget(weir: &WeirProcess, id: &str) -> reqwest::Response {
    let request = reqwest::Client::new()
        .put(format!("{}/v1/budget", weir.admin_url()))
        .header("If-Match", "*")
        .header("X-Request-Id", id);
    let request = request.json(&json!({ "traces_per_second": 5 }));
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_plan_is_one_line_that_says_what_changed_and_why() {
    let directory = tempfile::tempdir().unwrap();
    let weir = command().flag("--data-dir", directory.path()).start().await;
    let mut agent = Agent::new("a");
    reporting(&weir, &mut agent, "1 operations are new").await;
    set_budget(&weir, "a").await;
    let line = reporting(&weir, &mut agent, "the budget went from 10 to 5 traces/s").await;
    assert_eq!(line["level"], "INFO", "{line}");
    assert_eq!(line["message"], "published a plan");
    assert_eq!(line["budget_traces_per_second"], 5.0);
    assert_eq!(line["configuration_revision"], 2);
    for number in ["plan", "term", "operations", "raised", "cut", "new", "gone"] {
        assert!(line[number].is_u64(), "{number}: {line}");
    }
    let number = line["plan"].as_u64().unwrap();
    let same = weir.logged(&format!("\"plan\":{number},"));
    assert_eq!(same.len(), 1, "one line a plan: {same:?}");
    // It need not be this plan's own change: a busy machine may have missed its window's reports,
    // and then nothing changes.
    reporting(&weir, &mut agent, "\"largest\":\"shop GET / ").await;
}

#[tokio::test]
async fn the_plan_that_ends_a_rule_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let weir = command().flag("--data-dir", directory.path()).start().await;
    let mut agent = Agent::new("a");
    reporting(&weir, &mut agent, "1 operations are new").await;
    let end = SystemClock.now() + chrono::TimeDelta::seconds(2);
    let rule = json!({ "id": "short", "service": "shop", "set": { "weight": 2 }, "owner": "ann",
        "reason": "a test", "expires": end });
    let request = reqwest::Client::new().post(format!("{}/v1/rules", weir.admin_url()));
    assert_eq!(request.json(&rule).send().await.unwrap().status(), 201);
    let line = reporting(&weir, &mut agent, r#"rule \"short\" ran out"#).await;
    assert_eq!(line["message"], "published a plan");
}

#[tokio::test]
async fn a_count_that_is_not_believed_is_named_with_its_agent() {
    let directory = tempfile::tempdir().unwrap();
    let weir = command().flag("--data-dir", directory.path()).start().await;
    let mut agent = Agent::new("node-17");
    for plan in ["\"plan\":3,", "\"plan\":4,", "\"plan\":5,"] {
        reporting(&weir, &mut agent, plan).await;
    }
    let mut wild = eventually(DEADLINE, "a report that is due", async || {
        agent.next(&[("shop", &[("GET /", 900.0)])])
    })
    .await;
    wild["services"][0]["operations"][0]["offered"] = json!(1_000_000_000_000_u64);
    assert_eq!(send(&weir, &wild).await.status(), 200);
    let line = reporting(&weir, &mut agent, "holding a count apart").await;
    assert_eq!(line["level"], "WARN", "{line}");
    assert_eq!(
        (&line["agent"], &line["service"]),
        (&json!("node-17"), &json!("shop"))
    );
    assert!(
        line["offered"].as_u64().unwrap() >= 100_000_000_000,
        "{line}"
    );
}

#[tokio::test]
async fn a_request_is_found_by_its_id_and_polls_leave_no_line() {
    let directory = tempfile::tempdir().unwrap();
    let weir = command()
        .flag("--data-dir", directory.path())
        .flag("--log", "debug")
        .start()
        .await;
    let answered = set_budget(&weir, "change-4711").await;
    assert_eq!(answered.headers()["x-request-id"], "change-4711");
    let line = line(&weir, "the budget was changed").await;
    assert_eq!(line["span"]["id"], "change-4711", "{line}");
    assert_eq!(line["span"]["path"], "/v1/budget");

    let own = send(&weir, &report("a", Uuid::new_v4(), 1, 5)).await;
    let own = own.headers()["x-request-id"].to_str().unwrap().to_owned();
    eventually(DEADLINE, "the report's lines", async || {
        weir.logged(&own).pop()
    })
    .await;
    let spoofed = set_budget(&weir, "a b").await;
    assert_ne!(spoofed.headers()["x-request-id"], "a b");

    let client = reqwest::Client::new();
    for _ in 0..20 {
        let poll = client.get(format!("{}/sampling?service=polled", weir.sdk_url()));
        assert_eq!(poll.send().await.unwrap().status(), 200);
    }
    set_budget(&weir, "after-the-polls").await;
    eventually(DEADLINE, "what comes after the polls", async || {
        weir.logged("after-the-polls").pop()
    })
    .await;
    assert_eq!(weir.logged("polled"), Vec::<String>::new());
}

/// Fifty answers to the same request, sent at the same time.
async fn fifty(ask: impl AsyncFn() -> reqwest::Response) -> Vec<u16> {
    let answers = futures_util::future::join_all((0..50).map(|_| ask())).await;
    answers
        .iter()
        .map(|answer| answer.status().as_u16())
        .collect()
}

#[tokio::test]
async fn requests_that_fail_are_not_a_line_each() {
    let directory = tempfile::tempdir().unwrap();
    let weir = command().flag("--data-dir", directory.path()).start().await;
    let mut agent = Agent::new("a");
    reporting(&weir, &mut agent, "1 operations are new").await;
    let file = format!("sqlite://{}/weir.db", directory.path().display());
    let mut database = SqliteConnection::connect(&file).await.unwrap();
    for refused in ["delta", "configuration"] {
        let trigger = format!(
            "create trigger refuse_{refused} before insert on {refused}
             begin select raise(abort, 'as asked'); end"
        );
        let trigger = sqlx::AssertSqlSafe(trigger);
        sqlx::query(trigger).execute(&mut database).await.unwrap();
    }
    let body = report("a", Uuid::new_v4(), 1, 5);
    let reported = fifty(async || send(&weir, &body).await).await;
    let budgets = fifty(async || set_budget(&weir, "x").await).await;

    let history = format!(
        "{}/v1/services/shop/history?operation=GET%20%2F",
        weir.admin_url()
    );
    eventually(DEADLINE, "a window that cannot be read", async || {
        let damage = "update history set payload = x'c8'";
        sqlx::query(damage).execute(&mut database).await.unwrap();
        let shown: Value = reqwest::get(&history).await.ok()?.json().await.ok()?;
        (shown["unreadable_windows"].as_u64()? > 0).then_some(())
    })
    .await;
    let histories = fifty(async || reqwest::get(&history).await.unwrap()).await;

    for (answers, status, message) in [
        (reported, 500, "a report could not be stored"),
        (budgets, 500, "a request failed"),
        (histories, 200, "a window's history cannot be read"),
    ] {
        assert_eq!(answers, [status; 50], "{message}");
        let first = line(&weir, message).await;
        assert_eq!(first["level"], "ERROR", "{first}");
        assert!(first["error"].is_string() && first["unsaid"].is_u64());
        let lines = weir.logged(message);
        assert!(lines.len() < 10, "fifty requests: {lines:?}");
    }
}

#[tokio::test]
async fn statements_that_wait_for_a_lock_are_not_a_line_each() {
    let database = TestDatabase::create().await;
    let weir = command()
        .flag("--database-url", database.url())
        .start()
        .await;
    let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
    let mut locked = pool.begin().await.unwrap();
    let lock = "lock table configuration in access exclusive mode";
    sqlx::query(lock).execute(&mut *locked).await.unwrap();
    let budget = format!("{}/v1/budget", weir.admin_url());
    let answers = fifty(async || reqwest::get(&budget).await.unwrap()).await;
    assert_eq!(answers, [503; 50]);
    line(&weir, "a database call was slow").await;
    assert_eq!(weir.logged("slow statement"), Vec::<String>::new());
    let lines = weir.logged("\"path\":\"/v1/budget\"");
    assert!(lines.len() < 10, "fifty requests: {lines:?}");
    locked.rollback().await.unwrap();
}

#[tokio::test]
async fn a_database_call_that_fails_or_is_slow_is_told_and_not_a_thousand_times() {
    let cluster = Cluster::start();
    let weir = command()
        .flag("--database-url", cluster.url("postgres"))
        .flag("--slow-call", "1ms")
        .start()
        .await;
    let slow = line(&weir, "a database call was slow").await;
    assert_eq!(slow["level"], "WARN");
    assert!(slow["call"].is_string() && slow["took_milliseconds"].is_u64());

    cluster.kill9();
    let body = report("a", Uuid::new_v4(), 1, 5);
    let refused = futures_util::future::join_all((0..50).map(|_| send(&weir, &body))).await;
    for answer in refused {
        assert_eq!(answer.status(), 503);
    }
    let failed = line(&weir, "a database call failed").await;
    assert_eq!(failed["kind"], "unavailable", "{failed}");
    assert!(failed["error"].is_string() && failed["call"].is_string());
    // Whichever call fails first is logged: that of a report, or one for the current plan.
    let lines = weir.logged("a database call failed");
    assert!(
        (1..10).contains(&lines.len()),
        "fifty reports and the jobs beside them, a line now and then: {lines:?}"
    );
    // The lease is asked for every few seconds, so an outage in between would not be noticed.
    line(&weir, "the database does not answer").await;
    cluster.restart();
    line(&weir, "the database answers again").await;
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_has_stored_is_warned_of() {
    let cluster = Cluster::start();
    let start = async || {
        let command = command().flag("--database-url", cluster.url("postgres"));
        command.start().await
    };
    let warning = "PostgreSQL runs with this setting off";
    let weir = start().await;
    assert_eq!(weir.logged(warning), Vec::<String>::new());
    drop(weir);
    let off = [
        "alter system set fsync = off",
        "alter system set full_page_writes = off",
        "select pg_reload_conf()",
    ];
    cluster.execute("postgres", &off).await;
    // The server reads its configuration a moment after the signal.
    let warned = eventually(DEADLINE, "both settings are named", async || {
        let lines = start().await.logged(warning);
        (lines.len() == 2).then_some(lines)
    })
    .await;
    for (line, setting) in warned.iter().zip(["fsync", "full_page_writes"]) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["level"], &line["setting"]),
            (&json!("WARN"), &json!(setting))
        );
    }
}
