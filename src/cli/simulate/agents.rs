//! The agents of a run, from the flags.

use std::str::FromStr;
use std::time::Duration;

use super::SimulateArgs;
use crate::simulate::Traffic;
use crate::simulate::faults::NotAFault;
use crate::simulate::virtual_time::{Agent, AgentFaults, Claim, Delay, Timing};

/// How late the reports of some agents arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    /// How many agents; none for all.
    agents: Option<usize>,
    delay: Delay,
}

/// The longest delay.
const LATEST: Duration = Duration::from_secs(86_400);

impl FromStr for Late {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let late = || {
            let (agents, delay) = match text.split_once(':') {
                Some((agents, delay)) => (Some(agents.trim().parse().ok()?), delay),
                None => (None, text),
            };
            let (least, most) = delay.split_once('-').unwrap_or((delay, delay));
            let least = humantime::parse_duration(least.trim()).ok()?;
            let most = humantime::parse_duration(most.trim()).ok()?;
            let sound = least <= most && most <= LATEST && agents != Some(0);
            sound.then_some(Self {
                agents,
                delay: Delay { least, most },
            })
        };
        late().ok_or(NotAFault::new(
            "DURATION, DURATION-DURATION or either after AGENTS:, like 75s, or 2:30s-90s for two agents whose reports arrive 30 to 90 seconds late",
        ))
    }
}

impl SimulateArgs {
    /// The agents and what happens to them.
    pub(super) fn agents(&self, timing: &Timing, traffic: &Traffic) -> (Vec<Agent>, AgentFaults) {
        let services = traffic.services().len();
        let of = |place: usize| {
            let own = (0..services).filter(|service| service % self.agents == place);
            Agent {
                services: self.own_services.then(|| own.collect()),
                delay: self.delay(place),
                sparse: self.sparse,
                busy: self.busy,
                reports: self.live_for.map(|reports| reports as u64),
                ..Agent::regular(place, self.agents, timing)
            }
        };
        let mut agents: Vec<Agent> = (0..self.agents).map(of).collect();
        let made_up = self
            .synthetic
            .and_then(|scenario| scenario.loss(self.agents));
        let lost = self.lose.iter().chain(&self.queue).cloned();
        let mut claims = Vec::with_capacity(self.claim.len());
        for claimed in &self.claim {
            claims.push(Claim {
                agent: agents.len(),
                intervals: claimed.intervals.clone(),
                offered: claimed.offered,
            });
            agents.push(Agent {
                part: 0.0,
                lives: claimed.intervals.clone(),
                ..Agent::regular(0, 1, timing)
            });
        }
        let faults = AgentFaults {
            losses: lost.chain(made_up).collect(),
            restarts: self.restart.clone(),
            ends: self.end.clone(),
            claims,
        };
        (agents, faults)
    }

    /// How late the reports of an agent are.
    fn delay(&self, place: usize) -> Delay {
        let mut first = 0;
        for late in &self.late {
            let end = late.agents.map_or(usize::MAX, |agents| first + agents);
            if (first..end).contains(&place) {
                return late.delay;
            }
            first = end;
        }
        Delay::default()
    }
}
