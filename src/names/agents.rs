//! The names of agents, which plans know by number.
//!
//! An agent's number is a hash of its name, so numbers need no dictionary. The names are in the database
//! beside the agents' sequences, where they stay for twice the age of the oldest report that is accepted,
//! and an hour. Each replica remembers those of its plan's agents for longer: until the plan forgets the
//! agent, or the replica ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::allocation::{AgentId, AgentName, Plan};
use crate::store::{Store, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;

/// How long names that were not found are not looked for again.
const AGAIN: Duration = Duration::from_secs(10);

/// The names that are read at a time.
const PAGE: u32 = 10_000;

/// The number of an agent: a hash of its name.
#[must_use]
pub fn agent_id(agent: &AgentName) -> AgentId {
    let digest = Sha256::digest(agent.as_str().as_bytes());
    let first = digest.first_chunk().expect("a SHA-256 has 32 bytes");
    AgentId(u64::from_be_bytes(*first))
}

/// Agents' names by number.
pub type NamesOfAgents = HashMap<AgentId, Arc<str>>;

/// The names of a plan's agents, as far as this replica knows them.
pub struct AgentNames {
    store: Arc<dyn Store>,
    known: ArcSwap<NamesOfAgents>,
    /// When the database was last asked. One task at a time asks.
    asked: Mutex<Option<Instant>>,
}

impl AgentNames {
    /// Knows no name yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            known: ArcSwap::default(),
            asked: Mutex::default(),
        }
    }

    /// The names of a plan's agents. Asks the database for those that this replica does not know, but not
    /// again and again. A name may be missing: the database has forgotten it, or is away.
    pub async fn of(&self, plan: &Plan) -> Arc<NamesOfAgents> {
        let known = self.known.load_full();
        if knows_all(&known, plan) {
            return known;
        }
        let mut asked = self.asked.lock().await;
        let known = self.known.load_full();
        let is_early = asked.is_some_and(|asked| asked.elapsed() < AGAIN);
        if is_early || knows_all(&known, plan) {
            return known;
        }
        *asked = Some(Instant::now());
        match self.read(plan, &known).await {
            Ok(names) => {
                let names = Arc::new(names);
                self.known.store(Arc::clone(&names));
                names
            }
            Err(error) => {
                log_seldom!(
                    warn,
                    error = chain(&error),
                    "the names of agents could not be read"
                );
                known
            }
        }
    }

    /// The names that are known, without asking the database.
    #[must_use]
    pub fn known(&self) -> Arc<NamesOfAgents> {
        self.known.load_full()
    }

    /// Looks for the names of a plan's agents. Names of other agents are not remembered, so that memory
    /// is bounded by the plan.
    async fn read(&self, plan: &Plan, known: &NamesOfAgents) -> Result<NamesOfAgents, StoreError> {
        let name = |agent: AgentId| Some((agent, Arc::clone(known.get(&agent)?)));
        let agents = plan.agents.iter().map(|state| state.agent);
        let mut names: NamesOfAgents = agents.filter_map(name).collect();
        let mut after = None;
        loop {
            let page = self.store.agent_names(after.as_ref(), PAGE).await?;
            for name in &page {
                let agent = agent_id(name);
                let found = plan.agents.binary_search_by_key(&agent, |of| of.agent);
                if found.is_ok() {
                    names.entry(agent).or_insert_with(|| name.as_str().into());
                }
            }
            if page.len() < PAGE as usize || names.len() == plan.agents.len() {
                return Ok(names);
            }
            after = page.into_iter().next_back();
        }
    }
}

fn knows_all(known: &NamesOfAgents, plan: &Plan) -> bool {
    let mut agents = plan.agents.iter();
    agents.all(|state| known.contains_key(&state.agent))
}
