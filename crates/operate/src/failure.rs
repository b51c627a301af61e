//! How a command ends.

use std::fmt::Display;
use std::process::ExitCode;

/// Why a command did not do what was asked. Each kind has an exit status of its own, for scripts.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something went wrong on the way: exit status 1.
    #[error("{0}")]
    Failed(String),
    /// The command line or a file is wrong: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// The change was not made: somebody said no, or was faster. Exit status 3.
    #[error("{0}")]
    NotMade(String),
    /// The change was not made, because others wrote what it changes. Exit status 4: nobody should try it again as
    /// it is.
    #[error("{0}")]
    Theirs(String),
    /// Nothing is wrong and nothing is to be said; the status is the answer.
    #[error("")]
    Status(u8),
}

/// Exit status of `weir diff` when it found differences; the same as that of diff.
pub const DIFFERENT: u8 = 1;

impl Failure {
    /// A failure with its cause.
    pub fn because(what: &str, cause: impl Display) -> Self {
        Self::Failed(format!("{what}: {cause}"))
    }

    /// Says what went wrong, and returns the exit status.
    pub fn tell(&self) -> ExitCode {
        let status = match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotMade(_) => 3,
            Self::Theirs(_) => 4,
            Self::Status(status) => return ExitCode::from(*status),
        };
        anstream::eprintln!("weir: {self}");
        ExitCode::from(status)
    }
}

/// What a command returns.
pub type Outcome = Result<ExitCode, Failure>;
