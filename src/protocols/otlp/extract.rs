//! What is counted of an export: the points of the metrics that count requests, by source.
//!
//! Both encodings give what they read to an [`Extraction`], from the resource down to the point. It
//! decides what counts; they only read.

use std::borrow::Cow;

use uuid::Uuid;

use super::attribute::Attributes;
use super::digest::Digest;
use super::exported::{Exported, SpansOf};
use super::left_out::LeftOut;
use super::measure::{Kind, Measure};
use super::source;
use super::span::RootSpan;
use crate::ingest::{Counted, Point, SourceExport, Temporality};
use crate::store::SpanSums;
use crate::telemetry::metrics::LeftOutReason;

/// Points of one export that are counted.
pub const POINTS_MAX: usize = 20_000;

/// Points of most sources: a list of them does not grow in steps.
const POINTS_USUAL: usize = 8;

/// Sources of one export that are counted.
pub const SOURCES_MAX: usize = 1000;

/// What stands in digests for a source that is counted by its spans.
const SPANS: u8 = 1;

/// What an export says.
#[derive(Debug, PartialEq)]
pub struct Extracted<'a> {
    /// Its sources, each once.
    pub sources: Vec<SourceExport<'a>>,
    /// What was left out of the metrics that are counted.
    pub left_out: LeftOut,
    /// All of its spans, roots or not, by service.
    pub spans: Vec<SpansOf<'a>>,
}

impl Extracted<'_> {
    /// How many points are to be counted.
    #[must_use]
    pub fn points(&self) -> u64 {
        let points = self.sources.iter().map(|source| source.points.len() as u64);
        points.sum()
    }
}

/// A value as a point gives it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Number {
    #[default]
    Missing,
    Int(i64),
    Double(f64),
    Count(u64),
}

impl Number {
    /// The count that it stands for. JavaScript sends whole numbers as doubles.
    fn count(self) -> Result<u64, LeftOutReason> {
        match self {
            Self::Missing => Err(LeftOutReason::NoValue),
            Self::Count(count) => Ok(count),
            Self::Int(number) => u64::try_from(number).map_err(|_| LeftOutReason::NotACount),
            // 2^64 is a double; what is below it fits.
            Self::Double(number) if (0.0..18_446_744_073_709_551_616.0).contains(&number) => {
                Ok(number.round() as u64)
            }
            Self::Double(_) => Err(LeftOutReason::NotACount),
        }
    }
}

/// A point, as both encodings read it.
#[derive(Debug, Default)]
pub(super) struct DataPoint<'a> {
    pub attributes: Attributes<'a>,
    pub start_ns: u64,
    pub time_ns: u64,
    pub value: Number,
    /// The flag `NO_RECORDED_VALUE`: the stream has ended.
    pub has_no_value: bool,
}

/// The metric whose points come next.
struct Metric {
    measure: Measure,
    temporality: Option<Temporality>,
    is_monotonic: bool,
    /// The digest of all that its streams have in common.
    series: Digest,
}

/// The scope whose metrics come next. Most scopes have no metric that is counted.
#[derive(Default)]
pub(super) struct Scope<'a> {
    name: Cow<'a, str>,
    version: Cow<'a, str>,
    attributes: Attributes<'a>,
    digest: Option<Digest>,
}

impl<'a> Scope<'a> {
    pub fn new(name: Cow<'a, str>, version: Cow<'a, str>, attributes: Attributes<'a>) -> Self {
        Self {
            name,
            version,
            attributes,
            digest: None,
        }
    }

    fn digest(&mut self) -> Digest {
        let digest = self.digest.get_or_insert_with(|| {
            self.attributes.sort();
            let mut digest = Digest::default();
            digest.text(&self.name);
            digest.text(&self.version);
            digest.attributes(&self.attributes);
            digest
        });
        digest.clone()
    }
}

