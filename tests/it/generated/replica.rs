//! A replica wired like `app.rs`, without listeners and triggers: its jobs run when told to.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;
use uuid::Uuid;
use weir::allocation::{Plan, Timestamp, Window};
use weir::api::reports::parse;
use weir::clock::{Clock, FleetClock};
use weir::configuration::Configuration;
use weir::health::DatabaseState;
use weir::ingest::{Acknowledged, Committer, Ingest, IngestError, ReportLimits};
use weir::jobs::{
    Job, JobContext, Leadership, LeaseKeeper, Maintain, Patience, PlanFollower, Recompute,
    RetentionPace, Settle, load_current,
};
use weir::names::{AgentNames, Dictionary};
use weir::protocols::encoded::Encoded;
use weir::protocols::jaeger::Json;
use weir::snapshot::Served;
use weir::store::{DictionaryLimits, Store, StoreError};
use weir::worker::Worker;

use super::Outcome;
use super::link::Link;
use super::operations::Point;
use super::time::{SetClock, Time};

pub const INTERVAL: Duration = Duration::from_secs(60);
pub const GRACE: Duration = Duration::from_secs(10);
pub const REPORT_AGE_MAX: Duration = Duration::from_secs(300);
/// It is renewed once a window, so it must last longer.
const LEASE: Duration = Duration::from_secs(100);
const RETIRE_AFTER: Duration = Duration::from_secs(900);
const HISTORY: Duration = Duration::from_secs(86_400);
pub const NAMES: DictionaryLimits = DictionaryLimits {
    services: 5,
    operations_per_service: 40,
    operations: 100,
};

/// A computation waits for a window that closes within this many milliseconds.
const AHEAD: i64 = 1_600;

/// A place for a replica: its machine, and its connection to the database.
pub struct Place {
    pub number: usize,
    pub machine: Arc<SetClock>,
    pub link: Link,
    /// None while the process has ended and could not start again.
    pub replica: Option<Replica>,
    /// Where its next computation stops.
    stops_at: Option<Point>,
    started: u128,
}

/// A process.
pub struct Replica {
    pub shared: JobContext,
    /// The bodies that it answers to SDKs.
    strategies: Arc<Encoded<Json>>,
    /// What it served before it had a plan.
    pub genesis: Plan,
    ingest: Ingest,
    keeper: LeaseKeeper,
    recompute: Arc<Recompute>,
    maintain: Maintain,
    settle: Settle,
    follower: PlanFollower,
    /// A computation that stopped in the middle, together with the process.
    stopped: Option<JoinHandle<Result<(), String>>>,
}

impl Place {
    pub fn new(number: usize, machine: Arc<SetClock>, link: Link) -> Self {
        Self {
            number,
            machine,
            link,
            replica: None,
            stops_at: None,
            started: 0,
        }
    }

    /// The process, if there is one and it is not stopped.
    pub fn at_work(&mut self) -> Option<&mut Replica> {
        self.replica
            .as_mut()
            .filter(|replica| replica.stopped.is_none())
    }

    /// Starts the process if there is none. Without the database it ends at once.
    pub async fn start(&mut self) -> Outcome {
        if self.replica.is_none() {
            self.started += 1;
            let holder = Uuid::from_u128(self.started << 64 | self.number as u128);
            let started = Replica::start(self.link.clone(), Arc::clone(&self.machine), holder);
            match started.await {
                Ok(replica) => self.replica = Some(replica),
                Err(error) => self.excuse(0, &format!("a start failed: {error}"))?,
            }
            self.ask().await?;
        }
        Ok(())
    }

    /// Ends the process.
    pub async fn end(&mut self, in_order: bool) {
        self.stops_at = None;
        if let Some(replica) = self.replica.take() {
            if let Some(stopped) = replica.stopped {
                stopped.abort();
                let _ended = stopped.await;
                self.link.faults.go_on();
            } else if in_order {
                replica.keeper.release().await;
            }
        }
    }

    /// A failure is no bug if a call to the database has failed meanwhile.
    fn excuse(&self, failed_before: u32, what: &str) -> Outcome {
        if self.failed() == failed_before {
            return Err(format!("replica {}: {what}", self.number));
        }
        Ok(())
    }

