//! Where kept spans go: the URL of a backend, and its headers.

use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::Settings;

/// How a backend is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over HTTP, in protobuf.
    Http,
    /// OTLP over gRPC.
    Grpc,
}

/// A backend.
#[derive(Debug, Clone)]
pub struct Backend {
    /// What metrics and the log call it: its host and port.
    pub name: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// `http` or `https`, host and port, and what comes before `/v1/traces`.
    pub url: String,
    /// What each request has. Values are secret.
    pub headers: HeaderMap,
}

/// What is wrong with a backend or its headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongBackend {
    /// Its URL.
    #[error(
        "--backend {0}: give http://host:port or https://host:port, for gRPC grpc://host:port or grpcs://host:port"
    )]
    Url(String),
    /// Two of them are the same.
    #[error("--backend {0} is given twice")]
    Twice(String),
    /// The file of headers cannot be read.
    #[error("--backend-headers-file: {0}")]
    File(String),
    /// A line of it. Its value is a secret, so it is not shown.
    #[error(
        "--backend-headers-file: line {0}: write NAME: VALUE, with the number of the backend in front if there are several"
    )]
    Line(usize),
}

impl Backend {
    /// All backends of the settings, with their headers.
    ///
    /// # Errors
    /// Says which flag or line is wrong.
    pub fn all(settings: &Settings) -> Result<Vec<Self>, WrongBackend> {
        let mut backends: Vec<Self> = Vec::new();
        for url in &settings.backend {
            let backend = Self::parse(url).ok_or_else(|| WrongBackend::Url(url.clone()))?;
            if backends.iter().any(|other| other.name == backend.name) {
                return Err(WrongBackend::Twice(url.clone()));
            }
            backends.push(backend);
        }
        if let Some(path) = &settings.backend_headers_file {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| WrongBackend::File(error.to_string()))?;
            for (index, line) in text.lines().enumerate() {
                if !line.trim().is_empty() {
                    add(&mut backends, line.trim()).ok_or(WrongBackend::Line(index + 1))?;
                }
            }
        }
        Ok(backends)
    }

    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let (protocol, scheme) = match uri.scheme_str()? {
            scheme @ ("http" | "https") => (Protocol::Http, scheme),
            "grpc" => (Protocol::Grpc, "http"),
            "grpcs" => (Protocol::Grpc, "https"),
            _ => return None,
        };
        let authority = uri.authority()?;
        // A password would be in the log and in metrics.
        if authority.as_str().contains('@') || uri.query().is_some() {
            return None;
        }
        let path = uri.path().trim_end_matches('/');
        if protocol == Protocol::Grpc && !path.is_empty() {
            return None;
        }
        Some(Self {
            name: format!("{authority}{path}"),
            protocol,
            url: format!("{scheme}://{authority}{path}"),
            headers: HeaderMap::new(),
        })
    }
}

/// Adds a header to the backend that a line names, or to the only one.
fn add(backends: &mut [Backend], line: &str) -> Option<()> {
    let (name, value) = line.split_once(':')?;
    let (backend, name) = match name.trim().split_once(' ') {
        Some((number, name)) => {
            let index = number.parse::<usize>().ok()?.checked_sub(1)?;
            (backends.get_mut(index)?, name.trim())
        }
        None if backends.len() == 1 => (&mut backends[0], name.trim()),
        None => return None,
    };
    let name: HeaderName = name.parse().ok()?;
    let mut value: HeaderValue = value.trim().parse().ok()?;
    value.set_sensitive(true);
    backend.headers.insert(name, value);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_the_protocol() {
        for (url, protocol, expected) in [
            ("http://jaeger:4318", Protocol::Http, "http://jaeger:4318"),
            (
                "https://otlp.example.com/otlp/",
                Protocol::Http,
                "https://otlp.example.com/otlp",
            ),
            ("grpc://tempo:4317", Protocol::Grpc, "http://tempo:4317"),
            ("grpcs://tempo:443", Protocol::Grpc, "https://tempo:443"),
        ] {
            let backend = Backend::parse(url).unwrap();
            assert_eq!((backend.protocol, &*backend.url), (protocol, expected));
        }
        for url in [
            "jaeger:4318",
            "ftp://jaeger",
            "http://user:secret@jaeger",
            "grpc://tempo/path",
            "http://a?b",
            "",
        ] {
            assert!(Backend::parse(url).is_none(), "{url}");
        }
    }

    #[test]
    fn a_header_goes_to_its_backend_alone() {
        let backend = |url| Backend::parse(url).unwrap();
        let mut one = [backend("http://a:1")];
        add(&mut one, "api-key: x").unwrap();
        assert_eq!(one[0].headers["api-key"], "x");
        let mut two = [backend("http://a:1"), backend("http://b:1")];
        add(&mut two, "2 api-key: y: z").unwrap();
        assert!(two[0].headers.is_empty());
        assert_eq!(two[1].headers["api-key"], "y: z");
        for line in [
            "api-key: x",
            "3 api-key: x",
            "0 api-key: x",
            "1 api key: x",
            "nothing",
        ] {
            assert!(add(&mut two, line).is_none(), "{line}");
        }
    }
}
