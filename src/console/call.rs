//! Calls of the API: what a screen reads and changes, and what it shows as curl.
//!
//! A screen asks the API's own handlers, in this process: a call goes through the API's table of routes with the
//! credentials of the page's request. So the console shows what the API answers, may do what the API lets its caller
//! do, and shows the calls that it made.

use std::cell::RefCell;
use std::fmt::Write;
use std::future::{Ready, ready};

use actix_web::body::to_bytes;
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, ETAG, HOST, IF_MATCH, ORIGIN,
};
use actix_web::test::TestRequest;
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Console;
use super::page::trouble::Trouble;
use crate::access::Caller;
use crate::api::admin;
use crate::http::routes::{Route, extractors};

/// The header by which a client says what it is, and what the console says.
const WEIR_ORIGIN: (&str, &str) = ("Weir-Origin", "ui");

/// Bytes of an answer that are read at most: the largest configuration.
const ANSWER_MAX: usize = 2 * admin::LARGEST_BODY;

/// A call of the API.
#[derive(Debug, Clone)]
pub struct Call {
    method: &'static str,
    path: &'static str,
    values: Vec<(&'static str, String)>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    if_match: Option<String>,
}

impl Call {
    /// A call of a path of [`admin::ROUTES`].
    #[must_use]
    pub fn new(method: &'static str, path: &'static str) -> Self {
        Self {
            method,
            path,
            values: Vec::new(),
            query: Vec::new(),
            body: None,
            if_match: None,
        }
    }

    /// A call that reads.
    #[must_use]
    pub fn get(path: &'static str) -> Self {
        Self::new("GET", path)
    }

    /// The value of a parameter of the path.
    #[must_use]
    pub fn at(mut self, name: &'static str, value: &str) -> Self {
        self.values.push((name, value.to_owned()));
        self
    }

    /// A parameter of the query.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// The same if there is a value.
    #[must_use]
    pub fn query_if(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// The document that is sent.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// The revision that the change was made from.
    #[must_use]
    pub fn if_match(mut self, tag: &str) -> Self {
        self.if_match = Some(tag.to_owned());
        self
    }

    /// Whether it may change something.
    fn changes(&self) -> bool {
        let reads = self.method == "GET" || self.path.ends_with("/preview");
        let is_dry = self
            .query
            .iter()
            .any(|(name, value)| *name == "dry_run" && value == "true");
        !reads && !is_dry
    }

    /// Its path and query.
    fn target(&self) -> String {
        let mut target = self.path.to_owned();
        for (name, value) in &self.values {
            let encoded = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
            target = target.replace(&format!("{{{name}}}"), &encoded);
        }
        if !self.query.is_empty() {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&self.query);
            target.push('?');
            target += &query.finish();
        }
        target
    }

    /// The call for a shell. `base` is where the API is.
    #[must_use]
    pub fn curl(&self, base: &str, with_token: bool) -> String {
        let mut text = String::from("curl -sS");
        if self.method != "GET" {
            let _ = write!(text, " -X {}", self.method);
        }
        if with_token {
            text += " -H \"Authorization: Bearer $WEIR_TOKEN\"";
        }
        if let Some(tag) = &self.if_match {
            let _ = write!(text, " -H {}", quoted(&format!("If-Match: {tag}")));
        }
        if let Some(body) = &self.body {
            let body = body.to_string();
            // A whole configuration is too long to be shown.
            let shown = if body.len() <= 2_000 {
                &*body
            } else {
                "@document.json"
            };
            let _ = write!(text, " --json {}", quoted(shown));
        }
        let _ = write!(text, " {}", quoted(&format!("{base}{}", self.target())));
        text
    }

    fn handled_by(&self) -> Option<&'static Route> {
        let mut routes = admin::ROUTES.iter();
        routes.find(|route| route.method == self.method && route.path == self.path)
    }
}

/// A text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What the API answered.
pub struct Answer<T> {
    /// The document.
    pub of: T,
    /// Its `ETag`; empty if it has none.
    pub tag: String,
}

/// Who asks for a page, and what the page asked the API.
pub struct Asker {
    /// The page's request.
    pub request: HttpRequest,
    /// What the console is built from.
    pub console: Data<Console>,
    made: RefCell<Vec<Call>>,
}

impl FromRequest for Asker {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let console = request.app_data::<Data<Console>>();
        let console = console.expect("the listener has the console").clone();
        ready(Ok(Self {
            request: request.clone(),
            console,
            made: RefCell::default(),
        }))
    }
}

