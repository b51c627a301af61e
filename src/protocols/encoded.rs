//! The bodies that a protocol sends. They are encoded once, when a plan is installed.
//!
//! A protocol whose SDKs ask for one service at a time implements [`StrategyFormat`], and answers
//! from an [`Encoded`]. A poll is one look-up, without a lock, an encoder or the database.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use actix_web::web::Bytes;
use arc_swap::{ArcSwap, Guard};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::snapshot::{Audience, PollClient, PollCounter, Served, ServedStrategy, Snapshot};

/// A wire format of the strategy for the SDKs of one service.
pub trait StrategyFormat: Send + Sync + 'static {
    /// Encodes a service's strategy. Equal strategies must give equal bytes.
    fn encode(&self, strategy: &ServedStrategy<'_>) -> Vec<u8>;

    /// The bytes that [`StrategyFormat::frame`] puts in front of a body.
    const HEAD: usize = 0;

    /// Adds what a body needs in front of it on the wire; most protocols need nothing.
    fn frame(&self, body: Vec<u8>, _packing: Packing) -> Bytes {
        // A body is kept as long as its plan, and a vector that has grown has room for up to twice its bytes.
        Bytes::copy_from_slice(&body)
    }
}

/// Whether a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// It is not.
    Plain,
    /// With gzip.
    Gzip,
}

/// A body, both plain and compressed.
#[derive(Clone)]
pub struct Body {
    plain: Bytes,
    gzip: Bytes,
}

impl Body {
    /// Reuses `previous` if its plain body is the same: compressing costs more than encoding.
    pub(super) fn new<F: StrategyFormat>(
        format: &F,
        body: Vec<u8>,
        previous: Option<&Self>,
    ) -> Self {
        match previous {
            Some(previous) if previous.plain[F::HEAD..] == body => previous.clone(),
            _ => Self {
                gzip: format.frame(pack(&body), Packing::Gzip),
                plain: format.frame(body, Packing::Plain),
            },
        }
    }

    /// The plain body.
    #[must_use]
    pub fn plain(&self) -> Bytes {
        self.plain.clone()
    }

    /// The body, compressed with gzip.
    #[must_use]
    pub fn gzip(&self) -> Bytes {
        self.gzip.clone()
    }
}

/// Compresses with gzip.
fn pack(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte")
}

/// The body of a service, and what counts how often it is asked for.
struct EncodedService {
    body: Body,
    polls: Arc<PollCounter>,
}

/// A snapshot, with the bodies of all its services.
pub struct Bodies {
    snapshot: Arc<Snapshot>,
    services: HashMap<Arc<str>, EncodedService>,
    /// For services that are not in the snapshot.
    unknown: Body,
}

impl Bodies {
    fn encode(
        format: &impl StrategyFormat,
        snapshot: &Arc<Snapshot>,
        previous: Option<&Self>,
    ) -> Self {
        let services = snapshot.services().map(|(name, service)| {
            let plain = format.encode(&snapshot.strategy(service));
            let before = previous.and_then(|previous| previous.service(name));
            let encoded = EncodedService {
                body: Body::new(format, plain, before),
                polls: Arc::clone(&service.polls),
            };
            (Arc::clone(name), encoded)
        });
        let unknown = format.encode(&snapshot.default_strategy());
        Self {
            services: services.collect(),
            unknown: Body::new(format, unknown, previous.map(|previous| &previous.unknown)),
            snapshot: Arc::clone(snapshot),
        }
    }

    /// The snapshot that the bodies were encoded from.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// A service's body; none if the plan does not contain the service.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Body> {
        Some(&self.services.get(name)?.body)
    }

    /// The same for a poll, which is counted.
    #[must_use]
    pub fn poll(&self, name: &str, client: PollClient) -> Option<&Body> {
        let found = self.services.get(name)?;
        found.polls.count(client);
        Some(&found.body)
    }

    /// The body for services that are not in the plan: the fleet's default.
    #[must_use]
    pub fn unknown(&self) -> &Body {
        &self.unknown
    }

    fn bytes(&self) -> usize {
        let known = self.services.values().map(|of| &of.body);
        known
            .chain([&self.unknown])
            .map(|body| body.plain.len())
            .sum()
    }
}

/// The current snapshot in one format.
pub struct Encoded<F> {
    format: F,
    current: ArcSwap<Bodies>,
}

impl<F: StrategyFormat> Encoded<F> {
    /// Encodes the current snapshot now, and each later one when it is installed.
    pub fn attach(served: &Served, format: F) -> Arc<Self> {
        served.attach(|snapshot| Self {
            current: ArcSwap::from_pointee(Bodies::encode(&format, snapshot, None)),
            format,
        })
    }

    /// The current bodies. Hold the guard only for a short time.
    pub fn load(&self) -> Guard<Arc<Bodies>> {
        self.current.load()
    }
}

impl<F: StrategyFormat> Audience for Encoded<F> {
    fn take(&self, snapshot: &Arc<Snapshot>) {
        let previous = self.current.load_full();
        let next = Bodies::encode(&self.format, snapshot, Some(&previous));
        self.current.store(Arc::new(next));
    }

    fn bytes(&self) -> usize {
        self.current.load().bytes()
    }
}
