//! The agents of a stored plan.

use serde::{Deserialize, Serialize};

use super::same_length;
use crate::allocation::{AgentId, AgentWeight};
use crate::store::varint::Damage;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Agents {
    agent: Vec<u64>,
    offered: Vec<f64>,
    silent_windows: Vec<u32>,
}

/// The columns of agents.
pub(super) fn agent_columns(agents: &[AgentWeight]) -> Agents {
    let mut columns = Agents::default();
    for row in agents {
        columns.agent.push(row.agent.0);
        columns.offered.push(row.offered);
        columns.silent_windows.push(row.silent_windows);
    }
    columns
}

/// Reads agents back.
pub(super) fn agents(columns: &Agents) -> Result<Vec<AgentWeight>, Damage> {
    let count = columns.agent.len();
    same_length(
        count,
        &[columns.offered.len(), columns.silent_windows.len()],
    )?;
    let row = |at: usize| AgentWeight {
        agent: AgentId(columns.agent[at]),
        offered: columns.offered[at],
        silent_windows: columns.silent_windows[at],
    };
    Ok((0..count).map(row).collect())
}
