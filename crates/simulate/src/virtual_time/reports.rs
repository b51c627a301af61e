//! The agents' reports of an interval, and which of them arrive in time.

use std::ops::Range;

use rand::rngs::StdRng;

use super::{Timing, draw};
use crate::traffic::Traffic;
use weir_allocation::{
    AgentCount, AgentId, OperationCount, OperationId, ServiceId, Timestamp, Window, WindowCounts,
};

/// Agents whose reports never arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The intervals in which they are lost.
    pub intervals: Range<usize>,
    /// The number of agents, from the first on.
    pub agents: usize,
}

/// Agents that restart, for example for a new version: under new names, and without what they had
/// counted since their last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// The interval of the restart.
    pub at: usize,
    /// The number of agents, from the first on.
    pub agents: usize,
}

/// Which reports are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Those that arrive before the window closes.
    InTime,
    /// All that ever arrive.
    Whole,
}

/// The agents of a fleet, and their reports.
#[derive(Debug)]
pub struct Reports<'a> {
    traffic: &'a Traffic,
    interval_milliseconds: i64,
    /// The part of a window's requests that is reported in time, agent by agent.
    covered: Vec<f64>,
    /// The part of a window that an agent loses when it restarts: half a report on average.
    forgotten: f64,
    losses: &'a [Loss],
    restarts: &'a [Restart],
    arrivals: StdRng,
}

impl<'a> Reports<'a> {
    /// Spreads the ends of `agents` agents' reports evenly over the report interval.
    #[must_use]
    pub fn new(
        traffic: &'a Traffic,
        timing: &Timing,
        agents: usize,
        losses: &'a [Loss],
        restarts: &'a [Restart],
        arrivals: StdRng,
    ) -> Self {
        let place = |agent: usize| (agent as f64 + 0.5) / agents.max(1) as f64;
        let report = timing.report_interval.as_secs_f64() / timing.interval.as_secs_f64();
        Self {
            traffic,
            interval_milliseconds: timing.interval.as_millis() as i64,
            covered: (0..agents)
                .map(|agent| timing.covered(place(agent)))
                .collect(),
            forgotten: (report / 2.0).min(1.0),
            losses,
            restarts,
            arrivals,
        }
    }

    /// The agents' reports of an interval with these offered and sampled requests.
    pub fn heard(
        &mut self,
        number: usize,
        counts: &[u64],
        sampled: &[u64],
        heard: Heard,
    ) -> WindowCounts {
        let covered: Vec<f64> = (0..self.covered.len())
            .map(|agent| self.covered(agent, number, heard))
            .collect();
        let total: f64 = covered.iter().sum();
        let part = total / covered.len().max(1) as f64;
        let operations = self.operations(counts, sampled, part);
        let window = self.window(number);
        let offered: u64 = operations.iter().map(|count| count.offered).sum();
        let covered = covered.iter().enumerate().filter(|(_, part)| **part > 0.0);
        let agents = covered
            .map(|(agent, &part)| AgentCount {
                agent: self.name(agent, number),
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

    /// The part of an interval's requests that an agent reports.
    fn covered(&self, agent: usize, number: usize, heard: Heard) -> f64 {
        let lost = |loss: &Loss| loss.intervals.contains(&number) && agent < loss.agents;
        if self.losses.iter().any(lost) {
            return 0.0;
        }
        let part = match heard {
            Heard::Whole => 1.0,
            Heard::InTime => self.covered[agent],
        };
        let concerns = |restart: &&Restart| restart.at == number && agent < restart.agents;
        let restarts = self.restarts.iter().filter(concerns).count();
        (part - restarts as f64 * self.forgotten).max(0.0)
    }

    /// The name of an agent; a new one after each restart.
    fn name(&self, agent: usize, number: usize) -> AgentId {
        let concerns = |restart: &&Restart| restart.at <= number && agent < restart.agents;
        let starts = self.restarts.iter().filter(concerns).count();
        AgentId((starts * self.covered.len() + agent) as u64 + 1)
    }

    /// The reported operations, if a part of the requests is reported.
    fn operations(&mut self, counts: &[u64], sampled: &[u64], part: f64) -> Vec<OperationCount> {
        let mut operations = Vec::with_capacity(counts.len());
        for (service, of) in self.traffic.services().iter().enumerate() {
            for place in of.operations.clone().filter(|&place| counts[place] > 0) {
                let arrived = draw(&mut self.arrivals, sampled[place], part);
                let dropped = draw(&mut self.arrivals, counts[place] - sampled[place], part);
                if arrived + dropped > 0 {
                    operations.push(OperationCount {
                        operation: OperationId(place as u32 + 1),
                        service: ServiceId(service as u32 + 1),
                        overflow: false,
                        offered: arrived + dropped,
                        sampled: arrived,
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
