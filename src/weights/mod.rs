//! Weights on their way from a file to a model.
//!
//! [`mod@format`] has the forms that tensors are stored in, [`manifest`] what a pair consists of, and
//! [`download`] how its files arrive; all of these are pure but for `download::network`, the only
//! module that knows the network. `stored` keeps what has arrived in IndexedDB. Nothing here knows
//! burn, a device or what a tensor is for.

pub mod adapter_file;
pub mod download;
pub mod either_manifest;
pub mod footprint;
pub mod format;
pub mod manifest;
#[cfg(target_family = "wasm")]
pub mod stored;
