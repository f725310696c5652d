//! What the models compute with: each operation of a layer as one call, with everything that follows
//! it in the same call, so that a graphics card reads and writes memory as rarely as it can.
//!
//! On a graphics card an operation is a kernel of our own, and so it is on the CPU in the browser;
//! natively the CPU's are burn's plain operations. A model knows neither. Feature maps have their
//! channels last, `[batch, height, width, channels]`, from the first layer to the last: the pixels of a
//! map are the rows of a matrix, and a transformer's tokens.

#![expect(
    clippy::indexing_slicing,
    reason = "shapes are checked when a model is built, and a tensor has as many dimensions as its type says"
)]

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
mod matrix;
mod plain;

use burn::tensor::{FloatDType, Tensor};

#[cfg(feature = "gpu")]
pub use gpu::{Counts, check_half, is_half, set_half, set_software, take_counts};
pub use matrix::{Matrix, matrix_shape};

/// Whether the CPU's operations are our own, which are for one thread and vectors of four values: the
/// browser's. Natively burn's use all cores, and whatever vectors there are.
const HAS_OWN: bool = cfg!(target_family = "wasm");

/// The function that a layer applies to its output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// None.
    #[default]
    Identity,
    /// max(x, 0).
    Relu,
    /// x · σ(x).
    Silu,
    /// x · Φ(x), the exact GELU.
    Gelu,
    /// x · σ(1.702 x).
    QuickGelu,
    /// The first half of the outputs times the GELU of the second half. Its layer is made by
    /// [`Layer::gated`].
    Geglu,
}

/// An affine layer, and what a branch beside it adds.
#[derive(Clone)]
pub struct Layer {
    /// `[output, input]`, of a convolution `[output, kernel · kernel · input]`.
    pub weight: Matrix,
    /// `[output]`.
    pub bias: Option<Tensor<1>>,
    /// A change beside the weight.
    pub branch: Option<Box<LowRank>>,
}

/// A change of a layer beside its weight: `scale · up · down`.
#[derive(Clone)]
pub struct LowRank {
    /// As the layer's weight, with the rank in place of the outputs.
    pub down: Matrix,
    /// `[output, rank]`.
    pub up: Matrix,
    /// What the branch's output is multiplied by.
    pub scale: f32,
}

impl Layer {
    /// Several layers of the same input as one, their outputs one after the other.
    ///
    /// # Errors
    /// Gives the layers back if their weights have different forms, or one of them has a branch.
    pub fn join(layers: Vec<Layer>) -> Result<Layer, Vec<Layer>> {
        let has_bias = layers.first().is_some_and(|layer| layer.bias.is_some());
        let are_alike = layers
            .iter()
            .all(|layer| layer.branch.is_none() && layer.bias.is_some() == has_bias);
        let weights: Vec<&Matrix> = layers.iter().map(|layer| &layer.weight).collect();
        let joined = are_alike.then(|| Matrix::join(&weights)).flatten();
        match joined {
            Some(weight) => {
                let biases: Vec<_> = layers
                    .iter()
                    .filter_map(|layer| layer.bias.clone())
                    .collect();
                Ok(Layer {
                    weight,
                    bias: has_bias.then(|| Tensor::cat(biases, 0)),
                    branch: None,
                })
            }
            None => Err(layers),
        }
    }

    /// The layer in front of [`Activation::Geglu`]: on a graphics card, values and their gates are put
    /// where one thread computes both.
    pub fn gated(mut self) -> Layer {
        self.weight = self.weight.interleaved();
        if self.weight.is_interleaved() {
            self.bias = self.bias.map(matrix::interleave_halves);
            if let Some(branch) = &mut self.branch {
                branch.up = branch.up.clone().interleaved();
            }
        }
        self
    }
}

/// A vector for each image of a batch, which is added to all of its pixels.
#[derive(Clone)]
pub struct Embedding {
    /// `[batch, columns]`.
    pub vectors: Tensor<2>,
    /// The first of the columns, of which there are as many as a layer has outputs.
    pub first: usize,
}

/// What is done with a layer's output before it is written.
#[derive(Clone)]
pub struct After<const D: usize> {
    /// Added first.
    pub embedding: Option<Embedding>,
    /// Applied then.
    pub activation: Activation,
    /// Added last: in the output's shape.
    pub residual: Option<Tensor<D>>,
}

impl<const D: usize> Default for After<D> {
    fn default() -> Self {
        Self {
            embedding: None,
            activation: Activation::Identity,
            residual: None,
        }
    }
}

impl<const D: usize> After<D> {
    /// An activation alone.
    pub fn activation(activation: Activation) -> Self {
        Self {
            activation,
            ..Self::default()
        }
    }

    /// A residual alone.
    pub fn residual(residual: Tensor<D>) -> Self {
        Self {
            residual: Some(residual),
            ..Self::default()
        }
    }
}

/// A tensor in the type in which the device keeps activations: `f16` on a graphics card that was found to
/// compute with it, else `f32`. Sums are `f32` in any case.
pub fn to_activations<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "gpu")]
    if gpu::is_on(&tensor) && is_half() {
        return tensor.cast(FloatDType::F16);
    }
    tensor
}

/// The reverse of [`to_activations`].
pub fn to_f32<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.cast(FloatDType::F32)
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
        plain::linear(input, layer, after)
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
        plain::pixelwise(input, second, layer, after)
    }
}

/// How a convolution of 3 × 3 pixels goes over its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Every pixel, with one pixel of zeros on all sides: the size stays.
    Same,
    /// Every second pixel, with one pixel of zeros on all sides.
    Halved,
    /// Every second pixel, with a row of zeros below and a column to the right: the VAE encoder's.
    HalvedAtEnd,
    /// Every pixel of the map doubled by repeating its pixels, and cut to a height and width.
    Doubled([usize; 2]),
}

impl Sampling {
    /// Height and width of the output.
    pub fn output_size(self, [height, width]: [usize; 2]) -> [usize; 2] {
        match self {
            Sampling::Same => [height, width],
            Sampling::Halved => [height.div_ceil(2), width.div_ceil(2)],
            Sampling::HalvedAtEnd => [height / 2, width / 2],
            Sampling::Doubled(size) => size,
        }
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
        plain::convolution(input, layer, sampling, after)
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
        plain::attention(queries, others, heads)
    }
}

/// How attention shares the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Their number.
    pub count: usize,
    /// Columns of each.
    pub size: usize,
    /// Whether a token sees only itself and what is before it.
    pub is_causal: bool,
}

/// The values of a normalization.
#[derive(Clone)]
pub struct Norm {
    /// `[channels]`.
    pub weight: Tensor<1>,
    /// `[channels]`.
    pub bias: Tensor<1>,
    /// What is added to the variance.
    pub epsilon: f64,
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
        plain::group_norm(input, second, norm, groups, activation)
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
        plain::layer_norm(input, norm)
    }
}
