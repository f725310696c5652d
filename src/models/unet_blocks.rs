//! The parts of [`UNet2DConditionModel`](super::UNet2DConditionModel): diffusers' `DownBlock2D`,
//! `UpBlock2D` and `UNetMidBlock2D`, with and without cross-attention.

use std::slice::Iter;

use burn::tensor::Tensor;

use super::error::ModelError;
use super::layers::{Conv2d, Linear};
use super::resnet::{ResnetBlock, ResnetShape};
use super::transformer::{Transformer2d, TransformerShape};
use super::weights::Weights;
use crate::kernels::{Activation, After, Sampling};

/// Two linear layers with a SiLU between them.
pub struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
    /// Adds the embedded guidance of a full LCM model to the input.
    cond_proj: Option<Linear>,
}

impl TimestepEmbedding {
    /// Takes the layers under `{path}`, from `input` to `output` channels; `condition` is the width
    /// of the embedded guidance, where the model takes it.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        input: usize,
        output: usize,
        condition: Option<usize>,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            linear_1: Linear::load(weights, &format!("{path}.linear_1"), input, output)?,
            linear_2: Linear::load(weights, &format!("{path}.linear_2"), output, output)?,
            cond_proj: match condition {
                Some(size) => Some(Linear::load_without_bias(
                    weights,
                    &format!("{path}.cond_proj"),
                    size,
                    input,
                )?),
                None => None,
            },
        })
    }

    /// `[batch, input]`, with a condition `[batch, condition]` → `[batch, output]`.
    pub fn forward(&self, input: Tensor<2>, condition: Option<Tensor<2>>) -> Tensor<2> {
        let input = match (&self.cond_proj, condition) {
            (Some(projection), Some(condition)) => {
                input + projection.forward_vectors(condition, Activation::Identity)
            }
            _ => input,
        };
        let hidden = self.linear_1.forward_vectors(input, Activation::Silu);
        self.linear_2.forward_vectors(hidden, Activation::Identity)
    }
}

/// A residual block, and a transformer after it where its resolution attends to the text.
struct Layer {
    resnet: ResnetBlock,
    attention: Option<Transformer2d>,
}

impl Layer {
    /// Takes layer `index` of the block under `{path}`.
    fn load(
        weights: &mut Weights,
        path: &str,
        index: usize,
        resnet: ResnetShape,
        transformer: Option<TransformerShape>,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            resnet: ResnetBlock::load(weights, &format!("{path}.resnets.{index}"), resnet)?,
            attention: match transformer {
                Some(shape) => Some(Transformer2d::load(
                    weights,
                    &format!("{path}.attentions.{index}"),
                    shape,
                )?),
                None => None,
            },
        })
    }

    fn keys_values(&self, context: &Tensor<3>) -> impl Iterator<Item = Tensor<3>> {
        self.attention
            .iter()
            .flat_map(move |attention| attention.keys_values(context))
    }

    fn forward(
        &self,
        input: Tensor<4>,
        skip: Option<Tensor<4>>,
        time: &Tensor<2>,
        keys_values: &mut Iter<'_, Tensor<3>>,
    ) -> Tensor<4> {
        let hidden = self.resnet.forward(input, skip, Some(time));
        match &self.attention {
            Some(attention) => attention.forward(hidden, keys_values),
            None => hidden,
        }
    }
}

/// The layers of a block, which has a residual block of each of these shapes, and a transformer after
/// each where there is a shape for it.
fn load_layers(
    weights: &mut Weights,
    path: &str,
    resnets: &[ResnetShape],
    transformer: Option<TransformerShape>,
) -> Result<Vec<Layer>, ModelError> {
    resnets
        .iter()
        .enumerate()
        .map(|(index, &resnet)| Layer::load(weights, path, index, resnet, transformer))
        .collect()
}

/// The convolution `{path}` that changes a block's size, after a layer of this shape.
fn load_resampler(
    weights: &mut Weights,
    path: &str,
    last: Option<&ResnetShape>,
) -> Result<Option<Conv2d>, ModelError> {
    last.map(|shape| Conv2d::load(weights, path, shape.output, shape.output))
        .transpose()
}

/// One resolution on the way down.
pub struct DownBlock {
    layers: Vec<Layer>,
    downsampler: Option<Conv2d>,
}

