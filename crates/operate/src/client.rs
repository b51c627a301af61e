//! The client of the admin API.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH};
use hyper::http::uri::{Authority, Scheme};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::tls;
use crate::words::printable;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a request may take: longer than the service lets it.
const ANSWER: Duration = Duration::from_secs(90);

/// The largest answer that is read, in bytes: a configuration of the largest size, indented.
const ANSWER_MAX: usize = 256 << 20;

/// The most that one request of a list returns.
const PAGE: &str = "1000";

const JSON: &str = "application/json";

/// What a segment of a path may contain as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What the service says of a path that it does not have.
const NO_PATH: &str = "this path does not exist";

/// A connection to the admin API of one Weir. Redirects are not followed: they would send the token to
/// another host.
pub struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: Base,
    token: Option<HeaderValue>,
    /// What is recorded of where a change comes from.
    origin: &'static str,
}

/// The URL of the admin listener; `/` at its end.
struct Base {
    scheme: Scheme,
    authority: Authority,
    path: String,
}

/// A document with the revision that it is.
pub struct Versioned {
    /// The document.
    pub body: Value,
    /// Its entity tag, for `If-Match`.
    pub tag: String,
}

/// An error as the service states it (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: String,
    field: Option<String>,
}

impl Client {
    /// A client that sends this token and trusts these authorities, in PEM; without them, the
    /// system's.
    pub fn new(
        url: &str,
        token: Option<&str>,
        authorities: Option<&[u8]>,
    ) -> Result<Self, Failure> {
        let base = Base::parse(url)?;
        let token = token.map(bearer).transpose()?;
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(&base.scheme, authorities)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self {
            http: legacy::Client::builder(TokioExecutor::new()).build(connector),
            base,
            token,
            origin: "cli",
        })
    }

    /// The same, for what a file says.
    pub fn for_file(self) -> Self {
        Self {
            origin: "file",
            ..self
        }
    }

    /// What a path returns.
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Failure> {
        Ok(self.send(self.request(Method::GET, path, query)?).await?.0)
    }

    /// What a path returns, or nothing where there is none.
    pub async fn find(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Option<Value>, Failure> {
        let request = self.request(Method::GET, path, query)?;
        let (status, _, bytes) = self.exchange(request).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.accepted(status, &bytes)?;
        self.parse(&bytes).map(Some)
    }

    /// All entries of a list that comes in pages, and the last page.
    pub async fn all(&self, path: &[&str], entries: &str) -> Result<(Vec<Value>, Value), Failure> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = vec![("limit", PAGE)];
            if let Some(after) = &after {
                query.push(("after", after));
            }
            let mut page = self.get(path, &query).await?;
            if let Some(Value::Array(listed)) = page.get_mut(entries).map(Value::take) {
                found.extend(listed);
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) if after.as_deref() != Some(next) => after = Some(next.to_owned()),
                _ => return Ok((found, page)),
            }
        }
    }

    /// A document with its revision.
    pub async fn versioned(&self, path: &[&str]) -> Result<Versioned, Failure> {
        self.versioned_with(path, &[]).await
    }

    /// The same, asked for in some way.
    pub async fn versioned_with(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Versioned, Failure> {
        let request = self.request(Method::GET, path, query)?;
        let (body, tag) = self.send(request).await?;
        let tag = tag.ok_or_else(|| {
            Failure::Failed("the answer has no ETag; is there a proxy that removes it?".into())
        })?;
        Ok(Versioned { body, tag })
    }

    /// Sends a document, and returns the answer.
    pub async fn post(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        body: &Value,
    ) -> Result<Value, Failure> {
        let request = self.request(Method::POST, path, query)?;
        Ok(self.send(with(request, body)).await?.0)
    }

    /// Changes something if it is still the revision `tag`. Nothing is returned if it is not.
    pub async fn change(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        tag: &str,
        body: &Value,
    ) -> Result<Option<Versioned>, Failure> {
        let mut request = with(self.request(method, path, query)?, body);
        let seen = HeaderValue::from_str(tag);
        let seen = seen.map_err(|_| Failure::Failed("the ETag cannot be sent back".into()))?;
        request.headers_mut().insert(IF_MATCH, seen);
        let (status, tag, bytes) = self.exchange(request).await?;
        if status == StatusCode::PRECONDITION_FAILED {
            return Ok(None);
        }
        self.accepted(status, &bytes)?;
        let body = match bytes.is_empty() {
            true => Value::Null,
            false => self.parse(&bytes)?,
        };
        Ok(Some(Versioned {
            body,
            tag: tag.unwrap_or_default(),
        }))
    }

    /// A request without a body.
    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Request<Full<Bytes>>, Failure> {
        if let Some(dots) = path.iter().find(|segment| [".", ".."].contains(segment)) {
            let problem =
                format!("{dots:?} cannot be asked for: in a path it is a step, not a name");
            return Err(Failure::Usage(problem));
        }
        let escaped = path.iter().map(|it| utf8_percent_encode(it, SEGMENT));
        let escaped: Vec<_> = escaped.map(|segment| segment.to_string()).collect();
        let mut target = format!("{}{}", self.base.path, escaped.join("/"));
        if !query.is_empty() {
            let mut pairs = form_urlencoded::Serializer::new(String::new());
            target = format!("{target}?{}", pairs.extend_pairs(query).finish());
        }
        let uri = Uri::builder()
            .scheme(self.base.scheme.clone())
            .authority(self.base.authority.clone())
            .path_and_query(target);
        let uri = uri
            .build()
            .map_err(|error| Failure::because("cannot ask", error))?;
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(JSON));
        headers.insert("weir-origin", HeaderValue::from_static(self.origin));
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        Ok(request)
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Value, Option<String>), Failure> {
        let (status, tag, bytes) = self.exchange(request).await?;
        self.accepted(status, &bytes)?;
        Ok((self.parse(&bytes)?, tag))
    }

    /// Sends a request and reads its answer, up to its bound.
    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Option<String>, Bytes), Failure> {
        let unheard =
            |problem: String| Failure::Failed(format!("cannot ask {}: {problem}", self.base));
        let exchanged = async {
            let answer = self.http.request(request).await;
            let answer = answer.map_err(|error| unheard(chain(&error)))?;
            let status = answer.status();
            let tag = answer.headers().get(ETAG);
            let tag = tag.and_then(|tag| tag.to_str().ok()).map(str::to_owned);
            let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => unheard(format!("the answer is larger than {ANSWER_MAX} bytes")),
                false => unheard(chain(error.as_ref())),
            })?;
            Ok((status, tag, body.to_bytes()))
        };
        let late = |_| unheard(format!("no answer within {} s", ANSWER.as_secs()));
        tokio::time::timeout(ANSWER, exchanged)
            .await
            .map_err(late)?
    }

    /// Turns an error of the service into words.
    fn accepted(&self, status: StatusCode, bytes: &[u8]) -> Result<(), Failure> {
        if status.is_success() {
            return Ok(());
        }
        let said = match serde_json::from_slice::<Problem>(bytes) {
            // A path of this client that does not exist is that of another listener, or release.
            Ok(problem) if problem.detail == NO_PATH => {
                format!(
                    "{} does not know this; is it the admin listener of a Weir of this release?",
                    self.base
                )
            }
            Ok(problem) => {
                let field = problem.field.map(|field| format!("{field} "));
                format!(
                    "{}{}",
                    field.unwrap_or_else(|| format!("{}: ", problem.title)),
                    problem.detail
                )
            }
            Err(_) => format!(
                "{} answered {status}, and not as Weir does; is this its admin listener?",
                self.base
            ),
        };
        Err(Failure::Failed(printable(&said)))
    }

    fn parse(&self, bytes: &[u8]) -> Result<Value, Failure> {
        serde_json::from_slice(bytes).map_err(|_| {
            Failure::Failed(format!(
                "{} answered something else than JSON; is this the admin listener of a Weir?",
                self.base
            ))
        })
    }
}

