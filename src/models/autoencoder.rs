//! diffusers' `AutoencoderKL`: pixels ↔ latents. Its halves are models of their own: a pair only
//! decodes, and has no encoder on its device.

use burn::tensor::Tensor;
use serde::Deserialize;

use super::attention::SelfAttention;
use super::error::ModelError;
use super::error::parse_config;
use super::layers::{Conv2d, GroupNorm, PixelConv, channels_first, channels_last};
use super::resnet::{ResnetBlock, ResnetShape};
use super::tiling::in_tiles;
use super::weights::Weights;
use crate::kernels::{self, Activation, After, Sampling};
use crate::weights::footprint::{self, TILE_OVERLAP, tiles};

const COMPONENT: &str = "vae";
/// diffusers' constant for all normalizations of its VAEs.
const EPSILON: f64 = 1e-6;

/// `vae/config.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct AutoencoderConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Channels of the decoded picture.
    pub out_channels: usize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels of each resolution, from the largest.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per resolution of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Groups of the normalizations.
    pub norm_num_groups: usize,
    /// What an encoded latent is multiplied by, so that its variance is near 1.
    pub scaling_factor: f64,
    /// Whether the weights make numbers that are too large for `f16`; diffusers takes this for granted.
    #[serde(default = "yes")]
    pub force_upcast: bool,
    /// Whether the middle has self-attention.
    #[serde(default = "yes")]
    pub mid_block_add_attention: bool,
    /// Whether a 1 × 1 convolution follows the encoder.
    #[serde(default = "yes")]
    pub use_quant_conv: bool,
    /// Whether a 1 × 1 convolution precedes the decoder.
    #[serde(default = "yes")]
    pub use_post_quant_conv: bool,
}

fn yes() -> bool {
    true
}

impl AutoencoderConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// A field is missing or malformed, or asks for something that SDXL has not.
    pub fn from_json(config: &serde_json::Value) -> Result<Self, ModelError> {
        for (option, block) in [
            ("down_block_types", "DownEncoderBlock2D"),
            ("up_block_types", "UpDecoderBlock2D"),
        ] {
            let types = config.get(option).unwrap_or(&serde_json::Value::Null);
            let usual = types
                .as_array()
                .is_some_and(|types| types.iter().all(|kind| kind == block));
            if !usual {
                return Err(ModelError::Unsupported {
                    component: COMPONENT,
                    option,
                    value: types.to_string(),
                });
            }
        }
        for option in ["shift_factor", "latents_mean", "latents_std"] {
            let value = config.get(option).unwrap_or(&serde_json::Value::Null);
            if !value.is_null() {
                return Err(ModelError::Unsupported {
                    component: COMPONENT,
                    option,
                    value: value.to_string(),
                });
            }
        }
        let parsed: Self = parse_config(COMPONENT, config)?;
        let divisible = parsed.norm_num_groups > 0
            && parsed
                .block_out_channels
                .iter()
                .all(|channels| channels % parsed.norm_num_groups == 0);
        if !(1..=8).contains(&parsed.block_out_channels.len()) || !divisible {
            return Err(ModelError::Config {
                component: COMPONENT,
                reason: "block_out_channels has no or too many entries, or one that norm_num_groups doesn't divide".into(),
            });
        }
        if config.get("act_fn").is_some_and(|name| name != "silu") {
            return Err(ModelError::Unsupported {
                component: COMPONENT,
                option: "act_fn",
                value: config["act_fn"].to_string(),
            });
        }
        Ok(parsed)
    }

    /// How many pixels a latent pixel covers in each direction.
    pub fn downscale_factor(&self) -> u32 {
        1 << (self.block_out_channels.len() - 1)
    }

    /// The height and width, in latent pixels, of the largest square tile whose widest map takes no more
    /// than so many bytes as `f32`: the first map of full resolution, with the channels of the one
    /// below.
    fn largest_tile(&self, batch: usize, largest_map: usize) -> usize {
        let channels = self.block_out_channels.iter().take(2).copied().max();
        let factor = self.downscale_factor() as usize;
        footprint::largest_tile(channels.unwrap_or(1), factor, batch, largest_map as u64)
    }

    fn resnet(&self, input: usize, output: usize) -> ResnetShape {
        ResnetShape {
            input,
            output,
            time_embedding: None,
            groups: self.norm_num_groups,
            epsilon: EPSILON,
        }
    }
}

/// Residual blocks around a self-attention over the pixels.
struct MidBlock {
    resnet_in: ResnetBlock,
    attention: Option<(GroupNorm, SelfAttention)>,
    resnet_out: ResnetBlock,
}

