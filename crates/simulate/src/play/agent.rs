//! Agents: they cut the counts of their SDKs into reports, and send these one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::{Play, PlayContext};
use crate::client::ReportAnswer;
use crate::fleet::ServiceTally;
use crate::report::{OperationReport, Report, ServiceReport};

/// Reports that an agent stores while the server is away. After that, it continues with one long
/// window.
const REPORTS_KEPT: usize = 1024;
/// The first wait before a report is sent again. Each further one is twice as long, up to the
/// longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The counts of an agent's SDKs in a window, in milliseconds of the run.
struct Cut {
    start: i64,
    end: i64,
    services: Vec<ServiceTally>,
}

/// Starts two tasks for every agent: one cuts reports, at its own phase, the other sends them.
pub(super) fn start(tasks: &mut JoinSet<()>, shared: &Arc<PlayContext>, play: &Play) {
    let mut random = StdRng::seed_from_u64(play.shape.seed.wrapping_add(0xa6e));
    let agents = shared.fleet().agents();
    for agent in 0..agents {
        let (cuts, reports) = mpsc::channel(REPORTS_KEPT);
        let cutting = Cutting {
            agent,
            until: 0,
            cuts,
        };
        let first = play.report_interval.mul_f64(random.random::<f64>());
        let every = play.report_interval;
        tasks.spawn(cutting.run(Arc::clone(shared), first, every));
        tasks.spawn(send_all(Arc::clone(shared), agent, reports));
    }
}

/// Cuts one agent's reports.
struct Cutting {
    agent: usize,
    /// Where the last report ended. The next one begins there, so that reports neither overlap nor
    /// leave gaps.
    until: i64,
    cuts: mpsc::Sender<Cut>,
}

impl Cutting {
    async fn run(mut self, shared: Arc<PlayContext>, first: Duration, every: Duration) {
        let mut due = shared.origin + first;
        loop {
            tokio::select! {
                () = sleep_until(due) => {}
                () = shared.finished.cancelled() => break,
            }
            if let Ok(room) = self.cuts.clone().try_reserve()
                && let Some(cut) = self.cut(&shared)
            {
                room.send(cut);
            }
            while due <= Instant::now() {
                due += every;
            }
        }
        if let Some(cut) = self.cut(&shared) {
            // Fails only if the sender is gone, together with the whole run.
            let _ = self.cuts.send(cut).await;
        }
    }

    /// Everything since the last report. An idle window is reported too: it shows that the agent is
    /// alive.
    fn cut(&mut self, shared: &PlayContext) -> Option<Cut> {
        let mut fleet = shared.fleet();
        let end = shared.lived.load(Ordering::Acquire);
        let start = std::mem::replace(&mut self.until, end);
        (end > start).then(|| Cut {
            start,
            end,
            services: fleet.take_report(self.agent),
        })
    }
}

/// An agent's name, and its position in its sequence.
struct Identity {
    name: String,
    epoch: Uuid,
    sequence: u64,
}

async fn send_all(shared: Arc<PlayContext>, agent: usize, mut cuts: mpsc::Receiver<Cut>) {
    let mut identity = Identity {
        name: format!("replay-{agent}"),
        epoch: Uuid::new_v4(),
        sequence: 0,
    };
    while let Some(cut) = cuts.recv().await {
        send(&shared, &mut identity, &cut).await;
    }
}

/// Sends one report, unchanged, until the server has accepted or refused it.
async fn send(shared: &PlayContext, identity: &mut Identity, cut: &Cut) {
    identity.sequence += 1;
    let mut body = render(shared, identity, cut);
    let mut wait = FIRST_WAIT;
    loop {
        let pause = match shared.client.report(body.clone()).await {
            ReportAnswer::Counted => return shared.wire().report_counted(offered(cut)),
            ReportAnswer::Duplicate => {
                shared.wire().reports_duplicate += 1;
                return shared.wire().report_counted(offered(cut));
            }
            ReportAnswer::Rejected(why) => return shared.wire().report_rejected(why),
            ReportAnswer::Superseded => {
                shared.wire().epochs_renewed += 1;
                identity.epoch = Uuid::new_v4();
                identity.sequence = 1;
                body = render(shared, identity, cut);
                wait
            }
            ReportAnswer::Again(after, why) => {
                shared.wire().report_unanswered(why);
                after.unwrap_or(wait)
            }
        };
        sleep(pause).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

fn offered(cut: &Cut) -> u64 {
    cut.services
        .iter()
        .flat_map(|service| &service.operations)
        .map(|operation| operation.offered)
        .sum()
}

fn render(shared: &PlayContext, identity: &Identity, cut: &Cut) -> Vec<u8> {
    let start = shared.began + TimeDelta::milliseconds(cut.start);
    let report = Report {
        agent: &identity.name,
        epoch: identity.epoch,
        sequence: identity.sequence,
        window_start: start.to_rfc3339_opts(SecondsFormat::Millis, true),
        window_seconds: (cut.end - cut.start) as f64 / 1000.0,
        services: cut
            .services
            .iter()
            .map(|tally| service_report(shared, tally))
            .collect(),
    };
    serde_json::to_vec(&report).expect("names and numbers always have a JSON form")
}

fn service_report<'a>(shared: &'a PlayContext, tally: &ServiceTally) -> ServiceReport<'a> {
    let traffic = &shared.traffic;
    ServiceReport {
        service: traffic.services()[tally.service].name.as_str(),
        instances: tally.instances,
        operations: tally
            .operations
            .iter()
            .map(|counts| OperationReport {
                operation: traffic.operations()[counts.operation].name.as_str(),
                offered: counts.offered,
                sampled: counts.sampled,
            })
            .collect(),
    }
}
