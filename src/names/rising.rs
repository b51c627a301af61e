//! A list sorted by number. Its copies share the chunks that do not change.

use std::sync::Arc;

/// Entries in a chunk. Copying a list and adding an entry copies the list of chunks, and one chunk.
const CHUNK: usize = 1024;

/// An entry with a number.
pub trait Numbered: Clone {
    /// The number.
    fn number(&self) -> u32;
}

/// Entries in ascending order of their numbers.
#[derive(Debug, Clone)]
pub struct Rising<T>(Vec<Arc<Vec<T>>>);

impl<T> Default for Rising<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Numbered> Rising<T> {
    /// The entry with a number.
    pub fn get(&self, number: u32) -> Option<&T> {
        let chunk = &self.0[self.chunk(number)?];
        let at = chunk.binary_search_by_key(&number, Numbered::number).ok()?;
        Some(&chunk[at])
    }

    /// All entries, in ascending order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|chunk| chunk.iter())
    }

    /// Adds an entry, or replaces the one with the same number. A new number is nearly always the
    /// highest.
    pub fn put(&mut self, entry: T) {
        let number = entry.number();
        let Some(at) = self.chunk(number) else {
            self.0.insert(0, Arc::new(vec![entry]));
            return;
        };
        let is_last = at + 1 == self.0.len();
        let chunk = Arc::make_mut(&mut self.0[at]);
        match chunk.binary_search_by_key(&number, Numbered::number) {
            Ok(place) => chunk[place] = entry,
            Err(place) if is_last && place == CHUNK => self.0.push(Arc::new(vec![entry])),
            Err(place) => chunk.insert(place, entry),
        }
    }

    /// The chunk that contains a number, if any does.
    fn chunk(&self, number: u32) -> Option<usize> {
        let begins = |chunk: &Arc<Vec<T>>| chunk[0].number() <= number;
        self.0.partition_point(begins).checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Numbered for (u32, char) {
        fn number(&self) -> u32 {
            self.0
        }
    }

    #[test]
    fn entries_are_found_by_number_and_copies_do_not_change() {
        let mut list = Rising::default();
        for number in (10..6000).step_by(3) {
            list.put((number, 'a'));
        }
        let before = list.clone();
        for number in [7000, 5, 11, 13] {
            list.put((number, 'b'));
        }
        let found = |list: &Rising<(u32, char)>| {
            [5, 10, 11, 13, 14, 5998, 7000, 9000].map(|number| list.get(number).map(|of| of.1))
        };
        let (a, b) = (Some('a'), Some('b'));
        assert_eq!(found(&before), [None, a, None, a, None, a, None, None]);
        assert_eq!(found(&list), [b, a, b, b, None, a, b, None]);
    }
}
