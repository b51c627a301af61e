//! A small server that speaks Weir's protocol from memory, and breaks on purpose.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;
use weir::simulate::Reference;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    None,
    /// Some requests are answered 503, some reports are taken but the answer breaks off.
    Flaky,
    /// Budgets are set, but the answer says that the server is away.
    LostBudgets,
    /// Strategies have a field that strict clients refuse.
    UnknownField,
}

type Key = (String, String);

/// What the server knows.
pub struct State {
    interval: Duration,
    faults: Faults,
    requests: u64,
    seen: HashMap<(String, uuid::Uuid), (u64, DateTime<Utc>)>,
    windows: BTreeMap<i64, BTreeMap<Key, u64>>,
    /// Offered and sampled, over everything counted.
    pub totals: BTreeMap<Key, (u64, u64)>,
    /// Reports that came again.
    pub duplicates: u64,
    /// Requests answered 503.
    pub refused: u64,
    /// Reports that did not begin where the agent's last one ended.
    pub gaps: Vec<String>,
    /// Every budget that was set.
    pub budgets: Vec<f64>,
    budget: f64,
    revision: u64,
    /// The number of the current plan; 0 is none.
    pub plans: u64,
}

impl State {
    pub fn set_budget(&mut self, budget: f64) {
        self.budget = budget;
        self.revision += 1;
        self.budgets.push(budget);
    }

    /// Whether this request is one to turn away.
    fn refuses(&mut self, one_in: u64) -> bool {
        self.requests += 1;
        let refuses = self.faults == Faults::Flaky && self.requests.is_multiple_of(one_in);
        self.refused += u64::from(refuses);
        refuses
    }

    fn count(&mut self, report: Report) -> &'static str {
        let end = report.window_start
            + TimeDelta::milliseconds((report.window_seconds * 1000.0).round() as i64);
        let key = (report.agent, report.epoch);
        if let Some((sequence, until)) = self.seen.get(&key) {
            if report.sequence <= *sequence {
                self.duplicates += 1;
                return "duplicate";
            }
            if report.sequence != sequence + 1 || report.window_start != *until {
                self.gaps.push(format!(
                    "{key:?} {} {}",
                    report.sequence, report.window_start
                ));
            }
        }
        self.seen.insert(key, (report.sequence, end));
        let middle = (report.window_start.timestamp_millis() + end.timestamp_millis()) / 2;
        let window = self
            .windows
            .entry(middle / self.interval.as_millis() as i64)
            .or_default();
        for service in report.services {
            for counts in service.operations {
                assert!(counts.sampled <= counts.offered && counts.offered > 0);
                let key = (service.service.clone(), counts.operation);
                *window.entry(key.clone()).or_default() += counts.offered;
                let total = self.totals.entry(key).or_default();
                *total = (total.0 + counts.offered, total.1 + counts.sampled);
            }
        }
        "counted"
    }

    /// The probabilities that share the budget over the last window but the one that is filling.
    fn strategy(&self, service: &str) -> serde_json::Value {
        let closed = self.windows.values().rev().nth(1);
        let counts: Vec<(&Key, u64)> = closed.into_iter().flatten().map(|(k, c)| (k, *c)).collect();
        let mut reference = Reference::new(counts.len(), self.budget, 0.001);
        let offered: Vec<u64> = counts.iter().map(|(_, count)| *count).collect();
        let plan = reference.close_interval(&offered, self.interval.as_secs_f64());
        let operations: Vec<_> = counts
            .iter()
            .zip(&plan.probabilities)
            .filter(|((key, _), _)| key.0 == service)
            .map(|((key, _), probability)| {
                json!({"operation": key.1, "probabilisticSampling": {"samplingRate": probability}})
            })
            .collect();
        let mut body = json!({
            "strategyType": "PROBABILISTIC",
            "probabilisticSampling": {"samplingRate": 0.001},
            "operationSampling": {
                "defaultSamplingProbability": 0.001,
                "defaultLowerBoundTracesPerSecond": 0.0,
                "perOperationStrategies": operations,
                "defaultUpperBoundTracesPerSecond": 0.0,
            },
        });
        if self.faults == Faults::UnknownField {
            body["plan"] = 7.into();
        }
        body
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    agent: String,
    epoch: uuid::Uuid,
    sequence: u64,
    window_start: DateTime<Utc>,
    window_seconds: f64,
    services: Vec<Service>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    service: String,
    #[serde(rename = "instances")]
    _instances: std::num::NonZeroU32,
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    operation: String,
    offered: u64,
    sampled: u64,
}

