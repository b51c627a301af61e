//! The plan for edges: `GET /v1/edges/plan`, a long poll. docs/edge.md describes the document.
//!
//! The body is encoded once for each snapshot. An edge that waits costs a connection and a place.

pub mod document;
mod http;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::protocols::encoded::Body;
use crate::protocols::jaeger::Json;
use crate::snapshot::{Audience, EdgeAsks, Served, Snapshot};
use crate::telemetry::metrics::Metrics;

pub use http::ROUTES;

/// The bytes of the digest in the tag.
const TAG_BYTES: usize = 16;

/// The plan as edges get it.
struct Version {
    body: Body,
    /// With its quotes.
    tag: String,
}

/// The newest version, and who waits for the next one.
struct Made {
    current: watch::Sender<Arc<Version>>,
    asks: Arc<EdgeAsks>,
}

/// What answers edges.
#[derive(Clone)]
pub struct EdgePlans {
    made: Arc<Made>,
    asks: Arc<EdgeAsks>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl EdgePlans {
    /// Encodes the current snapshot now, and each later one when it is installed.
    #[must_use]
    pub fn attach(served: &Served, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let asks = served.edge_asks();
        let made = served.attach(|snapshot| Made {
            current: watch::Sender::new(Arc::new(Version::make(snapshot, None, &asks))),
            asks: Arc::clone(&asks),
        });
        Self {
            made,
            asks,
            clock,
            metrics,
        }
    }
}

impl Audience for Made {
    fn take(&self, snapshot: &Arc<Snapshot>) {
        let previous = Arc::clone(&self.current.borrow());
        let next = Version::make(snapshot, Some(&previous), &self.asks);
        if next.tag != previous.tag {
            self.current.send_replace(Arc::new(next));
        }
    }

    fn bytes(&self) -> usize {
        self.current.borrow().body.plain().len()
    }
}

impl Version {
    fn make(snapshot: &Snapshot, previous: Option<&Self>, asks: &EdgeAsks) -> Self {
        let bytes = document::encode(snapshot);
        let body = Body::new(&Json, bytes, previous.map(|previous| &previous.body));
        let tag = tag(&body.plain());
        asks.tagged(&tag, snapshot.plan().number);
        Self { tag, body }
    }
}

/// The digest of the body, so it is the same at all replicas.
fn tag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let digits = digest.iter().take(TAG_BYTES);
    let digits: String = digits.map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}
