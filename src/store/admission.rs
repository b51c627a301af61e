//! Decides which reports of a batch are counted: an anti-replay window per (agent, epoch).
//!
//! Pure, and shared by both backends. They store the marks and hold locks on them meanwhile.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use super::{Admission, Incarnation, ResolvedReport};

/// How far below the newest sequence a report can be and still be recognised as a duplicate: the
/// bits of [`Mark::seen`], except the one for the newest sequence.
const REACH: u64 = 63;

/// The sequences of one agent's epoch that were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The highest sequence counted.
    pub last_sequence: u64,
    /// Bit `i` says whether sequence `last_sequence - i` was counted.
    pub seen: u64,
    /// The latest end of a bucket of a counted report.
    ///
    /// # Units
    /// Milliseconds since the Unix epoch; 0 if only empty reports were counted.
    pub used_milliseconds: i64,
}

/// The key of a mark: the agent's name and its epoch.
pub(super) type MarkKey<'a> = (&'a str, Uuid);

/// Decides about one sequence. The returned mark differs only if the sequence is counted.
pub(super) fn admit(mark: Option<Mark>, sequence: u64) -> (Admission, Mark) {
    let Some(mark) = mark else {
        let first = Mark {
            last_sequence: sequence,
            seen: 1,
            used_milliseconds: 0,
        };
        return (Admission::Counted, first);
    };
    if sequence > mark.last_sequence {
        let ahead = sequence - mark.last_sequence;
        let shifted = if ahead > REACH { 0 } else { mark.seen << ahead };
        let moved = Mark {
            last_sequence: sequence,
            seen: shifted | 1,
            ..mark
        };
        return (Admission::Counted, moved);
    }
    let behind = mark.last_sequence - sequence;
    if behind > REACH {
        return (Admission::TooFarBehind, mark);
    }
    let bit = 1 << behind;
    if mark.seen & bit != 0 {
        return (Admission::Duplicate, mark);
    }
    let filled = Mark {
        seen: mark.seen | bit,
        ..mark
    };
    (Admission::Counted, filled)
}

/// Decides about one state of a source: it counts only if it follows the stored one.
pub(super) fn admit_state(mark: Option<Mark>, number: u64) -> (Admission, Option<Mark>) {
    let before = mark.map_or(0, |mark| mark.last_sequence);
    if before.checked_add(1) != Some(number) {
        return (Admission::Duplicate, mark);
    }
    let (admission, next) = admit(mark, number);
    (admission, Some(next))
}

/// The decision about a batch, and the marks to store.
#[derive(Debug)]
pub(super) struct BatchDecision<'a> {
    /// One for each report, in the order of the batch.
    pub admissions: Vec<Admission>,
    /// Every mark that differs from the stored one, sorted by key.
    pub changed: BTreeMap<MarkKey<'a>, Mark>,
}

/// The keys of a batch, sorted, each once: the order in which marks are locked.
pub(super) fn keys(batch: &[ResolvedReport]) -> Vec<MarkKey<'_>> {
    let mut keys: Vec<_> = batch.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Decides about a batch. Takes the stored marks of its keys, and those of its incarnations that
/// are in the database's past, with no names removed since.
pub(super) fn decide<'a>(
    batch: &'a [ResolvedReport],
    stored: &BTreeMap<MarkKey<'a>, Mark>,
    known: &HashSet<Incarnation>,
) -> BatchDecision<'a> {
    let mut changed: BTreeMap<MarkKey<'a>, Mark> = BTreeMap::new();
    let mut admissions = Vec::with_capacity(batch.len());
    for report in batch {
        let key = key(report);
        let before = changed.get(&key).or_else(|| stored.get(&key)).copied();
        let (mut admission, after) = match report.state {
            None => {
                let (admission, after) = admit(before, report.sequence);
                (admission, Some(after))
            }
            Some(_) => admit_state(before, report.sequence),
        };
        if admission == Admission::Counted && !known.contains(&report.names) {
            admission = Admission::OtherNames;
        }
        if let Some(mut after) = after.filter(|_| admission == Admission::Counted) {
            after.used_milliseconds = after.used_milliseconds.max(newest_end(report));
            changed.insert(key, after);
        }
        admissions.push(admission);
    }
    BatchDecision {
        admissions,
        changed,
    }
}

