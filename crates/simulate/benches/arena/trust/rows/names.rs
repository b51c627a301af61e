//! Names that are used once, and deploys of names that stay.

use super::super::ask::Ask;
use super::super::case::{BUDGET, Case, EVENT, SMALL};
use super::{HOUR, Row};
use weir_simulate::faults::{Mint, Rename};
use weir_simulate::virtual_time::budget_alone;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (names, part, end) in [
        (10, 0.000_06, HOUR),
        (100, 0.002, HOUR),
        (1000, 0.01, EVENT + 20),
    ] {
        for (budget, kept) in [(BUDGET, "1 %"), (SMALL, "0.1 %"), (500.0, "10 %")] {
            let case = move || Case {
                intervals: end,
                mint: Some(Mint {
                    names,
                    part,
                    intervals: EVENT..end,
                }),
                policy: budget_alone(budget),
                ..Case::default()
            };
            let name = format!("{names} names an interval that never come back, {kept} kept");
            let (from, to) = (EVENT + 10, end);
            let within = Ask::Mean {
                from,
                to,
                within: 0.05,
            };
            rows.push(Row::new(name, case, [within, Ask::Share { from, to }]));
        }
    }
    for (part, budget, kept) in [
        (0.3, BUDGET, "1 %"),
        (1.0, BUDGET, "1 %"),
        (0.3, SMALL, "0.1 %"),
    ] {
        let case = move || Case {
            rename: Some(Rename { part, at: EVENT }),
            policy: budget_alone(budget),
            ..Case::default()
        };
        let name = format!(
            "a deploy renames {:.0} % of the operations, {kept} kept",
            100.0 * part
        );
        let settles = Ask::Settles {
            at: EVENT,
            within: 2,
        };
        let over = Ask::Over {
            from: EVENT,
            to: HOUR,
            most: 0.2,
        };
        rows.push(Row::new(name, case, [settles, over]));
    }
    rows
}