    fn failed(&self) -> u32 {
        self.link.faults.failed.load(Ordering::Relaxed)
    }

    pub async fn ask(&mut self) -> Outcome {
        let failed = self.failed();
        let Some(replica) = self.at_work() else {
            return Ok(());
        };
        match replica.keeper.ask().await {
            Ok(()) => Ok(()),
            Err(error) => self.excuse(failed, &format!("the lease: {error}")),
        }
    }

    pub async fn give_up_lease(&mut self) {
        if let Some(replica) = self.at_work() {
            replica.keeper.release().await;
        }
    }

    pub async fn follow(&mut self) -> Outcome {
        let failed = self.failed();
        let Some(replica) = self.at_work() else {
            return Ok(());
        };
        match replica.follower.follow().await {
            Ok(()) => Ok(()),
            Err(error) => self.excuse(failed, &format!("following: {error}")),
        }
    }

    /// Computes the plan that is due, if this replica is the leader. It may stop in the middle.
    pub async fn compute(&mut self, time: &Time) -> Outcome {
        let failed = self.failed();
        let faults = Arc::clone(&self.link.faults);
        let stops_at = self.stops_at;
        let Some(replica) = self.at_work() else {
            return Ok(());
        };
        replica.wait_out(time);
        faults.stop_at(stops_at);
        let job = Arc::clone(&replica.recompute);
        let mut run =
            tokio::spawn(async move { job.run().await.map_err(|error| error.to_string()) });
        let ended = tokio::select! {
            ended = &mut run => Some(ended),
            () = faults.someone_stops() => None,
        };
        faults.stop_at(None);
        match ended {
            None => {
                replica.stopped = Some(run);
                self.stops_at = None;
                Ok(())
            }
            Some(ended) => self.judge(failed, "computing", ended),
        }
    }

    /// Lets a stopped process continue to the end of its computation.
    pub async fn thaw(&mut self) -> Outcome {
        let failed = self.failed();
        self.stops_at = None;
        let stopped = self
            .replica
            .as_mut()
            .and_then(|replica| replica.stopped.take());
        let Some(stopped) = stopped else {
            return Ok(());
        };
        self.link.faults.go_on();
        let ended = stopped.await;
        self.judge(failed, "computing after a stop", ended)
    }

    pub fn freeze(&mut self, at: Point) {
        self.stops_at = Some(at);
    }

    pub async fn tidy(&mut self) -> Outcome {
        let failed = self.failed();
        let Some(replica) = self.at_work() else {
            return Ok(());
        };
        let settled = replica
            .settle
            .run()
            .await
            .map_err(|error| error.to_string());
        let maintained = replica
            .maintain
            .run()
            .await
            .map_err(|error| error.to_string());
        self.judge(failed, "settling", Ok(settled))?;
        self.judge(failed, "maintaining", Ok(maintained))
    }

    fn judge(
        &self,
        failed: u32,
        what: &str,
        ended: Result<Result<(), String>, tokio::task::JoinError>,
    ) -> Outcome {
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => self.excuse(failed, &format!("{what}: {error}")),
            Err(panic) => Err(format!("replica {}: {what}: {panic}", self.number)),
        }
    }

    /// Takes a report; none if no replica answers.
    pub async fn report(&self, body: &[u8]) -> Reported {
        match &self.replica {
            Some(replica) if replica.stopped.is_none() => replica.report(body).await,
            _ => Reported::Stopped,
        }
    }
}

/// The result of a report.
pub enum Reported {
    /// It is stored.
    Stored(Acknowledged),
    /// It is wrong, and will stay wrong.
    Refused,
    /// It could not be stored.
    Failed(IngestError),
    /// There is no replica.
    Stopped,
}

impl Replica {
    async fn report(&self, body: &[u8]) -> Reported {
        let Ok(report) = parse(body, |head| self.ingest.report(head)) else {
            return Reported::Refused;
        };
        let resolved = match self.ingest.resolve(report).await {
            Ok(resolved) => resolved,
            Err(error) => return Reported::Failed(error),
        };
        match self.ingest.commit(resolved).await {
            Ok(accepted) => Reported::Stored(accepted.acknowledged),
            Err(error) => Reported::Failed(error),
        }
    }

