//! Many patterns at once: which of them match a name.

use std::cmp::Reverse;
use std::collections::HashMap;

use aho_corasick::AhoCorasick;

use super::pattern::{Glob, Pattern};

/// Patterns, found by what a name contains.
pub(super) struct Patterns<'p> {
    /// Each pattern once, with the numbers of the rules that have it.
    patterns: Vec<(&'p Pattern, Vec<u32>)>,
    /// Finds runs of characters, one for each entry of `patterns` from `bare` on.
    automaton: Option<AhoCorasick>,
    /// How many have no characters of their own, or cannot be found by them. They come first.
    bare: usize,
}

impl<'p> Patterns<'p> {
    pub fn of(patterns: impl Iterator<Item = (u32, &'p Pattern)>) -> Self {
        let mut alike: HashMap<&Pattern, Vec<u32>> = HashMap::new();
        for (number, pattern) in patterns {
            alike.entry(pattern).or_default().push(number);
        }
        let mut known = Vec::with_capacity(alike.len());
        let mut runs = Vec::with_capacity(alike.len());
        let rarest = Rarest::of(alike.keys().copied());
        let (bare, found): (Vec<_>, Vec<_>) = alike
            .into_iter()
            .map(|(pattern, numbers)| (rarest.run(pattern), (pattern, numbers)))
            .partition(|(run, _)| run.is_none());
        known.extend(bare.into_iter().map(|(_, pattern)| pattern));
        let bare = known.len();
        for (run, pattern) in found {
            runs.extend(run);
            known.push(pattern);
        }
        // Without an automaton, which would take too much memory, each pattern is compared.
        let automaton = AhoCorasick::new(runs).ok();
        Self {
            bare: automaton.as_ref().map_or(known.len(), |_| bare),
            patterns: known,
            automaton,
        }
    }

    /// The numbers of those that match a name, in ascending order.
    pub fn matching(&self, name: &str) -> Vec<u32> {
        let (bare, _) = self.patterns.split_at(self.bare);
        let runs = self.automaton.iter();
        let found = runs.flat_map(|automaton| automaton.find_overlapping_iter(name));
        let found = found.map(|run| &self.patterns[self.bare + run.pattern().as_usize()]);
        let candidates = bare.iter().chain(found);
        let fits = candidates.filter(|(pattern, _)| pattern.matches(name));
        let mut numbers: Vec<u32> = fits.flat_map(|(_, numbers)| numbers).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

/// How many patterns have each run of characters. A pattern is looked for by the run that fewest others have: what
/// most names contain, such as `GET /`, says little.
struct Rarest(HashMap<String, usize>);

impl Rarest {
    fn of<'p>(patterns: impl Iterator<Item = &'p Pattern>) -> Self {
        let mut common: HashMap<String, usize> = HashMap::new();
        for run in patterns.flat_map(runs) {
            *common.entry(run).or_default() += 1;
        }
        Self(common)
    }

    /// The run that a pattern is looked for by; none if it has no characters of its own.
    fn run(&self, pattern: &Pattern) -> Option<String> {
        runs(pattern).min_by_key(|run| (self.0.get(run).copied(), Reverse(run.len())))
    }
}

fn runs(pattern: &Pattern) -> impl Iterator<Item = String> {
    let glob = match pattern {
        Pattern::Glob(glob) => Some(glob),
        Pattern::Any | Pattern::Exact(_) => None,
    };
    glob.into_iter().flat_map(Glob::runs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn those_that_match_are_found(
            texts in prop::collection::vec("[ab*?]{1,4}", 0..30),
            name in "[abc]{0,8}",
        ) {
            let parsed: Vec<Pattern> = texts.iter().map(|text| Pattern::parse(text).unwrap()).collect();
            let known = Patterns::of((0..).zip(&parsed).filter(|(_, of)| !matches!(of, Pattern::Exact(_))));
            let meant = (0..).zip(&parsed);
            let meant = meant.filter(|(_, of)| !matches!(of, Pattern::Exact(_)) && of.matches(&name));
            let meant: Vec<u32> = meant.map(|(number, _)| number).collect();
            prop_assert_eq!(known.matching(&name), meant);
        }
    }

    /// What most names contain finds nothing; a pattern that many rules have is compared once.
    #[test]
    fn a_pattern_is_looked_for_by_what_few_others_contain() {
        let texts: Vec<String> = (0..1000)
            .map(|number| format!("GET /*/{}", number % 100))
            .collect();
        let parsed: Vec<Pattern> = texts
            .iter()
            .map(|text| Pattern::parse(text).unwrap())
            .collect();
        let known = Patterns::of((0..).zip(&parsed));
        assert_eq!((known.patterns.len(), known.bare), (100, 0));
        let automaton = known.automaton.as_ref().unwrap();
        let candidates = automaton.find_overlapping_iter("GET /path/42");
        assert_eq!(candidates.count(), 2, "/4 and /42");
        assert_eq!(known.matching("GET /path/42").len(), 10);
    }
}