impl DownBlock {
    /// Takes the block's tensors under `{path}`; `halves` says whether the next resolution is lower.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        resnets: &[ResnetShape],
        transformer: Option<TransformerShape>,
        halves: bool,
    ) -> Result<Self, ModelError> {
        let layers = load_layers(weights, path, resnets, transformer)?;
        let conv = format!("{path}.downsamplers.0.conv");
        let downsampler = load_resampler(weights, &conv, resnets.last().filter(|_| halves))?;
        Ok(Self {
            layers,
            downsampler: downsampler.map(|conv| conv.halving(Sampling::Halved)),
        })
    }

    /// The residual blocks, in order.
    pub fn resnets_mut(&mut self) -> impl Iterator<Item = &mut ResnetBlock> {
        self.layers.iter_mut().map(|layer| &mut layer.resnet)
    }

    /// The keys and values of a context for each of the block's transformer blocks.
    pub fn keys_values(&self, context: &Tensor<3>) -> impl Iterator<Item = Tensor<3>> {
        self.layers
            .iter()
            .flat_map(move |layer| layer.keys_values(context))
    }

    /// `[batch, channels, height, width]` → the same, or half the size. Adds each layer's output to
    /// the skip connections.
    pub fn forward(
        &self,
        mut hidden: Tensor<4>,
        time: &Tensor<2>,
        keys_values: &mut Iter<'_, Tensor<3>>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for layer in &self.layers {
            hidden = layer.forward(hidden, None, time, keys_values);
            skips.push(hidden.clone());
        }
        if let Some(downsampler) = &self.downsampler {
            hidden = downsampler.forward(hidden, After::default());
            skips.push(hidden.clone());
        }
        hidden
    }
}

/// Residual blocks around a transformer, at the lowest resolution.
pub struct MidBlock {
    resnet_in: ResnetBlock,
    attention: Transformer2d,
    resnet_out: ResnetBlock,
}

impl MidBlock {
    /// Takes the tensors under `mid_block`.
    pub fn load(
        weights: &mut Weights,
        resnet: ResnetShape,
        transformer: TransformerShape,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            resnet_in: ResnetBlock::load(weights, "mid_block.resnets.0", resnet)?,
            attention: Transformer2d::load(weights, "mid_block.attentions.0", transformer)?,
            resnet_out: ResnetBlock::load(weights, "mid_block.resnets.1", resnet)?,
        })
    }

    /// The residual blocks, in order.
    pub fn resnets_mut(&mut self) -> impl Iterator<Item = &mut ResnetBlock> {
        [&mut self.resnet_in, &mut self.resnet_out].into_iter()
    }

    /// The keys and values of a context for each of the block's transformer blocks.
    pub fn keys_values(&self, context: &Tensor<3>) -> impl Iterator<Item = Tensor<3>> {
        self.attention.keys_values(context)
    }

    /// `[batch, channels, height, width]` → the same.
    pub fn forward(
        &self,
        input: Tensor<4>,
        time: &Tensor<2>,
        keys_values: &mut Iter<'_, Tensor<3>>,
    ) -> Tensor<4> {
        let hidden = self.resnet_in.forward(input, None, Some(time));
        let hidden = self.attention.forward(hidden, keys_values);
        self.resnet_out.forward(hidden, None, Some(time))
    }
}

/// One resolution on the way up.
pub struct UpBlock {
    layers: Vec<Layer>,
    upsampler: Option<Conv2d>,
}

impl UpBlock {
    /// Takes the block's tensors under `{path}`; `doubles` says whether the next resolution is higher.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        resnets: &[ResnetShape],
        transformer: Option<TransformerShape>,
        doubles: bool,
    ) -> Result<Self, ModelError> {
        let layers = load_layers(weights, path, resnets, transformer)?;
        let conv = format!("{path}.upsamplers.0.conv");
        let upsampler = load_resampler(weights, &conv, resnets.last().filter(|_| doubles))?;
        Ok(Self { layers, upsampler })
    }

    /// The residual blocks, in order.
    pub fn resnets_mut(&mut self) -> impl Iterator<Item = &mut ResnetBlock> {
        self.layers.iter_mut().map(|layer| &mut layer.resnet)
    }

    /// The keys and values of a context for each of the block's transformer blocks.
    pub fn keys_values(&self, context: &Tensor<3>) -> impl Iterator<Item = Tensor<3>> {
        self.layers
            .iter()
            .flat_map(move |layer| layer.keys_values(context))
    }

    /// `[batch, channels, height, width]` → the same, or twice the size. Each layer takes the last
    /// of the skip connections.
    pub fn forward(
        &self,
        mut hidden: Tensor<4>,
        time: &Tensor<2>,
        keys_values: &mut Iter<'_, Tensor<3>>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for layer in &self.layers {
            hidden = layer.forward(hidden, skips.pop(), time, keys_values);
        }
        if let (Some(upsampler), Some(skip)) = (&self.upsampler, skips.last()) {
            let [_, height, width, _] = skip.dims();
            hidden = upsampler.forward_doubled(hidden, [height, width]);
        }
        hidden
    }
}
