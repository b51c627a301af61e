//! What happens in a run, in a few words each, for the plot.

use super::SimulateArgs;
use crate::simulate::plot::Event;
use crate::simulate::scenario::{EVENT, Scenario};

impl SimulateArgs {
    /// Everything that the flags let happen at some interval.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut events = self.of_agents();
        let mut add = |interval: usize, what: String| events.push(Event { interval, what });
        for change in &self.change_budget {
            add(change.at, format!("budget × {}", change.factor));
        }
        for burst in &self.burst {
            add(
                burst.intervals.start,
                format!("traffic × {} for {}", burst.factor, burst.intervals.len()),
            );
        }
        for fade in &self.fade {
            let who = fade.service.as_ref().map_or("traffic", |it| it.as_str());
            add(fade.fades.start, format!("{who} fades"));
            add(fade.fades.end + fade.silent, format!("{who} is back"));
        }
        for rename in &self.rename {
            let part = 100.0 * rename.part;
            add(rename.at, format!("{part:.0} % renamed"));
        }
        for mint in &self.mint {
            add(
                mint.intervals.start,
                format!("{} new names an interval", mint.names),
            );
        }
        if let Some(what) = self.synthetic.and_then(said) {
            let rows = self.time_scale * self.interval.as_secs_f64() / 60.0;
            let first = self.start_at.as_ref().and_then(|row| row.parse().ok());
            let rows_before = EVENT.saturating_sub(first.unwrap_or(0));
            add((rows_before as f64 / rows) as usize, what.to_owned());
        }
        events
    }

    fn of_agents(&self) -> Vec<Event> {
        let agents = |count: usize| match count {
            1 => "1 agent".to_owned(),
            count => format!("{count} agents"),
        };
        let lost = self.lose.iter().chain(&self.queue).map(|loss| Event {
            interval: loss.intervals.start,
            what: match loss.queued {
                true => format!("{} held back", agents(loss.agents)),
                false => format!("{} lost", agents(loss.agents)),
            },
        });
        let restarted = self.restart.iter().map(|restart| Event {
            interval: restart.at,
            what: format!("{} restarted", agents(restart.agents)),
        });
        let ended = self.end.iter().map(|end| Event {
            interval: end.at,
            what: format!("{} ended", agents(end.agents)),
        });
        let claimed = self.claim.iter().map(|claim| Event {
            interval: claim.intervals.start,
            what: format!("{} requests made up", claim.offered),
        });
        lost.chain(restarted).chain(ended).chain(claimed).collect()
    }
}

/// What happens in synthetic traffic.
fn said(scenario: Scenario) -> Option<&'static str> {
    match scenario {
        Scenario::Steady | Scenario::Diurnal => None,
        Scenario::Ramp => Some("traffic grows by 3 % an interval"),
        Scenario::Step => Some("traffic × 3 for 60"),
        Scenario::Rename => Some("30 % renamed"),
        Scenario::Explode => Some("one operation explodes for 30"),
        Scenario::Loss => Some("half of the agents lost for 5"),
    }
}
