//! The settings that all replicas of a database share: agreed on at the start, watched afterwards.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use humantime::format_duration;
use tokio_util::sync::CancellationToken;

use crate::settings::TimingSettings;
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
        stored: humantime::FormattedDuration,
        /// The value of the flag.
        given: humantime::FormattedDuration,
    },
    /// A flag does not fit the interval.
    #[error("{0}")]
    Unfit(String),
    /// Somebody changed them while this replica was running.
    #[error("the shared settings were changed to {to}: restart to run with them")]
    Changed {
        /// What they are now.
        to: Shown,
    },
    /// The database did not answer.
    #[error("could not agree on the settings that all replicas share")]
    Store(#[from] StoreError),
}

/// Shared settings as a person reads them.
#[derive(Debug)]
pub struct Shown(FleetSettings);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FleetSettings {
            interval,
            report_age_max,
        } = self.0;
        write!(
            f,
            "--interval {} --report-age-max {}",
            format_duration(interval),
            format_duration(report_age_max)
        )
    }
}

/// Finds the settings to run with. The first start writes them to the database; later starts read
/// them.
pub(super) async fn agree(
    store: &dyn Store,
    asked: &TimingSettings,
) -> Result<FleetSettings, FleetError> {
    let stored = match store.fleet_settings().await? {
        Some(stored) => stored,
        None => {
            let first = first(store, asked).await?;
            store.write_fleet_settings(first, false).await?
        }
    };
    let wanted = FleetSettings {
        interval: asked.interval.unwrap_or(stored.interval),
        report_age_max: asked.report_age_max.unwrap_or(stored.report_age_max),
    };
    if wanted == stored {
        return Ok(stored);
    }
    if !asked.change_fleet_settings {
        return Err(different(stored, wanted));
    }
    store.write_fleet_settings(wanted, true).await?;
    tracing::warn!(
        from = %Shown(stored),
        to = %Shown(wanted),
        "changed the settings that all replicas share; the others end when they notice"
    );
    Ok(wanted)
}

/// What the first start writes. A database of an older release has no shared settings, but its last
/// plan shows the interval of its replicas.
async fn first(store: &dyn Store, asked: &TimingSettings) -> Result<FleetSettings, StoreError> {
    let plan = store.current_plan().await?;
    let planned = plan.map(|plan| plan.window.milliseconds());
    let planned = planned.and_then(|length| u64::try_from(length).ok());
    let planned = planned.filter(|length| *length > 0);
    let asked_age = asked.report_age_max;
    Ok(FleetSettings {
        interval: planned
            .map(Duration::from_millis)
            .or(asked.interval)
            .unwrap_or(TimingSettings::INTERVAL),
        report_age_max: asked_age.unwrap_or(TimingSettings::REPORT_AGE_MAX),
    })
}

fn different(stored: FleetSettings, given: FleetSettings) -> FleetError {
    let (name, stored, given) = if stored.interval == given.interval {
        (
            "--report-age-max",
            stored.report_age_max,
            given.report_age_max,
        )
    } else {
        ("--interval", stored.interval, given.interval)
    };
    FleetError::Different {
        name,
        stored: format_duration(stored),
        given: format_duration(given),
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
                return Err(FleetError::Changed { to: Shown(found) });
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