impl Base {
    fn parse(url: &str) -> Result<Self, Failure> {
        let wrong = |problem: &str| Failure::Usage(format!("the URL {url:?} {problem}"));
        let parts = url.parse::<Uri>().map(Uri::into_parts);
        let parts = parts.map_err(|error| wrong(&format!("is wrong: {error}")))?;
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(wrong("does not begin with http:// or https:// and a host"));
        };
        if ![Scheme::HTTP, Scheme::HTTPS].contains(&scheme) {
            return Err(wrong("begins with neither http:// nor https://"));
        }
        if authority.as_str().contains('@') {
            return Err(wrong(
                "holds a user: a token is given by WEIR_TOKEN or --token-file",
            ));
        }
        let path = parts.path_and_query;
        let path = path.as_ref().map_or("/", |path| path.path());
        Ok(Self {
            scheme,
            authority,
            path: format!("{}/", path.trim_end_matches('/')),
        })
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

/// A token as it is sent. It is in no message.
fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value =
        value.map_err(|_| Failure::Usage("the token holds characters that no token has".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A request with a document.
fn with(request: Request<Full<Bytes>>, body: &Value) -> Request<Full<Bytes>> {
    if body.is_null() {
        return request;
    }
    let (mut head, _) = request.into_parts();
    head.headers
        .insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    Request::from_parts(head, Full::from(body.to_string()))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}
