//! The operations, each on the device of its input.

use burn::tensor::Tensor;

use super::cpu;
#[cfg(feature = "gpu")]
use super::gpu;
use super::layer::{Activation, After, Heads, Layer, Norm, Sampling};
use super::matrix::HAS_OWN;
use super::plain::{self, Burn, Parts};

/// A tensor in the type in which the device keeps activations: `f16` on a graphics card that was found to
/// compute with it, else `f32`. Sums are `f32` in any case.
pub fn to_activations<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "gpu")]
    if gpu::is_on(&tensor) && gpu::is_half() {
        return tensor.cast(burn::tensor::FloatDType::F16);
    }
    tensor
}

/// `x Wᵀ + b`, and what comes after.
///
/// # Shapes
/// - input: `[batch, tokens, input]`
/// - output: `[batch, tokens, output]`
pub fn linear(input: Tensor<3>, layer: &Layer, after: After<3>) -> Tensor<3> {
    #[cfg(feature = "gpu")]
    if gpu::is_on(&input) {
        return gpu::linear(input, layer, after);
    }
    if HAS_OWN {
        cpu::linear(input, layer, after)
    } else {
        plain::linear::<Burn>(input, layer, after)
    }
}

/// A convolution of single pixels over one map, or over two beside each other.
///
/// # Shapes
/// - inputs: `[batch, height, width, channels]`
/// - output: `[batch, height, width, output]`
pub fn pixelwise(
    input: Tensor<4>,
    second: Option<Tensor<4>>,
    layer: &Layer,
    after: After<4>,
) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if gpu::is_on(&input) {
        return gpu::pixelwise(input, second, layer, after);
    }
    if HAS_OWN {
        cpu::pixelwise(input, second, layer, after)
    } else {
        plain::pixelwise::<Burn>(input, second, layer, after)
    }
}

/// A convolution of 3 × 3 pixels.
///
/// # Shapes
/// - input: `[batch, height, width, input]`
/// - output: `[batch, …size, output]` with [`Sampling::output_size`]
pub fn convolution(
    input: Tensor<4>,
    layer: &Layer,
    sampling: Sampling,
    after: After<4>,
) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if gpu::is_on(&input) {
        return gpu::convolution(input, layer, sampling, after);
    }
    if HAS_OWN {
        cpu::convolution(input, layer, sampling, after)
    } else {
        plain::convolution::<Burn>(input, layer, sampling, after)
    }
}

/// softmax(Q Kᵀ / √d) V. Queries, keys and values are beside each other in one tensor; or the queries in
/// one, and keys and values in another.
///
/// # Shapes
/// - queries: `[batch, tokens, 3 · heads · head size]`, with `others` `[batch, tokens, heads · head size]`
/// - others: `[batch, keys, 2 · heads · head size]`
/// - output: `[batch, tokens, heads · head size]`
pub fn attention(queries: Tensor<3>, others: Option<Tensor<3>>, heads: Heads) -> Tensor<3> {
    #[cfg(feature = "gpu")]
    if gpu::is_on(&queries) {
        return gpu::attention(queries, others, heads);
    }
    if HAS_OWN {
        cpu::attention(queries, others, heads)
    } else {
        plain::attention::<Burn>(queries, others, heads)
    }
}

/// Group normalization over one map, or over two beside each other, and an activation.
///
/// # Shapes
/// - inputs: `[batch, height, width, channels]`
/// - output: the same, with the channels of both
pub fn group_norm(
    input: Tensor<4>,
    second: Option<Tensor<4>>,
    norm: &Norm,
    groups: usize,
    activation: Activation,
) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if gpu::is_on(&input) {
        return gpu::group_norm(input, second, norm, groups, activation);
    }
    if HAS_OWN {
        cpu::group_norm(input, second, norm, groups, activation)
    } else {
        plain::group_norm::<Burn>(input, second, norm, groups, activation)
    }
}

/// Layer normalization over the last dimension.
///
/// # Shapes
/// `[batch, tokens, size]` → the same.
pub fn layer_norm(input: Tensor<3>, norm: &Norm) -> Tensor<3> {
    #[cfg(feature = "gpu")]
    if gpu::is_on(&input) {
        return gpu::layer_norm(input, norm);
    }
    if HAS_OWN {
        cpu::layer_norm(input, norm)
    } else {
        Burn::layer_norm(input, norm)
    }
}
