//! The settings that all replicas of a database share: agreed on at the start, watched afterwards.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use humantime::format_duration;
use tokio_util::sync::CancellationToken;

use crate::settings::{LimitSettings, Settings, TimingSettings};
use crate::store::{FleetSettings, Store, StoreError};
use crate::telemetry::logging::chain;

/// How often a replica checks whether the shared settings are still the ones that it runs with.
const PERIOD: Duration = Duration::from_secs(2);

/// Why a replica cannot run with the shared settings.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A flag differs from the database.
    #[error(
        "the database says {name} {stored}, and this replica was started with {name} {given}: all \
         replicas must share it. Leave {name} out to run with {stored}, or add \
         --change-fleet-settings to change it to {given} for all"
    )]
    Different {
        /// The flag.
        name: &'static str,
        /// The value in the database.
        stored: String,
        /// The value of the flag.
        given: String,
    },
    /// A setting does not fit another.
    #[error("{0}")]
    Unfit(String),
    /// Somebody changed them while this replica was running.
    #[error("the shared settings were changed to {to}: restart to run with them")]
    Changed {
        /// The new settings.
        to: Shown,
    },
    /// The database did not answer.
    #[error("could not agree on the settings that all replicas share")]
    Store(#[from] StoreError),
}

/// Shared settings as a person reads them.
#[derive(Debug)]
pub struct Shown(Box<FleetSettings>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = flags(*self.0);
        let flags: Vec<String> = flags.map(|(name, value)| format!("{name} {value}")).into();
        f.write_str(&flags.join(" "))
    }
}

/// The flag of each shared setting, and its value.
fn flags(settings: FleetSettings) -> [(&'static str, String); 11] {
    let duration = |of| format_duration(of).to_string();
    let FleetSettings { names, .. } = settings;
    // In the form of the flag's value, so that a value copied from a message can be parsed.
    let grace = TimingSettings::grace(settings.grace, settings.interval);
    let grace = grace.unwrap_or_else(|_| settings.grace.unwrap_or_default());
    [
        ("--interval", duration(settings.interval)),
        ("--report-age-max", duration(settings.report_age_max)),
        ("--grace", duration(grace)),
        ("--history", duration(settings.history)),
        ("--history-10m", duration(settings.steps.ten_minutes)),
        ("--history-1h", duration(settings.steps.hours)),
        ("--history-1d", duration(settings.steps.days)),
        ("--retire-after", duration(settings.retire_after)),
        ("--max-services", names.services.to_string()),
        (
            "--max-operations-per-service",
            names.operations_per_service.to_string(),
        ),
        ("--max-operations", names.operations.to_string()),
    ]
}

/// Finds the settings to run with. The first start writes them to the database; later starts read
/// them.
pub(super) async fn agree(
    store: &dyn Store,
    asked: &Settings,
) -> Result<FleetSettings, FleetError> {
    let stored = match store.fleet_settings().await? {
        Some(stored) => stored,
        None => {
            let first = first(store, asked).await?;
            check(first)?;
            store.write_fleet_settings(first, false).await?
        }
    };
    let wanted = asked.shared(stored);
    // A flag may repeat what follows from the other settings, such as a grace of a sixth of the
    // interval.
    if flags(wanted) == flags(stored) {
        return Ok(stored);
    }
    if !asked.timing.change_fleet_settings {
        return Err(different(stored, wanted));
    }
    check(wanted)?;
    store.write_fleet_settings(wanted, true).await?;
    tracing::warn!(
        from = %Shown(Box::new(stored)),
        to = %Shown(Box::new(wanted)),
        "changed the settings that all replicas share; the others end when they notice"
    );
    Ok(wanted)
}

/// Checks settings before they are written. What the flags leave out comes from the database, so
/// whether they fit each other is only known now.
fn check(settings: FleetSettings) -> Result<(), FleetError> {
    let names = settings.names;
    TimingSettings::grace(settings.grace, settings.interval)
        .and_then(|_| LimitSettings::fit(names.services, names.operations))
        .map_err(FleetError::Unfit)
}

/// What the first start writes. A database of an older release has no shared settings, but its last
/// plan shows the interval of its replicas.
async fn first(store: &dyn Store, asked: &Settings) -> Result<FleetSettings, StoreError> {
    let plan = store.current_plan().await?;
    let planned = plan.map(|plan| plan.window.milliseconds());
    let planned = planned.and_then(|length| u64::try_from(length).ok());
    let planned = planned.filter(|length| *length > 0);
    let first = asked.shared(Settings::SHARED);
    Ok(FleetSettings {
        interval: planned.map_or(first.interval, Duration::from_millis),
        ..first
    })
}

/// The first of the settings that differ.
fn different(stored: FleetSettings, given: FleetSettings) -> FleetError {
    let mut both = flags(stored).into_iter().zip(flags(given));
    let differs = both.find(|(stored, given)| stored != given);
    let ((name, stored), (_, given)) = differs.expect("they were compared before");
    FleetError::Different {
        name,
        stored,
        given,
    }
}

/// Checks again and again whether the shared settings are still `ours`. Returns when they are not.
pub(super) async fn watch(
    store: Arc<dyn Store>,
    ours: FleetSettings,
    stop: CancellationToken,
) -> Result<(), FleetError> {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match stop.run_until_cancelled(store.fleet_settings()).await {
            Some(Ok(Some(found))) if found != ours => {
                return Err(FleetError::Changed {
                    to: Shown(Box::new(found)),
                });
            }
            Some(Err(error)) => {
                tracing::debug!(
                    error = chain(&error),
                    "the shared settings could not be read"
                );
            }
            // No shared settings: the database is being restored. Nothing is written to it
            // meanwhile.
            Some(Ok(_)) | None => {}
        }
    }
    Ok(())
}
