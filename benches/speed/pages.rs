//! Polls while pages of the console are open: no slower than without them.
//!
//! An open page follows plans, and is loaded again with each, as in a browser.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Client, Response};
use tokio::task::JoinSet;

use crate::cycle::Told;
use crate::fleet::Fleet;
use crate::process::{WeirProcess, eventually};
use crate::table::{Row, thousands};
use crate::{DEADLINE, median, wrk};

/// A hundred operations each.
const SERVICES: usize = 1_000;

const ROUNDS: usize = 3;

/// A plan comes every ten seconds, so each run sees one.
const SECONDS: u32 = 10;

/// What is open: each of these, this many times.
const PATHS: [&str; 5] = [
    "/",
    "/console/services",
    "/console/services/service-77",
    "/console/changes",
    "/console/fleet",
];
const EACH: usize = 4;

pub async fn run() {
    let client = Client::new();
    let directory = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::new(SERVICES);
    let weir = WeirProcess::command()
        .flag("--data-dir", directory.path())
        .flag("--interval", fleet.interval_text())
        .start()
        .await;
    let mut told = Told::default();
    while told.operations < fleet.operations() as f64 {
        told = Told::next(&weir, &client, &mut fleet, &told).await;
    }
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let open_first = round % 2 == 1;
        let mut arms = [None, None];
        for open in [open_first, !open_first] {
            told = Told::next(&weir, &client, &mut fleet, &told).await;
            let pages = open.then(|| Pages::open(weir.admin_url()));
            if let Some(pages) = &pages {
                pages.loaded(PATHS.len() * EACH).await;
            }
            fleet.report(&client, weir.sdk_url()).await;
            let url = weir.sdk_url().to_owned();
            let polling = tokio::task::spawn_blocking(move || Arm::measure(&url));
            let mut arm = polling.await.unwrap();
            arm.pages = pages.map_or(0, Pages::close);
            arms[usize::from(open)] = Some(arm);
        }
        rounds.push(arms.map(|arm| arm.unwrap()));
    }
    assert!(weir.terminate().await.success());
    print(&rounds);
}

/// Polls over many connections, for the rate, and over few, for the latency.
struct Arm {
    many: wrk::Load,
    few: wrk::Load,
    /// How often pages were loaded meanwhile.
    pages: usize,
}

impl Arm {
    fn measure(url: &str) -> Self {
        Self {
            many: wrk::poll(url, SERVICES, SECONDS),
            few: wrk::poll_few(url, SERVICES, SECONDS),
            pages: 0,
        }
    }
}

fn print(rounds: &[[Arm; 2]]) {
    let of = |figure: &dyn Fn(&[Arm; 2]) -> f64| median(rounds.iter().map(figure).collect());
    let loaded = of(&|[_, open]| open.pages as f64);
    let what = format!(
        "polls of {SERVICES} services in turn, {} pages open that are loaded with each plan",
        PATHS.len() * EACH
    );
    let rate = |at: usize| of(&|arms| arms[at].many.requests_per_second);
    let ratio =
        of(&|[closed, open]| open.many.requests_per_second / closed.many.requests_per_second);
    let tail = |at: usize| of(&|arms| arms[at].few.p99_milliseconds);
    let tails = of(&|[closed, open]| open.few.p99_milliseconds / closed.few.p99_milliseconds);
    Row::new(what, thousands(rate(1)) + "/s", "≥ 0.95")
        .beside(thousands(rate(0)) + "/s with none open", ratio)
        .print();
    Row::new(
        "— p99 over 4 connections",
        format!("{:.3} ms", tail(1)),
        "≤ 1.50",
    )
    .beside(format!("{:.3} ms", tail(0)), tails)
    .print();
    Row::new("— loaded meanwhile", format!("{loaded:.0} pages"), "").print();
}

/// Pages that are open.
struct Pages {
    tasks: JoinSet<()>,
    loaded: Arc<AtomicUsize>,
}

impl Pages {
    fn open(admin: &str) -> Self {
        let loaded = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for path in PATHS.iter().cycle().take(PATHS.len() * EACH) {
            tasks.spawn(follow(
                admin.to_owned(),
                format!("{admin}{path}"),
                Arc::clone(&loaded),
            ));
        }
        Self { tasks, loaded }
    }

    /// Waits until this number of pages has been loaded.
    async fn loaded(&self, pages: usize) {
        eventually(DEADLINE, "all pages are open", async || {
            (self.loaded.load(Ordering::Relaxed) >= pages).then_some(())
        })
        .await;
    }

    /// Closes them, and says how often they were loaded after they had been opened.
    fn close(self) -> usize {
        let loaded = self.loaded.load(Ordering::Relaxed);
        drop(self.tasks);
        loaded.saturating_sub(PATHS.len() * EACH)
    }
}

/// One page: it asks for plans, and is loaded with each. A stream that ends is asked for again.
async fn follow(admin: String, page: String, loaded: Arc<AtomicUsize>) {
    let client = Client::new();
    loop {
        let mut plans = get(&client, &format!("{admin}/console/live")).await;
        while let Some(event) = plans.chunk().await.unwrap() {
            if event.starts_with(b"event") || event.starts_with(b"retry") {
                get(&client, &page).await.bytes().await.unwrap();
                loaded.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

async fn get(client: &Client, url: &str) -> Response {
    let get = client.get(url).header("Accept", "text/html");
    let answer = get.send().await.unwrap();
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer
}
