//! The console: what pages say, to whom, and that they do what they say without JavaScript.

mod asked;
mod browser;
mod html;
mod large;
mod screens;
mod sign_in;
pub mod world;

use reqwest::Method;
use weir::console::ROUTES;

use self::html::Page;
use self::world::{BUDGET, DEADLINE, HOSTILE, Visitor, World};
use crate::contract::document::Document;
use crate::support::process::eventually;

#[test]
fn pages_are_no_api() {
    let document = Document::read();
    let documented: Vec<String> = document
        .operations()
        .into_iter()
        .map(|of| of.path)
        .collect();
    for route in ROUTES.iter().filter(|route| route.path != "/") {
        assert!(route.path.starts_with("/console/"), "{}", route.path);
        assert!(
            !documented.iter().any(|path| path == route.path),
            "{}",
            route.path
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_says_whether_the_fleet_is_on_budget() {
    let world = World::start(&[]).await;
    let page = world.page("/").await;
    let head = page.text(".head");
    assert!(head.contains(&format!("of {BUDGET} traces/s")), "{head}");
    assert!(head.contains("requests/s"), "{head}");
    let verdict = page.text("#verdict");
    let verdicts = ["On budget", "over budget", "under budget"];
    assert!(verdicts.iter().any(|of| verdict.contains(of)), "{verdict}");
    let mut spend = page.texts("#spend tbody th");
    spend.sort();
    assert_eq!(spend, [HOSTILE, "checkout", "search"]);
    let changes = page.texts("#changes li");
    assert!(
        changes[0].contains("budget.traces_per_second: 10.0 → 20.0"),
        "{changes:?}"
    );
    assert!(changes[0].contains("the fleet grew"), "{changes:?}");
    assert_eq!(page.texts("nav a[aria-current=page]"), ["Overview"]);
    assert!(page.text("#plan").starts_with("plan "));
    // The chart is there without JavaScript, with its figures as a table.
    let page = eventually(DEADLINE, "history has a window", async || {
        let page = world.page("/").await;
        (!page.all("#kept-chart").is_empty()).then_some(page)
    })
    .await;
    let drawn = page.one("#kept-chart svg");
    assert_eq!(drawn.attribute("role"), "img");
    assert!(!page.texts("#kept-chart tbody tr").is_empty());
    let calls = page.texts(".calls code");
    assert!(
        calls.iter().any(|of| of.ends_with("/v1/plans/current'")),
        "{calls:?}"
    );
    // Other ranges are in the address.
    let week = world.page("/?range=week").await;
    assert_eq!(week.texts(".ranges a[aria-current=true]"), ["Week"]);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_is_changed_by_a_form_without_javascript() {
    let world = World::start(&[]).await;
    let visitor = Visitor::of(&world.app.admin);
    let form = visitor.page("/console/budget").await;
    assert_eq!(form.one("#in-amount").attribute("value"), "20");
    // The preview is an address that changes nothing.
    let preview = visitor
        .page("/console/budget?amount=5&unit=traces_per_second")
        .await;
    let said = preview.text("#preview");
    assert!(said.contains("20 → 5 traces/s"), "{said}");
    assert!(
        preview
            .texts("#preview tbody th")
            .contains(&"checkout".to_owned())
    );
    assert_eq!(world.budget().await, 20.0);
    // A wrong figure is named, and what was typed stays.
    let wrong = visitor
        .post(
            &preview,
            "form.change",
            &[("amount", "-5"), ("reason", "try")],
        )
        .await;
    assert_eq!(wrong.status, 422);
    let page = wrong.page();
    assert!(
        page.text("#preview .trouble")
            .contains("must be between 0 and")
    );
    assert_eq!(page.one("#in-amount").attribute("value"), "-5");
    assert_eq!(page.one("#reason").attribute("value"), "try");
    // What somebody else has changed meanwhile is not overwritten.
    world.app.set_budget(30.0).await;
    let late = visitor
        .post(&preview, "form.change", &[("amount", "5")])
        .await;
    assert_eq!(late.status, 412);
    let page = late.page();
    let saved = visitor
        .post(
            &page,
            "form.change",
            &[("amount", "5"), ("reason", "less & <cheaper>")],
        )
        .await;
    assert_eq!((saved.status, &*saved.location), (303, "/?saved=budget"));
    assert_eq!(world.budget().await, 5.0);
    let (_, audit) = world.app.admin_get("/v1/audit?limit=1").await;
    assert_eq!(audit["entries"][0]["origin"], "ui");
    assert_eq!(audit["entries"][0]["reason"], "less & <cheaper>");
    let after = visitor.page("/?saved=budget").await;
    assert!(after.text(".saved").starts_with("Saved"));
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_loads_nothing_from_elsewhere_and_other_clients_get_no_page() {
    let world = World::start(&[]).await;
    let visitor = Visitor::of(&world.app.admin);
    let answer = visitor.get("/").await;
    let policy = answer.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self';",
        "style-src 'self';",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(
        !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let page = answer.page();
    let loaded = page
        .elements
        .iter()
        .filter(|of| ["script", "link"].contains(&&*of.tag));
    let mut count = 0;
    for of in loaded {
        let url = [of.attribute("src"), of.attribute("href")].concat();
        let file = visitor.get(&url).await;
        assert_eq!(file.status, 200, "{url}");
        assert!(file.header("cache-control").contains("immutable"), "{url}");
        assert!(!file.text.is_empty());
        count += 1;
    }
    assert_eq!(count, 7);
    assert_eq!(visitor.get("/console/assets/none.js").await.status, 404);
    for path in ["/", "/made-up"] {
        let get = world.app.client.get(format!("{}{path}", world.app.admin));
        let answer = get.send().await.unwrap();
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_no_page_of_weir_sent_is_refused() {
    let world = World::start(&[]).await;
    let url = format!("{}/console/budget", world.app.admin);
    for (origin, site) in [
        (None, None),
        (Some("https://attacker.example"), Some("cross-site")),
        (Some("null"), None),
        (None, Some("cross-site")),
    ] {
        let mut post = world.app.client.request(Method::POST, &url);
        post = post.header("Content-Type", "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            post = post.header("Origin", origin);
        }
        if let Some(site) = site {
            post = post.header("Sec-Fetch-Site", site);
        }
        let answer = post.body("amount=1&seen=*").send().await.unwrap();
        assert_eq!(answer.status(), 403, "{origin:?} {site:?}");
    }
    assert_eq!(world.budget().await, BUDGET);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_pages_hear_of_each_plan_until_weir_stops() {
    let world = World::start(&[]).await;
    let url = format!("{}/console/live", world.app.admin);
    let mut events = world.app.client.get(&url).send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut heard = String::new();
    while heard.matches("event: plan").count() < 3 {
        let chunk = events
            .chunk()
            .await
            .unwrap()
            .expect("a plan comes each second");
        heard += std::str::from_utf8(&chunk).unwrap();
    }
    let plans: Vec<u64> = heard
        .lines()
        .filter_map(|line| line.strip_prefix("data: ")?.parse().ok())
        .collect();
    assert!(plans.is_sorted() && plans[0] < plans[2], "{plans:?}");
    // The stop does not wait for pages that stay open.
    world.app.begin_stop();
    while events.chunk().await.unwrap().is_some() {}
    world.app.ended().await.unwrap();
}
