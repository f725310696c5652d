//! What is measured on finished pictures: how far apart two of them are, and how diverse a row is.
//!
//! The distance is [`structural_dissimilarity`], 1 − MS-SSIM on luma and chroma. It needs no
//! weights and no download, and it is a proxy of what people see: it compares brightness, contrast
//! and structure place by place, so the same thing drawn elsewhere is far from itself, and it knows
//! nothing of what a picture shows. Learned distances such as DreamSim, which the paper uses, give
//! other numbers: only distances of one kind, and of pictures of one size, can be compared. What is said by
//! the embeddings of networks is below too ([`cosine_distance`], [`clip_score`], [`spread`]); the networks
//! themselves are `models::perceptual`.
//!
//! The folder knows neither burn nor the browser: it works on bytes and numbers, natively and in
//! wasm by the same code, in double precision and in a fixed order. Two machines differ by no more
//! than the last bits that their exponential and power functions round differently.

#![expect(
    clippy::indexing_slicing,
    reason = "pictures have the size that was compared before"
)]

mod change;
mod coverage;
mod difference;
mod diversity;
mod embedding;
mod error;
mod estimate;
mod frechet;
mod inception_score;
mod measured;
mod model_input;
mod paired;
mod plane;
mod ssim;

pub use change::Change;
pub use coverage::{Class, Coverage, Judged};
pub use difference::absolute_difference;
pub use diversity::{Diversity, PairwiseDistances};
pub use embedding::{clip_score, cosine_distance, cosine_similarity, spread};
pub use error::MetricsError;
pub use estimate::Estimate;
pub use frechet::{FeatureStatistics, FrechetError, frechet_distance};
pub use inception_score::{InceptionScoreError, inception_score};
pub use measured::{MEASURE, distance, reduced_to_measure};
pub use model_input::{Fit, ModelInput};
pub use paired::{Difference, RowDistances};
pub use ssim::{
    CHANNEL_WEIGHTS, SCALE_WEIGHTS, SIGMA, ScaleSimilarity, WINDOW, ms_ssim, scale_similarities,
    structural_dissimilarity,
};
