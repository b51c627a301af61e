//! The host names that a listener answers to. This protects a listener without authentication
//! against web pages.
//!
//! A page can point its own name at 127.0.0.1 after it was loaded (DNS rebinding). Then its
//! requests have the same origin as the listener, and it can read and write like an operator. But
//! the browser still sends the page's name as `Host`, so a name that nobody configured is refused.
//! A page cannot do this with an IP address: it would have to be loaded from that address. So every
//! IP address is accepted, whichever the listener is bound to. Probes and scrapers that use a pod's
//! address need no setting.
//!
//! A page can also send some writes without reading the answer (CSRF). Browsers name the page in
//! `Origin` and `Sec-Fetch-Site`. A request that names another site as its `Origin` is refused, and a
//! write that comes from another site. A link on another site to a page here has no `Origin`.
//!
//! # Source
//! RFC 9110, 7.4 (421) and 15.5.20; RFC 6454 (`Origin`); W3C Fetch Metadata.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_http::RequestHead;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};

use crate::http::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The name of this machine for every resolver. No page can own it (RFC 6761, 6.3).
const LOCALHOST: &str = "localhost";

/// The names that a listener answers to.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    names: Vec<String>,
    flag: &'static str,
    open: &'static [&'static str],
}

impl AllowedHosts {
    /// Accepts IP addresses, `localhost` and these names. A refusal mentions the `flag` that adds a
    /// name. Paths in `open` are answered under any name: they change nothing, and reveal nothing
    /// secret.
    #[must_use]
    pub fn new(names: &[String], flag: &'static str, open: &'static [&'static str]) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        Self {
            names: names.collect(),
            flag,
            open,
        }
    }

    /// Checks that a request was meant for this listener, and which page sent it.
    ///
    /// # Errors
    /// The problem to answer with.
    pub fn check(&self, head: &RequestHead) -> Result<(), Problem> {
        if self.open.contains(&head.uri.path()) {
            return Ok(());
        }
        let host = self.host(head)?;
        let site = head.headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes());
        let mut origins = head.headers.get_all(ORIGIN).map(|origin| origin.as_bytes());
        let foreign = origins.any(|origin| !self.is_own(origin, host));
        if foreign || (site == Some(b"cross-site") && !head.method.is_safe()) {
            return Err(Problem::Forbidden(
                "a web page of another site may do nothing here".into(),
            ));
        }
        Ok(())
    }

    /// The host that the request was sent to, if it is allowed. Only programs leave it out:
    /// browsers always send one.
    fn host<'a>(&self, head: &'a RequestHead) -> Result<Option<&'a str>, Problem> {
        let header =
            host_header(&head.headers).map_err(|()| self.misdirected("several Host headers"))?;
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

    /// Whether an `Origin` is the listener's own: the host of the request or, behind a proxy that
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
            "this listener does not answer to {shown}; add {flag} {name} to weir serve, or use \
             its IP address"
        ))
    }
}

/// The `Host`, if there is one. Two of them are an attempt to be understood in two ways.
fn host_header(headers: &HeaderMap) -> Result<Option<&str>, ()> {
    let mut all = headers.get_all(HOST);
    let first = all.next().map(|host| host.to_str().map_err(|_| ()));
    match all.next() {
        Some(_) => Err(()),
        None => first.transpose(),
    }
}

/// An authority without user and port, and without the final dot of a fully qualified name.
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

/// Whether a host is an IP address as in URLs, with IPv6 in brackets. Forms that only some
/// resolvers accept, such as `127.1`, count as names.
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

    fn hosts() -> AllowedHosts {
        AllowedHosts::new(&["Weir.example".into()], "--admin-host", &["/livez"])
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
    }

    #[test]
    fn a_read_for_another_site_is_refused_and_a_link_followed() {
        let read = |path: &str, headers: &[(&HeaderName, &'static str)]| {
            let own = [(&HOST, "localhost")];
            let headers: Vec<_> = own.iter().chain(headers).copied().collect();
            hosts().check(&head(Method::GET, path, &headers))
        };
        let foreign = (&ORIGIN, "https://a.example");
        let refused = read("/v1/budget", &[foreign]);
        assert!(matches!(refused, Err(Problem::Forbidden(_))));
        let second = [(&ORIGIN, "http://localhost"), foreign];
        assert!(read("/v1/budget", &second).is_err());
        assert_eq!(read("/v1/budget", &[(&ORIGIN, "http://localhost")]), Ok(()));
        assert_eq!(read("/livez", &[foreign]), Ok(()), "it reveals nothing");
        let link = read("/docs", &[(&SEC_FETCH_SITE, "cross-site")]);
        assert_eq!(link, Ok(()));
    }
}
