//! Computes the next plan when a window has closed.
//!
//! A plan is made in these steps: read and sum the window that closed and those before it that may
//! still change, compute the next plan, store it under the term of the lease, serve it. Nothing is
//! remembered between two runs except what the previous plan contains.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::SubsecRound;
use tokio::sync::OwnedMutexGuard;

use super::follow::load_current;
use super::prepare::{
    self, PreparedPlan, StoredAs, Unstorable, prepare, renamed, retired, superseded,
};
use super::steering::Steering;
use super::windows::{PollsRead, WindowRead, last_closed, to_read};
use super::{Job, JobContext, JobError};
use crate::allocation::{Inputs, Plan, PollCount, Timestamp, Window, WindowCounts};
use crate::clock::Clock;
use crate::configuration::TaggedRules;
use crate::names::Names;
use crate::snapshot::{Published, Snapshot};
use crate::store::{Claim, Incarnation, NewPlan, PlanMark, Publication, StoreError, WriteFormat};
use crate::telemetry::metrics::{JobName, Laps, PlanOutcome, PlanPhase, RunOutcome};
use crate::view::minted::MintingLog;
use crate::view::not_applied::NotAppliedLog;
use crate::view::plan_log::{self, PlanChanges};
use crate::worker::Worker;

/// How long before a window closes a trigger may come and wait for it. Triggers come every second,
/// plus or minus half a second.
const AHEAD: Duration = Duration::from_millis(1600);

/// The job.
pub struct Recompute {
    /// Shared with the other jobs.
    pub shared: JobContext,
    /// How long after its end a window waits for reports.
    pub grace: Duration,
    /// Names the services that mint names in the log.
    pub minting: MintingLog,
    /// Where plans are computed and installed.
    pub worker: Worker,
    /// Names the services that do not apply their strategy in the log.
    pub not_applied: NotAppliedLog,
}

/// Held while a plan is computed, published and installed.
type Publishing = Arc<OwnedMutexGuard<()>>;

/// The input of a plan.
struct Read {
    /// The windows from what may still change of the previous plan's to the one that closed.
    windows: Vec<WindowRead>,
    /// The polls of each window, if all are known.
    polls: Vec<Option<Vec<PollCount>>>,
    steering: Steering,
    format: WriteFormat,
    /// The names of the numbers of all counts.
    names: Arc<Names>,
}

/// The plan that the next one continues from.
struct Parent {
    snapshot: Arc<Snapshot>,
    /// Whether the database has no plan, because it went back to before the first one. Then the
    /// next plan starts from nothing, because the numbers of the served plan mean nothing there.
    from_nothing: bool,
    /// It is not the current plan, so its numbers may come from a past that the database has left.
    elsewhere: bool,
    /// The highest plan number that was served or is current.
    highest: u64,
}

impl Parent {
    /// The plan before, if it was computed on this database.
    fn plan(&self) -> Option<&Plan> {
        let plan = self.snapshot.plan();
        (!self.from_nothing && plan.number > 0).then_some(plan)
    }

    /// The windows to read for the next plan, which answers `window`.
    fn to_read(&self, window: Window) -> Vec<Window> {
        let (settled, answered) = if self.from_nothing {
            (Timestamp::default(), Window::default())
        } else {
            let plan = self.snapshot.plan();
            (plan.settled, plan.window)
        };
        to_read(settled, answered, window)
    }
}

#[async_trait]
impl Job for Recompute {
    fn name(&self) -> JobName {
        JobName::Recompute
    }

    fn schedule(&self) -> &'static str {
        "* * * * * *"
    }

    fn time_limit(&self) -> Duration {
        self.shared.interval.max(Duration::from_secs(30))
    }

    async fn run(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.shared.leadership.check()?;
        let Some(window) = self.due().await else {
            return Ok(());
        };
        let Some(claim) = self.shared.leadership.claim() else {
            return Ok(());
        };
        if self.shared.readability.gives_up() {
            let reason = "it cannot read the current plan";
            self.shared.leadership.give_up(reason);
            return Ok(());
        }
        self.publish_next(window, claim).await
    }

    fn ended(&self, outcome: RunOutcome, error: Option<&JobError>) {
        let leadership = &self.shared.leadership;
        let error = error.and_then(|error| error.downcast_ref::<StoreError>());
        match outcome {
            RunOutcome::Succeeded => leadership.note_success(),
            // A database that is away does not renew a lease either, so the lease expires by
            // itself.
            _ if matches!(error, Some(StoreError::Unavailable { .. })) => {}
            RunOutcome::Failed | RunOutcome::TimedOut | RunOutcome::Panicked => {
                leadership.note_failure();
            }
            RunOutcome::Skipped => {}
        }
    }
}

impl Recompute {
    /// The window that is due. Waits for it if it is about to close.
    async fn due(&self) -> Option<Window> {
        let clock = &self.shared.clock;
        self.shared.leadership.term()?;
        if let Some(window) = self.due_at(clock.timestamp()) {
            return Some(window);
        }
        let soon = Timestamp(clock.timestamp().0 + AHEAD.as_millis() as i64);
        let window = self.due_at(soon)?;
        let closes = window.end.0 + self.grace.as_millis() as i64;
        let wait = u64::try_from(closes - clock.timestamp().0).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Some(window)
    }

