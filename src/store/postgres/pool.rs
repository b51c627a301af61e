//! The connections of one replica, and who uses them.
//!
//! A pool of our own, for three things that the driver's pool does not do. It reads the URL again
//! for each connection, and supports several hosts. It says why there is no connection, instead of
//! only that time ran out. And if a call was given up, the place of its connection stays taken
//! until its work on the server has ended. So a replica never has more server connections than
//! configured, plus one to end others, whatever its callers give up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::address::{Host, Hosts, UrlSource};
use super::connection::{Connection, PreparedStatements, Refused};
use super::session::Held;
use super::transaction::Limits;
use crate::store::PoolState;
use crate::store::fault::{Fault, Unreachable};
use crate::telemetry::seldom::Seldom;

/// How long a call waits for a connection. Callers have their own queue and answer 503 when it is
/// full; waiting longer here would only hide that the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection that was idle for longer than this answers in time, or another is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A connection idle for longer than this is closed.
const IDLE_MAX: Duration = Duration::from_secs(600);

/// A connection older than this is replaced, so that a changed address or password is noticed while
/// the others still work.
const AGE_MAX: Duration = Duration::from_secs(1800);

/// Pauses between two attempts to connect, at first and at most.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How long closing the pool waits for work that was given up.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often to log that the server gives fewer connections than configured.
const SELDOM: Duration = Duration::from_secs(60);

/// How to reach a database, and with how many connections.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// Its address.
    pub url: UrlSource,
    /// The most connections, not counting the one that ends given-up work.
    pub connections: u32,
    /// Whether statements are kept prepared.
    pub prepared: PreparedStatements,
}

/// The connections of one replica.
#[derive(Debug, Clone)]
pub(super) struct Pool(Arc<PoolParts>);

#[derive(Debug)]
struct PoolParts {
    settings: PostgresSettings,
    /// One permit for each connection that is in use or was given up.
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    known: Mutex<LastAttempts>,
    closed: AtomicBool,
    /// At most one connection at a time ends others.
    ending: Semaphore,
    scarce: Seldom,
}

/// What the last attempts to connect have shown.
#[derive(Debug, Default)]
struct LastAttempts {
    /// The host that gave the last connection.
    host: Option<Arc<str>>,
    /// Whether a proxy refuses startup options.
    refuses_options: bool,
    /// Why the last attempt failed; none after a success.
    trouble: Option<Unreachable>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    opened: Instant,
    since: Instant,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// A pool without connections yet.
    pub fn new(settings: PostgresSettings) -> Self {
        let most = settings.connections.max(1) as usize;
        Self(Arc::new(PoolParts {
            settings,
            places: Arc::new(Semaphore::new(most)),
            idle: Mutex::default(),
            known: Mutex::default(),
            closed: AtomicBool::new(false),
            ending: Semaphore::new(1),
            scarce: Seldom::new(SELDOM),
        }))
    }

    /// The current connections.
    pub fn state(&self) -> PoolState {
        let most = self.0.settings.connections.max(1);
        let free = u32::try_from(self.0.places.available_permits()).unwrap_or(u32::MAX);
        PoolState {
            idle: u32::try_from(locked(&self.0.idle).len()).unwrap_or(u32::MAX),
            used: most.saturating_sub(free),
            most,
        }
    }

    /// The host of the last connection, for messages.
    pub fn host(&self) -> Option<Arc<str>> {
        locked(&self.0.known).host.clone()
    }

