//! What a pair needs on the device, from shapes alone: asked before anything is downloaded.
//!
//! Pure, and without burn. The engine holds its weights in the [`Form`]s that are decided here, and the
//! pre-flight estimates by the same rules.

use super::format::encoding::Encoding;

/// The weights of a component are expanded to `f32` when they are loaded, as long as they take no
/// more bytes than this; above, they stay as they are stored and are expanded at each use, one
/// layer at a time. SDXL's VAE (335 MB) is just below, its text encoders and UNets are above.
pub const EXPANDED_LIMIT: u64 = 384 * 1024 * 1024;

/// Values of the smallest tensor that stays as it is stored. Smaller ones (normalizations, biases,
/// the narrow layers at the ends) gain little and are used as often.
const SMALLEST_HELD: usize = 32 * 1024;

/// Bytes of an `f32`.
const F32: u64 = 4;

/// How a tensor lies on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One `f32` a value.
    Expanded,
    /// The stored 4 or 8 bits a value, and a scale of `f32` a block: WebGPU has no `f16` unless the
    /// adapter offers it.
    Blocks,
    /// Two values of `f16` in a word of 32 bits.
    Halves,
}

/// The form of a tensor of a component that is larger than [`EXPANDED_LIMIT`], or what the pair sets
/// in its place.
pub fn form(shape: &[usize], encoding: Encoding) -> Form {
    let count: usize = shape.iter().product();
    if count < SMALLEST_HELD {
        return Form::Expanded;
    }
    match encoding {
        Encoding::Q8 | Encoding::Q4 => Form::Blocks,
        Encoding::F16 if count.is_multiple_of(2) => Form::Halves,
        Encoding::F32 | Encoding::F16 | Encoding::BF16 => Form::Expanded,
    }
}

/// Whether a tensor is a table of embeddings, of which a held component looks up rows: it stays in
/// the host's memory, and only the rows go to the device.
pub fn is_table(name: &str) -> bool {
    name.ends_with("token_embedding.weight")
}

/// Bytes of a tensor expanded to `f32`.
pub fn expanded_length(shape: &[usize]) -> u64 {
    shape.iter().map(|&size| size as u64).product::<u64>() * F32
}

/// The largest matrix of attention scores that is computed at once, in elements: 64 MiB of `f32`.
/// Beyond it the queries go in blocks, so that the scores of 1024 × 1024 pixels fit the smallest
/// WebGPU binding (128 MiB).
pub const MAXIMUM_SCORES: usize = 16 * 1024 * 1024;

/// An estimate of what a network computes with, beside its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activations {
    /// Bytes of the largest single buffer.
    pub largest_buffer: u64,
    /// Bytes of all that lives at once.
    pub peak: u64,
}

/// Copies of a residual block's map that live at once: its input, the normalized one, what its
/// convolution gives, and the same in the order of axes that the convolution's kernel works in.
const LIVE_COPIES: u64 = 4;

/// Channels of an attention head of SDXL.
const HEAD_WIDTH: u64 = 64;

/// The activations of one pass of a UNet of SDXL's kind, in `f32`.
///
/// `channels` has the width of each resolution, `attends` says which of them have transformers,
/// `layers` the residual blocks of a down block; `latent` is height and width, `batch` 2 where
/// classifier-free guidance runs both passes at once. What is large is
///
/// - the inner layer of a transformer's feed-forward network, 8 channels wide (values and gates) on
///   the first resolution that has transformers,
/// - the map that the last up block gets: its own channels and those of the skip connection,
/// - a block of attention scores, [`MAXIMUM_SCORES`] at most,
/// - and the skip connections, all of which wait for the way up.
pub fn unet_activations(
    channels: &[usize],
    attends: &[bool],
    layers: usize,
    [height, width]: [usize; 2],
    batch: usize,
) -> Activations {
    let mut largest = 0;
    let mut skips = 0;
    for (level, &width_here) in channels.iter().enumerate() {
        let tokens = (height.div_ceil(1 << level) * width.div_ceil(1 << level)) as u64;
        let pixels = batch as u64 * tokens;
        let own = width_here as u64;
        let below = channels.get(level + 1).map_or(own, |&next| next as u64);
        largest = largest.max(pixels * (own + below));
        if attends.get(level).copied().unwrap_or(false) {
            let scores = (MAXIMUM_SCORES as u64).min(pixels * tokens * (own / HEAD_WIDTH));
            largest = largest.max(pixels * 8 * own).max(scores);
        }
        // The residual blocks' outputs, and the downsampled map or the first convolution's.
        skips += pixels * own * (layers as u64 + 1);
    }
    Activations {
        largest_buffer: largest * F32,
        peak: (skips + LIVE_COPIES * largest) * F32,
    }
}

/// The activations of a VAE's decoder, in `f32`, that decodes the picture in one piece.
///
/// `channels` has the width of each resolution from the largest, as its config does; `picture` is
/// height and width in pixels. The widest map is the first one of full resolution: the upsampling
/// convolution gives it as many channels as the resolution below has. At 1024 × 1024 pixels that is
/// 1 GiB for SDXL's.
pub fn decoder_activations(channels: &[usize], [height, width]: [usize; 2]) -> Activations {
    let largest = channels
        .iter()
        .enumerate()
        .map(|(level, &own)| {
            let pixels = (height.div_ceil(1 << level) * width.div_ceil(1 << level)) as u64;
            pixels * channels.get(level + 1).map_or(own, |&below| below.max(own)) as u64
        })
        .max()
        .unwrap_or(0);
    Activations {
        largest_buffer: largest * F32,
        peak: LIVE_COPIES * largest * F32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn the_large_maps_of_sdxl_are_known() {
        let unet = |batch| {
            let attends = [false, true, true];
            unet_activations(&[320, 640, 1280], &attends, 2, [128, 128], batch)
        };
        // 64 × 64 tokens of 8 · 640 numbers.
        assert_eq!(unet(1).largest_buffer, 80 * MIB);
        assert_eq!(unet(2).largest_buffer, 160 * MIB);
        let decoder = decoder_activations(&[128, 256, 512, 512], [1024, 1024]);
        assert_eq!(decoder.largest_buffer, 1024 * MIB);
    }
}
