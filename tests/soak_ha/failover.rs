//! One failover: what is killed, when agents and plans continue, what was lost.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::Mode;
use crate::fleet::Fleet;
use crate::patroni::Patroni;
use crate::support::client::now;
use crate::support::process::eventually;
use crate::wal::{Sample, WalWatch, fork_after, marks};

/// How long agents may take to continue.
const DEADLINE: Duration = Duration::from_secs(90);

/// How the primary ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SIGKILL of PostgreSQL and Patroni, as when the machine is lost.
    Machine,
    /// SIGKILL of PostgreSQL.
    Postgres,
    /// SIGKILL of Patroni; the old primary keeps running until HAProxy stops using it.
    Patroni,
    /// A switch-over that an operator requests.
    SwitchOver,
}

impl Kind {
    /// The kinds in turn.
    pub fn of(number: usize) -> Self {
        const TURN: [Kind; 5] = [
            Kind::Machine,
            Kind::Postgres,
            Kind::SwitchOver,
            Kind::Machine,
            Kind::Patroni,
        ];
        TURN[number % TURN.len()]
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Machine => "PostgreSQL and Patroni killed",
            Self::Postgres => "PostgreSQL killed",
            Self::Patroni => "Patroni killed",
            Self::SwitchOver => "switchover",
        }
    }
}

/// The results of one failover.
#[derive(Debug, Clone)]
pub struct Failover {
    pub kind: Kind,
    pub began: DateTime<Utc>,
    /// When reports were acknowledged by the new primary.
    pub over: DateTime<Utc>,
    /// From the kill to the first report acknowledged after the pause.
    pub to_first_acknowledged: Duration,
    /// How long replication had been delayed when the primary was killed.
    pub held: Duration,
    /// Bytes of the old primary's log that the new one does not have, as far as they were observed.
    pub tail_bytes: u64,
    /// Acknowledged reports that were compared with the marks, and how many of them are lost.
    pub looked_at: usize,
    pub lost: usize,
}

/// The cluster, replicas and fleet that failovers happen in.
pub struct Stage<'a> {
    pub mode: Mode,
    pub patroni: &'a mut Patroni,
    pub fleet: &'a Fleet,
    pub wal: &'a WalWatch,
    pub random: &'a mut StdRng,
}

impl Stage<'_> {
    /// Lets agents report, replaces the primary, and checks what was lost.
    pub async fn fail_over(&mut self, number: usize) -> Failover {
        let kind = Kind::of(number);
        let leader = self.patroni.whole(self.mode).await;
        self.get_on().await;
        let before = self.last_sample().await;
        let held = self.hold_replication(kind, leader).await;
        let (began, killed) = (now(), Instant::now());
        self.strike(kind, leader);
        let first = self.acknowledged_by_another(&before, killed).await;
        let over = now();
        // Bytes that are still held back must not be delivered when the connection is open again.
        self.patroni.nodes[leader].replication.cut();
        let until = self.fleet.ledger.newest();
        let marks = marks(&self.patroni.url("postgres", "weir")).await;
        let fork = fork_after(&self.patroni.url("postgres", "weir"), &before.timeline).await;
        let loss = self.fleet.ledger.settle(killed, &until, &marks);
        self.check(number, &before, fork.position, &loss.lost);
        self.patroni.start_all();
        let end = self.wal.end_of(&before.timeline).unwrap_or(fork.position);
        Failover {
            kind,
            began,
            over,
            to_first_acknowledged: first - killed,
            held,
            tail_bytes: end.saturating_sub(fork.position),
            looked_at: loss.looked_at,
            lost: loss.lost.len(),
        }
    }

    /// Waits for some reports and repeats, a different number before each failover, so that the
    /// kills happen at different moments of a commit and of the interval.
    async fn get_on(&mut self) {
        let (reports, repeats) = self.fleet.ledger.progress();
        let more = self.random.random_range(60..260);
        eventually(DEADLINE, "agents get on", async || {
            let (now_reports, now_repeats) = self.fleet.ledger.progress();
            (now_reports >= reports + more && now_repeats >= repeats + 5).then_some(())
        })
        .await;
    }

    async fn last_sample(&self) -> Sample {
        eventually(DEADLINE, "the log is watched", async || {
            let newest = self.wal.newest()?;
            (newest.asked.elapsed() < Duration::from_secs(1)).then_some(newest)
        })
        .await
    }

    /// Delays replication to the asynchronous standbys for a while, as a slow network would, so
    /// that something can be lost.
    async fn hold_replication(&mut self, kind: Kind, leader: usize) -> Duration {
        if self.mode == Mode::Synchronous || !matches!(kind, Kind::Machine | Kind::Postgres) {
            return Duration::ZERO;
        }
        let held = Duration::from_millis(self.random.random_range(100..1_500));
        self.patroni.nodes[leader].replication.silence();
        let (reports, _) = self.fleet.ledger.progress();
        let began = Instant::now();
        eventually(DEADLINE, "reports that no standby hears of", async || {
            let (now_reports, _) = self.fleet.ledger.progress();
            (began.elapsed() >= held && now_reports > reports).then_some(())
        })
        .await;
        began.elapsed()
    }

    fn strike(&mut self, kind: Kind, leader: usize) {
        match kind {
            Kind::Machine => self.patroni.nodes[leader].kill(),
            Kind::Postgres => self.patroni.nodes[leader].kill_postgres(),
            Kind::Patroni => self.patroni.nodes[leader].kill_patroni(),
            Kind::SwitchOver => self.patroni.switch_over(leader),
        }
    }

    /// Waits until another primary has acknowledged a report; returns when the longest pause since
    /// the kill ended.
    async fn acknowledged_by_another(&self, before: &Sample, killed: Instant) -> Instant {
        eventually(
            DEADLINE,
            "another primary acknowledges reports",
            async || {
                let newest = self.wal.newest()?;
                if newest.timeline == before.timeline {
                    return None;
                }
                if !self.fleet.ledger.any_begun_after(newest.asked) {
                    return None;
                }
                let mut at = vec![killed];
                at.extend(self.fleet.ledger.since(killed));
                let pause = at.windows(2).max_by_key(|pair| pair[1] - pair[0])?;
                Some(pause[1])
            },
        )
        .await
    }

    /// A report may be lost only if PostgreSQL lost it: none with a synchronous standby, otherwise
    /// those that were acknowledged after the position where the new primary branched off.
    fn check(&self, number: usize, before: &Sample, fork: u64, lost: &[Instant]) {
        if self.mode == Mode::Synchronous && !lost.is_empty() {
            let what = format!(
                "failover {number}: {} acknowledged reports lost",
                lost.len()
            );
            self.fleet.ledger.fault(what);
        }
        let Some(safe) = self.wal.newest_before(&before.timeline, fork) else {
            self.fleet.ledger.fault(format!(
                "failover {number}: no position seen before {fork:x}"
            ));
            return;
        };
        let kept = lost.iter().filter(|at| **at <= safe.asked).count();
        if kept > 0 {
            self.fleet.ledger.fault(format!(
                "failover {number}: {kept} reports lost that PostgreSQL kept"
            ));
        }
    }
}
