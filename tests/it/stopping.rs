//! How a process ends: announced, within a bound, at once when asked twice.

use std::time::Duration;

use weir::app::AppError;

use crate::generated::operations::Point;
use crate::supervision::Faulty;
use crate::support::preload::{compile, preload};
use crate::support::process::{WeirProcess, eventually};

const DEADLINE: Duration = Duration::from_secs(60);

async fn status(url: String) -> Option<u16> {
    let answer = reqwest::get(url).await.ok()?;
    Some(answer.status().as_u16())
}

#[tokio::test]
async fn a_stop_is_announced_while_requests_are_still_answered_and_a_second_sign_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let weir = command.flag("--stop-delay", "1h").start().await;
    let listeners = [weir.sdk_url().to_owned(), weir.admin_url().to_owned()];
    for listener in &listeners {
        assert_eq!(status(format!("{listener}/readyz")).await, Some(200));
    }
    weir.signal("TERM");
    for listener in &listeners {
        eventually(DEADLINE, "the stop is announced", async || {
            let told = status(format!("{listener}/readyz")).await?;
            (told == 503).then_some(())
        })
        .await;
        assert_eq!(status(format!("{listener}/livez")).await, Some(200));
    }
    let poll = format!("{}/sampling?service=shop", listeners[0]);
    assert_eq!(status(poll).await, Some(200), "polls are still answered");
    weir.signal("TERM");
    assert!(!weir.ended().await.success(), "it did not stop in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_job_longer_than_its_bound() {
    let directory = tempfile::tempdir().unwrap();
    let weir = Faulty::start(directory.path(), &["--stop-timeout", "1s"]).await;
    weir.faults.stop_at(Some(Point::Read));
    weir.faults.someone_stops().await;
    weir.app.begin_stop();
    let ended = weir.app.ended().await;
    assert!(matches!(ended, Err(AppError::StoppedLate)), "{ended:?}");
}

#[tokio::test]
async fn a_hangup_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let weir = command.start().await;
    weir.signal("HUP");
    eventually(DEADLINE, "the log says so", async || {
        weir.logged("SIGHUP changes nothing").pop()
    })
    .await;
    let ready = format!("{}/readyz", weir.admin_url());
    assert_eq!(status(ready).await, Some(200));
    assert!(weir.terminate().await.success());
}

#[tokio::test]
async fn a_listener_that_ends_ends_the_process_with_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let library = compile("listener_end", directory.path());
    let when = directory.path().join("shut_down");
    for admin in [false, true] {
        let command = WeirProcess::command().flag("--data-dir", directory.path());
        let command = preload(command, &library).environment("WEIR_SHUT_DOWN_WHEN", &when);
        let weir = command.start().await;
        let (listener, task) = match admin {
            false => (weir.sdk_url(), "sdk_listener"),
            true => (weir.admin_url(), "admin_listener"),
        };
        assert_eq!(status(format!("{listener}/livez")).await, Some(200));
        std::fs::write(&when, "").unwrap();
        assert_eq!(status(format!("{listener}/livez")).await, None);
        let said = eventually(DEADLINE, "the log says so", async || {
            weir.logged("weir cannot go on").pop()
        })
        .await;
        let end = format!("the task {task} failed: the listening socket was shut down");
        assert!(said.contains(&end), "{said}");
        let ended = weir.logged("a task ended");
        assert_eq!(ended.len(), 1, "only that one: {ended:?}");
        assert_eq!(weir.ended().await.code(), Some(1));
        std::fs::remove_file(&when).unwrap();
    }
}
