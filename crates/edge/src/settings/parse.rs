//! Parsers for the values of flags. Their errors complete clap's sentence: "invalid value '…' for '--flag': …".

use std::net::SocketAddr;
use std::time::Duration;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// An IP address and a port.
pub(super) fn address(value: &str) -> Result<SocketAddr, String> {
    let parsed = value.parse();
    parsed.map_err(|_| "give an IP address and a port, like 127.0.0.1:4318".into())
}

/// A host's name or IP address, and a port.
pub(super) fn host_and_port(value: &str) -> Result<String, String> {
    let is_name = |host: &str| {
        let mut bytes = host.bytes();
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        (1..=253).contains(&host.len()) && bytes.all(is_part)
    };
    let is_valid = match value.rsplit_once(':') {
        Some((host, port)) => {
            let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
            is_port && is_name(host)
        }
        None => false,
    };
    // An IPv6 address stands in brackets.
    if is_valid
        || value
            .parse::<SocketAddr>()
            .is_ok_and(|address| address.port() > 0)
    {
        return Ok(value.into());
    }
    Err("give a host and a port, like edges.default.svc:4319".into())
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
        Err(_) => Err("must be a number and a unit, like 2s".into()),
    }
}

/// A number within a range.
pub(super) fn number(least: f64, most: f64) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |value| match value.parse::<f64>() {
        // NaN is in no range.
        Ok(given) if (least..=most).contains(&given) => Ok(given),
        _ => Err(format!("must be a number between {least} and {most}")),
    }
}

/// A whole number within a range.
pub(super) fn count<T>(least: T, most: T) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    move |value| match value.parse::<T>() {
        Ok(given) if least <= given && given <= most => Ok(given),
        _ => Err(format!("must be a whole number between {least} and {most}")),
    }
}

/// A number of bytes within a range, given in MiB: a number and `KiB`, `MiB` or `GiB`.
pub(super) fn bytes(least: usize, most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |value| {
        let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match &value[digits.len()..] {
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err("must be a number and KiB, MiB or GiB, like 512MiB".into()),
        };
        let given = digits.parse::<usize>().ok();
        let given = given.and_then(|number| number.checked_mul(1 << shift));
        match given {
            Some(given) if (least..=most).contains(&given) => Ok(given),
            _ => Err(format!(
                "must be between {} KiB and {} MiB",
                least >> 10,
                most >> 20
            )),
        }
    }
}
