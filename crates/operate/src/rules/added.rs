//! `weir rules add`: one rule more.

use std::time::Duration;

use chrono::SecondsFormat;
use clap::Args;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::RULES;
use crate::Service;
use crate::change::{self, CONFIGURATION, Consent, Part, Proposal, comparable};
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::words::printable;

/// Flags of `weir rules add`.
#[derive(Debug, Args)]
pub(super) struct Added {
    /// The id of the new rule
    id: String,
    /// The service, or a pattern of names with * and ?
    #[arg(long, default_value = "*", value_name = "PATTERN")]
    service: String,
    /// The operation, or a pattern
    #[arg(long, default_value = "*", value_name = "PATTERN")]
    operation: String,
    /// What it sets, such as weight=2, cap_traces_per_second=5, probability_max=0.01 or exclude=true;
    /// repeatable
    #[arg(long, required = true, value_parser = setting, value_name = "NAME=VALUE")]
    set: Vec<(String, Value)>,
    /// Who answers questions about it
    #[arg(long, value_name = "NAME")]
    owner: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// How long, such as 20m or 2h, by the clock of this machine
    #[arg(long = "for", value_parser = humantime::parse_duration, value_name = "TIME")]
    lasts: Option<Duration>,
    /// Until when, as RFC 3339, or "never" [default: 24 hours for a fixed probability; required otherwise]
    #[arg(long, conflicts_with = "lasts", value_name = "WHEN")]
    expires: Option<String>,
    /// From when on, as RFC 3339 [default: at once]
    #[arg(long, value_name = "WHEN")]
    start: Option<String>,
    /// Add this many traces per second to the budget while it is active
    #[arg(long, value_name = "TRACES_PER_SECOND")]
    extra: Option<f64>,
    /// Accept it although nothing that is known matches: it is reported later
    #[arg(long)]
    expect_later: bool,
    #[command(flatten)]
    consent: Consent,
}

/// A setting and its value, which is JSON: a number, true or an object.
fn setting(given: &str) -> Result<(String, Value), String> {
    let (name, value) = given
        .split_once('=')
        .ok_or("is not of the form NAME=VALUE, such as weight=2")?;
    let value = serde_json::from_str(value)
        .map_err(|_| format!("{name} is a number, true, or an object in JSON"))?;
    Ok((name.to_owned(), value))
}

impl Added {
    pub(super) async fn run(self, client: &Client, service: Service) -> Outcome {
        let rule = self.rule(service)?;
        let running = client.versioned(CONFIGURATION).await?;
        let mut document = comparable(&running.body);
        if document["rules"].get(&self.id).is_some() {
            return Err(Failure::Failed(format!(
                "there is a rule {:?} already: delete it first, or change it in the file of weir export",
                printable(&self.id)
            )));
        }
        document["rules"][&self.id] = rule.clone();
        let mut body = rule;
        body["id"] = json!(self.id);
        let part = Part {
            method: Method::POST,
            path: RULES.iter().map(|of| (*of).to_owned()).collect(),
            body,
        };
        let proposal = Proposal::part(document, part, &running, service)?;
        change::propose(client, &running, &proposal, self.consent).await
    }

    fn rule(&self, service: Service) -> Result<Value, Failure> {
        let mut set = Map::new();
        for (name, value) in &self.set {
            if set.insert(name.clone(), value.clone()).is_some() {
                return Err(Failure::Usage(format!("--set {name} is given twice")));
            }
        }
        let mut rule = json!({
            "service": self.service,
            "operation": self.operation,
            "set": set,
            "owner": self.owner,
            "reason": self.reason,
        });
        if let Some(expires) = self.expires(service)? {
            rule["expires"] = json!(expires);
        }
        if let Some(start) = &self.start {
            rule["start"] = json!(start);
        }
        if let Some(extra) = self.extra {
            rule["extra_traces_per_second"] = json!(extra);
        }
        if self.expect_later {
            rule["expect"] = json!("later");
        }
        Ok(rule)
    }

    fn expires(&self, service: Service) -> Result<Option<String>, Failure> {
        let Some(lasts) = self.lasts else {
            return Ok(self.expires.clone());
        };
        let end = chrono::TimeDelta::from_std(lasts).ok();
        let end = end.and_then(|lasts| (service.now)().checked_add_signed(lasts));
        let end = end.ok_or_else(|| Failure::Usage("--for is too long".into()))?;
        Ok(Some(end.to_rfc3339_opts(SecondsFormat::Millis, true)))
    }
}
