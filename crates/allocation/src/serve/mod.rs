//! From shares to what is served: what stays, what changes at once, slow corrections.

pub(crate) mod clock;
pub(crate) mod deadband;
pub(crate) mod decide;
pub(crate) mod instructed;
pub(crate) mod preview;
pub(crate) mod served;
pub(crate) mod stand;
pub(crate) mod steer;
pub(crate) mod trim;
