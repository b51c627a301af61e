//! What has arrived by the time of each plan: the windows as the leader reads them.

use std::collections::{BTreeMap, VecDeque};

use weir_allocation::{
    AgentCount, AgentReport, OperationCount, PollCount, Timestamp, WINDOWS_READ_MAX, Window,
    WindowCounts,
};

/// What arrives for one window between two plans.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub operations: Vec<OperationCount>,
    pub agents: Vec<AgentCount>,
    pub reports: Vec<AgentReport>,
    pub late: Vec<AgentReport>,
}

impl Batch {
    fn append(&mut self, other: Self) {
        self.operations.extend(other.operations);
        self.agents.extend(other.agents);
        self.reports.extend(other.reports);
        self.late.extend(other.late);
    }
}

/// The windows, and what is on its way.
#[derive(Debug)]
pub(super) struct Inbox {
    begin: i64,
    interval: i64,
    /// By plan and window.
    due: BTreeMap<i64, BTreeMap<i64, Batch>>,
    /// The newest windows, oldest first.
    windows: VecDeque<WindowCounts>,
    /// The number of the newest one.
    newest: i64,
}

impl Inbox {
    pub(super) fn new(begin: i64, interval: i64) -> Self {
        let mut inbox = Self {
            begin,
            interval,
            due: BTreeMap::new(),
            windows: VecDeque::new(),
            newest: -(WINDOWS_READ_MAX as i64) - 1,
        };
        // Nothing was reported before the run.
        (0..WINDOWS_READ_MAX).for_each(|_| inbox.open());
        inbox
    }

    /// Adds the next window.
    fn open(&mut self) {
        self.newest += 1;
        let start = self.begin + self.newest * self.interval;
        self.windows.push_back(WindowCounts {
            window: Window {
                start: Timestamp(start),
                end: Timestamp(start + self.interval),
            },
            ..WindowCounts::default()
        });
        if self.windows.len() > WINDOWS_READ_MAX {
            self.windows.pop_front();
        }
    }

    /// Takes what the plan number `due` sees first.
    pub(super) fn post(&mut self, due: i64, window: i64, batch: Batch) {
        let windows = self.due.entry(due).or_default();
        windows.entry(window).or_default().append(batch);
    }

    /// Closes the next window with its polls: what has arrived by now can be read.
    pub(super) fn close(&mut self, polls: Option<Vec<PollCount>>) {
        self.open();
        if let Some(newest) = self.windows.back_mut() {
            newest.polls = polls;
        }
        let later = self.due.split_off(&(self.newest + 1));
        for (window, batch) in std::mem::replace(&mut self.due, later)
            .into_values()
            .flatten()
        {
            let back = self.newest - window;
            let place = (self.windows.len() as i64 - 1).checked_sub(back);
            let place = place.and_then(|place| usize::try_from(place).ok());
            if let Some(counts) = place.and_then(|place| self.windows.get_mut(place)) {
                merge(counts, batch);
            }
        }
    }

    /// The windows from `settled` on.
    pub(super) fn windows(&mut self, settled: Timestamp) -> &[WindowCounts] {
        let windows = self.windows.make_contiguous();
        let old = windows.partition_point(|counts| counts.window.start < settled);
        &windows[old.min(windows.len() - 1)..]
    }
}

/// Adds counts to a window's. A key occurs once in each list.
fn merge(counts: &mut WindowCounts, batch: Batch) {
    counts.reports.extend(batch.reports);
    counts.late.extend(batch.late);
    add(
        &mut counts.operations,
        batch.operations,
        |count| count.operation,
        |sum, count| {
            sum.offered = sum.offered.saturating_add(count.offered);
            sum.sampled = sum.sampled.saturating_add(count.sampled);
        },
    );
    add(
        &mut counts.agents,
        batch.agents,
        |count| (count.agent, count.service),
        |sum, count| {
            sum.offered = sum.offered.saturating_add(count.offered);
            sum.sampled = sum.sampled.saturating_add(count.sampled);
        },
    );
}

fn add<T: Copy, K: Ord>(
    to: &mut Vec<T>,
    from: Vec<T>,
    key: impl Fn(&T) -> K,
    sum: impl Fn(&mut T, &T),
) {
    to.extend(from);
    if to.is_sorted_by(|one, other| key(one) < key(other)) {
        return;
    }
    to.sort_by_key(&key);
    to.dedup_by(|next, kept| {
        let same = key(next) == key(kept);
        if same {
            sum(kept, next);
        }
        same
    });
}
