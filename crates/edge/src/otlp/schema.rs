//! The messages of OTLP as tables: which field has which number, name in JSON and type.
//!
//! # Source
//! `opentelemetry-proto` 1.9: `common.proto`, `resource.proto`, `trace.proto`, `metrics.proto`, `logs.proto` and the
//! three `…_service.proto`. Names in JSON are those of "OTLP/HTTP, JSON Protobuf Encoding".

/// A message.
#[derive(Debug)]
pub(crate) struct Message(pub &'static [Field]);

/// A field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    pub number: u32,
    pub name: &'static str,
    pub kind: Kind,
    pub repeated: bool,
}

/// A type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// Base64 in JSON.
    Bytes,
    /// Hexadecimal digits in JSON.
    Id,
    Bool,
    /// `int32`, `int64`.
    Signed,
    /// `uint32`, `uint64`.
    Unsigned,
    /// `sint32`.
    ZigZag,
    Fixed32,
    Fixed64,
    SignedFixed64,
    Double,
    /// The names of its values, from 0 on.
    Enum(&'static [&'static str]),
    Message(&'static Message),
}

impl Message {
    pub fn numbered(&self, number: u32) -> Option<&'static Field> {
        self.0.iter().find(|field| field.number == number)
    }

    /// The field of this name, in `lowerCamelCase` or `snake_case`, as readers of protobuf's JSON take both.
    pub fn named(&self, name: &str) -> Option<&'static Field> {
        self.0.iter().find(|field| is_name(field.name, name))
    }
}

fn is_name(camel: &str, given: &str) -> bool {
    if camel == given {
        return true;
    }
    let mut given = given.bytes();
    for expected in camel.bytes() {
        let matches = if expected.is_ascii_uppercase() {
            given.next() == Some(b'_') && given.next() == Some(expected.to_ascii_lowercase())
        } else {
            given.next() == Some(expected)
        };
        if !matches {
            return false;
        }
    }
    given.next().is_none()
}

const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field {
        number,
        name,
        kind,
        repeated: false,
    }
}

const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field {
        number,
        name,
        kind,
        repeated: true,
    }
}

pub(crate) static KEY_VALUE: Message = Message(&[
    one(1, "key", Kind::Text),
    one(2, "value", Kind::Message(&ANY_VALUE)),
]);

pub(crate) static ANY_VALUE: Message = Message(&[
    one(1, "stringValue", Kind::Text),
    one(2, "boolValue", Kind::Bool),
    one(3, "intValue", Kind::Signed),
    one(4, "doubleValue", Kind::Double),
    one(5, "arrayValue", Kind::Message(&ARRAY_VALUE)),
    one(6, "kvlistValue", Kind::Message(&KEY_VALUE_LIST)),
    one(7, "bytesValue", Kind::Bytes),
]);

static ARRAY_VALUE: Message = Message(&[many(1, "values", Kind::Message(&ANY_VALUE))]);

static KEY_VALUE_LIST: Message = Message(&[many(1, "values", Kind::Message(&KEY_VALUE))]);

static ENTITY_REF: Message = Message(&[
    one(1, "schemaUrl", Kind::Text),
    one(2, "type", Kind::Text),
    many(3, "idKeys", Kind::Text),
    many(4, "descriptionKeys", Kind::Text),
]);

pub(crate) static RESOURCE: Message = Message(&[
    many(1, "attributes", Kind::Message(&KEY_VALUE)),
    one(2, "droppedAttributesCount", Kind::Unsigned),
    many(3, "entityRefs", Kind::Message(&ENTITY_REF)),
]);

pub(crate) static SCOPE: Message = Message(&[
    one(1, "name", Kind::Text),
    one(2, "version", Kind::Text),
    many(3, "attributes", Kind::Message(&KEY_VALUE)),
    one(4, "droppedAttributesCount", Kind::Unsigned),
]);

/// `ExportTraceServiceRequest`.
pub(crate) static TRACES: Message =
    Message(&[many(1, "resourceSpans", Kind::Message(&RESOURCE_SPANS))]);

pub(crate) static RESOURCE_SPANS: Message = Message(&[
    one(1, "resource", Kind::Message(&RESOURCE)),
    many(2, "scopeSpans", Kind::Message(&SCOPE_SPANS)),
    one(3, "schemaUrl", Kind::Text),
]);

pub(crate) static SCOPE_SPANS: Message = Message(&[
    one(1, "scope", Kind::Message(&SCOPE)),
    many(2, "spans", Kind::Message(&SPAN)),
    one(3, "schemaUrl", Kind::Text),
]);

