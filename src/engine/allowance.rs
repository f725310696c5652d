//! How much the engine uses of its device for a pair.

use super::error::EngineError;
use crate::browser::adapter_limits::AdapterLimits;
use crate::models::AutoencoderConfig;
use crate::protocol::allowance::{Allowance, LARGEST_MAP};
use crate::recipe::size::ImageSize;
use crate::weights::footprint::{
    Activations, UNetShape, activation_length, most_samples, unet_maps,
};
use crate::weights::manifest::{Component, Manifest};

/// What the engine uses of its device for a pair's pictures of a size, width and height in pixels; `adapter` is none on the CPU. There, and on an adapter
/// that computes on the CPU, pictures in one batch take as long as one after the other, and the first
/// one would come later.
///
/// # Errors
/// The VAE's config is malformed, or the adapter has no buffer for a UNet's map of that size.
pub fn allowance(
    manifest: &Manifest,
    image_size: [u32; 2],
    adapter: Option<&AdapterLimits>,
) -> Result<Allowance, EngineError> {
    let components = &manifest.components;
    let size = image_size.map(|length| length as usize);
    let vae = AutoencoderConfig::from_json(&components.vae.config)?;
    let mut samples = 1;
    if let Some(adapter) = adapter {
        let latent = size.map(|length| length / vae.downscale_factor() as usize);
        let largest = activations(&components.unet, latent, adapter, 1).largest_buffer;
        let limit = adapter.buffer.min(adapter.binding);
        if largest > limit {
            let [width, height] = image_size;
            return Err(EngineError::TooLarge {
                size: ImageSize::new(width, height),
                needed: largest.div_ceil(1_000_000),
                limit: limit / 1_000_000,
            });
        }
        if !adapter.is_software {
            let [base, distilled] = [&components.unet, &components.unet_distilled].map(|unet| {
                let activations = |samples| activations(unet, latent, adapter, samples);
                most_samples(activations, adapter.buffer, adapter.binding)
            });
            samples = base.min(distilled);
        }
    }
    let [width, height] = size;
    // The first map of full resolution has the channels of the one below.
    let channels = vae.block_out_channels.iter().take(2).max();
    let whole = width * height * channels.copied().unwrap_or(1) * size_of::<f32>();
    // A small picture has no larger map, so that nothing would be gained by allowing less than this.
    let largest_map = u32::try_from(whole).map_or(LARGEST_MAP, |whole| whole.min(LARGEST_MAP));
    Ok(Allowance {
        batch: samples as u32,
        largest_map: largest_map.max(Allowance::LEAST.largest_map),
    })
}

/// What a UNet takes of an adapter for so many samples.
fn activations(
    unet: &Component,
    [width, height]: [usize; 2],
    adapter: &AdapterLimits,
    samples: usize,
) -> Activations {
    let shape = UNetShape::of(&unet.config);
    let length = activation_length(adapter.has_f16);
    Activations::of(&unet_maps(&shape, [height, width], samples, length))
}
