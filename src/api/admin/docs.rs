//! The API's documentation: `openapi.yaml` itself, and a page generated from it.
//!
//! The page is one file without scripts. Its policy forbids the browser to load anything else, so
//! it looks the same on a machine without internet access.

mod json;
mod node;
mod operation;
mod page;
mod schema;
mod text;

use std::sync::LazyLock;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::{HttpResponse, Responder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use yaml_rust2::{Yaml, YamlLoader};

/// The contract, from the file in the repository.
pub const OPENAPI: &str = include_str!("../../../openapi.yaml");

const STYLE: &str = include_str!("docs/style.css");

/// Rendered when it is requested for the first time.
static PAGE: LazyLock<String> = LazyLock::new(|| page::render(&parsed(), STYLE).into_string());

/// Allows only the page's own style, by its digest.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

fn parsed() -> Yaml {
    let mut documents = YamlLoader::load_from_str(OPENAPI)
        .expect("the document is part of the program, and a test reads it");
    documents.swap_remove(0)
}

/// The page.
pub(super) async fn page() -> impl Responder {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY.as_str()))
        .body(PAGE.as_str())
}

/// The document itself, as YAML.
pub(super) async fn document() -> impl Responder {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/yaml"))
        .body(OPENAPI)
}