pub(crate) static SPAN: Message = Message(&[
    one(1, "traceId", Kind::Id),
    one(2, "spanId", Kind::Id),
    one(3, "traceState", Kind::Text),
    one(4, "parentSpanId", Kind::Id),
    one(5, "name", Kind::Text),
    one(6, "kind", Kind::Enum(&SPAN_KINDS)),
    one(7, "startTimeUnixNano", Kind::Fixed64),
    one(8, "endTimeUnixNano", Kind::Fixed64),
    many(9, "attributes", Kind::Message(&KEY_VALUE)),
    one(10, "droppedAttributesCount", Kind::Unsigned),
    many(11, "events", Kind::Message(&EVENT)),
    one(12, "droppedEventsCount", Kind::Unsigned),
    many(13, "links", Kind::Message(&LINK)),
    one(14, "droppedLinksCount", Kind::Unsigned),
    one(15, "status", Kind::Message(&STATUS)),
    one(16, "flags", Kind::Fixed32),
]);

static SPAN_KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

static EVENT: Message = Message(&[
    one(1, "timeUnixNano", Kind::Fixed64),
    one(2, "name", Kind::Text),
    many(3, "attributes", Kind::Message(&KEY_VALUE)),
    one(4, "droppedAttributesCount", Kind::Unsigned),
]);

static LINK: Message = Message(&[
    one(1, "traceId", Kind::Id),
    one(2, "spanId", Kind::Id),
    one(3, "traceState", Kind::Text),
    many(4, "attributes", Kind::Message(&KEY_VALUE)),
    one(5, "droppedAttributesCount", Kind::Unsigned),
    one(6, "flags", Kind::Fixed32),
]);

static STATUS: Message = Message(&[
    one(2, "message", Kind::Text),
    one(
        3,
        "code",
        Kind::Enum(&["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"]),
    ),
]);

/// `ExportLogsServiceRequest`.
pub(crate) static LOGS: Message =
    Message(&[many(1, "resourceLogs", Kind::Message(&RESOURCE_LOGS))]);

static RESOURCE_LOGS: Message = Message(&[
    one(1, "resource", Kind::Message(&RESOURCE)),
    many(2, "scopeLogs", Kind::Message(&SCOPE_LOGS)),
    one(3, "schemaUrl", Kind::Text),
]);

static SCOPE_LOGS: Message = Message(&[
    one(1, "scope", Kind::Message(&SCOPE)),
    many(2, "logRecords", Kind::Message(&LOG_RECORD)),
    one(3, "schemaUrl", Kind::Text),
]);

static LOG_RECORD: Message = Message(&[
    one(1, "timeUnixNano", Kind::Fixed64),
    one(2, "severityNumber", Kind::Enum(&SEVERITIES)),
    one(3, "severityText", Kind::Text),
    one(5, "body", Kind::Message(&ANY_VALUE)),
    many(6, "attributes", Kind::Message(&KEY_VALUE)),
    one(7, "droppedAttributesCount", Kind::Unsigned),
    one(8, "flags", Kind::Fixed32),
    one(9, "traceId", Kind::Id),
    one(10, "spanId", Kind::Id),
    one(11, "observedTimeUnixNano", Kind::Fixed64),
    one(12, "eventName", Kind::Text),
]);

static SEVERITIES: [&str; 25] = [
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];

/// `ExportMetricsServiceRequest`.
pub(crate) static METRICS: Message =
    Message(&[many(1, "resourceMetrics", Kind::Message(&RESOURCE_METRICS))]);

static RESOURCE_METRICS: Message = Message(&[
    one(1, "resource", Kind::Message(&RESOURCE)),
    many(2, "scopeMetrics", Kind::Message(&SCOPE_METRICS)),
    one(3, "schemaUrl", Kind::Text),
]);

static SCOPE_METRICS: Message = Message(&[
    one(1, "scope", Kind::Message(&SCOPE)),
    many(2, "metrics", Kind::Message(&METRIC)),
    one(3, "schemaUrl", Kind::Text),
]);

static METRIC: Message = Message(&[
    one(1, "name", Kind::Text),
    one(2, "description", Kind::Text),
    one(3, "unit", Kind::Text),
    one(5, "gauge", Kind::Message(&GAUGE)),
    one(7, "sum", Kind::Message(&SUM)),
    one(9, "histogram", Kind::Message(&HISTOGRAM)),
    one(
        10,
        "exponentialHistogram",
        Kind::Message(&EXPONENTIAL_HISTOGRAM),
    ),
    one(11, "summary", Kind::Message(&SUMMARY)),
    many(12, "metadata", Kind::Message(&KEY_VALUE)),
]);

