//! diffusers' `ResnetBlock2D`, in the UNet with and in the VAE without a time embedding.

use burn::tensor::Tensor;

use super::error::ModelError;
use super::layers::{Conv2d, GroupNorm, Linear, PixelConv};
use super::weights::Weights;
use crate::kernels::{Activation, After, Embedding};

/// Two normalized convolutions around a residual connection.
pub struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    /// Until the UNet [takes it](ResnetBlock::take_time_projection).
    time_emb_proj: Option<Linear>,
    /// The first of the block's columns in what all projections give together.
    time_column: usize,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<PixelConv>,
}

/// The channels of a block and its normalization.
#[derive(Clone, Copy)]
pub struct ResnetShape {
    /// Channels in.
    pub input: usize,
    /// Channels out; a 1 × 1 shortcut adapts the residual where they differ.
    pub output: usize,
    /// Width of the time embedding; none in the VAE.
    pub time_embedding: Option<usize>,
    /// Groups of the normalizations.
    pub groups: usize,
    /// Epsilon of the normalizations.
    pub epsilon: f64,
}

impl ResnetBlock {
    /// Takes the block's tensors under `{path}`.
    pub fn load(weights: &mut Weights, path: &str, shape: ResnetShape) -> Result<Self, ModelError> {
        let ResnetShape {
            input,
            output,
            time_embedding,
            groups,
            epsilon,
        } = shape;
        Ok(Self {
            norm1: GroupNorm::load(weights, &format!("{path}.norm1"), input, groups, epsilon)?,
            conv1: Conv2d::load(weights, &format!("{path}.conv1"), input, output)?,
            time_emb_proj: match time_embedding {
                Some(size) => Some(Linear::load(
                    weights,
                    &format!("{path}.time_emb_proj"),
                    size,
                    output,
                )?),
                None => None,
            },
            time_column: 0,
            norm2: GroupNorm::load(weights, &format!("{path}.norm2"), output, groups, epsilon)?,
            conv2: Conv2d::load(weights, &format!("{path}.conv2"), output, output)?,
            conv_shortcut: if input == output {
                None
            } else {
                Some(PixelConv::load(
                    weights,
                    &format!("{path}.conv_shortcut"),
                    input,
                    output,
                )?)
            },
        })
    }

    /// Takes the projection of the time embedding out: those of all blocks are one layer, in whose output
    /// this block's columns begin at `first`.
    pub fn take_time_projection(&mut self, first: usize) -> Option<Linear> {
        self.time_column = first;
        self.time_emb_proj.take()
    }

    /// Applies the block; a time embedding is added between the convolutions.
    ///
    /// # Shapes
    /// - input: `[batch, height, width, input]`, with `second` beside it
    /// - time: `[batch, …]`, the projections of the time embedding for all blocks
    /// - output: `[batch, height, width, output]`
    pub fn forward(
        &self,
        input: Tensor<4>,
        second: Option<Tensor<4>>,
        time: Option<&Tensor<2>>,
    ) -> Tensor<4> {
        let normed = self
            .norm1
            .forward_beside(input.clone(), second.clone(), Activation::Silu);
        let embedding = time.map(|vectors| Embedding {
            vectors: vectors.clone(),
            first: self.time_column,
        });
        let hidden = self.conv1.forward(
            normed,
            After {
                embedding,
                ..After::default()
            },
        );
        let normed = self.norm2.forward(hidden, Activation::Silu);
        let residual = match &self.conv_shortcut {
            Some(shortcut) => shortcut.forward(input, second),
            None => input,
        };
        self.conv2.forward(normed, After::residual(residual))
    }
}
