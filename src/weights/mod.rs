//! Weights on their way from a file to a model: readers, quantization, manifests, and the browser's
//! source and store.
//!
//! The readers are pure: bytes in, tensors out, the same on every target. Only `source` knows the
//! network and only `store` knows IndexedDB (as `history::store` does); both exist in the browser alone. Nothing here knows
//! burn, a device or what a tensor is for.

pub mod arrival;
mod blocks;
pub mod content_range;
pub mod encoder;
pub mod hub;
pub mod manifest;
pub mod names;
pub mod pack;
pub mod rules;
pub mod safetensors;
pub mod tensor;
pub mod verify;

#[cfg(target_family = "wasm")]
pub mod arrive;
#[cfg(target_family = "wasm")]
pub mod files;
#[cfg(target_family = "wasm")]
pub mod source;
#[cfg(target_family = "wasm")]
pub mod store;
#[cfg(target_family = "wasm")]
pub mod transfer;

pub use encoder::TensorEncoder;
#[cfg(target_family = "wasm")]
pub use files::{Files, FilesError};
pub use manifest::{
    AdapterBase, Component, Compression, FamilyMember, Manifest, ManifestError, ManifestFile,
};
pub use rules::{EncodingRule, target_encoding};
pub use safetensors::SafetensorsError;
pub use tensor::{Encoding, StoredTensor, TensorError};
pub use verify::{FileContent, FileVerifier, VerifyError};
