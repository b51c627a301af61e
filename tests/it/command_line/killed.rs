//! `weir apply` while Weir, or the command itself, is killed: the configuration is the old one or the
//! new one, whole.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::{DEADLINE, Operator, end, shown_path};
use crate::support::process::{WeirCommand, WeirProcess, eventually};

/// Large enough that reading, checking and writing it take a while.
const SERVICES: usize = 2_000;

/// Kills of each kind.
const KILLS: u64 = 6;

/// How long a command may run before something is killed: anywhere between its first request and its end.
fn moment(random: &mut StdRng) -> Duration {
    Duration::from_millis(random.random_range(0..400))
}

/// A configuration in which everything says its number, so that a mixture would show.
fn document(number: u64) -> String {
    let services: Vec<String> = (0..SERVICES)
        .map(|service| format!("  service-{service}:\n    cap_traces_per_second: {number}\n"))
        .collect();
    format!(
        "budget:\n  traces_per_second: {number}\nservices:\n{}",
        services.concat()
    )
}

/// The number of the running configuration, which must be one document whole.
async fn running(weir: &WeirProcess) -> u64 {
    let url = format!("{}/v1/configuration", weir.admin_url());
    let read = reqwest::get(url).await.unwrap();
    let document: Value = read.json().await.unwrap();
    let number = document["budget"]["traces_per_second"].as_f64().unwrap();
    let services = document["services"].as_object().unwrap();
    assert_eq!(services.len(), SERVICES);
    for (name, service) in services {
        assert_eq!(
            service["cap_traces_per_second"], number,
            "{name} of {number}"
        );
    }
    number as u64
}

/// Applies the first document, without which there is nothing whole yet.
async fn with_the_first(command: &WeirCommand) -> (WeirProcess, Operator) {
    let weir = command.start().await;
    let operator = Operator::of(weir.admin_url());
    let file = operator.file("1.yaml", &document(1));
    let applied = operator
        .run(&["apply", "-f", shown_path(&file), "--yes"])
        .await;
    assert_eq!(applied.status, 0, "{}", applied.err);
    (weir, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weir_that_is_killed_has_the_old_or_the_new_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let (mut weir, operator) = with_the_first(&command).await;
    let mut random = StdRng::seed_from_u64(7);
    let mut before = 1;
    for number in 2..2 + KILLS {
        let file = operator.file("next.yaml", &document(number));
        let mut apply = operator.command(&["apply", "-f", shown_path(&file), "--yes"]);
        apply.env("WEIR_URL", weir.admin_url());
        let mut applying = tokio::spawn(end(apply, ""));
        let ended = tokio::time::timeout(moment(&mut random), &mut applying).await;
        weir.kill9();
        let applied = match ended {
            Ok(ended) => ended.unwrap(),
            Err(_) => applying.await.unwrap(),
        };
        weir = command.start().await;
        let found = running(&weir).await;
        assert!(found == before || found == number, "{found} after {before}");
        if applied.status == 0 {
            assert_eq!(found, number, "it said that it was done");
        }
        before = found;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_is_killed_has_changed_all_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let (weir, operator) = with_the_first(&command).await;
    let mut random = StdRng::seed_from_u64(8);
    let mut before = 1;
    for number in 2..2 + KILLS {
        let file = operator.file("next.yaml", &document(number));
        let mut applying = operator
            .command(&["apply", "-f", shown_path(&file), "--yes"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        if tokio::time::timeout(moment(&mut random), applying.wait())
            .await
            .is_err()
        {
            applying.kill().await.unwrap();
        }
        let found = running(&weir).await;
        // What was sent before its command was killed may be written a moment later.
        let sent = before..=number;
        assert!(sent.contains(&found), "{found} after {before}");
        before = found;
    }
    // Whatever the killed ones left behind, the next one is done.
    let last = 2 + KILLS;
    let file = operator.file("last.yaml", &document(last));
    let done = eventually(DEADLINE, "an apply succeeds", async || {
        let applied = operator
            .run(&["apply", "-f", shown_path(&file), "--yes"])
            .await;
        (applied.status == 0).then_some(())
    });
    done.await;
    assert_eq!(running(&weir).await, last);
}
