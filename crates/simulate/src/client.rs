//! The HTTP side of a simulated fleet: polls, reports and the budget.
//!
//! This module decides nothing. It reads an answer as strictly as the strictest real client, and
//! passes it on.

mod answer;
mod edge;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_MATCH};
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::Deserialize;

use self::answer::{Answer, read};
pub use self::edge::EdgeClient;
use super::strategy::{ClientStrategy, Violation};

/// The same as the shortest time-out of the real clients.
const TIME_OUT: Duration = Duration::from_secs(5);

/// A client of one Weir.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    sdk: Url,
    admin: Url,
    /// Sent to the admin listener.
    operator: Option<HeaderValue>,
    /// Sent with reports.
    agent: Option<HeaderValue>,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not valid.
    #[error("{0:?} is not an http:// address")]
    Address(String),
    /// What is to be sent as a token cannot be sent.
    #[error("a token must be printable ASCII")]
    Token,
    /// The HTTP client could not be set up.
    #[error("cannot set up an HTTP client: {0}")]
    SetUp(String),
    /// No answer, or one that cannot be read.
    #[error("{url} did not answer: {why}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// An answer that refuses the request.
    #[error("{url} answered {status}: {detail}")]
    Refused {
        /// What was asked.
        url: String,
        /// The status.
        status: StatusCode,
        /// What the server said.
        detail: String,
    },
}

impl ClientError {
    /// Whether the document is at another revision, according to the server.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::PRECONDITION_FAILED)
    }

    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => status.is_server_error(),
            Self::Address(_) | Self::Token | Self::SetUp(_) => false,
        }
    }
}

/// Why a poll failed.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// No answer, or a 5xx: an SDK keeps its strategy and asks again.
    #[error(transparent)]
    Away(#[from] ClientError),
    /// An answer that some real client could not have used.
    #[error(transparent)]
    Violation(#[from] Violation),
}

/// The answer to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportAnswer {
    /// It was counted now.
    Counted,
    /// It was counted before.
    Duplicate,
    /// Unknown or refused for now: the same report must be sent again, after this time if the
    /// server gives one.
    Again(Option<Duration>, String),
    /// Its sequence is too far behind its epoch: the agent must begin a new epoch.
    Superseded,
    /// It will never be accepted.
    Rejected(String),
}

/// The budget document and its revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// The budget, in traces per second.
    pub traces_per_second: f64,
    /// The entity tag, as the server writes it.
    pub tag: String,
}

/// The fields of the current plan that the simulation reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurrentPlan {
    /// Its number.
    pub number: u64,
    /// The length of its window.
    pub window: Duration,
    /// Whether it is too old, according to the server.
    pub stale: bool,
}

#[derive(Deserialize)]
struct BudgetBody {
    traces_per_second: f64,
    revision: u64,
}

#[derive(Deserialize)]
struct PlanBody {
    plan: u64,
    window: Option<WindowBody>,
    #[serde(default)]
    stale: bool,
}

#[derive(Deserialize)]
struct WindowBody {
    start: chrono::DateTime<chrono::Utc>,
    end: chrono::DateTime<chrono::Utc>,
}

#[derive(Deserialize)]
struct ReportResult {
    result: ReportWord,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReportWord {
    Counted,
    Duplicate,
}

impl Client {
    /// A client for a Weir, given the base addresses of its two listeners.
    ///
    /// # Errors
    /// If an address is not plain HTTP.
    pub fn new(sdk_url: &str, admin_url: &str) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .timeout(TIME_OUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| ClientError::SetUp(error.to_string()))?;
        Ok(Self {
            http,
            sdk: base(sdk_url)?,
            admin: base(admin_url)?,
            operator: None,
            agent: None,
        })
    }

    /// Sends one token to the admin listener, and another one with reports.
    ///
    /// # Errors
    /// One of them cannot be sent.
    pub fn with_tokens(
        mut self,
        operator: Option<&str>,
        agent: Option<&str>,
    ) -> Result<Self, ClientError> {
        self.operator = operator.map(bearer).transpose()?;
        self.agent = agent.map(bearer).transpose()?;
        Ok(self)
    }

    fn as_operator(&self, request: RequestBuilder) -> RequestBuilder {
        authorized(request, self.operator.as_ref())
    }

    /// Asks for a service's strategy as an SDK does.
    ///
    /// # Errors
    /// If there is none, or if some real client could not use it.
    pub async fn poll(&self, service: &str) -> Result<ClientStrategy, PollError> {
        let mut url = under(&self.sdk, "sampling");
        url.query_pairs_mut().append_pair("service", service);
        let answer = read(url.clone(), self.http.get(url)).await?;
        match answer.status {
            StatusCode::OK => Ok(ClientStrategy::parse(&answer.body)?),
            status if status.is_server_error() => Err(answer.refused().into()),
            status => Err(Violation::Shape(format!("status {status} instead of 200")).into()),
        }
    }

