//! An answer of a server, read to its end within bounds.

use std::time::Duration;

use reqwest::header::{ETAG, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use super::{ClientError, TIME_OUT};

/// The largest answer that is read, in bytes.
const LARGEST_BODY: usize = 16 << 20;

/// The longest wait that a server can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
    title: Option<String>,
}

/// An answer that was read completely.
pub(super) struct Answer {
    pub url: String,
    pub status: StatusCode,
    pub tag: Option<String>,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn refused(self) -> ClientError {
        ClientError::Refused {
            detail: self.detail(),
            url: self.url,
            status: self.status,
        }
    }

    /// The detail of the problem document, cut to one line.
    pub fn detail(&self) -> String {
        let problem: Option<Problem> = serde_json::from_slice(&self.body).ok();
        problem
            .and_then(|problem| problem.detail.or(problem.title))
            .unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned())
            .chars()
            .filter(|character| !character.is_control())
            .take(200)
            .collect()
    }

    pub fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, ClientError> {
        if self.status != StatusCode::OK {
            return Err(self.refused());
        }
        serde_json::from_slice(&self.body).map_err(|error| ClientError::Unreachable {
            url: self.url,
            why: format!("the answer makes no sense: {error}"),
        })
    }
}

/// Sends a request and reads the whole answer.
pub(super) async fn read(
    url: Url,
    request: reqwest::RequestBuilder,
) -> Result<Answer, ClientError> {
    let unreachable = |why: String| ClientError::Unreachable {
        url: url.to_string(),
        why,
    };
    let mut response = request
        .send()
        .await
        .map_err(|error| unreachable(root_cause(&error)))?;
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| unreachable(root_cause(&error)))?
    {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(unreachable(format!("more than {LARGEST_BODY} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        url: url.to_string(),
        status: response.status(),
        tag: header(&response, ETAG),
        retry_after: header(&response, RETRY_AFTER)
            .and_then(|seconds| seconds.parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT)),
        body,
    })
}

fn header(response: &Response, name: reqwest::header::HeaderName) -> Option<String> {
    response
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// The innermost cause of an error, which is the informative one ("connection refused").
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer in {} s", TIME_OUT.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
