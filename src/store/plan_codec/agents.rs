//! What each agent is expected to report, as release 0.1.0 knows it. It is written while replicas of that
//! release may run; what later ones know is in [`watermarks`](super::watermarks).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::same_length;
use crate::allocation::{AgentId, AgentRate, AgentState, Plan, Timestamp};
use crate::store::varint::Damage;

/// An agent that exports once an interval is up to one late.
const HABIT: f32 = 1.0;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Agents {
    agent: Vec<u64>,
    offered: Vec<f64>,
    silent_windows: Vec<u32>,
}

impl Agents {
    /// The columns of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let mut offered: BTreeMap<AgentId, f64> = BTreeMap::new();
        for rate in &plan.rates {
            *offered.entry(rate.agent).or_default() += f64::from(rate.rate);
        }
        let mut columns = Self::default();
        for row in &plan.agents {
            let offered = offered.get(&row.agent).copied().unwrap_or_default();
            columns.agent.push(row.agent.0);
            columns.offered.push(offered);
            columns.silent_windows.push(row.missing_windows);
        }
        columns
    }

    /// Writes into a plan what release 0.1.0 knows of agents: that they are there, what they count, and for how
    /// long they have been silent. How late they usually are is not known.
    pub(super) fn restore(&self, plan: &mut Plan) -> Result<(), Damage> {
        let lengths = [self.offered.len(), self.silent_windows.len()];
        same_length(self.agent.len(), &lengths)?;
        let (start, end) = (plan.window.start, plan.window.end);
        let length = plan.window.milliseconds();
        for (at, &agent) in self.agent.iter().enumerate() {
            let (agent, silent) = (AgentId(agent), self.silent_windows[at]);
            let ago = length.saturating_mul(i64::from(silent));
            plan.agents.push(AgentState {
                agent,
                epoch: 0,
                sequence: u64::MAX,
                until: start,
                since: Timestamp(i64::MIN),
                heard_until: Timestamp(end.0.saturating_sub(ago)),
                habit: HABIT,
                soonest: 0.0,
                idle: 0.0,
                pause: 0.0,
                returned: true,
                ended: false,
                missing_windows: silent,
                claims: 0,
            });
            let rate = self.offered[at] as f32;
            if rate > 0.0 && rate.is_finite() {
                plan.rates.push(AgentRate {
                    agent,
                    service: None,
                    rate,
                    replaces: 0.0,
                });
            }
        }
        plan.agents.sort_by_key(|row| row.agent);
        plan.agents.dedup_by_key(|row| row.agent);
        plan.rates.sort_by_key(|row| row.agent);
        plan.rates.dedup_by_key(|row| row.agent);
        Ok(())
    }
}
