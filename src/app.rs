//! The only wiring: builds every part from the settings, runs them, and ends them in order.

mod access;
mod alerts;
mod announce;
mod background;
mod bootstrap;
mod first;
mod fleet;
mod gauges;
mod listeners;
mod observe;
mod oidc;
mod tls;
mod xray;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub use fleet::FleetError;

use crate::access::Tokens;
use crate::allocation::Plan;
use crate::clock::{Clock, FleetClock, SystemClock};
use crate::configuration::Configuration;
use crate::health::{DatabaseState, PlanState, Stopping};
use crate::ingest::{Committer, CommitterTask};
use crate::jobs::{
    EdgeFollower, EmergencyFollower, JobContext, Leadership, LeaseKeeper, Readability, load_current,
};
use crate::names::{AgentNames, Dictionary};
use crate::net::listener::Listener;
use crate::net::tls::TlsFilesError;
use crate::settings::{Database, FirstSettings, Settings, TimingSettings};
use crate::snapshot::Served;
use crate::store::postgres::PostgresStore;
use crate::store::sqlite::SqliteStore;
use crate::store::{FleetSettings, Guarded, Store, StoreError};
use crate::supervise::{Supervisor, TaskEnd};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{Exposition, Metrics, TaskName};
use oidc::Provider;
use tls::Encrypted;

/// A plan that is this many intervals old is stale.
const STALE_AFTER_INTERVALS: f64 = 3.0;

/// How long a start waits for the database's time. An answer that takes longer is too inexact.
const FIRST_ASK: Duration = Duration::from_secs(1);

