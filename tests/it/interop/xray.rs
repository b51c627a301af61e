//! Published samplers of X-Ray's protocol follow a running Weir, and tell it exactly what they were
//! asked about.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use weir::allocation::OVERFLOW_NAME;
use weir::store::sqlite::SqliteStore;

use super::decisions::{DECISIONS, SERVICE, Sampled, assert_within_error, sampled_by};
use super::programs::{Program, built, command, source};
use crate::support::agents::Totals;
use crate::support::client::{Client, http_client};
use crate::support::process::{WeirProcess, eventually};
use crate::support::scrape::Scrape;
use crate::support::stored::stored_totals;

/// Samplers tell what they counted, and ask for rates, every ten seconds.
const DEADLINE: Duration = Duration::from_secs(90);

const BUSY: &str = "GET";
const QUIET: &str = "POST";
/// A method that has no rule of its own.
const OTHER: &str = "PROPFIND";

/// A request of a test actor, as the programs write it, and the operation that a rule counts it under.
const TAGGED: &str = "GET?test.actor=ada";
const TAGGED_OPERATION: &str = "tagged=actors";

/// More traces a second than a client decides about, and far fewer.
const WIDE_CAP: f64 = 1e6;
const NARROW_CAP: f64 = 50.0;

/// Traces a second: more than both rates keep.
const BUDGET: f64 = 1e6;