type Shared = web::Data<Mutex<State>>;

/// The server, until it is dropped.
pub struct FakeWeir {
    /// Where both listeners are.
    pub url: String,
    state: Shared,
    handle: Option<ServerHandle>,
}

impl FakeWeir {
    pub async fn start(interval: Duration, faults: Faults) -> Self {
        let state = new_state(interval, faults);
        let shared = state.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::JsonConfig::default().limit(4 << 20))
                .route("/sampling", web::get().to(sampling))
                .route("/v1/reports", web::post().to(reports))
                .route("/v1/budget", web::get().to(get_budget))
                .route("/v1/budget", web::put().to(put_budget))
                .route("/v1/plans/current", web::get().to(current_plan))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = Some(server.handle());
        tokio::spawn(server);
        Self { url, state, handle }
    }

    /// No server at all, at this address.
    pub fn nowhere(url: String) -> Self {
        Self {
            url,
            state: new_state(Duration::ZERO, Faults::None),
            handle: None,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits until something is so.
    pub async fn until(&self, so: impl Fn(&State) -> bool) {
        let waiting = async {
            let mut look = tokio::time::interval(Duration::from_millis(5));
            while !so(&self.state()) {
                look.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting)
            .await
            .expect("it never was");
    }
}

impl Drop for FakeWeir {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            // Begins to stop at once; the future only waits for the end.
            drop(handle.stop(false));
        }
    }
}

fn new_state(interval: Duration, faults: Faults) -> Shared {
    web::Data::from(Arc::new(Mutex::new(State {
        interval,
        faults,
        requests: 0,
        seen: HashMap::new(),
        windows: BTreeMap::new(),
        totals: BTreeMap::new(),
        duplicates: 0,
        refused: 0,
        gaps: Vec::new(),
        budgets: Vec::new(),
        budget: 7.5,
        revision: 3,
        plans: 0,
    })))
}

async fn sampling(state: Shared, query: web::Query<HashMap<String, String>>) -> HttpResponse {
    let mut state = state.lock().unwrap();
    // The first poll finds out whether the server is there at all.
    if state.requests > 0 && state.refuses(11) {
        return HttpResponse::ServiceUnavailable().finish();
    }
    state.requests += 1;
    HttpResponse::Ok().json(state.strategy(&query["service"]))
}

async fn reports(state: Shared, report: web::Json<Report>) -> HttpResponse {
    let mut state = state.lock().unwrap();
    if state.refuses(5) {
        return HttpResponse::ServiceUnavailable()
            .insert_header(("Retry-After", "0"))
            .json(json!({"type": "about:blank", "title": "away", "status": 503}));
    }
    let breaks_off = state.faults == Faults::Flaky && state.requests.is_multiple_of(3);
    let result = state.count(report.into_inner());
    if breaks_off {
        let error = std::io::Error::other("the wire was cut");
        let body = futures_util::stream::iter([Ok(web::Bytes::from_static(b"{")), Err(error)]);
        return HttpResponse::Ok().streaming(body);
    }
    HttpResponse::Ok().json(json!({"result": result}))
}

fn budget(state: &State) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("ETag", format!("\"{}\"", state.revision)))
        .json(json!({"traces_per_second": state.budget, "revision": state.revision}))
}

async fn get_budget(state: Shared) -> HttpResponse {
    budget(&state.lock().unwrap())
}

async fn put_budget(
    state: Shared,
    request: HttpRequest,
    body: web::Json<serde_json::Value>,
) -> HttpResponse {
    let mut state = state.lock().unwrap();
    let Some(tag) = request.headers().get("If-Match") else {
        return HttpResponse::PreconditionRequired().finish();
    };
    if tag.to_str().unwrap() != format!("\"{}\"", state.revision) {
        return HttpResponse::PreconditionFailed().finish();
    }
    state.set_budget(body["traces_per_second"].as_f64().unwrap());
    if state.faults == Faults::LostBudgets {
        return HttpResponse::ServiceUnavailable().finish();
    }
    budget(&state)
}

async fn current_plan(state: Shared) -> HttpResponse {
    let state = state.lock().unwrap();
    if state.plans == 0 {
        return HttpResponse::NotFound().finish();
    }
    let start: DateTime<Utc> = "2026-11-20T09:00:00Z".parse().unwrap();
    HttpResponse::Ok().json(json!({
        "plan": state.plans,
        "window": {"start": start, "end": start + state.interval},
        "stale": false,
    }))
}
