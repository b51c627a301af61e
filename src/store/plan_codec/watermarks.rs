//! Added in version 6: up to when counts are known, and what each agent usually reports.

use serde::{Deserialize, Serialize};

use super::same_length;
use crate::allocation::{
    AGES, AgentId, AgentRate, AgentState, Basis, Claim, OperationPlan, Plan, ServiceId,
    ServicePlan, Timestamp,
};
use crate::store::varint::Damage;

/// The columns of services and operations are in the order of the plan's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Watermarks {
    settled_milliseconds: i64,
    unseen_before: f64,
    peak: f64,
    windows_read: u32,
    services: Services,
    operations: Operations,
    agents: Agents,
    rates: Rates,
    claims: Claims,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Services {
    heard: Vec<f32>,
    covered: Vec<f32>,
    agents_return: Vec<f32>,
    new_agents: Vec<[f32; AGES]>,
    names_return: Vec<f32>,
    names_return_before: Vec<f32>,
    peak: Vec<f64>,
    /// By how many milliseconds each basis is behind the end of the plan's window.
    bases: Vec<[Option<i64>; Basis::ALL.len()]>,
    /// One more than the number of the basis from which on all is counted; 0 for none.
    basis: Vec<u8>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Operations {
    peak: Vec<f32>,
    peak_before: Vec<f32>,
    /// Sixteen times the silent windows before what is settled, plus [`ONCE`] and its like. This takes
    /// no more bytes than the windows alone.
    silent_before: Vec<u64>,
}

const ONCE: u64 = 1;
const ONCE_BEFORE: u64 = 2;
const FELL: u64 = 4;
const FELL_BEFORE: u64 = 8;
const FLAGS: u32 = 4;

/// The most silent windows that are stored: with the flags, 35 bits, which are 5 bytes.
const SILENT_MAX: u32 = u32::MAX >> 1;

/// Ids are stored as the difference to the one before, and times as the difference to the end of the
/// plan's window. Both wrap around, so that every number comes back.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Agents {
    agent: Vec<u64>,
    epoch: Vec<u32>,
    sequence: Vec<u64>,
    until: Vec<i64>,
    since: Vec<i64>,
    heard_until: Vec<i64>,
    habit: Vec<f32>,
    soonest: Vec<f32>,
    idle: Vec<f32>,
    pause: Vec<f32>,
    /// The sum of [`RETURNED`] and [`ENDED`].
    flags: Vec<u8>,
    missing_windows: Vec<u32>,
    claims: Vec<u32>,
}

const RETURNED: u8 = 1;
const ENDED: u8 = 2;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Rates {
    /// The difference to the one before; 0 for the same agent.
    agent: Vec<u64>,
    /// One more than the service; 0 for all services together.
    service: Vec<u64>,
    rate: Vec<f32>,
    replaces: Vec<f32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Claims {
    agent: Vec<u64>,
    service: Vec<u32>,
    offered: Vec<u64>,
}

impl Watermarks {
    /// Reads them from a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            settled_milliseconds: plan.settled.0,
            unseen_before: plan.fleet.unseen_before,
            peak: plan.fleet.peak,
            windows_read: plan.fleet.windows_read,
            services: Services::of(&plan.services, plan.window.end),
            operations: Operations::of(&plan.operations),
            agents: Agents::of(&plan.agents, plan.window.end),
            rates: Rates::of(&plan.rates),
            claims: Claims::of(&plan.claims),
        }
    }

    /// Writes them into a plan whose other parts were read already.
    pub(super) fn restore(&self, plan: &mut Plan) -> Result<(), Damage> {
        plan.settled = Timestamp(self.settled_milliseconds);
        plan.fleet.unseen_before = self.unseen_before;
        plan.fleet.peak = self.peak;
        plan.fleet.windows_read = self.windows_read;
        self.services.restore(&mut plan.services, plan.window.end)?;
        self.operations.restore(&mut plan.operations)?;
        plan.agents = self.agents.read(plan.window.end)?;
        plan.rates = self.rates.read()?;
        plan.claims = self.claims.read()?;
        Ok(())
    }
}

