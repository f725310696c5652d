//! diffusers' `Transformer2DModel` with linear projections and its `BasicTransformerBlock`s.

use std::slice::Iter;

use burn::tensor::Tensor;

use super::attention::{CrossAttention, SelfAttention};
use super::error::ModelError;
use super::layers::{GroupNorm, LayerNorm, Linear};
use super::weights::{GATED_LAYER, Weights};
use crate::kernels::{Activation, After};

/// diffusers' constant for the normalization in front of the transformer.
const GROUP_NORM_EPSILON: f64 = 1e-6;
/// diffusers' constant for the normalizations of a transformer block.
const LAYER_NORM_EPSILON: f64 = 1e-5;

/// Self-attention, cross-attention and a gated feed-forward network, each with a residual.
struct BasicTransformerBlock {
    norm1: LayerNorm,
    attn1: SelfAttention,
    norm2: LayerNorm,
    attn2: CrossAttention,
    norm3: LayerNorm,
    /// GEGLU: twice the inner width, values and gates.
    feed_forward_in: Linear,
    feed_forward_out: Linear,
}

impl BasicTransformerBlock {
    fn load(
        weights: &mut Weights,
        path: &str,
        channels: usize,
        context: usize,
        heads: usize,
    ) -> Result<Self, ModelError> {
        let inner = channels * 4;
        let norm = |weights: &mut Weights, name: &str| {
            LayerNorm::load(
                weights,
                &format!("{path}.{name}"),
                channels,
                LAYER_NORM_EPSILON,
            )
        };
        Ok(Self {
            norm1: norm(weights, "norm1")?,
            attn1: SelfAttention::load(weights, &format!("{path}.attn1"), channels, heads, false)?,
            norm2: norm(weights, "norm2")?,
            attn2: CrossAttention::load(
                weights,
                &format!("{path}.attn2"),
                channels,
                context,
                heads,
            )?,
            norm3: norm(weights, "norm3")?,
            feed_forward_in: Linear::load(
                weights,
                &format!("{path}.{GATED_LAYER}"),
                channels,
                inner * 2,
            )?
            .gated(),
            feed_forward_out: Linear::load(weights, &format!("{path}.ff.net.2"), inner, channels)?,
        })
    }

    fn forward(&self, input: Tensor<3>, keys_values: Tensor<3>) -> Tensor<3> {
        let hidden = self
            .attn1
            .forward(&self.norm1.forward(input.clone()), input);
        let normed = self.norm2.forward(hidden.clone());
        let hidden = self.attn2.forward(normed, keys_values, hidden);
        let gated = self.feed_forward_in.forward(
            self.norm3.forward(hidden.clone()),
            After::activation(Activation::Geglu),
        );
        self.feed_forward_out
            .forward(gated, After::residual(hidden))
    }
}

/// A stack of transformer blocks over the pixels of a feature map.
pub struct Transformer2d {
    norm: GroupNorm,
    proj_in: Linear,
    blocks: Vec<BasicTransformerBlock>,
    proj_out: Linear,
}

/// The sizes of a [`Transformer2d`].
#[derive(Clone, Copy)]
pub struct TransformerShape {
    /// Channels of the feature map.
    pub channels: usize,
    /// Width of the text context.
    pub context: usize,
    /// Attention heads.
    pub heads: usize,
    /// Transformer blocks.
    pub depth: usize,
    /// Groups of the first normalization.
    pub groups: usize,
}

impl Transformer2d {
    /// Takes the transformer's tensors under `{path}`.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        shape: TransformerShape,
    ) -> Result<Self, ModelError> {
        let TransformerShape {
            channels,
            context,
            heads,
            depth,
            groups,
        } = shape;
        Ok(Self {
            norm: GroupNorm::load(
                weights,
                &format!("{path}.norm"),
                channels,
                groups,
                GROUP_NORM_EPSILON,
            )?,
            proj_in: Linear::load(weights, &format!("{path}.proj_in"), channels, channels)?,
            blocks: (0..depth)
                .map(|index| {
                    BasicTransformerBlock::load(
                        weights,
                        &format!("{path}.transformer_blocks.{index}"),
                        channels,
                        context,
                        heads,
                    )
                })
                .collect::<Result<_, _>>()?,
            proj_out: Linear::load(weights, &format!("{path}.proj_out"), channels, channels)?,
        })
    }

    /// The keys and values of a context for each block: they are the same at every step.
    ///
    /// # Shapes
    /// `[batch, tokens, context]` → `[batch, tokens, 2 · channels]`
    pub fn keys_values(&self, context: &Tensor<3>) -> impl Iterator<Item = Tensor<3>> {
        self.blocks
            .iter()
            .map(move |block| block.attn2.keys_values(context))
    }

    /// Attends to the text from every pixel. The next of `keys_values` are this transformer's.
    ///
    /// # Shapes
    /// - input, output: `[batch, height, width, channels]`
    /// - keys_values: those of [`Transformer2d::keys_values`]
    pub fn forward(&self, input: Tensor<4>, keys_values: &mut Iter<'_, Tensor<3>>) -> Tensor<4> {
        let [batch, height, width, channels] = input.dims();
        let tokens = [batch, height * width, channels];
        let normed = self.norm.forward(input.clone(), Activation::Identity);
        let mut hidden = self
            .proj_in
            .forward(normed.reshape(tokens), After::default());
        for (block, keys_values) in self.blocks.iter().zip(keys_values) {
            hidden = block.forward(hidden, keys_values.clone());
        }
        self.proj_out
            .forward(hidden, After::residual(input.reshape(tokens)))
            .reshape([batch, height, width, channels])
    }
}
