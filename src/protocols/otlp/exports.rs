//! Takes an export, whatever it came over, and answers once its counts are durable.

use std::borrow::Cow;
use std::sync::Arc;

use super::{
    Encoding, Extracted, POINTS_MAX, SOURCES_MAX, Unreadable, check_export, read_metrics,
    read_traces,
};
use crate::access::Caller;
use crate::http::body::BodyRoom;
use crate::ingest::{Ingest, IngestError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{ExportOutcome, ExportProtocol, LeftOutReason, Metrics, Signal};
use crate::telemetry::seldom::log_seldom;

/// How long a sender waits that is told to send again later, in seconds.
pub(super) const RETRY_AFTER_SECONDS: u32 = 2;

/// What takes exports; shared by all listeners.
#[derive(Clone)]
pub struct Exports {
    /// Where counts go.
    pub ingest: Ingest,
    /// The room that bodies share with those of reports.
    pub room: BodyRoom,
    /// The largest body, before and after decompression.
    pub bytes_max: usize,
    /// Where exports are counted.
    pub metrics: Arc<Metrics>,
}

/// An export that is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Data points that were not counted and never will be.
    pub rejected: u64,
    /// Why; empty if there is nothing to say.
    pub said: String,
}

/// An export that is not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It cannot be read. Sending it again does not help.
    #[error("{0}")]
    Malformed(String),
    /// It is too large. Sending it again does not help.
    #[error("the body is larger than {0} bytes (--max-report-bytes)")]
    TooLarge(usize),
    /// Nothing in it may be counted by who sends it.
    #[error("this token is limited to some services, and none of the export's is among them")]
    Forbidden,
    /// Its type or its compression is not known.
    #[error("{0}")]
    Unsupported(String),
    /// The client expects what this server does not do.
    #[error("the only supported expectation is 100-continue")]
    ExpectationFailed,
    /// It was not stored, or nobody knows whether it was. It can be sent again: it counts once.
    #[error("{detail}")]
    Later {
        detail: &'static str,
        outcome: ExportOutcome,
    },
}

impl Refused {
    fn outcome(&self) -> ExportOutcome {
        match self {
            Self::Malformed(_) => ExportOutcome::Malformed,
            Self::TooLarge(_) => ExportOutcome::TooLarge,
            Self::Forbidden => ExportOutcome::Forbidden,
            Self::Unsupported(_) | Self::ExpectationFailed => ExportOutcome::Unsupported,
            Self::Later { outcome, .. } => *outcome,
        }
    }
}

impl From<Unreadable> for Refused {
    fn from(unreadable: Unreadable) -> Self {
        Self::Malformed(unreadable.to_string())
    }
}

impl From<IngestError> for Refused {
    fn from(error: IngestError) -> Self {
        let outcome = match &error {
            IngestError::Overloaded => ExportOutcome::Overloaded,
            IngestError::Late => ExportOutcome::Late,
            IngestError::Unsettled | IngestError::TooFarBehind => ExportOutcome::Unsettled,
            IngestError::Stopping => ExportOutcome::Unavailable,
            IngestError::Panicked => ExportOutcome::Internal,
            IngestError::Store(_) if error.passing().is_some() => ExportOutcome::Unavailable,
            IngestError::Store(_) => ExportOutcome::Internal,
        };
        if let IngestError::Store(source) = &error
            && outcome == ExportOutcome::Internal
        {
            log_seldom!(
                error,
                error = chain(&**source),
                "an export could not be stored"
            );
        }
        // OTLP has no error that says "a fault here, send it again", but this one.
        Self::Later {
            detail: error.passing().unwrap_or("it could not be stored"),
            outcome,
        }
    }
}

