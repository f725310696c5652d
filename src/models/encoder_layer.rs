//! A layer of a transformer encoder with its normalizations in front, as CLIP's two encoders and the vision
//! transformers of timm and DINO have it.

use burn::tensor::Tensor;
use serde::Deserialize;

use super::attention::SelfAttention;
use super::error::ModelError;
use super::layers::{LayerNorm, Linear};
use super::weights::Weights;
use crate::kernels::{self, After, Heads};

/// The feed-forward network's activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x · σ(1.702 x): OpenAI's CLIP, SDXL's first encoder.
    QuickGelu,
    /// The exact GELU: OpenCLIP, SDXL's second encoder, DINO.
    Gelu,
}

impl From<Activation> for kernels::Activation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::QuickGelu => kernels::Activation::QuickGelu,
            Activation::Gelu => kernels::Activation::Gelu,
        }
    }
}

/// What the tensors of a layer are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerNames {
    /// transformers' CLIP: `layer_norm1`, `self_attn.q_proj` and its like, `layer_norm2`.
    Clip,
    /// timm's and DINO's: `norm1`, `attn.qkv` in one, `norm2`.
    Dino,
}

/// The sizes of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerShape {
    /// Width of the hidden states, a multiple of the heads' number.
    pub size: usize,
    /// Width of the feed-forward network.
    pub inner: usize,
    /// Attention heads.
    pub heads: usize,
    /// Whether a token sees only itself and what is before it.
    pub is_causal: bool,
    /// Epsilon of the normalizations.
    pub epsilon: f64,
    /// The feed-forward network's activation.
    pub activation: Activation,
}

/// Attention and a feed-forward network, each behind a normalization and around a residual connection.
pub struct EncoderLayer {
    layer_norm1: LayerNorm,
    attention: SelfAttention,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    activation: kernels::Activation,
}

impl EncoderLayer {
    /// Takes the layer's tensors under `{path}`.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        names: LayerNames,
        shape: LayerShape,
    ) -> Result<Self, ModelError> {
        let LayerShape { size, inner, .. } = shape;
        let norms = match names {
            LayerNames::Clip => ["layer_norm1", "layer_norm2"],
            LayerNames::Dino => ["norm1", "norm2"],
        };
        let [layer_norm1, layer_norm2] = norms.map(|name| format!("{path}.{name}"));
        let mut linear = |name: &str, input, output| {
            Linear::load(weights, &format!("{path}.{name}"), input, output)
        };
        let (projections, output) = match names {
            LayerNames::Clip => {
                let names = ["q_proj", "k_proj", "v_proj"];
                let projections = names
                    .into_iter()
                    .map(|name| linear(&format!("self_attn.{name}"), size, size))
                    .collect::<Result<_, _>>()?;
                (projections, linear("self_attn.out_proj", size, size)?)
            }
            // Queries, keys and values one after the other, in the order in which attention takes them.
            LayerNames::Dino => (
                vec![linear("attn.qkv", size, 3 * size)?],
                linear("attn.proj", size, size)?,
            ),
        };
        let fc1 = linear("mlp.fc1", size, inner)?;
        let fc2 = linear("mlp.fc2", inner, size)?;
        let heads = Heads {
            count: shape.heads,
            size: size / shape.heads,
            is_causal: shape.is_causal,
        };
        Ok(Self {
            layer_norm1: LayerNorm::load(weights, &layer_norm1, size, shape.epsilon)?,
            attention: SelfAttention::of(projections, output, heads),
            layer_norm2: LayerNorm::load(weights, &layer_norm2, size, shape.epsilon)?,
            fc1,
            fc2,
            activation: shape.activation.into(),
        })
    }

    /// `[batch, tokens, size]` → the same.
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let normed = self.layer_norm1.forward(input.clone());
        let hidden = self.attention.forward(&normed, input);
        let normed = self.layer_norm2.forward(hidden.clone());
        let inner = self.fc1.forward(normed, After::activation(self.activation));
        self.fc2.forward(inner, After::residual(hidden))
    }
}
