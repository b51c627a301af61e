//! Finds the edges: the names of `--peers` are looked up again and again, and each address has a conversation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Peers;
use crate::core::peers::PEERS_MAX;

/// How often names are looked up.
const EACH: Duration = Duration::from_secs(2);

/// How long a lookup may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

impl Peers {
    /// Speaks to the edges behind these names until told to stop.
    pub async fn run(self: Arc<Self>, names: Vec<String>, stop: CancellationToken) {
        let mut found: BTreeMap<String, BTreeSet<SocketAddr>> = BTreeMap::new();
        let mut conversations: HashMap<SocketAddr, CancellationToken> = HashMap::new();
        let mut tasks = JoinSet::new();
        let mut is_silent = false;
        loop {
            for name in &names {
                let looking = tokio::time::timeout(TIME_LIMIT, tokio::net::lookup_host(name));
                match stop.run_until_cancelled(looking).await {
                    None => return,
                    Some(Ok(Ok(addresses))) => {
                        found.insert(name.clone(), addresses.collect());
                        is_silent = false;
                    }
                    // Those that were there before stay: a name server may be away.
                    Some(failed) => {
                        if !std::mem::replace(&mut is_silent, true) {
                            let error = match failed {
                                Ok(Err(error)) => error.to_string(),
                                _ => "no answer in time".into(),
                            };
                            tracing::warn!(name, error, "could not look up --peers");
                        }
                    }
                }
            }
            let named = found.iter().flat_map(|(name, addresses)| {
                addresses.iter().map(move |address| (*address, name))
            });
            let all: BTreeMap<SocketAddr, &String> = named.take(PEERS_MAX + 1).collect();
            conversations.retain(|address, ended| {
                let is_listed = all.contains_key(address);
                if !is_listed {
                    ended.cancel();
                }
                is_listed
            });
            for (address, name) in all {
                conversations.entry(address).or_insert_with(|| {
                    let (peers, ended) = (Arc::clone(&self), stop.child_token());
                    let (told, http) = (ended.clone(), peers.clients[name].clone());
                    tasks.spawn(async move { peers.converse(address, http, told).await });
                    ended
                });
            }
            while tasks.try_join_next().is_some() {}
            let pause = tokio::time::sleep(EACH);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }
}
