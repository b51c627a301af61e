//! Tagged requests: rules of the configuration that name attributes, applied by samplers that poll by X-Ray.

use serde_json::{Value, json};

use super::{Client, DEADLINE, IN_PATH, SERVICE, counted, now, rate, rule, start};
use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const RULES: &str = "/v1/rules";
const VIP: &str = "tagged=vip";

fn vip(cap: f64) -> Value {
    json!({ "id": "vip", "service": SERVICE, "attributes": { "test.actor": "*", "tier": "go?d" },
        "set": { "cap_traces_per_second": cap }, "owner": "ann", "reason": "a test", "expires": "never" })
}

async fn sent(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

async fn post(app: &TestApp, path: &str, body: &Value) -> (u16, Value) {
    sent(app.client.post(format!("{}{path}", app.admin)).json(body)).await
}

async fn put(app: &TestApp, path: &str, body: &Value) -> (u16, Value) {
    let request = app.client.put(format!("{}{path}", app.admin));
    sent(request.header("If-Match", "*").json(body)).await
}

/// What the service's document says of tagged requests.
async fn tagged(app: &TestApp) -> Option<Value> {
    let (status, service) = app.admin_get(&format!("/v1/services/{IN_PATH}")).await;
    let of = service["tagged"].as_array().cloned()?;
    of.into_iter().next().filter(|_| status == 200)
}

/// Waits until the service is in a plan.
async fn known(client: &Client<'_>) {
    eventually(DEADLINE, "the service is known", async || {
        client.tell(now(), &[(&rule("GET"), 1, 0)]).await;
        let (status, _) = client
            .app
            .admin_get(&format!("/v1/services/{IN_PATH}"))
            .await;
        (status == 200).then_some(())
    })
    .await;
}

/// Writes the rule, and waits until clients are given it. Returns the rules of before and of now.
async fn given(client: &Client<'_>, cap: f64) -> (String, String) {
    let before = client.rules().await;
    let (status, written) = post(client.app, RULES, &vip(cap)).await;
    assert_eq!(status, 201, "{written}");
    assert_eq!(
        written["matches"]["tagged"]["services_applying"], 1,
        "{written}"
    );
    let after = eventually(DEADLINE, "the rule is given", async || {
        Some(client.rules().await).filter(|rules| *rules != before)
    });
    let after = after.await;
    (before, after)
}

#[tokio::test(flavor = "multi_thread")]
async fn tagged_requests_are_kept_whole_and_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&folder, &[]).await;
    app.set_budget(200.0).await;
    let client = Client::new(&app, "one");
    known(&client).await;
    let (before, rules) = given(&client, 1000.0).await;
    let parsed: [Value; 2] = [&before, &rules].map(|rules| serde_json::from_str(rules).unwrap());
    let [before, after] =
        parsed.map(|rules| rules["SamplingRuleRecords"].as_array().cloned().unwrap());
    assert_eq!(after[1..], before, "the others stay byte for byte the same");
    let first = &after[0]["SamplingRule"];
    assert_eq!(first["RuleName"], rule(VIP));
    assert_eq!(
        first["Attributes"],
        json!({ "test.actor": "*", "tier": "go?d" })
    );
    assert_eq!(
        (&first["Priority"], &first["FixedRate"]),
        (&json!(10), &json!(1.0))
    );

    let (vip, get) = (rule(VIP), rule("GET"));
    let mut told = 0;
    eventually(
        DEADLINE,
        "a plan keeps all tagged requests and few others",
        async || {
            told += 3;
            let at = now();
            let counts = [(&*vip, 3, 3), (&*get, 4000, 1)];
            let answer = client.tell(at, &counts).await;
            // Sent again, it counts nothing.
            client.tell(at, &counts).await;
            assert_eq!(answer["UnprocessedStatistics"], json!([]));
            assert_eq!(rate(&answer, &vip), 1.0);
            assert!(
                answer["LastRuleModification"].as_f64().unwrap() > now(),
                "{answer}"
            );
            let shown = tagged(&app).await?;
            let planned = shown["probability"] == 1.0 && shown["window_offered"].as_u64()? > 0;
            (planned && rate(&answer, &get) < 0.5).then_some(())
        },
    )
    .await;
    let shown = tagged(&app).await.unwrap();
    assert_eq!(shown["applies"], true);
    let [share, offered] = ["share_traces_per_second", "offered_per_second"]
        .map(|field| shown[field].as_f64().unwrap());
    assert!(
        share > 0.0 && (share / offered - 1.0).abs() < 1e-6,
        "{shown}"
    );
    eventually(DEADLINE, "all that was told is in history", async || {
        (counted(&app, VIP).await == (told, told)).then_some(())
    })
    .await;
    assert_eq!(client.rules().await, rules, "not a byte may change");
    let path = format!("/v1/services/{IN_PATH}/operations?limit=1&after=tagged");
    let (_, page) = app.admin_get(&path).await;
    let explained = &page["operations"][0];
    assert_eq!(explained["operation"], VIP);
    assert_eq!(explained["rules"][0]["id"], "vip");
    assert_eq!(
        explained["rules"][0]["decides"],
        json!(["cap_traces_per_second", "probability_min"])
    );
    let scrape = Scrape::of(&app).await;
    assert!(scrape.value("weir_tagged_offered_per_second{rule=\"vip\"}") > 0.0);
    let [share, sampled] = ["share", "observed_sampled"].map(|of| {
        scrape.value(&format!(
            "weir_tagged_{of}_traces_per_second{{rule=\"vip\"}}"
        ))
    });
    assert!(share > 0.0 && sampled > 0.0);
    app.stop().await;
    let app = start(&folder, &[]).await;
    let client = Client::new(&app, "one");
    assert_eq!(
        client.rules().await,
        rules,
        "another process gives the same bytes"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tagged_requests_stay_within_their_cap_and_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&folder, &[]).await;
    app.set_budget(60.0).await;
    let client = Client::new(&app, "one");
    known(&client).await;
    given(&client, 20.0).await;
    let (vip, get) = (rule(VIP), rule("GET"));
    let answer = client.tell(now(), &[(&vip, 50_000, 50_000)]).await;
    // At 20 traces a second, ten seconds have 200 of these 50,000.
    assert_eq!(
        rate(&answer, &vip),
        0.004,
        "the client alone exceeds the cap"
    );
    let shares = eventually(DEADLINE, "a plan cuts to the cap", async || {
        let counts = [(&*vip, 500, 10), (&*get, 500, 10)];
        client.tell(now(), &counts).await;
        let shown = tagged(&app).await?;
        let (_, plan) = app.admin_get(&format!("/v1/services/{IN_PATH}")).await;
        let [share, offered] = ["share_traces_per_second", "offered_per_second"]
            .map(|field| shown[field].as_f64().unwrap());
        let whole = plan["share_traces_per_second"].as_f64()?;
        let cut = offered > 100.0 && share > 15.0 && share < 20.01;
        (cut && whole > 40.0).then_some((share, whole))
    });
    let (share, whole) = shares.await;
    assert!(
        whole < 66.0,
        "one budget for {share} and the others: {whole}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_turned_off_is_given_to_nobody_and_still_counts() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&folder, &[]).await;
    let client = Client::new(&app, "one");
    known(&client).await;
    let (before, _) = given(&client, 20.0).await;
    let mut off = vip(20.0);
    off["enabled"] = json!(false);
    let (status, answer) = put(&app, "/v1/rules/vip", &off).await;
    assert_eq!(status, 200, "{answer}");
    eventually(DEADLINE, "the rules are as before", async || {
        (client.rules().await == before).then_some(())
    })
    .await;
    let (vip, rest) = (rule(VIP), rule("*"));
    let unknown = rule("tagged=unknown");
    let answer = client
        .tell(now(), &[(&vip, 7, 7), (&unknown, 5, 1), (&rest, 0, 0)])
        .await;
    assert_eq!(answer["UnprocessedStatistics"], json!([]));
    for tagged in [&vip, &unknown] {
        assert_eq!(rate(&answer, tagged), rate(&answer, &rest), "{answer}");
    }
    eventually(
        DEADLINE,
        "what clients still counted under it",
        async || {
            let counted = (counted(&app, VIP).await, counted(&app, "__other__").await);
            (counted == ((7, 7), (5, 1))).then_some(())
        },
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_do_not_poll_by_xray_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&folder, &[]).await;
    let client = Client::new(&app, "one");
    known(&client).await;
    let mut agent = Agent::new("a");
    let stock = &[("stock", &[("sync", 100.0)][..])];
    eventually(DEADLINE, "another service", async || {
        if let Some(report) = agent.next(stock) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        (app.admin_get("/v1/services/stock").await.0 == 200).then_some(())
    })
    .await;
    let mut all = vip(20.0);
    all["service"] = json!("*");
    let (status, written) = post(&app, RULES, &all).await;
    assert_eq!(status, 201, "{written}");
    let said = "matches the tagged requests of 1 service that polls by X-Ray; 1 service does not follow X-Ray \
                rules and will not apply it";
    assert_eq!(written["matches"]["tagged"]["said"], said);
    let (_, configuration) = app.admin_get("/v1/configuration").await;
    let (status, preview) = post(&app, "/v1/configuration/preview", &configuration).await;
    assert_eq!(status, 200, "{preview}");
    assert_eq!(preview["warnings"]["rules.vip"], said, "{preview}");
    // A client without a path gets the rule of each service.
    let stranger = Client {
        base: "",
        ..Client::new(&app, "two")
    };
    eventually(DEADLINE, "a rule of each service", async || {
        let rules: Value = serde_json::from_str(&stranger.rules().await).unwrap();
        let records = rules["SamplingRuleRecords"].as_array().unwrap();
        let names = records
            .iter()
            .map(|of| of["SamplingRule"]["RuleName"].as_str().unwrap());
        let tagged: Vec<&str> = names.filter(|name| name.ends_with(VIP)).collect();
        (tagged == [&*rule(VIP), "stock:tagged=vip"]).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_rule_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&folder, &[]).await;
    let client = Client::new(&app, "one");
    known(&client).await;
    let many: serde_json::Map<String, Value> =
        (0..6).map(|n| (n.to_string(), json!("x"))).collect();
    let long = "x".repeat(257);
    for (field, value, at, said) in [
        (
            "operation",
            json!("GET"),
            "operation",
            "left out beside attributes",
        ),
        (
            "set",
            json!({ "weight": 2.0 }),
            "set.cap_traces_per_second",
            "is required beside attributes",
        ),
        (
            "set",
            json!({ "cap_traces_per_second": 1.0, "weight": 2.0 }),
            "set",
            "may only hold",
        ),
        (
            "attributes",
            json!({ "test.actor": "" }),
            "attributes.test.actor",
            "must be 1 to 256 bytes",
        ),
        (
            "attributes",
            json!({ "test.actor": long }),
            "attributes.test.actor",
            "must be 1 to 256 bytes",
        ),
        (
            "attributes",
            json!({ "": "x" }),
            "attributes",
            "has a name that must be",
        ),
        (
            "attributes",
            json!({ "a\u{7}": "x" }),
            "attributes",
            "has a name that must be",
        ),
        (
            "attributes",
            Value::Object(many),
            "attributes",
            "the limit is 5",
        ),
        ("service", json!("chekc*"), "service", "matches 0 services"),
    ] {
        let mut wrong = vip(20.0);
        wrong[field] = value;
        let (status, problem) = post(&app, RULES, &wrong).await;
        assert_eq!((status, &problem["field"]), (422, &json!(at)), "{problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(said),
            "{problem}"
        );
    }
    let (_, mut whole) = app.admin_get("/v1/configuration").await;
    let mut one = vip(20.0);
    one.as_object_mut().unwrap().remove("id");
    whole["rules"] = (0..51).map(|n| (format!("vip-{n}"), one.clone())).collect();
    let (status, problem) = put(&app, "/v1/configuration", &whole).await;
    assert_eq!(
        (status, &problem["field"]),
        (422, &json!("rules")),
        "{problem}"
    );
    app.stop().await;
}
