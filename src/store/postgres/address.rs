//! The address of the database: a URL as libpq accepts it, or a file that contains one.
//!
//! The driver does not support several hosts or `target_session_attrs`, so the URL is parsed here,
//! and a new one is built for each host. It is read again for every new connection: a password that
//! changed in a file (the URL's or `PGPASSFILE`) needs no restart.
//!
//! # Source
//! PostgreSQL documentation, «Connection Strings» and «Parameter Key Words» of libpq.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sqlx::postgres::PgConnectOptions;

/// How long connecting to a host may take, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The most hosts in a URL.
const HOSTS_MAX: usize = 16;

/// Parameters of libpq that do not affect anything that Weir relies on.
const WITHOUT_EFFECT: &[&str] = &[
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "sslcompression",
    "sslsni",
    "tcp_user_timeout",
];

/// Parameters that the driver supports.
const DRIVERS: &[&str] = &[
    "application_name",
    "dbname",
    "options",
    "password",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// Where the URL comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum UrlSource {
    /// The URL itself. It may contain a password.
    Text(String),
    /// A file that contains the URL. It is read again for every new connection.
    File(PathBuf),
}

impl fmt::Debug for UrlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("PostgreSQL URL"),
            Self::File(path) => write!(f, "PostgreSQL URL in {}", path.display()),
        }
    }
}

/// What is wrong with a URL. Never contains the URL or a value from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(String);

impl UrlSource {
    /// Checks the URL without connecting.
    ///
    /// # Errors
    /// Says what is wrong, without the URL.
    pub fn check(&self) -> Result<(), UrlError> {
        self.hosts().map(drop)
    }

    /// Reads the URL again.
    pub(super) fn hosts(&self) -> Result<Hosts, UrlError> {
        match self {
            Self::Text(url) => {
                parse(url).map_err(|error| UrlError(format!("--database-url {error}")))
            }
            Self::File(path) => {
                let named = |problem: &dyn fmt::Display| {
                    UrlError(format!("--database-url-file {}: {problem}", path.display()))
                };
                let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
                parse(text.trim()).map_err(|error| named(&error))
            }
        }
    }
}

/// The hosts of a URL, in its order.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    pub hosts: Vec<Host>,
    /// How long connecting to one of them may take.
    pub timeout: Duration,
    /// Whether the URL says that statements cannot be kept prepared.
    pub unprepared: bool,
}

/// One host of a URL.
#[derive(Debug, Clone)]
pub(super) struct Host {
    /// Its name or socket directory, and its port.
    pub name: String,
    pub options: PgConnectOptions,
}

/// A host and a port as they are written. The driver has the defaults.
type Written = (Option<String>, Option<u16>);

/// Parses a URL.
pub(super) fn parse(url: &str) -> Result<Hosts, UrlError> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or_else(|| wrong("must start with postgres://"))?;
    if rest.contains('#') {
        return Err(wrong("holds a `#`: write it as %23"));
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    let (user, written) = match authority.rsplit_once('@') {
        Some((user, written)) => (user, written),
        None => ("", authority),
    };
    let mut parameters = Parameters::read(query)?;
    let written = parameters.hosts(written)?;
    let (user, password) = match user.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (user, None),
    };
    let mut pairs = Vec::new();
    for (key, value) in [("user", Some(user)), ("dbname", Some(database))] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            pairs.push((key.to_owned(), decoded(value)?));
        }
    }
    if let Some(password) = password {
        pairs.push(("password".to_owned(), decoded(password)?));
    }
    pairs.append(&mut parameters.drivers);
    let hosts = written.iter().map(|written| host(&pairs, written));
    Ok(Hosts {
        hosts: hosts.collect::<Result<_, _>>()?,
        timeout: parameters.timeout,
        unprepared: parameters.unprepared,
    })
}

fn wrong(problem: impl Into<String>) -> UrlError {
    UrlError(problem.into())
}

fn decoded(text: &str) -> Result<String, UrlError> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| wrong("holds a percent-encoded text that is not UTF-8"))?;
    Ok(text.into_owned())
}

/// The options for one host. Everything is passed in the query, where the driver decodes each value
/// separately, and where an IPv6 address needs no brackets.
fn host(pairs: &[(String, String)], (name, port): &Written) -> Result<Host, UrlError> {
    const NOWHERE: &str = "postgres:///?";
    let mut query = form_urlencoded::Serializer::for_suffix(NOWHERE.to_owned(), NOWHERE.len());
    query.extend_pairs(pairs);
    if let Some(name) = name {
        query.append_pair("host", name);
    }
    if let Some(port) = port {
        query.append_pair("port", &port.to_string());
    }
    let parsed: Result<PgConnectOptions, sqlx::Error> = query.finish().parse();
    let options = parsed.map_err(|error| match error {
        sqlx::Error::Configuration(source) => wrong(source.to_string()),
        _ => wrong("cannot be read"),
    })?;
    let named = pairs.iter().any(|(key, _)| key == "application_name");
    let options = if named {
        options
    } else {
        options.application_name("weir")
    };
    let place = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let name = if place.contains(':') {
        format!("[{place}]:{}", options.get_port())
    } else {
        format!("{place}:{}", options.get_port())
    };
    Ok(Host {
        name,
        // A proxy refuses this startup parameter, and results are read in binary anyway.
        options: options.extra_float_digits(None),
    })
}

