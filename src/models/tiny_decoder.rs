//! The decoder of diffusers' `AutoencoderTiny` (TAESDXL): a rough picture at a fraction of the
//! VAE's work. It decodes the latent as the sampler has it, with the scaling factor.

use burn::tensor::{Tensor, activation::relu};
use serde::Deserialize;

use super::error::ModelError;
use super::error::parse_config;
use super::layers::{Conv2d, channels_first, channels_last};
use super::tiling::in_tiles;
use super::weights::Weights;
use crate::kernels::{self, Activation, After};
use crate::weights::footprint::{TILE_OVERLAP, largest_tile, tiles};

const COMPONENT: &str = "tiny_decoder";

/// The decoder's part of TAESDXL's `config.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TinyDecoderConfig {
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels of the picture.
    pub out_channels: usize,
    /// Channels of each resolution, from the smallest; all the same in the published models.
    pub decoder_block_out_channels: Vec<usize>,
    /// Residual blocks of each resolution.
    pub num_decoder_blocks: Vec<usize>,
}

impl TinyDecoderConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// A field is missing or malformed, or asks for something that TAESDXL has not.
    pub fn from_json(config: &serde_json::Value) -> Result<Self, ModelError> {
        let expectations: [(&'static str, serde_json::Value); 2] = [
            ("act_fn", "relu".into()),
            ("upsampling_scaling_factor", 2.into()),
        ];
        for (option, usual) in expectations {
            let value = config.get(option).unwrap_or(&usual);
            if *value != usual {
                return Err(ModelError::Unsupported {
                    component: COMPONENT,
                    option,
                    value: value.to_string(),
                });
            }
        }
        let parsed: Self = parse_config(COMPONENT, config)?;
        let stages = parsed.num_decoder_blocks.len();
        if stages == 0 || parsed.decoder_block_out_channels.len() != stages {
            return Err(ModelError::Config {
                component: COMPONENT,
                reason: "decoder_block_out_channels and num_decoder_blocks differ in length".into(),
            });
        }
        Ok(parsed)
    }
}

/// diffusers' `AutoencoderTinyBlock` of equal widths: three convolutions around a residual.
struct TinyBlock {
    convolutions: [Conv2d; 3],
}

impl TinyBlock {
    fn load(weights: &mut Weights, path: &str, channels: usize) -> Result<Self, ModelError> {
        let mut conv = |index: usize| {
            Conv2d::load(weights, &format!("{path}.conv.{index}"), channels, channels)
        };
        Ok(Self {
            convolutions: [conv(0)?, conv(2)?, conv(4)?],
        })
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let [first, second, third] = &self.convolutions;
        let activated = || After::activation(Activation::Relu);
        let hidden = first.forward(input.clone(), activated());
        let hidden = second.forward(hidden, activated());
        relu(third.forward(hidden, After::residual(input)))
    }
}

/// Residual blocks of one resolution and the convolution after them.
struct Stage {
    blocks: Vec<TinyBlock>,
    conv: Conv2d,
}

/// The tiny decoder.
pub struct TinyDecoder {
    conv_in: Conv2d,
    stages: Vec<Stage>,
    /// The most channels of a map.
    widest: usize,
}

impl TinyDecoder {
    /// Whether a tensor of the component is one of the decoder's: TAESDXL's file holds an encoder too.
    pub fn owns(name: &str) -> bool {
        name.starts_with("decoder.")
    }

    /// Builds the decoder from the tensors that it [owns](Self::owns).
    ///
    /// # Errors
    /// A tensor is missing, misshapen or left over.
    pub fn load(config: &TinyDecoderConfig, mut weights: Weights) -> Result<Self, ModelError> {
        let decoder = Self::take(config, &mut weights)?;
        weights.finish()?;
        Ok(decoder)
    }

