//! `weir token`, and what `weir serve` refuses to start with.

use std::path::Path;
use std::process::{Command, Output};

use super::{Bearer, DEADLINE, Door};
use crate::support::app::TestApp;
use crate::support::postgres::TestDatabase;
use crate::support::process::eventually;

fn weir(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(arguments).env("NO_COLOR", "1");
    command.output().unwrap()
}

fn text(of: &[u8]) -> String {
    String::from_utf8(of.to_vec()).unwrap()
}

async fn becomes(app: &TestApp, token: &str, is_valid: bool) {
    eventually(DEADLINE, "what the command did is known", async || {
        let get = app.client.get(format!("{}/v1/budget", app.admin));
        let answer = get.bearer(token).send().await.unwrap();
        ((answer.status() == 200) == is_valid).then_some(())
    })
    .await;
}

/// Creates, lists and revokes a token in a database that a Weir uses.
async fn the_commands_work(app: &TestApp, place: [&str; 2]) {
    let all = |arguments: &[&str]| weir(&[arguments, &place].concat());
    let made = all(&[
        "token",
        "create",
        "--name",
        "grafana",
        "--role",
        "viewer",
        "--expires-in",
        "90d",
    ]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let token = text(&made.stdout).trim().to_owned();
    assert!(!text(&made.stderr).contains(&token[5..]));
    becomes(app, &token, true).await;
    let listed = text(&all(&["token", "list"]).stdout);
    let line = listed
        .lines()
        .find(|line| line.contains("grafana"))
        .unwrap();
    assert!(line.contains("viewer") && line.contains("local"), "{line}");
    assert!(!listed.contains(&token[5..]));
    let id = line.split(' ').next().unwrap();
    assert!(all(&["token", "revoke", id]).status.success());
    becomes(app, &token, false).await;
    let listed = text(&all(&["token", "list"]).stdout);
    assert!(listed.contains("revoked"), "{listed}");
    let unknown = "0b6fc9a2-0a53-4a7e-9d0c-5d0f0f6f9b11";
    let none = all(&["token", "revoke", unknown]);
    assert!(!none.status.success() && text(&none.stderr).contains(unknown));
    for wrong in [["--name", "local"], ["--role", "root"]] {
        let other = if wrong[0] == "--name" {
            ["--role", "viewer"]
        } else {
            ["--name", "a"]
        };
        let refused = all(&[&["token", "create"], &wrong[..], &other[..]].concat());
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_and_revoked_in_a_file() {
    let door = Door::open(&[]).await;
    let folder = door.directory.path().to_str().unwrap();
    the_commands_work(&door.app, ["--data-dir", folder]).await;
    door.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_and_revoked_in_postgresql() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let flags = ["--database-url", url, "--require-admin-token"];
    let app = TestApp::start_with(crate::support::app::config(&flags)).await;
    the_commands_work(&app, ["--database-url", url]).await;
    app.stop().await;
}

#[test]
fn a_database_that_is_not_there_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().to_str().unwrap();
    let said = weir(&["token", "list", "--data-dir", folder]);
    assert!(!said.status.success());
    assert!(
        text(&said.stderr).contains("weir.db"),
        "{}",
        text(&said.stderr)
    );
    assert!(!directory.path().join("weir.db").exists());
}

/// What `weir serve` says when it does not start.
fn refused(folder: &Path, flags: &[&str]) -> String {
    let folder = folder.to_str().unwrap();
    let said = weir(&[&["serve", "--data-dir", folder], flags].concat());
    assert_eq!(said.status.code(), Some(2), "{}", text(&said.stderr));
    text(&said.stderr)
}

#[test]
fn beyond_loopback_tls_and_tokens_are_needed_or_a_choice_is_stated() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path();
    let wide = ["--admin-listen", "0.0.0.0:0"];
    let said = refused(folder, &wide);
    for way in ["--tls-cert", "--admin-without-tls", "--insecure-admin"] {
        assert!(said.contains(way), "{said}");
    }
    let plain = [
        "--tls-cert",
        "/c",
        "--tls-key",
        "/k",
        "--tls-listeners",
        "sdk",
    ];
    let said = refused(folder, &[&wide[..], &plain].concat());
    assert!(said.contains("--admin-listen"), "{said}");
    let both = ["--insecure-admin", "--require-admin-token"];
    let said = refused(folder, &both);
    assert!(said.contains("contradicts"), "{said}");
}

#[test]
fn a_first_token_that_is_none_is_refused_and_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("first");
    std::fs::write(&file, "weir_geheim\n").unwrap();
    let flags = ["--bootstrap-token-file", file.to_str().unwrap()];
    let said = refused(directory.path(), &flags);
    assert!(
        said.contains("64 hexadecimal digits") && !said.contains("geheim"),
        "{said}"
    );
    let said = refused(directory.path(), &["--bootstrap-token", "weir_geheim"]);
    assert!(
        said.contains("--bootstrap-token") && !said.contains("geheim"),
        "{said}"
    );
    let said = refused(
        directory.path(),
        &["--bootstrap-token-file", "/nowhere/first"],
    );
    assert!(said.contains("/nowhere/first"), "{said}");
}

#[tokio::test]
async fn beyond_loopback_without_tls_tokens_are_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().to_str().unwrap();
    for (flag, expected) in [("--admin-without-tls", 401), ("--insecure-admin", 200)] {
        let mut settings = crate::support::app::config(&["--data-dir", folder, flag]);
        settings.listeners.admin_listen = "0.0.0.0:0".parse().unwrap();
        settings.check().unwrap();
        let app = TestApp::start_with(settings).await;
        let port = app.admin.rsplit(':').next().unwrap();
        let get = app.client.get(format!("http://127.0.0.1:{port}/v1/budget"));
        assert_eq!(get.send().await.unwrap().status(), expected, "{flag}");
        app.stop().await;
    }
}