/// The parameters of a URL, by who handles them.
struct Parameters {
    /// For the driver.
    drivers: Vec<(String, String)>,
    host: Option<String>,
    port: Option<String>,
    timeout: Duration,
    unprepared: bool,
}

impl Parameters {
    fn read(query: &str) -> Result<Self, UrlError> {
        let mut read = Self {
            drivers: Vec::new(),
            host: None,
            port: None,
            timeout: CONNECT_TIMEOUT,
            unprepared: false,
        };
        // As in libpq, a `+` is a plus.
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            read.take(&decoded(key)?, &decoded(value)?)?;
        }
        read.system_certificates()?;
        Ok(read)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), UrlError> {
        match key {
            "host" | "hostaddr" => self.host = Some(value.to_owned()),
            "port" => self.port = Some(value.to_owned()),
            "connect_timeout" => self.timeout = timeout(value)?,
            "target_session_attrs" => session_attributes(value)?,
            "statement-cache-capacity" => match value.parse::<u32>() {
                // The driver would name its statements nevertheless, and never free them.
                Ok(0) => self.unprepared = true,
                Ok(_) => self.drivers.push((key.to_owned(), value.to_owned())),
                Err(_) => return Err(wrong("statement-cache-capacity is not a whole number")),
            },
            "channel_binding" if value != "require" => {}
            "passfile" => {
                return Err(wrong(
                    "passfile is not read from a URL: name the file in PGPASSFILE",
                ));
            }
            key if WITHOUT_EFFECT.contains(&key) => {}
            key if DRIVERS.contains(&key) || key.starts_with("options[") => {
                self.drivers.push((key.to_owned(), value.to_owned()));
            }
            key => {
                let key: String = key.chars().take(40).collect();
                return Err(wrong(format!("the parameter {key:?} is not supported")));
            }
        }
        Ok(())
    }

    /// `sslrootcert=system` means the system's certificates, which the driver trusts anyway. Like
    /// libpq, requires that the host's name is checked, because anybody can get such a certificate.
    fn system_certificates(&mut self) -> Result<(), UrlError> {
        let before = self.drivers.len();
        let system = |(key, value): &(String, String)| {
            matches!(key.as_str(), "sslrootcert" | "ssl-root-cert" | "ssl-ca") && value == "system"
        };
        self.drivers.retain(|pair| !system(pair));
        if self.drivers.len() == before {
            return Ok(());
        }
        let mode = |(key, _): &&(String, String)| matches!(key.as_str(), "sslmode" | "ssl-mode");
        match self.drivers.iter().rfind(mode) {
            None => {
                let pair = ("sslmode".to_owned(), "verify-full".to_owned());
                self.drivers.push(pair);
                Ok(())
            }
            Some((_, mode)) if mode == "verify-full" => Ok(()),
            Some(_) => Err(wrong("sslrootcert=system needs sslmode=verify-full")),
        }
    }

    /// The hosts. As in libpq, the names and the ports of the query each replace those of the
    /// authority.
    fn hosts(&mut self, authority: &str) -> Result<Vec<Written>, UrlError> {
        let written: Result<Vec<Written>, _> = authority.split(',').map(written).collect();
        let (names, mut ports): (Vec<_>, Vec<_>) = written?.into_iter().unzip();
        let names = match self.host.take() {
            Some(names) => names.split(',').map(some).collect(),
            None => names,
        };
        if let Some(given) = self.port.take() {
            ports = given.split(',').map(number).collect::<Result<_, _>>()?;
        }
        if ports.len() != 1 && ports.len() != names.len() {
            return Err(wrong("port must name one port, or one for each host"));
        }
        let ports = ports.into_iter().cycle();
        let hosts: Vec<Written> = names.into_iter().zip(ports).collect();
        if hosts.len() > HOSTS_MAX {
            return Err(wrong(format!("names more than {HOSTS_MAX} hosts")));
        }
        Ok(hosts)
    }
}

fn timeout(value: &str) -> Result<Duration, UrlError> {
    match value.parse::<u64>() {
        // In libpq this means no limit; here it means the default.
        Ok(0) => Ok(CONNECT_TIMEOUT),
        Ok(seconds @ 1..=10) => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong("connect_timeout must be 1 to 10 seconds")),
    }
}

/// Weir writes, so it only accepts servers that allow it, whatever the URL says.
fn session_attributes(value: &str) -> Result<(), UrlError> {
    match value {
        "any" | "read-write" | "primary" => Ok(()),
        _ => Err(wrong(
            "target_session_attrs must be any, read-write or primary: Weir writes",
        )),
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn number(text: &str) -> Result<Option<u16>, UrlError> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(wrong("a port must be between 1 and 65535")),
        Ok(port) => Ok(Some(port)),
    }
}

/// `host`, `host:port`, `[address]:port`, `%2Fsocket%2Ffolder:port`, or nothing.
fn written(text: &str) -> Result<Written, UrlError> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest
                .split_once(']')
                .ok_or_else(|| wrong("holds a `[` without its `]`"))?;
            (address, rest.strip_prefix(':').unwrap_or(rest))
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    Ok((some(&decoded(name)?), number(port)?))
}

#[cfg(test)]
mod tests;
