//! Plays a course: lets time pass, applies each op, and checks the promises.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use tempfile::TempDir;
use weir::allocation::{OVERFLOW_NAME, OperationId, Plan};
use weir::clock::Clock;
use weir::configuration::{Budget, Configuration};
use weir::store::sqlite::SqliteStore;
use weir::store::{ConfigurationWrite, DictionaryCursor, Store, StoreError};

use super::checks;
use super::faults::Faults;
use super::fleet::{self, Fleet, SERVICES};
use super::ledger::Ledger;
use super::link::Link;
use super::operations::Op;
use super::replica::{GRACE, INTERVAL, Place};
use super::time::{START, SetClock, Time};
use super::{Outcome, ensure};

/// The most requests a second of one operation: a report contains at most a million million.
const FASTEST: f64 = 1e7;

pub struct World {
    pub(super) time: Arc<Time>,
    pub(super) database_clock: Arc<SetClock>,
    pub(super) database_away: Arc<AtomicBool>,
    pub(super) ledger: Arc<Ledger>,
    /// Reads the database without faults.
    pub(super) observer: Arc<SqliteStore>,
    pub(super) places: Vec<Place>,
    pub(super) fleet: Fleet,
    /// The number of windows that have passed.
    pub(super) windows: u64,
    /// Every published plan, by number; the genesis plan if there is none.
    pub(super) plans: HashMap<u64, Plan>,
    pub(super) newest: u64,
    pub(super) cursor: Option<DictionaryCursor>,
    /// Every name that ever existed.
    pub(super) names: HashMap<OperationId, (String, String)>,
    _folder: TempDir,
}

