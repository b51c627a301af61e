//! The console in a browser: every screen's main action, at two widths, in light and dark, with axe. The test has each
//! width and each light once, `make console` all four pairs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use weir::clock::{Clock, SystemClock};

use super::world::{RATES, SHOP, World};
use crate::support::process::eventually;

/// How long it may take.
const DEADLINE: Duration = Duration::from_secs(180);

/// How much history pictures show, and how long that may take.
const HISTORY: TimeDelta = TimeDelta::minutes(8);
const HISTORY_DEADLINE: Duration = Duration::from_secs(600);

async fn drive(pictures: Option<&Path>) {
    let rates = match pictures {
        Some(_) => SHOP,
        None => RATES,
    };
    let world = World::of(rates, &[]).await;
    let load = world.load();
    if pictures.is_some() {
        eventually(HISTORY_DEADLINE, "there is something to draw", async || {
            let (_, history) = world.app.admin_get("/v1/history").await;
            let mut points = history["points"].as_array()?.iter();
            let first = points.find(|of| !of["budget_traces_per_second"].is_null())?;
            let first: DateTime<Utc> = first["start"].as_str()?.parse().ok()?;
            (SystemClock.now() - first >= HISTORY).then_some(())
        })
        .await;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/console/drive.js");
    let mut node = Command::new("node");
    node.arg(script).arg(&world.app.admin).args(pictures);
    let driven = tokio::task::spawn_blocking(move || node.output());
    let driven = tokio::time::timeout(DEADLINE, driven).await;
    let driven = driven.expect("it ends in time").unwrap();
    let driven = driven.expect("node runs: `make setup` installs what it needs");
    let said = String::from_utf8_lossy(&driven.stderr);
    assert!(driven.status.success(), "{said}");
    load.abort();
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_screen_does_what_it_is_for() {
    drive(None).await;
}

/// The folder of the documentation.
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");

/// The pictures that docs/console.md shows, by the files' names.
fn shown() -> Vec<String> {
    let text = std::fs::read_to_string(format!("{DOCS}/console.md")).unwrap();
    let links = text.split("(img/console/").skip(1);
    links
        .map(|rest| rest.split(')').next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_pictures_that_are_shown_are_there() {
    let shown = shown();
    assert!(!shown.is_empty());
    for name in shown {
        let picture = std::fs::read(format!("{DOCS}/img/console/{name}")).expect(&name);
        assert!(picture.starts_with(b"\x89PNG"), "{name}");
    }
}

/// `make console` writes all pictures into target/console, and those that docs/console.md shows into docs/img/console.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes pictures"]
async fn pictures() {
    let all = concat!(env!("CARGO_MANIFEST_DIR"), "/target/console");
    drive(Some(Path::new(all))).await;
    std::fs::create_dir_all(format!("{DOCS}/img/console")).unwrap();
    for name in shown() {
        let to = format!("{DOCS}/img/console/{name}");
        std::fs::copy(format!("{all}/{name}"), to).expect(&name);
    }
}
