//! The agents' reports, and what the leader has of them at the time of each plan.
//!
//! Every request is reported by one agent in one report. Which requests of an operation are in which
//! reports is drawn; reports that cannot be told apart, because they arrive by the same plan and
//! cover the same windows, are drawn together. As in `weir serve`, a report across the end of a
//! window is assumed to be even over its time: each window gets its part, in whole requests that add
//! up to the count. A report that arrives before its last window is over is assumed to say exactly
//! which requests belong to which window.

mod class;
mod polls;

use std::collections::BTreeMap;

use rand::rngs::StdRng;

use super::agents::{Agent, AgentFaults};
use super::inbox::{Batch, Inbox};
use super::seat::Seat;
use super::{Timing, draw};
use crate::traffic::Traffic;
use class::{Class, NEVER, Piece, Route};
use polls::Polls;
use weir_allocation::{
    AgentCount, OperationCount, OperationId, ServiceId, Timestamp, WindowCounts,
};

/// The virtual time before which a run begins, in milliseconds: the start of 2024.
const BEGIN: i64 = 1_704_067_200_000;

/// The agents of a fleet, and their reports.
#[derive(Debug)]
pub struct Reports<'a> {
    traffic: &'a Traffic,
    faults: AgentFaults,
    begin: i64,
    interval: i64,
    grace: i64,
    seats: Vec<Seat>,
    /// Services that the same agents report.
    groups: Vec<Group>,
    inbox: Inbox,
    arrivals: StdRng,
    polls: Polls,
}

/// Services that the same agents report.
#[derive(Debug)]
struct Group {
    seats: Vec<usize>,
    services: Vec<usize>,
}

impl<'a> Reports<'a> {
    /// The reports of these agents with these faults.
    #[must_use]
    pub fn new(
        traffic: &'a Traffic,
        timing: &Timing,
        agents: &[Agent],
        faults: &AgentFaults,
        mut arrivals: StdRng,
    ) -> Self {
        let interval = (timing.interval.as_millis() as i64).max(1);
        let begin = BEGIN / interval * interval;
        let seats = agents.iter().enumerate().map(|(place, agent)| {
            let places = (place, agents.len());
            Seat::new(agent.clone(), places, faults, (begin, interval))
        });
        Self {
            traffic,
            faults: faults.clone(),
            begin,
            interval,
            grace: timing.grace.as_millis() as i64,
            seats: seats.collect(),
            groups: groups(traffic, agents),
            inbox: Inbox::new(begin, interval),
            polls: Polls::new(timing, agents, traffic.services().len(), &mut arrivals),
            arrivals,
        }
    }

    /// Closes the next interval, with the requests that were offered and sampled in it.
    pub fn close(&mut self, number: usize, counts: &[u64], sampled: &[u64]) {
        let number = number as i64;
        let (from, to) = (self.start(number), self.start(number + 1));
        for seat in &mut self.seats {
            seat.turn(from, to, &mut self.arrivals);
        }
        let pieces = self.pieces(number);
        // Requests by seat and report, for agents that do not report what is empty.
        let mut requests = BTreeMap::new();
        for group in 0..self.groups.len() {
            let mut classes = self.classes(&pieces, group);
            self.split(&mut classes, group, counts, sampled, &mut requests);
            for class in classes {
                let windows = class.route.first..=class.route.last;
                for (window, batch) in windows.zip(class.batches) {
                    self.inbox.post(class.route.due, window, batch);
                }
            }
        }
        for piece in &pieces {
            let has_requests = requests.contains_key(&(piece.seat, piece.report));
            self.show(piece, number, has_requests);
        }
        self.claim(number);
        let polls = self.polls.next();
        self.inbox.close(polls);
    }

    /// What the leader reads when the interval has closed: the windows from `settled` on.
    pub fn windows(&mut self, settled: Timestamp) -> &[WindowCounts] {
        self.inbox.windows(settled)
    }

    fn start(&self, number: i64) -> i64 {
        self.begin + number * self.interval
    }

