//! Plays traffic against a running server, in real time.
//!
//! One task plays the ticks, one task per SDK instance polls, and two per agent cut reports and
//! send them. They share the fleet behind a lock that nobody holds while waiting.

mod agent;
mod poll;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::fleet::{Fleet, FleetShape};
use super::reference::{Reference, ReferencePlan};
use super::traffic::{Schedule, Traffic};
use super::verdict::Interval;
use super::wire::WireTally;

/// Ticks of one interval. With more, drawing would cost time; with fewer, the time of a poll would
/// show in the result.
const TICKS: u32 = 20;
/// The most polls in progress at a time.
const POLLS_AT_ONCE: usize = 64;
/// How long the agents may take to send their last reports after the last interval.
const LAST_REPORTS: Duration = Duration::from_secs(15);

/// The traffic to play, and how fast.
#[derive(Debug, Clone)]
pub struct Play {
    /// The traffic.
    pub traffic: Arc<Traffic>,
    /// Which of its rows are played when.
    pub schedule: Schedule,
    /// The server's interval.
    pub interval: Duration,
    /// How often an SDK polls.
    pub poll_interval: Duration,
    /// How often an agent reports.
    pub report_interval: Duration,
    /// How long after the end of an interval the reference controller has its plan.
    pub reference_delay: Duration,
    /// The budget that the reference controller shares, in traces per second.
    pub budget: f64,
    /// The shape of the fleet.
    pub shape: FleetShape,
}

/// The results.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// Every interval that was played to its end.
    pub intervals: Vec<Interval>,
    /// The requests and answers.
    pub wire: WireTally,
    /// The longest delay of a tick. It shows if the machine is too slow for the fleet.
    pub latest_tick: Duration,
}

/// Shared by the tasks.
struct PlayContext {
    client: Client,
    traffic: Arc<Traffic>,
    fleet: Mutex<Fleet>,
    wire: Mutex<WireTally>,
    reference: Mutex<ReferenceFeed>,
    polls: Semaphore,
    /// Milliseconds of the run that the fleet has played.
    lived: std::sync::atomic::AtomicI64,
    /// The start of the run, by the wall clock and by the machine's monotonic clock.
    began: DateTime<Utc>,
    origin: Instant,
    /// Cancelled after the last tick.
    finished: CancellationToken,
}

impl PlayContext {
    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        held(&self.fleet)
    }

    fn wire(&self) -> MutexGuard<'_, WireTally> {
        held(&self.wire)
    }
}

/// Takes a lock. If a task died while it held the lock, the state is still valid for the others.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The plans of the reference controller, each with the instant from which it may be polled.
struct ReferenceFeed {
    current: Arc<ReferencePlan>,
    coming: VecDeque<(Instant, Arc<ReferencePlan>)>,
}

impl ReferenceFeed {
    fn at(&mut self, now: Instant) -> Arc<ReferencePlan> {
        while let Some((_, plan)) = self.coming.pop_front_if(|(from, _)| *from <= now) {
            self.current = plan;
        }
        Arc::clone(&self.current)
    }
}

/// Plays until the end or until `stop`. Calls `observe` after every interval.
///
/// The run begins at the next multiple of the interval after `now`, because the server's windows
/// begin there too. So an interval of the run is a window of the server.
pub async fn play(
    play: &Play,
    client: Client,
    now: DateTime<Utc>,
    stop: &CancellationToken,
    mut observe: impl FnMut(usize, &Interval),
) -> Played {
    let (began, origin) = next_beginning(now, play.interval);
    let shape = &play.shape;
    let mut reference = Reference::new(
        play.traffic.operations().len(),
        play.budget,
        shape.initial_probability,
    );
    let shared = Arc::new(PlayContext {
        client,
        traffic: Arc::clone(&play.traffic),
        fleet: Mutex::new(Fleet::new(&play.traffic, shape)),
        wire: Mutex::default(),
        reference: Mutex::new(ReferenceFeed {
            current: Arc::new(reference.first_plan()),
            coming: VecDeque::new(),
        }),
        polls: Semaphore::new(POLLS_AT_ONCE),
        lived: 0.into(),
        began,
        origin,
        finished: CancellationToken::new(),
    });
    let mut tasks = JoinSet::new();
    poll::start(&mut tasks, &shared, play);
    agent::start(&mut tasks, &shared, play);
    let mut run = Run {
        play,
        shared: &shared,
        latest_tick: Duration::ZERO,
    };
    let mut intervals = Vec::with_capacity(play.schedule.intervals());
    for number in 0..play.schedule.intervals() {
        let Some((interval, plan)) = run.interval(number, &mut reference, stop).await else {
            break;
        };
        let from = run.instant(number as u32 + 1, 0) + play.reference_delay;
        held(&shared.reference)
            .coming
            .push_back((from, Arc::new(plan)));
        observe(number, &interval);
        intervals.push(interval);
    }
    shared.finished.cancel();
    finish(tasks).await;
    let latest_tick = run.latest_tick;
    let wire = shared.wire().clone();
    Played {
        intervals,
        wire,
        latest_tick,
    }
}

