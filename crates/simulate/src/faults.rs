//! Faults and sudden changes in a run, in addition to the recorded traffic.
//!
//! Operators write them as text. There, intervals count from 1, as in every table.

mod mint;
mod text;

use std::collections::HashMap;
use std::ops::Range;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::traffic::Traffic;
use super::virtual_time::{Agent, AgentFaults};
use weir_allocation::{OperationName, Policy, ServiceName};

pub use mint::{Mint, Minted};
pub use text::{Claimed, NotAFault};

/// All faults of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// What happens to agents and their reports.
    pub agents: AgentFaults,
    /// Requests in addition to the recorded ones.
    pub bursts: Vec<Burst>,
    /// Traffic that fades to silence and comes back.
    pub fades: Vec<Fade>,
    /// Names that are used once.
    pub minted: Vec<Minted>,
    /// Budgets that operators change.
    pub budgets: Vec<BudgetChange>,
    /// Operations that are renamed.
    pub renamed: Vec<Renamed>,
}

/// All traffic is multiplied for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Burst {
    /// The factor.
    pub factor: f64,
    /// In these intervals.
    pub intervals: Range<usize>,
}

/// Traffic halves from interval to interval, is silent for a while, and is back at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fade {
    /// The intervals in which it halves. In the last one, a part of 1/2ⁿ is left.
    pub fades: Range<usize>,
    /// How many intervals it is silent afterwards.
    pub silent: usize,
    /// The service that fades; none for the whole fleet.
    pub service: Option<ServiceName>,
}

impl Fade {
    /// The part of the traffic that is left in an interval.
    fn left(&self, interval: usize) -> f64 {
        if interval < self.fades.start || interval >= self.fades.end + self.silent {
            return 1.0;
        }
        if interval >= self.fades.end {
            return 0.0;
        }
        0.5_f64.powi((interval - self.fades.start) as i32 + 1)
    }
}

/// An operator multiplies the budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetChange {
    /// The factor, of the budget that the run began with.
    pub factor: f64,
    /// The first interval whose plan uses it.
    pub at: usize,
}

/// A part of the operations is renamed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rename {
    /// Which part, in (0, 1].
    pub part: f64,
    /// From this interval on.
    pub at: usize,
}

/// The renamed operations and their new names, as indexes into the traffic, and the interval from
/// which on.
#[derive(Debug, Clone, PartialEq)]
pub struct Renamed {
    at: usize,
    moves: Vec<(usize, usize)>,
}

impl Faults {
    /// The policy of the plan that follows an interval.
    #[must_use]
    pub fn policy(&self, policy: &Policy, interval: usize) -> Policy {
        Policy {
            budget: self.budget(policy.budget, interval),
            ..policy.clone()
        }
    }

    /// The budget of the plan that follows an interval.
    #[must_use]
    pub fn budget(&self, budget: f64, interval: usize) -> f64 {
        let changes = self.budgets.iter().filter(|change| change.at <= interval);
        let last = changes.max_by_key(|change| change.at);
        last.map_or(budget, |change| change.factor * budget)
    }

    /// Applies everything that changes the traffic to an interval's requests.
    pub fn shape(&self, traffic: &Traffic, agents: &[Agent], interval: usize, counts: &mut [u64]) {
        for minted in &self.minted {
            minted.add(interval, counts);
        }
        let left = 1.0 - self.agents.ended(agents, interval);
        thin(counts, 0, left, interval);
        for fade in &self.fades {
            let named = |name: &ServiceName| traffic.services().iter().find(|of| of.name == *name);
            let operations = match &fade.service {
                Some(name) => named(name).map_or(0..0, |service| service.operations.clone()),
                None => 0..counts.len(),
            };
            let first = operations.start;
            thin(
                &mut counts[operations],
                first,
                fade.left(interval),
                interval,
            );
        }
        for burst in self
            .bursts
            .iter()
            .filter(|burst| burst.intervals.contains(&interval))
        {
            for count in counts.iter_mut() {
                *count = (*count as f64 * burst.factor).round() as u64;
            }
        }
        for renamed in self.renamed.iter().filter(|renamed| interval >= renamed.at) {
            for &(old, new) in &renamed.moves {
                counts[new] += std::mem::take(&mut counts[old]);
            }
        }
    }

