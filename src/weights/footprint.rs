//! The memory that a pair needs on the device, computed from shapes alone, before any download.
//!
//! Without burn: which weights the engine holds as they are stored is decided here, and into which tiles it
//! cuts pictures; the loader's pre-flight counts by the same rules.

use std::ops::Range;

use serde_json::Value;

use super::format::encoding::Encoding;
use super::format::rules::{EncodingRule, target_encoding};
use crate::browser::adapter_limits::SMALLEST_BINDING;

/// The most bytes that a component's weights may take as `f32` to be expanded when they are loaded.
/// Weights of a larger component are *held*: they stay in the encoding of the store and are expanded
/// at each use, one layer at a time. SDXL's VAE (335 MB) is just below the limit, its text encoders
/// and UNets are above.
pub const EXPANDED_LIMIT: u64 = 384 * 1024 * 1024;

/// Values of the smallest tensor that is held. Smaller ones (normalizations, biases, the narrow
/// first and last layers) would save little memory and be expanded as often.
const SMALLEST_HELD: usize = 32 * 1024;

const F32: u64 = 4;

/// Whether a tensor of a component that is held is held itself, in the encoding in which it is stored. A
/// component is held where it takes more bytes as `f32` than [`EXPANDED_LIMIT`], or than the pair's own
/// limit.
pub fn is_held(shape: &[usize], encoding: Encoding) -> bool {
    let count: usize = shape.iter().product();
    count >= SMALLEST_HELD
        && match encoding {
            Encoding::Q8 | Encoding::Q4 => true,
            Encoding::F16 => count.is_multiple_of(2),
            Encoding::F32 | Encoding::BF16 => false,
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

/// The activations of a part of a model, while it computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// The part, as a clause may name it.
    pub part: &'static str,
    /// Bytes of its largest map.
    pub largest: u64,
    /// The most bytes that are live at once.
    pub bytes: u64,
}

/// What a network needs beside its weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activations {
    /// Bytes of the largest single buffer.
    pub largest_buffer: u64,
    /// The most bytes that are live at once.
    pub peak: u64,
}

impl Activations {
    /// Those of parts that compute one after the other.
    pub fn of(parts: &[Live]) -> Self {
        Self {
            largest_buffer: parts.iter().map(|part| part.largest).max().unwrap_or(0),
            peak: parts.iter().map(|part| part.bytes).max().unwrap_or(0),
        }
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

/// Bytes of an activation: `f16` where the adapter computes with it, else `f32`.
pub fn activation_length(has_f16: bool) -> u64 {
    if has_f16 { 2 } else { F32 }
}

/// Tokens of a prompt, of all of SDXL's text encoders.
const TEXT_TOKENS: u64 = 77;

/// What the memory of a UNet depends on, of its config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UNetShape {
    /// Channels of each resolution, from the largest.
    pub channels: Vec<usize>,
    /// Transformer blocks after each residual block of a resolution; 0: it has no transformers.
    pub depths: Vec<usize>,
    /// Residual blocks in a down block; an up block has one more.
    pub layers: usize,
    /// Width of the text's hidden states.
    pub context: usize,
}

impl UNetShape {
    /// Of a `config.json`. What it lacks is taken as SDXL has it: whether the config can be used at all is
    /// checked where the model is built.
    pub fn of(config: &Value) -> Self {
        let channels = numbers(config.get("block_out_channels"));
        let depth = config.get("transformer_layers_per_block");
        let kinds = config.get("down_block_types").and_then(Value::as_array);
        let depths = kinds
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(block, kind)| {
                if !kind.as_str().is_some_and(|kind| kind.contains("CrossAttn")) {
                    return 0;
                }
                let own = depth.and_then(|depth| depth.get(block).or(Some(depth)));
                own.and_then(Value::as_u64).unwrap_or(1) as usize
            });
        Self {
            channels,
            depths: depths.collect(),
            layers: number(config.get("layers_per_block"), 2),
            context: number(config.get("cross_attention_dim"), 2048),
        }
    }

    /// Numbers of transformer blocks, with their channels: of the down blocks, the middle and the up
    /// blocks together.
    fn transformer_blocks(&self) -> impl Iterator<Item = (u64, u64)> {
        let last = self.channels.len().saturating_sub(1);
        let levels = self.channels.iter().zip(&self.depths).enumerate();
        levels.map(move |(level, (&channels, &depth))| {
            let layers = 2 * self.layers + 1 + usize::from(level == last);
            ((layers * depth) as u64, channels as u64)
        })
    }

