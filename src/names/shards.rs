//! A hash map whose copy shares what does not change.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

/// Shards of a map. A copy with one entry more copies the list of shards and one shard: at a
/// million entries a thousand each, rather than a million.
const SHARDS: usize = 1024;

/// Something that is found by a part of itself.
pub trait Keyed: Clone {
    /// That part.
    type Key<'a>: Hash + Copy;

    /// What it is found by.
    fn key(&self) -> Self::Key<'_>;

    /// Whether it is what a key asks for.
    fn is(&self, key: Self::Key<'_>) -> bool;
}

/// Entries by their keys.
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
    /// The entry of a key.
    pub fn get(&self, key: T::Key<'_>) -> Option<&T> {
        let hash = self.hasher.hash_one(key);
        self.shards[shard(hash)].find(hash, |held| held.is(key))
    }

    /// Adds an entry, or replaces the one of its key.
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

/// Where entries of a hash are: by bits that the tables themselves do not use, which are the
/// lowest and the highest seven.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}
