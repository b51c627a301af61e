//! Labels of what sources of counts say.

use super::{Label, labels};

labels! {
    /// Why a point is not counted.
    UncountedReason as "reason" {
        /// It has no time.
        NoTime = "no_time",
        /// A delta of a time that is not accepted any more.
        TooOld = "too_old",
        /// A delta of which nobody knows whether it was counted.
        Forgotten = "forgotten",
        /// Its value is below the one before, although its stream did not start again.
        Shared = "shared",
        /// Its source has too many streams.
        TooMany = "too_many",
        /// It is the first value of a stream that began before its source was known.
        Baseline = "baseline",
    }
}
