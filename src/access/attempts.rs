//! Limits how often an address may present tokens that are not valid.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

/// The time in which attempts are counted.
const PERIOD: Duration = Duration::from_secs(60);

/// How many an address has in that time. A program with a wrong token that repeats every few seconds is
/// told what is wrong each time.
const MOST: u32 = 20;

/// The most addresses that are remembered. What comes from others meanwhile counts as one address.
const ADDRESSES: usize = 4096;

/// Attempts with tokens that are not valid, by address.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<Source, Counted>>);

/// Where attempts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Address(IpAddr),
    /// Not known, or one too many.
    Others,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    since: Duration,
    attempts: u32,
}

impl Attempts {
    /// Whether an address has too many at a monotonic time. Counts nothing.
    pub fn has_too_many(&self, from: Option<IpAddr>, now: Duration) -> bool {
        let counted = self.0.lock().expect("no holder of the lock panics");
        let source = from.map_or(Source::Others, |from| Source::Address(network(from)));
        let of = counted
            .get(&source)
            .or_else(|| counted.get(&Source::Others));
        of.is_some_and(|of| of.attempts > MOST && now.saturating_sub(of.since) < PERIOD)
    }

    /// Counts one more from an address, at a monotonic time; whether the address has too many now.
    pub fn are_too_many(&self, from: Option<IpAddr>, now: Duration) -> bool {
        let mut counted = self.0.lock().expect("no holder of the lock panics");
        let source = from.map_or(Source::Others, |from| Source::Address(network(from)));
        if !counted.contains_key(&source) && counted.len() >= ADDRESSES {
            counted.retain(|_, of| now.saturating_sub(of.since) < PERIOD);
        }
        let has_room = counted.contains_key(&source) || counted.len() < ADDRESSES;
        let source = if has_room { source } else { Source::Others };
        let begun = Counted {
            since: now,
            attempts: 0,
        };
        let of = counted.entry(source).or_insert(begun);
        if now.saturating_sub(of.since) >= PERIOD {
            *of = begun;
        }
        of.attempts = of.attempts.saturating_add(1);
        of.attempts > MOST
    }
}

/// What one client may have at will: of IPv6, the first 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        short => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    #[test]
    fn an_address_has_so_many_a_minute_and_others_have_their_own() {
        let attempts = Attempts::default();
        let count = |from: &str, at| attempts.are_too_many(Some(from.parse().unwrap()), at);
        for _ in 0..MOST {
            assert!(!count("10.0.0.1", START));
            assert!(!count("2001:db8::1", START));
        }
        assert!(count("10.0.0.1", START));
        assert!(count("2001:db8::7", START), "the same network");
        assert!(!count("10.0.0.2", START));
        assert!(!count("2001:db8:0:1::1", START));
        assert!(!count("10.0.0.1", START + PERIOD));
    }

    #[test]
    fn so_many_addresses_are_remembered_and_the_rest_is_one() {
        let attempts = Attempts::default();
        for number in 0..10_000_u32 {
            attempts.are_too_many(Some(IpAddr::V4(number.into())), START);
        }
        assert!(attempts.0.lock().unwrap().len() <= ADDRESSES + 1);
        let another = Some("192.0.2.1".parse().unwrap());
        assert!(attempts.are_too_many(another, START));
        assert!(!attempts.are_too_many(another, START + PERIOD));
    }
}
