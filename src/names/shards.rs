//! A hash map. Its copies share the shards that do not change.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

/// Shards of a map. Copying a map and adding an entry copies the list of shards, and one shard.
/// With a million entries in as many groups as shards these are a thousand each, instead of a million.
const SHARDS: usize = 1024;

/// An entry that is found by a part of itself, its key.
pub trait Keyed: Clone {
    /// The key.
    type Key<'a>: Copy;

    /// What chooses the shard: entries that are looked up together should be in one shard, where
    /// they are near each other in memory.
    type Group<'a>: Hash;

    /// The group of a key.
    fn group(key: Self::Key<'_>) -> Self::Group<'_>;

    /// The hash of a key, which outsiders choose: they must not be able to make many that are equal.
    fn hash(hasher: &RandomState, key: Self::Key<'_>) -> u64;

    /// The key of this entry.
    fn key(&self) -> Self::Key<'_>;

    /// Whether this entry has the key.
    fn is(&self, key: Self::Key<'_>) -> bool;
}

/// The hash of a name. It is computed for every name of every report, so it takes the bytes alone; the
/// hash of a `str` takes a byte more, in a step of its own.
pub fn hash_of_name(hasher: &RandomState, name: &str) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(name.as_bytes());
    state.finish()
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

/// One shard.
#[derive(Debug)]
pub struct Shard<'s, T> {
    entries: &'s HashTable<T>,
    hasher: &'s RandomState,
}

impl<T> Clone for Shard<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shard<'_, T> {}

impl<'s, T: Keyed> Shard<'s, T> {
    /// The entry with a key of the shard's group.
    pub fn get(self, key: T::Key<'_>) -> Option<&'s T> {
        let hash = T::hash(self.hasher, key);
        self.entries.find(hash, |held| held.is(key))
    }
}

impl<T: Keyed> Shards<T> {
    /// The entry with a key.
    pub fn get(&self, key: T::Key<'_>) -> Option<&T> {
        self.shard(T::group(key)).get(key)
    }

    /// The shard of a group.
    pub fn shard(&self, group: T::Group<'_>) -> Shard<'_, T> {
        Shard {
            entries: &self.shards[self.place(group)],
            hasher: &self.hasher,
        }
    }

    /// Adds an entry, or replaces the one with the same key.
    pub fn put(&mut self, entry: T) {
        let hash = T::hash(&self.hasher, entry.key());
        let place = self.place(T::group(entry.key()));
        let hasher = &self.hasher;
        let shard = Arc::make_mut(&mut self.shards[place]);
        match shard.find_mut(hash, |held| held.is(entry.key())) {
            Some(held) => *held = entry,
            None => {
                shard.insert_unique(hash, entry, |held| T::hash(hasher, held.key()));
            }
        }
    }

    /// The place of a group's shard: from bits that the tables do not use, which are the lowest bits
    /// and the highest seven.
    fn place(&self, group: T::Group<'_>) -> usize {
        (self.hasher.hash_one(group) >> 40) as usize % SHARDS
    }
}
