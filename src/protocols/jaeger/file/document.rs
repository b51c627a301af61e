//! The content of the file, within a number of bytes.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use crate::snapshot::{ServedStrategy, Snapshot, is_overflow};

/// What surrounds the services, in bytes at most.
const FRAME_BYTES: usize = 256;

/// The only kind of strategy that Weir sends.
const PROBABILISTIC: &str = "probabilistic";

/// The file of a plan, and the number of operations that it leaves out so that it has at most `most`
/// bytes.
///
/// Each service keeps its busiest operations, and all services keep the same number. The others get
/// their service's default. Services come by name, so that all replicas make the same file.
#[must_use]
pub fn encode(snapshot: &Snapshot, most: usize) -> (Vec<u8>, usize) {
    let services = snapshot.services();
    let services = services.filter(|(_, service)| !is_overflow(service.id));
    let mut services: Vec<Service<'_>> = services
        .map(|(name, service)| Service {
            name,
            strategy: snapshot.strategy(service),
        })
        .collect();
    services.sort_unstable_by_key(|service| service.name);
    let default = snapshot.default_strategy().default_probability;
    let mut whole = Bounded {
        bytes: Vec::new(),
        most,
    };
    let document = |services, each| Document {
        default_strategy: Strategy::of(None, default),
        service_strategies: Entries { services, each },
    };
    if serde_json::to_writer(&mut whole, &document(&services, usize::MAX)).is_ok() {
        return (whole.bytes, 0);
    }
    let fit = Fit::of(&services, most);
    let document = document(&services[..fit.services], fit.each);
    let bytes = serde_json::to_vec(&document).expect("names and finite numbers serialise");
    (bytes, fit.omitted)
}

struct Service<'a> {
    name: &'a str,
    strategy: ServedStrategy<'a>,
}

#[derive(Serialize)]
struct Document<'a> {
    default_strategy: Strategy<'a>,
    service_strategies: Entries<'a>,
}

/// A probability: of an operation, or of everything.
#[derive(Serialize)]
struct Strategy<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    param: f32,
}

impl<'a> Strategy<'a> {
    fn of(operation: Option<&'a str>, probability: f64) -> Self {
        Self {
            operation,
            kind: PROBABILISTIC,
            param: probability as f32,
        }
    }
}

/// The services, each with at most `each` operations.
struct Entries<'a> {
    services: &'a [Service<'a>],
    each: usize,
}

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let services = self.services.iter();
        serializer.collect_seq(services.map(|service| Entry::of(service, self.each)))
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    service: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: f32,
    operation_strategies: Operations<'a>,
}

impl<'a> Entry<'a> {
    fn of(service: &'a Service<'a>, each: usize) -> Self {
        let strategy = &service.strategy;
        Self {
            service: service.name,
            kind: PROBABILISTIC,
            param: strategy.default_probability as f32,
            operation_strategies: Operations { strategy, each },
        }
    }
}

struct Operations<'a> {
    strategy: &'a ServedStrategy<'a>,
    each: usize,
}

impl Serialize for Operations<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let operations = self.strategy.operations().take(self.each);
        serializer.collect_seq(
            operations.map(|(name, probability)| Strategy::of(Some(name), probability)),
        )
    }
}

/// How much of a plan fits.
struct Fit {
    /// The number of services.
    services: usize,
    /// The most operations of each.
    each: usize,
    /// The operations without an entry.
    omitted: usize,
}

impl Fit {
    fn of(services: &[Service<'_>], most: usize) -> Self {
        let mut room = most.saturating_sub(FRAME_BYTES);
        let fits = |service: &&Service<'_>| {
            let left = room.checked_sub(length(&Entry::of(service, 0)));
            room = left.unwrap_or(room);
            left.is_some()
        };
        let fitting = services.iter().take_while(fits).count();
        let (mut each, mut kept) = (0, 0);
        for rank in ranks(&services[..fitting]) {
            // What does not fit is not looked at: of a large plan that is nearly all.
            let Some(left) = room.checked_sub(rank.bytes) else {
                break;
            };
            (room, each, kept) = (left, each + 1, kept + rank.operations);
        }
        let all = services.iter();
        let all: usize = all
            .map(|service| service.strategy.operations().count())
            .sum();
        Self {
            services: fitting,
            each,
            omitted: all - kept,
        }
    }
}

/// The operations that are the n-th of their services.
#[derive(Default, Clone, Copy)]
struct Rank {
    operations: usize,
    bytes: usize,
}

/// The first operations of all services, their second ones, and so on.
fn ranks(services: &[Service<'_>]) -> impl Iterator<Item = Rank> {
    let services = services.iter();
    let mut left: Vec<_> = services
        .map(|service| service.strategy.operations())
        .collect();
    std::iter::from_fn(move || {
        let mut rank = Rank::default();
        for (name, probability) in left.iter_mut().filter_map(Iterator::next) {
            rank.operations += 1;
            rank.bytes += length(&Strategy::of(Some(name), probability));
        }
        (rank.operations > 0).then_some(rank)
    })
}

/// The length of an element of a list, with its comma.
fn length(element: &impl Serialize) -> usize {
    let mut counted = Counted(1);
    serde_json::to_writer(&mut counted, element).expect("names and finite numbers serialise");
    counted.0
}

/// Counts bytes and drops them.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes no more than `most` bytes.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
