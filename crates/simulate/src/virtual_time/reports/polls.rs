//! The polls of SDKs, as the leader reads them.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Poisson};

use super::super::Timing;
use super::Agent;
use weir_allocation::{PollCount, ServiceId};

/// Draws the polls of each interval.
#[derive(Debug)]
pub(super) struct Polls {
    agents: Vec<Agent>,
    services: usize,
    /// How often an SDK polls in an interval.
    each: f64,
    number: usize,
    random: StdRng,
}

impl Polls {
    /// They come from a stream of their own. A run without polls draws nothing for them.
    pub(super) fn new(
        timing: &Timing,
        agents: &[Agent],
        services: usize,
        arrivals: &mut StdRng,
    ) -> Self {
        let polled = agents.iter().any(|agent| agent.sdks > 0);
        let seed = if polled { arrivals.random() } else { 0 };
        Self {
            agents: agents.to_vec(),
            services,
            each: timing.interval.as_secs_f64() / timing.poll_interval.as_secs_f64(),
            number: 0,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// The polls of the next interval; none if nobody counts them.
    pub(super) fn next(&mut self) -> Option<Vec<PollCount>> {
        let number = self.number;
        self.number += 1;
        if self.agents.iter().all(|agent| agent.sdks == 0) {
            return None;
        }
        let services = 0..self.services;
        let counts = services.map(|service| {
            let reports = |agent: &&Agent| {
                let own = agent.services.as_ref();
                own.is_none_or(|own| own.contains(&service))
            };
            let asking = self.agents.iter().filter(reports);
            let asking = asking.filter(|agent| !agent.sdks_silent.contains(&number));
            let sdks: f64 = asking.map(|agent| f64::from(agent.sdks)).sum();
            // Nobody asks if the mean is 0, of which there is no distribution.
            let polls = Poisson::new(self.each * sdks)
                .map_or(0.0, |of: Poisson<f64>| of.sample(&mut self.random));
            PollCount {
                service: ServiceId(service as u32 + 1),
                polls: polls as u32,
            }
        });
        Some(counts.collect())
    }
}
