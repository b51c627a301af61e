//! PostgreSQL's write-ahead log: its position over time, where the new primary branched off, and
//! which reports it contains.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::support::process::eventually;

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The most samples stored: far more than one failover takes.
const SAMPLES_KEPT: usize = 4_000;

const DEADLINE: Duration = Duration::from_secs(60);

/// A position of the log. Everything acknowledged before the position was requested lies before it.
#[derive(Debug, Clone)]
pub struct Sample {
    pub asked: Instant,
    pub timeline: String,
    pub position: u64,
}

/// Where a new primary branched off the old one's log.
#[derive(Debug, Clone, Copy)]
pub struct Fork {
    pub position: u64,
}

/// An agent's mark as it is stored.
#[derive(Debug)]
pub struct Mark {
    pub agent: String,
    pub epoch: Uuid,
    pub last_sequence: u64,
    seen: u64,
}

impl Mark {
    /// Whether a report was counted, if it is recent enough for the mark to tell.
    pub fn has(&self, sequence: u64) -> bool {
        self.last_sequence
            .checked_sub(sequence)
            .is_some_and(|behind| behind < 64 && self.seen >> behind & 1 == 1)
    }
}

/// Samples the primary's log position continuously.
pub struct WalWatch {
    samples: Arc<Mutex<VecDeque<Sample>>>,
    _task: JoinHandle<()>,
    _stop: DropGuard,
}

impl WalWatch {
    /// Watches the server that answers at this URL, whichever it is.
    pub fn start(url: String) -> Self {
        let samples = Arc::new(Mutex::new(VecDeque::new()));
        let stop = CancellationToken::new();
        let watching = watch(url, Arc::clone(&samples));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let _ = stopped.run_until_cancelled(watching).await;
        });
        Self {
            samples,
            _task: task,
            _stop: stop.drop_guard(),
        }
    }

    pub fn newest(&self) -> Option<Sample> {
        self.samples().back().cloned()
    }

    /// The newest sample of a timeline that lies at a position or before it.
    pub fn newest_before(&self, timeline: &str, position: u64) -> Option<Sample> {
        let samples = self.samples();
        let mut newest = samples.iter().rev();
        newest
            .find(|sample| sample.timeline == timeline && sample.position <= position)
            .cloned()
    }

    /// The highest position observed on a timeline.
    pub fn end_of(&self, timeline: &str) -> Option<u64> {
        let samples = self.samples();
        let mut newest = samples.iter().rev();
        Some(newest.find(|sample| sample.timeline == timeline)?.position)
    }

    fn samples(&self) -> std::sync::MutexGuard<'_, VecDeque<Sample>> {
        self.samples.lock().expect("no holder panics")
    }
}

async fn watch(url: String, samples: Arc<Mutex<VecDeque<Sample>>>) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut connection = None;
    loop {
        look.tick().await;
        let looked = tokio::time::timeout(Duration::from_secs(2), sample(&url, &mut connection));
        let Ok(Ok(sample)) = looked.await else {
            connection = None;
            continue;
        };
        let mut samples = samples.lock().expect("no holder panics");
        samples.push_back(sample);
        if samples.len() > SAMPLES_KEPT {
            samples.pop_front();
        }
    }
}

async fn sample(url: &str, connection: &mut Option<PgConnection>) -> Result<Sample, sqlx::Error> {
    if connection.is_none() {
        *connection = Some(PgConnection::connect(url).await?);
    }
    let open = connection.as_mut().expect("it was opened just now");
    let asked = Instant::now();
    let (timeline, position): (String, String) = sqlx::query_as(
        "-- soak: log position
         select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
             pg_current_wal_insert_lsn()::text",
    )
    .fetch_one(open)
    .await?;
    Ok(Sample {
        asked,
        timeline,
        position: parse(&position),
    })
}

/// Where the present primary's timeline began, if it is a different one from `before`.
pub async fn fork_after(url: &str, before: &str) -> Fork {
    let position = eventually(DEADLINE, "a new timeline", async || {
        let mut connection = PgConnection::connect(url).await.ok()?;
        // Fails on a server that has not been promoted yet.
        let (timeline, history): (String, String) = sqlx::query_as(
            "-- soak: timeline
             select timeline, pg_read_file('pg_wal/' || timeline || '.history')
             from (select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as timeline) now",
        )
        .fetch_one(&mut connection)
        .await
        .ok()?;
        if timeline == before {
            return None;
        }
        let last = history.lines().rfind(|line| !line.trim().is_empty())?;
        Some(parse(last.split_whitespace().nth(1)?))
    })
    .await;
    Fork { position }
}

/// A position as PostgreSQL writes it: two hexadecimal halves.
fn parse(position: &str) -> u64 {
    let (high, low) = position.split_once('/').expect("a position has two halves");
    let half = |digits| u64::from_str_radix(digits, 16).expect("a position is hexadecimal");
    half(high) << 32 | half(low)
}

/// The marks of all agents.
pub async fn marks(url: &str) -> Vec<Mark> {
    eventually(DEADLINE, "the marks can be read", async || {
        let mut connection = PgConnection::connect(url).await.ok()?;
        let rows: Vec<(String, Uuid, i64, i64)> =
            sqlx::query_as("-- soak: marks\nselect agent, epoch, last_sequence, seen from mark")
                .fetch_all(&mut connection)
                .await
                .ok()?;
        let mark = |(agent, epoch, last, seen): (String, Uuid, i64, i64)| Mark {
            agent,
            epoch,
            last_sequence: last.cast_unsigned(),
            seen: seen.cast_unsigned(),
        };
        Some(rows.into_iter().map(mark).collect())
    })
    .await
}
