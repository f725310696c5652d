//! How large an experiment can be.

use crate::recipe::bounds::Bounds;
use crate::recipe::link::reading::MAXIMUM_HASH_BYTES;

/// Raised when an experiment comes to mean something else.
pub const EXPERIMENT_VERSION: u32 = 1;
/// The longest link of an experiment.
pub const MAXIMUM_LINK_BYTES: usize = MAXIMUM_HASH_BYTES;
/// Images of each prompt and condition.
pub const IMAGES: Bounds<u32> = Bounds {
    minimum: 1,
    maximum: 1000,
};
/// The most prompts: as many as the paper's Figure 5 has.
pub const MAXIMUM_PROMPTS: usize = 10_000;
/// The most values of a setting.
pub const MAXIMUM_VALUES: usize = 64;