/// Fills in what a plan of an earlier version lacks. What it knew before its window is what was settled.
pub(super) fn without(plan: &mut Plan) {
    plan.settled = plan.window.start;
    plan.fleet.unseen_before = plan.fleet.unseen_sampled;
    for operation in &mut plan.operations {
        operation.silent_before = operation.silent_windows.saturating_sub(1);
    }
}

impl Services {
    fn of(services: &[ServicePlan], end: Timestamp) -> Self {
        let mut columns = Self::default();
        let behind = |until: Timestamp| end.0.wrapping_sub(until.0);
        for row in services {
            columns.heard.push(row.heard);
            columns.covered.push(row.covered);
            columns.agents_return.push(row.agents_return);
            columns.new_agents.push(row.new_agents);
            columns.names_return.push(row.names_return);
            columns.names_return_before.push(row.names_return_before);
            columns.peak.push(row.peak);
            let bases = row.bases.map(|until| until.map(behind));
            columns.bases.push(bases);
            columns
                .basis
                .push(row.basis.map_or(0, |basis| basis as u8 + 1));
        }
        columns
    }

    fn restore(&self, services: &mut [ServicePlan], end: Timestamp) -> Result<(), Damage> {
        let until = |behind: i64| Timestamp(end.0.wrapping_sub(behind));
        let lengths = [
            self.heard.len(),
            self.covered.len(),
            self.agents_return.len(),
            self.new_agents.len(),
            self.names_return.len(),
            self.names_return_before.len(),
            self.peak.len(),
            self.bases.len(),
            self.basis.len(),
        ];
        same_length(services.len(), &lengths)?;
        for (at, row) in services.iter_mut().enumerate() {
            row.heard = self.heard[at];
            row.covered = self.covered[at];
            row.agents_return = self.agents_return[at];
            row.new_agents = self.new_agents[at];
            row.names_return = self.names_return[at];
            row.names_return_before = self.names_return_before[at];
            row.peak = self.peak[at];
            row.bases = self.bases[at].map(|behind| behind.map(until));
            row.basis = match usize::from(self.basis[at]).checked_sub(1) {
                None => None,
                Some(place) => Some(*Basis::ALL.get(place).ok_or(Damage::OutOfRange)?),
            };
        }
        Ok(())
    }
}

impl Operations {
    fn of(operations: &[OperationPlan]) -> Self {
        let mut columns = Self::default();
        for row in operations {
            let before = row.belief_before.unwrap_or_default();
            let flag = |set: bool, flag: u64| if set { flag } else { 0 };
            let silent = u64::from(row.silent_before.min(SILENT_MAX)) << FLAGS
                | flag(row.belief.once, ONCE)
                | flag(before.once, ONCE_BEFORE)
                | flag(row.belief.fell, FELL)
                | flag(before.fell, FELL_BEFORE);
            columns.peak.push(row.belief.peak);
            columns.peak_before.push(before.peak);
            columns.silent_before.push(silent);
        }
        columns
    }

    fn restore(&self, operations: &mut [OperationPlan]) -> Result<(), Damage> {
        let lengths = [
            self.peak.len(),
            self.peak_before.len(),
            self.silent_before.len(),
        ];
        same_length(operations.len(), &lengths)?;
        for (at, row) in operations.iter_mut().enumerate() {
            let silent = self.silent_before[at];
            row.silent_before = u32::try_from(silent >> FLAGS).map_err(|_| Damage::OutOfRange)?;
            row.belief.peak = self.peak[at];
            row.belief.once = silent & ONCE != 0;
            row.belief.fell = silent & FELL != 0;
            if let Some(before) = &mut row.belief_before {
                before.peak = self.peak_before[at];
                before.once = silent & ONCE_BEFORE != 0;
                before.fell = silent & FELL_BEFORE != 0;
            }
        }
        Ok(())
    }
}

