//! The HTTP side of a service before an edge, and of who sets it up.

use reqwest::Url;
use reqwest::header::IF_MATCH;
use serde_json::Value;

use super::answer::read;
use super::{Client, ClientError, base, under};
use crate::tail::Counted;

/// A client of one edge.
#[derive(Debug, Clone)]
pub struct EdgeClient {
    http: reqwest::Client,
    spans: Url,
    metrics: Url,
}

impl EdgeClient {
    /// A client for an edge, given the base addresses of its listeners for OTLP over HTTP and for metrics.
    ///
    /// # Errors
    /// If an address is not plain HTTP.
    pub fn new(of: &Client, otlp_url: &str, admin_url: &str) -> Result<Self, ClientError> {
        Ok(Self {
            http: of.http.clone(),
            spans: under(&base(otlp_url)?, "v1/traces"),
            metrics: under(&base(admin_url)?, "metrics"),
        })
    }

    /// Sends an export.
    ///
    /// # Errors
    /// If the edge does not take it.
    pub async fn send(&self, export: &Value) -> Result<(), ClientError> {
        let request = self.http.post(self.spans.clone()).json(export);
        read(self.spans.clone(), request).await?.json::<Value>()?;
        Ok(())
    }

    /// What it has decided since its start.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn counted(&self) -> Result<Counted, ClientError> {
        let request = self.http.get(self.metrics.clone());
        let answer = read(self.metrics.clone(), request).await?;
        Ok(Counted::read(&String::from_utf8_lossy(&answer.body)))
    }
}

impl Client {
    /// Sets the whole configuration of a Weir that has none.
    ///
    /// # Errors
    /// If the server does not answer, or refuses.
    pub async fn configure(&self, document: &Value) -> Result<(), ClientError> {
        let url = under(&self.admin, "v1/configuration");
        let request = self.http.put(url.clone()).header(IF_MATCH, "*");
        let request = self.as_operator(request.json(document));
        read(url, request).await?.json::<Value>()?;
        Ok(())
    }

    /// What becomes of a service that is set to tail; none while it is not known.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn tail(&self, service: &str) -> Result<Option<String>, ClientError> {
        let url = under(&self.admin, &format!("v1/services/{service}"));
        let request = self.as_operator(self.http.get(url.clone()));
        let answer = read(url, request).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(body["tail"].as_str().map(ToOwned::to_owned))
    }
}
