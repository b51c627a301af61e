//! How much is accepted.

use clap::Args;

use super::parse::count;
use crate::limits::{OPERATIONS_MAX, PLAN_NAMES_BYTES, SERVICES_MAX, plan_names_bytes};
use crate::store::DictionaryLimits;

/// How much is accepted.
#[derive(Debug, Clone, Args)]
pub struct LimitSettings {
    /// Most services counted under their own name, 1 to 1000000; further ones are counted as
    /// __other__
    #[arg(
        long,
        env = "WEIR_MAX_SERVICES",
        default_value = "10000",
        value_name = "N",
        value_parser = count(1, SERVICES_MAX)
    )]
    pub max_services: u32,
    /// Most operations of one service counted under their own name, 1 to 100000; further ones are
    /// counted as the service's __other__
    #[arg(
        long,
        env = "WEIR_MAX_OPERATIONS_PER_SERVICE",
        default_value = "2000",
        value_name = "N",
        value_parser = count(1_u32, 100_000)
    )]
    pub max_operations_per_service: u32,
    /// Most operations of the fleet counted under their own name, 1 to 3000000
    #[arg(
        long,
        env = "WEIR_MAX_OPERATIONS",
        default_value = "1000000",
        value_name = "N",
        value_parser = count(1, OPERATIONS_MAX)
    )]
    pub max_operations: u32,
    /// Largest report accepted, in bytes after decompression, 1024 to 268435456
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
    pub(super) fn check(&self, problems: &mut Vec<String>) {
        let (services, operations) = (self.max_services, self.max_operations);
        let bytes = plan_names_bytes(services, operations);
        if bytes > PLAN_NAMES_BYTES {
            problems.push(format!(
                "--max-operations {operations} with --max-services {services}: a plan with that \
                 many takes up to {bytes} bytes, and the limit is {PLAN_NAMES_BYTES}; lower one \
                 of the two"
            ));
        }
    }

    /// How many names get an entry of their own.
    #[must_use]
    pub fn dictionary(&self) -> DictionaryLimits {
        DictionaryLimits {
            services: self.max_services,
            operations_per_service: self.max_operations_per_service,
            operations: self.max_operations,
        }
    }
}
