//! Weir's own metrics.

use actix_web::HttpResponse;
use actix_web::web::{Data, block, to};

use crate::access::Need;
use crate::http::problem::Problem;
use crate::http::routes::Route;
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{Exposition, MEDIA_TYPE};
use crate::telemetry::seldom::log_seldom;

/// The route. It needs an [`Exposition`] as application data. Scrapers may add any query.
pub const ROUTES: &[Route] =
    &[Route::new("GET", "/metrics", Need::Scraper, || to(tell)).ignoring_others()];

/// Returns all metrics. They are encoded on another thread, because a large fleet's figures take a
/// moment to add up.
async fn tell(exposition: Data<Exposition>) -> Result<HttpResponse, Problem> {
    let exposition = exposition.into_inner();
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
