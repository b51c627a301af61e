//! Attempts with tokens that are not valid: limited, counted, logged seldom, and never shown.

use serde_json::Value;
use weir::access::TokenSecret;

use super::{Bearer, DEADLINE, Door, client_at};
use crate::support::process::{WeirProcess, eventually};
use crate::support::scrape::Scrape;

#[tokio::test]
async fn an_address_is_told_to_wait_and_a_valid_token_is_not() {
    let door = Door::open(&[]).await;
    let ask = |client: &reqwest::Client, token: &str| {
        let get = client.get(door.url("/v1/budget")).bearer(token);
        async { get.send().await.unwrap() }
    };
    let late = ask(door.exhausted(), Door::NOBODYS).await;
    assert_eq!(late.status(), 429);
    assert_eq!(late.headers()["retry-after"], "60");
    let problem: Value = late.json().await.unwrap();
    assert_eq!(problem["type"], "urn:weir:problem:too-many-attempts");
    let valid = ask(door.exhausted(), &door.first).await;
    assert_eq!(valid.status(), 200, "others may share the address");
    let elsewhere = ask(&client_at([127, 0, 0, 98]), Door::NOBODYS).await;
    assert_eq!(elsewhere.status(), 401);

    let get = door.app.client.get(door.url("/metrics"));
    let text = get
        .bearer(&door.first)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let scrape = Scrape::read(text);
    for (reason, count) in [("unknown", 21.0), ("too_many", 1.0), ("no_token", 0.0)] {
        let series = format!("weir_access_refused_total{{listener=\"admin\",reason=\"{reason}\"}}");
        assert_eq!(scrape.value(&series), count, "{series}");
    }
    door.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_in_the_log_and_few_lines_are() {
    let directory = tempfile::tempdir().unwrap();
    let first = TokenSecret::draw().unwrap().expose().to_owned();
    let file = directory.path().join("first");
    std::fs::write(&file, &first).unwrap();
    let command = WeirProcess::command()
        .flag("--data-dir", directory.path())
        .flag("--log", "debug")
        .flag("--bootstrap-token-file", &file);
    let weir = command.start().await;
    let client = reqwest::Client::new();
    let url = format!("{}/v1/tokens", weir.admin_url());
    let wanted = serde_json::json!({ "name": "grafana", "role": "viewer" });
    let created = client.post(&url).bearer(&first).json(&wanted).send();
    let created: Value = created.await.unwrap().json().await.unwrap();
    let token = created["token"].as_str().unwrap();
    for presented in [&first, token, Door::NOBODYS, "weir_geheim", Door::NOBODYS] {
        client.get(&url).bearer(presented).send().await.unwrap();
    }
    eventually(DEADLINE, "the refusal is logged", async || {
        (!weir.logged("refused a token").is_empty()).then_some(())
    })
    .await;
    assert_eq!(
        weir.logged("refused a token").len(),
        1,
        "one in ten seconds"
    );
    assert_eq!(weir.logged("a token was created").len(), 1);
    for secret in [&first, token, Door::NOBODYS, "weir_geheim"] {
        assert_eq!(weir.logged(&secret[5..]), Vec::<String>::new());
    }
    let told = client
        .get(format!("{}/metrics", weir.admin_url()))
        .send()
        .await
        .unwrap();
    let told = told.text().await.unwrap();
    assert!(!told.contains(&first[5..]) && !told.contains(&token[5..]));
}
