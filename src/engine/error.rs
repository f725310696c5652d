//! The errors that end a start or a job, as sentences for the visitor.

use crate::adapters::AdapterError;
use crate::metrics::MetricsError;
use crate::models::ModelError;
use crate::recipe::experiment::ExperimentError;
use crate::recipe::size::{ImageSize, SizeError};
use crate::recipe::validate::RecipeError;
use crate::sampler::{PlanError, SchedulerError};
use crate::weights::format::tensor::TensorError;

/// Why the engine can't start, or can't finish a job.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The recipe is out of bounds.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// An experiment can't be run.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// The pair doesn't draw the recipe's size.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// The adapter has no buffer for what a UNet makes of a picture of this size.
    #[error(
        "Pictures of {size} pixels need buffers of {needed} MB, and this GPU allows {limit} MB: choose a smaller size."
    )]
    TooLarge {
        /// The recipe's size.
        size: ImageSize,
        /// In 10⁶ bytes.
        needed: u64,
        /// In 10⁶ bytes.
        limit: u64,
    },
    /// A model can't be built from its config and files.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The distilled model's adapter can't be put on the base.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// A scheduler's config has an option that isn't supported.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// The recipe's steps don't fit together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A stored tensor's bytes don't fit its shape and encoding.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Weights can't be fetched, verified, stored or read.
    #[cfg(target_family = "wasm")]
    #[error(transparent)]
    Files(#[from] crate::weights::stored::files::FilesError),
    /// A tokenizer lacks one of CLIP's files.
    #[error(
        "A tokenizer of the pair lacks the file {file}: ask whoever hosts the pair to mend its manifest."
    )]
    MissingFile {
        /// The file's name.
        file: &'static str,
    },
    /// Pictures can't be compared.
    #[error("The images can't be compared: {0}")]
    Metrics(#[from] MetricsError),
    /// The engine has no state of the cell any more, or no trace of its steps.
    #[error(
        "The steps of this image are no longer kept: the engine was started anew, or later images took their room. Draw it again to see them."
    )]
    StepsDiscarded,
    /// A model was used before it was loaded.
    #[error("A model of the pair was not loaded. Reload the page to start over.")]
    NotLoaded,
    /// An adapter of the recipe is not in the store.
    #[error(
        "The adapter “{name}” is not in this browser, or can't be read: add its file under Adapters (its SHA-256 begins with {hash}), or take it off."
    )]
    NoAdapter {
        /// What the recipe calls it.
        name: String,
        /// The beginning of its hash.
        hash: String,
    },
    /// An adapter of the recipe doesn't fit the models.
    #[error("The adapter “{name}” can't be put on these models. {error}")]
    OfAdapter {
        /// What the recipe calls it.
        name: String,
        /// Why.
        error: Box<AdapterError>,
    },
    /// An adapter of the recipe has a tensor that takes the place of a model's own.
    #[error(
        "The adapter “{name}” replaces whole tensors, such as {tensor}: its strength can't be changed. Add it as a distilled model under Models instead."
    )]
    Replaces {
        /// What the recipe calls it.
        name: String,
        /// The tensor's name.
        tensor: String,
    },
    /// The models of the pair don't fit each other.
    #[error("The pair's models don't fit together: {reason}.")]
    Mismatch {
        /// A clause that says what doesn't fit.
        reason: String,
    },
    /// The device failed in the middle of the work.
    #[error(
        "The device failed while computing ({reason}). Try again, or add device=cpu to the address to do without the graphics processor; what is stored stays."
    )]
    Device {
        /// The device's own words.
        reason: String,
    },
    /// A program for the graphics card can't be compiled.
    #[error(
        "The browser could not compile a program for the graphics processor ({reason}). Update the browser and the graphics driver, or add device=cpu to the address to do without the graphics processor."
    )]
    Program {
        /// The program and the browser's own words.
        reason: String,
    },
    /// The visitor asked for WebGPU and the browser offers no adapter.
    #[error(
        "This browser offers no WebGPU adapter ({reason}). Remove device=webgpu from the address to run on the CPU instead."
    )]
    NoWebGpu {
        /// The browser's own words.
        reason: String,
    },
    /// Page and worker are of different deploys.
    #[error(
        "The page speaks version {page} of the engine's protocol and the engine version {engine}. Reload the page to get both from the same release."
    )]
    ProtocolVersion {
        /// The version that the page sends.
        page: u32,
        /// The engine's own version.
        engine: u32,
    },
    /// A job came before the engine had started.
    #[error(
        "The engine has no pair loaded yet. Wait until the page says that it is ready, or reload it."
    )]
    NotStarted,
}
