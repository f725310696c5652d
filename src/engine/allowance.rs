//! How much the engine uses of its device for a pair.

use super::error::EngineError;
use crate::browser::adapter_limits::AdapterLimits;
use crate::models::{AutoencoderConfig, UNet2DConditionConfig};
use crate::protocol::allowance::{Allowance, LARGEST_MAP};
use crate::weights::footprint::{decoder_activations, most_samples, unet_activations};
use crate::weights::manifest::Manifest;

/// What the engine uses of its device for a pair; `adapter` is none on the CPU. There, and on an adapter
/// that computes on the CPU, pictures in one batch take as long as one after the other, and the first
/// one would come later.
///
/// # Errors
/// A config of the UNets or the VAE is malformed.
pub fn allowance(
    manifest: &Manifest,
    adapter: Option<&AdapterLimits>,
) -> Result<Allowance, EngineError> {
    let components = &manifest.components;
    let size = manifest.image_size.map(|length| length as usize);
    let vae = AutoencoderConfig::from_json(&components.vae.config)?;
    let mut samples = 1;
    if let Some(adapter) = adapter.filter(|adapter| !adapter.is_software) {
        let latent = size.map(|length| length / vae.downscale_factor() as usize);
        let [base, distilled] = [&components.unet, &components.unet_distilled]
            .map(|component| UNet2DConditionConfig::from_json(&component.config));
        samples = samples_of(&base?, latent, adapter).min(samples_of(&distilled?, latent, adapter));
    }
    let [width, height] = size;
    let whole = decoder_activations(&vae.block_out_channels, [height, width]).largest_buffer;
    // A small picture has no larger map, so that nothing would be gained by allowing less than this.
    let largest_map = u32::try_from(whole).map_or(LARGEST_MAP, |whole| whole.min(LARGEST_MAP));
    Ok(Allowance {
        batch: samples as u32,
        largest_map: largest_map.max(Allowance::LEAST.largest_map),
    })
}

fn samples_of(
    config: &UNet2DConditionConfig,
    [width, height]: [usize; 2],
    adapter: &AdapterLimits,
) -> usize {
    let attends: Vec<bool> = config
        .down_block_types
        .iter()
        .map(|kind| kind == "CrossAttnDownBlock2D")
        .collect();
    let activations = |samples| {
        unet_activations(
            &config.block_out_channels,
            &attends,
            config.layers_per_block,
            [height, width],
            samples,
        )
    };
    most_samples(activations, adapter.buffer, adapter.binding)
}
