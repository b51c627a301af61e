//! A hash map. Its copies share the shards that do not change.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

/// Shards of a map. Copying a map and adding an entry copies the list of shards, and one shard.
/// With a million entries these are a thousand each, instead of a million.
const SHARDS: usize = 1024;

/// An entry that is found by a part of itself, its key.
pub trait Keyed: Clone {
    /// The key.
    type Key<'a>: Hash + Copy;

    /// The key of this entry.
    fn key(&self) -> Self::Key<'_>;

    /// Whether this entry has the key.
    fn is(&self, key: Self::Key<'_>) -> bool;
}

/// Entries by key.
#[derive(Debug, Clone)]
pub struct Shards<T> {
    shards: Vec<Arc<HashTable<T>>>,
    hasher: RandomState,
}

impl<T> Default for Shards<T> {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Arc::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl<T: Keyed> Shards<T> {
    /// The entry with a key.
    pub fn get(&self, key: T::Key<'_>) -> Option<&T> {
        let hash = self.hasher.hash_one(key);
        self.shards[shard(hash)].find(hash, |held| held.is(key))
    }

    /// Adds an entry, or replaces the one with the same key.
    pub fn put(&mut self, entry: T) {
        let hash = self.hasher.hash_one(entry.key());
        let hasher = &self.hasher;
        let shard = Arc::make_mut(&mut self.shards[shard(hash)]);
        match shard.find_mut(hash, |held| held.is(entry.key())) {
            Some(held) => *held = entry,
            None => {
                shard.insert_unique(hash, entry, |held| hasher.hash_one(held.key()));
            }
        }
    }
}

/// The shard of a hash: from bits that the tables do not use, which are the lowest bits and the
/// highest seven.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}
