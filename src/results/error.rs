//! What is said of results that can't be read.

use crate::recipe::experiment::ExperimentError;

/// A text that holds no results.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ResultsError {
    /// JSON of another form, or none.
    #[error("The results can't be read ({reason}): the file is damaged or was changed.")]
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
