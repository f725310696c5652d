//! The networks of Stable Diffusion XL on burn: text encoders, UNet, VAE and tiny decoder, with the
//! tokenizer in front of them; and those that measure pictures.
//!
//! Each model has a config that mirrors diffusers' `config.json` field by field, is built from
//! [`Weights`] by diffusers' tensor names, and computes what diffusers computes; the names here are
//! diffusers' own, so that a reader can hold both side by side. A model gets a device and tensors:
//! it knows no address, no store and no page.

#![expect(
    clippy::indexing_slicing,
    reason = "a config is validated before its model is built, and a tensor has its shape"
)]

mod attention;
mod autoencoder;
mod clip;
mod encoder_layer;
mod error;
mod layers;
mod layout;
pub mod perceptual;
mod resnet;
mod tiling;
mod tiny_decoder;
mod tokenizer;
mod transformer;
mod unet;
mod unet_blocks;
mod weights;

pub use autoencoder::{AutoencoderConfig, AutoencoderKlDecoder, AutoencoderKlEncoder};
pub use clip::{ClipTextConfig, ClipTextModel, TextEncoding};
pub use error::ModelError;
pub use layout::layout_of;
pub use tiny_decoder::{TinyDecoder, TinyDecoderConfig};
pub use tokenizer::{ClipTokenizer, Token, TokenizerConfig};
pub use unet::{
    Conditioning, PreparedConditioning, UNet2DConditionConfig, UNet2DConditionModel,
    guidance_embedding,
};
pub use weights::Weights;
pub use weights::is_of_gated_layer;
