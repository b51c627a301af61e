//! A Weir with traffic, and who looks at its pages.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution};
use serde_json::Value;
use tempfile::TempDir;

use super::Page;
use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;

pub const DEADLINE: Duration = Duration::from_secs(60);

/// The budget of the fleet.
pub const BUDGET: f64 = 20.0;

/// A name that a page must show as it is.
pub const HOSTILE: &str = "<script>alert(1)</script>";

/// What the fleet offers.
pub const RATES: &[(&str, &[(&str, f64)])] = &[
    ("checkout", &[("GET /", 400.0), ("POST /cart", 40.0)]),
    ("search", &[("GET /search", 900.0)]),
    (HOSTILE, &[("\"><img src=x onerror=alert(1)>", 30.0)]),
];

/// What services offer: operations, and their requests per second.
pub type Rates = &'static [(&'static str, &'static [(&'static str, f64)])];

/// A fleet as one may have it, for pictures.
pub const SHOP: Rates = &[
    (
        "checkout",
        &[("GET /", 410.0), ("POST /cart", 46.0), ("POST /pay", 7.5)],
    ),
    (
        "search",
        &[("GET /search", 930.0), ("GET /suggest", 1650.0)],
    ),
    (
        "catalogue",
        &[("GET /items/{id}", 720.0), ("GET /prices", 240.0)],
    ),
    ("stock", &[("reserve", 44.0), ("sync", 0.4)]),
    ("payments", &[("POST /charge", 7.2), ("POST /refund", 0.2)]),
    ("mail", &[("send", 12.0)]),
    ("accounts", &[("POST /login", 31.0), ("GET /me", 360.0)]),
    ("reports", &[("nightly", 0.1)]),
];

pub struct World {
    pub app: TestApp,
    rates: Rates,
    _directory: TempDir,
}

impl World {
    /// A Weir whose plan knows the fleet, after its budget was changed.
    pub async fn start(flags: &[&str]) -> Self {
        Self::of(RATES, flags).await
    }

    /// The same of another fleet.
    pub async fn of(rates: Rates, flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let app = TestApp::start(directory.path(), flags).await;
        let put = app
            .client
            .put(format!("{}/v1/budget?reason=the+fleet+grew", app.admin));
        let put = put.header("If-Match", "*");
        let put = put.json(&serde_json::json!({ "traces_per_second": BUDGET }));
        assert_eq!(put.send().await.unwrap().status(), 200);
        let world = Self {
            app,
            rates,
            _directory: directory,
        };
        world.traffic().await;
        world
    }

    /// Lets the fleet go on until this is aborted.
    pub fn load(&self) -> tokio::task::JoinHandle<()> {
        let mut fleet = Fleet::of(self, "b");
        tokio::spawn(async move {
            loop {
                fleet.turn().await;
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        })
    }

    async fn traffic(&self) {
        let mut fleet = Fleet::of(self, "a");
        let operations: usize = self.rates.iter().map(|(_, all)| all.len()).sum();
        eventually(DEADLINE, "a plan of the fleet at its budget", async || {
            fleet.turn().await;
            let plan = self.app.plan().await?;
            let budget = plan["budget_traces_per_second"].as_f64()?;
            (plan["operations"] == operations && budget == BUDGET).then_some(())
        })
        .await;
    }

    /// A page that is in order.
    pub async fn page(&self, path: &str) -> Page {
        Visitor::of(&self.app.admin).page(path).await
    }

    pub async fn budget(&self) -> f64 {
        let (_, budget) = self.app.admin_get("/v1/budget").await;
        budget["traces_per_second"].as_f64().unwrap()
    }
}

/// A fleet whose SDKs poll, apply what they are served, and count what they saw.
struct Fleet {
    sdk: String,
    client: reqwest::Client,
    agent: Agent,
    rates: Rates,
    begun: Instant,
    random: StdRng,
    /// Requests that each operation has not offered yet: rates below one a second come to one at times.
    owed: HashMap<String, f64>,
}

impl Fleet {
    fn of(world: &World, agent: &str) -> Self {
        Self {
            sdk: world.app.sdk.clone(),
            client: world.app.client.clone(),
            agent: Agent::every(agent, 0.5),
            rates: world.rates,
            begun: Instant::now(),
            random: StdRng::seed_from_u64(7),
            owed: HashMap::new(),
        }
    }

