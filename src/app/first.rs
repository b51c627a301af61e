//! What the configuration of a new database says, and what the log says of the one that is there.

use crate::configuration::{Budget, Configuration, Mode};
use crate::settings::FirstSettings;

const _: () = assert!(FirstSettings::BUDGET_MAX == Configuration::BUDGET_MAX);

/// The configuration of a new database.
pub(super) fn configuration(first: FirstSettings) -> Configuration {
    let mut configuration = Configuration::default();
    if let Some(budget) = first.budget {
        configuration.budget = Budget::TracesPerSecond(budget);
    }
    if let Some(probability) = first.initial_probability {
        configuration.initial_probability = probability;
    }
    if first.observe_only {
        configuration.mode = Mode::Observe;
    }
    configuration
}

/// Logs the budget that there is, and the flags that say another one.
pub(super) fn log(configuration: &Configuration, revision: u64, first: FirstSettings) {
    tracing::info!(
        revision,
        budget = configuration.budget.amount(),
        unit = configuration.budget.unit(),
        initial_probability = configuration.initial_probability,
        observes_only = configuration.mode == Mode::Observe,
        "read the configuration"
    );
    for flag in ignored(configuration, first) {
        tracing::warn!(
            "ignoring {flag}: the database has a configuration, which the admin API changes"
        );
    }
}

/// The flags that say something else than the configuration that is there.
fn ignored(configuration: &Configuration, first: FirstSettings) -> Vec<&'static str> {
    let budget = first.budget.map(Budget::TracesPerSecond);
    let probability = first.initial_probability;
    let flags = [
        (
            "--budget",
            budget.is_some_and(|given| given != configuration.budget),
        ),
        (
            "--initial-probability",
            probability.is_some_and(|given| given != configuration.initial_probability),
        ),
        (
            "--observe-only",
            first.observe_only && configuration.mode != Mode::Observe,
        ),
    ];
    let differing = flags.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(flag, _)| flag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_a_new_database_begins_with() {
        let first = FirstSettings {
            budget: Some(50.0),
            initial_probability: None,
            observe_only: true,
        };
        let begun = configuration(first);
        assert_eq!(begun.budget, Budget::TracesPerSecond(50.0));
        assert_eq!(begun.mode, Mode::Observe);
        assert_eq!(begun.initial_probability, 0.001);
        assert_eq!(ignored(&begun, first), Vec::<&str>::new());
        let others = ignored(&Configuration::default(), first);
        assert_eq!(others, ["--budget", "--observe-only"]);
    }
}
