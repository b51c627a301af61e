//! What the agents say of an interval, and what of it comes in time.

use std::ops::Range;

use rand::rngs::StdRng;

use super::{Timing, draw};
use crate::allocation::{
    AgentCount, AgentId, OperationCount, OperationId, ServiceId, Timestamp, Window, WindowCounts,
};
use crate::simulate::traffic::Traffic;

/// Agents whose reports never arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The intervals in which they do not.
    pub intervals: Range<usize>,
    /// How many of the agents it is.
    pub agents: usize,
}

/// Which reports are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Those that come before the window closes.
    InTime,
    /// All that ever come.
    Whole,
}

/// The agents of a fleet and what becomes of their reports.
#[derive(Debug)]
pub struct Reports<'a> {
    traffic: &'a Traffic,
    interval_milliseconds: i64,
    /// The part of a window's requests heard in time, agent by agent.
    covered: Vec<f64>,
    loss: Option<Loss>,
    arrivals: StdRng,
}

impl<'a> Reports<'a> {
    /// Spreads the ends of `agents` agents' reports evenly over the report interval.
    #[must_use]
    pub fn new(
        traffic: &'a Traffic,
        timing: &Timing,
        agents: usize,
        loss: Option<Loss>,
        arrivals: StdRng,
    ) -> Self {
        let place = |agent: usize| (agent as f64 + 0.5) / agents.max(1) as f64;
        Self {
            traffic,
            interval_milliseconds: timing.interval.as_millis() as i64,
            covered: (0..agents)
                .map(|agent| timing.covered(place(agent)))
                .collect(),
            loss,
            arrivals,
        }
    }

    /// What the agents say of an interval of which `counts` were offered and `sampled` kept.
    pub fn heard(
        &mut self,
        number: usize,
        counts: &[u64],
        sampled: &[u64],
        heard: Heard,
    ) -> WindowCounts {
        let agents = self.covered.len();
        let lost = match &self.loss {
            Some(loss) if loss.intervals.contains(&number) => loss.agents.min(agents),
            _ => 0,
        };
        let covered: Vec<f64> = self.covered[lost..]
            .iter()
            .map(|&part| if heard == Heard::Whole { 1.0 } else { part })
            .collect();
        let part = covered.iter().sum::<f64>() / agents.max(1) as f64;
        let operations = self.operations(counts, sampled, part);
        let window = self.window(number);
        let offered: u64 = operations.iter().map(|count| count.offered).sum();
        let total: f64 = covered.iter().sum();
        let covered = covered.iter().enumerate().filter(|(_, part)| **part > 0.0);
        let agents = covered
            .map(|(agent, &part)| AgentCount {
                agent: AgentId((lost + agent) as u64 + 1),
                offered: (offered as f64 * part / total) as u64,
                covered_milliseconds: (window.milliseconds() as f64 * part) as i64,
            })
            .collect();
        WindowCounts {
            window,
            operations,
            services: Vec::new(),
            agents,
        }
    }

    /// The operations of which something is heard when a part of the requests is.
    fn operations(&mut self, counts: &[u64], sampled: &[u64], part: f64) -> Vec<OperationCount> {
        let mut operations = Vec::new();
        for (service, of) in self.traffic.services().iter().enumerate() {
            for place in of.operations.clone().filter(|&place| counts[place] > 0) {
                let kept = draw(&mut self.arrivals, sampled[place], part);
                let dropped = draw(&mut self.arrivals, counts[place] - sampled[place], part);
                if kept + dropped > 0 {
                    operations.push(OperationCount {
                        operation: OperationId(place as u32 + 1),
                        service: ServiceId(service as u32 + 1),
                        overflow: false,
                        offered: kept + dropped,
                        sampled: kept,
                    });
                }
            }
        }
        operations
    }

    fn window(&self, number: usize) -> Window {
        let length = self.interval_milliseconds;
        Window {
            start: Timestamp(number as i64 * length),
            end: Timestamp((number as i64 + 1) * length),
        }
    }
}
