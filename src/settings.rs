//! The settings of a process: flags and environment variables.
//!
//! Each flag is defined once: its name, default, range and help text. A value that cannot be parsed
//! or is out of range is refused while the flags are parsed. [`Settings::check`] checks rules over
//! several flags. The operators' document is separate: see [`crate::configuration`].

mod access;
mod alerts;
mod database;
mod first;
mod limits;
mod listeners;
mod logging;
mod oidc;
pub(crate) mod parse;
pub(crate) mod timing;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{Args, Command, FromArgMatches};

pub use access::{AccessSettings, BootstrapToken};
pub use alerts::AlertSettings;
pub use database::{Database, DatabaseSettings, DatabaseUrl};
pub use first::FirstSettings;
pub use limits::LimitSettings;
pub use listeners::{GRPC_DEFAULT, ListenerSettings};
pub use logging::{LogFormat, LogSettings};
pub use oidc::OidcSettings;
pub use parse::AddressOrOff;
pub use timing::TimingSettings;
pub use tls::{TlsListener, TlsSettings};

use crate::store::{FleetSettings, StepsKept};

const EXAMPLES: &str = "\
Every setting is an environment variable, too; a flag wins. Without any, SDKs poll 127.0.0.1:5778 and
127.0.0.1:14250 (gRPC), operators use 127.0.0.1:8778, and everything is in ./weir.db.

Examples:
  weir serve                                  on this machine, with SQLite
  weir serve --observe-only --budget 50       compute and show plans; SDKs are not steered yet
  weir serve --database-url-file /etc/weir/db-url \\
             --listen 0.0.0.0:5778 --grpc-listen 0.0.0.0:14250     for a fleet, on PostgreSQL
  weir serve --admin-listen 0.0.0.0:8778 --tls-cert weir.pem --tls-key weir.key \\
             --admin-host weir.example        operators beyond loopback: with TLS and tokens";

/// The flags of `weir serve`, parsed and within their ranges.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Settings {
    /// The addresses for SDKs, agents and operators, and their limits.
    #[command(flatten)]
    pub listeners: ListenerSettings,
    /// Which of them speak TLS.
    #[command(flatten)]
    pub tls: TlsSettings,
    /// Who needs a token.
    #[command(flatten)]
    pub access: AccessSettings,
    /// How often plans are computed, and how long data is stored.
    #[command(flatten)]
    pub timing: TimingSettings,
    /// Where data is stored.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// What a new database begins with.
    #[command(flatten)]
    pub first: FirstSettings,
    /// How much is accepted.
    #[command(flatten)]
    pub limits: LimitSettings,
    /// What is logged.
    #[command(flatten)]
    pub log: LogSettings,
    /// Where alerts are sent.
    #[command(flatten)]
    pub alerts: AlertSettings,
}

/// All problems with the settings, one per line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsErrors(pub Vec<String>);

impl Settings {
    /// The defaults of all flags; the environment is ignored.
    #[must_use]
    pub fn defaults() -> Self {
        let command = Self::augment_args(Command::new("weir"));
        let command = command.mut_args(|flag| flag.env(Resettable::Reset));
        let matches = command.get_matches_from(["weir"]);
        Self::from_arg_matches(&matches).expect("every flag has a default or is optional")
    }

    /// Settings for an embedded Weir, as in a demonstration: free ports on loopback, no gRPC, SQLite
    /// in `data_dir`, defaults for the rest.
    #[must_use]
    pub fn embedded(interval: Duration, grace: Duration, data_dir: &Path) -> Self {
        let mut settings = Self::defaults();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        settings.listeners.listen = loopback;
        settings.listeners.admin_listen = loopback;
        settings.listeners.grpc_listen = AddressOrOff(None);
        settings.timing.interval = Some(interval);
        settings.timing.grace = Some(grace);
        settings.database.data_dir = data_dir.to_owned();
        settings
    }

    /// The settings that all replicas share, with a new database.
    pub const SHARED: FleetSettings = FleetSettings {
        interval: TimingSettings::INTERVAL,
        report_age_max: TimingSettings::REPORT_AGE_MAX,
        grace: None,
        history: TimingSettings::HISTORY,
        steps: TimingSettings::STEPS,
        retire_after: TimingSettings::RETIRE_AFTER,
        names: LimitSettings::NAMES,
    };

