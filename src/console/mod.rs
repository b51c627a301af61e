//! The operators' console: pages for browsers on the admin listener, made by this process.
//!
//! Each screen answers one question and has one main action. Pages are HTML that is whole without JavaScript: tables,
//! forms, charts. htmx and uPlot (vendored in `assets/vendor`) and `assets/console.js` add live figures, previews while
//! somebody types, and charts with a cursor. A page loads nothing from elsewhere, and its policy forbids scripts and
//! styles that stand in it: a name of a service can do nothing.
//!
//! What a screen shows is what the API answers, asked in this process by [`call::Asker`] with the rights of who looks at
//! it; each page shows these calls as curl. So nothing here reads the database or decides anything.
//!
//! # How a screen is added
//! 1. A file with `pub async fn show(asker: Asker) -> Result<HttpResponse, Trouble>`. It reads its address with
//!    [`form::Fields::of_query`]: filters, ranges and pages live there. It asks with
//!    `asker.ask::<Read>(Call::get("/v1/…").query(…)).await`, where `Read` is a private struct that derives
//!    `Deserialize` and has the fields of the answer that the screen reads. If one part fails, the page shows
//!    [`Trouble::sentence`](page::trouble::Trouble::sentence) there, and the others stay.
//! 2. Its markup, with maud: [`page::card`] for parts, `div.scroll` with `tabindex`, `role` and a label around tables,
//!    which have a caption, `th scope` and `td.figure` for figures; [`page::format`] for figures, [`page::plots`] and
//!    [`history::History::chart`] for drawings. What each plan changes stands inside `div id="live"`, forms outside of
//!    it. No `style` attribute: the policy forbids it. Lists are bounded, with a link to the next page.
//! 3. `Frame::of(&asker, SCREEN, "Title").ok(markup)` at the end, after all calls.
//! 4. Its `pub const SCREEN: Screen` in [`SCREENS`], in the order of the navigation, and its routes in [`ROUTES`]: GET
//!    for viewers, POST for operators, each `.refusing(sign_in::refuse).ignoring_others()`.
//! 5. An action is a [`form::Change`]: GET shows the form and the preview of what its fields say, POST saves with
//!    `If-Match`, and answers with 303 to a page that shows what came of it, or with the form and the trouble.
//! 6. `tests/it/console/` asserts what it says, and `tests/console/` drives its action in a browser.

pub mod assets;
mod budget;
pub mod call;
mod changes;
mod effect;
mod first;
mod fleet;
pub mod form;
mod history;
mod live;
mod overview;
pub mod page;
mod recipes;
mod rules;
mod service;
mod services;
pub mod sign_in;
mod tried;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Data, to};

pub use self::live::{Live, STREAMS_MAX};
use self::page::Screen;
use crate::access::{Guard, Need};
use crate::api::admin::Admin;
use crate::clock::Clock;
use crate::http::routes::Route;

/// The screens, in the order of the navigation.
pub const SCREENS: &[Screen] = &[
    overview::SCREEN,
    services::SCREEN,
    rules::SCREEN,
    changes::SCREEN,
    fleet::SCREEN,
    tried::SCREEN,
    first::SCREEN,
];

/// What the pages are made from.
pub struct Console {
    /// What the API's handlers need.
    pub admin: Data<Admin>,
    /// Checks who may do what.
    pub guard: Arc<Guard>,
    /// Tells open pages of new plans.
    pub live: Arc<Live>,
    /// The time all replicas agree on.
    pub clock: Arc<dyn Clock>,
    /// How often a plan is computed.
    pub interval: Duration,
    /// Whether people may sign in at a provider.
    pub signs_in: bool,
    /// Whether browsers come over TLS.
    pub encrypted: bool,
}

impl Console {
    /// How far back sparklines go: a day, or less where there is a plan every few seconds.
    fn sparkline(&self) -> &'static str {
        match self.interval.as_secs() {
            0..=5 => "30m",
            _ => "24h",
        }
    }
}

/// The pages. They need a [`Console`] as application data. They are no API: `openapi.yaml` does not have them.
pub const ROUTES: &[Route] = &[
    page_of("/", Need::Viewer, || to(overview::show)),
    page_of("/console/budget", Need::Viewer, || to(budget::show)),
    action("/console/budget", Need::Operator, || to(budget::save)),
    page_of("/console/services", Need::Viewer, || to(services::show)),
    page_of("/console/services/{service}", Need::Viewer, || {
        to(service::show)
    }),
    page_of("/console/services/{service}/settings", Need::Viewer, || {
        to(services::settings::show)
    }),
    action(
        "/console/services/{service}/settings",
        Need::Operator,
        || to(services::settings::save),
    ),
    page_of("/console/services/{service}/boost", Need::Viewer, || {
        to(service::boost::show)
    }),
    action("/console/services/{service}/boost", Need::Operator, || {
        to(service::boost::save)
    }),
    page_of("/console/rules", Need::Viewer, || to(rules::show)),
    page_of("/console/rules/add", Need::Viewer, || to(rules::add::show)),
    action("/console/rules/add", Need::Operator, || {
        to(rules::add::save)
    }),
    page_of("/console/rules/{id}", Need::Viewer, || to(rules::one::show)),
    action("/console/rules/{id}", Need::Operator, || {
        to(rules::one::save)
    }),
    page_of("/console/fleet", Need::Viewer, || to(fleet::show)),
    page_of("/console/try", Need::Viewer, || to(tried::show)),
    page_of("/console/first-run", Need::Viewer, || to(first::show)),
    action("/console/first-run", Need::Operator, || to(first::go)),
    page_of("/console/changes", Need::Viewer, || to(changes::show)),
    page_of("/console/changes/{id}", Need::Viewer, || to(changes::one)),
    page_of("/console/rollback", Need::Viewer, || {
        to(changes::rollback::show)
    }),
    action("/console/rollback", Need::Operator, || {
        to(changes::rollback::save)
    }),
    page_of("/console/live", Need::Viewer, || to(live::follow)),
    page_of("/console/sign-in", Need::Nothing, || to(sign_in::show)),
    action("/console/sign-in", Need::Nothing, || to(sign_in::begin)),
    action("/console/sign-out", Need::Anyone, || to(sign_in::end)),
    page_of("/console/assets/{file}", Need::Nothing, || to(assets::file)),
];

const fn page_of(path: &'static str, need: Need, handler: fn() -> actix_web::Route) -> Route {
    Route::new("GET", path, need, handler)
        .refusing(sign_in::refuse)
        .ignoring_others()
}

const fn action(path: &'static str, need: Need, handler: fn() -> actix_web::Route) -> Route {
    Route::new("POST", path, need, handler)
        .refusing(sign_in::refuse)
        .ignoring_others()
}
