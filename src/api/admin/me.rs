//! Who is asking.

use actix_web::Responder;
use actix_web::http::header::{CACHE_CONTROL, CacheControl, CacheDirective};
use actix_web::web::{Json, ReqData};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::access::{Caller, Role};

/// What somebody who needs no token is known by.
const LOCAL: &str = "local";

/// Who is asking, what they may do, and until when.
#[derive(Serialize)]
struct Me {
    name: String,
    kind: &'static str,
    role: &'static str,
    services: Vec<String>,
    expires_at: Option<DateTime<Utc>>,
}

/// Says who is asking.
pub(super) async fn show(caller: ReqData<Caller>) -> impl Responder {
    let me = match &*caller {
        Caller::Anybody => Me {
            name: caller.name().to_owned(),
            kind: LOCAL,
            role: Role::Admin.name(),
            services: Vec::new(),
            expires_at: None,
        },
        Caller::Holder(token) => Me {
            name: token.name.as_str().to_owned(),
            kind: token.kind.name(),
            role: token.role.name(),
            services: token.services.iter().map(ToString::to_string).collect(),
            expires_at: token.expires_at,
        },
    };
    let private = CacheControl(vec![CacheDirective::NoStore]);
    Json(me).customize().insert_header((CACHE_CONTROL, private))
}