    async fn turn(&mut self) {
        let Some(mut report) = self.agent.next(self.rates) else {
            return;
        };
        let tide = self.tide() * report["window_seconds"].as_f64().unwrap();
        let rates: HashMap<String, f64> = self
            .rates
            .iter()
            .flat_map(|(service, all)| {
                let of = move |(name, rate): &(&str, f64)| (format!("{service} {name}"), *rate);
                all.iter().map(of)
            })
            .collect();
        for service in report["services"].as_array_mut().unwrap() {
            let name = service["service"].as_str().unwrap().to_owned();
            let served = self.served(&name).await;
            for operation in service["operations"].as_array_mut().unwrap() {
                let of = operation["operation"].as_str().unwrap();
                let probability = of_operation(&served, of);
                let key = format!("{name} {of}");
                let owed = self.owed.entry(key.clone()).or_insert(0.5);
                *owed += rates[&key] * tide;
                let offered = owed.floor() as u64;
                *owed -= offered as f64;
                operation["offered"] = offered.into();
                let sampled = Binomial::new(offered, probability)
                    .unwrap()
                    .sample(&mut self.random);
                operation["sampled"] = sampled.into();
            }
        }
        let post = self
            .client
            .post(format!("{}/v1/reports", self.sdk))
            .json(&report);
        assert_eq!(post.send().await.unwrap().status(), 200);
    }

    /// Traffic that comes and goes, by a third and over some minutes.
    fn tide(&self) -> f64 {
        let minutes = self.begun.elapsed().as_secs_f64() / 60.0;
        1.0 + 0.3 * (minutes * 2.1).sin()
    }

    async fn served(&self, service: &str) -> Value {
        let name: String = form_urlencoded::byte_serialize(service.as_bytes()).collect();
        let get = self
            .client
            .get(format!("{}/sampling?service={name}", self.sdk));
        get.send().await.unwrap().json().await.unwrap()
    }
}

/// The probability of an operation in what is served.
fn of_operation(served: &Value, operation: &str) -> f64 {
    let all = &served["operationSampling"];
    let listed = all["perOperationStrategies"]
        .as_array()
        .into_iter()
        .flatten();
    let mut found = listed.filter(|of| of["operation"] == operation);
    let rate = found
        .next()
        .map(|of| &of["probabilisticSampling"]["samplingRate"]);
    rate.unwrap_or(&all["defaultSamplingProbability"])
        .as_f64()
        .unwrap_or(0.001)
}

/// Somebody with a browser without JavaScript.
pub struct Visitor {
    client: reqwest::Client,
    pub origin: String,
    pub cookie: Option<String>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub location: String,
    headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn page(&self) -> Page {
        let page = Page::parse(&self.text);
        page.check();
        page
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

impl Visitor {
    pub fn of(origin: &str) -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        Self {
            client: client.build().unwrap(),
            origin: origin.to_owned(),
            cookie: None,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        let get = self.client.get(format!("{}{path}", self.origin));
        self.send(get.header("Sec-Fetch-Site", "same-origin")).await
    }

    /// A page that is in order.
    pub async fn page(&self, path: &str) -> Page {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.page()
    }

    /// Sends the form of a page with what stands in it, and with these values.
    pub async fn post(&self, page: &Page, form: &str, values: &[(&str, &str)]) -> Answer {
        let action = page.one(form).attribute("action").to_owned();
        let mut sent = form_urlencoded::Serializer::new(String::new());
        for input in page.all(&format!("{form} input")) {
            let name = input.attribute("name");
            if !values.iter().any(|(of, _)| *of == name) {
                sent.append_pair(name, input.attribute("value"));
            }
        }
        for select in page.all(&format!("{form} option[selected=]")) {
            if select.attributes.contains_key("selected") {
                sent.append_pair("unit", select.attribute("value"));
            }
        }
        sent.extend_pairs(values);
        let post = self.client.post(format!("{}{action}", self.origin));
        let post = post.header("Content-Type", "application/x-www-form-urlencoded");
        let post = post.header("Origin", &self.origin).body(sent.finish());
        self.send(post).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.header("Accept", "text/html,application/xhtml+xml");
        let request = match &self.cookie {
            Some(cookie) => request.header("Cookie", cookie),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let headers = answer.headers().clone();
        let location = headers.get("location");
        Answer {
            status: answer.status().as_u16(),
            location: location.map_or("", |to| to.to_str().unwrap()).to_owned(),
            headers,
            text: answer.text().await.unwrap(),
        }
    }
}
