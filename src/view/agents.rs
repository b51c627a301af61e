//! What a plan knows of its agents: which report, how late, and which are missing.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::allocation::{AgentRate, AgentState, Plan};
use crate::clock::date;
use crate::telemetry::metrics::{AgentStanding, Label};

/// A service of which less than this part is missing counts as heard.
const HEARD: f64 = 0.995;

/// How an agent stands in a plan.
#[must_use]
pub fn standing(agent: &AgentState) -> AgentStanding {
    if agent.ended {
        AgentStanding::Ended
    } else if agent.missing_windows > 0 {
        AgentStanding::Missing
    } else if agent.returned {
        AgentStanding::Known
    } else {
        AgentStanding::New
    }
}

/// An agent as the API shows it, without its names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentDocument {
    /// How it stands.
    pub state: &'static str,
    /// By how many seconds its counts were behind the end of the plan's window.
    pub late_seconds: f64,
    /// By how many seconds they usually are.
    pub usual_late_seconds: f64,
    /// For how many seconds it has been later than that; 0 if it is not missing.
    pub missing_seconds: f64,
    /// Up to when its counts are known.
    pub heard_until: DateTime<Utc>,
    /// The start of its first report.
    pub since: DateTime<Utc>,
    /// Its usual offered rate, over all services.
    pub offered_per_second: f64,
    /// Windows in a row of which counts of it are held apart.
    pub claim_windows: u32,
}

impl AgentDocument {
    /// Describes an agent of a plan.
    #[must_use]
    pub fn of(plan: &Plan, agent: &AgentState) -> Self {
        let late = plan.window.end.0.saturating_sub(agent.heard_until.0).max(0);
        let seconds = plan.window.seconds();
        Self {
            state: standing(agent).value(),
            late_seconds: late as f64 / 1000.0,
            usual_late_seconds: f64::from(agent.habit) * seconds,
            missing_seconds: f64::from(agent.missing_windows) * seconds,
            heard_until: date(agent.heard_until),
            since: date(agent.since),
            offered_per_second: rates(plan, agent).iter().map(rate).fold(0.0, |a, b| a + b),
            claim_windows: agent.claims,
        }
    }
}

/// What an agent usually reports, by service.
#[must_use]
pub fn rates<'p>(plan: &'p Plan, agent: &AgentState) -> &'p [AgentRate] {
    let begin = plan.rates.partition_point(|of| of.agent < agent.agent);
    let rest = &plan.rates[begin..];
    &rest[..rest.partition_point(|of| of.agent == agent.agent)]
}

fn rate(of: &AgentRate) -> f64 {
    f64::from(of.rate)
}

/// A plan's figures for all of its agents together.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AgentFigures {
    /// How many there are of each standing, by its place in [`AgentStanding::ALL`].
    pub standings: [usize; AgentStanding::ALL.len()],
    /// How late counts usually are, in seconds: the mean over the traffic.
    pub late_seconds: f64,
    /// The services of which agents are missing.
    pub services_unheard: usize,
    /// The services of whose missing agents a part is no longer expected, because their SDKs have stopped asking.
    pub services_released: usize,
}

impl AgentFigures {
    /// Sums the agents of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut figures = Self::default();
        let (mut late, mut whole) = (0.0, 0.0);
        let mut rest = &plan.rates[..];
        for agent in &plan.agents {
            figures.standings[standing(agent).place()] += 1;
            rest = &rest[rest.partition_point(|of| of.agent < agent.agent)..];
            let own = rest.partition_point(|of| of.agent == agent.agent);
            let offered: f64 = rest[..own].iter().map(rate).sum();
            late += offered * f64::from(agent.habit);
            whole += offered;
            rest = &rest[own..];
        }
        if whole > 0.0 {
            figures.late_seconds = late / whole * plan.window.seconds();
        }
        let unheard = |heard: f32| f64::from(heard) < HEARD;
        let services = plan.services.iter();
        figures.services_unheard = services.filter(|service| unheard(service.heard)).count();
        let services = plan.services.iter();
        figures.services_released = services
            .filter(|service| service.polls.released > 0.0)
            .count();
        figures
    }

    /// How many agents have a standing.
    #[must_use]
    pub fn count(&self, standing: AgentStanding) -> usize {
        self.standings[standing.place()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::{AgentId, ServiceId, ServicePlan, Timestamp, Window};

    fn agent(number: u64, habit: f32) -> AgentState {
        AgentState {
            agent: AgentId(number),
            epoch: 1,
            sequence: 1,
            until: Timestamp(0),
            since: Timestamp(-600_000),
            heard_until: Timestamp(30_000),
            habit,
            soonest: 0.0,
            idle: 0.0,
            pause: 0.0,
            returned: true,
            ended: false,
            missing_windows: 0,
            claims: 0,
        }
    }

    fn rate_of(number: u64, service: u32, rate: f32) -> AgentRate {
        AgentRate {
            agent: AgentId(number),
            service: Some(ServiceId(service)),
            rate,
            replaces: 0.0,
        }
    }

    fn plan(agents: Vec<AgentState>, rates: Vec<AgentRate>) -> Plan {
        Plan {
            window: Window {
                start: Timestamp(0),
                end: Timestamp(60_000),
            },
            agents,
            rates,
            ..Plan::default()
        }
    }

    #[test]
    fn lateness_is_weighted_by_traffic() {
        let agents = vec![agent(1, 0.5), agent(2, 2.0), agent(9, 16.0)];
        // Agent 5 is not known any more, and agent 9 reports no traffic.
        let rates = vec![
            rate_of(1, 1, 20.0),
            rate_of(1, 2, 10.0),
            rate_of(2, 1, 10.0),
            rate_of(5, 1, 1e9),
        ];
        let figures = AgentFigures::of(&plan(agents, rates));
        assert_eq!(
            figures.late_seconds,
            (30.0 * 0.5 + 10.0 * 2.0) / 40.0 * 60.0
        );
        assert_eq!(AgentFigures::of(&Plan::default()).late_seconds, 0.0);
    }

    #[test]
    fn every_agent_has_one_standing() {
        let known = agent(1, 0.0);
        let new = AgentState {
            returned: false,
            ..agent(2, 0.0)
        };
        let missing = AgentState {
            missing_windows: 3,
            ..agent(3, 0.0)
        };
        let ended = AgentState {
            ended: true,
            ..agent(4, 0.0)
        };
        let mut plan = plan(vec![known, new, missing, ended], vec![]);
        plan.services = vec![
            ServicePlan {
                heard: 0.6,
                ..ServicePlan::default()
            },
            ServicePlan::default(),
        ];
        let figures = AgentFigures::of(&plan);
        for standing in AgentStanding::ALL {
            assert_eq!(figures.count(*standing), 1, "{standing:?}");
        }
        assert_eq!(figures.services_unheard, 1);
    }

    #[test]
    fn an_agent_is_described_in_seconds() {
        let missing = AgentState {
            missing_windows: 3,
            ..agent(3, 1.25)
        };
        let plan = plan(vec![missing], vec![rate_of(3, 1, 5.0), rate_of(3, 2, 7.0)]);
        let document = AgentDocument::of(&plan, &missing);
        assert_eq!(document.state, "missing");
        let seconds = (
            document.late_seconds,
            document.usual_late_seconds,
            document.missing_seconds,
        );
        assert_eq!(seconds, (30.0, 75.0, 180.0));
        assert_eq!(document.offered_per_second, 12.0);
    }
}
