//! One budget over a head-governed and a tail-governed service, with a real `weir edge` in front of the latter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{DEADLINE, configure};
use crate::edge::{Edge, root};
use crate::support::app::{Agent, TestApp, config};
use crate::support::process::eventually;

/// The budget, in traces per second. Errors of a service may take 5 % of it.
const BUDGET: f64 = 400.0;

/// The cap of tagged requests, in traces per second.
const TAGGED: f64 = 20.0;

/// How often traffic comes.
const STEP: Duration = Duration::from_millis(100);

/// What comes in a second.
#[derive(Default)]
struct Rates {
    rest: AtomicU64,
    error: AtomicU64,
    tagged: AtomicU64,
}

/// A backend that takes everything.
fn backend(stop: &CancellationToken) -> String {
    let server = HttpServer::new(|| {
        let take = |body: web::Bytes| async move {
            drop(body);
            HttpResponse::Ok()
                .content_type("application/json")
                .body("{}")
        };
        App::new()
            .app_data(web::PayloadConfig::new(64 << 20))
            .default_service(web::to(take))
    });
    let server = server.workers(1).bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let (handle, stop) = (server.handle(), stop.clone());
    tokio::spawn(server);
    tokio::spawn(async move {
        stop.cancelled().await;
        handle.stop(false).await;
    });
    format!("http://{address}")
}

fn trace(number: u64, kind: &str) -> Value {
    let mut span = root(number, kind == "error");
    span["name"] = json!(format!("GET /{}", number % 3));
    if kind == "tagged" {
        span["attributes"] = json!([{"key": "test.actor", "value": {"stringValue": "ann"}}]);
    }
    span
}

/// Sends the traces of `shop` to the edge until told to stop.
async fn send(edge: Arc<Edge>, rates: Arc<Rates>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(STEP);
    let (mut number, mut owed) = (0_u64, [0_u64; 3]);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let mut spans = Vec::new();
        let kinds = [
            ("rest", &rates.rest),
            ("error", &rates.error),
            ("tagged", &rates.tagged),
        ];
        for ((kind, rate), owed) in kinds.into_iter().zip(&mut owed) {
            *owed += rate.load(Ordering::Relaxed) * STEP.as_millis() as u64;
            for _ in 0..*owed / 1000 {
                number += 1;
                spans.push(trace(number, kind));
            }
            *owed %= 1000;
        }
        assert_eq!(edge.send("shop", spans).await, 200);
    }
}