    /// The window that is due at an instant: the last one that has closed, unless the plan is
    /// already about it. A plan from the future was made with a clock that has been set back since.
    fn due_at(&self, now: Timestamp) -> Option<Window> {
        let window = last_closed(now, self.shared.interval, self.grace);
        let answered = self.shared.served.load().plan().window;
        (window.end > answered.end || answered.start > now).then_some(window)
    }

    async fn publish_next(
        &self,
        window: Window,
        claim: Claim,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let started = Instant::now();
        // The lock is held until the work on another thread has ended too: a run that takes too
        // long is dropped, its work is not.
        let publishing = Arc::clone(&self.shared.publishing).lock_owned().await;
        let publishing: Publishing = Arc::new(publishing);
        let mut laps = Laps::start();
        let phases = &self.shared.metrics.plan_phase;
        let before = self.shared.served.snapshot();
        if before.plan().window == window {
            // Another replica was faster, and its plan was loaded meanwhile.
            return Ok(());
        }
        let replaces = self.shared.store.current_plan_mark().await?;
        let Some(parent) = self.parent(&before, replaces) else {
            // Another replica was faster, or the database went back to another plan.
            return Ok(load_current(&self.shared).await?);
        };
        let Some(read) = self.read(&parent, window).await? else {
            tracing::warn!("the database went back in time while counts were read: reading again");
            return Ok(());
        };
        laps.lap(phases.of(PlanPhase::Read));
        let changes = read.steering.changes();
        let tagged = read.steering.tagged();
        let prepared = self
            .compute(&publishing, parent, read, claim.term)
            .await
            .inspect_err(|_| self.shared.metrics.plans.of(PlanOutcome::TooLarge).inc())?;
        laps.lap(phases.of(PlanPhase::Compute));
        let published = self.publish(claim, replaces, &prepared).await?;
        laps.lap(phases.of(PlanPhase::Publish));
        if !published {
            return Ok(());
        }
        self.tell(before.plan(), &prepared, changes, started.elapsed());
        let names = Arc::clone(&prepared.names);
        self.install(publishing, prepared, tagged).await;
        laps.lap(phases.of(PlanPhase::Install));
        self.tell_claims(before.plan(), &names).await;
        Ok(())
    }

    /// The plan that the next one continues from: the newest one that can be read, under a number
    /// above the current one. None if the current plan must be loaded first.
    fn parent(&self, before: &Arc<Snapshot>, replaces: Option<PlanMark>) -> Option<Parent> {
        let unreadable = self.shared.readability.unreadable();
        let known = replaces.is_none()
            || replaces == before.mark()
            || replaces == unreadable.map(|current| current.plan);
        let current = replaces.map_or(0, |current| current.number);
        known.then(|| Parent {
            from_nothing: replaces.is_none() && before.mark().is_some(),
            elsewhere: replaces != before.mark(),
            highest: self.shared.served.highest().max(current),
            snapshot: Arc::clone(before),
        })
    }

    /// Reads the input of a plan; none if the database went back in time meanwhile, because then the
    /// numbers of the counts have lost their names.
    async fn read(
        &self,
        parent: &Parent,
        window: Window,
    ) -> Result<Option<Read>, Box<dyn Error + Send + Sync>> {
        let windows = &parent.to_read(window);
        let JobContext {
            store, dictionary, ..
        } = &self.shared;
        // Beside each other, because each question to a slow database takes its time.
        let others = async { Ok((self.polls(windows).await?, store.configuration().await?)) };
        let counts = WindowRead::read_all(&self.shared, windows);
        let (read, ((format, polls), revision)) = tokio::try_join!(counts, others)?;
        let newer = read.iter().any(WindowRead::is_newer);
        if self.shared.readability.gives_up_for_counts(newer) {
            let reason = "it cannot read the counts that newer replicas write";
            self.shared.leadership.give_up(reason);
        }
        let mut states: Vec<Incarnation> = read.iter().map(|window| window.names).collect();
        states.extend(polls.as_ref().map(|polls| polls.names));
        let Some(names) = dictionary.names_of(&states).await? else {
            return Ok(None);
        };
        Ok(Some(Read {
            windows: read,
            steering: Steering::read(&revision, parent.plan(), window.end)?,
            polls: polls.map_or_else(|| vec![None; windows.len()], |polls| polls.windows),
            format,
            names,
        }))
    }

    /// The format that plans are written in, and the polls of windows.
    async fn polls(
        &self,
        windows: &[Window],
    ) -> Result<(WriteFormat, Option<PollsRead>), StoreError> {
        let format = self.shared.store.write_format().await?;
        let polls = match format {
            // Replicas of the release before answer polls and do not count them.
            WriteFormat::Previous => None,
            WriteFormat::Newest => PollsRead::read(&self.shared, windows).await,
        };
        Ok((format, polls))
    }

