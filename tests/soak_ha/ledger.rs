//! The answers that agents got to their reports, and whether the reports survived.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use uuid::Uuid;

use crate::support::agents::Totals;
use crate::support::client::{Count, Report};
use crate::wal::Mark;

/// Everything that was acknowledged.
pub struct Ledger {
    books: Vec<Mutex<Book>>,
    /// The faults found, and how often each.
    faults: Mutex<BTreeMap<String, u64>>,
}

/// One agent's reports.
pub struct Book {
    agent: String,
    epoch: Uuid,
    /// By sequence.
    deliveries: BTreeMap<u64, Delivery>,
    repeats: u64,
}

/// A report that was acknowledged.
struct Delivery {
    counts: Vec<Count>,
    /// When it was acknowledged, and when the attempt that was acknowledged began.
    began: Instant,
    acknowledged: Instant,
    /// When it was sent again and counted: PostgreSQL had lost it.
    counted_again: Option<Instant>,
    /// PostgreSQL has lost it, and it has not been counted again.
    lost: bool,
}

/// What a failover lost.
#[derive(Debug, Clone, Default)]
pub struct Loss {
    /// Acknowledged reports recent enough for the marks to show whether they are lost: about the
    /// last 16 seconds.
    pub looked_at: usize,
    /// When the lost reports were acknowledged.
    pub lost: Vec<Instant>,
}

impl Ledger {
    pub fn new(agents: &[(String, Uuid)]) -> Self {
        let book = |(agent, epoch): &(String, Uuid)| {
            Mutex::new(Book {
                agent: agent.clone(),
                epoch: *epoch,
                deliveries: BTreeMap::new(),
                repeats: 0,
            })
        };
        Self {
            books: agents.iter().map(book).collect(),
            faults: Mutex::default(),
        }
    }

    fn book(&self, agent: usize) -> std::sync::MutexGuard<'_, Book> {
        self.books[agent].lock().expect("no holder panics")
    }

    /// Records a fault.
    pub fn fault(&self, what: String) {
        let mut faults = self.faults.lock().expect("no holder panics");
        let times = faults.entry(what.clone()).or_default();
        *times += 1;
        if *times == 1 {
            eprintln!("fault: {what}");
        }
    }

    pub fn take_faults(&self) -> Vec<String> {
        let faults = std::mem::take(&mut *self.faults.lock().expect("no holder panics"));
        let said = |(what, times): (String, u64)| match times {
            1 => what,
            times => format!("{what} ({times} times)"),
        };
        faults.into_iter().map(said).collect()
    }

    /// Records a report that was acknowledged just now.
    pub fn acknowledged(&self, agent: usize, report: &Report, began: Instant) {
        let delivery = Delivery {
            counts: report.counts.clone(),
            began,
            acknowledged: Instant::now(),
            counted_again: None,
            lost: false,
        };
        let mut book = self.book(agent);
        book.deliveries.insert(report.sequence, delivery);
    }

    /// Records a repeat: recognised, or counted because it had been lost.
    pub fn repeated(&self, agent: usize, sequence: u64, counted: bool) {
        let mut book = self.book(agent);
        book.repeats += 1;
        if counted && let Some(delivery) = book.deliveries.get_mut(&sequence) {
            delivery.counted_again = Some(Instant::now());
            delivery.lost = false;
        }
    }

    /// How many reports were acknowledged, and how many repeats answered.
    pub fn progress(&self) -> (u64, u64) {
        let each = (0..self.books.len()).map(|agent| {
            let book = self.book(agent);
            (book.deliveries.len() as u64, book.repeats)
        });
        each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// The instants of acknowledgements since one, in order.
    pub fn since(&self, since: Instant) -> Vec<Instant> {
        let mut instants = Vec::new();
        for agent in 0..self.books.len() {
            let book = self.book(agent);
            let newest = book.deliveries.values().rev();
            instants.extend(
                newest
                    .map(|delivery| delivery.acknowledged)
                    .take_while(|at| *at >= since),
            );
        }
        instants.sort_unstable();
        instants
    }

    /// Whether an attempt that began after an instant was acknowledged.
    pub fn any_begun_after(&self, after: Instant) -> bool {
        (0..self.books.len()).any(|agent| {
            let book = self.book(agent);
            let newest = book.deliveries.values().next_back();
            newest.is_some_and(|delivery| delivery.began > after)
        })
    }

    /// The newest sequence acknowledged to each agent.
    pub fn newest(&self) -> Vec<Option<u64>> {
        let newest = |agent| self.book(agent).deliveries.keys().next_back().copied();
        (0..self.books.len()).map(newest).collect()
    }

    /// Compares what was acknowledged, up to `until` for each agent, with the marks in the database
    /// after a failover, and records what is lost.
    pub fn settle(&self, failed_at: Instant, until: &[Option<u64>], marks: &[Mark]) -> Loss {
        let mut loss = Loss::default();
        for (agent, until) in until.iter().enumerate() {
            let Some(until) = *until else { continue };
            let mut book = self.book(agent);
            let mark = marks
                .iter()
                .find(|mark| mark.agent == book.agent && mark.epoch == book.epoch);
            let oldest = mark.map_or(0, |mark| mark.last_sequence.saturating_sub(63));
            let Book {
                agent, deliveries, ..
            } = &mut *book;
            let mut gone = None;
            for (sequence, delivery) in deliveries.range_mut(oldest..=until) {
                loss.looked_at += 1;
                let stored = mark.is_some_and(|mark| mark.has(*sequence));
                let counted_since = delivery.counted_again.is_some_and(|at| at > failed_at);
                if !stored && !counted_since && !delivery.lost {
                    delivery.lost = true;
                    loss.lost.push(delivery.acknowledged);
                    gone = Some(*sequence);
                } else if let Some(gone) = gone
                    && !counted_since
                    && delivery.acknowledged < failed_at
                {
                    // PostgreSQL keeps its log in order, and an agent has one report outstanding:
                    // only an agent's last acknowledged reports can be lost.
                    self.fault(format!(
                        "report {gone} of {agent} is lost, but not {sequence}, which came later"
                    ));
                }
            }
        }
        loss
    }

    /// What must be stored: everything that was acknowledged and not lost by PostgreSQL.
    pub fn expected(&self) -> Totals {
        self.totals(|delivery| !delivery.lost)
    }

    /// Everything that was ever sent.
    pub fn sent(&self) -> Totals {
        self.totals(|_| true)
    }

    fn totals(&self, which: impl Fn(&Delivery) -> bool) -> Totals {
        let mut totals = Totals::new();
        for agent in 0..self.books.len() {
            let book = self.book(agent);
            for delivery in book.deliveries.values().filter(|delivery| which(delivery)) {
                for count in &delivery.counts {
                    let key = (count.service.clone(), count.operation.clone());
                    let total = totals.entry(key).or_default();
                    total.0 += count.offered;
                    total.1 += count.sampled;
                }
            }
        }
        totals
    }
}