    /// Takes the decoder's tensors.
    pub(super) fn take(
        config: &TinyDecoderConfig,
        weights: &mut Weights,
    ) -> Result<Self, ModelError> {
        let channels = &config.decoder_block_out_channels;
        let conv_in = Conv2d::load(
            weights,
            "decoder.layers.0",
            config.latent_channels,
            channels[0],
        )?;
        // Layer 1 is the activation after the first convolution.
        let mut layer = 2;
        let last = channels.len() - 1;
        let mut stages = Vec::new();
        for (index, (&width, &count)) in channels.iter().zip(&config.num_decoder_blocks).enumerate()
        {
            let mut blocks = Vec::new();
            for _ in 0..count {
                let path = format!("decoder.layers.{layer}");
                blocks.push(TinyBlock::load(weights, &path, width)?);
                layer += 1;
            }
            let conv = if index == last {
                let path = format!("decoder.layers.{layer}");
                Conv2d::load(weights, &path, width, config.out_channels)?
            } else {
                // The upsampling counts as a layer of its own.
                let path = format!("decoder.layers.{}", layer + 1);
                layer += 2;
                Conv2d::load_without_bias(weights, &path, width, width)?
            };
            stages.push(Stage { blocks, conv });
        }
        Ok(Self {
            conv_in,
            stages,
            widest: channels.iter().copied().max().unwrap_or(1),
        })
    }

    /// Pictures in about −1…1 of latents as the sampler has them. Where the largest map would take more
    /// than `largest_map` bytes as `f32`, they are decoded in overlapping tiles, and differ near a tile's
    /// edge in what a pixel sees of those far from it.
    ///
    /// # Shapes
    /// - latent: `[batch, latent_channels, height, width]`
    /// - output: `[batch, 3, 8 · height, 8 · width]`, with four resolutions
    pub fn decode(&self, latent: Tensor<4>, largest_map: usize) -> Tensor<4> {
        let clamped = channels_last((latent / 3.0).tanh() * 3.0);
        let clamped = kernels::to_activations(clamped);
        let [batch, height, width, _] = clamped.dims();
        let factor = 1 << (self.stages.len() - 1);
        let most = largest_tile(self.widest, factor, batch, largest_map as u64);
        let [rows, columns] = [height, width].map(|length| tiles(length, most, TILE_OVERLAP));
        let decoded = in_tiles(clamped, [&rows, &columns], factor, |tile| {
            kernels::to_f32(self.enlarge(tile))
        });
        channels_first(decoded) * 2.0 - 1.0
    }

    fn enlarge(&self, clamped: Tensor<4>) -> Tensor<4> {
        let mut hidden = self
            .conv_in
            .forward(clamped, After::activation(Activation::Relu));
        let last = self.stages.len() - 1;
        for (index, stage) in self.stages.iter().enumerate() {
            for block in &stage.blocks {
                hidden = block.forward(hidden);
            }
            hidden = if index < last {
                let [_, height, width, _] = hidden.dims();
                stage.conv.forward_doubled(hidden, [2 * height, 2 * width])
            } else {
                stage.conv.forward(hidden, After::default())
            };
        }
        hidden
    }
}

/// Takes the tensors of the encoder in the decoder's file, which nothing here computes with.
///
/// # Errors
/// The config lacks the encoder's fields.
pub(super) fn take_encoder(
    config: &serde_json::Value,
    weights: &mut Weights,
) -> Result<(), ModelError> {
    /// The encoder's part of the config; its names are the decoder's.
    #[derive(Deserialize)]
    struct EncoderConfig {
        in_channels: usize,
        latent_channels: usize,
        encoder_block_out_channels: Vec<usize>,
        num_encoder_blocks: Vec<usize>,
    }
    let config: EncoderConfig = parse_config(COMPONENT, config)?;
    let mut layers = (0..).map(|index| format!("encoder.layers.{index}"));
    let mut next = || layers.next().unwrap_or_default();
    let mut last = config.in_channels;
    for (stage, (&width, &count)) in config
        .encoder_block_out_channels
        .iter()
        .zip(&config.num_encoder_blocks)
        .enumerate()
    {
        if stage == 0 {
            Conv2d::load(weights, &next(), last, width)?;
        } else {
            Conv2d::load_without_bias(weights, &next(), last, width)?;
        }
        for _ in 0..count {
            TinyBlock::load(weights, &next(), width)?;
        }
        last = width;
    }
    Conv2d::load(weights, &next(), last, config.latent_channels)?;
    Ok(())
}
