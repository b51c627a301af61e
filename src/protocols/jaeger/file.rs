//! The strategies of all services as one file, as Jaeger reads them.
//!
//! Jaeger and the Collector's `jaegerremotesampling` extension take a URL in place of a file. They
//! fetch it whole within a second, compare it byte for byte with the one before, and answer SDKs from
//! it. An answer of 503 makes them sample everything at 0.001, so there is none: before the first
//! plan the file says what Weir itself answers then, the initial probability for everybody.
//!
//! # Source
//! Jaeger's file-based sampling. It checks nothing, and adds the operations of `default_strategy` to
//! every service; so there are none.

pub mod document;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, ETAG, EntityTag, Header, HeaderValue, IfNoneMatch, VARY,
};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};

use super::http::{describe, send as send_body};
use super::{About, Json};
use crate::protocols::encoded::Body;
use crate::snapshot::{Audience, Served, Snapshot};
use crate::telemetry::metrics::{FileOutcome, Metrics};

/// Where it is.
pub const PATH: &str = "/strategies.json";

/// The largest file, in bytes. A client has a second for it: over 200 Mbit/s that is enough for a
/// file of this size that is not compressed.
pub const BYTES_MAX: usize = 16 << 20;

/// The bytes of the digest in the entity tag.
const TAG_BYTES: usize = 16;

/// The file, made when a plan is installed.
#[derive(Clone)]
pub struct File {
    made: Arc<Made>,
    about: About,
}

struct Made {
    current: ArcSwap<Version>,
    metrics: Arc<Metrics>,
}

struct Version {
    body: Body,
    tag: EntityTag,
    snapshot: Arc<Snapshot>,
}

impl File {
    /// Makes the file of the current snapshot now, and of each later one when it is installed.
    #[must_use]
    pub fn attach(served: &Served, about: About) -> Self {
        let metrics = Arc::clone(&about.metrics);
        let made = served.attach(|snapshot| Made {
            current: ArcSwap::from_pointee(Version::make(snapshot, None, &metrics)),
            metrics,
        });
        Self { made, about }
    }
}

impl Audience for Made {
    fn take(&self, snapshot: &Arc<Snapshot>) {
        let previous = self.current.load_full();
        let next = Version::make(snapshot, Some(&previous), &self.metrics);
        self.current.store(Arc::new(next));
    }

    fn bytes(&self) -> usize {
        self.current.load().body.plain().len()
    }
}

impl Version {
    fn make(snapshot: &Arc<Snapshot>, previous: Option<&Self>, metrics: &Metrics) -> Self {
        let (bytes, omitted) = document::encode(snapshot, BYTES_MAX);
        metrics.file_bytes.set(bytes.len() as f64);
        metrics.file_omitted.set(omitted as f64);
        let body = Body::new(&Json, bytes, previous.map(|previous| &previous.body));
        Self {
            tag: tag(&body.plain()),
            body,
            snapshot: Arc::clone(snapshot),
        }
    }
}

/// Weak, because the compressed file has the same tag.
fn tag(bytes: &[u8]) -> EntityTag {
    let digest = Sha256::digest(bytes);
    let digits = digest.iter().take(TAG_BYTES);
    EntityTag::new_weak(digits.map(|byte| format!("{byte:02x}")).collect())
}

/// Sends the file, unless the client has it already.
pub(super) async fn send(request: HttpRequest, file: Data<File>) -> HttpResponse {
    let version = file.made.current.load();
    let requests = &file.about.metrics.file_requests;
    let mut response = HttpResponse::Ok();
    describe(&mut response, file.about.plan(&version.snapshot));
    response
        .insert_header((ETAG, version.tag.to_string()))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    if has(&request, &version.tag) {
        requests.of(FileOutcome::Unchanged).inc();
        response.insert_header((VARY, HeaderValue::from_static("accept-encoding")));
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    requests.of(FileOutcome::Sent).inc();
    send_body(&request, response, &version.body)
}

fn has(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}
