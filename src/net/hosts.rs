//! Under which names a listener may be asked: the protection of a listener without authentication
//! against web pages.
//!
//! A page can point its own name at 127.0.0.1 once it is loaded (DNS rebinding). Its requests are
//! then of the same origin as the listener's answers: it reads and writes like an operator. The
//! browser still sends the page's name as `Host`, so a name that nobody configured is refused.
//! A page cannot do that with an address: for it to be asked as `127.0.0.1` it has to be loaded
//! from there. So every IP address is accepted, whichever the listener is bound to, and probes and
//! scrapers that use a pod's address need no setting.
//!
//! A page can also send some writes without reading the answer (CSRF). Browsers name the page in
//! `Origin` and `Sec-Fetch-Site`, so a write for another site is refused.
//!
//! # Source
//! RFC 9110, 7.4 (421) and 15.5.20; RFC 6454 (`Origin`); W3C Fetch Metadata.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_http::RequestHead;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};

use crate::http::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The name of this machine in any resolver: no page can own it (RFC 6761, 6.3).
const LOCALHOST: &str = "localhost";

/// Names that a listener answers to.
#[derive(Debug, Clone)]
pub struct Hosts {
    names: Vec<String>,
    flag: &'static str,
    open: &'static [&'static str],
}

impl Hosts {
    /// Answers to IP addresses, `localhost` and these names. A refusal names the `flag` that adds
    /// a name. Paths in `open` are answered under any name: they change nothing and say nothing
    /// that a stranger may not know.
    #[must_use]
    pub fn new(names: &[String], flag: &'static str, open: &'static [&'static str]) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        Self {
            names: names.collect(),
            flag,
            open,
        }
    }