    async fn compute(
        &self,
        publishing: &Publishing,
        parent: Parent,
        read: Read,
        term: u64,
    ) -> Result<PreparedPlan, Unstorable> {
        // In the precision in which it is stored, so that all replicas agree.
        let published_at = self.shared.clock.now().trunc_subsecs(3);
        let names = Arc::clone(&read.names);
        let publishing = Arc::clone(publishing);
        let matches = Arc::clone(&self.shared.matches);
        let cuts = self.shared.served.load().cuts().clone();
        let measured = self.shared.costs.current();
        let work = move || {
            let _publishing = publishing;
            let windows = read.windows;
            let readable = windows.iter().map(WindowRead::readable).fold(1.0, f64::min);
            let counts = |(counted, polls): (WindowRead, _)| WindowCounts {
                polls,
                ..counted.sums.counts(&names)
            };
            let windows: Vec<WindowCounts> =
                windows.into_iter().zip(read.polls).map(counts).collect();
            let policy = read
                .steering
                .policy(&matches, &names, parent.snapshot.plan(), measured);
            let genesis = Plan::genesis(&policy);
            let previous = match parent.from_nothing {
                true => &genesis,
                false => parent.snapshot.plan(),
            };
            let newest = windows.last().map(|counts| counts.window);
            let mut retired = retired(previous, &names);
            if parent.elsewhere {
                retired.extend(renamed(&parent.snapshot, &names));
            }
            let governance = read.steering.governance(&policy);
            retired.extend(superseded(&parent.snapshot, &governance));
            let inputs = Inputs {
                retired: &retired,
                readable,
                cut: newest.map_or(1.0, |newest| cuts.held(newest, newest.milliseconds())),
                ..Inputs::new(term, &windows)
            };
            let stored_as = StoredAs {
                number: parent.highest.saturating_add(1),
                published_at,
                format: read.format,
            };
            let computed = prepare::compute(previous, &policy, inputs, &cuts, stored_as);
            // The counts are not needed any more, and encoding needs memory.
            drop(windows);
            prepare(computed, (names, governance), stored_as)
        };
        self.worker.run(work).await
    }

    /// Whether the plan was published. If there is a newer one, that is served.
    async fn publish(
        &self,
        claim: Claim,
        replaces: Option<PlanMark>,
        prepared: &PreparedPlan,
    ) -> Result<bool, StoreError> {
        let JobContext { store, metrics, .. } = &self.shared;
        let plan = &prepared.stored;
        let new = NewPlan {
            claim,
            replaces,
            plan,
            history: &prepared.history,
        };
        let publication = store.publish_plan(new).await?;
        metrics.plans.of(outcome(publication)).inc();
        match publication {
            Publication::Published => {
                self.shared.readability.can_read(plan.number, metrics);
                return Ok(true);
            }
            Publication::StaleTerm => tracing::warn!(
                term = plan.term,
                "did not publish a plan: another replica has the lease"
            ),
            Publication::StaleParent(current) => {
                tracing::info!(current, "did not publish a plan: there is a newer one");
                load_current(&self.shared).await?;
            }
            Publication::OtherNames => {
                tracing::warn!(
                    plan = plan.number,
                    "a plan was not published: the database has gone back behind the names that \
                     it was computed with"
                );
                self.shared.dictionary.leave(plan.names).await?;
            }
        }
        Ok(false)
    }

    fn tell(&self, before: &Plan, prepared: &PreparedPlan, asked: Vec<String>, took: Duration) {
        let PreparedPlan { plan, names, .. } = prepared;
        let changes = PlanChanges::between(before, plan);
        let changed = changes.count() as u64;
        self.shared.metrics.probabilities_changed.inc_by(changed);
        plan_log::log(before, plan, &changes, names, asked, took);
        self.minting.log(plan, names);
        self.not_applied.log(plan, names);
    }

    /// Logs what the served plan holds apart. The names of agents may have to be read, so this waits
    /// until the plan is served.
    async fn tell_claims(&self, before: &Plan, names: &Names) {
        let snapshot = self.shared.served.snapshot();
        let plan = snapshot.plan();
        if !plan.claims.is_empty() {
            let agents = self.shared.agents.of(plan).await;
            plan_log::log_claims(before, plan, names, &agents);
        }
    }

    async fn install(&self, publishing: Publishing, prepared: PreparedPlan, tagged: TaggedRules) {
        let to = Arc::clone(&self.shared.served);
        let PreparedPlan {
            plan,
            stored,
            history,
            names,
            governance,
        } = prepared;
        let published = Published {
            identity: stored.identity,
            at: stored.published_at,
        };
        // Encoding needs memory.
        drop((stored, history));
        let work = move || {
            let _publishing = publishing;
            let snapshot = Snapshot::build(plan, Some(published), &names).with_tagged(tagged);
            to.install(snapshot.with_governance(governance));
        };
        self.worker.run(work).await;
    }
}

/// The outcome of a publication for the metrics.
fn outcome(publication: Publication) -> PlanOutcome {
    match publication {
        Publication::Published => PlanOutcome::Published,
        Publication::StaleTerm => PlanOutcome::StaleTerm,
        Publication::StaleParent(_) => PlanOutcome::StaleParent,
        Publication::OtherNames => PlanOutcome::OtherNames,
    }
}
