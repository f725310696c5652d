//! Adapters: small files that turn a base model into another one.
//!
//! What is read here is LoRA as diffusers, PEFT and kohya's scripts write it, and LyCORIS' relatives of it
//! (see [`Adapter`]). A file may change the UNet and both text encoders: [`split()`] sorts its tensors, and each
//! model gets an [`Adapter`] of its own. [`Facts`] has what the header alone tells.
//!
//! Where the base's weights are expanded on the device, an adapter is merged into them on their way there:
//! `W + (alpha / rank) · B · A`. The merged model costs no more per step than a full one, while the
//! network and the store carry the adapter alone. Where the base stays quantized, merging would lose
//! the change in the quantization's steps: there the change stays a low-rank branch beside its layer,
//! and both models share the base's weights.
//!
//! Pure: tensors in, numbers out. Nothing here knows burn, a device or where a file is from.

mod branch;
mod error;
mod facts;
mod layout;
mod lora;
mod lycoris;
mod metadata;
mod model;
mod names;
mod parts;

pub use branch::LowRankBranch;
pub use error::AdapterError;
pub use facts::{AdapterKind, BaseKind, Facts, TensorFacts};
pub use layout::kohya_layout;
pub use lora::{Adapter, LeftOut};
pub use metadata::{write_alphas, write_configured_alphas};
pub use model::Model;
pub use parts::{Split, split};
