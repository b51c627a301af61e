//! What people get wrong on a command line, and what they are told: what is wrong, where, and what to do.

use std::process::Stdio;

use tokio::process::Command;

use super::{DEADLINE, Operator, end};
use crate::support::app::TestApp;
use crate::support::process::{WeirProcess, eventually};

#[tokio::test]
async fn a_number_below_zero_is_a_number() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let operator = Operator::of(&app.admin);
    for (arguments, said) in [
        (&["budget", "-5", "--yes"][..], "traces_per_second"),
        (
            &["emergency", "-0.1", "--owner", "a", "--reason", "b"],
            "factor",
        ),
        (
            &["simulate", "--synthetic", "steady", "--budget", "-5"],
            "must be a number above 0",
        ),
        (&["serve", "--budget", "-1"], "--budget"),
        (
            &["serve", "--max-services", "-1"],
            "must be a whole number between",
        ),
        (
            &["edge", "--initial-probability", "-1"],
            "--initial-probability",
        ),
    ] {
        let ended = operator.run(arguments).await;
        assert_ne!(ended.status, 0, "{arguments:?}: {}", ended.out);
        assert!(ended.err.contains(said), "{arguments:?}: {}", ended.err);
        assert!(!ended.err.contains("unexpected argument"), "{}", ended.err);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_setting_with_a_wrong_letter_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let operator = Operator::of(&app.admin);
    let mut command = operator.command(&["budget"]);
    command.env("WEIR_PROFIL", "work");
    let ended = end(command, "").await;
    assert_eq!(ended.status, 0, "it goes on: {}", ended.err);
    let said = "weir: WEIR_PROFIL is no setting and is ignored; did you mean WEIR_PROFILE?";
    assert!(ended.err.contains(said), "{}", ended.err);
    app.stop().await;

    let other = tempfile::tempdir().unwrap();
    let weir = WeirProcess::command()
        .flag("--data-dir", other.path())
        .environment("WEIR_INTERVL", "2s")
        .environment("WEIR_SERVICE_PORT_SDK", "5778")
        .start()
        .await;
    eventually(DEADLINE, "the warning", async || {
        let warned = weir.logged("WEIR_INTERVL is no setting and is ignored");
        (warned.len() == 1).then_some(())
    })
    .await;
    assert!(
        weir.logged("WEIR_SERVICE_PORT_SDK").is_empty(),
        "Kubernetes sets it"
    );
    assert!(weir.terminate().await.success());
}

#[tokio::test]
async fn a_database_that_refuses_is_named_with_its_address_and_its_reason() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    command.args(["--grpc-listen", "off", "--database-wait", "0s"]);
    command.args(["--database-url", "postgres://weir:geheim@127.0.0.1:1/weir"]);
    command.env_clear().stdout(Stdio::null()).kill_on_drop(true);
    let ended = end(command, "").await;
    assert_eq!(ended.status, 1);
    assert!(
        ended.err.contains("127.0.0.1:1: Connection refused"),
        "{}",
        ended.err
    );
    for wrong in ["pool", "timed out", "geheim"] {
        assert!(!ended.err.contains(wrong), "{wrong}: {}", ended.err);
    }
}

#[tokio::test]
async fn a_range_is_said_in_numbers_that_people_write() {
    let operator = Operator::of("http://127.0.0.1:1");
    for arguments in [
        "simulate --synthetic steady --budget 0",
        "simulate --synthetic steady --budget 1 --rename 0@61",
        "simulate --synthetic steady --budget 1 --time-scale 0",
        "replay --traffic none.csv --interval 2s --budget 0",
        "serve --initial-probability 2",
        "edge --initial-probability 2",
        "boost a b --for 1m --owner a --reason b --extra -1",
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let ended = operator.run(&arguments).await;
        assert_ne!(ended.status, 0, "{arguments:?}: {}", ended.out);
        for unreadable in ["e-308", "000000000000", "unexpected argument"] {
            assert!(
                !ended.err.contains(unreadable),
                "{arguments:?}: {}",
                ended.err
            );
        }
    }
}

#[tokio::test]
async fn a_reader_that_leaves_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let operator = Operator::of(&app.admin);
    let weir = env!("CARGO_BIN_EXE_weir");
    for command in [
        "export",
        "budget",
        "services",
        "simulate --synthetic steady --budget 5 --intervals 9",
    ] {
        let mut shell = Command::new("bash");
        shell.args([
            "-c",
            &format!("{weir} {command} | true; echo ${{PIPESTATUS[0]}}"),
        ]);
        shell
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap());
        shell.env("WEIR_URL", &operator.url).kill_on_drop(true);
        let ended = end(shell, "").await;
        assert!(!ended.err.contains("panicked"), "{command}: {}", ended.err);
        // A simulation may also say that the budget was not kept.
        let ends = if command.starts_with("simulate") {
            ["0", "1"]
        } else {
            ["0", "0"]
        };
        assert!(ends.contains(&ended.out.trim()), "{command}: {}", ended.err);
    }
    app.stop().await;
}
