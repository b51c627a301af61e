//! What the configuration of a new database says, and what the log says of the one that is there.

use crate::configuration::Configuration;
use crate::settings::FirstSettings;

const _: () = assert!(FirstSettings::BUDGET_MAX == Configuration::BUDGET_MAX);

/// The configuration of a new database.
pub(super) fn configuration(first: FirstSettings) -> Configuration {
    let mut configuration = Configuration::default();
    if let Some(budget) = first.budget {
        configuration.budget.traces_per_second = budget;
    }
    if let Some(probability) = first.initial_probability {
        configuration.initial_probability = probability;
    }
    configuration
}

/// Logs the budget that there is, and the flags that say another one.
pub(super) fn log(configuration: &Configuration, revision: u64, first: FirstSettings) {
    tracing::info!(
        revision,
        budget_traces_per_second = configuration.budget.traces_per_second,
        initial_probability = configuration.initial_probability,
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
    let (budget, probability) = (first.budget, first.initial_probability);
    let flags = [
        ("--budget", budget, configuration.budget.traces_per_second),
        (
            "--initial-probability",
            probability,
            configuration.initial_probability,
        ),
    ];
    let differs = |given: Option<f64>, held: f64| given.is_some_and(|given| given != held);
    let flags = flags
        .into_iter()
        .filter(|(_, given, held)| differs(*given, *held));
    flags.map(|(flag, _, _)| flag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_a_new_database_begins_with() {
        let first = FirstSettings {
            budget: Some(50.0),
            initial_probability: None,
        };
        let begun = configuration(first);
        assert_eq!(begun.budget.traces_per_second, 50.0);
        assert_eq!(begun.initial_probability, 0.001);
        assert_eq!(ignored(&begun, first), Vec::<&str>::new());
        assert_eq!(ignored(&Configuration::default(), first), ["--budget"]);
    }
}
