//! Writes kept spans as an `ExportTraceServiceRequest`: the bytes that came, with another trace state.

use super::limit::{AttributeLimits, TakenAway};
use super::trace_state::{Threshold, at_least};
use super::wire::{Fields, put_bytes, put_head};

const TRACE_STATE: u32 = 3;
const ATTRIBUTES: u32 = 9;
const INSIDE: u32 = 2;

/// What kept spans say about how they were sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Whether they also get the attributes of Jaeger's samplers, `sampler.type` and `sampler.param`.
    pub jaeger_attributes: bool,
}

/// Writes spans one after the other; those that follow each other and share their context share it in what is
/// written, too.
#[derive(Debug, Default)]
pub struct Writer {
    told: Told,
    limits: AttributeLimits,
    taken_away: TakenAway,
    limited: Vec<u8>,
    written: Vec<u8>,
    /// The spans of the context that was written last, as fields of `ScopeSpans`.
    spans: Vec<u8>,
    span: Vec<u8>,
    spans_total: usize,
    requests: Vec<Written>,
}

/// A request of this size is ended: readers of gRPC take 4 MiB by default, and a span may have 512 KiB.
const REQUEST_BYTES: usize = 512 << 10;

/// An `ExportTraceServiceRequest` of kept spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its bytes.
    pub request: Vec<u8>,
    /// How many spans it has.
    pub spans: usize,
}

impl Writer {
    /// Has written nothing yet.
    #[must_use]
    pub fn new(told: Told, limits: AttributeLimits) -> Self {
        Self {
            told,
            limits,
            ..Self::default()
        }
    }

    /// Adds a span to the context that [`end`](Self::end) will write. Without a threshold its trace state stays as it
    /// is: nobody here decided about it.
    pub fn span(&mut self, raw: &[u8], trace_state: &[u8], threshold: Option<Threshold>) {
        self.spans_total += 1;
        let mut limited = std::mem::take(&mut self.limited);
        let is_limited = self.limits.apply(raw, &mut limited, &mut self.taken_away);
        let within = if is_limited { &limited } else { raw };
        self.within(within, trace_state, threshold);
        self.limited = limited;
    }

    /// What the limits have taken away so far.
    #[must_use]
    pub fn taken_away(&self) -> TakenAway {
        self.taken_away
    }

    fn within(&mut self, raw: &[u8], trace_state: &[u8], threshold: Option<Threshold>) {
        let Some(threshold) = threshold else {
            put_bytes(&mut self.spans, INSIDE, raw);
            return;
        };
        let said = at_least(trace_state, threshold);
        self.span.clear();
        for field in Fields::of(raw).map_while(Result::ok) {
            if field.number != TRACE_STATE {
                self.span.extend_from_slice(field.raw);
            }
        }
        put_bytes(&mut self.span, TRACE_STATE, &said);
        if self.told.jaeger_attributes {
            put_sampler(&mut self.span, threshold);
        }
        put_bytes(&mut self.spans, INSIDE, &self.span);
    }

    /// Writes the spans that were added, with the fields around them.
    pub fn end<'a>(
        &mut self,
        resource: impl IntoIterator<Item = &'a [u8]>,
        scope: impl IntoIterator<Item = &'a [u8]>,
    ) {
        if self.spans.is_empty() {
            return;
        }
        let scope: Vec<&[u8]> = scope.into_iter().collect();
        let resource: Vec<&[u8]> = resource.into_iter().collect();
        let length = |parts: &[&[u8]]| parts.iter().map(|part| part.len()).sum::<usize>();
        let of_scope = length(&scope) + self.spans.len();
        let mut head = Vec::with_capacity(8);
        put_head(&mut head, INSIDE, of_scope);
        put_head(
            &mut self.written,
            1,
            length(&resource) + head.len() + of_scope,
        );
        for part in resource {
            self.written.extend_from_slice(part);
        }
        self.written.extend_from_slice(&head);
        for part in scope {
            self.written.extend_from_slice(part);
        }
        self.written.extend_from_slice(&self.spans);
        self.spans.clear();
        self.cut(REQUEST_BYTES);
    }

    /// Whether the spans that were added are enough for a request of their own.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.spans.len() >= REQUEST_BYTES
    }

    /// Ends the request if it has more than this many bytes.
    pub fn cut(&mut self, more_than: usize) {
        if self.written.len() > more_than {
            self.requests.push(Written {
                request: std::mem::take(&mut self.written),
                spans: std::mem::take(&mut self.spans_total),
            });
        }
    }

    /// The requests that were ended.
    pub fn take(&mut self) -> Vec<Written> {
        std::mem::take(&mut self.requests)
    }
}

/// `sampler.type` "probabilistic" and `sampler.param`, the probability.
fn put_sampler(into: &mut Vec<u8>, threshold: Threshold) {
    let mut text = Vec::new();
    put_bytes(&mut text, 1, b"probabilistic");
    let mut number = vec![4 << 3 | 1];
    number.extend_from_slice(&threshold.probability().to_le_bytes());
    for (key, value) in [(&b"sampler.type"[..], text), (b"sampler.param", number)] {
        let mut attribute = Vec::new();
        put_bytes(&mut attribute, 1, key);
        put_bytes(&mut attribute, 2, &value);
        put_bytes(into, ATTRIBUTES, &attribute);
    }
}