/// Reports the requests of `web`, of which its SDKs keep what they are served, without chance.
async fn report(app: Arc<TestApp>, kept: Arc<AtomicU64>, stop: CancellationToken) {
    let mut agent = Agent::every("web-agent", 0.5);
    let mut ticks = tokio::time::interval(STEP);
    let mut fraction = 0.0;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let Some(mut report) = agent.next(&[("web", &[("GET /", 2000.0)])]) else {
            continue;
        };
        let body = app.poll("web").await;
        let listed = body["operationSampling"]["perOperationStrategies"].as_array();
        let own = listed.and_then(|all| all.iter().find(|of| of["operation"] == "GET /"));
        let served = &own.unwrap_or(&body)["probabilisticSampling"]["samplingRate"];
        let operation = &mut report["services"][0]["operations"][0];
        let offered = operation["offered"].as_f64().unwrap();
        let wanted = offered * served.as_f64().unwrap() + fraction;
        fraction = wanted.fract();
        operation["sampled"] = json!(wanted as u64);
        kept.fetch_add(wanted as u64, Ordering::Relaxed);
        let (status, answer) = app.report(&report).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// What was kept: by the edge, of its errors and tagged requests, and of `web`.
#[derive(Debug, Clone, Copy)]
struct Kept {
    at: Instant,
    edge: f64,
    error: f64,
    tagged: f64,
    tagged_offered: f64,
    web: f64,
}

impl Kept {
    async fn now(edge: &Edge, web: &AtomicU64) -> Self {
        let of = async |part: &str| edge.metric("weir_edge_traces_total", part).await;
        Self {
            at: Instant::now(),
            edge: of("decision=\"kept\"").await,
            error: of("class=\"error\",decision=\"kept\"").await,
            tagged: of("class=\"tagged\",decision=\"kept\"").await,
            tagged_offered: of("class=\"tagged\"").await,
            web: web.load(Ordering::Relaxed) as f64,
        }
    }

    /// What was kept since, in traces per second.
    fn since(&self, before: &Self) -> Self {
        let seconds = (self.at - before.at).as_secs_f64();
        let rate = |now: f64, before: f64| (now - before) / seconds;
        Self {
            at: self.at,
            edge: rate(self.edge, before.edge),
            error: rate(self.error, before.error),
            tagged: rate(self.tagged, before.tagged),
            tagged_offered: rate(self.tagged_offered, before.tagged_offered),
            web: rate(self.web, before.web),
        }
    }

    fn total(&self) -> f64 {
        self.edge + self.web
    }
}

/// Waits for some plans, and returns what was kept meanwhile.
async fn over(app: &TestApp, edge: &Edge, web: &AtomicU64, plans: u64) -> Kept {
    let number = async || app.plan().await.and_then(|plan| plan["plan"].as_u64());
    let from = number().await.unwrap_or_default();
    let before = Kept::now(edge, web).await;
    eventually(Duration::from_secs(90), "some plans", async || {
        number().await.filter(|now| *now >= from + plans)
    })
    .await;
    Kept::now(edge, web).await.since(&before)
}

fn document() -> Value {
    json!({
        "budget": {"traces_per_second": BUDGET},
        "services": {"shop": {"governed": "tail"}},
        "rules": {"actors": {"service": "shop", "attributes": {"test.actor": "*"},
            "set": {"cap_traces_per_second": TAGGED}, "owner": "ann", "reason": "a test",
            "expires": "never", "expect": "later"}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn head_tail_and_tagged_traces_share_one_budget_and_a_storm_of_errors_is_held() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_str().unwrap();
    let flags = ["--data-dir", place, "--interval", "2s"];
    let app = Arc::new(TestApp::start_with(config(&flags)).await);
    let (status, written) = configure(&app, document()).await;
    assert_eq!(status, 200, "{written}");
    let stop = CancellationToken::new();
    let backend = backend(&stop);
    let flags = [
        "--weir",
        &app.sdk,
        "--backend",
        &backend,
        "--name",
        "edge-1",
    ];
    let edge = Arc::new(Edge::start(&flags));
    let (rates, web) = (Arc::new(Rates::default()), Arc::new(AtomicU64::new(0)));
    rates.rest.store(1000, Ordering::Relaxed);
    rates.error.store(3, Ordering::Relaxed);
    rates.tagged.store(5, Ordering::Relaxed);
    let sending = tokio::spawn(send(Arc::clone(&edge), Arc::clone(&rates), stop.clone()));
    let reporting = tokio::spawn(report(Arc::clone(&app), Arc::clone(&web), stop.clone()));
    eventually(DEADLINE, "the edge decides", async || {
        let (_, shop) = app.admin_get("/v1/services/shop").await;
        (shop["tail"] == "in_effect").then_some(())
    })
    .await;
    // Five intervals later the budget is kept, all that failed is, and all that is tagged.
    over(&app, &edge, &web, 5).await;
    let calm = over(&app, &edge, &web, 6).await;
    let off = calm.total() / BUDGET - 1.0;
    assert!(off.abs() <= 0.05, "{calm:?}");
    assert!(calm.error > 2.5, "{calm:?}");
    assert!(calm.tagged >= 0.99 * calm.tagged_offered, "{calm:?}");
    // An error storm: ×100 in one service. Its cap is 5 % of the budget, also before the next plan.
    rates.error.store(300, Ordering::Relaxed);
    let storm = over(&app, &edge, &web, 6).await;
    let cap = 0.05 * BUDGET;
    assert!(storm.total() <= 1.05 * BUDGET, "{storm:?} after {calm:?}");
    assert!(storm.error <= 1.5 * cap, "{storm:?}");
    // What the errors and tagged requests leave is due to the other four operations, evenly.
    let due = (BUDGET - cap - calm.tagged) / 4.0;
    assert!(storm.web >= 0.93 * due, "{storm:?} after {calm:?}");
    let held = over(&app, &edge, &web, 4).await;
    assert!(held.error <= 1.15 * cap, "{held:?}");
    assert!(held.total() <= 1.05 * BUDGET, "{held:?}");
    // A tag that leaked: no more than its cap.
    rates.error.store(3, Ordering::Relaxed);
    rates.tagged.store(200, Ordering::Relaxed);
    over(&app, &edge, &web, 2).await;
    let leaked = over(&app, &edge, &web, 4).await;
    assert!(leaked.tagged <= 1.3 * TAGGED, "{leaked:?}");
    assert!(leaked.total() <= 1.08 * BUDGET, "{leaked:?}");
    stop.cancel();
    sending.await.unwrap();
    reporting.await.unwrap();
    drop(edge);
    let app = Arc::into_inner(app).expect("nobody else has it");
    app.stop().await;
}
