//! Why a pair can't be listed, resolved or added; and reading JSON with such an error.

use serde_json::Value;

use crate::loader::scheduling::MarksError;
use crate::sampler::SchedulerError;
use crate::weights::download::network::source::{HeaderError, SourceError};
use crate::weights::format::safetensors::SafetensorsError;
use crate::weights::manifest::ManifestError;
use crate::weights::manifest::hub::HubError;
use crate::weights::stored::store::StoreError;

/// Why a pair can't be listed, resolved or added.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum LibraryError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Hub(#[from] HubError),
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    #[error(transparent)]
    Marks(#[from] MarksError),
    #[error("{file} is not JSON: {reason}.")]
    Json { file: String, reason: String },
    #[error("{0} is not a pair that this page knows. Add it again.")]
    Unknown(String),
    #[error(
        "The checkpoint {0} doesn't name its tensors as a single-file SDXL checkpoint does, so it \
         can't be used as one."
    )]
    NoCheckpoint(String),
}

/// Reads JSON that a host has sent.
pub(super) fn parse<T: serde::de::DeserializeOwned>(
    file: &str,
    text: &str,
) -> Result<T, LibraryError> {
    serde_json::from_str(text).map_err(|error| LibraryError::Json {
        file: file.into(),
        reason: error.to_string(),
    })
}

/// Reads a value out of JSON that a host has sent.
pub(super) fn from_value<T: serde::de::DeserializeOwned>(
    file: &str,
    json: Value,
) -> Result<T, LibraryError> {
    serde_json::from_value(json).map_err(|error| LibraryError::Json {
        file: file.into(),
        reason: error.to_string(),
    })
}
