//! Sends reports to one replica or two, and again if necessary.

use std::sync::atomic::Ordering;

use weir::ingest::{Acknowledged, IngestError};

use super::fleet::Report;
use super::replica::Reported;
use super::world::World;
use super::{Outcome, ensure};

/// Reports that an agent stores until they are acknowledged.
const KEPT: usize = 20;

/// The result of sending a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Acknowledged,
    /// It is wrong, and will stay wrong.
    Refused,
    /// The agent must take a new epoch.
    Renew,
    /// It was not acknowledged.
    Again,
}

impl World {
    pub(super) async fn send_reports(&mut self) -> Outcome {
        for agent in 0..self.fleet.agents.len() {
            let due = self.fleet.agents[agent].due(self.windows);
            let twice = !due.is_empty() && std::mem::take(&mut self.fleet.agents[agent].twice);
            let to = self.fleet.agents[agent].to % self.places.len();
            for report in due {
                let first = self.send(&report, to);
                let outcomes = if twice {
                    let second = self.send(&report, (to + 1) % self.places.len());
                    let (first, second) = tokio::join!(first, second);
                    vec![first?, second?]
                } else {
                    vec![first.await?]
                };
                self.take_in(agent, report, &outcomes);
            }
        }
        Ok(())
    }

    fn take_in(&mut self, agent: usize, report: Report, outcomes: &[Sent]) {
        if outcomes.contains(&Sent::Acknowledged) {
            self.fleet.agents[agent].acknowledged.push(report);
        } else if outcomes.contains(&Sent::Renew) {
            self.fleet.renew(agent);
        } else if outcomes.contains(&Sent::Again) {
            let waiting = &mut self.fleet.agents[agent].waiting;
            waiting.push(report);
            if waiting.len() > KEPT {
                waiting.remove(0);
            }
        }
    }

    pub(super) async fn send_again(&mut self, agent: u8, last: u8, to: u8) -> Outcome {
        let sent = &self.fleet.agent(agent).acknowledged;
        let again: Vec<_> = sent.iter().rev().take(usize::from(last)).cloned().collect();
        for report in again {
            self.send(&report, usize::from(to) % self.places.len())
                .await?;
        }
        Ok(())
    }

    async fn send(&self, report: &Report, to: usize) -> Result<Sent, String> {
        let place = &self.places[to];
        let failed = place.link.faults.failed.load(Ordering::Relaxed);
        let answer = place.report(&report.body).await;
        let counted = self.ledger.records().counted.contains(&report.key);
        match answer {
            Reported::Stored(Acknowledged::Counted | Acknowledged::Duplicate) => {
                ensure!(counted, "{:?} is acknowledged and not stored", report.key);
                Ok(Sent::Acknowledged)
            }
            Reported::Stopped => Ok(Sent::Again),
            Reported::Refused => Ok(Sent::Refused),
            Reported::Failed(IngestError::TooFarBehind) => Ok(Sent::Renew),
            Reported::Failed(error) => {
                let excused = place.link.faults.failed.load(Ordering::Relaxed) > failed;
                ensure!(
                    excused,
                    "replica {to} did not take {:?}: {error}",
                    report.key
                );
                Ok(Sent::Again)
            }
        }
    }
}
