//! The client that asks the provider: bounded in time and bytes, and encrypted.

use std::net::IpAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy;
use serde::de::DeserializeOwned;

use crate::outgoing::{self, client};

/// How long a question may take, from connecting to the last byte of the answer.
const ANSWER: Duration = Duration::from_secs(10);

/// The largest answer that is read, in bytes. Keys with their certificates have a fifth of it.
const ANSWER_MAX: usize = 256 << 10;

/// Why the provider could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is none, or would send secrets in the clear.
    #[error("{0} must be an https URL; http is for loopback only")]
    Url(String),
    /// There is no connection, or it broke.
    #[error("could not reach {url}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why.
        source: legacy::Error,
    },
    /// The answer could not be read.
    #[error("could not read the answer of {url}")]
    Answer {
        /// What was asked for.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("{0} did not answer within 10 s")]
    Slow(String),
    /// It answered with an error, whose code it may say.
    #[error("{url} answered {status}{}", code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// The code of OAuth.
        code: Option<String>,
    },
    /// The answer is not what it should be.
    #[error("the answer of {url} is not as it should be")]
    Malformed {
        /// What was asked for.
        url: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// Asks the provider. Redirects are not followed: they would lead elsewhere than its URLs.
#[derive(Debug, Clone)]
pub struct Client(outgoing::Client);

impl Client {
    /// A client that trusts the system's authorities (`SSL_CERT_FILE` names others).
    #[must_use]
    pub fn new() -> Self {
        Self(client(ANSWER / 2))
    }

    /// Reads a document.
    ///
    /// # Errors
    /// Says what was asked for, and why there is no answer.
    pub async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        parsed(url, &self.bytes(url).await?)
    }

    /// Reads a document as it is.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn bytes(&self, url: &str) -> Result<Bytes, FetchError> {
        self.ask(url, Request::new(Full::default())).await
    }

    /// Reads a document that a token opens.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_with<T: DeserializeOwned>(
        &self,
        url: &str,
        authorization: HeaderValue,
    ) -> Result<T, FetchError> {
        let mut request = Request::new(Full::default());
        request.headers_mut().insert(AUTHORIZATION, authorization);
        parsed(url, &self.ask(url, request).await?)
    }

    /// Sends a form.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        url: &str,
        form: String,
        authorization: Option<HeaderValue>,
    ) -> Result<T, FetchError> {
        let mut request = Request::new(Full::from(form));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, kind);
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        parsed(url, &self.ask(url, request).await?)
    }

    async fn ask(&self, url: &str, mut request: Request<Full<Bytes>>) -> Result<Bytes, FetchError> {
        let parsed: Option<Uri> = url.parse().ok().filter(is_allowed);
        *request.uri_mut() = parsed.ok_or_else(|| FetchError::Url(url.to_owned()))?;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(ACCEPT, json);
        let answered = tokio::time::timeout(ANSWER, self.answer(url, request)).await;
        answered.map_err(|_| FetchError::Slow(url.to_owned()))?
    }

    async fn answer(&self, url: &str, request: Request<Full<Bytes>>) -> Result<Bytes, FetchError> {
        let url = url.to_owned();
        let response = self.0.request(request).await;
        let response = match response {
            Ok(response) => response,
            Err(source) => return Err(FetchError::Unreachable { url, source }),
        };
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX);
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(source) => return Err(FetchError::Answer { url, source }),
        };
        if status.is_success() {
            return Ok(body);
        }
        Err(FetchError::Status {
            url,
            status: status.as_u16(),
            code: code(&body),
        })
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

fn parsed<T: DeserializeOwned>(url: &str, body: &[u8]) -> Result<T, FetchError> {
    serde_json::from_slice(body).map_err(|source| FetchError::Malformed {
        url: url.to_owned(),
        source,
    })
}

/// The code of an error of OAuth, if it is one: a few words of ASCII.
fn code(body: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let code = document.get("error")?.as_str()?;
    super::attempt::is_code(code).then(|| code.to_owned())
}

/// Whether the provider may be asked there: encrypted, or on this machine.
#[must_use]
pub fn is_allowed(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_address = |host: &str| host.parse::<IpAddr>().is_ok_and(|of| of.is_loopback());
    match url.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => host.eq_ignore_ascii_case("localhost") || is_address(bare),
        _ => false,
    }
}
