//! What a token may do, and what a route needs.

use std::fmt;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads everything on the admin API but tokens.
    Viewer,
    /// Changes the budget and the configuration, and forgets names, too.
    Operator,
    /// Creates and revokes tokens, too.
    Admin,
    /// Counts requests: sends reports, exports and statistics. Reads nothing.
    Agent,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Admin, Self::Agent];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Agent => "agent",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether it is enough for a need.
    #[must_use]
    pub fn meets(self, need: Need) -> bool {
        match need {
            Need::Nothing | Need::Anyone => true,
            Need::Scraper | Need::Viewer => {
                matches!(self, Self::Viewer | Self::Operator | Self::Admin)
            }
            Need::Operator => matches!(self, Self::Operator | Self::Admin),
            Need::Admin => self == Self::Admin,
            Need::Agent => self == Self::Agent,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a route needs from who calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it reveals nothing secret and changes nothing, or its clients cannot present anything.
    Nothing,
    /// A viewer, or anybody where metrics need no token.
    Scraper,
    /// A viewer.
    Viewer,
    /// An operator.
    Operator,
    /// An admin.
    Admin,
    /// An agent.
    Agent,
    /// Somebody who is known, with whatever role and for whatever services.
    Anyone,
}

impl Need {
    /// The least role that meets it; none if nothing is needed. Of somebody who reads, if any role does.
    #[must_use]
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Nothing => None,
            Self::Scraper | Self::Viewer | Self::Anyone => Some(Role::Viewer),
            Self::Operator => Some(Role::Operator),
            Self::Admin => Some(Role::Admin),
            Self::Agent => Some(Role::Agent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_role_may_what_a_lower_one_may_and_an_agent_only_counts() {
        let needs = [
            (Need::Nothing, [true, true, true, true]),
            (Need::Scraper, [true, true, true, false]),
            (Need::Viewer, [true, true, true, false]),
            (Need::Operator, [false, true, true, false]),
            (Need::Admin, [false, false, true, false]),
            (Need::Agent, [false, false, false, true]),
            (Need::Anyone, [true, true, true, true]),
        ];
        for (need, expected) in needs {
            assert_eq!(Role::ALL.map(|role| role.meets(need)), expected, "{need:?}");
            assert!(need.role().is_none_or(|role| role.meets(need)));
        }
        for role in Role::ALL {
            assert_eq!(Role::named(role.name()), Some(role));
        }
        assert_eq!(Role::named("root"), None);
    }
}