impl Agents {
    fn of(agents: &[AgentState], end: Timestamp) -> Self {
        let mut columns = Self::default();
        let mut previous = 0;
        for row in agents {
            columns.agent.push(row.agent.0.wrapping_sub(previous));
            columns.epoch.push(row.epoch);
            columns.sequence.push(row.sequence);
            columns.until.push(row.until.0.wrapping_sub(end.0));
            columns.since.push(row.since.0.wrapping_sub(end.0));
            columns
                .heard_until
                .push(row.heard_until.0.wrapping_sub(end.0));
            columns.habit.push(row.habit);
            columns.soonest.push(row.soonest);
            columns.idle.push(row.idle);
            columns.pause.push(row.pause);
            let returned = if row.returned { RETURNED } else { 0 };
            let ended = if row.ended { ENDED } else { 0 };
            columns.flags.push(returned | ended);
            columns.missing_windows.push(row.missing_windows);
            columns.claims.push(row.claims);
            previous = row.agent.0;
        }
        columns
    }

    fn read(&self, end: Timestamp) -> Result<Vec<AgentState>, Damage> {
        let lengths = [
            self.epoch.len(),
            self.sequence.len(),
            self.until.len(),
            self.since.len(),
            self.heard_until.len(),
            self.habit.len(),
            self.soonest.len(),
            self.idle.len(),
            self.pause.len(),
            self.flags.len(),
            self.missing_windows.len(),
            self.claims.len(),
        ];
        same_length(self.agent.len(), &lengths)?;
        let time = |column: &[i64], at: usize| Timestamp(column[at].wrapping_add(end.0));
        let ids = self.agent.iter().scan(0_u64, running).enumerate();
        ids.map(|(at, agent)| {
            let flags = self.flags[at];
            if flags > RETURNED | ENDED {
                return Err(Damage::OutOfRange);
            }
            Ok(AgentState {
                agent,
                epoch: self.epoch[at],
                sequence: self.sequence[at],
                until: time(&self.until, at),
                since: time(&self.since, at),
                heard_until: time(&self.heard_until, at),
                habit: self.habit[at],
                soonest: self.soonest[at],
                idle: self.idle[at],
                pause: self.pause[at],
                returned: flags & RETURNED != 0,
                ended: flags & ENDED != 0,
                missing_windows: self.missing_windows[at],
                claims: self.claims[at],
            })
        })
        .collect()
    }
}

/// The next of ids that are stored as differences.
fn running(last: &mut u64, difference: &u64) -> Option<AgentId> {
    *last = last.wrapping_add(*difference);
    Some(AgentId(*last))
}

impl Rates {
    fn of(rates: &[AgentRate]) -> Self {
        let mut columns = Self::default();
        let mut previous = 0;
        for row in rates {
            let service = row.service.map_or(0, |service| u64::from(service.0) + 1);
            columns.agent.push(row.agent.0.wrapping_sub(previous));
            columns.service.push(service);
            columns.rate.push(row.rate);
            columns.replaces.push(row.replaces);
            previous = row.agent.0;
        }
        columns
    }

    fn read(&self) -> Result<Vec<AgentRate>, Damage> {
        let lengths = [self.service.len(), self.rate.len(), self.replaces.len()];
        same_length(self.agent.len(), &lengths)?;
        let ids = self.agent.iter().scan(0_u64, running).enumerate();
        ids.map(|(at, agent)| {
            let service = self.service[at].checked_sub(1).map(u32::try_from);
            let service = service.transpose().map_err(|_| Damage::OutOfRange)?;
            Ok(AgentRate {
                agent,
                service: service.map(ServiceId),
                rate: self.rate[at],
                replaces: self.replaces[at],
            })
        })
        .collect()
    }
}

impl Claims {
    fn of(claims: &[Claim]) -> Self {
        let mut columns = Self::default();
        for row in claims {
            columns.agent.push(row.agent.0);
            columns.service.push(row.service.0);
            columns.offered.push(row.offered);
        }
        columns
    }

    fn read(&self) -> Result<Vec<Claim>, Damage> {
        same_length(self.agent.len(), &[self.service.len(), self.offered.len()])?;
        let row = |at: usize| Claim {
            agent: AgentId(self.agent[at]),
            service: ServiceId(self.service[at]),
            offered: self.offered[at],
        };
        Ok((0..self.agent.len()).map(row).collect())
    }
}