    /// Values of the weights of all 3 × 3 convolutions.
    pub fn convolution_values(&self) -> u64 {
        let channels = |level: usize| self.channels.get(level).map_or(0, |&own| own as u64);
        let resnet = |input: u64, output: u64| 9 * (input + output) * output;
        let last = self.channels.len().saturating_sub(1);
        let mut skips = vec![channels(0)];
        let mut input = channels(0);
        let mut values = 0;
        for level in 0..=last {
            for _ in 0..self.layers {
                values += resnet(input, channels(level));
                input = channels(level);
                skips.push(input);
            }
            if level < last {
                values += 9 * input * input;
                skips.push(input);
            }
        }
        values += 2 * resnet(input, input);
        for level in (0..=last).rev() {
            for _ in 0..=self.layers {
                values += resnet(input + skips.pop().unwrap_or(0), channels(level));
                input = channels(level);
            }
            if level > 0 {
                values += 9 * input * input;
            }
        }
        values
    }

    /// Bytes of the weights that the model puts beside each other to launch them as one: those of
    /// queries, keys and values, and of the keys and values of the text. A model whose weights another
    /// one shares has a copy of them.
    pub fn joined_weights(&self, rules: &[EncodingRule]) -> u64 {
        let length = |name: &str, shape: [usize; 2]| {
            let (encoding, _) = target_encoding(rules, name, &shape, Encoding::F16);
            encoding.byte_length(&shape).unwrap_or(0) as u64
        };
        let context = self.context;
        self.transformer_blocks()
            .map(|(blocks, channels)| {
                let channels = channels as usize;
                let own = length("blocks.0.attn1.to_q.weight", [3 * channels, channels]);
                let text = length("blocks.0.attn2.to_k.weight", [2 * channels, context]);
                blocks * (own + text)
            })
            .sum()
    }
}

/// Bytes of the keys and values of the text for a batch of both models of a pair, which are the same at
/// every step and stay from the first to the last.
pub fn texts_length(shape: &UNetShape, batch: usize, length: u64) -> u64 {
    const MODELS: u64 = 2;
    let blocks = shape.transformer_blocks();
    let values: u64 = blocks
        .map(|(blocks, channels)| blocks * 2 * channels * TEXT_TOKENS)
        .sum();
    MODELS * batch as u64 * values * length
}

/// The maps of a pass of a UNet, part by part. In each part, the skip connections are live that the up
/// blocks have not taken yet, and the text's keys and values. `length` is that of a number, see [`activation_length`].
///
/// # Shapes
/// The last but two argument is the latent's height and width.
pub fn unet_maps(
    shape: &UNetShape,
    [height, width]: [usize; 2],
    batch: usize,
    length: u64,
) -> Vec<Live> {
    let texts = texts_length(shape, batch, length);
    let batch = batch as u64;
    // A row of a map of each resolution: a value for each pixel of all images.
    let row = |level: usize| {
        let pixels = height.div_ceil(1 << level) * width.div_ceil(1 << level);
        batch * pixels as u64 * length
    };
    let mut parts = Parts::default();
    let channels = |level: usize| shape.channels.get(level).map_or(0, |&own| own as u64);
    let attends = |level: usize| shape.depths.get(level).is_some_and(|&depth| depth > 0);
    let levels = shape.channels.len();
    let first = row(0) * channels(0);
    let mut skips = vec![first];
    let mut input = first;
    for level in 0..levels {
        let output = row(level) * channels(level);
        for _ in 0..shape.layers {
            // The input is the last of the skip connections.
            let kept = texts + skips.iter().sum::<u64>();
            parts.resnet(
                "a residual block on the way down",
                kept - input,
                [input, 0, output],
            );
            if attends(level) {
                parts.transformer("a transformer on the way down", kept, output);
            }
            skips.push(output);
            input = output;
        }
        if level + 1 < levels {
            input = row(level + 1) * channels(level);
            let kept = texts + skips.iter().sum::<u64>();
            parts.note("a downsampling convolution", kept, &[input]);
            skips.push(input);
        }
    }
    let last = levels.saturating_sub(1);
    let kept = texts + skips.iter().sum::<u64>();
    parts.resnet("the middle", kept - input, [input, 0, input]);
    if attends(last) {
        parts.transformer("the middle", kept, input);
    }
    for level in (0..levels).rev() {
        let output = row(level) * channels(level);
        for _ in 0..=shape.layers {
            let skip = skips.pop().unwrap_or(0);
            let kept = texts + skips.iter().sum::<u64>();
            parts.resnet(
                "a residual block on the way up",
                kept,
                [input, skip, output],
            );
            if attends(level) {
                parts.transformer("a transformer on the way up", kept, output);
            }
            input = output;
        }
        if let Some(above) = level.checked_sub(1) {
            let doubled = row(above) * channels(level);
            let kept = texts + skips.iter().sum::<u64>();
            parts.note("an upsampling convolution", kept, &[input, doubled]);
            input = doubled;
        }
    }
    parts.0
}