    /// Sends a report, once.
    pub async fn report(&self, body: Vec<u8>) -> ReportAnswer {
        let url = under(&self.sdk, "v1/reports");
        let request = self
            .http
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let request = authorized(request, self.agent.as_ref());
        let answer = match read(url, request).await {
            Ok(answer) => answer,
            Err(error) => return ReportAnswer::Again(None, error.to_string()),
        };
        match answer.status {
            StatusCode::OK => match serde_json::from_slice(&answer.body) {
                Ok(ReportResult {
                    result: ReportWord::Counted,
                }) => ReportAnswer::Counted,
                Ok(ReportResult {
                    result: ReportWord::Duplicate,
                }) => ReportAnswer::Duplicate,
                Err(error) => ReportAnswer::Rejected(format!("200 without a result: {error}")),
            },
            StatusCode::CONFLICT => ReportAnswer::Superseded,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                ReportAnswer::Again(answer.retry_after, answer.refused().to_string())
            }
            status if status.is_server_error() => {
                ReportAnswer::Again(answer.retry_after, answer.refused().to_string())
            }
            _ => ReportAnswer::Rejected(answer.refused().to_string()),
        }
    }

    /// The address of the budget, for messages.
    #[must_use]
    pub fn budget_url(&self) -> Url {
        under(&self.admin, "v1/budget")
    }

    /// The current budget.
    ///
    /// # Errors
    /// If the server does not answer, or refuses.
    pub async fn budget(&self) -> Result<Budget, ClientError> {
        let url = under(&self.admin, "v1/budget");
        let request = self.as_operator(self.http.get(url.clone()));
        budget(read(url, request).await?)
    }

    /// Sets the budget if its entity tag is still `tag`.
    ///
    /// # Errors
    /// If the server does not answer, or refuses; see [`ClientError::is_conflict`].
    pub async fn set_budget(
        &self,
        traces_per_second: f64,
        tag: &str,
    ) -> Result<Budget, ClientError> {
        let url = under(&self.admin, "v1/budget");
        let request = self
            .http
            .put(url.clone())
            .header(IF_MATCH, tag)
            .json(&serde_json::json!({ "traces_per_second": traces_per_second }));
        budget(read(url, self.as_operator(request)).await?)
    }

    /// The current plan; none before the first.
    ///
    /// # Errors
    /// If the server does not answer, or the answer makes no sense.
    pub async fn current_plan(&self) -> Result<Option<CurrentPlan>, ClientError> {
        let url = under(&self.admin, "v1/plans/current");
        let request = self.as_operator(self.http.get(url.clone()));
        let answer = read(url, request).await?;
        if answer.status == StatusCode::NOT_FOUND || answer.status.is_server_error() {
            return Ok(None);
        }
        let body: PlanBody = answer.json()?;
        Ok(body.window.and_then(|window| {
            let window = (window.end - window.start).to_std().ok()?;
            (!window.is_zero()).then_some(CurrentPlan {
                number: body.plan,
                window,
                stale: body.stale,
            })
        }))
    }
}

/// A token as a header, which no log shows.
fn bearer(token: &str) -> Result<HeaderValue, ClientError> {
    let mut header = HeaderValue::try_from(format!("Bearer {}", token.trim()))
        .map_err(|_| ClientError::Token)?;
    header.set_sensitive(true);
    Ok(header)
}

fn authorized(request: RequestBuilder, token: Option<&HeaderValue>) -> RequestBuilder {
    match token {
        Some(token) => request.header(AUTHORIZATION, token),
        None => request,
    }
}

fn budget(answer: Answer) -> Result<Budget, ClientError> {
    let tag = answer.tag.clone();
    let body: BudgetBody = answer.json()?;
    Ok(Budget {
        traces_per_second: body.traces_per_second,
        tag: tag.unwrap_or_else(|| format!("\"{}\"", body.revision)),
    })
}

fn base(text: &str) -> Result<Url, ClientError> {
    Url::parse(text)
        .ok()
        .filter(|url| url.scheme() == "http" && url.has_host())
        .ok_or_else(|| ClientError::Address(text.to_owned()))
}

/// The address of a path under a base, which may or may not end in a slash.
fn under(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_may_end_in_a_slash_or_a_path() {
        for (address, expected) in [
            ("http://127.0.0.1:5778", "http://127.0.0.1:5778/v1/budget"),
            ("http://127.0.0.1:5778/", "http://127.0.0.1:5778/v1/budget"),
            ("http://weir/behind/", "http://weir/behind/v1/budget"),
        ] {
            assert_eq!(
                under(&base(address).unwrap(), "v1/budget").as_str(),
                expected
            );
        }
    }

    #[test]
    fn what_is_no_http_address_is_refused() {
        for address in ["127.0.0.1:5778", "https://weir", "file:///etc", "weir", ""] {
            assert!(base(address).is_err(), "{address}");
        }
    }
}