/// The resource whose metrics come next.
#[derive(Default)]
struct Resource<'a> {
    attributes: Attributes<'a>,
    /// The digest of its attributes, once it is needed.
    digest: Option<Digest>,
    /// Where its source is in the list.
    place: Option<usize>,
    /// Where the spans of its service are in theirs.
    spans: Option<usize>,
}

/// An export in the reading.
pub(super) struct Extraction<'a> {
    sources: Vec<SourceExport<'a>>,
    spans: Exported<'a>,
    points: usize,
    left_out: LeftOut,
    resource: Resource<'a>,
    scope: Scope<'a>,
    metric: Option<Metric>,
    /// Room for the attributes of the next point.
    room: Attributes<'a>,
}

impl<'a> Extraction<'a> {
    pub fn new() -> Self {
        Self {
            sources: Vec::new(),
            spans: Exported::default(),
            points: 0,
            left_out: LeftOut::default(),
            resource: Resource::default(),
            scope: Scope::default(),
            metric: None,
            room: Attributes::default(),
        }
    }

    /// Empty attributes for the next point, in the room of the one before.
    pub fn room(&mut self) -> Attributes<'a> {
        std::mem::take(&mut self.room)
    }

    /// Begins a resource.
    pub fn begin(&mut self, attributes: Attributes<'a>) {
        self.resource = Resource {
            attributes,
            digest: None,
            place: None,
            spans: None,
        };
    }

    /// Begins a scope of the resource.
    pub fn scope(&mut self, scope: Scope<'a>) {
        self.scope = scope;
    }

    /// Begins a metric of the scope.
    pub fn metric(
        &mut self,
        measure: Measure,
        kind: Kind,
        temporality: Option<Temporality>,
        is_monotonic: bool,
    ) {
        let mut series = self.scope.digest();
        series.text(measure.name());
        series.code(kind.code());
        series.code(match temporality {
            None => 0,
            Some(Temporality::Delta) => 1,
            Some(Temporality::Cumulative) => 2,
        });
        self.metric = Some(Metric {
            measure,
            temporality,
            is_monotonic,
            series,
        });
    }

    /// Adds a point of the metric, or notes why it does not count.
    pub fn point(&mut self, mut point: DataPoint<'a>) {
        if let Err(reason) = self.add(&mut point) {
            self.left_out.add(reason);
        }
        self.room = point.attributes;
        self.room.clear();
    }

    /// Adds a root span, or notes why it does not count.
    pub fn span(&mut self, span: &RootSpan<'a>) {
        match self.add_span(span) {
            Ok(()) => self.sum(SpanSums {
                roots: 1,
                ..SpanSums::default()
            }),
            Err(reason) => self.left_out.add(reason),
        }
    }

    /// Adds a span, root or not, to those of its service. `bytes` is its length, if it is one of protobuf.
    pub fn exported(&mut self, bytes: Option<usize>) {
        let weighed = u64::from(bytes.is_some());
        self.sum(SpanSums {
            spans: 1,
            weighed,
            bytes: bytes.unwrap_or(0) as u64,
            roots: 0,
        });
    }

    /// Adds to the spans of the resource's service.
    fn sum(&mut self, more: SpanSums) {
        let (resource, spans) = (&mut self.resource, &mut self.spans);
        let attributes = &resource.attributes;
        let place = resource.spans.get_or_insert_with(|| {
            let service = attributes.text(source::SERVICE);
            spans.place(service.unwrap_or_default())
        });
        spans.add(*place, more);
    }

    fn add_span(&mut self, span: &RootSpan<'a>) -> Result<(), LeftOutReason> {
        let counted = span.counted()?;
        let (series, time_ns) = (span.series()?, span.time_ns());
        if time_ns == 0 {
            return Err(LeftOutReason::NoTime);
        }
        let point = Point {
            series,
            counted,
            temporality: Temporality::Delta,
            start_ns: span.start_ns.min(time_ns),
            time_ns,
            value: 1,
        };
        self.push(point, &Attributes::default())
    }

    fn push(&mut self, point: Point<'a>, of: &Attributes<'a>) -> Result<(), LeftOutReason> {
        if self.points >= POINTS_MAX {
            return Err(LeftOutReason::TooMany);
        }
        let source = self.source(&point.counted, of)?;
        source.points.push(point);
        self.points += 1;
        Ok(())
    }

    fn add(&mut self, read: &mut DataPoint<'a>) -> Result<(), LeftOutReason> {
        let metric = self.metric.as_ref().ok_or(LeftOutReason::NotARequest)?;
        if read.has_no_value {
            return Err(LeftOutReason::NoValue);
        }
        let counted = metric.measure.counted(&read.attributes)?;
        if !metric.is_monotonic {
            return Err(LeftOutReason::NotMonotonic);
        }
        let temporality = metric.temporality.ok_or(LeftOutReason::NoTemporality)?;
        let value = read.value.count()?;
        if read.time_ns == 0 {
            return Err(LeftOutReason::NoTime);
        }
        read.attributes.sort();
        let mut series = metric.series.clone();
        series.attributes(&read.attributes);
        let point = Point {
            series: series.number(),
            counted,
            temporality,
            start_ns: read.start_ns,
            time_ns: read.time_ns,
            value,
        };
        self.push(point, &read.attributes)
    }

    /// The source of a point.
    fn source(
        &mut self,
        counted: &Counted<'a>,
        attributes: &Attributes<'a>,
    ) -> Result<&mut SourceExport<'a>, LeftOutReason> {
        let place = match self.resource.place {
            Some(place) => place,
            None => {
                let (service, is_own) = self.service(counted, attributes);
                let is_span = matches!(counted, Counted::Span { .. });
                let key = self.key((!is_own).then_some(&*service), is_span);
                let place = self.place(key, service)?;
                // Of a Collector's own resource, each point may be of another service.
                self.resource.place = is_own.then_some(place);
                place
            }
        };
        Ok(&mut self.sources[place])
    }

    /// The service, and whether the resource says it.
    fn service(&self, counted: &Counted<'a>, attributes: &Attributes<'a>) -> (Cow<'a, str>, bool) {
        let own = self.resource.attributes.text(source::SERVICE);
        if let (None, Counted::Calls { .. }) = (&own, counted) {
            // Older releases of the connector say it in the point alone.
            if let Some(service) = attributes.text(source::SERVICE) {
                return (service, false);
            }
        }
        (own.unwrap_or_default(), true)
    }

    /// The key of the resource, for one service of it if it has several. What its spans count is a source of
    /// its own: which of the two counts is decided for the whole service.
    fn key(&mut self, service: Option<&str>, of_spans: bool) -> Uuid {
        let resource = &mut self.resource;
        let digest = resource.digest.get_or_insert_with(|| {
            resource.attributes.sort();
            let mut digest = Digest::default();
            digest.attributes(&resource.attributes);
            digest
        });
        let mut digest = digest.clone();
        if let Some(service) = service {
            digest.text(service);
        }
        if of_spans {
            digest.code(SPANS);
        }
        digest.uuid()
    }

    /// The place of a source in the list; adds it if it is new.
    fn place(&mut self, key: Uuid, service: Cow<'a, str>) -> Result<usize, LeftOutReason> {
        if let Some(place) = self.sources.iter().position(|source| source.key == key) {
            return Ok(place);
        }
        if self.sources.len() >= SOURCES_MAX {
            return Err(LeftOutReason::TooMany);
        }
        let agent = source::agent(&self.resource.attributes, &service, key);
        self.sources.push(SourceExport {
            key,
            agent: Cow::Owned(agent),
            service,
            points: Vec::with_capacity(POINTS_USUAL),
        });
        Ok(self.sources.len() - 1)
    }

    pub fn finish(self) -> Extracted<'a> {
        Extracted {
            sources: self.sources,
            left_out: self.left_out,
            spans: self.spans.finish(),
        }
    }
}
