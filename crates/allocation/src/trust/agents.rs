//! Follows each agent: which windows its reports cover, how late it usually is, whether it is missing.

use super::super::{
    AgentId, AgentReport, AgentState, Basis, Plan, Timestamp, Window, WindowCounts,
};
use super::windows_between;
use crate::trust::WINDOWS_READ_MAX;
use crate::tuning::trust::Agents as Tuning;

/// A report whose place among the others is not known, as earlier releases stored it.
pub(super) const UNPLACED: u64 = u64::MAX;

/// An agent in the windows that are read.
#[derive(Debug)]
pub(super) struct Timeline {
    /// What is known of it after these windows.
    pub state: AgentState,
    /// Whether it was known before them.
    pub known: bool,
    /// The part of each window that its reports cover, in [0, 1].
    pub covered: Vec<f64>,
    /// Whether it went from reporting once to reporting again, or to missing, with this plan.
    pub second: Second,
}

/// Whether an agent's second report came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Second {
    /// It is not decided yet, or was decided before.
    Undecided,
    /// It came with this plan.
    Came,
    /// It should have come by now.
    Missed,
}

impl Timeline {
    /// Whether it is later than it usually is.
    pub(super) fn is_missing(&self) -> bool {
        self.state.missing_windows > 0 && !self.state.ended
    }

    /// The part of a window in which it has been there at all, in [0, 1]: it may have begun in the
    /// window, or ended.
    pub(super) fn present(&self, window: Window) -> (f64, f64) {
        let length = window.milliseconds().max(1) as f64;
        let before = (self.state.since.0.saturating_sub(window.start.0)) as f64 / length;
        let after = if self.state.ended {
            window.end.0.saturating_sub(self.state.heard_until.0) as f64 / length
        } else {
            0.0
        };
        (before.clamp(0.0, 1.0), after.clamp(0.0, 1.0))
    }
}

/// Follows all agents over the windows, by id.
pub(super) fn timelines(
    previous: &Plan,
    windows: &[WindowCounts],
    tuning: &Tuning,
) -> Vec<Timeline> {
    let Some(current) = windows.last().map(|counts| counts.window) else {
        return Vec::new();
    };
    let reports = reports(windows);
    // What was heard far in the future was heard under a clock that was ahead.
    let latest = current.end.0.saturating_add(current.milliseconds());
    let sound = |state: &&AgentState| state.heard_until.0 <= latest;
    let mut known = previous.agents.iter().filter(sound).peekable();
    let mut found = Vec::with_capacity(previous.agents.len());
    let usual = usual_pauses(previous);
    let follow = |state: Option<&AgentState>, reports: &[AgentReport]| {
        follow(
            state,
            reports,
            windows,
            (previous.window, current),
            (usual, tuning),
        )
    };
    let gone = |state: &AgentState| follow(Some(state), &[]);
    for own in reports.chunk_by(|one, other| one.agent == other.agent) {
        let agent = own[0].agent;
        while let Some(state) = known.next_if(|state| state.agent < agent) {
            found.push(gone(state));
        }
        let state = known.next_if(|state| state.agent == agent);
        found.push(follow(state, own));
    }
    found.extend(known.map(gone));
    found
}

/// The mean part of the time for which agents send no reports, and how long they pause: what is expected of one that
/// has just begun.
fn usual_pauses(previous: &Plan) -> (f32, f32) {
    let sound = |state: &&AgentState| state.idle.is_finite() && state.pause.is_finite();
    let known = previous.agents.iter().filter(|state| state.returned);
    let known = known.filter(sound);
    let sums = known.fold((0.0, 0.0, 0.0), |(count, idle, pause), state| {
        (count + 1.0, idle + state.idle, pause + state.pause)
    });
    let (count, idle, pause) = sums;
    if count > 0.0 {
        (idle / count, pause / count)
    } else {
        (0.0, 0.0)
    }
}

/// Every report of the windows once: by agent, in the order of the time that they cover.
fn reports(windows: &[WindowCounts]) -> Vec<AgentReport> {
    let all = windows
        .iter()
        .flat_map(|counts| counts.reports.iter().chain(&counts.late));
    let mut reports: Vec<AgentReport> = all.copied().collect();
    let order = |report: &AgentReport| {
        let of_agent = (report.span, report.sequence, report.epoch, report.last);
        (report.agent, of_agent)
    };
    // Each window's reports are nearly sorted: a stable sort merges them.
    reports.sort_by_key(order);
    reports.dedup_by(|one, other| one.sequence != UNPLACED && one == other);
    reports
}

/// The report before the first one that is read.
fn begun(state: &AgentState) -> AgentReport {
    AgentReport {
        agent: state.agent,
        epoch: state.epoch,
        sequence: state.sequence,
        span: Window {
            start: state.until,
            end: state.until,
        },
        last: false,
        basis: Basis::Reports,
    }
}

