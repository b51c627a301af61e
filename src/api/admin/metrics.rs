//! Weir's own metrics.

use actix_web::HttpResponse;
use actix_web::web::{Data, block};

use super::Admin;
use crate::http::problem::Problem;
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::MEDIA_TYPE;
use crate::telemetry::seldom::log_seldom;

/// Returns all metrics. They are encoded on another thread, because a large fleet's figures take a
/// moment to add up.
pub(super) async fn tell(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let exposition = admin.exposition.clone();
    let rendered = block(move || exposition.render()).await;
    match rendered {
        Ok(Ok(text)) => Ok(HttpResponse::Ok().content_type(MEDIA_TYPE).body(text)),
        Ok(Err(error)) => {
            log_seldom!(
                error,
                error = chain(&error),
                "the metrics could not be encoded"
            );
            Err(Problem::Internal)
        }
        Err(error) => {
            log_seldom!(
                error,
                error = chain(&error),
                "the metrics could not be told"
            );
            Err(Problem::Internal)
        }
    }
}
