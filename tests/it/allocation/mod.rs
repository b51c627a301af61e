//! The allocation: the solver's properties, the estimator's rules, and whole fleets in a loop.

mod agents;
mod anything;
mod bases;
mod bounds;
mod calm;
mod common;
mod edges;
mod estimating;
mod figures;
mod fleet;
mod guaranteed;
mod instructed;
mod interval;
mod listing;
mod lower_bound;
mod nested;
mod predicted;
mod properties;
mod reasons;
mod seeds;
mod silence;
mod solver;
mod states;
mod steady;
mod steered;
mod trust;
