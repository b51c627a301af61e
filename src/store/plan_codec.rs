//! Encodes a plan as columns of numbers: lossless, and the same bytes for the same plan.
//!
//! Version 6: the byte 6, then a zstd frame of `Document`, `Judged`, `Trimmed`, `Explained`,
//! `Guaranteed`, `Followed`, `Watermarks` and `Clocked` in postcard. Every number is decoded bit for bit, including infinite
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
mod watermarks;

use serde::{Deserialize, Serialize};

use crate::allocation::{
    AGES, Belief, Binding, Figures, FleetPlan, OperationId, OperationPlan, Plan, Reason, ServiceId,
    ServicePlan, Timestamp, Trim, Window,
};

use self::agents::Agents;
use self::clocked::Clocked;
use self::explained::Explained;
use self::fleet::{Fleet, figures, fleet, fleet_columns, judged, trim, trimmed};
use self::followed::{Counted, Followed, Seven};
use self::guaranteed::Guaranteed;
use self::kept::Kept;
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
pub const BYTES_MAX: u64 = 512 << 20;

/// The most bytes of one operation: 5 numbers of 8 bytes, 15 of 4, 4 of 1, and 10 of variable
/// length, which take at most 52.
pub const OPERATION_BYTES: u64 = 156;

/// The most bytes of one service: 5 numbers of 8 bytes, 5 of 4 and one for each age of a window, and 2 of
/// variable length, which take at most 10.
pub const SERVICE_BYTES: u64 = 70 + 4 * AGES as u64;

/// The most bytes of one agent: 4 numbers of 4 bytes, 1 of 1, and 8 of variable length, which take at most
/// 65.
pub const AGENT_BYTES: u64 = 82;

/// The most bytes of what one agent usually reports of one service: 2 numbers of 4 bytes, and 2 of
/// variable length, which take at most 15.
pub const RATE_BYTES: u64 = 23;

/// The beginning of every version. Its fields may only change with a new version.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    number: u64,
    /// Bodies in the database call it `epoch`.
    #[serde(rename = "epoch")]
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

