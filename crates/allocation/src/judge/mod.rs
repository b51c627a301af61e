//! How well a plan serves.

pub(crate) mod figures;
