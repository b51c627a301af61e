//! Starts the background tasks, each under its policy.

use std::sync::Arc;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::Parts;
use crate::clock::{Steps, SystemClock};
use crate::jobs::{
    Downsample, EdgeFollower, EmergencyFollower, FinalNameWriter, Job, JobContext, LeaseKeeper,
    Maintain, Measure, Patience, PlanFollower, PollWriter, Recompute, ReplicaWriter, RetentionPace,
    Runner, Scheduler, Settle, TokenFollower,
};
use crate::supervise::Supervisor;
use crate::telemetry::metrics::TaskName;
use crate::view::minted::MintingLog;
use crate::view::not_applied::NotAppliedLog;
use crate::worker::Worker;

/// The background tasks, in the order in which they are told to stop.
pub(super) const TASKS: [TaskName; 16] = [
    TaskName::AlertWatch,
    TaskName::AlertWebhook,
    TaskName::TlsFiles,
    TaskName::BootstrapToken,
    TaskName::OidcFollower,
    TaskName::PollWriter,
    TaskName::FinalNameWriter,
    TaskName::ReplicaWriter,
    TaskName::FleetSettings,
    TaskName::Scheduler,
    TaskName::Runner,
    TaskName::Follower,
    TaskName::TokenFollower,
    TaskName::EmergencyFollower,
    TaskName::EdgeFollower,
    TaskName::LeaseKeeper,
];

/// Triggers that may wait for the runner, which takes them at once.
const TRIGGERS: usize = 16;

/// Starts the jobs and what they need. Returns the keeper of the lease, to give the lease back at
/// the end.
pub(super) fn start(parts: &Parts, supervisor: &mut Supervisor) -> Arc<LeaseKeeper> {
    let jobs = jobs(parts);
    let shared = &parts.shared;
    let (triggers, triggered) = mpsc::channel(TRIGGERS);
    let runner = Runner::new(&jobs, parts.clock(), Arc::clone(&shared.metrics));
    // It owns the receiver of the triggers, so it cannot be started again.
    supervisor.require(TaskName::Runner, |stop| async move {
        runner.run(triggered, stop).await;
        Ok(())
    });
    let metrics = Arc::clone(&shared.metrics);
    supervisor.keep(TaskName::Scheduler, move |stop| {
        let (jobs, triggers) = (jobs.clone(), triggers.clone());
        let metrics = Arc::clone(&metrics);
        async move {
            let scheduler = Scheduler::start(&jobs, triggers).await?;
            let steps = Steps::of(Arc::new(SystemClock));
            scheduler.run(steps, metrics, stop).await;
            Ok(())
        }
    });
    let followed = shared.clone();
    supervisor.keep(TaskName::Follower, move |stop| {
        let follower = PlanFollower::new(followed.clone());
        async move {
            follower.run(stop).await;
            Ok(())
        }
    });
    let (store, tokens) = (Arc::clone(&shared.store), Arc::clone(&parts.tokens));
    supervisor.keep(TaskName::TokenFollower, move |stop| {
        let follower = TokenFollower::new(Arc::clone(&store), Arc::clone(&tokens));
        async move {
            follower.run(stop).await;
            Ok(())
        }
    });
    parts.start_access(supervisor);
    parts.watch_alerts(supervisor);
    let followed = shared.clone();
    supervisor.keep(TaskName::EmergencyFollower, move |stop| {
        let follower = EmergencyFollower::new(followed.clone());
        async move {
            follower.run(stop).await;
            Ok(())
        }
    });
    let followed = shared.clone();
    supervisor.keep(TaskName::EdgeFollower, move |stop| {
        let follower = EdgeFollower::new(followed.clone());
        async move {
            follower.run(stop).await;
            Ok(())
        }
    });
    let replica = Uuid::new_v4();
    write_windows(shared, replica, supervisor);
    let (encrypted, clock) = (Arc::clone(&parts.encrypted), parts.clock());
    supervisor.keep(TaskName::TlsFiles, move |stop| {
        let watching = Arc::clone(&encrypted).watch(Arc::clone(&clock), stop);
        async move {
            watching.await;
            Ok(())
        }
    });
    let keeper = Arc::new(keeper(parts, replica));
    let kept = Arc::clone(&keeper);
    supervisor.keep(TaskName::LeaseKeeper, move |stop| {
        let keeper = Arc::clone(&kept);
        async move {
            keeper.run(stop).await;
            Ok(())
        }
    });
    keeper
}

/// Starts what writes what this replica was asked and what it heard, and that it is there.
fn write_windows(shared: &JobContext, replica: Uuid, supervisor: &mut Supervisor) {
    let counted = shared.clone();
    supervisor.keep(TaskName::PollWriter, move |stop| {
        let writer = PollWriter::new(counted.clone(), replica);
        async move {
            writer.run(stop).await;
            Ok(())
        }
    });
    let heard = shared.clone();
    supervisor.keep(TaskName::FinalNameWriter, move |stop| {
        let writer = FinalNameWriter::new(heard.clone(), replica);
        async move {
            writer.run(stop).await;
            Ok(())
        }
    });
    let there = shared.clone();
    supervisor.keep(TaskName::ReplicaWriter, move |stop| {
        let writer = ReplicaWriter::new(there.clone(), replica);
        async move {
            writer.run(stop).await;
            Ok(())
        }
    });
}

fn jobs(parts: &Parts) -> [Arc<dyn Job>; 5] {
    let Parts {
        fleet,
        grace,
        shared,
        ..
    } = parts;
    let maintain = Maintain {
        shared: shared.clone(),
        report_age_max: fleet.report_age_max,
        grace: *grace,
        history: fleet.history,
        steps: fleet.steps,
        retire_after: fleet.retire_after,
        names: fleet.names,
        pace: RetentionPace::from(&*shared.clock, shared.served.load().plan()),
    };
    let recompute = Recompute {
        shared: shared.clone(),
        grace: *grace,
        minting: MintingLog::default(),
        worker: Worker::start("weir-plans"),
        not_applied: NotAppliedLog::default(),
    };
    let settle = Settle::new(shared.clone(), fleet.report_age_max);
    let measure = Measure {
        shared: shared.clone(),
    };
    [
        Arc::new(recompute),
        Arc::new(maintain),
        Arc::new(settle),
        Arc::new(Downsample::new(shared.clone(), fleet.history)),
        Arc::new(measure),
    ]
}

fn keeper(parts: &Parts, replica: Uuid) -> LeaseKeeper {
    let Parts {
        shared, database, ..
    } = parts;
    LeaseKeeper {
        store: Arc::clone(&shared.store),
        clock: Arc::clone(&shared.clock),
        leadership: shared.leadership.clone(),
        database: database.clone(),
        holder: replica,
        time_to_live: LeaseKeeper::time_to_live(shared.interval),
        patience: Patience::of(shared.interval),
        metrics: Arc::clone(&shared.metrics),
    }
}
