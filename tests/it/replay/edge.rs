//! `weir demo --edge`.

use std::process::{Command, Output};

fn demo(flags: &[&str]) -> (Output, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["demo", "--edge"])
        .args(flags)
        .env("NO_COLOR", "1")
        // Another edge's: the demonstration has settings of its own.
        .env("WEIR_EDGE_TRACE_TIMEOUT", "never")
        .output()
        .unwrap();
    let said = [&ended.stdout[..], &ended.stderr[..]].concat();
    (ended, String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn an_edge_is_demonstrated_with_a_verdict_that_names_what_was_kept() {
    let (ended, said) = demo(&["--seconds=15", "--interval=1s"]);
    // On a busy machine it may miss a promise, but it is played to its end.
    assert!(matches!(ended.status.code(), Some(0 | 1)), "{said}");
    for part in [
        "errors come 100 times as often",
        "tagged: test.actor is there",
        "the budget is 50",
        "their cap is 2.5",
        "The edge",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}

#[test]
fn a_demonstration_that_cannot_be_judged_is_refused() {
    let (ended, said) = demo(&["--seconds=9", "--interval=1s"]);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--seconds 9: must be 15 intervals of 1s at least"),
        "{said}"
    );
    let (ended, said) = demo(&["--budget=5000"]);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--budget 5000: must be between 20 and 500 with --edge"),
        "{said}"
    );
    let (ended, said) = demo(&["--plot=x.svg"]);
    assert_eq!(ended.status.code(), Some(2), "{said}");
}