const TEMPORALITY: Kind = Kind::Enum(&[
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
]);

static GAUGE: Message = Message(&[many(1, "dataPoints", Kind::Message(&NUMBER_POINT))]);

static SUM: Message = Message(&[
    many(1, "dataPoints", Kind::Message(&NUMBER_POINT)),
    one(2, "aggregationTemporality", TEMPORALITY),
    one(3, "isMonotonic", Kind::Bool),
]);

static HISTOGRAM: Message = Message(&[
    many(1, "dataPoints", Kind::Message(&HISTOGRAM_POINT)),
    one(2, "aggregationTemporality", TEMPORALITY),
]);

static EXPONENTIAL_HISTOGRAM: Message = Message(&[
    many(1, "dataPoints", Kind::Message(&EXPONENTIAL_POINT)),
    one(2, "aggregationTemporality", TEMPORALITY),
]);

static SUMMARY: Message = Message(&[many(1, "dataPoints", Kind::Message(&SUMMARY_POINT))]);

static NUMBER_POINT: Message = Message(&[
    one(2, "startTimeUnixNano", Kind::Fixed64),
    one(3, "timeUnixNano", Kind::Fixed64),
    one(4, "asDouble", Kind::Double),
    many(5, "exemplars", Kind::Message(&EXEMPLAR)),
    one(6, "asInt", Kind::SignedFixed64),
    many(7, "attributes", Kind::Message(&KEY_VALUE)),
    one(8, "flags", Kind::Unsigned),
]);

static HISTOGRAM_POINT: Message = Message(&[
    one(2, "startTimeUnixNano", Kind::Fixed64),
    one(3, "timeUnixNano", Kind::Fixed64),
    one(4, "count", Kind::Fixed64),
    one(5, "sum", Kind::Double),
    many(6, "bucketCounts", Kind::Fixed64),
    many(7, "explicitBounds", Kind::Double),
    many(8, "exemplars", Kind::Message(&EXEMPLAR)),
    many(9, "attributes", Kind::Message(&KEY_VALUE)),
    one(10, "flags", Kind::Unsigned),
    one(11, "min", Kind::Double),
    one(12, "max", Kind::Double),
]);

static EXPONENTIAL_POINT: Message = Message(&[
    many(1, "attributes", Kind::Message(&KEY_VALUE)),
    one(2, "startTimeUnixNano", Kind::Fixed64),
    one(3, "timeUnixNano", Kind::Fixed64),
    one(4, "count", Kind::Fixed64),
    one(5, "sum", Kind::Double),
    one(6, "scale", Kind::ZigZag),
    one(7, "zeroCount", Kind::Fixed64),
    one(8, "positive", Kind::Message(&BUCKETS)),
    one(9, "negative", Kind::Message(&BUCKETS)),
    one(10, "flags", Kind::Unsigned),
    many(11, "exemplars", Kind::Message(&EXEMPLAR)),
    one(12, "min", Kind::Double),
    one(13, "max", Kind::Double),
    one(14, "zeroThreshold", Kind::Double),
]);

static BUCKETS: Message = Message(&[
    one(1, "offset", Kind::ZigZag),
    many(2, "bucketCounts", Kind::Unsigned),
]);

static SUMMARY_POINT: Message = Message(&[
    one(2, "startTimeUnixNano", Kind::Fixed64),
    one(3, "timeUnixNano", Kind::Fixed64),
    one(4, "count", Kind::Fixed64),
    one(5, "sum", Kind::Double),
    many(6, "quantileValues", Kind::Message(&QUANTILE)),
    many(7, "attributes", Kind::Message(&KEY_VALUE)),
    one(8, "flags", Kind::Unsigned),
]);

static QUANTILE: Message = Message(&[
    one(1, "quantile", Kind::Double),
    one(2, "value", Kind::Double),
]);

static EXEMPLAR: Message = Message(&[
    one(2, "timeUnixNano", Kind::Fixed64),
    one(3, "asDouble", Kind::Double),
    one(4, "spanId", Kind::Id),
    one(5, "traceId", Kind::Id),
    one(6, "asInt", Kind::SignedFixed64),
    many(7, "filteredAttributes", Kind::Message(&KEY_VALUE)),
]);
