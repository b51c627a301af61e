//! The columns of operations that all versions have.

use serde::{Deserialize, Serialize};

use super::same_length;
use crate::allocation::{Belief, Binding, OperationId, OperationPlan, Reason, ServiceId};
use crate::store::WriteFormat;
use crate::store::varint::Damage;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Operations {
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

pub(super) fn operation_columns(operations: &[OperationPlan], format: WriteFormat) -> Operations {
    let mut columns = Operations::of_length(operations.len());
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

pub(super) fn operations(columns: &Operations) -> Result<Vec<OperationPlan>, Damage> {
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

impl Operations {
    /// Empty columns with room for this many operations.
    fn of_length(count: usize) -> Self {
        Self {
            operation: Vec::with_capacity(count),
            service: Vec::with_capacity(count),
            overflow: Vec::with_capacity(count),
            offered: Vec::with_capacity(count),
            belief: Beliefs::of_length(count),
            belief_before: Beliefs::of_length(count),
            share: Vec::with_capacity(count),
            probability: Vec::with_capacity(count),
            binding: Vec::with_capacity(count),
            silent_windows: Vec::with_capacity(count),
            window_offered: Vec::with_capacity(count),
            window_sampled: Vec::with_capacity(count),
        }
    }
}

impl Beliefs {
    fn of_length(count: usize) -> Self {
        Self {
            rate: Vec::with_capacity(count),
            variance: Vec::with_capacity(count),
            presence: Vec::with_capacity(count),
            stay: Vec::with_capacity(count),
            wake: Vec::with_capacity(count),
        }
    }

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
