//! Who may see which page, and how one signs in and out.

use reqwest::Method;
use weir::access::Need;
use weir::console::ROUTES;

use super::world::Visitor;
use crate::access::{Bearer, Door};

/// Signs in with a token; the answer says whether that went well.
async fn sign_in(visitor: &mut Visitor, token: &str, to: &str) -> super::world::Answer {
    let page = visitor
        .get(&format!("/console/sign-in?to={to}"))
        .await
        .page();
    let answer = visitor
        .post(&page, "form.narrow", &[("token", token)])
        .await;
    let set = answer.header("set-cookie").to_owned();
    if let Some((pair, _)) = set.split_once(';') {
        visitor.cookie = Some(pair.to_owned());
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_of_a_token_signs_in_acts_by_their_role_and_signs_out() {
    let door = Door::open(&[]).await;
    let mut visitor = Visitor::of(&door.app.admin);
    let led = visitor.get("/console/budget?amount=3").await;
    assert_eq!(led.status, 303);
    let place = "/console/sign-in?to=%2Fconsole%2Fbudget%3Famount%3D3";
    assert_eq!(led.location, place);

    let wrong = sign_in(&mut visitor, Door::NOBODYS, "/").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, ""));
    assert!(!wrong.text.contains(Door::NOBODYS), "no token is shown");
    let agent = door.token("agent", &[]).await;
    assert_eq!(sign_in(&mut visitor, &agent, "/").await.status, 403);

    let operator = door.token("operator", &[]).await;
    let answer = sign_in(&mut visitor, &operator, "/console/budget").await;
    assert_eq!((answer.status, &*answer.location), (303, "/console/budget"));
    let cookie = answer.header("set-cookie");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(
        !cookie.contains(&operator),
        "the cookie holds a session, not the token"
    );
    // Before the first plan.
    let overview = visitor.page("/").await;
    assert!(overview.text("form.out").contains("a operator"));
    let form = visitor.page("/console/budget").await;
    let saved = visitor.post(&form, "form.change", &[("amount", "7")]).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    let (name, kind) = {
        let get = door
            .app
            .client
            .get(door.url("/v1/audit?limit=1"))
            .bearer(&door.first);
        let audit: serde_json::Value = get.send().await.unwrap().json().await.unwrap();
        let entry = &audit["entries"][0];
        (entry["by"].clone(), entry["by_kind"].clone())
    };
    assert_eq!((name, kind), ("a operator".into(), "session".into()));

    let out = visitor.post(&overview, "form.out", &[]).await;
    assert_eq!((out.status, &*out.location), (303, "/console/sign-in"));
    assert_eq!(visitor.get("/").await.status, 303, "the session has ended");
    door.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_the_token_that_it_began_with() {
    let door = Door::open(&[]).await;
    let created = door.created("viewer", &[]).await;
    let mut visitor = Visitor::of(&door.app.admin);
    let token = created["token"].as_str().unwrap();
    assert_eq!(sign_in(&mut visitor, token, "/").await.status, 303);
    assert_eq!(visitor.get("/").await.status, 200);
    let url = door.url(&format!("/v1/tokens/{}", created["id"].as_str().unwrap()));
    let revoked = door.app.client.delete(url).bearer(&door.first).send();
    assert_eq!(revoked.await.unwrap().status(), 200);
    let led = visitor.get("/").await;
    assert_eq!(led.status, 303);
    assert!(
        led.header("set-cookie").contains("Max-Age=0"),
        "what has ended is taken away"
    );
    // The first token has no row in the database, and its sessions end with it, too.
    let mut admin = Visitor::of(&door.app.admin);
    let first = door.first.clone();
    assert_eq!(sign_in(&mut admin, &first, "/").await.status, 303);
    assert_eq!(admin.get("/").await.status, 200);
    door.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_for_the_roles_that_it_states() {
    let door = Door::open(&[]).await;
    let nobody = Visitor::of(&door.app.admin);
    let mut viewer = Visitor::of(&door.app.admin);
    let token = door.token("viewer", &[]).await;
    assert_eq!(sign_in(&mut viewer, &token, "/").await.status, 303);
    let mut checked = 0;
    for route in ROUTES
        .iter()
        .filter(|of| of.need != Need::Nothing && of.need != Need::Anyone)
    {
        let path = crate::contract::filled(route.path);
        let url = format!("{}{path}", door.app.admin);
        let ask = |cookie: Option<&String>| {
            let method: Method = route.method.parse().unwrap();
            let request = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
            let request = request.build().unwrap().request(method, &url);
            let request = request
                .header("Accept", "text/html")
                .header("Origin", &door.app.admin);
            let request = request.header("Content-Type", "application/x-www-form-urlencoded");
            let request = request.body("amount=1");
            let request = match cookie {
                Some(cookie) => request.header("Cookie", cookie),
                None => request,
            };
            async { request.send().await.unwrap() }
        };
        let answer = ask(nobody.cookie.as_ref()).await;
        assert_eq!(answer.status(), 303, "{} {path}", route.method);
        let to = answer.headers()["location"].to_str().unwrap();
        assert!(to.starts_with("/console/sign-in?to="), "{to}");
        let answer = ask(viewer.cookie.as_ref()).await;
        let expected = route.need == Need::Operator;
        assert_eq!(answer.status() == 403, expected, "{} {path}", route.method);
        checked += 1;
    }
    assert!(checked >= 4);
    let form = viewer.page("/console/budget?amount=3").await;
    assert!(
        form.all("form.change button.main").is_empty(),
        "a viewer sees no way to save"
    );
    assert!(form.text("form.change").contains("only an operator"));
    door.app.stop().await;
}

#[tokio::test]
async fn a_link_of_another_site_is_followed_by_those_who_are_signed_in() {
    let door = Door::open(&[]).await;
    let get = door.app.client.get(door.url("/console/budget?amount=3"));
    let get = get
        .header("Sec-Fetch-Site", "cross-site")
        .header("Accept", "text/html");
    let answer = get.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    assert!(
        text.contains("content=\"0;url=/console/budget?amount=3\""),
        "{text}"
    );
    door.app.stop().await;
}
