//! Parsers for the values of flags. Their errors complete clap's sentence: "invalid value '…' for
//! '--flag': …".

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// An IP address and a port.
pub(crate) fn address(value: &str) -> Result<SocketAddr, String> {
    let parsed = value.parse();
    parsed.map_err(|_| "give an IP address and a port, like 127.0.0.1:5778".into())
}

/// An IP address and a port, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressOrOff(pub Option<SocketAddr>);

impl fmt::Display for AddressOrOff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(formatter),
            None => formatter.write_str("off"),
        }
    }
}

/// An IP address and a port, or `off`.
pub(crate) fn address_or_off(value: &str) -> Result<AddressOrOff, String> {
    if value == "off" {
        return Ok(AddressOrOff(None));
    }
    let parsed = value.parse().map(|address| AddressOrOff(Some(address)));
    parsed.map_err(|_| "give an IP address and a port, like 127.0.0.1:14250, or off".into())
}

/// A duration within a range.
pub(crate) fn duration(
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

/// A number within a range.
pub(crate) fn number(least: f64, most: f64) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |value| match value.parse::<f64>() {
        // NaN is in no range.
        Ok(given) if (least..=most).contains(&given) => Ok(given),
        Ok(_) => Err(format!("must be between {least} and {most}")),
        Err(_) => Err(format!("must be a number between {least} and {most}")),
    }
}

/// A whole number within a range.
pub(crate) fn count<T>(least: T, most: T) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    move |value| match value.parse::<T>() {
        Ok(given) if least <= given && given <= most => Ok(given),
        Ok(_) => Err(format!("must be between {least} and {most}")),
        Err(_) => Err(format!("must be a whole number between {least} and {most}")),
    }
}
