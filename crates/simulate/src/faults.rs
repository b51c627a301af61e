//! Faults and sudden changes in a run, in addition to the recorded traffic.
//!
//! Operators write them as text. There, intervals count from 1, as in every table.

use std::collections::HashMap;
use std::ops::Range;
use std::str::FromStr;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::traffic::Traffic;
use super::virtual_time::{Loss, Restart};
use weir_allocation::OperationName;

/// All faults of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// Reports that are lost.
    pub losses: Vec<Loss>,
    /// Agents that restart.
    pub restarts: Vec<Restart>,
    /// Requests in addition to the recorded ones.
    pub bursts: Vec<Burst>,
    /// Operations that are renamed.
    pub renamed: Vec<Renamed>,
}

/// All traffic is multiplied for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Burst {
    /// The factor.
    pub factor: f64,
    /// In these intervals.
    pub intervals: Range<usize>,
}

/// A part of the operations is renamed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rename {
    /// Which part, in (0, 1].
    pub part: f64,
    /// From this interval on.
    pub at: usize,
}

/// The renamed operations and their new names, as indexes into the traffic, and the interval from
/// which on.
#[derive(Debug, Clone, PartialEq)]
pub struct Renamed {
    at: usize,
    moves: Vec<(usize, usize)>,
}

impl Faults {
    /// Applies bursts and renames to an interval's requests.
    pub fn shape(&self, interval: usize, counts: &mut [u64]) {
        for burst in self
            .bursts
            .iter()
            .filter(|burst| burst.intervals.contains(&interval))
        {
            for count in counts.iter_mut() {
                *count = (*count as f64 * burst.factor).round() as u64;
            }
        }
        for renamed in self.renamed.iter().filter(|renamed| interval >= renamed.at) {
            for &(old, new) in &renamed.moves {
                counts[new] += std::mem::take(&mut counts[old]);
            }
        }
    }

    /// Draws the operations to rename, and adds their new names to the traffic.
    ///
    /// An operation keeps its name if the new one would be too long or exists already.
    #[must_use]
    pub fn rename(&mut self, traffic: Traffic, mut renames: Vec<Rename>, seed: u64) -> Traffic {
        if renames.is_empty() {
            return traffic;
        }
        renames.sort_by_key(|rename| rename.at);
        let mut random = StdRng::seed_from_u64(seed);
        let services = traffic.services();
        let mut rows: Vec<_> = traffic
            .operations()
            .iter()
            .map(|of| {
                (
                    services[of.service].name.clone(),
                    of.name.clone(),
                    of.counts.clone(),
                )
            })
            .collect();
        let mut taken: HashMap<_, usize> = HashMap::new();
        for (place, (service, name, _)) in rows.iter().enumerate() {
            taken.insert((service.clone(), name.clone()), place);
        }
        let mut current: Vec<usize> = (0..rows.len()).collect();
        let mut drawn = Vec::with_capacity(renames.len());
        for (number, rename) in renames.iter().enumerate() {
            current.shuffle(&mut random);
            let wanted = (rename.part * current.len() as f64).round() as usize;
            let mut moves = Vec::with_capacity(wanted);
            for old in current.iter_mut().take(wanted) {
                let (service, name, _) = &rows[*old];
                let name = format!("{} (renamed {})", name.as_str(), number + 1);
                let Ok(name) = OperationName::parse(&name) else {
                    continue;
                };
                let key = (service.clone(), name);
                if taken.contains_key(&key) {
                    continue;
                }
                taken.insert(key.clone(), rows.len());
                moves.push((*old, rows.len()));
                *old = rows.len();
                rows.push((key.0, key.1, Vec::new()));
            }
            drawn.push((rename.at, moves));
        }
        let names: Vec<_> = rows
            .iter()
            .map(|(service, name, _)| (service.clone(), name.clone()))
            .collect();
        let renamed = Traffic::new(traffic.labels().to_vec(), rows).expect("new names are free");
        self.renamed = placed(&renamed, &names, drawn);
        renamed
    }
}

/// Turns indexes of the given rows into indexes of the traffic, which sorts them.
fn placed(
    traffic: &Traffic,
    names: &[(weir_allocation::ServiceName, OperationName)],
    drawn: Vec<(usize, Vec<(usize, usize)>)>,
) -> Vec<Renamed> {
    let places: HashMap<_, usize> = traffic
        .operations()
        .iter()
        .enumerate()
        .map(|(place, of)| ((&traffic.services()[of.service].name, &of.name), place))
        .collect();
    let place = |row: usize| places[&(&names[row].0, &names[row].1)];
    let of = |(at, moves): (usize, Vec<(usize, usize)>)| Renamed {
        at,
        moves: moves
            .into_iter()
            .map(|(old, new)| (place(old), place(new)))
            .collect(),
    };
    drawn.into_iter().map(of).collect()
}

/// The text of a fault that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct NotAFault(&'static str);

impl NotAFault {
    /// With what was expected, and an example.
    #[must_use]
    pub const fn new(expected: &'static str) -> Self {
        Self(expected)
    }
}

/// The most intervals that a text may name.
const MOST: usize = 10_000_000;

fn number<T: FromStr + PartialOrd>(text: &str, least: T, most: T) -> Option<T> {
    text.trim()
        .parse()
        .ok()
        .filter(|value| *value >= least && *value <= most)
}