/// The parts of a model, one after the other.
#[derive(Default)]
struct Parts(Vec<Live>);

impl Parts {
    /// Maps that are live at once beside `kept` bytes.
    fn note(&mut self, part: &'static str, kept: u64, maps: &[u64]) {
        self.0.push(Live {
            part,
            largest: maps.iter().copied().max().unwrap_or(0),
            bytes: kept + maps.iter().sum::<u64>(),
        });
    }

    /// A residual block over an input, a skip connection beside it (0: none) and an output.
    fn resnet(&mut self, part: &'static str, kept: u64, [input, skip, output]: [u64; 3]) {
        let both = input + skip;
        // The first convolution, whose input is normalized; and the shortcut, beside the second
        // convolution's normalized input, and then that convolution.
        self.note(part, kept, &[input, skip, both, output]);
        self.note(part, kept, &[input, skip, output, output, output]);
    }

    /// A transformer over a map; the feed-forward network's inner layer is four times as wide.
    fn transformer(&mut self, part: &'static str, kept: u64, map: u64) {
        // Beside the input, the hidden states and the normalized ones: three projections, and where they
        // can't be one launch the same put together; or the feed-forward network and its output.
        self.note(part, kept, &[map, map, map, 3 * map, 2 * map]);
        self.note(part, kept, &[map, map, 4 * map, map]);
    }
}

/// What the memory of a VAE's decoder depends on, of its config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecoderShape {
    /// Channels of each resolution, from the largest.
    pub channels: Vec<usize>,
    /// Residual blocks per resolution of the encoder; the decoder has one more.
    pub layers: usize,
    /// Whether its numbers are too large for `f16`.
    pub needs_f32: bool,
}

impl DecoderShape {
    /// Of a `config.json`, as [`UNetShape::of`].
    pub fn of(config: &Value) -> Self {
        let is_set = |value: &Value| value.as_bool();
        Self {
            channels: numbers(config.get("block_out_channels")),
            layers: number(config.get("layers_per_block"), 2),
            needs_f32: config.get("force_upcast").and_then(is_set).unwrap_or(true),
        }
    }

    /// The share of the values of the whole VAE that are the decoder's.
    pub fn share(&self) -> f64 {
        let resnet = |input: u64, output: u64| {
            let shortcut = if input == output { 0 } else { input * output };
            9 * (input + output) * output + shortcut
        };
        let half = |channels: &mut dyn Iterator<Item = u64>, layers: u64| {
            let mut values = 0;
            let mut input = None;
            for own in channels {
                values += resnet(input.unwrap_or(own), own) + (layers - 1) * resnet(own, own);
                // The convolution that changes the size, of all but the last.
                values += 9 * own * own;
                input = Some(own);
            }
            values - input.map_or(0, |own| 9 * own * own)
        };
        let channels = || self.channels.iter().map(|&own| own as u64);
        let widest = channels().next_back().unwrap_or(0);
        let middle = 2 * resnet(widest, widest) + 4 * widest * widest;
        let layers = self.layers as u64;
        let encoder = middle + half(&mut channels(), layers);
        let decoder = middle + half(&mut channels().rev(), layers + 1);
        if encoder + decoder == 0 {
            return 1.0;
        }
        decoder as f64 / (encoder + decoder) as f64
    }
}

/// Bytes of the largest map that a decoder makes where nothing asks for less: the smallest binding that
/// WebGPU promises.
pub const LARGEST_MAP: u64 = SMALLEST_BINDING as u64;

/// Latent pixels that two tiles of a picture have in common: each is blended with the other over all of
/// them.
pub const TILE_OVERLAP: usize = 8;

/// The least height and width of a tile, in latent pixels: of smaller ones, three would have pixels in
/// common.
const SMALLEST_TILE: usize = 22;

/// The height and width, in latent pixels, of the largest square tile whose widest map takes no more than
/// so many bytes as `f32`: one of full resolution, with so many channels. A latent pixel covers `factor`
/// pixels in each direction.
pub fn largest_tile(channels: usize, factor: usize, batch: usize, largest_map: u64) -> usize {
    let length = F32 * (batch * channels).max(1) as u64;
    let pixels = (largest_map / length).isqrt() as usize;
    (pixels / factor.max(1)).max(SMALLEST_TILE)
}

