//! The allocation: the solver's properties, the estimator's rules, and whole fleets in a loop.

mod edges;
mod fleet;
mod steady;
