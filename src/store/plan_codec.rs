//! Encodes a plan as columns of numbers: lossless, and the same bytes for the same plan.
//!
//! Version 6: the byte 6, then a zstd frame of `Document`, `Judged`, `Trimmed`, `Explained`,
//! `Guaranteed`, `Followed`, `Watermarks`, `Clocked`, `Kept` and `Polled` in postcard, and of `steered::Asked`
//! while operators ask for something else to be served, or state the budget in another unit. Every number is decoded bit for bit, including infinite
//! levels, because the next plan is computed from this one, and every replica must compute what the
//! leader did.
//!
//! Version 2 ended after `Document`, 3 after `Judged`, 4 after `Trimmed` and 5 after `Followed`. In
//! version 5 the number of followers was part of the format. They can still be read, and version 5 is
//! still written: up to when the counts of each agent are known is lost in it.

mod agents;
mod clocked;
mod explained;
mod fleet;
mod followed;
mod guaranteed;
mod kept;
mod operations;
mod polled;
mod steered;
mod watermarks;

use serde::{Deserialize, Serialize};

use crate::allocation::{
    AGES, Basis, Figures, FleetPlan, Plan, ServiceId, ServicePlan, Timestamp, Trim, Window,
};

use self::agents::Agents;
use self::clocked::Clocked;
use self::explained::Explained;
use self::fleet::{Fleet, figures, fleet, fleet_columns, judged, trim, trimmed};
use self::followed::{Counted, Followed, Seven};
use self::guaranteed::Guaranteed;
use self::kept::Kept;
use self::operations::{Operations, operation_columns, operations};
use self::polled::Polled;
use self::watermarks::Watermarks;
use super::varint::Damage;
use super::{StoreError, TooLarge, WriteFormat, frame};

const VERSION: u8 = 6;

/// The version that release 0.1.0 reads.
const PREVIOUS: u8 = 5;

/// The oldest version that can be read, followed by what later versions added.
const OLDEST: u8 = 2;
const WITH_FIGURES: u8 = 3;
const WITH_TRIM: u8 = 4;
const WITH_REASONS: u8 = 5;
const WITH_WATERMARKS: u8 = 6;

/// The versions that can be read, by the first byte of a body.
pub(super) const KNOWN: std::ops::RangeInclusive<u8> = OLDEST..=VERSION;

/// The largest size of a decompressed body. PostgreSQL stores values of up to 1 GB, and a replica
/// needs about three times this size to compute the next plan.
pub const BYTES_MAX: u64 = 576 << 20;

/// The most bytes of one operation: 5 numbers of 8 bytes, 17 of 4, 4 of 1, and 10 of variable
/// length, which take at most 52.
pub const OPERATION_BYTES: u64 = 164;

/// The most bytes of one service: 5 numbers of 8 bytes, 12 of 4 and one for each age of a window, 1 of 1, and
/// 4 of variable length, which take at most 20; and of each basis whether it was heard and up to when, 11.
pub const SERVICE_BYTES: u64 = 109 + 4 * AGES as u64 + 11 * Basis::ALL.len() as u64;

/// The most bytes of one agent: 4 numbers of 4 bytes, 1 of 1, and 8 of variable length, which take at most
/// 65.
pub const AGENT_BYTES: u64 = 82;

/// The most bytes of what one agent usually reports of one service: 2 numbers of 4 bytes, and 2 of
/// variable length, which take at most 15.
pub const RATE_BYTES: u64 = 23;

