//! diffusers' `ResnetBlock2D`, in the UNet with and in the VAE without a time embedding.

use burn::tensor::{Tensor, activation::silu};

use super::error::ModelError;
use super::layers::{Conv2d, GroupNorm, Linear};
use super::weights::Weights;

/// Two normalized convolutions around a residual connection.
pub struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
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
            conv1: Conv2d::load(weights, &format!("{path}.conv1"), input, output, 3)?,
            time_emb_proj: match time_embedding {
                Some(size) => Some(Linear::load(
                    weights,
                    &format!("{path}.time_emb_proj"),
                    size,
                    output,
                )?),
                None => None,
            },
            norm2: GroupNorm::load(weights, &format!("{path}.norm2"), output, groups, epsilon)?,
            conv2: Conv2d::load(weights, &format!("{path}.conv2"), output, output, 3)?,
            conv_shortcut: if input == output {
                None
            } else {
                Some(Conv2d::load(
                    weights,
                    &format!("{path}.conv_shortcut"),
                    input,
                    output,
                    1,
                )?)
            },
        })
    }

    /// Applies the block; a time embedding is added between the convolutions.
    ///
    /// # Shapes
    /// - input: `[batch, input, height, width]`
    /// - time embedding: `[batch, time embedding]`
    /// - output: `[batch, output, height, width]`
    pub fn forward(&self, input: Tensor<4>, time_embedding: Option<&Tensor<2>>) -> Tensor<4> {
        let mut hidden = self.conv1.forward(silu(self.norm1.forward(input.clone())));
        if let (Some(projection), Some(embedding)) = (&self.time_emb_proj, time_embedding) {
            let projected = projection.forward(silu(embedding.clone()));
            let [batch, channels] = projected.dims();
            hidden = hidden + projected.reshape([batch, channels, 1, 1]);
        }
        let hidden = self.conv2.forward(silu(self.norm2.forward(hidden)));
        let residual = match &self.conv_shortcut {
            Some(shortcut) => shortcut.forward(input),
            None => input,
        };
        residual + hidden
    }
}
