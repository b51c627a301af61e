//! Tokens over time: every replica follows them, with and without the database.

use std::sync::atomic::Ordering;

use serde_json::Value;
use weir::access::{Role, TokenSecret};
use weir::store::Store;
use weir::store::sqlite::SqliteStore;

use super::{Bearer, DEADLINE, Door, stored};
use crate::supervision::Faulty;
use crate::support::process::eventually;

const ASKING: [&str; 1] = ["--require-admin-token"];

async fn is_valid(admin: &str, token: &str) -> bool {
    let get = reqwest::Client::new().get(format!("{admin}/v1/services"));
    let status = get.bearer(token).send().await.unwrap().status().as_u16();
    assert!([200, 401, 429].contains(&status), "{status}");
    status == 200
}

async fn becomes(admin: &str, token: &str, valid: bool) {
    eventually(DEADLINE, "a replica follows the tokens", async || {
        (is_valid(admin, token).await == valid).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_learns_of_new_and_revoked_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let (admin, _) = stored(directory.path(), Role::Admin, |_| ()).await;
    let one = Faulty::start(directory.path(), &ASKING).await;
    let other = Faulty::start(directory.path(), &ASKING).await;
    let client = reqwest::Client::new();
    let wanted = serde_json::json!({ "name": "grafana", "role": "viewer" });
    let post = client.post(format!("{}/v1/tokens", one.app.admin));
    let created = post.bearer(&admin).json(&wanted).send().await.unwrap();
    let created: Value = created.json().await.unwrap();
    let token = created["token"].as_str().unwrap();
    assert!(is_valid(&one.app.admin, token).await, "at once");
    becomes(&other.app.admin, token, true).await;

    let id = created["id"].as_str().unwrap();
    let delete = client.delete(format!("{}/v1/tokens/{id}", other.app.admin));
    let revoked = delete.bearer(&admin).send().await.unwrap();
    assert_eq!(revoked.status(), 200);
    assert!(!is_valid(&other.app.admin, token).await, "at once");
    becomes(&one.app.admin, token, false).await;
    one.app.stop().await;
    other.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_the_tokens_that_were_known_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let (viewer, id) = stored(directory.path(), Role::Viewer, |_| ()).await;
    let weir = Faulty::start(directory.path(), &ASKING).await;
    weir.faults.cut.store(true, Ordering::Relaxed);
    let failed = weir.faults.failed.load(Ordering::Relaxed);
    eventually(DEADLINE, "the database is missed", async || {
        (weir.faults.failed.load(Ordering::Relaxed) > failed + 10).then_some(())
    })
    .await;
    assert!(is_valid(&weir.app.admin, &viewer).await);
    assert!(!is_valid(&weir.app.admin, Door::NOBODYS).await);

    let file = directory.path().join("weir.db");
    let store = SqliteStore::open(&file).await.unwrap();
    let revoked = store
        .revoke_token(id, super::in_seconds(0), None)
        .await
        .unwrap();
    assert!(revoked.is_some());
    weir.faults.cut.store(false, Ordering::Relaxed);
    becomes(&weir.app.admin, &viewer, false).await;
    weir.app.stop().await;
}

#[tokio::test]
async fn the_file_of_the_first_token_is_read_again() {
    let door = Door::open(&[]).await;
    let file = door.directory.path().join("first");
    let becomes = async |token: &str, valid: bool| {
        becomes(&door.app.admin, token, valid).await;
    };
    let other = TokenSecret::draw().unwrap().expose().to_owned();
    becomes(&door.first, true).await;
    std::fs::write(&file, &other).unwrap();
    becomes(&other, true).await;
    becomes(&door.first, false).await;
    std::fs::remove_file(&file).unwrap();
    becomes(&other, false).await;
    std::fs::write(&file, &door.first).unwrap();
    becomes(&door.first, true).await;
    std::fs::write(&file, "weir_geheim").unwrap();
    becomes(&door.first, false).await;
    door.app.stop().await;
}

#[tokio::test]
async fn a_token_runs_out_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (short, _) = stored(directory.path(), Role::Viewer, |token| {
        token.expires_at = Some(super::in_seconds(3));
    })
    .await;
    let door = Door::open_in(directory, &[]).await;
    eventually(DEADLINE, "the token runs out", async || {
        let status = door.status("/v1/budget", &short).await;
        assert!([200, 401].contains(&status), "{status}");
        (status == 401).then_some(())
    })
    .await;
    door.app.stop().await;
}
