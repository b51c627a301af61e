//! Every route of the admin listener, with every kind of caller.

use reqwest::Method;
use serde_json::{Value, json};
use weir::access::Role;
use weir::api::{admin, health, metrics, reports};
use weir::http::routes::Route;
use weir::protocols::{edges, jaeger, otlp};

use super::everybody::{How, Presented, Standing, everybody};
use super::{Bearer, Door, client_at, stored};
use crate::contract::filled;
use crate::oidc::provider::Provider;
use crate::support::app::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_for_the_roles_that_it_states() {
    let provider = Provider::start(true);
    let (door, everybody) = everybody(&provider).await;
    let mut routes: Vec<Route> = [admin::ROUTES, metrics::ROUTES, health::ROUTES].concat();
    // Signing out ends a session.
    routes.sort_by_key(|route| route.path == "/logout");
    for (number, presented) in everybody.iter().enumerate() {
        for (place, route) in routes.iter().enumerate() {
            if presented.what.ends_with("no page") && route.path == "/logout" {
                continue;
            }
            // Each address may present a few tokens that are not valid.
            let client = client_at([127, 0, 1 + number as u8, 1 + place as u8]);
            let url = door.url(&filled(route.path));
            let request = client.request(route.method.parse().unwrap(), url);
            let request = presented.in_request(request, &door.app.admin);
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let label = format!("{} {} by {}", route.method, route.path, presented.what);
            let challenge = answer.headers().get("www-authenticate").cloned();
            let text = answer.text().await.unwrap();
            match presented.refused(route) {
                None => assert!(
                    ![401, 403, 429].contains(&status),
                    "{label}: {status} {text}"
                ),
                Some(expected) => {
                    assert_eq!(status, expected, "{label}: {text}");
                    let challenged = challenge.is_some_and(|it| {
                        it.to_str().unwrap().starts_with("Bearer realm=\"weir\"")
                    });
                    assert_eq!(challenged, status == 401, "{label}");
                    check(presented, route, &text, &label);
                }
            }
        }
    }
    door.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_for_agents_is_for_those_that_it_states() {
    let provider = Provider::start(true);
    let (door, everybody) = everybody(&provider).await;
    let sdk = [
        reports::ROUTES,
        edges::ROUTES,
        otlp::ROUTES,
        jaeger::ROUTES,
        health::ROUTES,
    ];
    let routes: Vec<Route> = sdk.concat();
    for (number, presented) in everybody.iter().enumerate() {
        for (place, route) in routes.iter().enumerate() {
            let client = client_at([127, 1, 1 + number as u8, 1 + place as u8]);
            let url = format!("{}{}", door.app.sdk, filled(route.path));
            let request = client.request(route.method.parse().unwrap(), url);
            let request = request
                .header("Content-Type", "application/json")
                .body("{}");
            let request = presented.in_request(request, &door.app.sdk);
            let status = request.send().await.unwrap().status().as_u16();
            let label = format!("{} {} by {}", route.method, route.path, presented.what);
            match presented.refused_to_agents(route) {
                None => assert!(![401, 403, 429].contains(&status), "{label}: {status}"),
                Some(expected) => assert_eq!(status, expected, "{label}"),
            }
        }
    }
    door.app.stop().await;
}

/// The problem says what is missing, and shows no token.
fn check(presented: &Presented, route: &Route, text: &str, label: &str) {
    let problem: Value = serde_json::from_str(text).unwrap();
    let detail = problem["detail"].as_str().unwrap();
    let is_alone = matches!(presented.how, How::CookieAlone(_)) && route.method != "GET";
    let expected = match &presented.standing {
        Standing::Nobody => format!("needs a token of role {}", route.need.role().unwrap()),
        Standing::Not(why) => (*why).to_owned(),
        Standing::Holder(..) if is_alone => "must say which page sends it".into(),
        Standing::Holder(role, _) if !role.meets(route.need) => {
            format!(
                "a token of role {}; this one has the role {role}",
                route.need.role().unwrap()
            )
        }
        Standing::Holder(..) => "limited to some services".into(),
    };
    assert!(detail.contains(&expected), "{label}: {detail}");
    if let Some(token) = presented.secret() {
        assert!(
            token.len() < 10 || !text.contains(&token[5..]),
            "{label}: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_and_other_names_are_refused_whoever_is_asking() {
    let provider = Provider::start(true);
    let (door, everybody) = everybody(&provider).await;
    let routes: Vec<Route> = [admin::ROUTES, metrics::ROUTES].concat();
    for presented in &everybody {
        for route in &routes {
            let ask = |name: &'static str, value: &'static str| {
                let url = door.url(&filled(route.path));
                let request = door.app.client.request(route.method.parse().unwrap(), url);
                presented
                    .in_request(request, &door.app.admin)
                    .header(name, value)
                    .send()
            };
            let label = format!("{} {} by {}", route.method, route.path, presented.what);
            let foreign = ask("Host", "attacker.example").await.unwrap();
            assert_eq!(foreign.status(), 421, "{label}");
            for origin in ["https://attacker.example", "null"] {
                let foreign = ask("Origin", origin).await.unwrap();
                assert_eq!(foreign.status(), 403, "{label} from {origin}");
            }
        }
    }
    door.app.stop().await;
}

#[tokio::test]
async fn on_loopback_nobody_needs_a_token_and_who_presents_one_is_taken_at_their_word() {
    let directory = tempfile::tempdir().unwrap();
    let (viewer, _) = stored(directory.path(), Role::Viewer, |_| ()).await;
    let app = TestApp::start(directory.path(), &[]).await;
    let put = |authorization: Option<String>| {
        let url = format!("{}/v1/budget", app.admin);
        let put = app.client.put(url).header("If-Match", "*");
        let put = put.json(&json!({ "traces_per_second": 7 }));
        let put = match authorization {
            Some(given) => put.header("Authorization", given),
            None => put,
        };
        async { put.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(put(None).await, 200);
    assert_eq!(put(Some(format!("Bearer {viewer}"))).await, 403);
    assert_eq!(put(Some(format!("bearer  {}", Door::NOBODYS))).await, 401);
    // Meant for a proxy in front.
    assert_eq!(put(Some("Basic d2VpcjpnZWhlaW0=".into())).await, 200);
    assert_eq!(put(Some("Bearer eyJhbGciOiJIUzI1NiJ9".into())).await, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_token_is_given_once() {
    let door = Door::open(&[]).await;
    let get = |values: &[String]| {
        let mut get = door.app.client.request(Method::GET, door.url("/v1/budget"));
        for value in values {
            get = get.header("Authorization", value);
        }
        async { get.send().await.unwrap().status().as_u16() }
    };
    let first = format!("Bearer {}", door.first);
    assert_eq!(get(std::slice::from_ref(&first)).await, 200);
    assert_eq!(get(&[first.replace("Bearer", "BEARER")]).await, 200);
    assert_eq!(get(&[first.clone(), first.clone()]).await, 401);
    assert_eq!(get(std::slice::from_ref(&door.first)).await, 401);
    assert_eq!(get(&[first.to_uppercase()]).await, 401);
    door.app.stop().await;
}

#[tokio::test]
async fn metrics_need_no_token_where_somebody_says_so() {
    let door = Door::open(&["--metrics-without-token"]).await;
    let status = async |path: &str| {
        let answer = door.app.client.get(door.url(path)).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(status("/metrics").await, 200);
    assert_eq!(status("/v1/budget").await, 401);
    assert_eq!(status("/readyz").await, 200);
    door.app.stop().await;
}

#[tokio::test]
async fn probes_and_metrics_have_a_listener_of_their_own_and_nothing_else_does() {
    let door = Door::open(&["--observe-listen", "127.0.0.1:0"]).await;
    let observe = door.app.observe.as_deref().expect("it is on");
    let ask = async |path: &str, host: &str| {
        let get = door.app.client.get(format!("{observe}{path}"));
        let answer = get.header("Host", host).send().await.unwrap();
        answer.status().as_u16()
    };
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(ask(path, "127.0.0.1").await, 200, "{path}");
    }
    for path in ["/v1/budget", "/v1/tokens", "/docs", "/sampling"] {
        assert_eq!(ask(path, "127.0.0.1").await, 404, "{path}");
    }
    assert_eq!(ask("/metrics", "attacker.example").await, 421);
    assert_eq!(ask("/livez", "probe.example").await, 200);
    door.app.stop().await;
}

#[tokio::test]
async fn a_revision_says_who_wrote_it() {
    let door = Door::open(&[]).await;
    let operator = door.token("operator", &[]).await;
    for (path, body) in [
        ("/v1/budget", json!({ "traces_per_second": 7 })),
        ("/v1/configuration", json!({})),
    ] {
        let put = door.app.client.put(door.url(path)).header("If-Match", "*");
        let put = put.bearer(&operator).json(&body).send().await.unwrap();
        assert_eq!(put.status(), 200);
    }
    let get = door.app.client.get(door.url("/v1/configuration/revisions"));
    let listed: Value = get
        .bearer(&operator)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let revisions = listed["revisions"].as_array().unwrap().iter();
    let by: Vec<&Value> = revisions.map(|of| &of["written_by"]).collect();
    assert_eq!(
        by,
        [&json!("a operator"), &json!("a operator"), &Value::Null]
    );
    door.app.stop().await;
}