#[derive(Debug, Default, Serialize, Deserialize)]
struct Operations {
    operation: Vec<u32>,
    service: Vec<u32>,
    overflow: Vec<bool>,
    offered: Vec<f64>,
    belief: Beliefs,
    /// A negative rate means none.
    belief_before: Beliefs,
    share: Vec<f64>,
    probability: Vec<f64>,
    binding: Vec<u8>,
    silent_windows: Vec<u32>,
    window_offered: Vec<u64>,
    window_sampled: Vec<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Beliefs {
    rate: Vec<f64>,
    variance: Vec<f32>,
    presence: Vec<f32>,
    stay: Vec<f32>,
    wake: Vec<f32>,
}

/// Encodes a plan.
///
/// # Errors
/// Refuses a plan that could never be read because it decompresses to more than [`BYTES_MAX`].
pub fn encode(plan: &Plan, format: WriteFormat) -> Result<Vec<u8>, TooLarge> {
    let document = Document {
        number: plan.number,
        term: plan.term,
        configuration_revision: plan.configuration_revision,
        window_milliseconds: (plan.window.start.0, plan.window.end.0),
        fleet: fleet_columns(&plan.fleet),
        services: service_columns(&plan.services),
        operations: operation_columns(&plan.operations, format),
        agents: match format {
            WriteFormat::Previous => Agents::of(plan),
            WriteFormat::Newest => Agents::default(),
        },
    };
    let first = (
        document,
        judged(&plan.figures),
        trimmed(&plan.fleet.trim),
        Explained::of(plan),
        Guaranteed::of(plan),
    );
    let (version, content) = match format {
        WriteFormat::Previous => (PREVIOUS, bytes(&(first, Followed::<Seven>::of(plan)))),
        WriteFormat::Newest => {
            let followed = Followed::<Counted>::of(plan);
            let later = (
                followed,
                Watermarks::of(plan),
                Clocked::of(plan),
                Kept::of(plan),
            );
            (VERSION, bytes(&(first, later)))
        }
    };
    frame::check(&content, BYTES_MAX)?;
    Ok(frame::wrap(version, &content))
}

fn bytes(whole: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(whole).expect("numbers and lists of known length serialise")
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
type Later = (Followed<Counted>, Watermarks, Clocked, Kept);

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
        let ((followed, watermarks, clocked, kept), after): (Later, _) = take(rest)?;
        followed.restore(&mut plan)?;
        watermarks.restore(&mut plan)?;
        clocked.restore(&mut plan)?;
        kept.restore(&mut plan)?;
        rest = after;
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

fn operation_columns(operations: &[OperationPlan], format: WriteFormat) -> Operations {
    let mut columns = Operations::default();
    for row in operations {
        columns.operation.push(row.operation.0);
        columns.service.push(row.service.0);
        columns.overflow.push(row.overflow);
        columns.offered.push(row.offered);
        columns.belief.push(&row.belief);
        columns
            .belief_before
            .push(row.belief_before.as_ref().unwrap_or(&NO_BELIEF));
        columns.share.push(row.share);
        columns.probability.push(row.probability);
        columns.binding.push(binding_code(row.binding, format));
        columns.silent_windows.push(row.silent_windows);
        columns.window_offered.push(row.window_offered);
        columns.window_sampled.push(row.window_sampled);
    }
    columns
}

fn operations(columns: &Operations) -> Result<Vec<OperationPlan>, Damage> {
    let count = columns.operation.len();
    let lengths = [
        columns.service.len(),
        columns.overflow.len(),
        columns.offered.len(),
        columns.share.len(),
        columns.probability.len(),
        columns.binding.len(),
        columns.silent_windows.len(),
        columns.window_offered.len(),
        columns.window_sampled.len(),
    ];
    same_length(count, &lengths)?;
    same_length(count, &columns.belief.lengths())?;
    same_length(count, &columns.belief_before.lengths())?;
    let row = |at: usize| {
        let before = columns.belief_before.at(at);
        Ok(OperationPlan {
            operation: OperationId(columns.operation[at]),
            service: ServiceId(columns.service[at]),
            overflow: columns.overflow[at],
            offered: columns.offered[at],
            belief: columns.belief.at(at),
            belief_before: (before.rate >= 0.0).then_some(before),
            share: columns.share[at],
            probability: columns.probability[at],
            turned: 0,
            binding: binding(columns.binding[at])?,
            reason: Reason::UNKNOWN,
            silent_windows: columns.silent_windows[at],
            silent_before: 0,
            window_offered: columns.window_offered[at],
            window_sampled: columns.window_sampled[at],
        })
    };
    (0..count).map(row).collect()
}

/// The stored value for no belief.
const NO_BELIEF: Belief = Belief {
    rate: -1.0,
    variance: 0.0,
    presence: 0.0,
    stay: 0.0,
    wake: 0.0,
    gap: 0,
    since: 0,
    regular: 0.0,
    peak: 0.0,
    once: false,
    fell: false,
};

impl Beliefs {
    fn push(&mut self, belief: &Belief) {
        self.rate.push(belief.rate);
        self.variance.push(belief.variance);
        self.presence.push(belief.presence);
        self.stay.push(belief.stay);
        self.wake.push(belief.wake);
    }

    fn lengths(&self) -> [usize; 5] {
        [
            self.rate.len(),
            self.variance.len(),
            self.presence.len(),
            self.stay.len(),
            self.wake.len(),
        ]
    }

    fn at(&self, at: usize) -> Belief {
        Belief {
            rate: self.rate[at],
            variance: self.variance[at],
            presence: self.presence[at],
            stay: self.stay[at],
            wake: self.wake[at],
            ..Belief::default()
        }
    }
}

fn same_length(count: usize, others: &[usize]) -> Result<(), Damage> {
    if others.iter().all(|other| *other == count) {
        Ok(())
    } else {
        Err(Damage::Malformed)
    }
}

/// Release 0.1.0 does not know all bindings, so it is told the nearest.
fn binding_code(binding: Binding, format: WriteFormat) -> u8 {
    match binding {
        Binding::Level => 0,
        Binding::Floor => 1,
        Binding::Cap => 2,
        Binding::Pin => 3,
        Binding::ProbabilityOne => 4,
        Binding::RaiseLimit => 5,
        Binding::Hold => 6,
        Binding::Deadband => 7,
        Binding::Peak => match format {
            WriteFormat::Previous => binding_code(Binding::RaiseLimit, format),
            WriteFormat::Newest => 8,
        },
    }
}

fn binding(code: u8) -> Result<Binding, Damage> {
    match code {
        0 => Ok(Binding::Level),
        1 => Ok(Binding::Floor),
        2 => Ok(Binding::Cap),
        3 => Ok(Binding::Pin),
        4 => Ok(Binding::ProbabilityOne),
        5 => Ok(Binding::RaiseLimit),
        6 => Ok(Binding::Hold),
        7 => Ok(Binding::Deadband),
        8 => Ok(Binding::Peak),
        _ => Err(Damage::OutOfRange),
    }
}
