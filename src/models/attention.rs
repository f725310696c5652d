//! Multi-head attention: diffusers' `Attention` with its default processor.

use burn::tensor::Tensor;

use super::error::ModelError;
use super::layers::Linear;
use super::weights::Weights;
use crate::kernels::{self, After, Heads};

/// Projections of one input: one layer where that can be, else several whose outputs are put beside
/// each other.
pub struct Projections(Vec<Linear>);

impl Projections {
    /// Of layers with the same input.
    pub fn new(layers: Vec<Linear>) -> Self {
        match Linear::join(layers) {
            Ok(joined) => Self(vec![joined]),
            Err(layers) => Self(layers),
        }
    }

    /// `[batch, tokens, input]` → `[batch, tokens, …all outputs]`.
    pub fn forward(&self, input: &Tensor<3>) -> Tensor<3> {
        let mut outputs: Vec<_> = self
            .0
            .iter()
            .map(|layer| layer.forward(input.clone(), After::default()))
            .collect();
        match outputs.len() {
            1 => outputs.remove(0),
            _ => Tensor::cat(outputs, 2),
        }
    }
}

/// Takes one of the projections `{path}.to_q`, `to_k` and `to_v`.
fn projection(
    weights: &mut Weights,
    path: &str,
    [input, output]: [usize; 2],
    bias: bool,
) -> Result<Linear, ModelError> {
    if bias {
        Linear::load(weights, path, input, output)
    } else {
        Linear::load_without_bias(weights, path, input, output)
    }
}

/// Attention of a sequence to itself.
pub struct SelfAttention {
    projections: Projections,
    to_out: Linear,
    heads: Heads,
}

impl SelfAttention {
    /// Takes `{path}.to_q`, `to_k`, `to_v` and `to_out.0`; the first three have a bias in the VAE
    /// (`bias`) and none in the UNet.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        channels: usize,
        heads: usize,
        bias: bool,
    ) -> Result<Self, ModelError> {
        let names = ["to_q", "to_k", "to_v"];
        let projections = names
            .iter()
            .map(|name| projection(weights, &format!("{path}.{name}"), [channels; 2], bias))
            .collect::<Result<_, _>>()?;
        let to_out = Linear::load(weights, &format!("{path}.to_out.0"), channels, channels)?;
        let heads = Heads {
            count: heads,
            size: channels / heads,
            is_causal: false,
        };
        Ok(Self::of(projections, to_out, heads))
    }

    /// Of the projections to queries, keys and values.
    pub fn of(projections: Vec<Linear>, to_out: Linear, heads: Heads) -> Self {
        Self {
            projections: Projections::new(projections),
            to_out,
            heads,
        }
    }

    /// # Shapes
    /// - input, residual, output: `[batch, tokens, channels]`
    pub fn forward(&self, input: &Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let all = self.projections.forward(input);
        let attended = kernels::attention(all, None, self.heads);
        self.to_out.forward(attended, After::residual(residual))
    }
}

/// Attention of a sequence to a context.
pub struct CrossAttention {
    to_q: Linear,
    keys_values: Projections,
    to_out: Linear,
    heads: Heads,
}

impl CrossAttention {
    /// Takes `{path}.to_q`, `to_k`, `to_v` and `to_out.0`. `context` is the width of the keys' and
    /// values' source.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        channels: usize,
        context: usize,
        heads: usize,
    ) -> Result<Self, ModelError> {
        let mut take = |name: &str, input| {
            projection(weights, &format!("{path}.{name}"), [input, channels], false)
        };
        Ok(Self {
            to_q: take("to_q", channels)?,
            keys_values: Projections::new(vec![take("to_k", context)?, take("to_v", context)?]),
            to_out: Linear::load(weights, &format!("{path}.to_out.0"), channels, channels)?,
            heads: Heads {
                count: heads,
                size: channels / heads,
                is_causal: false,
            },
        })
    }

    /// The keys and values of a context: they are the same at every step.
    ///
    /// # Shapes
    /// `[batch, keys, context]` → `[batch, keys, 2 · channels]`
    pub fn keys_values(&self, context: &Tensor<3>) -> Tensor<3> {
        self.keys_values.forward(context)
    }

    /// # Shapes
    /// - input, residual, output: `[batch, tokens, channels]`
    /// - keys_values: those of [`CrossAttention::keys_values`]
    pub fn forward(
        &self,
        input: Tensor<3>,
        keys_values: Tensor<3>,
        residual: Tensor<3>,
    ) -> Tensor<3> {
        let queries = self.to_q.forward(input, After::default());
        let attended = kernels::attention(queries, Some(keys_values), self.heads);
        self.to_out.forward(attended, After::residual(residual))
    }
}
