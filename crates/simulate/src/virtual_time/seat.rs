//! The reports of one agent, and of those that take its place, in the order of time.

use std::collections::VecDeque;

use rand::RngExt;
use rand::rngs::StdRng;

use super::agents::{Agent, AgentFaults};
use weir_allocation::{AgentId, AgentReport, Basis, Timestamp, Window};

/// A report, from the time its first request may come.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub agent: AgentId,
    /// How many agents had the seat before.
    incarnation: u64,
    pub span: Window,
    /// Whether it says that it is the agent's last one.
    last: bool,
    /// When it arrives; none if it never does.
    pub arrives: Option<i64>,
    /// How dense its requests are, relative to its agent's mean.
    pub density: f64,
    /// Its place in its epoch, once it is certain that it is sent.
    sequence: Option<u64>,
    /// Up to where its windows were told.
    pub shown_until: i64,
}

impl Report {
    /// As the leader sees it.
    pub(super) fn seen(&self) -> Option<AgentReport> {
        Some(AgentReport {
            agent: self.agent,
            epoch: self.incarnation as u32 + 1,
            sequence: self.sequence?,
            span: self.span,
            last: self.last,
            basis: Basis::Reports,
        })
    }
}

/// What interrupts an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interruption {
    Restart { last: bool },
    End { last: bool },
}

/// An agent's place, with its reports.
#[derive(Debug)]
pub(super) struct Seat {
    pub agent: Agent,
    place: usize,
    seats: usize,
    interval: i64,
    begin: i64,
    /// What happens to it, in the order of time.
    interruptions: VecDeque<(i64, Interruption)>,
    losses: Vec<super::Loss>,
    incarnation: u64,
    /// Reports that the present agent has begun.
    begun: u64,
    /// The incarnation whose reports are being numbered, and the last number.
    numbered: (u64, u64),
    /// Up to where reports were made.
    until: i64,
    /// The reports that overlap the interval, in the order of time.
    pub reports: VecDeque<Report>,
}

impl Seat {
    /// `begin` is the start of the run, `interval` its interval in milliseconds.
    pub(super) fn new(
        agent: Agent,
        (place, seats): (usize, usize),
        faults: &AgentFaults,
        (begin, interval): (i64, i64),
    ) -> Self {
        let at = |number: usize| begin.saturating_add((number as i64).saturating_mul(interval));
        let mut interruptions = Vec::new();
        for restart in faults.restarts.iter().filter(|of| place < of.agents) {
            let last = restart.last;
            let when = at(restart.at) + interval / 2;
            interruptions.push((when, Interruption::Restart { last }));
        }
        for end in faults.ends.iter().filter(|of| place < of.agents) {
            interruptions.push((at(end.at), Interruption::End { last: end.last }));
        }
        if agent.lives.end < i64::MAX as usize {
            let end = Interruption::End { last: false };
            interruptions.push((at(agent.lives.end), end));
        }
        interruptions.sort_by_key(|(when, _)| *when);
        let losses = faults.losses.iter().filter(|of| place < of.agents);
        Self {
            until: at(agent.lives.start),
            agent,
            place,
            seats,
            interval,
            begin,
            interruptions: interruptions.into(),
            losses: losses.cloned().collect(),
            incarnation: 0,
            begun: 0,
            numbered: (0, 0),
            reports: VecDeque::new(),
        }
    }

    /// Makes all reports that begin before `to`, and forgets those that ended by `from`.
    pub(super) fn turn(&mut self, from: i64, to: i64, random: &mut StdRng) {
        self.reports.retain(|report| report.span.end.0 > from);
        while self.until < to {
            let Some(report) = self.next(random) else {
                self.until = i64::MAX;
                return;
            };
            self.until = report.span.end.0;
            self.reports.push_back(report);
        }
    }

    /// The next report; none if the agent has ended.
    fn next(&mut self, random: &mut StdRng) -> Option<Report> {
        let start = self.until;
        while let Some((when, what)) = self.interruptions.front().copied() {
            if when > start {
                break;
            }
            self.interruptions.pop_front();
            match what {
                Interruption::Restart { .. } => self.replace(),
                Interruption::End { .. } => return None,
            }
        }
        if self.agent.reports.is_some_and(|most| self.begun >= most) {
            self.replace();
        }
        self.begun += 1;
        let regular = self.end_after(start);
        let interruption = self.interruptions.front();
        let (end, what) = match interruption {
            Some((when, what)) if *when <= regular => (*when, Some(*what)),
            _ => (regular, None),
        };
        let last = match what {
            None => Some(false),
            Some(Interruption::Restart { last } | Interruption::End { last }) => {
                // What ends with a regular report loses nothing.
                if last {
                    Some(true)
                } else {
                    (end == regular).then_some(false)
                }
            }
        };
        let busy = self.agent.busy;
        let is_busy = busy >= 1.0 || random.random::<f64>() < busy;
        Some(Report {
            agent: AgentId(self.incarnation * self.seats as u64 + self.place as u64 + 1),
            incarnation: self.incarnation,
            span: Window {
                start: Timestamp(start),
                end: Timestamp(end),
            },
            last: last == Some(true),
            arrives: last.and_then(|_| self.arrives(end, random)),
            density: if is_busy { 1.0 / busy } else { 0.0 },
            sequence: None,
            shown_until: i64::MIN,
        })
    }

    /// A new agent takes the place.
    fn replace(&mut self) {
        self.incarnation += 1;
        self.begun = 0;
    }

    /// The regular end of a report that begins at `start`.
    fn end_after(&self, start: i64) -> i64 {
        let period = (self.agent.period.as_millis() as i64).max(1);
        let phase = (self.agent.phase * period as f64) as i64;
        let since = start - self.begin - phase;
        self.begin + phase + (since.div_euclid(period) + 1) * period
    }

    /// When a report that ends at `end` arrives.
    fn arrives(&self, end: i64, random: &mut StdRng) -> Option<i64> {
        let delay = self.agent.delay;
        let (least, most) = (
            delay.least.as_millis() as i64,
            delay.most.as_millis() as i64,
        );
        let late = if most > least {
            random.random_range(least..=most)
        } else {
            least
        };
        let number = (end - 1 - self.begin).div_euclid(self.interval);
        let lost = usize::try_from(number).ok().and_then(|number| {
            let mut losses = self.losses.iter();
            losses.find(|loss| loss.intervals.contains(&number))
        });
        let Some(lost) = lost else {
            return Some(end + late);
        };
        let back = (lost.intervals.end as i64).saturating_mul(self.interval);
        let back = self.begin.saturating_add(back).saturating_add(1);
        lost.queued.then(|| back.max(end + late))
    }

    /// Numbers a report that is sent.
    pub(super) fn number(&mut self, report: usize) {
        let report = &mut self.reports[report];
        if report.sequence.is_some() {
            return;
        }
        if self.numbered.0 != report.incarnation {
            self.numbered = (report.incarnation, 0);
        }
        self.numbered.1 += 1;
        report.sequence = Some(self.numbered.1);
    }
}