    /// Checks for whom a request was meant, and for a write, which page sent it.
    ///
    /// # Errors
    /// The problem that refuses it.
    pub fn check(&self, head: &RequestHead) -> Result<(), Problem> {
        let host = self.host(head)?;
        if head.method.is_safe() {
            return Ok(());
        }
        let site = head.headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes());
        let origin = head.headers.get(ORIGIN).map(|origin| origin.as_bytes());
        let foreign = origin.is_some_and(|origin| !self.is_own(origin, host));
        if foreign || site == Some(b"cross-site") {
            return Err(Problem::Forbidden(
                "a page of another site may not change anything here".into(),
            ));
        }
        Ok(())
    }

    /// The authority that the request was sent to, if it names an allowed host. Only programs
    /// leave it out: browsers always send one.
    fn host<'a>(&self, head: &'a RequestHead) -> Result<Option<&'a str>, Problem> {
        if self.open.contains(&head.uri.path()) {
            return Ok(None);
        }
        let header = host_header(&head.headers).map_err(|()| self.misdirected("several hosts"))?;
        let target = head.uri.authority().map(|authority| authority.as_str());
        for authority in [header, target].into_iter().flatten() {
            if !self.allows(name_of(authority)) {
                return Err(self.misdirected(authority));
            }
        }
        Ok(target.or(header))
    }

    fn allows(&self, name: &str) -> bool {
        is_address(name)
            || name.eq_ignore_ascii_case(LOCALHOST)
            || self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Whether an `Origin` is the listener's own: the host that was asked, or, behind a proxy that
    /// rewrites the host, a configured name.
    fn is_own(&self, origin: &[u8], host: Option<&str>) -> bool {
        let origin = std::str::from_utf8(origin).ok();
        let Some((_, authority)) = origin.and_then(|origin| origin.split_once("://")) else {
            return false;
        };
        let name = name_of(authority);
        host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
            || self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    fn misdirected(&self, host: &str) -> Problem {
        let shown: String = host.chars().take(100).collect();
        let name = name_of(&shown);
        let flag = self.flag;
        Problem::Misdirected(format!(
            "this listener is not known as {shown}; start weir serve with {flag} {name} if it is \
             to be, or ask by IP address"
        ))
    }
}

/// The `Host`, if there is one; two of them are an attempt to be understood in two ways.
fn host_header(headers: &HeaderMap) -> Result<Option<&str>, ()> {
    let mut all = headers.get_all(HOST);
    let first = all.next().map(|host| host.to_str().map_err(|_| ()));
    match all.next() {
        Some(_) => Err(()),
        None => first.transpose(),
    }
}

/// An authority without user and port, and without the final dot of a full name.
fn name_of(authority: &str) -> &str {
    let host = authority.rsplit_once('@');
    let host = host.map_or(authority, |(_, host)| host);
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether a host is an IP address as URLs have it: IPv6 in brackets. Not what some resolvers
/// also take for one, such as `127.1`: those are names.
fn is_address(host: &str) -> bool {
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn head(method: Method, path: &str, headers: &[(&HeaderName, &'static str)]) -> RequestHead {
        let mut head = RequestHead::default();
        head.method = method;
        head.uri = path.parse().unwrap();
        for (name, value) in headers {
            let value = HeaderValue::from_static(value);
            head.headers.append((*name).clone(), value);
        }
        head
    }

    fn hosts() -> Hosts {
        Hosts::new(&["Weir.example".into()], "--admin-host", &["/livez"])
    }

    fn read(host: &'static str) -> Result<(), Problem> {
        hosts().check(&head(Method::GET, "/v1/budget", &[(&HOST, host)]))
    }

    #[test]
    fn addresses_localhost_and_configured_names_are_answered() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8778",
            "10.1.2.3:8778",
            "[::1]:8778",
            "[fe80::1]",
            "localhost:8778",
            "LocalHost",
            "localhost.",
            "weir.example",
            "WEIR.EXAMPLE:8778",
        ] {
            assert_eq!(read(host), Ok(()), "{host}");
        }
        let none = head(Method::GET, "/v1/budget", &[]);
        assert_eq!(hosts().check(&none), Ok(()));
    }

    #[test]
    fn other_names_are_refused_whatever_they_look_like() {
        for host in [
            "attacker.example",
            "attacker.example:8778",
            "127.0.0.1.attacker.example",
            "localhost.attacker.example",
            "localhost@attacker.example",
            "weir.example.attacker",
            "[::1].attacker.example",
            "127.1",
            "::1",
            "",
        ] {
            assert!(matches!(read(host), Err(Problem::Misdirected(_))), "{host}");
        }
        let two = [(&HOST, "localhost"), (&HOST, "attacker.example")];
        let two = head(Method::GET, "/v1/budget", &two);
        assert!(hosts().check(&two).is_err());
        let target = head(
            Method::GET,
            "http://attacker.example/v1/budget",
            &[(&HOST, "localhost")],
        );
        assert!(hosts().check(&target).is_err());
        let probe = head(Method::GET, "/livez", &[(&HOST, "attacker.example")]);
        assert_eq!(
            hosts().check(&probe),
            Ok(()),
            "probes are answered under any name"
        );
    }

    #[test]
    fn a_write_for_another_site_is_refused() {
        let write = |headers: &[(&HeaderName, &'static str)]| {
            let own = [(&HOST, "127.0.0.1:8778")];
            let headers: Vec<_> = own.iter().chain(headers).copied().collect();
            hosts().check(&head(Method::PUT, "/v1/budget", &headers))
        };
        assert_eq!(write(&[]), Ok(()), "curl names no page");
        for origin in ["http://127.0.0.1:8778", "https://weir.example"] {
            assert_eq!(write(&[(&ORIGIN, origin)]), Ok(()), "{origin}");
        }
        for origin in [
            "http://127.0.0.1:3000",
            "http://10.0.0.1",
            "https://a.example",
            "null",
        ] {
            let refused = write(&[(&ORIGIN, origin)]);
            assert!(matches!(refused, Err(Problem::Forbidden(_))), "{origin}");
        }
        assert_eq!(write(&[(&SEC_FETCH_SITE, "same-origin")]), Ok(()));
        assert!(write(&[(&SEC_FETCH_SITE, "cross-site")]).is_err());
        let foreign = [(&HOST, "localhost"), (&ORIGIN, "https://a.example")];
        let read = head(Method::GET, "/v1/budget", &foreign);
        assert_eq!(
            hosts().check(&read),
            Ok(()),
            "the browser keeps the answer from the page"
        );
    }
}
