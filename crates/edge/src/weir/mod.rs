//! What an edge asks of Weir: plans, and that its counts are taken. `docs/edge.md` describes both calls.

mod plan;
mod reports;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(crate) use self::plan::{Follower, read_file};
pub(crate) use self::reports::{Agent, Reporter};
use crate::send::{Http, jitter, words};
use crate::settings::{Backend, Protocol};

/// The largest plan.
const PLAN_MAX: usize = 64 << 20;

/// The first and the longest pause after a failure.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LONGEST: Duration = Duration::from_secs(30);

/// Speaks to Weir.
#[derive(Clone)]
pub(crate) struct Weir {
    http: Http,
    /// Without a `/` at its end.
    base: String,
    token: Option<HeaderValue>,
}

/// What is wrong with the settings about Weir.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongWeir {
    /// Its URL.
    #[error("--weir {0}: give http://host:port or https://host:port")]
    Url(String),
    /// The file of the token. What is in it is not shown.
    #[error("--weir-token-file: {0}")]
    Token(String),
}

/// An answer, read to its end.
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Weir {
    pub fn new(http: Http, url: &str, token_file: Option<&Path>) -> Result<Self, WrongWeir> {
        let uri: Uri = url.parse().map_err(|_| WrongWeir::Url(url.into()))?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let has_secret = uri.authority().is_none_or(|it| it.as_str().contains('@'));
        if !is_http || has_secret || uri.query().is_some() {
            return Err(WrongWeir::Url(url.into()));
        }
        Ok(Self {
            http,
            base: url.trim_end_matches('/').into(),
            token: token_file.map(token).transpose()?,
        })
    }

    /// Weir as a backend of metrics.
    pub fn backend(&self) -> Backend {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        Backend {
            name: "weir".into(),
            protocol: Protocol::Http,
            url: self.base.clone(),
            headers,
        }
    }

    fn request(&self, path: &str) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        let uri = format!("{}{path}", self.base);
        *request.uri_mut() = uri.parse().expect("its parts were checked");
        let version = concat!("weir-edge/", env!("CARGO_PKG_VERSION"));
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(version));
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        request
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
        within: Duration,
    ) -> Result<Answered, String> {
        let answered = async {
            let response = self.http.request(request).await;
            let (head, body) = response.map_err(|error| words(&error))?.into_parts();
            let body = Limited::new(body, PLAN_MAX).collect().await;
            Ok(Answered {
                status: head.status.as_u16(),
                headers: head.headers,
                body: body.map_err(|error| error.to_string())?.to_bytes(),
            })
        };
        let answered = tokio::time::timeout(within, answered).await;
        answered.unwrap_or_else(|_| Err("no answer in time".into()))
    }
}

fn token(file: &Path) -> Result<HeaderValue, WrongWeir> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| WrongWeir::Token(error.to_string()))?;
    let value = HeaderValue::from_str(&format!("Bearer {}", text.trim()));
    let mut value = value.map_err(|_| WrongWeir::Token("holds no token".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn in_query(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Pauses between attempts.
struct Pauses(Duration);

impl Pauses {
    fn new() -> Self {
        Self(PAUSE_FIRST)
    }

    /// The next one, twice as long as before, give or take a fifth.
    fn next(&mut self) -> Duration {
        let pause = self.0.mul_f64(jitter());
        self.0 = (self.0 * 2).min(PAUSE_LONGEST);
        pause
    }
}
