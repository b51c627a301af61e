//! An HTTP client that follows links, forms, redirects and cookies as a browser does.
//!
//! # Source
//! RFC 6265bis, 5.2 and 5.8.3: a request is same-site if who begins it, and every redirect on the way, is of
//! that site. A site is a host here: ports do not matter to cookies.

use std::collections::BTreeMap;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};

/// A cookie, with what decides where it is sent.
#[derive(Debug, Clone)]
pub struct Stored {
    host: String,
    path: String,
    same_site: String,
    pub value: String,
    pub line: String,
}

/// A page that was reached.
#[derive(Debug)]
pub struct Page {
    pub url: String,
    pub status: u16,
    pub text: String,
    /// The URLs that led here.
    pub way: Vec<String>,
}

pub struct Browser {
    client: Client,
    jar: BTreeMap<(String, String), Stored>,
    /// Goes no further than to this path, which it does not ask for.
    pub stop: Option<&'static str>,
}

/// Who begins a navigation.
#[derive(Debug, Clone, Copy)]
pub enum From<'a> {
    /// Somebody who types an address.
    Nobody,
    /// A page.
    Page(&'a str),
}

pub fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let authority = rest.split(['/', '?']).next().unwrap();
    format!("{scheme}://{authority}")
}

fn host(url: &str) -> String {
    let origin = origin(url);
    let authority = origin.split_once("://").unwrap().1;
    authority.split(':').next().unwrap().to_owned()
}

fn path(url: &str) -> &str {
    let rest = &url[origin(url).len()..];
    let path = rest.split('?').next().unwrap();
    if path.is_empty() { "/" } else { path }
}

impl Browser {
    pub fn new() -> Self {
        let client = Client::builder().redirect(Policy::none());
        Self {
            client: client.build().unwrap(),
            jar: BTreeMap::new(),
            stop: None,
        }
    }

    /// A cookie by its name.
    pub fn cookie(&self, name: &str) -> Option<&Stored> {
        let mut jar = self.jar.iter();
        jar.find(|((_, of), _)| of == name)
            .map(|(_, stored)| stored)
    }

    /// The value of `Cookie` for a request.
    pub fn cookies(&self, url: &str, same_site: bool, method: &Method) -> String {
        let sent = self.jar.iter().filter(|((of, _), stored)| {
            let may = match stored.same_site.as_str() {
                "strict" => same_site,
                "none" => true,
                "lax" => same_site || *method == Method::GET,
                other => panic!("every cookie here says where it is sent: {other}"),
            };
            *of == host(url) && path(url).starts_with(&stored.path) && may
        });
        let pairs: Vec<_> = sent
            .map(|((_, name), stored)| format!("{name}={}", stored.value))
            .collect();
        pairs.join("; ")
    }

    /// Goes to an address, and follows redirects and pages that lead on until one does not.
    pub async fn go(&mut self, url: &str, from: From<'_>) -> Page {
        let begun = self.follow(Method::GET, url, None, from).await;
        self.lead_on(begun).await
    }

    /// Sends the form of a page, and goes on.
    pub async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let action = page.text.split_once("action=\"").expect("a form").1;
        let action = resolved(&page.url, action.split('"').next().unwrap());
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let sent = self.follow(
            Method::POST,
            &action,
            Some(form.finish()),
            From::Page(&page.url),
        );
        let sent = sent.await;
        self.lead_on(sent).await
    }

    /// Goes where a page leads by itself.
    async fn lead_on(&mut self, page: Page) -> Page {
        let Some((_, to)) = page.text.split_once("content=\"0;url=") else {
            return page;
        };
        let to = resolved(&page.url, to.split('"').next().unwrap());
        let mut reached = self
            .follow(Method::GET, &to, None, From::Page(&page.url))
            .await;
        reached.way = [page.way, reached.way].concat();
        reached
    }

    async fn follow(
        &mut self,
        method: Method,
        url: &str,
        form: Option<String>,
        from: From<'_>,
    ) -> Page {
        let (mut method, mut url, mut form) = (method, url.to_owned(), form);
        let mut same_site = match from {
            From::Nobody => true,
            From::Page(page) => host(page) == host(&url),
        };
        let mut way = Vec::new();
        for _ in 0..20 {
            way.push(url.clone());
            if self.stop.is_some_and(|stop| path(&url) == stop) {
                return Page {
                    url,
                    status: 0,
                    text: String::new(),
                    way,
                };
            }
            let cookies = self.cookies(&url, same_site, &method);
            let mut request = self.client.request(method.clone(), &url);
            if !cookies.is_empty() {
                request = request.header("Cookie", cookies);
            }
            let site = match from {
                From::Nobody => "none",
                From::Page(page) if origin(page) == origin(&url) && same_site => "same-origin",
                From::Page(_) if same_site => "same-site",
                From::Page(_) => "cross-site",
            };
            request = request.header("Sec-Fetch-Site", site);
            if let (From::Page(page), true) = (from, method != Method::GET) {
                request = request.header("Origin", origin(page));
            }
            if let Some(form) = form.take() {
                let kind = "application/x-www-form-urlencoded";
                request = request.header("Content-Type", kind).body(form);
            }
            let answer = request.send().await.unwrap();
            self.keep(&url, &answer);
            let status = answer.status().as_u16();
            let Some(to) = answer.headers().get("location") else {
                return Page {
                    url,
                    status,
                    text: answer.text().await.unwrap(),
                    way,
                };
            };
            let to = resolved(&url, to.to_str().unwrap());
            same_site &= host(&to) == host(&url);
            (method, url) = (Method::GET, to);
        }
        panic!("it leads nowhere: {way:?}");
    }

    fn keep(&mut self, url: &str, answer: &Response) {
        for line in answer.headers().get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let mut parts = line.split(';').map(str::trim);
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let attributes: BTreeMap<String, String> = parts
                .map(|part| part.split_once('=').unwrap_or((part, "")))
                .map(|(name, value)| (name.to_lowercase(), value.to_lowercase()))
                .collect();
            let stored = Stored {
                host: host(url),
                path: line
                    .to_lowercase()
                    .find("path=")
                    .map(|at| line[at + 5..].split(';').next().unwrap().to_owned())
                    .unwrap_or("/".into()),
                same_site: attributes.get("samesite").cloned().unwrap_or_default(),
                value: value.to_owned(),
                line: line.to_owned(),
            };
            let key = (stored.host.clone(), name.to_owned());
            let gone = attributes.get("max-age").is_some_and(|age| age == "0")
                || attributes
                    .get("expires")
                    .is_some_and(|at| at.contains("1970"));
            match gone {
                true => self.jar.remove(&key),
                false => self.jar.insert(key, stored),
            };
        }
    }
}

fn resolved(base: &str, to: &str) -> String {
    match to.starts_with('/') {
        true => format!("{}{to}", origin(base)),
        false => to.to_owned(),
    }
}