/// Whether nothing lies between two reports.
fn is_next(before: &AgentReport, report: &AgentReport) -> bool {
    report.sequence != UNPLACED
        && before.epoch == report.epoch
        && before.sequence.checked_add(1) == Some(report.sequence)
}

fn follow(
    state: Option<&AgentState>,
    reports: &[AgentReport],
    windows: &[WindowCounts],
    (previous, current): (Window, Window),
    (usual, tuning): ((f32, f32), &Tuning),
) -> Timeline {
    // What is settled may be told again, as a late report. It is not what the next one follows on.
    let unsettled = |report: &AgentReport| state.is_none_or(|of| report.span.end > of.until);
    let first = reports.iter().position(unsettled).unwrap_or(reports.len());
    let unsettled = &reports[first..];
    let covered = covered(state, unsettled, windows);
    let Some(newest) = reports.iter().max_by_key(|report| report.span.end).copied() else {
        let state = *state.expect("an agent without reports was known before");
        return ending(state, covered, windows, current, (usual.1, tuning));
    };
    let before = state.map_or_else(|| unknown(reports, &newest, usual), |state| *state);
    let came = newest.span.end > before.heard_until;
    let mut next = before;
    next.heard_until = newest.span.end.max(before.heard_until);
    let lag = lag(next.heard_until, current);
    if came {
        next.ended = newest.last;
        let usual = lag + waited(state, reports, &newest, current);
        // One that has just fallen silent looks late as well. Only who comes late twice is.
        let usual = state.map_or(usual, |state| usual.min(lag_before(state, previous)));
        next.habit = habit(state.is_some(), f64::from(before.habit), usual, tuning) as f32;
        // What began after this was not in yet when the previous plan was made.
        let new = reports.iter().filter(|of| of.span.end > before.heard_until);
        let oldest = state.and(new.map(|report| report.span.start).min());
        let least = oldest.map_or(0.0, |start| self::lag(start, previous));
        next.soonest = f64::from(before.soonest).max(least).min(lag) as f32;
        if let Some((part, pause)) = idle(state, unsettled, before.heard_until, current) {
            let gain = if before.idle > 0.0 {
                tuning.idle_gain
            } else {
                1.0
            };
            next.idle += (gain * (part - f64::from(before.idle))) as f32;
            next.pause += (gain * (pause - f64::from(before.pause))) as f32;
        }
    }
    let again = reports.len() > 1 && reports[0].span != newest.span;
    next.returned |= again || (state.is_some() && came);
    let mut timeline = ending(next, covered, windows, current, (usual.1, tuning));
    timeline.known = state.is_some();
    if timeline.state.returned && !before.returned {
        timeline.second = Second::Came;
    }
    timeline
}

/// An agent that has just begun: it is expected to pause as others do.
fn unknown(reports: &[AgentReport], newest: &AgentReport, usual: (f32, f32)) -> AgentState {
    let since = reports.iter().map(|report| report.span.start).min();
    AgentState {
        agent: newest.agent,
        epoch: 0,
        sequence: UNPLACED,
        until: Timestamp(i64::MIN),
        since: since.unwrap_or(newest.span.start),
        heard_until: Timestamp(i64::MIN),
        habit: 0.0,
        soonest: 0.0,
        idle: usual.0,
        pause: usual.1,
        returned: false,
        ended: false,
        missing_windows: 0,
        claims: 0,
    }
}

/// Judges whether the agent is later than usual. One that pauses may do so for as long as the others: the few pauses
/// that it has shown may have been short by chance.
fn ending(
    mut state: AgentState,
    covered: Vec<f64>,
    windows: &[WindowCounts],
    current: Window,
    (others, tuning): (f32, &Tuning),
) -> Timeline {
    let pauses = f64::from(state.idle) > tuning.idle;
    let longest = if pauses {
        (tuning.longest_pause * f64::from(state.pause.max(others))).min(tuning.pause_most)
    } else {
        0.0
    };
    let usual = f64::from(state.habit) + longest;
    let late = lag(state.heard_until, current) > usual + tuning.slack;
    let first = late && state.missing_windows == 0;
    state.missing_windows = if late && !state.ended {
        state.missing_windows.saturating_add(1)
    } else {
        0
    };
    let mut covered = covered;
    if pauses && state.missing_windows == 0 && !state.ended {
        quiet(&state, &mut covered, windows, current);
    }
    Timeline {
        second: if first && !state.returned {
            Second::Missed
        } else {
            Second::Undecided
        },
        state,
        known: true,
        covered,
    }
}