/// What the operators set for the busy and the quiet method: exact rates, whatever comes.
const FIRST: [f64; 2] = [0.02, 0.2];
const SECOND: [f64; 2] = [0.1, 0.5];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn javascript_sampler_follows_and_counts_every_request() {
    let mut node = command("node");
    node.arg(built("xray-javascript/decide.js"));
    follows_and_counts_every_request(node).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn python_sampler_follows_and_counts_every_request() {
    let mut python = command(built("xray-python/bin/python"));
    python.arg(source("tests/interop/xray-python/decide.py"));
    follows_and_counts_every_request(python).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn javascript_sampler_keeps_tagged_requests_whole() {
    let mut node = command("node");
    node.arg(built("xray-javascript/decide.js"));
    keeps_tagged_requests_whole(node).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn python_sampler_keeps_tagged_requests_whole() {
    let mut python = command(built("xray-python/bin/python"));
    python.arg(source("tests/interop/xray-python/decide.py"));
    keeps_tagged_requests_whole(python).await;
}

async fn started(folder: &TempDir) -> WeirProcess {
    WeirProcess::command()
        .flag("--data-dir", folder.path())
        .flag("--interval", "1s")
        .flag("--grace", "500ms")
        .flag("--xray-listen", "127.0.0.1:0")
        .start()
        .await
}

async fn follows_and_counts_every_request(command: Command) {
    let folder = TempDir::new().unwrap();
    let weir = started(&folder).await;
    let mut sampler = Sampler::start(weir, command, &[BUSY, QUIET, OTHER]);
    sampler.follows(FIRST).await;
    sampler.follows(SECOND).await;
    sampler.is_counted(&folder).await;
}

async fn keeps_tagged_requests_whole(command: Command) {
    let folder = TempDir::new().unwrap();
    let weir = started(&folder).await;
    set_cap(&weir, WIDE_CAP).await;
    let rules = format!("{}/s/{SERVICE}/GetSamplingRules", weir.xray_url());
    eventually(DEADLINE, "the rule is given", async || {
        let answer = http_client().post(&rules).body("{}").send().await.ok()?;
        answer
            .text()
            .await
            .ok()?
            .contains(TAGGED_OPERATION)
            .then_some(())
    })
    .await;
    let mut sampler = Sampler::start(weir, command, &[BUSY, TAGGED]);
    eventually(DEADLINE, "it follows what was planned", async || {
        let sampled = sampler.decide().await;
        assert_eq!(sampled[TAGGED], DECISIONS, "all of them, from the first on");
        let strategy = sampler.client.strategy(SERVICE).await?;
        strategy.listed(TAGGED_OPERATION)?;
        (sampler.asked().await > 2.0).then_some(())
    })
    .await;
    set_cap(&sampler.weir, NARROW_CAP).await;
    eventually(DEADLINE, "it keeps to the cap", async || {
        (sampler.decide().await[TAGGED] < DECISIONS / 10).then_some(())
    })
    .await;
    sampler.is_counted(&folder).await;
}

/// Writes the rule for test actors with a cap.
async fn set_cap(weir: &WeirProcess, cap: f64) {
    let answer = http_client()
        .put(format!("{}/v1/configuration", weir.admin_url()))
        .header("If-Match", "*")
        .json(&json!({
            "budget": { "traces_per_second": BUDGET },
            "rules": { "actors": {
                "service": SERVICE, "attributes": { "test.actor": "*" },
                "set": { "cap_traces_per_second": cap },
                "owner": "ann", "reason": "a test", "expires": "never", "expect": "later",
            } },
        }))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
}

/// A sampler, and what it was asked about so far.
struct Sampler {
    weir: WeirProcess,
    client: Client,
    program: Program,
    told: Totals,
}

impl Sampler {
    fn start(weir: WeirProcess, mut command: Command, requests: &[&str]) -> Self {
        command
            .arg(format!("{}/s/{SERVICE}", weir.xray_url()))
            .args([SERVICE, &DECISIONS.to_string()])
            .args(requests);
        Self {
            program: Program::start(command),
            client: Client::of(&weir),
            weir,
            told: Totals::new(),
        }
    }

    /// Waits until every request that it was asked about is counted, once.
    async fn is_counted(&self, folder: &TempDir) {
        eventually(DEADLINE, "every request is counted", async || {
            let store = SqliteStore::open(&folder.path().join("weir.db")).await;
            let counted = stored_totals(&store.unwrap()).await;
            for (names, (offered, _)) in &counted {
                let (told, _) = self.told[names];
                assert!(*offered <= told, "{names:?}: {offered} counted of {told}");
            }
            (counted == self.told).then_some(())
        })
        .await;
    }

    /// Lets operators set two rates, and waits until decisions are taken with them.
    async fn follows(&mut self, rates: [f64; 2]) {
        self.set(rates).await;
        // The plan lists only what was counted.
        self.decide().await;
        eventually(DEADLINE, "the rates are served", async || {
            let strategy = self.client.strategy(SERVICE).await?;
            let served = [strategy.listed(BUSY)?, strategy.listed(QUIET)?];
            // HTTP sends single precision.
            let are_equal = |(served, set): (f64, f64)| (served - set).abs() < 1e-6;
            served.into_iter().zip(rates).all(are_equal).then_some(())
        })
        .await;
        let asked = self.asked().await;
        // The sampler for Python asks for rates only if it has counted something.
        self.decide().await;
        eventually(DEADLINE, "it asks for rates", async || {
            (self.asked().await > asked).then_some(())
        })
        .await;
        let most_of = 0.8 * rates[1] * DECISIONS as f64;
        eventually(DEADLINE, "it takes the new rates", async || {
            (self.decide().await[QUIET] as f64 > most_of).then_some(())
        })
        .await;
        let sampled = self.decide().await;
        for (method, rate) in [BUSY, QUIET].into_iter().zip(rates) {
            assert_within_error(method, rate, &sampled);
        }
    }

    /// Sets the rates of the two methods.
    async fn set(&self, rates: [f64; 2]) {
        let [busy, quiet] = rates.map(|rate| json!({ "probability": rate }));
        let operations = json!({ BUSY: busy, QUIET: quiet });
        let answer = http_client()
            .put(format!("{}/v1/configuration", self.weir.admin_url()))
            .header("If-Match", "*")
            .json(&json!({
                "budget": { "traces_per_second": BUDGET },
                "services": { SERVICE: { "operations": operations } },
            }))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    }

    /// How often it has asked for rates.
    async fn asked(&self) -> f64 {
        let scrape = Scrape::of_process(&self.weir).await.expect("an answer");
        scrape.value("weir_xray_calls_total{call=\"targets\",outcome=\"answered\"}")
    }

    /// Lets it decide, and remembers what it has to tell.
    async fn decide(&mut self) -> Sampled {
        let sampled = sampled_by(&mut self.program).await;
        for (method, sampled) in &sampled {
            let operation = match method.as_str() {
                OTHER => OVERFLOW_NAME,
                TAGGED => TAGGED_OPERATION,
                method => method,
            };
            let told = self.told.entry((SERVICE.to_owned(), operation.to_owned()));
            let (offered, kept) = told.or_default();
            *offered += DECISIONS;
            *kept += sampled;
        }
        sampled
    }
}
