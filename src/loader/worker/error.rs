//! Why a pair can't be listed, resolved or added; and reading JSON with such an error.

use serde_json::Value;

use crate::adapters::AdapterError;
use crate::loader::scheduling::MarksError;
use crate::sampler::SchedulerError;
use crate::weights::download::network::source::{HeaderError, SourceError};
use crate::weights::format::safetensors::SafetensorsError;
use crate::weights::format::tensor::TensorError;
use crate::weights::format::torch_file::TorchFileError;
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
    #[error("{file} is no single-file SDXL checkpoint, but {kind}.{advice}")]
    NoCheckpoint {
        file: String,
        kind: &'static str,
        /// A sentence with a blank before it, or nothing.
        advice: String,
    },
    #[error(
        "{place} is no Stable Diffusion XL that can be the base of a pair, but {kind}. Give the address of a \
         model that was tuned from SDXL's base."
    )]
    NoBase { place: String, kind: &'static str },
    #[error(
        "{file} can't be the distilled model of a pair: it is {kind}. A LoRA, a UNet or a checkpoint of SDXL \
         can."
    )]
    NoDistilled { file: String, kind: &'static str },
    #[error(
        "{file} is no adapter, but {kind}. A LoRA, a LyCORIS file or a Concept Slider can be brought here; whole \
         models are added under Models."
    )]
    NoAdapter { file: String, kind: &'static str },
    #[error("{file} can't be put on SDXL. {error}")]
    Adapter { file: String, error: AdapterError },
    #[error(transparent)]
    TorchFile(#[from] TorchFileError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
    #[error(
        "{file} was found to be a web page: its host shows one where there is no such file, or asks for a \
         login. Check the address."
    )]
    WebPage { file: String },
    #[error(
        "Nothing that was opened is a model: a single safetensors file, a LoRA, or a folder in diffusers' \
         layout (with unet/config.json in it) is read, and the JSON of a manifest. Of torch's \
         own format adapters alone are read."
    )]
    NothingOpened,
}

/// Reads JSON that a host has sent.
pub(super) fn parse<T: serde::de::DeserializeOwned>(
    file: &str,
    text: &str,
) -> Result<T, LibraryError> {
    if text.trim_start().starts_with('<') {
        return Err(LibraryError::WebPage { file: file.into() });
    }
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
