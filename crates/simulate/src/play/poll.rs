//! SDK instances that poll their strategy.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::{Play, PlayContext, held};
use crate::client::PollError;

/// Starts a task for every SDK instance. It polls when the run begins, and then at its own phase.
pub(super) fn start(tasks: &mut JoinSet<()>, shared: &Arc<PlayContext>, play: &Play) {
    let mut random = StdRng::seed_from_u64(play.shape.seed.wrapping_add(0x5d4));
    let sdks = shared.fleet().sdks();
    for sdk in 0..sdks {
        let phase = play.poll_interval.mul_f64(random.random::<f64>());
        let every = play.poll_interval;
        let shared = Arc::clone(shared);
        tasks.spawn(async move {
            let polling = poll_for_ever(&shared, sdk, phase, every);
            tokio::select! {
                () = shared.finished.cancelled() => {}
                () = polling => {}
            }
        });
    }
}

async fn poll_for_ever(shared: &PlayContext, sdk: usize, phase: Duration, every: Duration) {
    sleep_until(shared.origin).await;
    poll(shared, sdk).await;
    let mut due = shared.origin + phase;
    loop {
        sleep_until(due).await;
        poll(shared, sdk).await;
        // Skips polls that were due during one that took longer than the interval.
        while due <= Instant::now() {
            due += every;
        }
    }
}

async fn poll(shared: &PlayContext, sdk: usize) {
    // Both controllers are asked at this instant, however long the server takes to answer.
    let plan = held(&shared.reference).at(Instant::now());
    let service = {
        let mut fleet = shared.fleet();
        fleet.tell_reference(sdk, &plan);
        fleet.service_of(sdk)
    };
    let name = shared.traffic.services()[service].name.as_str();
    let answer = {
        let _permit = shared.polls.acquire().await;
        shared.client.poll(name).await
    };
    match answer {
        Ok(strategy) => {
            shared.fleet().tell(sdk, &strategy, &shared.traffic);
            shared.wire().polls_answered += 1;
        }
        Err(PollError::Away(error)) => shared.wire().poll_failed(&error),
        Err(PollError::Violation(violation)) => shared.wire().violated(name, &violation),
    }
}
