//! What a plan knows of the polls of SDKs.

/// How often the SDKs of a service ask for their strategy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PollState {
    /// The usual number of polls in a window, while its agents are heard.
    pub usual: f32,
    /// The variance of that number.
    pub variance: f32,
    /// What its agents reported in these windows, in root requests per second.
    pub traffic: f32,
    /// How many windows this was learned from.
    pub windows: u32,
    /// The part of the traffic of missing agents that is no longer expected, because their SDKs have stopped asking;
    /// in [0, 1].
    pub released: f32,
    /// Windows since polls last showed that the traffic of missing agents goes on; `u32::MAX` if they never did.
    pub stood: u32,
}

impl Default for PollState {
    /// Nothing is known.
    fn default() -> Self {
        Self {
            usual: 0.0,
            variance: 0.0,
            traffic: 0.0,
            windows: 0,
            released: 0.0,
            stood: u32::MAX,
        }
    }
}

/// Windows of polls that show whether anybody asks: in the first one, polls are not counted from its beginning.
const SHOWN: u32 = 2;

impl PollState {
    /// Whether it is known that nobody asks. What is served is then not what SDKs apply.
    #[must_use]
    pub fn nobody_asks(&self) -> bool {
        self.windows >= SHOWN && self.usual <= 0.0
    }

    /// The same, or nothing if a damaged plan holds values that cannot be.
    pub(crate) fn sound(self) -> Self {
        let amounts = [self.usual, self.variance, self.traffic];
        let sound = |amount: &f32| amount.is_finite() && *amount >= 0.0;
        if amounts.iter().all(sound) && (0.0..=1.0).contains(&self.released) {
            self
        } else {
            Self::default()
        }
    }
}
