//! How much is accepted.

use clap::Args;

use super::parse::count;
use crate::store::DictionaryLimits;

/// How much is accepted.
#[derive(Debug, Clone, Args)]
pub struct LimitSettings {
    /// Most services counted under their own name, 1 to 1000000; the rest is counted as __other__
    #[arg(
        long,
        env = "WEIR_MAX_SERVICES",
        default_value = "10000",
        value_name = "N",
        value_parser = count(1_u32, 1_000_000)
    )]
    pub max_services: u32,
    /// Most operations of one service counted under their own name, 1 to 100000; the rest is
    /// counted as the service's __other__
    #[arg(
        long,
        env = "WEIR_MAX_OPERATIONS_PER_SERVICE",
        default_value = "2000",
        value_name = "N",
        value_parser = count(1_u32, 100_000)
    )]
    pub max_operations_per_service: u32,
    /// Most operations of the fleet counted under their own name, 1 to 10000000
    #[arg(
        long,
        env = "WEIR_MAX_OPERATIONS",
        default_value = "1000000",
        value_name = "N",
        value_parser = count(1_u32, 10_000_000)
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
    /// Services with metrics of their own, 0 to 1000: those that spend most; the others are summed
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
    /// How many names are counted apart.
    #[must_use]
    pub fn dictionary(&self) -> DictionaryLimits {
        DictionaryLimits {
            services: self.max_services,
            operations_per_service: self.max_operations_per_service,
            operations: self.max_operations,
        }
    }
}
