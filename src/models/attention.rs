//! Multi-head attention: diffusers' `Attention` with its default processor.

use burn::tensor::{Tensor, module::attention, ops::AttentionModuleOptions};

use super::error::ModelError;
use super::layers::Linear;
use super::weights::Weights;
use crate::weights::footprint::MAXIMUM_SCORES;

/// softmax(Q Kᵀ / √d) V, with the queries in blocks where the scores would be too large.
///
/// # Shapes
/// - query: `[batch, heads, queries, head size]`
/// - key, value: `[batch, heads, keys, head size]`
/// - output: `[batch, heads, queries, head size]`
#[expect(
    clippy::needless_pass_by_value,
    reason = "as burn's own operations: a tensor is a handle"
)]
pub fn scaled_dot_product(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
    let [batch, heads, queries, _] = query.dims();
    let keys = key.dims()[2];
    let block = (MAXIMUM_SCORES / (batch * heads * keys)).max(1);
    let run = |query| {
        attention(
            query,
            key.clone(),
            value.clone(),
            None,
            None,
            AttentionModuleOptions::default(),
        )
    };
    if block >= queries {
        return run(query);
    }
    Tensor::cat(query.split(block, 2).into_iter().map(run).collect(), 2)
}

/// Attention of a sequence to itself or to a context.
pub struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    heads: usize,
}

impl Attention {
    /// Takes `{path}.to_q`, `to_k`, `to_v` and `to_out.0`; the first three have a bias in the VAE
    /// (`bias`) and none in the UNet. `context` is the width of the keys' and values' source.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        channels: usize,
        context: usize,
        heads: usize,
        bias: bool,
    ) -> Result<Self, ModelError> {
        let mut projection = |name: &str, input| {
            let path = format!("{path}.{name}");
            if bias {
                Linear::load(weights, &path, input, channels)
            } else {
                Linear::load_without_bias(weights, &path, input, channels)
            }
        };
        Ok(Self {
            to_q: projection("to_q", channels)?,
            to_k: projection("to_k", context)?,
            to_v: projection("to_v", context)?,
            to_out: Linear::load(weights, &format!("{path}.to_out.0"), channels, channels)?,
            heads,
        })
    }

    /// Attends from the input to a context, or to itself if there is none.
    ///
    /// # Shapes
    /// - input, output: `[batch, tokens, channels]`
    /// - context: `[batch, keys, context]`
    pub fn forward(&self, input: Tensor<3>, context: Option<Tensor<3>>) -> Tensor<3> {
        let [batch, tokens, channels] = input.dims();
        let context = context.unwrap_or_else(|| input.clone());
        let split = |tensor: Tensor<3>| {
            let [_, length, _] = tensor.dims();
            tensor
                .reshape([batch, length, self.heads, channels / self.heads])
                .swap_dims(1, 2)
        };
        let attended = scaled_dot_product(
            split(self.to_q.forward(input)),
            split(self.to_k.forward(context.clone())),
            split(self.to_v.forward(context)),
        );
        self.to_out
            .forward(attended.swap_dims(1, 2).reshape([batch, tokens, channels]))
    }
}
