//! Names and shapes of every tensor in a component's files, as the models themselves ask for them.

use serde_json::Value;

use super::autoencoder::{AutoencoderConfig, AutoencoderKlDecoder, AutoencoderKlEncoder};
use super::clip::{ClipTextConfig, ClipTextModel};
use super::error::ModelError;
use super::tiny_decoder::{self, TinyDecoder, TinyDecoderConfig};
use super::unet::{UNet2DConditionConfig, UNet2DConditionModel};
use super::weights::Weights;
use crate::weights::format::layout::Layout;

/// The layout of the model that a `config.json` describes: a UNet, a text encoder, a VAE or a tiny
/// VAE, by its `_class_name` or `architectures`.
///
/// # Errors
/// The config is of another class, lacks a field, or asks for something that SDXL has not.
pub fn layout_of(config: &Value) -> Result<Layout, ModelError> {
    let class = match &config["_class_name"] {
        Value::Null => &config["architectures"][0],
        class => class,
    };
    let mut weights = Weights::recording();
    match class.as_str() {
        Some("UNet2DConditionModel") => {
            let config = UNet2DConditionConfig::from_json(config)?;
            UNet2DConditionModel::take(config, &mut weights)?;
        }
        Some("CLIPTextModel" | "CLIPTextModelWithProjection") => {
            ClipTextModel::take(ClipTextConfig::from_json(config)?, &mut weights)?;
        }
        Some("AutoencoderKL") => {
            let config = AutoencoderConfig::from_json(config)?;
            AutoencoderKlEncoder::take(&config, &mut weights)?;
            AutoencoderKlDecoder::take(config, &mut weights)?;
        }
        Some("AutoencoderTiny") => {
            tiny_decoder::take_encoder(config, &mut weights)?;
            TinyDecoder::take(&TinyDecoderConfig::from_json(config)?, &mut weights)?;
        }
        _ => {
            return Err(ModelError::Unsupported {
                component: "a model",
                option: "_class_name",
                value: class.to_string(),
            });
        }
    }
    Ok(weights.into_layout())
}