/// Ranges of about the same length, `most` at most, that cover `length` and overlap.
pub fn tiles(length: usize, most: usize, overlap: usize) -> Vec<Range<usize>> {
    if length <= most {
        return std::iter::once(0..length).collect();
    }
    let count = (length - overlap).div_ceil(most.saturating_sub(overlap).max(1));
    let size = (length + (count - 1) * overlap).div_ceil(count);
    (0..count)
        .map(|index| {
            let start = index * (length - size) / (count - 1);
            start..start + size
        })
        .collect()
}

/// Bytes of the scores and of the weights of the VAE's attention that are computed at once, as `f32`.
const DECODER_SCORES: u64 = 2 * 16 * 1024 * 1024;

/// Whole pictures of three `f32` values a pixel that the end of a decoder makes of its tiles: blended in
/// one direction, then in the other, and in the order in which they are read.
const PICTURES: u64 = 3;

/// The maps of a VAE's decoder, part by part: the latent's own resolution in one piece, and what follows
/// in tiles where a map would be larger than `largest_map` bytes. `length` is that of a number, see
/// [`activation_length`].
///
/// # Shapes
/// The second argument is the latent's height and width.
pub fn decoder_maps(
    shape: &DecoderShape,
    [height, width]: [usize; 2],
    largest_map: u64,
    length: u64,
) -> Vec<Live> {
    let length = if shape.needs_f32 { F32 } else { length };
    let factor = 1 << shape.channels.len().saturating_sub(1);
    let widest = shape.channels.iter().take(2).copied().max().unwrap_or(0);
    let most = largest_tile(widest, factor, 1, largest_map);
    let [tile_height, tile_width] =
        [height, width].map(|size| longest(&tiles(size, most, TILE_OVERLAP)));
    let mut parts = Parts::default();
    let channels: Vec<u64> = shape.channels.iter().rev().map(|&own| own as u64).collect();
    let deepest = channels.first().copied().unwrap_or(0);
    let map = (height * width) as u64 * deepest * length;
    parts.resnet("the VAE's first resolution", 0, [map, 0, map]);
    // Beside the input and the normalized map: queries, keys and values together and apart, and the
    // output block by block and put together.
    let pixels = (height * width) as u64;
    let scores = (DECODER_SCORES / F32 / 2).min(pixels * pixels) * length;
    let attention = [map, map, 3 * map, map, map, map, map, map, scores, scores];
    parts.note("the VAE's attention", 0, &attention);
    let picture = (height * width * factor * factor) as u64 * 3 * F32;
    let is_tiled = (tile_height, tile_width) != (height, width);
    // The whole first resolution, and what is finished of the picture.
    let kept = if is_tiled { map + picture } else { 0 };
    let mut pixels = (tile_height * tile_width) as u64 * length;
    let mut input = pixels * deepest;
    for (stage, own) in channels.iter().enumerate() {
        let output = pixels * own;
        if stage > 0 {
            parts.resnet("a tile of the VAE", kept, [input, 0, output]);
        }
        if stage + 1 < channels.len() {
            pixels *= 4;
            let doubled = pixels * own;
            parts.note("an upsampled tile of the VAE", kept, &[output, doubled]);
            input = doubled;
        }
    }
    parts.note("the decoded picture", 0, &[picture; PICTURES as usize]);
    parts.0
}

/// The maps of a tiny decoder, whose residual blocks have a width for each resolution, the lowest first.
/// As [`decoder_maps`].
///
/// # Shapes
/// The second argument is the latent's height and width.
pub fn tiny_decoder_maps(
    channels: &[usize],
    [height, width]: [usize; 2],
    largest_map: u64,
    length: u64,
) -> Vec<Live> {
    let factor = 1 << channels.len().saturating_sub(1);
    let widest = channels.iter().copied().max().unwrap_or(0);
    let most = largest_tile(widest, factor, 1, largest_map);
    let [tile_height, tile_width] =
        [height, width].map(|size| longest(&tiles(size, most, TILE_OVERLAP)));
    let picture = (height * width * factor * factor) as u64 * 3 * F32;
    let pixels = (tile_height * tile_width * factor * factor) as u64;
    let map = pixels * widest as u64 * length;
    let mut parts = Parts::default();
    // A block's input, two of its convolutions' outputs, and what comes after the last activation.
    parts.note("a tile of a preview", picture, &[map; 4]);
    parts.note("a preview", 0, &[picture; PICTURES as usize]);
    parts.0
}

