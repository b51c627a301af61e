//! Checks of single settings, by flag.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Collects what is wrong instead of stopping at the first.
#[derive(Default)]
pub(super) struct Checker {
    pub errors: Vec<String>,
}

impl Checker {
    pub fn wrong(&mut self, flag: &str, value: &str, problem: impl fmt::Display) {
        self.errors.push(format!("--{flag} {value}: {problem}"));
    }

    pub fn address(&mut self, flag: &str, value: &str) -> SocketAddr {
        value.parse().unwrap_or_else(|_| {
            self.wrong(
                flag,
                value,
                "not an address; say an IP and a port, like 127.0.0.1:5778",
            );
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    pub fn duration(
        &mut self,
        flag: &str,
        value: &str,
        least: Duration,
        most: Duration,
    ) -> Duration {
        match humantime::parse_duration(value) {
            Ok(given) if (least..=most).contains(&given) => return given,
            Ok(_) => self.wrong(
                flag,
                value,
                format_args!(
                    "must be between {} and {}",
                    humantime::format_duration(least),
                    humantime::format_duration(most)
                ),
            ),
            Err(_) => self.wrong(
                flag,
                value,
                "not a duration; say a number and a unit, like 60s",
            ),
        }
        least
    }

    pub fn count(&mut self, flag: &str, value: &str, least: u32, most: u32) -> u32 {
        match value.parse() {
            Ok(given) if (least..=most).contains(&given) => return given,
            Ok(_) => self.wrong(
                flag,
                value,
                format_args!("must be between {least} and {most}"),
            ),
            Err(_) => self.wrong(flag, value, "not a whole number"),
        }
        least
    }
}
