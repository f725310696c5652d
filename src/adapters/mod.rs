//! Adapters: small files that turn a base model into another one.
//!
//! What is read here is LoRA in the layout of diffusers and PEFT (see [`Adapter`]), and it is merged
//! into the base's weights on their way to the device: `W + (alpha / rank) · B · A`. For a distilled
//! model that is the right way, since the visitor never switches it off: the merged model costs
//! nothing more per step than a full one, while the network and the store carry the adapter alone.
//! An adapter whose weight is to change from run to run would have to stay a low-rank branch beside
//! its layer instead.
//!
//! Pure: tensors in, numbers out. Nothing here knows burn, a device or where a file is from.

mod error;
mod lora;

pub use error::AdapterError;
pub use lora::{Adapter, write_alphas};