    async fn start(link: Link, machine: Arc<SetClock>, holder: Uuid) -> Result<Self, StoreError> {
        let store: Arc<dyn Store> = Arc::new(link);
        let clock = Arc::new(FleetClock::new(machine));
        let dictionary = Arc::new(Dictionary::new(Arc::clone(&store), NAMES, Arc::default()));
        let initial = Configuration::default().document();
        let revision = store.create_configuration(&initial, clock.now()).await?;
        let configuration = Configuration::read(&revision).expect("it was checked when written");
        dictionary.refresh().await?;
        let policy =
            configuration.policy(revision.revision, &dictionary.names(), Timestamp::default());
        let genesis = Plan::genesis(&policy);
        let shared = JobContext {
            agents: Arc::new(AgentNames::new(Arc::clone(&store))),
            leadership: Leadership::new(Arc::clone(&clock)),
            served: Arc::new(Served::new(genesis.clone())),
            publishing: Arc::default(),
            readability: Default::default(),
            interval: INTERVAL,
            metrics: Arc::default(),
            observed: Arc::default(),
            costs: Arc::default(),
            matches: Arc::default(),
            store,
            clock,
            dictionary,
        };
        load_current(&shared).await?;
        Ok(Self::wired(shared, genesis, holder))
    }

    fn wired(shared: JobContext, genesis: Plan, holder: Uuid) -> Self {
        let (committer, committing) =
            Committer::new(Arc::clone(&shared.store), Arc::clone(&shared.metrics));
        tokio::spawn(committing.run());
        let limits = ReportLimits {
            bucket: INTERVAL,
            age: REPORT_AGE_MAX,
        };
        Self {
            ingest: Ingest::new(
                Arc::clone(&shared.dictionary),
                committer,
                Arc::clone(&shared.clock) as Arc<dyn Clock>,
                limits,
                Arc::clone(&shared.metrics),
                Arc::clone(&shared.served),
                Arc::clone(&shared.observed),
            ),
            keeper: LeaseKeeper {
                store: Arc::clone(&shared.store),
                clock: Arc::clone(&shared.clock),
                leadership: shared.leadership.clone(),
                database: DatabaseState::default(),
                holder,
                time_to_live: LEASE,
                patience: Patience::of(INTERVAL),
                metrics: Arc::clone(&shared.metrics),
            },
            recompute: Arc::new(Recompute {
                shared: shared.clone(),
                grace: GRACE,
                minting: Default::default(),
                worker: Worker::start("weir-plans"),
                not_applied: Default::default(),
            }),
            maintain: Maintain {
                shared: shared.clone(),
                report_age_max: REPORT_AGE_MAX,
                grace: GRACE,
                history: HISTORY,
                steps: weir::settings::TimingSettings::STEPS,
                retire_after: RETIRE_AFTER,
                names: NAMES,
                pace: RetentionPace::from(&*shared.clock, shared.served.load().plan()),
            },
            settle: Settle::new(shared.clone(), REPORT_AGE_MAX),
            follower: PlanFollower::new(shared.clone()),
            stopped: None,
            strategies: Encoded::attach(&shared.served, Json),
            genesis,
            shared,
        }
    }

    /// A computation sleeps when a window is about to close; here, time passes instead.
    fn wait_out(&self, time: &Time) {
        let closed = |ahead: i64| {
            let now = self.shared.clock.timestamp().0 + ahead;
            let at = Timestamp(now - (GRACE + INTERVAL).as_millis() as i64);
            Window::aligned(at, INTERVAL.as_millis() as i64)
        };
        while closed(0) != closed(AHEAD + 100) {
            time.pass(AHEAD);
        }
    }

    /// The strategy for an SDK of a service, as JSON; the fleet's default if the service is
    /// unknown.
    pub fn poll(&self, service: &str) -> Vec<u8> {
        let bodies = self.strategies.load();
        let known = bodies.service(service);
        known.unwrap_or(bodies.unknown()).plain().to_vec()
    }
}