impl Asker {
    /// Who is asking.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let caller = self.request.extensions().get::<Caller>().cloned();
        caller.unwrap_or(Caller::Anybody)
    }

    /// Whether it may change the configuration.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        match self.caller() {
            Caller::Anybody => true,
            Caller::Holder(token) => token.role.meets(crate::access::Need::Operator),
        }
    }

    /// Asks the API for a document.
    ///
    /// # Errors
    /// The API's problem.
    pub async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, Trouble> {
        self.answer(call).await.map(|answer| answer.of)
    }

    /// The same, with the document's tag.
    ///
    /// # Errors
    /// The API's problem.
    pub async fn answer<T: DeserializeOwned>(&self, call: Call) -> Result<Answer<T>, Trouble> {
        // A page that is only looked at changes nothing, whatever a link to it says.
        if self.request.method().is_safe() && call.changes() {
            return Err(Trouble::internal());
        }
        self.made.borrow_mut().push(call.clone());
        let route = call.handled_by().ok_or_else(Trouble::internal)?;
        let request = self.request_of(&call)?;
        let answered = route.answer(&self.console.guard, request).await;
        let response = match answered {
            Ok(response) => response.into_parts().1,
            Err(error) => error.error_response(),
        };
        let status = response.status();
        let tag = response.headers().get(ETAG);
        let tag = tag.and_then(|tag| tag.to_str().ok());
        let tag = tag.unwrap_or_default().to_owned();
        let bytes = to_bytes(response.into_body()).await;
        let bytes = bytes.map_err(|_| Trouble::internal())?;
        if !status.is_success() {
            return Err(Trouble::of_problem(status, &bytes));
        }
        if bytes.len() > ANSWER_MAX {
            return Err(Trouble::internal());
        }
        let bytes = if bytes.is_empty() {
            Bytes::from_static(b"null")
        } else {
            bytes
        };
        let of = serde_json::from_slice(&bytes).map_err(|_| Trouble::internal())?;
        Ok(Answer { of, tag })
    }

    fn request_of(&self, call: &Call) -> Result<actix_web::dev::ServiceRequest, Trouble> {
        let method = Method::from_bytes(call.method.as_bytes()).map_err(|_| Trouble::internal())?;
        let (query, path) = extractors();
        // actix-web makes requests in its module for tests alone.
        let mut request = TestRequest::with_uri(&call.target())
            .method(method)
            .insert_header(WEIR_ORIGIN)
            // The console's own page sends it: the check of a change's page was that of the page's request.
            .insert_header((ORIGIN, self.base()))
            .app_data(Data::clone(&self.console.admin))
            .app_data(query)
            .app_data(path);
        for name in [AUTHORIZATION, COOKIE] {
            for value in self.request.headers().get_all(&name) {
                request = request.append_header((name.clone(), value.clone()));
            }
        }
        if let Some(peer) = self.request.peer_addr() {
            request = request.peer_addr(peer);
        }
        for (name, value) in &call.values {
            let encoded = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
            request = request.param(*name, encoded);
        }
        if let Some(tag) = &call.if_match {
            request = request.insert_header((IF_MATCH, tag.as_str()));
        }
        if let Some(body) = &call.body {
            let body = body.to_string();
            request = request
                .insert_header((CONTENT_TYPE, "application/json"))
                .insert_header((CONTENT_LENGTH, body.len()))
                .set_payload(body);
        }
        Ok(request.to_srv_request())
    }

    /// Where the browser found this Weir.
    fn base(&self) -> String {
        let scheme = if self.console.encrypted {
            "https"
        } else {
            "http"
        };
        let host = self.request.headers().get(HOST);
        let host = host.and_then(|host| host.to_str().ok());
        format!("{scheme}://{}", host.unwrap_or("127.0.0.1:8778"))
    }

    /// The calls that were made, for a shell.
    #[must_use]
    pub fn curls(&self) -> Vec<String> {
        let with_token = matches!(self.caller(), Caller::Holder(_));
        let base = self.base();
        let made = self.made.borrow();
        made.iter()
            .map(|call| call.curl(&base, with_token))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_shown_as_one_line_for_a_shell_whatever_its_names_are() {
        let call = Call::new("PUT", "/v1/services/{service}/operations")
            .at("service", "a/b'c")
            .query("reason", "it's late & dark")
            .if_match("\"1-0123456789abcdef\"")
            .body(json!({"a": "it's"}));
        assert_eq!(
            call.curl("http://127.0.0.1:8778", true),
            "curl -sS -X PUT -H \"Authorization: Bearer $WEIR_TOKEN\" -H 'If-Match: \"1-0123456789abcdef\"' \
             --json '{\"a\":\"it'\\''s\"}' \
             'http://127.0.0.1:8778/v1/services/a%2Fb%27c/operations?reason=it%27s+late+%26+dark'"
        );
    }

    #[test]
    fn what_only_reads_is_known_from_what_changes() {
        assert!(!Call::get("/v1/budget").changes());
        assert!(!Call::new("POST", "/v1/configuration/preview").changes());
        assert!(
            !Call::new("POST", "/v1/boosts")
                .query("dry_run", "true")
                .changes()
        );
        assert!(
            Call::new("POST", "/v1/boosts")
                .query("dry_run", "false")
                .changes()
        );
        assert!(Call::new("PUT", "/v1/budget").changes());
    }
}
