//! Bounds that several parts must agree on, derived from each other.
//!
//! Everything that is written must be readable. So a bound is checked when something is accepted or
//! written, never only when it is read. The compiler checks the assertions below. `docs/limits.md`
//! states the bounds, and `tests/it/limits.rs` compares it with the code.

use crate::allocation::{AGENTS_MAX, LISTED_MAX, OperationName, RATES_MAX};
use crate::store::{history_codec, plan_codec};

/// The largest strategy, in bytes: the limit of gRPC clients.
pub const STRATEGY_BYTES: usize = 4 << 20;

/// The largest size of one operation in a strategy, in bytes.
///
/// # Source
/// Jaeger's `sampling.proto`: the name, 9 for the probability and 8 for tags and lengths.
pub const STRATEGY_OPERATION_BYTES: usize = OperationName::LONGEST + 17;

const _: () = assert!(LISTED_MAX * STRATEGY_OPERATION_BYTES <= STRATEGY_BYTES);

/// The part of a plan's bytes for agents, groups and figures.
const PLAN_REST_BYTES: u64 = 54 << 20;

// Groups are 100 at most, so a quarter of it is left for them and the figures.
const _: () = assert!(
    AGENTS_MAX as u64 * plan_codec::AGENT_BYTES + RATES_MAX as u64 * plan_codec::RATE_BYTES
        <= PLAN_REST_BYTES / 4 * 3
);

/// The bytes of a plan that its services and operations may take.
pub const PLAN_NAMES_BYTES: u64 = plan_codec::BYTES_MAX - PLAN_REST_BYTES;

/// The most bytes that these services and operations take in a plan. Each service, and the overflow
/// service, has an overflow entry beside its operations.
#[must_use]
pub const fn plan_names_bytes(services: u32, operations: u32) -> u64 {
    let services = services as u64 + 1;
    services * plan_codec::SERVICE_BYTES
        + (services + operations as u64) * plan_codec::OPERATION_BYTES
}

/// The highest value of `--max-operations`. With the default of `--max-services`, a plan has room
/// for 0.1 % more.
pub const OPERATIONS_MAX: u32 = 3_000_000;

/// The highest value of `--max-services`.
pub const SERVICES_MAX: u32 = 1_000_000;

const _: () = assert!(plan_names_bytes(10_000, OPERATIONS_MAX) <= PLAN_NAMES_BYTES);

// The most services beside the default of `--max-operations`, which earlier releases took.
const _: () = assert!(plan_names_bytes(SERVICES_MAX, 1_000_000) <= PLAN_NAMES_BYTES);

// A plan that can be stored fits in a row of history.
const _: () = assert!(
    plan_codec::BYTES_MAX / plan_codec::OPERATION_BYTES * history_codec::OPERATION_BYTES
        <= history_codec::BYTES_MAX
);