impl Exports {
    /// Reads an export and stores its counts, of services that its sender may count for.
    ///
    /// # Errors
    /// Says whether it can be sent again.
    pub(super) async fn take(
        &self,
        signal: Signal,
        encoding: Encoding,
        body: &[u8],
        caller: &Caller,
    ) -> Result<Taken, Refused> {
        let mut export = match signal {
            Signal::Metrics => read_metrics(encoding, body)?,
            Signal::Traces => read_traces(encoding, body)?,
            Signal::Logs => {
                check_export(encoding, body)?;
                return Ok(Taken {
                    rejected: 0,
                    said: String::new(),
                });
            }
        };
        leave_out_of_scope(&mut export, caller)?;
        let (points, own) = (export.points(), LeftOutPoints::of(&export, signal));
        let stored = match export.sources {
            nothing if nothing.is_empty() => None,
            sources => Some(self.ingest.export(sources).await?),
        };
        for of in &export.spans {
            self.ingest.exported(&of.service, of.sums);
        }
        self.metrics.otlp_points.inc_by(points);
        for (reason, count) in own.all {
            self.metrics.otlp_points_left_out.of(reason).inc_by(count);
        }
        let (theirs, why) = stored.map_or((0, None), |stored| (stored.rejected, stored.said));
        let said = own.said.into_iter().chain(why);
        Ok(Taken {
            rejected: own.rejected + theirs,
            said: said.collect::<Vec<_>>().join("; "),
        })
    }

    /// Counts how an export was answered.
    pub(super) fn count(
        &self,
        signal: Signal,
        protocol: ExportProtocol,
        taken: &Result<Taken, Refused>,
    ) {
        let outcome = match taken {
            Ok(taken) if taken.said.is_empty() => ExportOutcome::Accepted,
            Ok(_) => ExportOutcome::Partial,
            Err(refused) => refused.outcome(),
        };
        let series = (signal, protocol, outcome);
        self.metrics.otlp_exports.of(series).inc();
    }
}

/// Leaves out what the sender may not count for.
fn leave_out_of_scope(export: &mut Extracted<'_>, caller: &Caller) -> Result<(), Refused> {
    let all = export.sources.len();
    export.spans.retain(|of| caller.may_count(&of.service));
    let left_out = &mut export.left_out;
    export.sources.retain(|source| {
        let allowed = caller.may_count(&source.service);
        if !allowed {
            left_out.add_many(LeftOutReason::OutOfScope, source.points.len() as u64);
        }
        allowed
    });
    match export.sources.len() {
        0 if all > 0 => Err(Refused::Forbidden),
        _ => Ok(()),
    }
}

/// What was left out of an export when it was read.
struct LeftOutPoints {
    all: Vec<(LeftOutReason, u64)>,
    rejected: u64,
    said: Option<String>,
}

impl LeftOutPoints {
    fn of(export: &Extracted<'_>, signal: Signal) -> Self {
        let unit = match signal {
            Signal::Traces => "spans",
            Signal::Metrics | Signal::Logs => "data points",
        };
        let all: Vec<_> = export.left_out.by_reason().collect();
        let rejected = all
            .iter()
            .filter_map(|(reason, count)| Some((why(*reason)?, *count)));
        let rejected: Vec<_> = rejected.collect();
        let said = rejected.iter().map(|(why, count)| format!("{count} {why}"));
        let said = said.collect::<Vec<_>>().join(", ");
        Self {
            all,
            rejected: rejected.iter().map(|(_, count)| count).sum(),
            said: (!said.is_empty()).then(|| format!("{unit} were not counted: {said}")),
        }
    }
}

/// Why points of this kind are rejected, in words that follow their number; none if there is nothing
/// wrong with them.
fn why(reason: LeftOutReason) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(match reason {
        LeftOutReason::NotARequest | LeftOutReason::NoValue => return None,
        LeftOutReason::NoName => "do not name the method, the procedure or the span",
        LeftOutReason::NotACount => "have a value that is not a count",
        LeftOutReason::NotMonotonic => "are of a sum that is not monotonic",
        LeftOutReason::NoTemporality => "are neither cumulative nor a delta",
        LeftOutReason::NoTime => "have no time",
        LeftOutReason::NoId => "have no valid id",
        LeftOutReason::OutOfScope => "are of services that the token is not for",
        LeftOutReason::TooMany => {
            let detail =
                format!("exceed the {POINTS_MAX} points or {SOURCES_MAX} resources of an export");
            return Some(Cow::Owned(detail));
        }
    }))
}