    /// The settings that all replicas share: what the flags say, `otherwise` where they do not.
    #[must_use]
    pub fn shared(&self, otherwise: FleetSettings) -> FleetSettings {
        let timing = &self.timing;
        // The database has milliseconds. A rest of one would differ from what is stored.
        let asked = |flag: Option<Duration>| {
            flag.map(|of| Duration::from_millis(u64::try_from(of.as_millis()).unwrap_or(u64::MAX)))
        };
        FleetSettings {
            interval: asked(timing.interval).unwrap_or(otherwise.interval),
            report_age_max: asked(timing.report_age_max).unwrap_or(otherwise.report_age_max),
            grace: asked(timing.grace).or(otherwise.grace),
            history: asked(timing.history).unwrap_or(otherwise.history),
            steps: StepsKept {
                ten_minutes: asked(timing.history_10m).unwrap_or(otherwise.steps.ten_minutes),
                hours: asked(timing.history_1h).unwrap_or(otherwise.steps.hours),
                days: asked(timing.history_1d).unwrap_or(otherwise.steps.days),
            },
            retire_after: asked(timing.retire_after).unwrap_or(otherwise.retire_after),
            names: self.limits.names(otherwise.names),
        }
    }

    /// Checks rules over several flags, and what the machine must provide.
    ///
    /// # Errors
    /// Lists all problems, each with its flag.
    pub fn check(&self) -> Result<(), SettingsErrors> {
        let mut problems = Vec::new();
        self.access.check(&self.listeners, &self.tls, &mut problems);
        self.tls.check(&mut problems);
        self.timing.check(&mut problems);
        self.database.check(&mut problems);
        self.limits.check(&mut problems);
        self.alerts.check(&mut problems);
        let says_shared = self.timing.says_shared() || self.limits.says_shared();
        if self.timing.change_fleet_settings && !says_shared {
            problems.push(
                "--change-fleet-settings: give what to change, like --interval; `weir serve --help` \
                 says which settings are shared"
                    .into(),
            );
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(SettingsErrors(problems))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DictionaryLimits;

    fn parse(flags: &[&str]) -> Result<Settings, String> {
        let command = Settings::augment_args(Command::new("weir"));
        let command = command.mut_args(|flag| flag.env(Resettable::Reset));
        let matches = command.try_get_matches_from(["weir"].iter().chain(flags));
        let matches = matches.map_err(|error| error.to_string())?;
        Ok(Settings::from_arg_matches(&matches).expect("what was matched has every flag"))
    }

    #[test]
    fn the_defaults_are_sound() {
        let settings = Settings::defaults();
        settings.check().unwrap();
        let shared = settings.shared(Settings::SHARED);
        assert_eq!(shared, Settings::SHARED);
        let grace = TimingSettings::grace(shared.grace, shared.interval);
        assert_eq!(grace, Ok(Duration::from_secs(10)));
        let DictionaryLimits {
            services,
            operations,
            ..
        } = shared.names;
        assert_eq!(LimitSettings::fit(services, operations), Ok(()));
        let Database::Sqlite(path) = settings.database.place() else {
            panic!("SQLite without --database-url");
        };
        assert!(path.ends_with("weir.db"));
    }

    #[test]
    fn a_value_out_of_range_is_refused_with_its_flag_and_its_range() {
        let said = |flags: &[&str]| parse(flags).unwrap_err();
        for (flags, expected) in [
            (["--interval", "0s"], "must be between 1s and 1h"),
            (["--interval", "1000500us"], "must be whole milliseconds"),
            (["--listen", "here"], "give an IP address and a port"),
            (
                ["--grpc-listen", "no"],
                "give an IP address and a port, like 127.0.0.1:14250, or off",
            ),
            (["--max-services", "-"], "must be a whole number"),
            (["--max-services", "0"], "must be between 1 and 1000000"),
            (["--log", "weir=loud"], "invalid"),
            (["--log-format", "xml"], "possible values: text, json"),
        ] {
            let said = said(&flags);
            assert!(said.contains(flags[0]), "{said}");
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn flags_that_contradict_each_other_are_listed_together() {
        let settings = parse(&[
            "--admin-listen",
            "0.0.0.0:1",
            "--interval",
            "1s",
            "--grace",
            "11s",
            "--data-dir",
            "/nowhere",
        ]);
        let said = settings.unwrap().check().unwrap_err().0;
        let flags: Vec<_> = said
            .iter()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(flags, ["--admin-listen", "--grace", "--data-dir"]);
    }

    #[test]
    fn tls_needs_a_certificate_and_its_key() {
        for alone in ["--tls-cert", "--tls-key", "--client-ca", "--grpc-client-ca"] {
            let said = parse(&[alone, "/a.pem"]).unwrap_err();
            assert!(said.contains("required"), "{said}");
        }
        let files = ["--tls-cert", "/a.pem", "--tls-key", "/k.pem"];
        let all = parse(&files).unwrap();
        assert_eq!(all.tls.tls_listeners.len(), 4);
        all.check().unwrap();
        let plain = ["--client-ca", "/ca.pem", "--tls-listeners", "grpc,admin"];
        let said = parse(&[&files[..], &plain].concat()).unwrap().check();
        let said = said.unwrap_err().to_string();
        assert!(said.contains("add sdk to --tls-listeners"), "{said}");
        assert!(parse(&["--tls-listeners", "sdk,http"]).is_err());
    }

    #[test]
    fn a_provider_needs_a_name_or_an_audience_and_roles() {
        let problems = |flags: &str| match parse(&flags.split(' ').collect::<Vec<_>>()) {
            Ok(settings) => settings.check().map_err(|errors| errors.to_string()),
            Err(error) => Err(error),
        };
        let issuer = "--oidc-issuer https://id.example/realm";
        let role = "--oidc-role team=viewer,admins=admin";
        let people = "--oidc-client-id weir --public-url https://weir.example";
        for sound in [
            format!("{issuer} {role} {people}"),
            format!("{issuer} {role} --oidc-audience weir"),
            format!("--oidc-issuer http://127.0.0.1:1 {role} --oidc-audience weir"),
            "--public-url http://[::1]:8778/".into(),
        ] {
            assert_eq!(problems(&sound), Ok(()), "{sound}");
        }
        for (wrong, said) in [
            (format!("{issuer} {people}"), "--oidc-role"),
            (format!("{issuer} {role}"), "--oidc-client-id"),
            (format!("{role} --oidc-audience weir"), "--oidc-issuer"),
            (
                format!("{issuer} {role} --oidc-client-id weir"),
                "--public-url",
            ),
            (
                format!("{issuer} {role} {people} --insecure-admin"),
                "--insecure-admin",
            ),
            (
                format!("{issuer} {role} {people} --oidc-client-secret-file /nowhere"),
                "--oidc-client-secret-file /nowhere: ",
            ),
            (
                format!("--oidc-issuer http://id.example {role} {people}"),
                "http is for loopback",
            ),
            (
                format!("--oidc-issuer https://id.example?a=b {role} {people}"),
                "without ? and #",
            ),
            ("--public-url http://weir.example".into(), "--public-url"),
            (
                "--public-url https://weir.example/weir".into(),
                "--public-url",
            ),
            ("--public-url weir.example".into(), "--public-url"),
            (format!("{issuer} --oidc-role team=root"), "must be viewer"),
            (
                format!("{issuer} --oidc-role team"),
                "platform-team=operator",
            ),
        ] {
            let refused = problems(&wrong).unwrap_err();
            assert!(refused.contains(said), "{wrong}: {refused}");
        }
        let on_loopback = parse(
            &[
                &["--oidc-issuer", "https://id.example"][..],
                &["--oidc-audience", "weir"],
            ]
            .concat(),
        );
        let settings = on_loopback.unwrap();
        assert!(!settings.access.admin_is_open(&settings.listeners));
    }

    #[test]
    fn names_that_no_plan_has_room_for_are_refused() {
        let problems = |flags: &[&str]| match parse(flags) {
            Ok(settings) => settings.check().map_err(|errors| errors.to_string()),
            Err(error) => Err(error),
        };
        assert_eq!(problems(&["--max-operations", "3000000"]), Ok(()));
        let beyond = problems(&["--max-operations", "3000001"]).unwrap_err();
        assert!(beyond.contains("must be between 1 and 3000000"), "{beyond}");
        let both = ["--max-operations", "2500000", "--max-services", "1000000"];
        let together = problems(&both).unwrap_err();
        assert!(together.contains("lower one of the two"), "{together}");
    }

    #[test]
    fn a_database_url_is_never_repeated() {
        let settings = parse(&["--database-url", "mysql://weir:geheim@db/weir"]).unwrap();
        let said = settings.check().unwrap_err();
        assert!(said.to_string().contains("--database-url"), "{said}");
        assert!(!said.to_string().contains("geheim"), "{said}");
        let settings = parse(&["--database-url", "postgres://weir:geheim@db/weir"]).unwrap();
        settings.check().unwrap();
        assert!(!format!("{settings:?}").contains("geheim"));
        assert!(!format!("{:?}", settings.database.place()).contains("geheim"));
    }

    #[test]
    fn a_database_url_comes_from_a_flag_or_a_file() {
        let missing = parse(&["--database-url-file", "/nowhere/url"]).unwrap();
        let said = missing.check().unwrap_err().to_string();
        assert!(
            said.contains("--database-url-file /nowhere/url: "),
            "{said}"
        );
        let both = [
            "--database-url",
            "postgres://a/b",
            "--database-url-file",
            "/c",
        ];
        assert!(parse(&both).is_err());
    }
}