impl MidBlock {
    fn load(
        weights: &mut Weights,
        path: &str,
        config: &AutoencoderConfig,
        channels: usize,
    ) -> Result<Self, ModelError> {
        let shape = config.resnet(channels, channels);
        let attention = if config.mid_block_add_attention {
            let path = format!("{path}.attentions.0");
            Some((
                GroupNorm::load(
                    weights,
                    &format!("{path}.group_norm"),
                    channels,
                    config.norm_num_groups,
                    EPSILON,
                )?,
                SelfAttention::load(weights, &path, channels, 1, true)?,
            ))
        } else {
            None
        };
        Ok(Self {
            resnet_in: ResnetBlock::load(weights, &format!("{path}.resnets.0"), shape)?,
            attention,
            resnet_out: ResnetBlock::load(weights, &format!("{path}.resnets.1"), shape)?,
        })
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut hidden = self.resnet_in.forward(input, None, None);
        if let Some((norm, attention)) = &self.attention {
            let [batch, height, width, channels] = hidden.dims();
            let tokens = [batch, height * width, channels];
            let normed = norm.forward(hidden.clone(), Activation::Identity);
            hidden = attention
                .forward(&normed.reshape(tokens), hidden.reshape(tokens))
                .reshape([batch, height, width, channels]);
        }
        self.resnet_out.forward(hidden, None, None)
    }
}

/// One resolution: residual blocks and the convolution that changes the size, if any.
struct Stage {
    resnets: Vec<ResnetBlock>,
    resample: Option<Conv2d>,
}

impl Stage {
    /// Takes `layers` residual blocks under `{path}`, the first of which gets `input` channels, and
    /// the convolution `{path}.{resample}` where there is one.
    fn load(
        weights: &mut Weights,
        path: &str,
        config: &AutoencoderConfig,
        (input, output): (usize, usize),
        layers: usize,
        resample: Option<&str>,
    ) -> Result<Self, ModelError> {
        let mut resnets = Vec::with_capacity(layers);
        for layer in 0..layers {
            let shape = config.resnet(if layer == 0 { input } else { output }, output);
            let path = format!("{path}.resnets.{layer}");
            resnets.push(ResnetBlock::load(weights, &path, shape)?);
        }
        let resample = match resample {
            Some(name) => {
                let path = format!("{path}.{name}");
                Some(Conv2d::load(weights, &path, output, output)?)
            }
            None => None,
        };
        Ok(Self { resnets, resample })
    }
}

/// The half of SDXL's variational autoencoder that makes latents of pictures.
pub struct AutoencoderKlEncoder {
    conv_in: Conv2d,
    stages: Vec<Stage>,
    mid_block: MidBlock,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    quant_conv: Option<PixelConv>,
}

impl AutoencoderKlEncoder {
    /// Whether a tensor of the component is one of the encoder's.
    pub fn owns(name: &str) -> bool {
        name.starts_with("encoder.") || name.starts_with("quant_conv.")
    }

    /// Builds the encoder from the tensors that it [owns](Self::owns).
    ///
    /// # Errors
    /// A tensor is missing, misshapen or left over.
    pub fn load(config: &AutoencoderConfig, mut weights: Weights) -> Result<Self, ModelError> {
        let encoder = Self::take(config, &mut weights)?;
        weights.finish()?;
        Ok(encoder)
    }

    /// Takes the encoder's tensors.
    pub(super) fn take(
        config: &AutoencoderConfig,
        weights: &mut Weights,
    ) -> Result<Self, ModelError> {
        let channels = &config.block_out_channels;
        let last = channels.len() - 1;
        let moments = 2 * config.latent_channels;
        let mut input = channels[0];
        let mut stages = Vec::new();
        for (block, &output) in channels.iter().enumerate() {
            let path = format!("encoder.down_blocks.{block}");
            let downsampler = (block < last).then_some("downsamplers.0.conv");
            let layers = config.layers_per_block;
            let widths = (input, output);
            let mut stage = Stage::load(weights, &path, config, widths, layers, downsampler)?;
            stage.resample = stage
                .resample
                .map(|conv| conv.halving(Sampling::HalvedAtEnd));
            stages.push(stage);
            input = output;
        }
        Ok(Self {
            conv_in: Conv2d::load(weights, "encoder.conv_in", config.in_channels, channels[0])?,
            stages,
            mid_block: MidBlock::load(weights, "encoder.mid_block", config, input)?,
            conv_norm_out: GroupNorm::load(
                weights,
                "encoder.conv_norm_out",
                input,
                config.norm_num_groups,
                EPSILON,
            )?,
            conv_out: Conv2d::load(weights, "encoder.conv_out", input, moments)?,
            quant_conv: if config.use_quant_conv {
                Some(PixelConv::load(weights, "quant_conv", moments, moments)?)
            } else {
                None
            },
        })
    }

    /// The posterior's moments of pictures in −1…1: mean and logarithm of the variance, side by
    /// side along the channels, without the scaling factor.
    ///
    /// # Shapes
    /// - pixels: `[batch, 3, height, width]`
    /// - output: `[batch, 2 · latent_channels, height / f, width / f]`
    pub fn encode(&self, pixels: Tensor<4>) -> Tensor<4> {
        let pixels = channels_last(pixels);
        let mut hidden = self.conv_in.forward(pixels, After::default());
        for stage in &self.stages {
            for resnet in &stage.resnets {
                hidden = resnet.forward(hidden, None, None);
            }
            if let Some(downsampler) = &stage.resample {
                hidden = downsampler.forward(hidden, After::default());
            }
        }
        let hidden = self.mid_block.forward(hidden);
        let normed = self.conv_norm_out.forward(hidden, Activation::Silu);
        let moments = self.conv_out.forward(normed, After::default());
        channels_first(match &self.quant_conv {
            Some(conv) => conv.forward(moments, None),
            None => moments,
        })
    }
}