    /// The first plan that sees what arrives at this time.
    fn due(&self, arrives: i64) -> i64 {
        let after = arrives - self.grace - self.begin;
        -(-after).div_euclid(self.interval) - 1
    }

    /// The parts of an interval's reports that are in the interval.
    fn pieces(&self, number: i64) -> Vec<Piece> {
        let (from, to) = (self.start(number), self.start(number + 1));
        let mut pieces = Vec::new();
        for (place, seat) in self.seats.iter().enumerate() {
            for (report, of) in seat.reports.iter().enumerate() {
                let (start, end) = (of.span.start.0, of.span.end.0);
                let inside = (end.min(to) - start.max(from)).max(0);
                if inside == 0 {
                    continue;
                }
                let number_of = |at: i64| (at - self.begin).div_euclid(self.interval);
                let (first, last) = (number_of(start), number_of(end - 1));
                let due = of.arrives.map_or(NEVER, |arrives| self.due(arrives));
                let route = if due == NEVER || due < last {
                    // Lost, or told before the last window was over.
                    let due = if due == NEVER { due } else { due.max(number) };
                    let (first, last) = (number, number);
                    Route { due, first, last }
                } else {
                    Route { due, first, last }
                };
                pieces.push(Piece {
                    seat: place,
                    report,
                    weight: seat.agent.part * inside as f64 * of.density,
                    route,
                });
            }
        }
        if pieces.iter().all(|piece| piece.weight <= 0.0) {
            // Nobody has requests at the moment, but there are some.
            for piece in &mut pieces {
                piece.weight = self.seats[piece.seat].agent.part;
            }
        }
        pieces
    }

    /// The pieces of a group's agents by route.
    fn classes(&self, pieces: &[Piece], group: usize) -> Vec<Class> {
        let mut routes: BTreeMap<Route, Vec<Piece>> = BTreeMap::new();
        let members = &self.groups[group].seats;
        for piece in pieces.iter().filter(|piece| piece.weight > 0.0) {
            if members.binary_search(&piece.seat).is_ok() {
                routes.entry(piece.route).or_default().push(*piece);
            }
        }
        let class = |(route, pieces): (Route, Vec<Piece>)| self.class(route, pieces);
        routes.into_iter().map(class).collect()
    }

    fn class(&self, route: Route, pieces: Vec<Piece>) -> Class {
        let weight: f64 = pieces.iter().map(|piece| piece.weight).sum();
        let numbers = route.first..=route.last;
        let windows: Vec<Vec<f64>> = numbers
            .clone()
            .map(|window| {
                let part = |piece: &Piece| {
                    if route.first == route.last {
                        return piece.weight;
                    }
                    let span = self.seats[piece.seat].reports[piece.report].span;
                    let (start, end) = (self.start(window), self.start(window + 1));
                    let inside = span.end.0.min(end) - span.start.0.max(start);
                    piece.weight * inside as f64 / span.milliseconds() as f64
                };
                pieces.iter().map(part).collect()
            })
            .collect();
        let mut sum = 0.0;
        let mut parts: Vec<f64> = windows
            .iter()
            .map(|weights| {
                sum += weights.iter().sum::<f64>();
                sum / weight
            })
            .collect();
        if let Some(last) = parts.last_mut() {
            *last = 1.0;
        }
        Class {
            route,
            weight,
            parts,
            windows,
            batches: numbers.map(|_| Batch::default()).collect(),
            pieces,
        }
    }

