//! The JSON answer to a report that was stored.

use serde::Serialize;

use crate::ingest::{Accepted, Acknowledged, ChangesOfKind, Field, Spot};
use crate::telemetry::metrics::Label;

/// The answer's body. An empty list is left out.
#[derive(Serialize)]
pub(super) struct Answer {
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    folded: Option<Changed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clamped: Option<Changed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignored: Option<Changed>,
}

/// Changes of one kind.
#[derive(Serialize)]
struct Changed {
    total: u64,
    first: Vec<Change>,
}

#[derive(Serialize)]
struct Change {
    field: String,
    reason: &'static str,
}

impl From<Accepted> for Answer {
    fn from(accepted: Accepted) -> Self {
        let amendments = &accepted.amendments;
        Self {
            result: match accepted.acknowledged {
                Acknowledged::Counted => "counted",
                Acknowledged::Duplicate => "duplicate",
            },
            folded: changed(&amendments.folded),
            clamped: changed(&amendments.clamped),
            ignored: changed(&amendments.ignored),
        }
    }
}

fn changed<R: Label + PartialEq>(changes: &ChangesOfKind<R>) -> Option<Changed> {
    let first: Vec<Change> = changes
        .first()
        .map(|(spot, reason)| Change {
            field: path(spot),
            reason: reason.value(),
        })
        .collect();
    (!first.is_empty()).then(|| Changed {
        total: changes.total(),
        first,
    })
}

/// The path of the changed value in the body.
fn path(spot: Spot) -> String {
    let service = spot.service;
    match spot.field {
        Field::Service => format!("services[{service}].service"),
        Field::Instances => format!("services[{service}].instances"),
        Field::Operation(at) => format!("services[{service}].operations[{at}].operation"),
        Field::Class(at) => format!("services[{service}].operations[{at}].class"),
        Field::Offered(at) => format!("services[{service}].operations[{at}].offered"),
        Field::Sampled(at) => format!("services[{service}].operations[{at}].sampled"),
    }
}
