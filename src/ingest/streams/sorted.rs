//! A map of few entries in one piece of memory, sorted by key.
//!
//! A source's state is read and written with each export. A list costs one allocation, however many streams there
//! are, and its entries are mostly replaced. To add one moves those behind it.

/// Entries, each key once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sorted<K, V>(Vec<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Copy, V> Sorted<K, V> {
    /// Takes entries that are sorted; none if they are not, or a key is there twice.
    pub fn of(entries: Vec<(K, V)>) -> Option<Self> {
        let rises = entries.is_sorted_by(|(one, _), (next, _)| one < next);
        rises.then_some(Self(entries))
    }

    fn place(&self, key: K) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |(key, _)| *key)
    }

    pub fn contains(&self, key: K) -> bool {
        self.place(key).is_ok()
    }

    pub fn get(&self, key: K) -> Option<&V> {
        let place = self.place(key).ok()?;
        Some(&self.0[place].1)
    }

    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let place = self.place(key).ok()?;
        Some(&mut self.0[place].1)
    }

    /// Adds an entry, or replaces the one of this key.
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(key) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => self.0.insert(place, (key, value)),
        }
    }

    pub fn retain(&mut self, mut stays: impl FnMut(K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| stays(*key, value));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(K, V)> + Clone {
        self.0.iter()
    }
}
