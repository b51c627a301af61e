//! A Weir with traffic, and who looks at its pages.

use std::time::Duration;

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

pub struct World {
    pub app: TestApp,
    _directory: TempDir,
}

impl World {
    /// A Weir whose plan knows the fleet, after its budget was changed.
    pub async fn start(flags: &[&str]) -> Self {
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
            _directory: directory,
        };
        world.traffic().await;
        world
    }

    /// Lets the fleet go on until this is aborted.
    pub fn load(&self) -> tokio::task::JoinHandle<()> {
        let mut fleet = Fleet::of(&self.app, "b");
        tokio::spawn(async move {
            loop {
                fleet.turn().await;
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        })
    }

    async fn traffic(&self) {
        let mut fleet = Fleet::of(&self.app, "a");
        eventually(DEADLINE, "a plan of the fleet at its budget", async || {
            fleet.turn().await;
            let plan = self.app.plan().await?;
            let budget = plan["budget_traces_per_second"].as_f64()?;
            (plan["operations"] == 4 && budget == BUDGET).then_some(())
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
    random: StdRng,
}

impl Fleet {
    fn of(app: &TestApp, agent: &str) -> Self {
        Self {
            sdk: app.sdk.clone(),
            client: app.client.clone(),
            agent: Agent::every(agent, 0.5),
            random: StdRng::seed_from_u64(7),
        }
    }

    async fn turn(&mut self) {
        let Some(mut report) = self.agent.next(RATES) else {
            return;
        };
        for service in report["services"].as_array_mut().unwrap() {
            let name = service["service"].as_str().unwrap().to_owned();
            let served = self.served(&name).await;
            for operation in service["operations"].as_array_mut().unwrap() {
                let probability = of_operation(&served, operation["operation"].as_str().unwrap());
                let offered = operation["offered"].as_u64().unwrap();
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