/// The next states of the sources whose reports are counted, by key.
pub(super) fn states<'a>(
    batch: &'a [ResolvedReport],
    admissions: &[Admission],
) -> BTreeMap<MarkKey<'a>, &'a [u8]> {
    let counted = batch
        .iter()
        .zip(admissions)
        .filter(|(_, admission)| **admission == Admission::Counted);
    let states =
        counted.filter_map(|(report, _)| Some((key(report), &*report.state.as_ref()?.bytes)));
    states.collect()
}

/// The incarnations in which a batch's numbers were found, each once.
pub(super) fn incarnations(batch: &[ResolvedReport]) -> Vec<Incarnation> {
    let found: HashSet<Incarnation> = batch.iter().map(|report| report.names).collect();
    found.into_iter().collect()
}

fn key(report: &ResolvedReport) -> MarkKey<'_> {
    (report.agent.as_str(), report.epoch)
}

fn newest_end(report: &ResolvedReport) -> i64 {
    let ends = report.buckets.iter().map(|bucket| bucket.bucket.end.0);
    let heard = report.state.iter().map(|state| state.heard.0);
    ends.chain(heard).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn run(sequences: &[u64]) -> Vec<Admission> {
        let mut mark = None;
        let admit_next = |sequence: &u64| {
            let (admission, after) = admit(mark, *sequence);
            mark = Some(after);
            admission
        };
        sequences.iter().map(admit_next).collect()
    }

    #[test]
    fn counts_the_first_whatever_its_number() {
        assert_eq!(run(&[0]), [Admission::Counted]);
        assert_eq!(run(&[u64::MAX]), [Admission::Counted]);
    }

    #[test]
    fn counts_late_sequences_once_and_refuses_those_out_of_reach() {
        use Admission::{Counted, Duplicate, TooFarBehind};
        assert_eq!(
            run(&[100, 102, 101, 101, 102, 39, 38, 165, 101]),
            [
                Counted,
                Counted,
                Counted,
                Duplicate,
                Duplicate,
                Counted,
                TooFarBehind,
                Counted,
                TooFarBehind
            ]
        );
    }

    #[test]
    fn a_leap_forgets_what_it_passes() {
        let (_, mark) = admit(None, 1);
        let (_, mark) = admit(Some(mark), 1 << 40);
        assert_eq!((mark.last_sequence, mark.seen), (1 << 40, 1));
    }

    #[test]
    fn a_state_counts_only_if_it_follows_the_stored_one() {
        let (admission, first) = admit_state(None, 1);
        assert_eq!(admission, Admission::Counted);
        let (admission, second) = admit_state(first, 2);
        assert_eq!(admission, Admission::Counted);
        for (mark, number) in [(None, 0), (None, 2), (first, 1), (first, 3), (second, 2)] {
            assert_eq!(admit_state(mark, number), (Admission::Duplicate, mark));
        }
    }

    proptest! {
        /// Compared with a model that remembers every sequence: within reach of the newest, a
        /// sequence is counted exactly if it is new; out of reach, nothing is counted.
        #[test]
        fn agrees_with_a_model_that_forgets_nothing(
            start in 0_u64..1000,
            steps in prop::collection::vec((0_u64..200, any::<bool>()), 1..200),
        ) {
            let mut mark = None;
            let mut counted = BTreeSet::new();
            let mut position = start;
            for (step, forward) in steps {
                position = if forward { position + step } else { position.saturating_sub(step) };
                let newest = counted.last().copied();
                let (admission, after) = admit(mark, position);
                let expected = match newest {
                    Some(newest) if position + REACH < newest => Admission::TooFarBehind,
                    _ if counted.contains(&position) => Admission::Duplicate,
                    _ => Admission::Counted,
                };
                prop_assert_eq!(admission, expected);
                if admission == Admission::Counted {
                    counted.insert(position);
                } else {
                    prop_assert_eq!(Some(after), mark);
                }
                mark = Some(after);
            }
        }
    }
}
