//! Finds entries of sorted lists, where one is looked up many times in a row.
//!
//! Operations are sorted by number, and a service's operations get theirs together. So a million of them ask
//! for ten thousand services in runs, and a search for each would cost more than what is done with it.

use std::cell::Cell;

/// Where the last entry was found.
#[derive(Debug, Default)]
pub(super) struct Hint(Cell<usize>);

impl Hint {
    /// The place of the entry with a key, in a list sorted by it.
    pub(super) fn find<T, K: Ord>(
        &self,
        list: &[T],
        key: &K,
        of: impl Fn(&T) -> K,
    ) -> Option<usize> {
        let last = self.0.get();
        if list.get(last).is_some_and(|entry| of(entry) == *key) {
            return Some(last);
        }
        let found = list.binary_search_by_key(key, of).ok()?;
        self.0.set(found);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_in_any_order_and_in_any_list() {
        let hint = Hint::default();
        let found = |list: &[u32], key: u32| hint.find(list, &key, |entry| *entry);
        let list = [1, 3, 5];
        assert_eq!(found(&list, 5), Some(2));
        assert_eq!(found(&list, 5), Some(2));
        assert_eq!(found(&list, 1), Some(0));
        assert_eq!(found(&list, 2), None);
        assert_eq!(found(&list, 3), Some(1));
        assert_eq!(found(&[3], 3), Some(0), "another list");
        assert_eq!(found(&[], 3), None);
    }
}