/// Intervals from one, counted from 1, and their number.
fn intervals(from: &str, count: &str) -> Option<Range<usize>> {
    let from = number(from, 1, MOST)? - 1;
    Some(from..from + number(count, 1, MOST)?)
}

impl FromStr for Loss {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(':').collect();
        let loss = match parts.as_slice() {
            [agents, from, count] => number(agents, 1, 1_000_000)
                .zip(intervals(from, count))
                .map(|(agents, intervals)| Self { intervals, agents }),
            _ => None,
        };
        loss.ok_or(NotAFault(
            "AGENTS:FROM:COUNT, like 4:61:5 for the reports of four agents that are lost from interval 61 on, for five intervals",
        ))
    }
}

impl FromStr for Restart {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('@');
        let restart = parts.and_then(|(agents, at)| {
            let agents = number(agents, 1, 1_000_000)?;
            let at = number(at, 1, MOST)? - 1;
            Some(Self { agents, at })
        });
        restart.ok_or(NotAFault(
            "AGENTS@INTERVAL, like 4@61 for four agents that restart under new names in interval 61",
        ))
    }
}

impl FromStr for Burst {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let burst = text.split_once('@').and_then(|(factor, when)| {
            let (from, count) = when.split_once(':').unwrap_or((when, "1"));
            Some(Self {
                factor: number(factor, 0.0, 10_000.0)?,
                intervals: intervals(from, count)?,
            })
        });
        burst.ok_or(NotAFault(
            "FACTOR@INTERVAL:COUNT, like 10@61:3 for ten times the traffic from interval 61 on for three intervals",
        ))
    }
}

impl FromStr for Rename {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rename = text.split_once('@').and_then(|(part, at)| {
            Some(Self {
                part: number(part, f64::MIN_POSITIVE, 1.0)?,
                at: number(at, 1, MOST)? - 1,
            })
        });
        rename.ok_or(NotAFault(
            "PART@INTERVAL, like 0.3@61 for three in ten operations that are renamed from interval 61 on",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_allocation::ServiceName;

    #[test]
    fn a_fault_is_what_was_typed() {
        let loss: Loss = "4:61:5".parse().unwrap();
        assert_eq!((loss.agents, loss.intervals), (4, 60..65));
        let restart: Restart = "2@7".parse().unwrap();
        assert_eq!((restart.agents, restart.at), (2, 6));
        let burst: Burst = "2.5@10".parse().unwrap();
        assert_eq!((burst.factor, burst.intervals), (2.5, 9..10));
        let rename: Rename = "0.3@61".parse().unwrap();
        assert_eq!((rename.part, rename.at), (0.3, 60));
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in [
            "",
            "4",
            "4:0:1",
            "4:1",
            "4:1:1:1",
            "-4:1:1",
            "4:1:99999999999999999999",
        ] {
            assert!(text.parse::<Loss>().is_err(), "{text}");
        }
        for text in ["", "2", "@", "NaN@1", "inf@1:1", "2@0", "2@1:0", "-1@1"] {
            let error = text.parse::<Burst>().unwrap_err().to_string();
            assert!(error.contains("like 10@61:3"), "{error}");
        }
        for text in ["0@1", "1.1@1", "NaN@1", "0.5@0", "0.5"] {
            assert!(text.parse::<Rename>().is_err(), "{text}");
        }
        assert!("0@1".parse::<Restart>().is_err());
    }

    fn traffic() -> Traffic {
        let row = |place: usize| {
            let service = ServiceName::parse(&format!("s{}", place % 3)).unwrap();
            (
                service,
                OperationName::parse(&format!("o{place}")).unwrap(),
                vec![7; 4],
            )
        };
        let labels = (0..4).map(|row| row.to_string()).collect();
        Traffic::new(labels, (0..20).map(row).collect()).unwrap()
    }

    #[test]
    fn what_is_renamed_goes_on_and_nothing_is_lost() {
        let mut faults = Faults::default();
        let renames = vec![Rename { part: 0.5, at: 2 }, Rename { part: 0.5, at: 1 }];
        let traffic = faults.rename(traffic(), renames, 1);
        assert_eq!(traffic.operations().len(), 40);
        for (interval, moved) in [(0, false), (1, true), (3, true)] {
            let mut counts: Vec<u64> = traffic
                .operations()
                .iter()
                .map(|of| u64::from(of.counts[interval]))
                .collect();
            faults.shape(interval, &mut counts);
            assert_eq!(counts.iter().sum::<u64>(), 140);
            let named = |place: usize| {
                traffic.operations()[place]
                    .name
                    .as_str()
                    .contains("renamed")
            };
            let new = (0..40).any(|place| counts[place] > 0 && named(place));
            assert_eq!(new, moved, "in {interval}");
        }
    }

    #[test]
    fn a_burst_multiplies_its_intervals_alone() {
        let faults = Faults {
            bursts: vec!["3@2:1".parse().unwrap()],
            ..Faults::default()
        };
        for (interval, expected) in [(0, 10), (1, 30), (2, 10)] {
            let mut counts = [10];
            faults.shape(interval, &mut counts);
            assert_eq!(counts, [expected]);
        }
    }
}
