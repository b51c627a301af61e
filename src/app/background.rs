//! Starts what happens by itself, and ends it.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{AppError, Parts};
use crate::clock::{Steps, SystemClock};
use crate::jobs::{
    Follower, Job, LeaseKeeper, Maintain, Pace, Recompute, Runner, Scheduler, Settle,
};

/// Everything that happens by itself.
pub(super) struct Jobs {
    keeper: Arc<LeaseKeeper>,
    running: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Jobs {
    pub(super) async fn start(parts: &Parts) -> Result<Self, AppError> {
        let Parts {
            settings,
            fleet,
            grace,
            shared,
            database,
        } = parts;
        let stop = CancellationToken::new();
        let maintain = Maintain {
            shared: shared.clone(),
            report_age_max: fleet.report_age_max,
            grace: *grace,
            history: settings.timing.history,
            retire_after: settings.timing.retire_after,
            pace: Pace::from(&*shared.clock, shared.served.load().plan()),
        };
        let recompute = Recompute {
            shared: shared.clone(),
            grace: *grace,
        };
        let settle = Settle::new(shared.clone(), fleet.report_age_max);
        let jobs: [Arc<dyn Job>; 3] = [Arc::new(recompute), Arc::new(maintain), Arc::new(settle)];
        let keeper = Arc::new(LeaseKeeper {
            store: Arc::clone(&shared.store),
            clock: Arc::clone(&shared.clock),
            leadership: shared.leadership.clone(),
            database: database.clone(),
            holder: Uuid::new_v4(),
            time_to_live: LeaseKeeper::time_to_live(shared.interval),
        });
        let (triggers, triggered) = mpsc::channel(16);
        let scheduler = Scheduler::start(&jobs, triggers).await?;
        let steps = Steps::of(Arc::new(SystemClock));
        let follower = Follower::new(shared.clone());
        let runner = Runner::new(&jobs, parts.clock(), Arc::clone(&shared.metrics));
        let running = vec![
            tokio::spawn(Arc::clone(&keeper).run(stop.clone())),
            tokio::spawn(follower.run(stop.clone())),
            tokio::spawn(runner.run(triggered, stop.clone())),
            tokio::spawn(scheduler.run(steps, Arc::clone(&shared.metrics), stop.clone())),
        ];
        Ok(Self {
            keeper,
            running,
            stop,
        })
    }

    /// Lets the jobs finish, then gives the lease back.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        for task in self.running {
            if task.await.is_err() {
                tracing::error!("a background task panicked");
            }
        }
        self.keeper.release().await;
    }
}
