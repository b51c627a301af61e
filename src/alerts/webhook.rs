//! Sends notices to a URL, in their order, each until it is taken or given up.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Uri};
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Notice;
use crate::outgoing::{Client, client};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{Metrics, NoticeOutcome};

/// How long a request may take. The answer's body is not read.
const ANSWER: Duration = Duration::from_secs(10);

/// How often a notice is sent, and how long to wait after the first failure: twice as long after each.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// The most notices that wait.
const WAITING_MAX: usize = 64;

/// Where notices are sent. Its path and query may be secrets, so it is never printed, not even if it is wrong. Any text
/// is one; [`WebhookUrl::read`] checks it.
#[derive(Clone)]
pub struct WebhookUrl(String);

impl WebhookUrl {
    /// The URL.
    ///
    /// # Errors
    /// Says what it must be, without the URL.
    pub fn read(&self) -> Result<Uri, &'static str> {
        let url: Option<Uri> = self.0.trim().parse().ok();
        url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")))
            .filter(|url| url.host().is_some_and(|host| !host.is_empty()))
            .filter(|url| !url.authority().is_some_and(|of| of.as_str().contains('@')))
            .ok_or("give an http or https URL without user and password")
    }
}

impl From<&str> for WebhookUrl {
    fn from(url: &str) -> Self {
        Self(url.into())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The receiver, without what may be secret.
fn receiver(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or_default();
    let place = url.authority().map_or("", |of| of.as_str());
    format!("{scheme}://{place}")
}

/// Why a notice was not taken.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("there is no connection")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("it did not answer within 10 s")]
    Slow,
    #[error("it answered {0}")]
    Status(u16),
}

impl SendError {
    /// Whether the same request may be taken later.
    fn passes(&self) -> bool {
        match self {
            // Request timeout, too many requests, and faults of the server.
            Self::Status(status) => matches!(status, 408 | 429 | 500..=599),
            _ => true,
        }
    }
}

/// A notice, and which replica says it.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    notice: &'a Notice,
    instance: &'a str,
}

/// Sends what is pushed.
pub struct Webhook {
    url: Uri,
    instance: String,
    client: Client,
    waiting: Mutex<VecDeque<Notice>>,
    pushed: Notify,
    metrics: Arc<Metrics>,
}

impl Webhook {
    /// A webhook to which this replica sends.
    #[must_use]
    pub fn new(url: Uri, instance: String, metrics: Arc<Metrics>) -> Self {
        Self {
            url,
            instance,
            client: client(ANSWER / 2),
            waiting: Mutex::default(),
            pushed: Notify::new(),
            metrics,
        }
    }

    /// Lets a notice wait for its turn. If too many wait, the oldest one is dropped that is not being sent.
    pub fn push(&self, notice: Notice) {
        let mut waiting = self.waiting();
        let dropped = match waiting.len() == WAITING_MAX {
            true => waiting.remove(1),
            false => None,
        };
        waiting.push_back(notice);
        drop(waiting);
        if let Some(oldest) = dropped {
            self.drop_notice(&oldest, "too many wait");
        }
        self.pushed.notify_one();
    }

    /// Sends until told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        let sending = async {
            loop {
                let next = self.waiting().front().cloned();
                match next {
                    Some(notice) => self.send(&notice).await,
                    None => self.pushed.notified().await,
                }
            }
        };
        let _: Option<()> = stop.run_until_cancelled(sending).await;
        let left = std::mem::take(&mut *self.waiting());
        for notice in left {
            self.drop_notice(&notice, "the process stops");
        }
    }

    /// Sends a notice until it is taken or given up, and removes it.
    async fn send(&self, notice: &Notice) {
        let mut attempt = 1;
        let failed = loop {
            match self.attempt(notice).await {
                Ok(()) => break None,
                Err(error) if attempt == ATTEMPTS || !error.passes() => break Some(error),
                Err(error) => {
                    tracing::debug!(error = chain(&error), attempt, "an alert is sent again")
                }
            }
            tokio::time::sleep(PAUSE * (1 << (attempt - 1))).await;
            attempt += 1;
        };
        self.waiting().pop_front();
        match failed {
            None => self.metrics.alert_notices.of(NoticeOutcome::Sent).inc(),
            Some(error) => self.drop_notice(notice, &chain(&error)),
        }
    }

    async fn attempt(&self, notice: &Notice) -> Result<(), SendError> {
        let document = Document {
            notice,
            instance: &self.instance,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        let answered = tokio::time::timeout(ANSWER, self.client.request(request)).await;
        let status = answered.map_err(|_| SendError::Slow)??.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(SendError::Status(status.as_u16())),
        }
    }

    fn drop_notice(&self, notice: &Notice, why: &str) {
        self.metrics.alert_notices.of(NoticeOutcome::Dropped).inc();
        tracing::warn!(
            alert = notice.alert,
            state = ?notice.state,
            receiver = receiver(&self.url),
            why,
            "an alert could not be sent to --alert-webhook"
        );
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Notice>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_never_printed_whole() {
        let url = WebhookUrl::from(" https://hooks.example:8443/T0/secret?token=secret\n");
        assert_eq!(format!("{url:?}"), "…");
        assert_eq!(receiver(&url.read().unwrap()), "https://hooks.example:8443");
        for wrong in [
            "",
            "hooks.example/secret",
            "ftp://hooks.example/secret",
            "https://ann:secret@hooks.example/",
            "https:///secret",
        ] {
            let said = WebhookUrl::from(wrong).read().unwrap_err();
            assert!(said.contains("http") && !said.contains("secret"), "{said}");
        }
    }
}
