//! An answer, compared with the document.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;
use yaml_rust2::YamlLoader;

use super::document::{Document, Operation, object, value};

/// Headers that every HTTP answer may have.
const COMMON: [&str; 6] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "transfer-encoding",
    "x-request-id",
];

/// An answer, its body decompressed.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned()))
            .collect();
        let raw = response.bytes().await.expect("a body");
        let mut answer = Self {
            status,
            headers,
            body: Vec::new(),
        };
        if answer.header("content-encoding") == Some("gzip") {
            let mut packed = flate2::read::GzDecoder::new(&raw[..]);
            packed.read_to_end(&mut answer.body).expect("gzip");
        } else {
            answer.body = raw.to_vec();
        }
        answer
    }

    /// The answer to a request whose body never comes.
    pub fn of_silence(address: &str, head: &str) -> Self {
        let mut connection = TcpStream::connect(address).expect("a listener");
        connection.write_all(head.as_bytes()).expect("sent");
        let mut text = String::new();
        // The server may close without having read the body.
        let _ = connection.read_to_string(&mut text);
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        Self {
            status: status.and_then(|code| code.parse().ok()).expect("a status"),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: body.into(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| &**value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Everything in it that differs from the document.
    pub fn errors(&self, document: &Document, operation: &Operation) -> Vec<String> {
        let Some(documented) = operation.responses.get(&self.status) else {
            return vec!["the status is not documented".into()];
        };
        let mut errors = self.header_errors(document, documented);
        if self.header("x-request-id").is_some() == operation.is_polled() {
            errors.push("every answer but to polls has a request id".into());
        }
        if self.body.is_empty() && documented.get("content").is_none() {
            return errors;
        }
        let kind = self.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        match documented["content"].get(kind) {
            Some(content) => {
                errors.extend(document.errors(&content["schema"], &self.decoded(kind)));
            }
            None => errors.push(format!("the content type {kind:?} is not documented")),
        }
        errors
    }

    fn decoded(&self, kind: &str) -> Value {
        if kind == "application/x-protobuf" {
            return Value::from(String::from_utf8_lossy(&self.body));
        }
        let text = std::str::from_utf8(&self.body).expect("UTF-8");
        match kind {
            "application/yaml" => value(&YamlLoader::load_from_str(text).expect("YAML")[0]),
            "text/html" | "text/plain" | "application/x-ndjson" => Value::from(text),
            _ => self.json(),
        }
    }

    fn header_errors(&self, document: &Document, documented: &Value) -> Vec<String> {
        let mut errors = Vec::new();
        let mut known: BTreeSet<String> = COMMON.map(String::from).into();
        for (name, header) in object(&documented["headers"]) {
            let header = document.resolved(header);
            known.insert(name.to_lowercase());
            match self.header(&name.to_lowercase()) {
                Some(text) => {
                    let kind = header["schema"]["type"].as_str();
                    let value = match kind {
                        Some("integer" | "boolean") => serde_json::from_str(text).expect("JSON"),
                        _ => Value::from(text),
                    };
                    errors.extend(document.errors(&header["schema"], &value));
                }
                None if header["required"] == true => errors.push(format!("{name} is missing")),
                None => {}
            }
        }
        let unknown = self
            .headers
            .iter()
            .filter(|(name, _)| !known.contains(name));
        errors.extend(unknown.map(|(name, _)| format!("{name} is not documented")));
        errors
    }
}
