//! Labels of what sources of counts say.

use super::{Label, labels};

labels! {
    /// By what requests were counted.
    CountBasis as "basis" {
        /// By agents and samplers that count root requests themselves.
        Reports = "reports",
        /// By the metric of an SDK that counts root requests.
        Roots = "roots",
        /// By metrics that count requests, whether they are roots or not.
        Requests = "requests",
        /// By the root spans that were sampled.
        Spans = "spans",
        /// By all spans of servers after sampling, roots or not.
        Calls = "calls",
    }

    /// Why a point is not counted.
    UncountedReason as "reason" {
        /// It has no time.
        NoTime = "no_time",
        /// A delta or a span of a time that is not accepted any more.
        TooOld = "too_old",
        /// A delta or a span of which nobody knows whether it was counted.
        Forgotten = "forgotten",
        /// Its value is below the one before, although its stream did not start again.
        Shared = "shared",
        /// Its source has too many streams.
        TooMany = "too_many",
        /// It is the first value of a stream that began before its source was known.
        Baseline = "baseline",
    }
}