/// The part of the time between an agent's new reports for which it sent none, and the mean length of such a pause
/// in windows; none if there is nothing to tell it from.
fn idle(
    state: Option<&AgentState>,
    reports: &[AgentReport],
    since: Timestamp,
    current: Window,
) -> Option<(f64, f64)> {
    let (mut quiet, mut all, mut pauses) = (0.0, 0.0, 0.0);
    let mut before = state.map(begun);
    for report in reports {
        let next = before.filter(|before| is_next(before, report));
        if let Some(before) = next.filter(|_| report.span.end > since) {
            let pause = windows_between(before.span.end, report.span.start, current).max(0.0);
            quiet += pause;
            all += windows_between(before.span.end, report.span.end, current).max(0.0);
            pauses += 1.0;
        }
        before = Some(*report);
    }
    (all > 0.0).then(|| ((quiet / all).min(1.0), quiet / pauses))
}

/// Covers the time for which an agent would have reported any traffic by now.
fn quiet(state: &AgentState, covered: &mut [f64], windows: &[WindowCounts], current: Window) {
    let late = f64::from(state.soonest).max(0.0);
    let late = (late * current.milliseconds() as f64) as i64;
    let span = Window {
        start: state.heard_until,
        end: Timestamp(current.end.0.saturating_sub(late)),
    };
    for (part, counts) in covered.iter_mut().zip(windows) {
        let length = counts.window.milliseconds().max(1) as f64;
        let more = counts.window.overlap_milliseconds(span) as f64 / length;
        *part = (*part + more).min(1.0);
    }
}

/// By how many windows an agent was behind when the previous plan was made.
fn lag_before(state: &AgentState, previous: Window) -> f64 {
    lag(state.heard_until, previous)
}

/// By how many windows what is known of an agent ends before the current window does.
fn lag(until: Timestamp, current: Window) -> f64 {
    windows_between(until, current.end, current).max(0.0)
}

/// How many windows more than now the agent's counts were behind before its newest report came.
fn waited(
    state: Option<&AgentState>,
    reports: &[AgentReport],
    newest: &AgentReport,
    current: Window,
) -> f64 {
    let begun = state.map(begun);
    let before = reports
        .iter()
        .chain(&begun)
        .find(|report| is_next(report, newest));
    let from = before.map_or(newest.span.start, |report| report.span.end);
    (windows_between(from, newest.span.end, current) - 1.0).max(0.0)
}

fn habit(known: bool, habit: f64, usual: f64, tuning: &Tuning) -> f64 {
    let next = if known && usual < habit {
        habit + tuning.habit_fall * (usual - habit)
    } else {
        usual
    };
    next.min(WINDOWS_READ_MAX as f64 - 1.0)
}

/// The part of each window that is covered: by reports, or by the time between two that follow on each
/// other, in which nothing happened.
fn covered(
    state: Option<&AgentState>,
    reports: &[AgentReport],
    windows: &[WindowCounts],
) -> Vec<f64> {
    let mut milliseconds = vec![0_i64; windows.len()];
    let mut add = |span: Window| {
        for (sum, counts) in milliseconds.iter_mut().zip(windows) {
            *sum = sum.saturating_add(counts.window.overlap_milliseconds(span));
        }
    };
    let mut before = state.map(begun);
    for report in reports {
        add(report.span);
        if let Some(before) = before.filter(|before| is_next(before, report)) {
            add(Window {
                start: before.span.end,
                end: report.span.start,
            });
        }
        before = Some(*report);
    }
    let part = |(sum, counts): (&i64, &WindowCounts)| {
        let length = counts.window.milliseconds();
        if length > 0 {
            (*sum as f64 / length as f64).min(1.0)
        } else {
            0.0
        }
    };
    milliseconds.iter().zip(windows).map(part).collect()
}

/// Remembers the newest report that ended before this instant: what comes before it is settled.
pub(super) fn settle(state: &mut AgentState, reports: &[AgentReport], settled: Timestamp) {
    let ended = reports.iter().filter(|report| report.span.end <= settled);
    if let Some(report) = ended.max_by_key(|report| report.span.end)
        && report.span.end > state.until
    {
        state.epoch = report.epoch;
        state.sequence = report.sequence;
        state.until = report.span.end;
    }
}

/// The reports of each agent, for [`settle`].
pub(super) fn settle_all(timelines: &mut [Timeline], windows: &[WindowCounts], settled: Timestamp) {
    let reports = reports(windows);
    for own in reports.chunk_by(|one, other| one.agent == other.agent) {
        let place = place(timelines, own[0].agent);
        if let Some(at) = place {
            settle(&mut timelines[at].state, own, settled);
        }
    }
}

pub(super) fn place(timelines: &[Timeline], agent: AgentId) -> Option<usize> {
    let found = timelines.binary_search_by_key(&agent, |timeline| timeline.state.agent);
    found.ok()
}
