//! The API's documentation: `openapi.yaml` itself, and a page generated from it.
//!
//! The page is one file without scripts. Its policy forbids the browser to load anything else, so
//! it looks the same on a machine without internet access. Its search is a form that asks for the same page
//! with less on it.

mod curl;
mod json;
mod node;
mod operation;
mod page;
mod schema;
mod text;

use std::sync::LazyLock;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, Responder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use yaml_rust2::{Yaml, YamlLoader};

/// The contract, from the file in the repository.
pub const OPENAPI: &str = include_str!("../../../openapi.yaml");

const STYLE: &str = include_str!("docs/style.css");

/// Rendered when it is requested for the first time.
static PAGE: LazyLock<String> = LazyLock::new(|| page::render(&DOCUMENT, STYLE, "").into_string());

static DOCUMENT: LazyLock<Yaml> = LazyLock::new(parsed);

/// Allows only the page's own style, by its digest.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
});

fn parsed() -> Yaml {
    let mut documents = YamlLoader::load_from_str(OPENAPI)
        .expect("the document is part of the program, and a test reads it");
    documents.swap_remove(0)
}

/// The page, or what a search finds of it.
pub(super) async fn page(request: HttpRequest) -> impl Responder {
    let mut given = form_urlencoded::parse(request.query_string().as_bytes());
    let search = given.find(|(name, _)| name == "q");
    let search = search.map(|(_, search)| search.trim().to_owned());
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY.as_str()));
    match search.filter(|search| !search.is_empty()) {
        Some(search) => response.body(page::render(&DOCUMENT, STYLE, &search).into_string()),
        None => response.body(PAGE.as_str()),
    }
}

/// The document itself, as YAML.
pub(super) async fn document() -> impl Responder {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/yaml"))
        .body(OPENAPI)
}
