//! diffusers' `Transformer2DModel` with linear projections and its `BasicTransformerBlock`s.

use burn::tensor::{Tensor, activation::gelu};

use super::attention::Attention;
use super::error::ModelError;
use super::layers::{GroupNorm, LayerNorm, Linear};
use super::weights::Weights;

/// diffusers' constant for the normalization in front of the transformer.
const GROUP_NORM_EPSILON: f64 = 1e-6;
/// diffusers' constant for the normalizations of a transformer block.
const LAYER_NORM_EPSILON: f64 = 1e-5;

/// Self-attention, cross-attention and a gated feed-forward network, each with a residual.
struct BasicTransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
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
        let attention = |weights: &mut Weights, name: &str, context| {
            Attention::load(
                weights,
                &format!("{path}.{name}"),
                channels,
                context,
                heads,
                false,
            )
        };
        Ok(Self {
            norm1: norm(weights, "norm1")?,
            attn1: attention(weights, "attn1", channels)?,
            norm2: norm(weights, "norm2")?,
            attn2: attention(weights, "attn2", context)?,
            norm3: norm(weights, "norm3")?,
            feed_forward_in: Linear::load(
                weights,
                &format!("{path}.ff.net.0.proj"),
                channels,
                inner * 2,
            )?,
            feed_forward_out: Linear::load(weights, &format!("{path}.ff.net.2"), inner, channels)?,
        })
    }

    fn forward(&self, input: Tensor<3>, context: &Tensor<3>) -> Tensor<3> {
        let hidden = self.attn1.forward(self.norm1.forward(input.clone()), None) + input;
        let hidden = self
            .attn2
            .forward(self.norm2.forward(hidden.clone()), Some(context.clone()))
            + hidden;
        let gated = self
            .feed_forward_in
            .forward(self.norm3.forward(hidden.clone()));
        let mut halves = gated.chunk(2, 2).into_iter();
        match (halves.next(), halves.next()) {
            (Some(values), Some(gates)) => {
                self.feed_forward_out.forward(values * gelu(gates)) + hidden
            }
            _ => unreachable!("a tensor of even width splits in two"),
        }
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

    /// Attends to the text from every pixel.
    ///
    /// # Shapes
    /// - input, output: `[batch, channels, height, width]`
    /// - context: `[batch, tokens, context]`
    pub fn forward(&self, input: Tensor<4>, context: &Tensor<3>) -> Tensor<4> {
        let [batch, channels, height, width] = input.dims();
        let hidden = self
            .norm
            .forward(input.clone())
            .reshape([batch, channels, height * width])
            .swap_dims(1, 2);
        let mut hidden = self.proj_in.forward(hidden);
        for block in &self.blocks {
            hidden = block.forward(hidden, context);
        }
        let hidden = self.proj_out.forward(hidden);
        hidden
            .swap_dims(1, 2)
            .reshape([batch, channels, height, width])
            + input
    }
}