    /// Splits the requests of a group's services over the classes, their windows and their agents.
    fn split(
        &mut self,
        classes: &mut [Class],
        group: usize,
        counts: &[u64],
        sampled: &[u64],
        requests: &mut BTreeMap<(usize, usize), u64>,
    ) {
        let random = &mut self.arrivals;
        for &service in &self.groups[group].services {
            let mut sums: Vec<Vec<(u64, u64)>> = classes
                .iter()
                .map(|class| vec![(0, 0); class.batches.len()])
                .collect();
            let operations = self.traffic.services()[service].operations.clone();
            for place in operations.filter(|&place| counts[place] > 0) {
                let kept = sampled[place];
                let mut left = (kept, counts[place] - kept);
                let mut weight: f64 = classes.iter().map(|class| class.weight).sum();
                let most = classes.len();
                for (number, (class, sums)) in classes.iter_mut().zip(&mut sums).enumerate() {
                    let part = if number + 1 == most {
                        1.0
                    } else {
                        class.weight / weight
                    };
                    let taken = (draw(random, left.0, part), draw(random, left.1, part));
                    left = (left.0 - taken.0, left.1 - taken.1);
                    weight -= class.weight;
                    class.spread(random, (service, place), taken, sums);
                }
            }
            for (class, sums) in classes.iter_mut().zip(sums) {
                class.attribute(random, service, &sums, &self.seats, requests);
            }
        }
    }

    /// Tells the windows of a report that its agent sent it.
    fn show(&mut self, piece: &Piece, number: i64, has_requests: bool) {
        let (begin, interval) = (self.begin, self.interval);
        let seat = &mut self.seats[piece.seat];
        let lost = piece.route.due == NEVER;
        let known = seat.reports[piece.report].seen().is_some();
        if seat.agent.sparse && !has_requests && !known && !lost {
            return;
        }
        seat.number(piece.report);
        let report = &mut seat.reports[piece.report];
        let (Some(seen), Some(arrives)) = (report.seen(), report.arrives) else {
            return;
        };
        let first = (report.span.start.0 - begin).div_euclid(interval);
        let first = first.max(report.shown_until);
        report.shown_until = number + 1;
        let due = self.due(arrives);
        for window in first..=number {
            let batch = Batch {
                reports: vec![seen],
                ..Batch::default()
            };
            self.inbox.post(due.max(window), window, batch);
        }
        let arrived_in = (arrives - begin).div_euclid(interval);
        let is_over = seen.span.end.0 <= self.start(number + 1);
        if is_over && seen.span.end.0 <= self.start(arrived_in - 1) {
            let batch = Batch {
                late: vec![seen],
                ..Batch::default()
            };
            self.inbox.post(arrived_in, arrived_in, batch);
        }
    }

    /// Adds what agents claim in an interval, with the first report that ends in it.
    fn claim(&mut self, number: i64) {
        let of = |claim: &&super::Claim| claim.intervals.contains(&(number as usize));
        let claims: Vec<_> = self.faults.claims.iter().filter(of).cloned().collect();
        let to = self.start(number + 1);
        for claim in claims {
            let Some(seat) = self.seats.get(claim.agent) else {
                continue;
            };
            let mut reports = seat.reports.iter();
            let ended = reports.find(|report| report.span.end.0 <= to && report.arrives.is_some());
            let Some((report, arrives)) = ended.and_then(|of| Some((of, of.arrives?))) else {
                continue;
            };
            let (service, offered) = (ServiceId(1), claim.offered);
            let batch = Batch {
                operations: vec![OperationCount {
                    operation: OperationId(1),
                    service,
                    overflow: false,
                    offered,
                    sampled: 0,
                }],
                agents: vec![AgentCount {
                    agent: report.agent,
                    service: Some(service),
                    offered,
                    sampled: 0,
                }],
                ..Batch::default()
            };
            let due = self.due(arrives).max(number);
            self.inbox.post(due, number, batch);
        }
    }
}

/// The services, grouped by the agents that report them. A service that nobody names is reported by
/// all that name none.
fn groups(traffic: &Traffic, agents: &[Agent]) -> Vec<Group> {
    let mut groups: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for service in 0..traffic.services().len() {
        let reports = |agent: &Agent| {
            let mut own = agent.services.iter().flatten();
            agent.services.is_none() || own.any(|of| *of == service)
        };
        let seats = (0..agents.len()).filter(|&seat| reports(&agents[seat]));
        groups.entry(seats.collect()).or_default().push(service);
    }
    let group = |(seats, services)| Group { seats, services };
    groups.into_iter().map(group).collect()
}

#[cfg(test)]
mod tests;
