//! Generated courses of events, played against the real parts of Weir in virtual time.
//!
//! A course is a list of [`Op`]s: traffic changes, reports are lost, late or repeated, replicas are
//! cut off, frozen or restarted, clocks are set, the database goes away. The [`World`] plays it:
//! two or three replicas share a real SQLite file. Each is wired like the process, and its jobs are
//! run by hand. A course that breaks a promise is printed as source code; after the fix it stays in
//! [`reproductions`].
//!
//! `PROPTEST_CASES=2000` plays that many.

mod checks;
pub mod database;
mod ending;
pub mod faults;
mod fleet;
mod ledger;
pub mod link;
pub mod operations;
mod replica;
mod reproductions;
mod sending;
mod time;
mod world;

use std::time::Duration;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use operations::{Op, any_course};
use world::World;

/// Nothing, or the broken promise.
type Outcome = Result<(), String>;

macro_rules! ensure {
    ($holds:expr, $($said:tt)*) => {
        let holds: bool = $holds;
        if !holds {
            return Err(format!($($said)*));
        }
    };
}
use ensure;

/// The number of courses by default.
const CASES: u32 = 16;

/// A course that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(120);

fn play(replicas: usize, course: &[Op]) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let played = tokio::time::timeout(DEADLINE, played(replicas, course)).await;
        played.unwrap_or_else(|_| Err("it hangs".into()))
    })
}

async fn played(replicas: usize, course: &[Op]) -> Outcome {
    let mut world = World::begin(replicas).await;
    for (place, op) in course.iter().enumerate() {
        let played = world.play(op).await;
        played.map_err(|broken| format!("after {} of them, {op:?}: {broken}", place + 1))?;
    }
    let finished = world.finish().await;
    finished.map_err(|broken| format!("when all was over: {broken}"))
}

#[test]
fn whatever_happens_the_promises_hold() {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&any_course(), |(replicas, course)| {
        play(replicas, &course).map_err(|broken| {
            TestCaseError::fail(format!("{broken}\nplay({replicas}, &{course:?})"))
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
