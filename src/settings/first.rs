//! What a new database begins with. Later it is in the configuration, and operators change it there.

use clap::Args;

use super::parse::number;

/// What the configuration of a new database says.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "What a new database begins with")]
pub struct FirstSettings {
    /// Budget of a new database, in traces per second for the whole fleet, 0 to 1000000000. Ignored once there is a
    /// configuration: `PUT /v1/budget` changes it [default: 10]
    #[arg(
        long,
        env = "WEIR_BUDGET",
        value_name = "TRACES_PER_SECOND",
        value_parser = number(0.0, FirstSettings::BUDGET_MAX)
    )]
    pub budget: Option<f64>,
    /// Probability that a new database serves until the first plan, 0 to 1. Ignored once there is a configuration:
    /// `PUT /v1/configuration` changes it [default: 0.001]
    #[arg(
        long,
        env = "WEIR_INITIAL_PROBABILITY",
        value_name = "PROBABILITY",
        value_parser = number(0.0, 1.0)
    )]
    pub initial_probability: Option<f64>,
    /// Let a new database compute and show plans, and serve the initial probability until they are enforced. Ignored
    /// once there is a configuration: `PUT /v1/mode` and `weir mode enforce` change it
    #[arg(long, env = "WEIR_OBSERVE_ONLY")]
    pub observe_only: bool,
}

impl FirstSettings {
    /// The largest budget, in traces per second: the configuration's.
    pub const BUDGET_MAX: f64 = 1e9;
}