impl World {
    pub async fn begin(replicas: usize) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("weir.db");
        let time = Time::starting();
        let database_clock = SetClock::right(&time);
        let database_away = Arc::new(AtomicBool::new(false));
        let ledger = Arc::new(Ledger::default());
        let open = async || {
            let clock = Arc::clone(&database_clock) as Arc<dyn Clock>;
            Arc::new(SqliteStore::open_by(&path, clock).await.expect("a file"))
        };
        let mut places = Vec::new();
        for number in 0..replicas {
            let link = Link {
                of: number,
                store: open().await,
                faults: Faults::none(),
                database_away: Arc::clone(&database_away),
                ledger: Arc::clone(&ledger),
                read: Arc::default(),
            };
            let mut place = Place::new(number, SetClock::right(&time), link);
            place.start().await.expect("nothing is wrong yet");
            places.push(place);
        }
        Self {
            observer: open().await,
            time,
            database_clock,
            database_away,
            ledger,
            places,
            fleet: Fleet::new(),
            windows: 0,
            plans: HashMap::new(),
            newest: 0,
            cursor: None,
            names: HashMap::new(),
            _folder: folder,
        }
    }

    fn place(&mut self, replica: u8) -> &mut Place {
        let among = self.places.len();
        &mut self.places[usize::from(replica) % among]
    }

    pub async fn play(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Tick { order } => self.tick(*order).await?,
            Op::Budget { .. } | Op::Coverage { .. } => self.configure(op).await?,
            Op::Again { agent, last, to } => self.send_again(*agent, *last, *to).await?,
            Op::DatabaseAway => self.database_away.store(true, Ordering::Relaxed),
            Op::DatabaseBack => self.database_away.store(false, Ordering::Relaxed),
            Op::DatabaseClock { seconds } => self.database_clock.set_off(i64::from(*seconds)),
            Op::Clocks { seconds } => {
                self.database_clock.set_off(i64::from(*seconds));
                for place in &self.places {
                    place.machine.set_off(i64::from(*seconds));
                }
            }
            _ => {
                self.play_traffic(op);
                self.play_agents(op);
                self.play_replicas(op).await?;
            }
        }
        self.look_at_plans()
    }

    fn play_traffic(&mut self, op: &Op) {
        let fleet = &mut self.fleet;
        match *op {
            Op::Rate {
                operation,
                per_second,
            } => {
                if let Some(stream) = fleet.stream(operation) {
                    stream.rate = per_second;
                }
            }
            Op::Explode { operation } => {
                if let Some(stream) = fleet.stream(operation) {
                    stream.rate = (1000.0 * stream.rate).min(FASTEST);
                }
            }
            Op::Appear {
                service,
                per_second,
            } => fleet.appear(service, per_second),
            Op::Disappear { operation } => fleet.disappear(operation),
            Op::Rename { operation } => fleet.rename(operation),
            Op::Names { service, count } => fleet.name_many(service, count),
            _ => {}
        }
    }

    fn play_agents(&mut self, op: &Op) {
        let among = self.places.len();
        let fleet = &mut self.fleet;
        match *op {
            Op::Lose { agent } => fleet.agent(agent).lose(),
            Op::Delay { agent, windows } => fleet.agent(agent).delay(windows),
            Op::Twice { agent } => fleet.agent(agent).twice = true,
            Op::ReportTo { agent, replica } => {
                fleet.agent(agent).to = usize::from(replica) % among;
            }
            Op::RestartAgent { agent } => fleet.restart_agent(agent),
            Op::ReplaceAgent { agent } => fleet.replace_agent(agent),
            Op::EndAgent { agent } => fleet.agent(agent).end(),
            Op::StopAgent { agent, moves } => fleet.agent(agent).stop(moves),
            Op::StartAgent { agent } => fleet.agent(agent).start(),
            Op::Every { agent, seconds } => fleet.agent(agent).report_every(seconds),
            Op::AgentClock { agent, seconds } => fleet.agent(agent).set_off(seconds),
            _ => {}
        }
    }

    async fn play_replicas(&mut self, op: &Op) -> Outcome {
        match *op {
            Op::GiveUpLease { replica } => self.place(replica).give_up_lease().await,
            Op::Freeze { replica, at } => self.place(replica).freeze(at),
            Op::Thaw { replica } => self.place(replica).thaw().await?,
            Op::Restart { replica, in_order } => {
                self.place(replica).end(in_order).await;
                self.place(replica).start().await?;
            }
            Op::Cut { replica } => self.cut(replica, true),
            Op::Mend { replica } => self.cut(replica, false),
            Op::Unheard { replica, writes } => {
                let faults = &self.place(replica).link.faults;
                faults.unheard.store(u32::from(writes), Ordering::Relaxed);
            }
            Op::MachineClock { replica, seconds } => {
                self.place(replica).machine.set_off(i64::from(seconds));
            }
            Op::Tidy { replica } => self.place(replica).tidy().await?,
            _ => {}
        }
        Ok(())
    }

    fn cut(&mut self, replica: u8, cut: bool) {
        self.place(replica)
            .link
            .faults
            .cut
            .store(cut, Ordering::Relaxed);
    }

    /// Plays a window.
    pub(super) async fn tick(&mut self, order: u8) -> Outcome {
        self.windows += 1;
        let end = START + self.windows as i64 * INTERVAL.as_millis() as i64;
        self.time.pass_until(end + 2_000);
        for place in &mut self.places {
            place.start().await?;
        }
        self.fleet.make_reports(self.windows, end);
        self.send_reports().await?;
        self.read_names().await?;
        self.time.pass_until(end + GRACE.as_millis() as i64 + 1_000);
        let before = self.cut_off();
        let order = self.order(order);
        for place in &order {
            self.places[*place].ask().await?;
        }
        for _ in 0..2 {
            for place in &order {
                self.places[*place].compute(&self.time).await?;
                self.look_at_plans()?;
            }
            for place in &mut self.places {
                place.follow().await?;
            }
        }
        ensure!(
            self.cut_off() == before,
            "without the database, another plan was served"
        );
        self.poll()
    }

    /// The places, in some order.
    fn order(&self, number: u8) -> Vec<usize> {
        let among = self.places.len();
        let mut order: Vec<usize> = (0..among).collect();
        order.rotate_left(usize::from(number) % among);
        if number >= 3 {
            order.reverse();
        }
        order
    }

    /// What the replicas that cannot reach the database serve.
    fn cut_off(&self) -> Vec<(usize, Vec<Vec<u8>>)> {
        let cut = self.places.iter().filter(|place| !place.link.is_open());
        let served = cut.filter_map(|place| {
            let replica = place.replica.as_ref()?;
            Some((
                place.number,
                SERVICES.map(|service| replica.poll(service)).to_vec(),
            ))
        });
        served.collect()
    }

    /// Lets SDKs poll, and compares the answers of the replicas.
    fn poll(&mut self) -> Outcome {
        let newest = self.newest;
        let among = self.places.len();
        let mut answers: Vec<(usize, Vec<Vec<u8>>)> = Vec::new();
        for place in &mut self.places {
            let (number, reaches) = (place.number, place.link.is_open());
            let Some(replica) = place.at_work() else {
                continue;
            };
            let bodies: Vec<Vec<u8>> = SERVICES
                .iter()
                .chain(&["nobody knows it", OVERFLOW_NAME])
                .map(|service| replica.poll(service))
                .collect();
            let serves = replica.shared.served.load().plan().number;
            ensure!(
                !reaches || serves == newest,
                "replica {number} serves plan {serves} while {newest} is the newest"
            );
            for (service, body) in bodies.iter().enumerate() {
                let strategy = fleet::read_strategy(body)?;
                if service < SERVICES.len() && (service + self.windows as usize) % among == number {
                    self.fleet.told.insert(service, strategy);
                }
            }
            if serves == newest {
                answers.push((number, bodies));
            }
        }
        for pair in answers.windows(2) {
            ensure!(
                pair[0].1 == pair[1].1,
                "replicas {} and {} serve plan {newest} in other bytes:\n{}\n{}",
                pair[0].0,
                pair[1].0,
                shown(&pair[0].1),
                shown(&pair[1].1)
            );
        }
        Ok(())
    }

    /// Checks the plans that were published since the last check.
    pub(super) fn look_at_plans(&mut self) -> Outcome {
        let published = std::mem::take(&mut self.ledger.records().published);
        for published in published {
            let number = published.plan.number;
            ensure!(
                number == self.newest + 1,
                "plan {number} came after {}",
                self.newest
            );
            let holder = self.places[published.by].replica.as_ref();
            let holder = holder.ok_or("who published this plan is no more")?;
            let parent = self.plans.get(&self.newest).unwrap_or(&holder.genesis);
            let plan = checks::plan(&published, parent, &holder.shared.dictionary.names())?;
            self.plans.insert(number, plan);
            self.newest = number;
        }
        let twice = self.ledger.records().counted_twice.clone();
        ensure!(twice.is_none(), "{twice:?} was counted twice");
        Ok(())
    }

    /// Changes the configuration like the admin API, through a replica that can.
    async fn configure(&mut self, op: &Op) -> Outcome {
        let open = self.places.iter_mut().find(|place| place.link.is_open());
        let Some(replica) = open.and_then(Place::at_work) else {
            return Ok(());
        };
        let (store, now) = (&replica.shared.store, replica.shared.clock.now());
        match change(&**store, now, op).await {
            Err(error) if !matches!(error, StoreError::Unavailable { .. }) => {
                Err(error.to_string())
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn read_names(&mut self) -> Outcome {
        let page = self.observer.read_dictionary(self.cursor, None).await;
        let page = page.map_err(|error| error.to_string())?;
        self.cursor = Some(page.cursor);
        for entry in page.entries {
            let name = (
                entry.service_name.to_string(),
                entry.operation_name.to_string(),
            );
            let before = self.names.insert(entry.operation, name.clone());
            ensure!(
                before.as_ref().is_none_or(|before| *before == name),
                "number {:?} was {before:?} and is {name:?}",
                entry.operation
            );
        }
        Ok(())
    }
}

async fn change(store: &dyn Store, now: DateTime<Utc>, op: &Op) -> Result<(), StoreError> {
    loop {
        let initial = Configuration::default().document();
        let revision = store.create_configuration(&initial, now).await?;
        let mut configuration = Configuration::read(&revision).expect("it was checked");
        match *op {
            Op::Budget { traces_per_second } => {
                configuration.budget = Budget::TracesPerSecond(traces_per_second);
            }
            Op::Coverage {
                probability,
                within_seconds,
            } => {
                configuration.coverage.probability = probability;
                configuration.coverage.within_seconds = within_seconds;
            }
            _ => {}
        }
        configuration
            .check()
            .expect("courses hold what operators may ask for");
        let document = configuration.document();
        let written = store
            .write_configuration(revision.revision, &document, "a test", now, None, None)
            .await?;
        if let ConfigurationWrite::Written(_) = written {
            return Ok(());
        }
    }
}

fn shown(bodies: &[Vec<u8>]) -> String {
    bodies
        .iter()
        .map(|body| String::from_utf8_lossy(body).into_owned())
        .collect::<Vec<_>>()
        .join("\n")
}
