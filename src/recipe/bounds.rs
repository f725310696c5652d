//! Which numbers a recipe's parameters take, and how large a recipe can be.

use std::fmt::{self, Display};
use std::str::FromStr;

/// The largest number of rows in one run.
pub const MAXIMUM_ROWS: usize = 8;
/// The longest prompt, in characters; the text encoders read no more than 75 tokens of it.
pub const MAXIMUM_PROMPT_CHARACTERS: usize = 2000;

/// Seeds: torch uses the low 32 bits alone.
pub const SEED: Bounds<u32> = Bounds {
    minimum: 0,
    maximum: u32::MAX,
};
/// Columns of the grid.
pub const SEED_COUNT: Bounds<u32> = Bounds {
    minimum: 1,
    maximum: 16,
};
/// Steps of the base or the distilled model, and k.
pub const STEPS: Bounds<u32> = Bounds {
    minimum: 1,
    maximum: 100,
};
/// Base steps in place of each replaced step of the distilled model.
pub const HYBRID_BASE_STEPS: Bounds<u32> = Bounds {
    minimum: 1,
    maximum: 25,
};
/// The most replaced steps of the adaptive switch; 0 means all.
pub const ADAPTIVE_K: Bounds<u32> = Bounds {
    minimum: 0,
    maximum: 100,
};
/// Relative changes below which the adaptive switch hands over; 0 means [`ADAPTIVE_THRESHOLD`].
pub const THRESHOLD: Bounds<f32> = Bounds {
    minimum: 0.0,
    maximum: 2.0,
};
/// The relative change below which the adaptive switch hands over where a recipe says none: the step moves
/// the picture by less than half of its length.
pub const ADAPTIVE_THRESHOLD: f32 = 0.5;
/// Guidance scales.
pub const GUIDANCE_SCALE: Bounds<f32> = Bounds {
    minimum: 0.0,
    maximum: 20.0,
};

/// The numbers that a parameter takes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds<T> {
    /// No number below this one is taken.
    pub minimum: T,
    /// No number above this one is taken.
    pub maximum: T,
}

impl<T: PartialOrd> Bounds<T> {
    /// Whether a number is within the bounds. NaN never is.
    pub fn contain(&self, number: &T) -> bool {
        self.minimum <= *number && *number <= self.maximum
    }
}

impl<T: FromStr + PartialOrd> Bounds<T> {
    /// The number that a text spells, if it is one within the bounds.
    pub fn parse(&self, text: &str) -> Option<T> {
        let number = text.trim().parse().ok()?;
        self.contain(&number).then_some(number)
    }
}

impl Display for Bounds<u32> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a whole number from {} to {}",
            self.minimum, self.maximum
        )
    }
}

impl Display for Bounds<f32> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a number from {} to {}",
            self.minimum, self.maximum
        )
    }
}
