//! Parsers of flags' values. Their errors complete clap's sentence: "invalid value '…' for
//! '--flag': …".

use std::net::SocketAddr;
use std::time::Duration;

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// An IP address and a port.
pub(super) fn address(value: &str) -> Result<SocketAddr, String> {
    let parsed = value.parse();
    parsed.map_err(|_| "give an IP address and a port, like 127.0.0.1:5778".into())
}

/// A duration within a range.
pub(super) fn duration(
    least: Duration,
    most: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |value| match humantime::parse_duration(value) {
        Ok(given) if (least..=most).contains(&given) => Ok(given),
        Ok(_) => Err(format!(
            "must be between {} and {}",
            humantime::format_duration(least),
            humantime::format_duration(most)
        )),
        Err(_) => Err("must be a number and a unit, like 60s".into()),
    }
}

/// A whole number within a range.
pub(super) fn count<T>(least: T, most: T) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    move |value| match value.parse::<T>() {
        Ok(given) if least <= given && given <= most => Ok(given),
        Ok(_) => Err(format!("must be between {least} and {most}")),
        Err(_) => Err(format!("must be a whole number between {least} and {most}")),
    }
}
