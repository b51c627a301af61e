//! A Prometheus with the shipped rules that watches several Weirs, each as its own job.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::rules;
use crate::support::prometheus::{AlertState, Prometheus};

/// How long an alert may take to fire, and to clear: twice the durations of the slowest one, plus
/// room for a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// How often Prometheus is asked: about as often as it evaluates its rules.
const POLL: Duration = Duration::from_millis(250);

/// A running Prometheus.
pub struct World {
    prometheus: Prometheus,
    directory: TempDir,
}

impl World {
    /// Starts it with the rules for an interval of a second, and without targets.
    pub async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        std::fs::create_dir(directory.path().join("targets")).unwrap();
        for file in ["recording.rules.yaml", "alerts.rules.yaml"] {
            let shipped = std::fs::read_to_string(rules::folder().join(file)).unwrap();
            let scaled = rules::for_an_interval_of_a_second(&shipped);
            std::fs::write(directory.path().join(file), scaled).unwrap();
        }
        // The job's name comes with each target.
        let config = json!({
            "global": { "scrape_interval": "500ms", "scrape_timeout": "500ms",
                        "evaluation_interval": "250ms" },
            "rule_files": ["*.rules.yaml"],
            "scrape_configs": [{
                "job_name": "weir",
                "file_sd_configs": [{ "files": ["targets/*.json"] }],
            }],
        });
        // By default a sample of five minutes ago counts as current; that is a duration, too.
        let flags = ["--query.lookback-delta=5s"];
        let prometheus =
            Prometheus::start_with(&config.to_string(), directory.path(), &flags).await;
        Self {
            prometheus,
            directory,
        }
    }

    /// Watches a Weir at the addresses of its admin listeners, under a job's name. Waits until each
    /// has been scraped.
    pub async fn watch(&self, job: &str, admin_urls: &[&str]) {
        let targets: Vec<_> = admin_urls
            .iter()
            .map(|url| url.trim_start_matches("http://"))
            .collect();
        let group = json!([{ "targets": targets, "labels": { "job": job } }]);
        // Written in one step, so that nobody reads half of it.
        let draft = self.directory.path().join(format!("{job}.draft"));
        std::fs::write(&draft, group.to_string()).unwrap();
        let place = self.directory.path().join(format!("targets/{job}.json"));
        std::fs::rename(draft, place).unwrap();
        let scraped = format!("count(up{{job=\"{job}\"}} == 1)");
        let all = admin_urls.len() as f64;
        self.holds(job, &format!("{scraped} == {all}")).await;
    }

    /// Waits until a job's replicas serve a plan of traffic.
    pub async fn has_traffic(&self, job: &str) {
        let offered = format!("weir:offered:per_second{{job=\"{job}\"}} > 0");
        self.holds(job, &offered).await;
    }

    /// Waits until an expression has a result.
    async fn holds(&self, job: &str, expression: &str) {
        let holds = async {
            let mut pace = tokio::time::interval(POLL);
            while self.prometheus.query(expression).await.is_empty() {
                pace.tick().await;
            }
        };
        if tokio::time::timeout(DEADLINE, holds).await.is_err() {
            panic!("{job}: {expression}: not within {DEADLINE:?}");
        }
    }

    /// Waits until an alert of a job fires.
    pub async fn fires(&self, job: &str, alert: &str) {
        self.is(job, alert, true).await;
    }

    /// Waits until an alert of a job does not fire any more.
    pub async fn clears(&self, job: &str, alert: &str) {
        self.is(job, alert, false).await;
    }

    async fn is(&self, job: &str, alert: &str, firing: bool) {
        let is = async {
            let mut pace = tokio::time::interval(POLL);
            while self.is_firing(job, alert).await != firing {
                pace.tick().await;
            }
        };
        if tokio::time::timeout(DEADLINE, is).await.is_err() {
            let active = self.prometheus.active_alerts().await;
            let of_job = active
                .iter()
                .filter(|alert| alert.labels.get("job").is_some_and(|of| of == job));
            let of_job: Vec<_> = of_job.collect();
            panic!("{alert} of {job}: firing is not {firing} within {DEADLINE:?}: {of_job:?}");
        }
    }

    async fn is_firing(&self, job: &str, alert: &str) -> bool {
        let active = self.prometheus.active_alerts().await;
        active.iter().any(|one| {
            one.name == alert
                && one.state == AlertState::Firing
                && one.labels.get("job").is_some_and(|of| of == job)
        })
    }

    /// Checks that every rule could be evaluated, whatever was missing.
    pub async fn assert_sound(&self) {
        let errors = self.prometheus.rule_errors().await;
        assert!(errors.is_empty(), "{errors:?}");
    }
}
