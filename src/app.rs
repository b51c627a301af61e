//! The only wiring: builds every part from the settings, runs them, and ends them in order.

mod background;
mod connection;
mod descriptors;
mod fleet;
mod listener;
mod places;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use background::Jobs;
pub use fleet::FleetError;

use crate::allocation::Plan;
use crate::clock::{Clock, FleetClock, SystemClock};
use crate::configuration::Configuration;
use crate::health::DatabaseState;
use crate::ingest::{Committer, CommitterTask};
use crate::jobs::{Install, Leadership, Shared, load_current};
use crate::names::Dictionary;
use crate::observe::Observed;
use crate::settings::{Database, Settings};
use crate::snapshot::Served;
use crate::store::postgres::PostgresStore;
use crate::store::sqlite::SqliteStore;
use crate::store::{FleetSettings, InstrumentedStore, Store, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{Exposition, Metrics};

/// A plan this many intervals old is stale.
const STALE_AFTER_INTERVALS: f64 = 3.0;

/// Why Weir could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The database could not be opened, or what it holds could not be read.
    #[error("could not open the database ({database})")]
    Store {
        /// Which database, without secrets.
        database: String,
        /// Why.
        source: StoreError,
    },
    /// A listener could not be opened.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The settings that all replicas share are not those of this one.
    #[error("this replica cannot run beside the others")]
    Fleet(#[from] FleetError),
    /// A listener ended by itself.
    #[error("a listener ended")]
    Ended(#[source] std::io::Error),
    /// The scheduler could not be started.
    #[error("could not start the scheduler")]
    Scheduler(#[from] tokio_cron_scheduler::JobSchedulerError),
}

/// Weir, built and bound, ready to run.
pub struct App {
    parts: Parts,
    committer: CommitterTask,
    sdk: Listener,
    admin: Listener,
}

/// What the listeners and the jobs are made of.
struct Parts {
    settings: Settings,
    fleet: FleetSettings,
    grace: Duration,
    shared: Shared,
    database: DatabaseState,
}

struct Listener {
    address: SocketAddr,
    server: Server,
}

impl App {
    /// Opens the database, loads the last plan and binds both listeners.
    ///
    /// # Errors
    /// Says which of these failed; nothing runs then.
    pub async fn build(settings: Settings) -> Result<Self, AppError> {
        let database = settings.database.place().describe();
        let metrics = Arc::new(Metrics::new());
        let state = DatabaseState::default();
        let store = open(&settings, &metrics, &state).await?;
        let failed = |source| AppError::Store {
            database: database.clone(),
            source,
        };
        let timing = &settings.timing;
        let fleet = fleet::agree(&*store, timing).await?;
        let grace = timing.grace(fleet.interval).map_err(FleetError::Unfit)?;
        let clock = Arc::new(FleetClock::new(Arc::new(SystemClock)));
        let dictionary = Arc::new(Dictionary::new(
            Arc::clone(&store),
            settings.limits.dictionary(),
            Arc::clone(&metrics),
        ));
        let initial = Configuration::default();
        let revision = store
            .create_configuration(&initial.document(), clock.now())
            .await;
        let revision = revision.map_err(failed)?;
        let known = Configuration::read(&revision).unwrap_or(initial);
        dictionary.refresh().await.map_err(failed)?;
        let genesis = Plan::genesis(&known.policy(revision.revision, &dictionary.names()));
        let served = Arc::new(Served::new(genesis));

        let leadership = Leadership::new(Arc::clone(&clock));
        let shared = Shared {
            store,
            clock,
            dictionary,
            served,
            leadership,
            publishing: Arc::default(),
            interval: fleet.interval,
            metrics: Arc::clone(&metrics),
        };
        load_current(&shared, Install::Newer)
            .await
            .map_err(failed)?;
        let parts = Parts {
            settings,
            fleet,
            grace,
            shared,
            database: state,
        };
        let (committer, task) = Committer::new(Arc::clone(&parts.shared.store), metrics);
        let sdk = parts.sdk_listener(committer)?;
        let admin = parts.admin_listener()?;
        Ok(Self {
            parts,
            committer: task,
            sdk,
            admin,
        })
    }

    /// Where SDKs and agents are answered.
    #[must_use]
    pub fn sdk_address(&self) -> SocketAddr {
        self.sdk.address
    }

    /// Where operators are answered.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address
    }

    /// Runs until told to stop; then finishes what was begun, in order: requests, commits,
    /// jobs, the lease, the database.
    ///
    /// # Errors
    /// A listener that ended by itself, or a scheduler that did not start.
    pub async fn run(self, stop: CancellationToken) -> Result<(), AppError> {
        let Self {
            parts,
            committer,
            sdk,
            admin,
        } = self;
        let committing = tokio::spawn(committer.run());
        let jobs = Jobs::start(&parts).await?;
        tracing::info!(
            sdk = %sdk.address,
            admin = %admin.address,
            database = parts.settings.database.place().describe(),
            interval = %humantime::format_duration(parts.shared.interval),
            plan = parts.shared.served.load().plan().number,
            "listening"
        );
        let mut sdk = Serving::start(sdk.server);
        let mut admin = Serving::start(admin.server);
        let store = Arc::clone(&parts.shared.store);
        let changed = fleet::watch(store, parts.fleet, stop.clone());
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            changed = changed => changed.map_err(AppError::Fleet),
            ended = &mut sdk.task => listener_end(ended),
            ended = &mut admin.task => listener_end(ended),
        };
        tracing::info!("stopping");
        tokio::join!(sdk.handle.stop(true), admin.handle.stop(true));
        drop((sdk, admin));
        // The handlers are gone, and with them the last senders: the queue runs empty.
        if committing.await.is_err() {
            tracing::error!("the task that commits reports panicked");
        }
        jobs.stop().await;
        parts.shared.store.close().await;
        tracing::info!("stopped");
        ended
    }
}

fn listener_end(ended: Result<std::io::Result<()>, JoinError>) -> Result<(), AppError> {
    match ended {
        Ok(Err(error)) => Err(AppError::Ended(error)),
        _ => Ok(()),
    }
}

/// Opens the database, waiting for one that is not up yet.
async fn open(
    settings: &Settings,
    metrics: &Arc<Metrics>,
    state: &DatabaseState,
) -> Result<Arc<dyn Store>, AppError> {
    let deadline = tokio::time::Instant::now() + settings.database.database_wait;
    loop {
        let opened: Result<Arc<dyn Store>, StoreError> = match settings.database.place() {
            Database::Postgres { url, connections } => {
                PostgresStore::connect(url.expose(), connections)
                    .await
                    .map(|store| instrumented(store, settings, metrics, state))
            }
            Database::Sqlite(path) => SqliteStore::open(&path)
                .await
                .map(|store| instrumented(store, settings, metrics, state)),
        };
        match opened {
            Err(error @ StoreError::Unavailable { .. })
                if tokio::time::Instant::now() < deadline =>
            {
                tracing::warn!(error = chain(&error), "waiting for the database");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(source) => {
                return Err(AppError::Store {
                    database: settings.database.place().describe(),
                    source,
                });
            }
            Ok(store) => return Ok(store),
        }
    }
}

fn instrumented(
    store: impl Store,
    settings: &Settings,
    metrics: &Arc<Metrics>,
    state: &DatabaseState,
) -> Arc<dyn Store> {
    let (metrics, state) = (Arc::clone(metrics), state.clone());
    Arc::new(InstrumentedStore::new(
        store,
        settings.database.slow_call,
        metrics,
        state,
    ))
}

impl Parts {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.clock) as Arc<dyn Clock>
    }

    fn stale_after_seconds(&self) -> f64 {
        self.shared.interval.as_secs_f64() * STALE_AFTER_INTERVALS
    }

    fn exposition(&self) -> Exposition {
        let mut observed = Observed {
            served: Arc::clone(&self.shared.served),
            clock: Arc::clone(&self.shared.clock),
            leadership: self.shared.leadership.clone(),
            database: self.database.clone(),
            store: Arc::clone(&self.shared.store),
            stale_after_seconds: self.stale_after_seconds(),
            services: self.settings.limits.metrics_services,
            told: None,
        };
        let observe = Box::new(move |metrics: &Metrics| observed.tell(metrics));
        Exposition::new(Arc::clone(&self.shared.metrics), observe)
    }
}

/// A listener that runs.
struct Serving {
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

impl Serving {
    fn start(server: Server) -> Self {
        Self {
            handle: server.handle(),
            task: tokio::spawn(server),
        }
    }
}