    /// Draws the operations to rename, and adds their new names to the traffic.
    ///
    /// An operation keeps its name if the new one would be too long or exists already.
    #[must_use]
    pub fn rename(&mut self, traffic: Traffic, mut renames: Vec<Rename>, seed: u64) -> Traffic {
        if renames.is_empty() {
            return traffic;
        }
        renames.sort_by_key(|rename| rename.at);
        let mut random = StdRng::seed_from_u64(seed);
        let services = traffic.services();
        let mut rows: Vec<_> = traffic
            .operations()
            .iter()
            .map(|of| {
                (
                    services[of.service].name.clone(),
                    of.name.clone(),
                    of.counts.clone(),
                )
            })
            .collect();
        let mut taken: HashMap<_, usize> = HashMap::new();
        for (place, (service, name, _)) in rows.iter().enumerate() {
            taken.insert((service.clone(), name.clone()), place);
        }
        let mut current: Vec<usize> = (0..rows.len()).collect();
        let mut drawn = Vec::with_capacity(renames.len());
        for (number, rename) in renames.iter().enumerate() {
            current.shuffle(&mut random);
            let wanted = (rename.part * current.len() as f64).round() as usize;
            let mut moves = Vec::with_capacity(wanted);
            for old in current.iter_mut().take(wanted) {
                let (service, name, _) = &rows[*old];
                let name = format!("{} (renamed {})", name.as_str(), number + 1);
                let Ok(name) = OperationName::parse(&name) else {
                    continue;
                };
                let key = (service.clone(), name);
                if taken.contains_key(&key) {
                    continue;
                }
                taken.insert(key.clone(), rows.len());
                moves.push((*old, rows.len()));
                *old = rows.len();
                rows.push((key.0, key.1, Vec::new()));
            }
            drawn.push((rename.at, moves));
        }
        let names: Vec<_> = rows
            .iter()
            .map(|(service, name, _)| (service.clone(), name.clone()))
            .collect();
        let renamed = Traffic::new(traffic.labels().to_vec(), rows).expect("new names are free");
        self.renamed = placed(&renamed, &names, drawn);
        renamed
    }
}

/// Turns indexes of the given rows into indexes of the traffic, which sorts them.
fn placed(
    traffic: &Traffic,
    names: &[(ServiceName, OperationName)],
    drawn: Vec<(usize, Vec<(usize, usize)>)>,
) -> Vec<Renamed> {
    let places: HashMap<_, usize> = traffic
        .operations()
        .iter()
        .enumerate()
        .map(|(place, of)| ((&traffic.services()[of.service].name, &of.name), place))
        .collect();
    let place = |row: usize| places[&(&names[row].0, &names[row].1)];
    let of = |(at, moves): (usize, Vec<(usize, usize)>)| Renamed {
        at,
        moves: moves
            .into_iter()
            .map(|(old, new)| (place(old), place(new)))
            .collect(),
    };
    drawn.into_iter().map(of).collect()
}

/// Leaves a part of the requests: of each operation a whole number, and on average the part.
fn thin(counts: &mut [u64], first: usize, part: f64, interval: usize) {
    if part >= 1.0 {
        return;
    }
    for (place, count) in counts
        .iter_mut()
        .enumerate()
        .filter(|(_, count)| **count > 0)
    {
        let mixed = (((first + place) as u64) ^ (interval as u64).rotate_left(32))
            .wrapping_add(0x9e37_79b9_7f4a_7c15)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let phase = (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 11;
        let phase = phase as f64 / (1_u64 << 53) as f64;
        *count = (*count as f64 * part.max(0.0) + phase) as u64;
    }
}

#[cfg(test)]
mod tests;
