//! The screens of rules, of the fleet and of the first run.

use std::time::Duration;

use serde_json::json;

use super::world::{HOSTILE, Visitor, World};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_added_after_a_preview_and_turned_off() {
    let world = World::start(&[]).await;
    let visitor = Visitor::of(&world.app.admin);
    let none = visitor.page("/console/rules").await;
    assert!(none.text("#live").contains("No rule is here"));
    // What would it do?
    let asked = "id=quiet&service=search&operation=GET+%2Fsear*&set=cap_traces_per_second&value=1&hours=2&owner=ann";
    let preview = visitor.page(&format!("/console/rules/add?{asked}")).await;
    let said = preview.text("#preview");
    assert!(said.contains("1 of 1 service"), "{said}");
    assert!(said.contains("→ 1 traces/s"), "{said}");
    let (_, rules) = world.app.admin_get("/v1/rules").await;
    assert_eq!(rules["rules"], json!([]), "a preview adds nothing");
    // A rule needs a reason, and says so beside the form.
    let values = [
        ("set", "cap_traces_per_second"),
        ("later", ""),
        ("reason", ""),
    ];
    let refused = visitor.post(&preview, "form.change", &values).await;
    assert_eq!(refused.status, 422);
    assert!(refused.page().text("#preview .trouble").contains("reason"));
    let values = [
        ("set", "cap_traces_per_second"),
        ("later", ""),
        ("reason", "too <loud>"),
    ];
    let saved = visitor.post(&preview, "form.change", &values).await;
    assert_eq!(
        (saved.status, &*saved.location),
        (303, "/console/rules?saved=rule")
    );
    let listed = visitor.page(&saved.location).await;
    assert_eq!(listed.texts("tbody th"), ["quiet"]);
    let row = listed.text("tbody tr");
    for part in [
        "on",
        "GET /sear*",
        "cap_traces_per_second 1",
        "1 of 1 service",
        "ann",
        "in 2 h",
    ] {
        assert!(row.contains(part), "{part}: {row}");
    }
    // It is turned off, and on again.
    for (state, save) in [("off", false), ("active", true)] {
        let one = visitor.page("/console/rules/quiet").await;
        assert!(one.text("main").contains("too <loud>"));
        assert!(!one.text("#cost").is_empty());
        let turned = visitor
            .post(&one, "form.change", &[("reason", "enough")])
            .await;
        assert_eq!(turned.status, 303, "{}", turned.text);
        let (_, rule) = world.app.admin_get("/v1/rules/quiet").await;
        assert_eq!(
            (&rule["state"], &rule["enabled"]),
            (&json!(state), &json!(save))
        );
    }
    assert_eq!(visitor.get("/console/rules/none").await.status, 404);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_says_who_takes_part_and_what_helps() {
    let world = World::start(&[]).await;
    let stranger = world
        .app
        .client
        .get(format!("{}/sampling?service=mail", world.app.sdk));
    let stranger = stranger.header("User-Agent", "grpc-java-netty/1.60");
    assert!(stranger.send().await.unwrap().status().is_success());
    let asked = format!("{}/v1/edges/plan?edge=edge-1", world.app.sdk);
    let edge = world.app.client.get(asked);
    let edge = edge.header("User-Agent", "weir-edge/<0.2.0>");
    assert_eq!(edge.send().await.unwrap().status(), 200);
    let visitor = Visitor::of(&world.app.admin);
    let page = eventually(DEADLINE, "the edge is known", async || {
        let page = visitor.page("/console/fleet").await;
        (page.texts("#edges tbody th") == ["edge-1"]).then_some(page)
    })
    .await;
    let row = page.text("#edges tbody tr");
    assert!(
        row.contains("follows") && row.contains("weir-edge/<0.2.0>"),
        "{row}"
    );
    assert_eq!(page.texts("nav a[aria-current=page]"), ["Fleet"]);
    let figures = page.text("#live .figures");
    assert!(
        figures.contains("Services in full") && figures.contains("leads"),
        "{figures}"
    );
    assert_eq!(page.texts("#agents tbody th"), ["a"]);
    assert_eq!(page.texts("#replicas tbody tr").len(), 1);
    let go = visitor.page("/console/fleet?sdk=go").await;
    assert!(go.text("#fix").contains("jaegerremote.New"));
    let missing = visitor.page("/console/fleet?state=missing").await;
    assert!(
        missing
            .text("#agents")
            .contains("No agent is known like this")
    );
    assert_eq!(
        visitor.get("/console/fleet?state=late").await.status,
        200,
        "a part says what is wrong"
    );
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_budget_is_tried_on_the_history_and_used_by_the_form_of_the_budget() {
    let world = World::start(&[]).await;
    let visitor = Visitor::of(&world.app.admin);
    let load = world.load();
    // Ten windows are played before any counts.
    let page = eventually(DEADLINE, "the history is played again", async || {
        let page = visitor
            .page("/console/try?range=10m&traces_per_second=30")
            .await;
        let rows = page.texts("#budgets tbody th");
        (rows == ["10", "20 (now)", "30 (tried)", "40"]).then_some(page)
    })
    .await;
    load.abort();
    let said = page.text("#budgets");
    assert!(said.contains("played again by the allocation"), "{said}");
    // The fleet offers much more than each of them, so each is kept.
    for (row, budget) in page
        .texts("#budgets tbody tr")
        .iter()
        .zip([10.0, 20.0, 30.0, 40.0])
    {
        let figures = row.strip_prefix(&budget.to_string()).unwrap_or(row);
        assert!(figures.contains("0 % of the time"), "{row}");
    }
    assert_eq!(page.one("#amount").attribute("type"), "range");
    let used = page.one("#tried a").attribute("href").to_owned();
    let form = visitor.page(&used).await;
    assert!(form.text("#preview").contains("20 → 30 traces/s"));
    assert_eq!(world.budget().await, 20.0, "trying changes nothing");
    let wrong = visitor.page("/console/try?traces_per_second=-1").await;
    assert!(wrong.text("#budgets").contains("must be above 0"));
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_run_ticks_its_steps_and_steers_nobody_before_it_is_told() {
    let world = World::start(&["--observe-only"]).await;
    let visitor = Visitor::of(&world.app.admin);
    let page = visitor.page("/console/first-run?sdk=javascript").await;
    let steps = page.texts("#steps li");
    assert_eq!(steps.len(), 5);
    for (place, step) in steps.iter().enumerate() {
        let done = step.contains("Done:");
        // Whether somebody polled is known a window later.
        assert!(place == 3 || done == (place < 4), "{step}");
    }
    assert!(page.text("#copy").contains("JaegerRemoteSampler"));
    let (_, mode) = world.app.admin_get("/v1/mode").await;
    assert_eq!(mode["mode"], "observe", "looking steers nobody");
    let saved = visitor
        .post(&page, "form.change", &[("reason", "we like it")])
        .await;
    assert_eq!(
        (saved.status, &*saved.location),
        (303, "/console/first-run?saved=go")
    );
    let (_, mode) = world.app.admin_get("/v1/mode").await;
    assert_eq!(mode["mode"], "enforce");
    let after = visitor.page(&saved.location).await;
    assert!(
        after.all("#go").is_empty(),
        "there is nothing to do any more"
    );
    assert!(after.texts("#steps li")[4].contains("Done:"));
    for path in [
        "/console/rules",
        "/console/fleet",
        "/console/first-run",
        "/console/rules/add",
    ] {
        let text = visitor.get(path).await.text;
        assert!(!text.contains(HOSTILE), "{path}: names are escaped");
    }
    world.app.stop().await;
}
