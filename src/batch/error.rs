//! What ends a native run, as sentences for whoever started it.

use std::path::{Path, PathBuf};

use crate::engine::EngineError;
use crate::metrics::MetricsError;
use crate::picture::file::FileError;
use crate::picture::image::ImageError;
use crate::recipe::experiment::ExperimentError;
use crate::recipe::saved_recipe::SavedRecipeError;
use crate::results::ResultsError;
use crate::weights::format::safetensors::SafetensorsError;
use crate::weights::manifest::ManifestError;
use crate::weights::manifest::verify::VerifyError;

/// Why a run ended.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// A file or folder can't be read or written.
    #[error("{} can't be {action}: {reason}.", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// `read` or `written`.
        action: &'static str,
        /// The system's own words.
        reason: String,
    },
    /// A file of the pair is not on this disk.
    #[error(
        "The pair's file {path} is not in {}: make a pack of the pair with `pack`, or put the file there.",
        folder.display()
    )]
    NotHere {
        /// Its path in the manifest.
        path: String,
        /// The manifest's folder.
        folder: PathBuf,
    },
    /// A folder with pictures of something else.
    #[error(
        "{} holds another experiment, or pictures of other weights: choose an empty folder.",
        folder.display()
    )]
    OtherRun {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder that no run has written.
    #[error("{} holds no run: its run.json is missing.", folder.display())]
    NoRun {
        /// The folder.
        folder: PathBuf,
    },
    /// What is to be run is nothing that is known.
    #[error(
        "{text} is no experiment, recipe, link, picture with a recipe or run.json: give one of these."
    )]
    NoSource {
        /// What was given, shortened.
        text: String,
    },
    /// A file that isn't there.
    #[error("There is no file {}: check the name and the folder in which the program runs.", path.display())]
    NoFile {
        /// Its path.
        path: PathBuf,
    },
    /// The pair that an experiment names is not where the page's pairs are.
    #[error(
        "The pair is not at {}: say with --pair where its manifest is, or start the program in the folder that \
         has public/.",
        path.display()
    )]
    NoPair {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A shard that there is not.
    #[error("The shard is {text}; it has to be a number and how many there are, such as 1/4.")]
    Shard {
        /// What was given.
        text: String,
    },
    /// A device that there is not.
    #[error("There is no device “{name}”: {reason}.")]
    Device {
        /// What was asked for.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A picture that was changed.
    #[error("{} is no picture of this run: {reason}.", path.display())]
    Picture {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The experiment can't be run.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// The recipe can't be read.
    #[error(transparent)]
    SavedRecipe(#[from] SavedRecipeError),
    /// The results can't be read or written.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// The pair can't be loaded, or drawn with.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The pair's manifest can't be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file of the pair is not the one that the manifest names.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A file of the pair can't be read.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
    /// A picture can't be saved.
    #[error(transparent)]
    Save(#[from] FileError),
    /// A picture is not what it says.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Pictures can't be compared.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

impl BatchError {
    pub(super) fn reading(path: &Path, error: &std::io::Error) -> BatchError {
        BatchError::File {
            path: path.to_owned(),
            action: "read",
            reason: error.to_string(),
        }
    }

    pub(super) fn writing(path: &Path, error: &std::io::Error) -> BatchError {
        BatchError::File {
            path: path.to_owned(),
            action: "written",
            reason: error.to_string(),
        }
    }
}
