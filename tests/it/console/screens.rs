//! Services, a service and its operations, and changes: what they say, and their actions without JavaScript.

use std::time::Duration;

use serde_json::json;

use super::world::{DEADLINE, HOSTILE, Visitor, World};
use crate::support::process::eventually;

/// Where the service with the hostile name is.
const HOSTILE_PATH: &str = "/console/services/%3Cscript%3Ealert%281%29%3C%2Fscript%3E";

#[tokio::test(flavor = "multi_thread")]
async fn services_are_sorted_searched_and_set_from_their_row() {
    let world = World::start(&[]).await;
    let visitor = Visitor::of(&world.app.admin);
    let names = async |query: &str| {
        let page = visitor.page(&format!("/console/services{query}")).await;
        page.texts("tbody th a")
    };
    assert_eq!(
        names("?sort=offered").await,
        ["search", "checkout", HOSTILE]
    );
    assert_eq!(names("?sort=name").await, [HOSTILE, "checkout", "search"]);
    assert_eq!(names("?search=SCRIPT").await, [HOSTILE]);
    assert_eq!(names("?search=nobody").await, Vec::<String>::new());
    let page = visitor.page("/console/services?sort=missing").await;
    assert_eq!(page.texts("th[aria-sort=descending]"), ["Missing/s ↓"]);

    // A floor, from the form that the row leads to.
    let path = "/console/services/checkout/settings";
    let set = page.one(&format!("a[href={path}]"));
    assert_eq!(
        set.attribute("aria-label"),
        "set… floor, cap and group of checkout"
    );
    let form = visitor
        .page(&format!(
            "{path}?floor_traces_per_second=15&cap_traces_per_second=&group="
        ))
        .await;
    let said = form.texts("#preview tbody th");
    assert!(said.contains(&"checkout".to_owned()), "{said:?}");
    let saved = visitor
        .post(&form, "form.change", &[("floor_traces_per_second", "15")])
        .await;
    assert_eq!(
        (saved.status, &*saved.location),
        (303, "/console/services?search=checkout&saved=settings")
    );
    let (_, document) = world.app.admin_get("/v1/configuration").await;
    assert_eq!(
        document["services"]["checkout"],
        json!({ "floor_traces_per_second": 15.0 })
    );
    // A cap under the floor is refused where it is.
    let wrong = visitor
        .post(
            &form,
            "form.change",
            &[("cap_traces_per_second", "1"), ("seen", "*")],
        )
        .await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong
            .page()
            .text("#preview .trouble")
            .contains("services.checkout"),
        "{}",
        wrong.text
    );
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_says_why_it_has_its_probability_and_is_boosted() {
    let world = World::start(&[]).await;
    let visitor = Visitor::of(&world.app.admin);
    let service = visitor.page("/console/services/checkout").await;
    assert_eq!(service.text("h1"), "checkout");
    assert_eq!(
        service.texts("#operations tbody th"),
        ["GET /", "POST /cart"]
    );
    assert!(service.texts("#counts tbody tr")[0].starts_with("reports"));
    assert!(!service.all("#polls table").is_empty() || !service.all("#polls p").is_empty());
    let path = "/console/services/checkout?operation=POST+%2Fcart";
    let page = visitor.page(path).await;
    let (_, explained) = world
        .app
        .admin_get("/v1/services/checkout/explanation?operation=POST%20/cart")
        .await;
    assert!(explained["reason"]["explanation"].is_string());
    let why = page.text("#why");
    assert!(why.starts_with("It ") && why.contains("traces/s"), "{why}");
    let rungs = page.texts("ol.ladder li");
    for (rung, name) in rungs
        .iter()
        .zip(["Offered", "Share", "Within its bounds", "Served"])
    {
        assert!(rung.starts_with(name), "{rung}");
    }
    assert_eq!(rungs.len(), 4);

    let form = visitor
        .page("/console/services/checkout/boost?operation=POST+%2Fcart")
        .await;
    assert!(
        form.text("#preview").contains("It keeps"),
        "{}",
        form.text("#preview")
    );
    let silent = visitor
        .post(&form, "form.change", &[("force", "true")])
        .await;
    assert_eq!(silent.status, 422, "a boost needs a reason");
    let begun = visitor
        .post(
            &form,
            "form.change",
            &[("reason", "INC-4711"), ("force", "true")],
        )
        .await;
    assert_eq!(
        (begun.status, &*begun.location),
        (303, "/console/services/checkout?saved=boost"),
        "{}",
        begun.text
    );
    let (_, rules) = world.app.admin_get("/v1/rules").await;
    let rule = &rules["rules"][0];
    assert_eq!(rule["service"], "checkout");
    assert_eq!(rule["operation"], "POST /cart");
    assert_eq!(rule["owner"], "local");
    // What runs out soon needs a look.
    let look = visitor.page("/").await.text("#look");
    assert!(
        look.contains("INC-4711") && look.contains("in 20 min"),
        "{look}"
    );
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_sdks_apply_what_they_are_served_is_said_of_many_windows() {
    let world = World::start(&[]).await;
    let load = world.load();
    let visitor = Visitor::of(&world.app.admin);
    let said = eventually(DEADLINE, "there are enough windows", async || {
        let look = visitor.page("/").await.text("#look");
        let said = "of what was due was kept in the last";
        let windows = look.split(said).nth(1)?.split_whitespace().next()?.parse();
        let windows: usize = windows.unwrap();
        assert!(windows >= 10, "{look}");
        (windows == 15).then_some(look)
    })
    .await;
    assert!(said.contains("SDKs"), "{said}");
    load.abort();
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_markup_are_shown_as_they_are() {
    let world = World::start(&[]).await;
    let visitor = Visitor::of(&world.app.admin);
    let operation = "?operation=%22%3E%3Cimg+src%3Dx+onerror%3Dalert%281%29%3E";
    for path in ["", operation, "/settings", "/boost"] {
        let answer = visitor.get(&format!("{HOSTILE_PATH}{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert!(
            !answer.text.contains("<script>alert") && !answer.text.contains("<img"),
            "{path}"
        );
        let page = answer.page();
        assert!(page.text("h1").contains(if path == operation {
            "onerror=alert(1)"
        } else {
            HOSTILE
        }));
    }
    for path in [
        "/console/services/nobody",
        "/console/services/checkout?operation=none",
        "/console/changes/4711",
    ] {
        let answer = visitor.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.page().text("main").contains("Not found"), "{path}");
    }
    for search in [
        "/console/services?search=%3Cb%3E",
        "/console/changes?by=%3Cb%3E",
    ] {
        let page = visitor.get(search).await;
        assert!(page.status == 200 && !page.text.contains("<b>"), "{search}");
    }
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_says_what_came_of_it_and_is_rolled_back() {
    let world = World::start(&[]).await;
    let load = world.load();
    let visitor = Visitor::of(&world.app.admin);
    let listed = visitor.page("/console/changes").await;
    let rows = listed.texts("tbody tr");
    assert_eq!(rows.len(), 1);
    assert!(
        rows[0].contains("budget.traces_per_second: 10.0 → 20.0")
            && rows[0].contains("“the fleet grew”")
    );
    let path = listed.one("tbody th a").attribute("href").to_owned();
    let entry = visitor.page(&path).await;
    assert_eq!(
        entry.texts("#fields tbody tr"),
        ["budget.traces_per_second 10.0 20.0".replace(' ', "")]
    );
    eventually(
        Duration::from_secs(60),
        "its effect is measured",
        async || {
            let seen = visitor.page(&path).await.text("#seen");
            (!seen.contains("some windows after")).then_some(())
        },
    )
    .await;

    let form = visitor.page("/console/rollback?revision=1").await;
    assert!(
        form.text("#preview").contains("20 → 10 traces/s"),
        "{}",
        form.text("#preview")
    );
    let back = visitor
        .post(&form, "form.change", &[("reason", "too much")])
        .await;
    assert_eq!(
        (back.status, &*back.location),
        (303, "/console/changes?saved=rollback")
    );
    assert_eq!(world.budget().await, 10.0);
    let listed = visitor
        .page("/console/changes?action=configuration.rolled_back")
        .await;
    assert!(listed.text("tbody tr").contains("“too much”"));
    let wrong = visitor.get("/console/rollback?revision=x").await;
    assert_eq!(wrong.status, 422);
    let gone = visitor.get("/console/rollback?revision=4711").await;
    assert_eq!(gone.status, 404);
    load.abort();
    world.app.stop().await;
}
