//! Route tables: the routes of a listener, as values that can be registered and read.
//!
//! A table is the only way to register a route, so every route is in one. The contract test
//! compares the tables with `openapi.yaml`.

use std::future::ready;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::guard::fn_guard;
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{PathConfig, QueryConfig, ServiceConfig, resource, to};
use actix_web::{Error, HttpResponse};

use super::authorize::{Refuse, as_problem, authorize};
use super::problem::Problem;
use super::request_id::identify;
use crate::access::{Guard, Need};

/// One method of one path, and the query parameters it takes.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The method's name.
    pub method: &'static str,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// What it needs from who calls it.
    pub need: Need,
    /// The names of its query parameters.
    pub query: &'static [&'static str],
    /// Whether other query parameters are ignored; otherwise a request with one is refused.
    pub ignores_others: bool,
    /// Whether its requests have ids, in log lines and answers.
    pub identified: bool,
    refuse: Refuse,
    handler: fn() -> actix_web::Route,
}

impl Route {
    /// A route without query parameters, for a handler like `|| to(handler)`.
    #[must_use]
    pub const fn new(
        method: &'static str,
        path: &'static str,
        need: Need,
        handler: fn() -> actix_web::Route,
    ) -> Self {
        Self {
            method,
            path,
            need,
            query: &[],
            ignores_others: false,
            identified: true,
            refuse: as_problem,
            handler,
        }
    }

    /// Answers who may not call it in another form than a problem document.
    #[must_use]
    pub const fn refusing(mut self, refuse: Refuse) -> Self {
        self.refuse = refuse;
        self
    }

    /// Accepts these query parameters.
    #[must_use]
    pub const fn query(mut self, names: &'static [&'static str]) -> Self {
        self.query = names;
        self
    }

    /// Ignores unknown query parameters, for clients that nobody can change.
    #[must_use]
    pub const fn ignoring_others(mut self) -> Self {
        self.ignores_others = true;
        self
    }

    /// Gives its requests no ids: they are too frequent to be logged, or the handler gives them.
    #[must_use]
    pub const fn unidentified(mut self) -> Self {
        self.identified = false;
        self
    }

    /// Answers a request that was made in this process as one that came to the listener, with the same checks.
    ///
    /// # Errors
    /// As its handler.
    pub async fn answer(
        self,
        guard: &Arc<Guard>,
        request: ServiceRequest,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        let route = self.registered(self.method, guard).new_service(()).await;
        let route = route.map_err(|()| Problem::Internal)?;
        route.call(request).await
    }

    /// The methods that it answers. Where there is GET, there is HEAD; the server then sends only
    /// the head (RFC 9110, 9.3.2).
    fn methods(&self) -> impl Iterator<Item = &'static str> {
        let head = (self.method == "GET").then_some("HEAD");
        [self.method].into_iter().chain(head)
    }

    fn registered(self, method: &'static str, guard: &Arc<Guard>) -> actix_web::Route {
        let method = Method::from_bytes(method.as_bytes()).expect("a method's name is ASCII");
        // actix's own guard for methods makes a list of them for each request, for an answer that is not used here.
        let is_of_method = fn_guard(move |context| context.head().method == method);
        let mut route = (self.handler)().guard(is_of_method);
        if !self.ignores_others {
            route = route.wrap(from_fn(move |request, next| {
                refuse_others(self.query, request, next)
            }));
        }
        if self.need != Need::Nothing {
            let guard = Arc::clone(guard);
            route = route.wrap(from_fn(move |request, next| {
                authorize(Arc::clone(&guard), self.need, self.refuse, request, next)
            }));
        }
        if self.identified {
            route = route.wrap(from_fn(identify));
        }
        route
    }
}

/// Registers a table, whose requests the guard checks. A path's other methods are answered with 405.
pub fn register(config: &mut ServiceConfig, table: &[Route], guard: &Arc<Guard>) {
    for (index, first) in table.iter().enumerate() {
        let is_same = |other: &&Route| other.path == first.path;
        if table[..index].iter().any(|before| is_same(&before)) {
            continue;
        }
        let same: Vec<&Route> = table[index..].iter().filter(is_same).collect();
        let methods: Vec<&str> = same.iter().flat_map(|route| route.methods()).collect();
        let allowed = methods.join(", ");
        let mut registered = resource(first.path);
        for route in same {
            for method in route.methods() {
                registered = registered.route(route.registered(method, guard));
            }
        }
        config.service(registered.default_service(to(move || {
            let problem = Problem::MethodNotAllowed(allowed.clone());
            ready(Err::<HttpResponse, _>(problem))
        })));
    }
}

/// Extractors whose errors are problem documents.
#[must_use]
pub fn extractors() -> (QueryConfig, PathConfig) {
    let malformed = |detail: String| Problem::Malformed {
        field: String::new(),
        detail,
    };
    let query =
        QueryConfig::default().error_handler(move |error, _| malformed(error.to_string()).into());
    let path =
        PathConfig::default().error_handler(move |error, _| malformed(error.to_string()).into());
    (query, path)
}

/// Refuses unknown parameters. If they were ignored, a misspelled one would return another answer
/// than the one asked for.
async fn refuse_others(
    known: &'static [&'static str],
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut query = form_urlencoded::parse(request.query_string().as_bytes());
    let unknown = query.find(|(name, _)| !known.contains(&&**name));
    if let Some(field) = unknown.map(|(name, _)| name.into_owned()) {
        let detail = "is not a parameter of this path".into();
        return Ok(request.error_response(Problem::Malformed { field, detail }));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}