/// Waits for the agents to send their reports, for a limited time.
/// Waits for the last reports. A task that panicked makes the run panic, too: what it had to send is
/// missing.
async fn finish(mut tasks: JoinSet<()>) {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
                std::panic::resume_unwind(panic);
            }
        }
    };
    // Reports that are not acknowledged by then count as not reported.
    let _ = tokio::time::timeout(LAST_REPORTS, all).await;
    tasks.shutdown().await;
}

/// The next multiple of `interval` by the wall clock, and the same instant by the monotonic clock.
fn next_beginning(now: DateTime<Utc>, interval: Duration) -> (DateTime<Utc>, Instant) {
    let interval = (interval.as_millis() as i64).max(1);
    let wait = interval - now.timestamp_millis().rem_euclid(interval);
    let wait_exactly = TimeDelta::milliseconds(wait)
        - TimeDelta::nanoseconds(i64::from(now.timestamp_subsec_nanos() % 1_000_000));
    (
        now + wait_exactly,
        Instant::now() + wait_exactly.to_std().unwrap_or_default(),
    )
}

/// Plays the ticks of the run.
struct Run<'a> {
    play: &'a Play,
    shared: &'a PlayContext,
    latest_tick: Duration,
}

impl Run<'_> {
    /// The run's milliseconds at the end of a tick.
    fn milliseconds(&self, interval: u32, tick: u32) -> i64 {
        let length = self.play.interval.as_millis() as i64;
        i64::from(interval) * length + i64::from(tick) * length / i64::from(TICKS)
    }

    fn instant(&self, interval: u32, tick: u32) -> Instant {
        self.shared.origin + Duration::from_millis(self.milliseconds(interval, tick) as u64)
    }

    /// Plays one interval; none if it was stopped before its end.
    async fn interval(
        &mut self,
        number: usize,
        reference: &mut Reference,
        stop: &CancellationToken,
    ) -> Option<(Interval, ReferencePlan)> {
        let schedule = &self.play.schedule;
        let traffic = &self.play.traffic;
        let counts = schedule.counts(traffic, number);
        self.shared.fleet().begin_interval(counts.clone());
        for tick in 1..=TICKS {
            let due = self.instant(number as u32, tick);
            tokio::select! {
                () = sleep_until(due) => {}
                () = stop.cancelled() => return None,
            }
            self.latest_tick = self.latest_tick.max(due.elapsed());
            let mut fleet = self.shared.fleet();
            let arrived = fleet.tick(TICKS - tick + 1);
            self.shared.wire().offered += arrived;
            // While the fleet is locked: a report must end where its counts end.
            let lived = self.milliseconds(number as u32, tick);
            self.shared
                .lived
                .store(lived, std::sync::atomic::Ordering::Release);
        }
        let tally = self.shared.fleet().end_interval();
        let seconds = self.play.interval.as_secs_f64();
        Some((
            Interval {
                label: schedule.label(traffic, number).to_owned(),
                seconds,
                budget_factor: 1.0,
                tally,
            },
            reference.close_interval(&counts, seconds),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_where_the_servers_windows_begin() {
        let now: DateTime<Utc> = "2026-11-20T09:00:01.250Z".parse().unwrap();
        let (began, origin) = next_beginning(now, Duration::from_secs(2));
        assert_eq!(began.to_rfc3339(), "2026-11-20T09:00:02+00:00");
        assert!(origin <= Instant::now() + Duration::from_millis(750));
        let (again, _) = next_beginning(began, Duration::from_secs(2));
        assert_eq!(
            again - began,
            TimeDelta::seconds(2),
            "a whole interval to get ready in"
        );
    }

    #[test]
    fn a_reference_plan_is_polled_from_its_instant_on() {
        let plan = |probability| {
            Arc::new(ReferencePlan {
                probabilities: vec![probability],
            })
        };
        let start = Instant::now();
        let mut feed = ReferenceFeed {
            current: plan(0.1),
            coming: [1, 2, 3]
                .map(|second| (start + Duration::from_secs(second), plan(second as f64)))
                .into(),
        };
        assert_eq!(*feed.at(start), *plan(0.1));
        assert_eq!(*feed.at(start + Duration::from_millis(2500)), *plan(2.0));
        assert_eq!(*feed.at(start + Duration::from_secs(9)), *plan(3.0));
    }
}
