//! The rows: what happens, and what is asked.

mod late;
mod names;
mod operators;
mod polls;
mod seldom;
mod unheard;

use super::ask::Ask;
use super::case::{Case, EVENT};
use weir_simulate::virtual_time::Delay;

/// A row of the table; it may ask for several figures.
pub struct Row {
    pub name: String,
    pub case: Box<dyn Fn() -> Case + Sync>,
    pub asks: Vec<Ask>,
}

impl Row {
    fn new(
        name: impl Into<String>,
        case: impl Fn() -> Case + Sync + 'static,
        asks: impl Into<Vec<Ask>>,
    ) -> Self {
        Self {
            name: name.into(),
            case: Box::new(case),
            asks: asks.into(),
        }
    }

    /// The same with agents that are on time, if that is asked for.
    pub fn on_time(&self) -> Option<Case> {
        let asks = |ask: &Ask| matches!(ask, Ask::OnTime { .. });
        if !self.asks.iter().any(asks) {
            return None;
        }
        let mut case = (self.case)();
        for agent in &mut case.agents {
            agent.delay = Delay::default();
        }
        Some(case)
    }
}

/// All rows.
pub fn all() -> Vec<Row> {
    let rooms = [
        late::rows,
        unheard::rows,
        polls::rows,
        operators::rows,
        names::rows,
        seldom::rows,
    ];
    rooms.iter().flat_map(|rows| rows()).collect()
}

/// Within 5 % of the budget, at any time and on average, and no hold.
fn kept(from: usize, to: usize) -> Vec<Ask> {
    vec![
        Ask::Mean {
            from,
            to,
            within: 0.05,
        },
        Ask::Over {
            from,
            to,
            most: 0.05,
        },
        Ask::Under {
            from,
            to,
            least: -0.05,
        },
        Ask::NoHold { from, to },
    ]
}

/// The end of the rows that watch an hour after the event.
const HOUR: usize = EVENT + 60;
