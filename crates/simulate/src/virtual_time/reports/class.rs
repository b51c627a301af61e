//! The requests that arrive by the same plan and cover the same windows, which are drawn together.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;

use super::super::draw;
use super::super::inbox::Batch;
use super::super::seat::Seat;
use weir_allocation::{AgentCount, OperationCount, OperationId, ServiceId};

/// The requests of one agent that are in one report and come in the present interval.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub seat: usize,
    pub report: usize,
    /// How many requests it has, relative to the other pieces.
    pub weight: f64,
    pub route: Route,
}

/// Which plan sees a count first, and the windows over which it is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    /// [`NEVER`] if it is lost.
    pub due: i64,
    pub first: i64,
    pub last: i64,
}

pub(super) const NEVER: i64 = i64::MAX;

/// Pieces on the same route.
#[derive(Debug)]
pub(super) struct Class {
    pub route: Route,
    pub pieces: Vec<Piece>,
    pub weight: f64,
    /// For each window of the route, the weights of the pieces in it.
    pub windows: Vec<Vec<f64>>,
    /// What each window gets, the first `n` together: parts of the weight.
    pub parts: Vec<f64>,
    pub batches: Vec<Batch>,
}

impl Class {
    /// Spreads an operation's requests over the windows of the route, in whole requests.
    pub(super) fn spread(
        &mut self,
        random: &mut StdRng,
        (service, place): (usize, usize),
        (sampled, dropped): (u64, u64),
        sums: &mut [(u64, u64)],
    ) {
        if self.route.due == NEVER || sampled + dropped == 0 {
            return;
        }
        let mut phases = (0.0, 0.0);
        if self.batches.len() > 1 {
            phases = (random.random::<f64>(), random.random::<f64>());
        }
        let mut given = (0, 0);
        for ((batch, part), sum) in self.batches.iter_mut().zip(&self.parts).zip(sums) {
            let until = |count: u64, phase: f64| ((count as f64 * part + phase) as u64).min(count);
            let until = (until(sampled, phases.0), until(dropped, phases.1));
            let (sampled, dropped) = (until.0 - given.0, until.1 - given.1);
            given = until;
            if sampled + dropped == 0 {
                continue;
            }
            sum.0 += sampled;
            sum.1 += dropped;
            batch.operations.push(OperationCount {
                operation: OperationId(place as u32 + 1),
                service: ServiceId(service as u32 + 1),
                overflow: false,
                offered: sampled + dropped,
                sampled,
            });
        }
    }

    /// Splits a service's requests over the agents.
    pub(super) fn attribute(
        &mut self,
        random: &mut StdRng,
        service: usize,
        sums: &[(u64, u64)],
        seats: &[Seat],
        requests: &mut BTreeMap<(usize, usize), u64>,
    ) {
        for ((batch, weights), &sum) in self.batches.iter_mut().zip(&self.windows).zip(sums) {
            let mut left = sum;
            let mut weight: f64 = weights.iter().sum();
            let mut place = 0;
            while place < self.pieces.len() && left.0 + left.1 > 0 {
                let piece = self.pieces[place];
                let report = &seats[piece.seat].reports[piece.report];
                // Reports of one agent are told apart only if empty ones are not sent.
                let sparse = seats[piece.seat].agent.sparse;
                let same = |other: &Piece| {
                    let of = &seats[other.seat].reports[other.report];
                    !sparse && of.agent == report.agent
                };
                let others = self.pieces[place + 1..].iter();
                let end = place + 1 + others.take_while(|other| same(other)).count();
                let own: f64 = weights[place..end].iter().sum();
                let part = if end == self.pieces.len() {
                    1.0
                } else {
                    (own / weight).min(1.0)
                };
                let taken = (draw(random, left.0, part), draw(random, left.1, part));
                left = (left.0 - taken.0, left.1 - taken.1);
                weight -= own;
                place = end;
                let offered = taken.0 + taken.1;
                if offered == 0 {
                    continue;
                }
                if sparse {
                    *requests.entry((piece.seat, piece.report)).or_insert(0) += offered;
                }
                batch.agents.push(AgentCount {
                    agent: report.agent,
                    service: Some(ServiceId(service as u32 + 1)),
                    offered,
                    sampled: taken.0,
                });
            }
        }
    }
}
