//! An experiment: a recipe for many pictures, of which tables and figures are made.
//!
//! It is drawn for several prompts, with more seeds than a grid has columns, under several
//! [`Condition`]s: the modes, or the values of one setting. [`Experiment::pages`] lays it out as
//! ordinary grids, so that whatever draws a [`Recipe`](super::Recipe) draws an experiment, one page after the other,
//! in any order, in several places at once.
//!
//! | study | of the paper (Gandikota and Bau) |
//! |---|---|
//! | [`Study::Diversity`] | Table 3: how far the pictures of one prompt are apart |
//! | [`Study::Convergence`] | Figure 5: how far each step's Diffusion Target is from the final image |
//! | [`Study::BaseGuidance`] | Figure 7 (a) |
//! | [`Study::K`] | Figure 7 (b) |
//! | [`Study::BaseSteps`] | Figure 7 (c) |
//! | [`Study::Adaptive`] | its future work: a hand-over that follows the picture |
//! | [`Study::Transfer`] | Table 1: what an adapter changes in each mode |
//! | [`Study::Time`] | Tables 2 and 4: time per image |

mod bounds;
mod condition;
mod definition;
mod error;
mod file;
mod link;
mod pages;
pub mod prompts;
mod study;
#[cfg(test)]
mod tests;
mod validate;

pub use bounds::{EXPERIMENT_VERSION, IMAGES, MAXIMUM_LINK_BYTES, MAXIMUM_PROMPTS, MAXIMUM_VALUES};
pub use condition::{Condition, Setting};
pub use definition::Experiment;
pub use error::ExperimentError;
pub use file::ExperimentFile;
pub use link::is_link;
pub use pages::{Page, Passes, PictureFile, PictureId};
pub use study::Study;
