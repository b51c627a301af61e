//! Labels whose values are known in advance, as enums.

mod database;
mod plans;
mod process;
mod requests;
mod sources;

pub use database::*;
pub use plans::*;
pub use process::*;
pub use requests::*;
pub use sources::*;

/// A label.
pub trait Label: Copy + 'static {
    /// Its name.
    const NAME: &'static str;
    /// All its values, in the order of their declaration.
    const ALL: &'static [Self];

    /// The value, as it is exported.
    fn value(self) -> &'static str;

    /// Its index in [`Label::ALL`].
    fn place(self) -> usize;
}

/// One label, or several together.
pub trait Labels: Copy + 'static {
    /// Their names.
    fn names() -> Vec<&'static str>;

    /// All combinations of their values.
    fn all() -> Vec<Self>;

    /// The values, in the order of the names.
    fn values(self) -> Vec<&'static str>;

    /// Its index in [`Labels::all`].
    fn index(self) -> usize;
}

impl<L: Label> Labels for L {
    fn names() -> Vec<&'static str> {
        vec![L::NAME]
    }

    fn all() -> Vec<Self> {
        L::ALL.to_vec()
    }

    fn values(self) -> Vec<&'static str> {
        vec![self.value()]
    }

    fn index(self) -> usize {
        self.place()
    }
}

impl<A: Label, B: Label> Labels for (A, B) {
    fn names() -> Vec<&'static str> {
        vec![A::NAME, B::NAME]
    }

    fn all() -> Vec<Self> {
        let with_each = |a: &A| B::ALL.iter().map(|b| (*a, *b)).collect::<Vec<_>>();
        A::ALL.iter().flat_map(with_each).collect()
    }

    fn values(self) -> Vec<&'static str> {
        vec![self.0.value(), self.1.value()]
    }

    fn index(self) -> usize {
        self.0.place() * B::ALL.len() + self.1.place()
    }
}

impl<A: Label, B: Label, C: Label> Labels for (A, B, C) {
    fn names() -> Vec<&'static str> {
        vec![A::NAME, B::NAME, C::NAME]
    }

    fn all() -> Vec<Self> {
        let rest = <(B, C)>::all();
        let with_each = |a: &A| rest.iter().map(|(b, c)| (*a, *b, *c)).collect::<Vec<_>>();
        A::ALL.iter().flat_map(with_each).collect()
    }

    fn values(self) -> Vec<&'static str> {
        vec![self.0.value(), self.1.value(), self.2.value()]
    }

    fn index(self) -> usize {
        let rest = B::ALL.len() * C::ALL.len();
        self.0.place() * rest + (self.1, self.2).index()
    }
}

/// Defines enums that are labels.
macro_rules! labels {
    ($(
        $(#[$about:meta])*
        $label:ident as $name:literal {
            $( $(#[$what:meta])* $variant:ident = $value:expr, )+
        }
    )+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $label {
            $( $(#[$what])* $variant, )+
        }

        impl Label for $label {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn value(self) -> &'static str {
                match self {
                    $( Self::$variant => $value, )+
                }
            }

            fn place(self) -> usize {
                self as usize
            }
        }
    )+};
}
use labels;
