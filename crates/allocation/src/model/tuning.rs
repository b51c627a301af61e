//! Every constant that shapes decisions, with its unit, why it has this value, and what goes wrong with a
//! larger or smaller one.
//!
//! Rooms and parts are those of the code. What only guards arithmetic (the least rate that can be divided
//! by, the bounds of stored values) stays where it is used, and so do limits of formats.
//!
//! This is not a setting for operators: the values depend on each other and were chosen together on recorded
//! and synthetic traffic, and nothing that an operator can see says which of them to change. The server always
//! plans with [`Tuning::DEFAULT`]. The arena plans with others, to show what each part is worth.

pub mod estimate;
pub mod serve;
pub mod share;
pub mod trust;

/// Declares a struct of constants with their values, so that each value is next to its derivation.
macro_rules! constants {
    ($($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $value:expr,)* })*) => {$(
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl $name {
            /// What the server plans with.
            pub const DEFAULT: Self = Self { $($field: $value,)* };
        }

        impl Default for $name {
            fn default() -> Self {
                Self::DEFAULT
            }
        }
    )*};
}
use constants;

constants! {
    /// Every constant that shapes decisions.
    Tuning {
        /// Which counts are believed.
        trust: Trust = Trust::DEFAULT,
        /// How much traffic each operation offers.
        estimate: Estimate = Estimate::DEFAULT,
        /// How the budget is shared.
        share: Share = Share::DEFAULT,
        /// What is served of it.
        serve: Serve = Serve::DEFAULT,
    }

    /// Which counts are believed: see docs/trust.md.
    Trust {
        /// When an agent is late, idle, missing or gone.
        agents: trust::Agents = trust::Agents::DEFAULT,
        /// What agents usually report.
        usual: trust::Usual = trust::Usual::DEFAULT,
        /// Where the traffic of missing agents went.
        service: trust::Service = trust::Service::DEFAULT,
        /// What polls say of it.
        polls: trust::Polls = trust::Polls::DEFAULT,
        /// Counts out of all proportion.
        claims: trust::Claims = trust::Claims::DEFAULT,
        /// By what requests are counted.
        bases: trust::Bases = trust::Bases::DEFAULT,
    }

    /// How much traffic each operation offers.
    Estimate {
        /// The rate of each operation.
        operation: estimate::Operation = estimate::Operation::DEFAULT,
        /// What all operations have in common.
        common: estimate::Common = estimate::Common::DEFAULT,
        /// Whether an operation has traffic at all.
        presence: estimate::Presence = estimate::Presence::DEFAULT,
        /// When it has some, if by the clock.
        rhythm: estimate::Rhythm = estimate::Rhythm::DEFAULT,
        /// Names that never come again.
        names: estimate::Names = estimate::Names::DEFAULT,
    }

    /// How the budget is shared.
    Share {
        /// What is served to names that no plan lists.
        unknown: share::Unknown = share::Unknown::DEFAULT,
        /// What a return of traffic may cost.
        peaks: share::Peaks = share::Peaks::DEFAULT,
        /// How many SDK instances a service has.
        instances: share::Instances = share::Instances::DEFAULT,
        /// What SDKs keep beside their probabilities.
        lower_bound: share::LowerBound = share::LowerBound::DEFAULT,
    }

    /// What is served: which probabilities stay, and slow corrections.
    Serve {
        /// Probabilities that stay.
        deadband: serve::Deadband = serve::Deadband::DEFAULT,
        /// The correction of a lasting bias.
        trim: serve::Trim = serve::Trim::DEFAULT,
        /// What repeats every hour.
        clock: serve::Clock = serve::Clock::DEFAULT,
    }
}
