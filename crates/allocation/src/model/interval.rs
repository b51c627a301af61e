//! A changed interval: converts what a plan counts in windows.

use crate::{Belief, Plan, PollState, WINDOWS_READ_MAX, Window};

/// The previous plan as if its windows had been as long as `window`; none if they were.
///
/// Silence goes on for the same time, so that nothing is forgotten early. When an operation comes,
/// in windows, has to be learned again. Rates are per second and stay.
pub(crate) fn converted(previous: &Plan, window: Window) -> Option<Plan> {
    let (before, after) = (previous.window.milliseconds(), window.milliseconds());
    if previous.number == 0 || before <= 0 || after <= 0 || before == after {
        return None;
    }
    // Rounded down, so that nothing counts as silent for longer than it was.
    let windows = |count: u32| {
        let milliseconds = u64::from(count).saturating_mul(before.unsigned_abs());
        u32::try_from(milliseconds / after.unsigned_abs()).unwrap_or(u32::MAX)
    };
    let mut plan = previous.clone();
    for operation in &mut plan.operations {
        operation.silent_windows = windows(operation.silent_windows);
        operation.silent_before = windows(operation.silent_before);
        operation.belief = without_rhythm(operation.belief);
        operation.belief_before = operation.belief_before.map(without_rhythm);
    }
    for service in &mut plan.services {
        // Polls are counted by window, and scatter differently in windows of another length.
        service.polls = PollState::default();
    }
    for agent in &mut plan.agents {
        agent.missing_windows = windows(agent.missing_windows);
        let windows = |habit: f32| {
            let windows = f64::from(habit) * before as f64 / after as f64;
            windows.min(WINDOWS_READ_MAX as f64 - 1.0) as f32
        };
        agent.habit = windows(agent.habit);
        agent.soonest = windows(agent.soonest);
        agent.pause = windows(agent.pause);
    }
    Some(plan)
}

fn without_rhythm(belief: Belief) -> Belief {
    Belief {
        gap: 0,
        since: 0,
        regular: 0.0,
        ..belief
    }
}
