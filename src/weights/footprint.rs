//! The memory that a pair needs on the device, computed from shapes alone, before any download.
//!
//! Without burn: the engine holds its weights in the [`Form`]s that are decided here, and the loader's
//! pre-flight counts them by the same rules.

use super::format::encoding::Encoding;

/// The most bytes that a component's weights may take as `f32` to be expanded when they are loaded.
/// Weights of a larger component are *held*: they stay in the encoding of the store and are expanded
/// at each use, one layer at a time. SDXL's VAE (335 MB) is just below the limit, its text encoders
/// and UNets are above.
pub const EXPANDED_LIMIT: u64 = 384 * 1024 * 1024;

/// Values of the smallest tensor that is held. Smaller ones (normalizations, biases, the narrow
/// first and last layers) would save little memory and be expanded as often.
const SMALLEST_HELD: usize = 32 * 1024;

const F32: u64 = 4;

/// The form of a tensor in the device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One `f32` per value.
    Expanded,
    /// 4 or 8 bits per value as in the store, and one `f32` scale per block: WebGPU has no `f16` unless
    /// the adapter offers it.
    Blocks,
    /// Two `f16` values in a word of 32 bits.
    Halves,
}

/// The form of a tensor in a component that is held: one that takes more bytes as `f32` than
/// [`EXPANDED_LIMIT`], or than the pair's own limit.
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

/// Whether a tensor is a table of embeddings. Such a table stays in the host's memory, and only the
/// rows that are looked up go to the device.
pub fn is_table(name: &str) -> bool {
    name.ends_with("token_embedding.weight") || name.ends_with("position_embedding.weight")
}

/// Bytes of a tensor expanded to `f32`.
pub fn expanded_length(shape: &[usize]) -> u64 {
    shape.iter().map(|&size| size as u64).product::<u64>() * F32
}

/// The largest matrix of attention scores that is computed at once, in elements: 64 MiB of `f32`.
/// Beyond it the queries go in blocks, so that the scores of 1024 × 1024 pixels fit the smallest
/// WebGPU binding (128 MiB).
pub const MAXIMUM_SCORES: usize = 16 * 1024 * 1024;

/// An estimate of the memory that a network needs beside its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activations {
    /// Bytes of the largest single buffer.
    pub largest_buffer: u64,
    /// The most bytes that are live at once.
    pub peak: u64,
}

/// Maps of a residual block that are live at once: its input, the normalized input, its convolution's
/// output, and that output in the order of axes in which the convolution's kernel works.
const LIVE_COPIES: u64 = 4;

/// Channels of an attention head of SDXL.
const HEAD_WIDTH: u64 = 64;

/// The activations of one pass of a UNet of SDXL's kind, in `f32`.
///
/// `channels` has the width of each resolution, `attends` says which of them have transformers,
/// and `layers` is the number of residual blocks in a down block. `batch` is 2 where classifier-free
/// guidance runs both passes at once. The large maps are
///
/// - the inner layer of a transformer's feed-forward network, 8 channels wide (values and gates) on
///   the first resolution that has transformers,
/// - the map that the last up block gets: its own channels and those of the skip connection,
/// - a block of attention scores, [`MAXIMUM_SCORES`] at most,
/// - and the skip connections, all of which stay until the up blocks.
///
/// # Shapes
/// The last but one argument is the latent's height and width.
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

/// The most samples that go through a UNet together: more would hardly be faster even where a picture is
/// small, and the visitor would wait for all of them.
pub const MOST_SAMPLES: usize = 8;

/// The samples that go through a UNet together on an adapter: 1, 2, 4 or 8. `activations` has those of so
/// many samples.
///
/// Browsers don't tell how much memory a graphics card has. The largest buffer that an adapter allows
/// grows with it, from a quarter of a gigabyte to four; a quarter of that is for the activations, beside
/// weights and all else. No buffer may be larger than the adapter allows.
pub fn most_samples(
    activations: impl Fn(usize) -> Activations,
    buffer: u64,
    binding: u64,
) -> usize {
    let fits = |samples: &usize| {
        let Activations {
            largest_buffer,
            peak,
        } = activations(*samples);
        largest_buffer <= buffer.min(binding) && peak <= buffer / 4
    };
    [MOST_SAMPLES, 4, 2].into_iter().find(fits).unwrap_or(1)
}

/// The activations, in `f32`, of a VAE's decoder that decodes the picture in one piece.
///
/// `channels` has the width of each resolution from the largest, as the VAE's config has. The widest
/// map is the first one of full resolution: the upsampling convolution gives it as many channels as
/// the resolution below has. For SDXL's VAE at 1024 × 1024 pixels that map takes 1 GiB.
///
/// # Shapes
/// The last argument is the picture's height and width in pixels.
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
        // A card that allows little gets one sample, whatever that takes.
        let samples = |side: usize, buffer: u64| {
            let attends = [false, true, true];
            let of = |batch| unet_activations(&[320, 640, 1280], &attends, 2, [side, side], batch);
            most_samples(of, buffer, buffer)
        };
        assert_eq!(samples(128, 128 * MIB), 1);
        assert_eq!(samples(128, 2048 * MIB), 1);
        assert_eq!(samples(128, 4096 * MIB), 2);
        assert_eq!(samples(64, 2048 * MIB), 4);
        assert_eq!(samples(32, 2048 * MIB), 8);
        let decoder = decoder_activations(&[128, 256, 512, 512], [1024, 1024]);
        assert_eq!(decoder.largest_buffer, 1024 * MIB);
    }
}