/// The beginning of every version. Its fields may only change with a new version.
#[derive(Debug, Deserialize)]
struct Document {
    number: u64,
    term: u64,
    configuration_revision: u64,
    window_milliseconds: (i64, i64),
    fleet: Fleet,
    services: Services,
    operations: Operations,
    agents: Agents,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Services {
    service: Vec<u32>,
    default_probability: Vec<f64>,
}

/// Encodes a plan.
///
/// # Errors
/// Refuses a plan that could never be read because it decompresses to more than [`BYTES_MAX`].
pub fn encode(plan: &Plan, format: WriteFormat) -> Result<Vec<u8>, TooLarge> {
    let mut body = frame::Wrapping::new(match format {
        WriteFormat::Previous => PREVIOUS,
        WriteFormat::Newest => VERSION,
    });
    // Each part is freed before the next one is made.
    put_document(&mut body, plan, format);
    body.put(&(judged(&plan.figures), trimmed(&plan.fleet.trim)));
    body.put(&Explained::of(plan));
    body.put(&Guaranteed::of(plan));
    match format {
        WriteFormat::Previous => body.put(&Followed::<Seven>::of(plan)),
        WriteFormat::Newest => {
            body.put(&Followed::<Counted>::of(plan));
            body.put(&Watermarks::of(plan));
            body.put(&Clocked::of(plan));
            body.put(&Kept::of(plan));
            body.put(&Polled::of(plan));
            if let Some(asked) = steered::Asked::of(plan) {
                body.put(&asked);
            }
        }
    }
    body.end(BYTES_MAX)
}

/// Puts the fields of a [`Document`], in their order.
fn put_document(body: &mut frame::Wrapping, plan: &Plan, format: WriteFormat) {
    body.put(&(plan.number, plan.term, plan.configuration_revision));
    body.put(&(plan.window.start.0, plan.window.end.0));
    body.put(&fleet_columns(&plan.fleet));
    body.put(&service_columns(&plan.services));
    body.put(&operation_columns(&plan.operations, format));
    body.put(&match format {
        WriteFormat::Previous => Agents::of(plan),
        WriteFormat::Newest => Agents::default(),
    });
}

/// Decodes a plan.
///
/// # Errors
/// [`StoreError::NewerFormat`] for an unknown version, [`StoreError::Corrupt`] for anything else
/// that [`encode`] does not write.
pub fn decode(body: &[u8]) -> Result<Plan, StoreError> {
    read(body).map_err(|damage| damage.of("plan_body.body"))
}

/// What version 6 added.
type Later = (Followed<Counted>, Watermarks, Clocked, Kept, Polled);

fn read(body: &[u8]) -> Result<Plan, Damage> {
    let written = body.first().copied().unwrap_or(VERSION);
    let version = if (OLDEST..VERSION).contains(&written) {
        written
    } else {
        VERSION
    };
    let content = frame::unwrap(version, body, BYTES_MAX)?;
    let (document, mut rest): (Document, _) = take(&content)?;
    let (mut figures, mut trim) = (Figures::default(), Trim::default());
    if version >= WITH_FIGURES {
        let (judged, after) = take(rest)?;
        (figures, rest) = (self::figures(&judged), after);
    }
    if version >= WITH_TRIM {
        let (trimmed, after) = take(rest)?;
        (trim, rest) = (self::trim(&trimmed), after);
    }
    let mut plan = Plan {
        fleet: FleetPlan {
            trim,
            ..fleet(&document.fleet)?
        },
        figures,
        ..plan(&document)?
    };
    if version >= WITH_REASONS {
        let ((explained, guaranteed), after): ((Explained, Guaranteed), _) = take(rest)?;
        explained.restore(&mut plan)?;
        guaranteed.restore(&mut plan)?;
        rest = after;
    }
    if version >= WITH_WATERMARKS {
        let ((followed, watermarks, clocked, kept, polled), after): (Later, _) = take(rest)?;
        followed.restore(&mut plan)?;
        watermarks.restore(&mut plan)?;
        clocked.restore(&mut plan)?;
        kept.restore(&mut plan)?;
        polled.restore(&mut plan)?;
        rest = after;
        if !rest.is_empty() {
            let (asked, after): (steered::Asked, _) = take(rest)?;
            asked.restore(&mut plan)?;
            rest = after;
        }
    } else {
        if version >= WITH_REASONS {
            let (followed, after): (Followed<Seven>, _) = take(rest)?;
            followed.restore(&mut plan)?;
            rest = after;
        }
        watermarks::without(&mut plan);
        document.agents.restore(&mut plan)?;
    }
    if rest.is_empty() {
        Ok(plan)
    } else {
        Err(Damage::Trailing)
    }
}

/// Reads the part that all versions have.
fn plan(document: &Document) -> Result<Plan, Damage> {
    let (start, end) = document.window_milliseconds;
    Ok(Plan {
        number: document.number,
        term: document.term,
        configuration_revision: document.configuration_revision,
        window: Window {
            start: Timestamp(start),
            end: Timestamp(end),
        },
        services: services(&document.services, document.fleet.level)?,
        operations: operations(&document.operations)?,
        ..Plan::default()
    })
}

fn take<'a, T: Deserialize<'a>>(content: &'a [u8]) -> Result<(T, &'a [u8]), Damage> {
    postcard::take_from_bytes(content).map_err(|_| Damage::Malformed)
}

fn service_columns(services: &[ServicePlan]) -> Services {
    let mut columns = Services::default();
    for row in services {
        columns.service.push(row.service.0);
        columns.default_probability.push(row.default_probability);
    }
    columns
}

/// Up to version 4, all services shared at the fleet's level, in no group.
fn services(columns: &Services, level: f64) -> Result<Vec<ServicePlan>, Damage> {
    let count = columns.service.len();
    same_length(count, &[columns.default_probability.len()])?;
    let row = |at: usize| ServicePlan {
        service: ServiceId(columns.service[at]),
        default_probability: columns.default_probability[at],
        level,
        group: None,
        ..ServicePlan::default()
    };
    Ok((0..count).map(row).collect())
}

fn same_length(count: usize, others: &[usize]) -> Result<(), Damage> {
    if others.iter().all(|other| *other == count) {
        Ok(())
    } else {
        Err(Damage::Malformed)
    }
}
