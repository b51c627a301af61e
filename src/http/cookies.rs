//! The two cookies that Weir sets: of an attempt to sign in, and of a session.
//!
//! A page of another site cannot use a session: browsers send its cookie (`SameSite=Strict`) with requests of this
//! site's own pages alone. So it does not come with the redirect from the provider either, for which there is the
//! cookie of the attempt (`Lax`): it lasts for ten minutes and is good for one answer of the provider.
//!
//! # Source
//! RFC 6265bis: the prefix `__Host-` keeps other hosts of a domain from setting such a cookie.

use actix_web::http::header::{COOKIE, HeaderMap};

/// A cookie that Weir sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    encrypted: &'static str,
    plain: &'static str,
    same_site: &'static str,
}

/// The session of somebody who signed in.
pub const SESSION: Cookie = Cookie {
    encrypted: "__Host-weir_session",
    plain: "weir_session",
    same_site: "Strict",
};

/// An attempt to sign in.
pub const ATTEMPT: Cookie = Cookie {
    encrypted: "__Host-weir_sign_in",
    plain: "weir_sign_in",
    same_site: "Lax",
};

impl Cookie {
    /// Its name, by whether browsers come over TLS.
    #[must_use]
    pub fn name(self, encrypted: bool) -> &'static str {
        if encrypted {
            self.encrypted
        } else {
            self.plain
        }
    }

    /// The value of `Set-Cookie` that sets it for this number of seconds; 0 removes it.
    #[must_use]
    pub fn set(self, encrypted: bool, value: &str, seconds: i64) -> String {
        let secure = if encrypted { "; Secure" } else { "" };
        format!(
            "{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={}{secure}",
            self.name(encrypted),
            self.same_site
        )
    }
}

/// The value of a cookie. Of several with its name, none is taken: one of them is not ours.
#[must_use]
pub fn find<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers
        .get_all(COOKIE)
        .filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';'));
    let mut named = pairs.filter_map(|pair| {
        let (of, value) = pair.split_once('=')?;
        (of.trim() == name).then(|| value.trim())
    });
    let found = named.next();
    found.filter(|_| named.next().is_none())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_once() {
        let found = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_static(line));
            }
            find(&headers, "weir_session").map(str::to_owned)
        };
        assert_eq!(
            found(&["a=1; weir_session=x=y ;b=2"]).as_deref(),
            Some("x=y")
        );
        assert_eq!(found(&["a=1", "weir_session=x"]).as_deref(), Some("x"));
        for none in [
            "",
            "weir_session",
            "Weir_session=x",
            "xweir_session=x",
            ";;=",
        ] {
            assert_eq!(found(&[none]), None, "{none}");
        }
        assert_eq!(found(&["weir_session=x; weir_session=y"]), None);
        let set = SESSION.set(true, "x", 60);
        assert_eq!(
            set,
            "__Host-weir_session=x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"
        );
        assert!(!ATTEMPT.set(false, "x", 0).contains("Secure"));
    }
}
