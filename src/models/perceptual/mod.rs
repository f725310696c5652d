//! Networks that say what a picture shows as one vector, so that distances of vectors stand for distances of
//! pictures: CLIP's image encoder, DreamSim's single branch on DINO, and the emoji pair's own classifier.
//!
//! They take pictures as values that are cut, scaled and normalized already: `[batch, height, width, 3]`.

mod classifier;
mod dreamsim;
mod vision;

pub use classifier::{ClassifierConfig, EmojiClassifier, Judgement};
pub use dreamsim::{BranchHalf, branch_half, centred, network_of};
pub use vision::{VisionConfig, VisionModel, in_canonical_layout};