    /// Closes the connections after the running calls.
    pub async fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        let most = self.0.settings.connections.max(1);
        // Does not wait for ever for a server that has vanished.
        let _ = timeout(CLOSE_TIMEOUT, self.0.places.acquire_many(most)).await;
        self.0.places.close();
        let idle = std::mem::take(&mut *locked(&self.0.idle));
        for idle in idle {
            let _ = timeout(CLOSE_TIMEOUT, idle.connection.close()).await;
        }
    }

    /// Takes a connection, an idle one or a new one, and begins on it.
    pub async fn acquire(&self, limits: Limits) -> Result<Held, Fault> {
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(Unreachable::closed().into());
        }
        let deadline = Instant::now() + ACQUIRE_TIMEOUT;
        let place = Arc::clone(&self.0.places).acquire_owned();
        let place = match timeout_at(deadline, place).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(Unreachable::closed().into()),
            Err(_) => return Err(self.why_no_place().into()),
        };
        let mut pause = PAUSE;
        loop {
            if let Some(idle) = self.usable(limits, deadline).await {
                locked(&self.0.known).trouble = None;
                return Ok(self.held(idle.connection, idle.opened, place));
            }
            match self.connect().await {
                Ok(mut connection) => {
                    let opened = Instant::now();
                    if let Some(statements) = limits.begin(connection.is_own()) {
                        connection.begin(statements).await?;
                    }
                    return Ok(self.held(connection, opened, place));
                }
                Err(why) => {
                    if !why.passes_soon || Instant::now() + pause >= deadline {
                        return Err(why.into());
                    }
                    self.mention_scarcity(&why);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn held(&self, connection: Connection, opened: Instant, place: OwnedSemaphorePermit) -> Held {
        Held {
            connection,
            opened,
            place,
            pool: self.clone(),
        }
    }

    /// An idle connection that answers, and has begun. Beginning shows that it answers, so it is not
    /// asked before that: with a slow network, each question takes its time.
    async fn usable(&self, limits: Limits, deadline: Instant) -> Option<Idle> {
        loop {
            let mut idle = locked(&self.0.idle).pop()?;
            if idle.opened.elapsed() > AGE_MAX {
                continue;
            }
            let trusted = idle.since.elapsed() <= TRUSTED_IDLE;
            let connection = &mut idle.connection;
            let answer = async {
                match limits.begin(connection.is_own()) {
                    Some(statements) => connection.begin(statements).await,
                    None if trusted => Ok(()),
                    None => connection.ping().await,
                }
            };
            let answer = match trusted {
                true => Ok(answer.await),
                false => timeout_at(deadline, answer).await,
            };
            if matches!(answer, Ok(Ok(()))) {
                return Some(idle);
            }
        }
    }

    /// Returns a connection.
    pub fn take_back(&self, connection: Connection, opened: Instant) {
        let now = Instant::now();
        let mut idle = locked(&self.0.idle);
        idle.push(Idle {
            connection,
            opened,
            since: now,
        });
        // The last one is taken first, so those at the front have been idle longest.
        idle.retain(|idle| now.duration_since(idle.since) < IDLE_MAX);
    }

    /// Closes idle connections: their server accepts no writes any more.
    pub fn forget_idle(&self) {
        locked(&self.0.idle).clear();
    }

    /// Why no connection was returned in time.
    fn why_no_place(&self) -> Unreachable {
        let trouble = locked(&self.0.known).trouble.clone();
        trouble.unwrap_or_else(|| Unreachable::all_in_use(self.0.settings.connections))
    }

    fn mention_scarcity(&self, why: &Unreachable) {
        let state = self.state();
        let open = state.idle + state.used;
        if why.has_no_place()
            && open > 1
            && let Some(unsaid) = self.0.scarce.pass()
        {
            tracing::warn!(
                error = %why,
                connections_max = state.most,
                unsaid,
                "the server gives fewer connections than --database-connections"
            );
        }
    }

    /// Connects to the first host that accepts, beginning with the last one that did.
    pub async fn connect(&self) -> Result<Connection, Unreachable> {
        let outcome = match self.0.settings.url.hosts() {
            Ok(hosts) => self.connect_to_one(hosts).await,
            Err(problem) => Err(Unreachable::misconfigured(&problem.to_string())),
        };
        let mut known = locked(&self.0.known);
        match &outcome {
            Ok(connection) => {
                known.host = Some(Arc::clone(&connection.host));
                known.trouble = None;
            }
            Err(why) => known.trouble = Some(why.clone()),
        }
        outcome
    }

    async fn connect_to_one(&self, mut hosts: Hosts) -> Result<Connection, Unreachable> {
        if let Some(last) = self.host() {
            hosts.hosts.sort_by_key(|host| host.name != *last);
        }
        let mut troubles: Vec<Unreachable> = Vec::new();
        for host in &hosts.hosts {
            match self.connect_to(host, &hosts).await {
                Ok(connection) => return Ok(connection),
                Err(why) => troubles.push(why),
            }
        }
        Err(Unreachable::none_of(troubles))
    }

    async fn connect_to(&self, host: &Host, hosts: &Hosts) -> Result<Connection, Unreachable> {
        let prepared = match hosts.unprepared {
            true => PreparedStatements::Off,
            false => self.0.settings.prepared,
        };
        let mut refuses_options = locked(&self.0.known).refuses_options;
        let opening = Connection::open(host, prepared, &mut refuses_options);
        let opened = timeout(hosts.timeout, opening).await;
        if refuses_options {
            locked(&self.0.known).refuses_options = true;
        }
        let said = match opened {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(Refused::Driver(error))) => {
                return Err(Unreachable::connecting(&host.name, &error));
            }
            Ok(Err(Refused::ReadOnly(why))) => why.to_owned(),
            Err(_) => format!("no connection within {} s", hosts.timeout.as_secs()),
        };
        Err(Unreachable::not_yet(&host.name, &said))
    }

    /// Connects to a host again, to end work there.
    pub(super) async fn connect_again(&self, host: &str) -> Result<Connection, Unreachable> {
        let hosts = self.0.settings.url.hosts();
        let mut hosts = hosts.map_err(|error| Unreachable::misconfigured(&error.to_string()))?;
        hosts.hosts.retain(|known| known.name == host);
        match hosts.hosts.first() {
            Some(known) => self.connect_to(known, &hosts).await,
            None => Err(Unreachable::not_yet(host, "it is not in the URL any more")),
        }
    }

    /// Held while work is being ended.
    pub(super) fn ending(&self) -> &Semaphore {
        &self.0.ending
    }
}
