//! Names as agents report them and SDKs ask for them, and the numbers that stand for them.
//!
//! Names are parsed once, at the edge; everything inward works on [`ServiceId`] and
//! [`OperationId`], so the allocation never touches a string.

use std::fmt;

/// The name of the counted overflow entry: everything that did not fit the limits.
///
/// Every service has one operation of this name, and the fleet has one service of this name.
/// An agent may report it for what it could not tell apart itself.
pub const OVERFLOW_NAME: &str = "__other__";

/// The service that counts what no service could be kept for.
pub const OVERFLOW_SERVICE: ServiceId = ServiceId(0);

/// The overflow operation of [`OVERFLOW_SERVICE`].
pub const OVERFLOW_OPERATION: OperationId = OperationId(0);

/// Stands for a service's name; given out once by the store's dictionary and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ServiceId(pub u32);

/// Stands for a (service, operation) pair; given out once by the dictionary and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct OperationId(pub u32);

/// Stands for an agent's name over all its restarts: the first eight bytes of its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(pub u64);

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// The name has no characters.
    Empty,
    /// The name is longer than its kind allows.
    TooLong(usize),
    /// The name holds a control character, which no SDK sends and which would corrupt a log.
    ControlCharacter,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty"),
            Self::TooLong(longest) => write!(f, "must be at most {longest} bytes long"),
            Self::ControlCharacter => f.write_str("must not hold control characters"),
        }
    }
}

impl std::error::Error for NameError {}

fn check(text: &str, longest: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > longest {
        return Err(NameError::TooLong(longest));
    }
    if has_control(text) {
        return Err(NameError::ControlCharacter);
    }
    Ok(())
}

/// Whether a text has control characters: U+0000 to U+001F, and U+007F to U+009F.
///
/// Every name of every report is checked. So characters are decoded only if a byte may begin a control
/// character; those from U+0080 on begin with the byte C2.
fn has_control(text: &str) -> bool {
    let is_suspect = |byte: u8| byte < 0x20 || byte == 0x7f || byte == 0xc2;
    text.bytes().any(is_suspect) && text.chars().any(char::is_control)
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $longest:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Box<str>);

        impl $type {
            /// The longest name allowed, in bytes of UTF-8.
            pub const LONGEST: usize = $longest;

            /// Checks a name from outside without keeping it.
            ///
            /// # Errors
            /// Says what is wrong with it, in words that follow the field's name.
            pub fn check(text: &str) -> Result<(), NameError> {
                check(text, Self::LONGEST)
            }

            /// Parses a name from outside.
            ///
            /// # Errors
            /// Says what is wrong with it, in words that follow the field's name.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                Self::check(text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// A service's name, as its SDK sends it in `service.name`.
    ServiceName, 256
);
name!(
    /// What operators call a group of services.
    GroupName, 64
);
name!(
    /// An operation's name: the name of a root span.
    OperationName, 512
);
name!(
    /// An agent's name, the same over its restarts.
    AgentName, 256
);