/// Why Weir could not start or continue.
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
    #[error("could not listen on {address} ({flag})")]
    Listen {
        /// The flag that sets the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The files of TLS cannot be used.
    #[error("could not set up TLS (--tls-cert, --tls-key, --client-ca, --grpc-client-ca)")]
    Tls(#[from] TlsFilesError),
    /// The token to start with cannot be used.
    #[error("{0}")]
    Bootstrap(String),
    /// The settings that all replicas share differ from those of this one.
    #[error("this replica cannot run beside the others")]
    Fleet(#[from] FleetError),
    /// A task that Weir needs ended by itself.
    #[error("a part of weir stopped working")]
    Ended(#[from] TaskEnd),
    /// Something did not finish within `--stop-timeout`.
    #[error("work in progress did not finish within --stop-timeout")]
    StoppedLate,
}

/// Weir, built and bound, ready to run.
pub struct App {
    parts: Parts,
    committer: CommitterTask,
    sdk: Listener,
    grpc: Option<Listener>,
    xray: Option<Listener>,
    admin: Listener,
    observe: Option<Listener>,
}

/// What the listeners and the jobs are built from.
struct Parts {
    settings: Settings,
    fleet: FleetSettings,
    grace: Duration,
    shared: JobContext,
    tokens: Arc<Tokens>,
    exposition: Arc<Exposition>,
    encrypted: Arc<Encrypted>,
    provider: Option<Provider>,
    database: DatabaseState,
    stopping: Stopping,
    plan_state: PlanState,
}

impl App {
    /// Opens the database, loads the last plan and binds the listeners.
    ///
    /// # Errors
    /// Says which of these failed; nothing runs then.
    pub async fn build(settings: Settings) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::new());
        let state = DatabaseState::default();
        let store = open(&settings, &metrics, &state).await?;
        Self::assemble(settings, store, state, metrics).await
    }

    /// The same, on a store that is already open. Its calls are not counted.
    ///
    /// # Errors
    /// As [`App::build`].
    pub async fn build_on(settings: Settings, store: impl Store) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::new());
        let state = DatabaseState::default();
        Self::assemble(settings, Arc::new(store), state, metrics).await
    }

    async fn assemble(
        settings: Settings,
        store: Arc<dyn Store>,
        state: DatabaseState,
        metrics: Arc<Metrics>,
    ) -> Result<Self, AppError> {
        let encrypted = Arc::new(Encrypted::open(&settings, &metrics, &SystemClock)?);
        let provider = Provider::of(&settings);
        let tokens = Arc::new(access::known(&settings, provider.as_ref())?);
        let database = settings.database.place().describe();
        let failed = |source| AppError::Store {
            database: database.clone(),
            source,
        };
        set_write_format(&*store, &settings)
            .await
            .map_err(&failed)?;
        let fleet = fleet::agree(&*store, &settings).await?;
        let grace = TimingSettings::grace(fleet.grace, fleet.interval);
        let grace = grace.map_err(FleetError::Unfit)?;
        let plan_state = PlanState::default();
        let first = settings.first;
        let shared = job_context(
            store,
            &fleet,
            first,
            plan_state.clone(),
            Arc::clone(&metrics),
        )
        .await;
        let shared = shared.map_err(&failed)?;
        access::load(&tokens, &*shared.store)
            .await
            .map_err(&failed)?;
        let exposition = Arc::new(observe::exposition(&shared, &settings, &state));
        let parts = Parts {
            settings,
            fleet,
            grace,
            shared,
            tokens,
            exposition,
            encrypted,
            provider,
            database: state,
            stopping: Stopping::default(),
            plan_state,
        };
        let (committer, task) = Committer::new(Arc::clone(&parts.shared.store), metrics);
        let shares = parts.shares();
        let strategies = parts.strategies();
        let exports = parts.exports(committer);
        let grpc = parts.grpc_listener(&exports, &strategies, shares)?;
        let port = grpc.as_ref().map(|grpc| grpc.address().port());
        let xray = parts.xray_listener(exports.ingest.clone(), shares)?;
        let sdk = parts.sdk_listener(exports, &strategies, port, shares)?;
        let admin = parts.admin_listener(shares)?;
        let observe = parts.observe_listener(shares)?;
        Ok(Self {
            parts,
            committer: task,
            sdk,
            grpc,
            xray,
            admin,
            observe,
        })
    }

    /// The address that SDKs and agents connect to.
    #[must_use]
    pub fn sdk_address(&self) -> SocketAddr {
        self.sdk.address()
    }

    /// The address that SDKs connect to that speak gRPC; none if it is off.
    #[must_use]
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc.as_ref().map(Listener::address)
    }

    /// The address that clients connect to that speak X-Ray's protocol; none if it is off.
    #[must_use]
    pub fn xray_address(&self) -> Option<SocketAddr> {
        self.xray.as_ref().map(Listener::address)
    }

    /// The address that operators connect to.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// The address that probes and Prometheus connect to; none if it is off.
    #[must_use]
    pub fn observe_address(&self) -> Option<SocketAddr> {
        self.observe.as_ref().map(Listener::address)
    }

    /// Runs until told to stop, or until a task ends that Weir needs. Then it finishes the work in
    /// progress in this order: requests, commits, jobs, the lease, the database.
    ///
    /// # Errors
    /// A task that ended by itself, or work that did not finish within `--stop-timeout`.
    pub async fn run(self, stop: CancellationToken) -> Result<(), AppError> {
        let Self {
            parts,
            committer,
            sdk,
            grpc,
            xray,
            admin,
            observe,
        } = self;
        let mut supervisor = Supervisor::new(Arc::clone(&parts.shared.metrics));
        supervisor.require(TaskName::Committer, |stop| async move {
            // Returns once the listeners have closed. That can happen before the process is told to
            // stop.
            committer.run().await;
            stop.cancelled().await;
            Ok(())
        });
        let (store, ours) = (Arc::clone(&parts.shared.store), parts.fleet);
        supervisor.require(TaskName::FleetSettings, |stop| async move {
            fleet::watch(store, ours, stop).await.map_err(Into::into)
        });
        let keeper = background::start(&parts, &mut supervisor);
        // Reports are checked against the database's time. So no report is accepted before that is
        // known, unless the database does not answer.
        let _ = tokio::time::timeout(FIRST_ASK, parts.shared.leadership.asked()).await;
        parts.log_start(&sdk, [&grpc, &xray, &observe], &admin);
        for (name, listener) in [
            (TaskName::SdkListener, Some(sdk)),
            (TaskName::GrpcListener, grpc),
            (TaskName::XrayListener, xray),
            (TaskName::AdminListener, Some(admin)),
            (TaskName::ObserveListener, observe),
        ] {
            let Some(listener) = listener else { continue };
            supervisor.require(name, |stop| async move {
                listener.serve(stop).await.map_err(Into::into)
            });
        }
        let ended = tokio::select! {
            () = stop.cancelled() => None,
            end = supervisor.fatal() => Some(end),
        };
        let in_time = parts.stop(supervisor, &keeper, ended.is_none()).await;
        match ended {
            Some(end) => Err(end.into()),
            None if in_time => Ok(()),
            None => Err(AppError::StoppedLate),
        }
    }
}

/// Stores the formats that an operator asks for.
async fn set_write_format(store: &dyn Store, settings: &Settings) -> Result<(), StoreError> {
    if let Some(format) = settings.database.write_format {
        store.set_write_format(format).await?;
        tracing::info!(
            ?format,
            "set the formats that counts, plans and history are written in"
        );
    }
    Ok(())
}

