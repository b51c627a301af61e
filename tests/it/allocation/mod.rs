//! The allocation: the solver's properties, the estimator's rules, and whole fleets in a loop.

mod bounds;
mod edges;
mod estimating;
mod figures;
mod fleet;
mod silence;
mod solver;
mod steady;
