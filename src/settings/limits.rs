//! How much is accepted.

use clap::Args;

use super::parse::count;
use crate::limits::{OPERATIONS_MAX, PLAN_NAMES_BYTES, SERVICES_MAX, plan_names_bytes};
use crate::store::DictionaryLimits;

/// How much is accepted.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitSettings {
    /// Most services counted under their own name, 1 to 1000000; further ones are counted as
    /// __other__. Shared like --interval [default: the database's, 10000 in a new one]
    #[arg(
        long,
        env = "WEIR_MAX_SERVICES",
        value_name = "N",
        value_parser = count(1, SERVICES_MAX)
    )]
    pub max_services: Option<u32>,
    /// Most operations of one service counted under their own name, 1 to 100000; further ones are
    /// counted as the service's __other__. Shared like --interval [default: the database's,
    /// 2000 in a new one]
    #[arg(
        long,
        env = "WEIR_MAX_OPERATIONS_PER_SERVICE",
        value_name = "N",
        value_parser = count(1_u32, 100_000)
    )]
    pub max_operations_per_service: Option<u32>,
    /// Most operations of the fleet counted under their own name, 1 to 3000000. Shared like
    /// --interval [default: the database's, 1000000 in a new one]
    #[arg(
        long,
        env = "WEIR_MAX_OPERATIONS",
        value_name = "N",
        value_parser = count(1, OPERATIONS_MAX)
    )]
    pub max_operations: Option<u32>,
    /// Largest report or export accepted, in bytes after decompression, 1024 to 268435456
    #[arg(
        long,
        env = "WEIR_MAX_REPORT_BYTES",
        default_value = "4194304",
        value_name = "BYTES",
        value_parser = count(1024_usize, 256 << 20)
    )]
    pub max_report_bytes: usize,
    /// Number of services with metrics of their own, 0 to 1000: those with the largest shares. The
    /// others are summed
    #[arg(
        long,
        env = "WEIR_METRICS_SERVICES",
        default_value = "20",
        value_name = "N",
        value_parser = count(0_usize, 1000)
    )]
    pub metrics_services: usize,
}

impl LimitSettings {
    /// How many names are counted apart with a new database, unless flags give others.
    pub const NAMES: DictionaryLimits = DictionaryLimits {
        services: 10_000,
        operations_per_service: 2000,
        operations: 1_000_000,
    };

    pub(super) fn check(&self, problems: &mut Vec<String>) {
        // Without a flag, the limit comes from the database. It is checked once that is known.
        if let (Some(services), Some(operations)) = (self.max_services, self.max_operations) {
            problems.extend(Self::fit(services, operations).err());
        }
    }

    /// Checks that a plan has room for this many names.
    ///
    /// # Errors
    /// If it has not.
    pub fn fit(services: u32, operations: u32) -> Result<(), String> {
        let bytes = plan_names_bytes(services, operations);
        if bytes <= PLAN_NAMES_BYTES {
            return Ok(());
        }
        Err(format!(
            "--max-operations {operations} with --max-services {services}: a plan with that many \
             takes up to {bytes} bytes, and the limit is {PLAN_NAMES_BYTES}; lower one of the \
             two"
        ))
    }

    /// How many names are counted apart: what the flags say, `otherwise` where they do not.
    pub(super) fn names(&self, otherwise: DictionaryLimits) -> DictionaryLimits {
        let per_service = self.max_operations_per_service;
        DictionaryLimits {
            services: self.max_services.unwrap_or(otherwise.services),
            operations_per_service: per_service.unwrap_or(otherwise.operations_per_service),
            operations: self.max_operations.unwrap_or(otherwise.operations),
        }
    }

    /// Whether a flag says something that all replicas share.
    pub(super) fn says_shared(&self) -> bool {
        [
            self.max_services,
            self.max_operations_per_service,
            self.max_operations,
        ]
        .iter()
        .any(Option::is_some)
    }
}
