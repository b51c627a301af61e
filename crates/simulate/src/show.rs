//! Shows a run in a terminal.

mod budgets;
mod intervals;
mod verdict;

use super::wire::WireTally;

pub use budgets::{budgets, classes, services};
pub use intervals::intervals;
pub use verdict::{explanation, sentence};

/// The requests and answers of a run, and what went wrong; a sentence each.
#[must_use]
pub fn wire(wire: &WireTally) -> Vec<String> {
    let mut said = vec![format!(
        "{} polls answered, {} failed; {} reports counted ({} sent again, {} known already), {} refused.",
        wire.polls_answered,
        wire.polls_failed,
        wire.reports_counted,
        wire.reports_unanswered,
        wire.reports_duplicate,
        wire.reports_rejected,
    )];
    let trouble = [
        ("First unusable strategy", &wire.first_violation),
        ("Last failed poll", &wire.last_poll_failure),
        ("Last report sent again", &wire.last_report_failure),
        ("First refused report", &wire.first_rejection),
    ];
    let causes = trouble
        .iter()
        .filter_map(|(what, why)| Some(format!("{what}: {}", why.as_ref()?)));
    said.extend(causes);
    if wire.offered != wire.offered_reported {
        said.push(format!(
            "{} requests offered, but {} in acknowledged reports.",
            wire.offered, wire.offered_reported
        ));
    }
    said
}