/// Reads the configuration, the names and the last plan.
async fn job_context(
    store: Arc<dyn Store>,
    fleet: &FleetSettings,
    first: FirstSettings,
    plan_state: PlanState,
    metrics: Arc<Metrics>,
) -> Result<JobContext, StoreError> {
    let clock = Arc::new(FleetClock::new(Arc::new(SystemClock)));
    let dictionary = Dictionary::new(Arc::clone(&store), fleet.names, Arc::clone(&metrics));
    let dictionary = Arc::new(dictionary);
    let initial = first::configuration(first);
    let document = initial.document();
    let revision = store.create_configuration(&document, clock.now()).await?;
    let known = Configuration::read(&revision).unwrap_or(initial);
    first::log(&known, revision.revision, first);
    dictionary.refresh().await?;
    let now = clock.timestamp();
    let genesis = Plan::genesis(&known.policy(revision.revision, &dictionary.names(), now));
    let context = JobContext {
        agents: Arc::new(AgentNames::new(Arc::clone(&store))),
        store,
        leadership: Leadership::new(Arc::clone(&clock)),
        clock,
        dictionary,
        served: Arc::new(Served::new(genesis)),
        publishing: Arc::default(),
        readability: Readability::new(plan_state),
        interval: fleet.interval,
        metrics,
        observed: Arc::default(),
        costs: Arc::default(),
        matches: Arc::default(),
    };
    load_current(&context).await?;
    // An emergency applies from the first answer on.
    EmergencyFollower::new(context.clone()).follow().await;
    // So do the edges that asked before: their services are not served anything else for a moment.
    if let Err(error) = EdgeFollower::new(context.clone()).follow().await {
        tracing::debug!(error = chain(&error), "the edges could not be read");
    }
    Ok(context)
}

/// Opens the database; waits if it is not up yet.
async fn open(
    settings: &Settings,
    metrics: &Arc<Metrics>,
    state: &DatabaseState,
) -> Result<Arc<dyn Store>, AppError> {
    let deadline = tokio::time::Instant::now() + settings.database.database_wait;
    loop {
        let opened: Result<Arc<dyn Store>, StoreError> = match settings.database.place() {
            Database::Postgres(database) => PostgresStore::open(database)
                .await
                .map(|store| watched(store, settings, metrics, state)),
            Database::Sqlite(path) => SqliteStore::open(&path)
                .await
                .map(|store| watched(store, settings, metrics, state)),
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

fn watched<B>(
    store: Guarded<B>,
    settings: &Settings,
    metrics: &Arc<Metrics>,
    state: &DatabaseState,
) -> Arc<dyn Store>
where
    Guarded<B>: Store,
{
    let (metrics, state) = (Arc::clone(metrics), state.clone());
    Arc::new(store.watched(settings.database.slow_call, metrics, state))
}

impl Parts {
    /// Stops everything in order, within `--stop-timeout`. Returns whether all of it finished.
    ///
    /// With `announce`, it serves for another `--stop-delay` first, so that load balancers see at
    /// `/readyz` that they should send requests elsewhere.
    async fn stop(&self, mut supervisor: Supervisor, keeper: &LeaseKeeper, announce: bool) -> bool {
        self.stopping.begin();
        self.shared.served.edge_asks().stop();
        tracing::info!("stopping");
        if announce {
            let delay = tokio::time::sleep(self.settings.listeners.stop_delay);
            tokio::select! {
                () = delay => {}
                // Without this task there is no point in waiting.
                _ = supervisor.fatal() => {}
            }
        }
        let (start, whole) = (Instant::now(), self.settings.listeners.stop_timeout);
        let at = |tenths: u32| start + whole * tenths / 10;
        let listeners = [
            TaskName::SdkListener,
            TaskName::GrpcListener,
            TaskName::XrayListener,
            TaskName::AdminListener,
            TaskName::ObserveListener,
        ];
        let mut in_time = supervisor.stop(&listeners, at(6)).await;
        // The handlers have ended, and with them the last senders, so the queue empties.
        in_time &= supervisor.stop(&[TaskName::Committer], at(8)).await;
        in_time &= supervisor.stop(&background::TASKS, at(8)).await;
        in_time &= timeout_at(at(9), keeper.release()).await.is_ok();
        in_time &= timeout_at(at(10), self.shared.store.close()).await.is_ok();
        tracing::info!(in_time, "stopped");
        in_time
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.clock) as Arc<dyn Clock>
    }

    fn stale_after_seconds(&self) -> f64 {
        stale_after_seconds(self.shared.interval)
    }
}

/// From when on a plan is stale.
fn stale_after_seconds(interval: Duration) -> f64 {
    interval.as_secs_f64() * STALE_AFTER_INTERVALS
}