fn longest(tiles: &[Range<usize>]) -> usize {
    tiles.iter().map(ExactSizeIterator::len).max().unwrap_or(0)
}

/// The numbers of a config's list.
pub fn numbers(list: Option<&Value>) -> Vec<usize> {
    let numbers = list.and_then(Value::as_array).into_iter().flatten();
    numbers
        .filter_map(|number| Some(number.as_u64()? as usize))
        .collect()
}

fn number(value: Option<&Value>, otherwise: usize) -> usize {
    let number = value.and_then(Value::as_u64);
    number.map_or(otherwise, |number| number as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn sdxl() -> UNetShape {
        UNetShape {
            channels: vec![320, 640, 1280],
            depths: vec![0, 2, 10],
            layers: 2,
            context: 2048,
        }
    }

    fn sdxl_vae() -> DecoderShape {
        DecoderShape {
            channels: vec![128, 256, 512, 512],
            layers: 2,
            needs_f32: false,
        }
    }

    #[test]
    fn the_large_maps_of_sdxl_are_known() {
        let of = |batch, length| Activations::of(&unet_maps(&sdxl(), [128, 128], batch, length));
        // 128 × 128 pixels of 320 channels and the 640 of the resolution below.
        assert_eq!(of(1, 2).largest_buffer, 30 * MIB);
        assert_eq!(of(1, 4).largest_buffer, 60 * MIB);
        assert_eq!(of(2, 4).largest_buffer, 120 * MIB);
        // 12.8 million keys and values of the text.
        let blocks: u64 = sdxl().transformer_blocks().map(|(blocks, _)| blocks).sum();
        assert_eq!(blocks, 70);
        assert!(of(1, 2).peak < 180_000_000, "{:?}", of(1, 2));
        assert!(of(1, 2).peak > 120_000_000, "{:?}", of(1, 2));
        assert_eq!(of(1, 4).peak, 2 * of(1, 2).peak);
    }

    #[test]
    fn no_map_of_a_decoder_is_larger_than_the_smallest_binding() {
        for size in [64, 96, 128, 192, 256] {
            for length in [2, 4] {
                let vae = decoder_maps(&sdxl_vae(), [size; 2], LARGEST_MAP, length);
                let tiny = tiny_decoder_maps(&[64; 4], [size; 2], LARGEST_MAP, length);
                for parts in [vae, tiny] {
                    let found = Activations::of(&parts).largest_buffer;
                    // The latent's own resolution is in one piece.
                    let whole = (size * size) as u64 * 3 * 512 * length;
                    assert!(found <= LARGEST_MAP.max(whole), "{size}: {parts:?}");
                }
            }
        }
    }

    #[test]
    fn a_vae_has_more_in_its_decoder() {
        // Of 83.7 million values, 34.2 are the encoder's.
        let share = sdxl_vae().share();
        assert!((share - 49.5 / 83.7).abs() < 0.002, "{share}");
    }

    #[test]
    fn tiles_cover_all_and_overlap() {
        for (length, most) in [(128, 45), (128, 64), (96, 45), (160, 45), (46, 45)] {
            let tiles = tiles(length, most, TILE_OVERLAP);
            assert_eq!(tiles.first().map(|tile| tile.start), Some(0));
            assert_eq!(tiles.last().map(|tile| tile.end), Some(length));
            for pair in tiles.windows(2) {
                if let [first, second] = pair {
                    assert!(first.end >= second.start + TILE_OVERLAP, "{tiles:?}");
                }
            }
            assert!(tiles.iter().all(|tile| tile.len() <= most), "{tiles:?}");
        }
        assert_eq!(tiles(128, 45, TILE_OVERLAP).len(), 4);
        for (length, most) in (1..300).flat_map(|length| [(length, 22), (length, 23)]) {
            for three in tiles(length, most, TILE_OVERLAP).windows(3) {
                if let [first, _, third] = three {
                    assert!(third.start > first.end, "{length}, {most}: {three:?}");
                }
            }
        }
    }

    #[test]
    fn a_card_that_allows_little_gets_one_sample() {
        let samples = |side: usize, buffer: u64| {
            let of = |batch| Activations::of(&unet_maps(&sdxl(), [side, side], batch, 4));
            most_samples(of, buffer, buffer)
        };
        assert_eq!(samples(128, 128 * MIB), 1);
        assert_eq!(samples(128, 4096 * MIB), 2);
        // The text takes the same for a small picture.
        assert_eq!(samples(32, 2048 * MIB), 4);
        assert_eq!(samples(32, 8192 * MIB), 8);
    }
}
