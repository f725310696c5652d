//! What is said of results that can't be read.

use crate::recipe::experiment::ExperimentError;

/// A text that holds no results.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ResultsError {
    /// A form of another release.
    #[error(
        "The results have the version {version}, and this release reads version {known}: take a newer one."
    )]
    Version {
        /// Their version.
        version: u32,
        /// The one that is read.
        known: u32,
    },
    /// JSON of another form, or none.
    #[error("The results can't be read: the file is damaged or was changed ({reason}).")]
    Unreadable {
        /// Where it fails.
        reason: String,
    },
    /// Their experiment can't be run.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
}

impl From<serde_json::Error> for ResultsError {
    fn from(error: serde_json::Error) -> Self {
        ResultsError::Unreadable {
            reason: error.to_string().chars().take(200).collect(),
        }
    }
}