/// The half of SDXL's variational autoencoder that makes pictures of latents.
pub struct AutoencoderKlDecoder {
    config: AutoencoderConfig,
    post_quant_conv: Option<PixelConv>,
    conv_in: Conv2d,
    mid_block: MidBlock,
    stages: Vec<Stage>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl AutoencoderKlDecoder {
    /// Builds the decoder from all of the component's tensors but those that the
    /// [encoder owns](AutoencoderKlEncoder::owns).
    ///
    /// # Errors
    /// A tensor is missing, misshapen or left over.
    pub fn load(config: AutoencoderConfig, mut weights: Weights) -> Result<Self, ModelError> {
        let decoder = Self::take(config, &mut weights)?;
        weights.finish()?;
        Ok(decoder)
    }

    /// Takes the decoder's tensors.
    pub(super) fn take(
        config: AutoencoderConfig,
        weights: &mut Weights,
    ) -> Result<Self, ModelError> {
        let channels = &config.block_out_channels;
        let last = channels.len() - 1;
        let latent = config.latent_channels;
        let mut input = channels[last];
        let mut stages = Vec::new();
        for (block, &output) in channels.iter().rev().enumerate() {
            let path = format!("decoder.up_blocks.{block}");
            let upsampler = (block < last).then_some("upsamplers.0.conv");
            let layers = config.layers_per_block + 1;
            let widths = (input, output);
            stages.push(Stage::load(
                weights, &path, &config, widths, layers, upsampler,
            )?);
            input = output;
        }
        Ok(Self {
            post_quant_conv: if config.use_post_quant_conv {
                Some(PixelConv::load(weights, "post_quant_conv", latent, latent)?)
            } else {
                None
            },
            conv_in: Conv2d::load(weights, "decoder.conv_in", latent, channels[last])?,
            mid_block: MidBlock::load(weights, "decoder.mid_block", &config, channels[last])?,
            stages,
            conv_norm_out: GroupNorm::load(
                weights,
                "decoder.conv_norm_out",
                channels[0],
                config.norm_num_groups,
                EPSILON,
            )?,
            conv_out: Conv2d::load(
                weights,
                "decoder.conv_out",
                channels[0],
                config.out_channels,
            )?,
            config,
        })
    }

    /// The config that the decoder was built from.
    pub fn config(&self) -> &AutoencoderConfig {
        &self.config
    }

    /// Pictures in about −1…1 of latents as the sampler has them (with the scaling factor). Where the
    /// largest map would take more than `largest_map` bytes, the resolutions above the latent's are
    /// computed in overlapping tiles: their normalizations then see a part of the picture, and what
    /// they make of it differs where two tiles are blended by less than one of 255 steps on average.
    ///
    /// # Shapes
    /// - latent: `[batch, latent_channels, height, width]`
    /// - output: `[batch, 3, f · height, f · width]`
    pub fn decode(&self, latent: Tensor<4>, largest_map: usize) -> Tensor<4> {
        let latent = channels_last(latent / self.config.scaling_factor);
        // The original weights make numbers that f16 doesn't have.
        let latent = if self.config.force_upcast {
            latent
        } else {
            kernels::to_activations(latent)
        };
        let latent = match &self.post_quant_conv {
            Some(conv) => conv.forward(latent, None),
            None => latent,
        };
        let hidden = self.conv_in.forward(latent, After::default());
        let mut hidden = self.mid_block.forward(hidden);
        // The attention, and every normalization of the latent's own resolution, see the whole picture.
        if let Some(stage) = self.stages.first() {
            for resnet in &stage.resnets {
                hidden = resnet.forward(hidden, None, None);
            }
        }
        let [batch, height, width, _] = hidden.dims();
        let most = self.config.largest_tile(batch, largest_map);
        let [rows, columns] = [height, width].map(|length| tiles(length, most, TILE_OVERLAP));
        let factor = self.config.downscale_factor() as usize;
        channels_first(in_tiles(hidden, [&rows, &columns], factor, |tile| {
            kernels::to_f32(self.enlarge(tile))
        }))
    }

    /// What comes after the latent's own resolution.
    fn enlarge(&self, mut hidden: Tensor<4>) -> Tensor<4> {
        for (index, stage) in self.stages.iter().enumerate() {
            if index > 0 {
                for resnet in &stage.resnets {
                    hidden = resnet.forward(hidden, None, None);
                }
            }
            if let Some(upsampler) = &stage.resample {
                let [_, height, width, _] = hidden.dims();
                hidden = upsampler.forward_doubled(hidden, [2 * height, 2 * width]);
            }
        }
        let normed = self.conv_norm_out.forward(hidden, Activation::Silu);
        self.conv_out.forward(normed, After::default())
    }
}
