//! Matches sorted lists: side by side, or an entry at a time.

use std::cell::Cell;

/// Each item with the entry of a list that has its key. Both are sorted by it.
pub(crate) fn beside<T, B, K: Ord>(
    items: impl Iterator<Item = T>,
    key: impl Fn(&T) -> K,
    list: &[B],
    of: impl Fn(&B) -> K,
) -> impl Iterator<Item = (T, Option<&B>)> {
    let mut list = list.iter().peekable();
    items.map(move |item| {
        let key = key(&item);
        while list.next_if(|entry| of(entry) < key).is_some() {}
        let found = list.next_if(|entry| of(entry) == key);
        (item, found)
    })
}

/// An item that is known, and perhaps in another list, too; or only in the other.
pub(crate) enum Match<'a, 'b, A, B> {
    Known(&'a A, Option<&'b B>),
    New(&'b B),
}

/// Merges a list with what another one says of its keys. Both are sorted by it.
pub(crate) fn matches<'a, 'b, A, B, K: Ord>(
    known: &'a [A],
    key: impl Fn(&A) -> K,
    other: &'b [B],
    of: impl Fn(&B) -> K,
) -> impl Iterator<Item = Match<'a, 'b, A, B>> {
    let (mut known, mut other) = (known.iter().peekable(), other.iter().peekable());
    std::iter::from_fn(move || {
        let first = known.peek().map(|known| key(known));
        let is_new = |entry: &&B| first.as_ref().is_none_or(|first| of(entry) < *first);
        if let Some(entry) = other.next_if(is_new) {
            return Some(Match::New(entry));
        }
        let known = known.next()?;
        let found = other.next_if(|entry| Some(of(entry)) == first);
        Some(Match::Known(known, found))
    })
}

/// Where an entry of a sorted list was found last.
///
/// Operations are sorted by number, and a service's operations get theirs together. So a million of them ask
/// for ten thousand services in runs, and a search for each would cost more than what is done with it.
#[derive(Debug, Default)]
pub(crate) struct Hint(Cell<usize>);

impl Hint {
    /// The place of the entry with a key, in a list sorted by it.
    pub(crate) fn find<T, K: Ord>(
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
