//! What all pages share: the frame with the navigation, and the parts that screens are made of.
//!
//! [`Frame`] is the page around a screen, [`trouble::Trouble`] what went wrong, [`format`] how figures are written,
//! [`plots`] the small drawings in tables, [`chart`] the large ones.

pub mod chart;
pub mod format;
pub mod plots;
pub mod trouble;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use maud::{DOCTYPE, Markup, html};

use self::format::length;
use self::trouble::Trouble;
use super::assets::{self, Asset};
use super::call::Asker;
use crate::access::Caller;
use crate::allocation::Serving;

/// A page loads what this listener serves and nothing else, and runs no script and applies no style that stands in it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// htmx evaluates nothing, adds no style, and swaps what the server refuses, too.
const HTMX: &str = "includeIndicatorCSS:false, history:false";

const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (CACHE_CONTROL, "no-store"),
    // With no-referrer, browsers would say `Origin: null` of forms.
    (REFERRER_POLICY, "same-origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
];

/// A screen in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Where it is.
    pub path: &'static str,
    /// What it is called.
    pub name: &'static str,
}

/// The page around a screen.
pub struct Frame {
    title: String,
    current: Option<Screen>,
    status: Option<Status>,
    curls: Vec<String>,
}

/// What the head of each page says.
struct Status {
    plan: u64,
    age_seconds: Option<f64>,
    stale: bool,
    instead: Option<String>,
    who: Option<Who>,
}

/// Who signed in.
struct Who {
    name: String,
    role: &'static str,
    is_session: bool,
}

impl Frame {
    /// A page that knows nothing of who is asking.
    #[must_use]
    pub fn bare(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            current: None,
            status: None,
            curls: Vec::new(),
        }
    }

    /// The page of a screen, with the calls that were made for it.
    #[must_use]
    pub fn of(asker: &Asker, current: Screen, title: &str) -> Self {
        Self {
            title: title.to_owned(),
            current: Some(current),
            status: Some(Status::of(asker)),
            curls: asker.curls(),
        }
    }

    /// The answer, of a page that is in order.
    #[must_use]
    pub fn ok(self, main: Markup) -> HttpResponse {
        self.answer(StatusCode::OK, main)
    }

    /// The answer, of a page with a form that may have been refused.
    #[must_use]
    pub fn after(self, refused: Option<&Trouble>, main: Markup) -> HttpResponse {
        let status = refused.map_or(StatusCode::OK, |trouble| trouble.status);
        self.answer(status, main)
    }

    /// The answer.
    #[must_use]
    pub fn answer(self, status: StatusCode, main: Markup) -> HttpResponse {
        Self::raw(status, self.page(&main))
    }

    /// The answer with a page that has no frame.
    #[must_use]
    pub fn raw(status: StatusCode, page: Markup) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(status);
        for (name, value) in HEADERS {
            response.insert_header((name, HeaderValue::from_static(value)));
        }
        response.body(page.into_string())
    }

    fn page(&self, main: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                (self.head())
                body {
                    a.skip href="#main" { "Skip to the content" }
                    (self.bar())
                    main id="main" tabindex="-1" { (main) }
                    (self.calls())
                    p id="said" .unseen role="status" aria-live="polite" {}
                }
            }
        }
    }

    fn head(&self) -> Markup {
        html! {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX);
                title { (self.title) " · Weir" }
                link rel="icon" type="image/svg+xml" href=(assets::url(Asset::Icon));
                link rel="stylesheet" href=(assets::url(Asset::PlotStyle));
                link rel="stylesheet" href=(assets::url(Asset::Style));
                // Before anything is drawn: the theme that somebody chose.
                script src=(assets::url(Asset::Theme)) {}
                script defer src=(assets::url(Asset::Htmx)) {}
                script defer src=(assets::url(Asset::Plot)) {}
                script defer src=(assets::url(Asset::Script)) {}
            }
        }
    }

    fn bar(&self) -> Markup {
        html! {
            header.bar {
                a.brand href="/" { "Weir" }
                nav aria-label="Screens" {
                    ul {
                        @for screen in super::SCREENS {
                            li {
                                a href=(screen.path)
                                    aria-current=[(self.current == Some(*screen)).then_some("page")] {
                                    (screen.name)
                                }
                            }
                        }
                        li { a href="/docs" { "API" } }
                    }
                }
                @if let Some(status) = &self.status { (status.shown()) }
                button.theme type="button" id="theme" hidden { "Theme" }
            }
        }
    }

    fn calls(&self) -> Markup {
        html! {
            @if !self.curls.is_empty() {
                footer {
                    details.calls {
                        summary { "The API calls behind this page, as curl" }
                        @for curl in &self.curls {
                            div.call {
                                pre tabindex="0" aria-label="API call" { code { (curl) } }
                                button.copy type="button" hidden { "Copy" }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Status {
    fn of(asker: &Asker) -> Self {
        let admin = &asker.console.admin;
        let snapshot = admin.served.snapshot();
        let age_seconds = snapshot.age_seconds(admin.clock.now());
        let factor = snapshot.cuts().factor();
        let instead = match snapshot.plan().serving() {
            _ if factor < 1.0 => Some(format!(
                "emergency: everything × {}",
                format::number(factor)
            )),
            Serving::Plan => None,
            Serving::Freeze => Some("frozen".to_owned()),
            Serving::Observe => Some("only observes".to_owned()),
        };
        let who = match asker.caller() {
            Caller::Anybody => None,
            Caller::Holder(token) => Some(Who {
                name: token.name.as_str().to_owned(),
                role: token.role.name(),
                is_session: token.kind == crate::access::TokenKind::Session,
            }),
        };
        Self {
            plan: snapshot.plan().number,
            stale: age_seconds.is_some_and(|age| age > admin.stale_after_seconds),
            age_seconds,
            instead,
            who,
        }
    }

    fn shown(&self) -> Markup {
        html! {
            p.status {
                @if let Some(age) = self.age_seconds {
                    span id="plan" data-plan=(self.plan) data-age=(age.round()) .late[self.stale] {
                        "plan " (self.plan) " · " span.age { (length(age)) " ago" }
                        @if self.stale { " · stale" }
                    }
                } @else {
                    span id="plan" data-plan="0" { "no plan yet" }
                }
                @if let Some(instead) = &self.instead { " · " strong.warn { (instead) } }
            }
            @if let Some(who) = &self.who {
                @if who.is_session {
                    form.out method="post" action="/console/sign-out" {
                        span title=(format!("role {}", who.role)) { (who.name) }
                        button type="submit" { "Sign out" }
                    }
                } @else {
                    span.out title=(format!("role {}", who.role)) { (who.name) }
                }
            }
        }
    }
}

/// A part of a page, with a title.
#[must_use]
pub fn card(id: &str, title: &str, body: &Markup) -> Markup {
    html! {
        section.card aria-labelledby=(format!("{id}-title")) id=(id) {
            h2 id=(format!("{id}-title")) { (title) }
            (body)
        }
    }
}

/// A link to a service.
#[must_use]
pub fn service_link(name: &str) -> Markup {
    html! { a.name href=(service_path(name)) { (name) } }
}

/// Where a service is.
#[must_use]
pub fn service_path(name: &str) -> String {
    format!("/console/services/{}", encoded(name))
}

/// A text in a path.
#[must_use]
pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A path with these parameters.
#[must_use]
pub fn link(path: &str, query: &[(&str, &str)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(query);
    format!("{path}?{}", text.finish())
}
