//! The constants by which the budget is [shared](crate::tuning::Share).

use super::constants;

constants! {
    /// What is served to names that no plan lists.
    Unknown {
        /// The highest probability of anything unknown. If the budget exceeds all known traffic, every named
        /// operation is kept whole. Something new may be as large as everything else together; half of it stays
        /// within twice the budget until the next plan knows it.
        most: f64 = 0.5,
        /// The offered rate from which an overflow entry has demand: one root request a day.
        overflow_demand: f64 = 1.0 / 86_400.0,
    }

    /// What a return of traffic may cost.
    Peaks {
        /// A return to the peak costs at most this many budgets in an interval. It lasts less than two intervals
        /// until SDKs have polled the answer, and is to cost at most 30 budgets. Infinite bounds nothing.
        most: f64 = 15.0,
        /// What is left of a peak after a window with traffic: half after an hour of minutes. Traffic that has
        /// stayed low for hours is the usual one by then.
        kept: f64 = 0.988_5,
        /// Less than this part of the peak is hardly any traffic. While there is hardly any, nothing is
        /// forgotten: it may come back.
        hardly: f64 = 1e-3,
        /// In its first plans, a fleet's peak is the least it has seen: its first counts may be absurd.
        young_plans: u64 = 5,
        /// In its first hour of minutes, its peak rises faster: agents appear one after the other.
        growing_plans: u64 = 60,
        /// By this factor in a window.
        rise_growing: f64 = 1.5,
        /// A peak rises by this factor in a window at most: a spike of some windows is no level that traffic
        /// returns to, and would bound for days what is kept.
        rise: f64 = 1.1,
    }

    /// How many SDK instances a service has.
    Instances {
        /// A window of which this part is in is whole.
        whole: f64 = 0.9,
        /// The part by which one window lowers an estimate: to half in seven windows. Too few instances cost more
        /// than the operator reserved; too many cost only a part of the guarantee.
        fall: f64 = 0.1,
        /// The same for a service without reports: its instances may be idle as well as gone.
        fade: f64 = 0.01,
        /// A window is scaled up as if at least this part of it were in, however little of it was.
        part_least: f64 = 0.1,
    }

    /// What SDKs keep beside their probabilities.
    LowerBound {
        /// The part of the reserve that a new bound spends: a tenth stays unused, so that a few more instances do
        /// not change every service's body again.
        room: f64 = 0.9,
        /// A bound stays while it fits the reserve and spends at least this part of it.
        held_from: f64 = 0.8,
        /// The largest rise of a bound in one window, as a factor.
        raise: f64 = 1.25,
        /// A smaller bound guarantees nothing, so none is served, in traces per second: one trace a day.
        least: f64 = 1.0 / 86_400.0,
    }
}
