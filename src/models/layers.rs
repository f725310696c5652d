//! The layers that all models share. They are our own thin structs, not burn-nn's modules: a layer
//! here is what a file's tensors say, without initializers, and it is the place where low-rank
//! branches attach. What they compute with is in [`kernels`](crate::kernels).

use burn::tensor::Tensor;

use super::error::ModelError;
use super::weights::Weights;
use crate::kernels::{self, Activation, After, Layer, Norm, Sampling};

/// `y = x Wᵀ + b`, and what a branch beside it adds.
pub struct Linear(Layer);

impl Linear {
    /// Takes `{path}.weight` `[output, input]` and `{path}.bias` `[output]`.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        input: usize,
        output: usize,
    ) -> Result<Self, ModelError> {
        weights.take_biased_layer(path, &[output, input]).map(Self)
    }

    /// Takes `{path}.weight` `[output, input]`; there is no bias.
    pub fn load_without_bias(
        weights: &mut Weights,
        path: &str,
        input: usize,
        output: usize,
    ) -> Result<Self, ModelError> {
        let name = format!("{path}.weight");
        weights.take_layer(&name, &[output, input]).map(Self)
    }

    /// The layer in front of [`Activation::Geglu`].
    pub fn gated(self) -> Self {
        Self(self.0.gated())
    }

    /// Its outputs.
    pub fn outputs(&self) -> usize {
        let [outputs, _] = self.0.weight.shape();
        outputs
    }

    /// Several layers of the same input as one; or all of them, where that can't be.
    pub fn join(layers: Vec<Self>) -> Result<Self, Vec<Self>> {
        Layer::join(layers.into_iter().map(|Self(layer)| layer).collect())
            .map(Self)
            .map_err(|layers| layers.into_iter().map(Self).collect())
    }

    /// `[batch, tokens, input]` → `[batch, tokens, output]`.
    pub fn forward(&self, input: Tensor<3>, after: After<3>) -> Tensor<3> {
        kernels::linear(input, &self.0, after)
    }

    /// `[batch, input]` → `[batch, output]`.
    pub fn forward_vectors(&self, input: Tensor<2>, activation: Activation) -> Tensor<2> {
        let [batch, size] = input.dims();
        let output = self.forward(
            input.reshape([1, batch, size]),
            After::activation(activation),
        );
        let [_, _, size] = output.dims();
        output.reshape([batch, size])
    }
}

/// A 2D convolution with a kernel of 3 × 3 pixels, and what a branch beside it adds.
pub struct Conv2d {
    layer: Layer,
    sampling: Sampling,
}

impl Conv2d {
    /// Takes `{path}.weight` `[output, input, 3, 3]` and `{path}.bias` `[output]`; the size stays.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        input: usize,
        output: usize,
    ) -> Result<Self, ModelError> {
        let layer = weights.take_biased_layer(path, &[output, input, 3, 3])?;
        Ok(Self::of(layer))
    }

    /// [`Conv2d::load`] for a layer that has no bias.
    pub fn load_without_bias(
        weights: &mut Weights,
        path: &str,
        input: usize,
        output: usize,
    ) -> Result<Self, ModelError> {
        let name = format!("{path}.weight");
        let layer = weights.take_layer(&name, &[output, input, 3, 3])?;
        Ok(Self::of(layer))
    }

    fn of(layer: Layer) -> Self {
        Self {
            layer,
            sampling: Sampling::Same,
        }
    }

    /// The same layer, which halves the size.
    pub fn halving(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// # Shapes
    /// - input: `[batch, height, width, input]`
    /// - output: `[batch, …size, output]`
    pub fn forward(&self, input: Tensor<4>, after: After<4>) -> Tensor<4> {
        kernels::convolution(input, &self.layer, self.sampling, after)
    }

    /// The convolution of the map that is doubled by repeating its pixels. `size` is the height and
    /// width to reach: one less than the double where a downsampling rounded up.
    pub fn forward_doubled(&self, input: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        let sampling = Sampling::Doubled(size);
        kernels::convolution(input, &self.layer, sampling, After::default())
    }
}

/// A 2D convolution of single pixels, and what a branch beside it adds.
pub struct PixelConv(Layer);

impl PixelConv {
    /// Takes `{path}.weight` `[output, input, 1, 1]` and `{path}.bias` `[output]`.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        input: usize,
        output: usize,
    ) -> Result<Self, ModelError> {
        weights
            .take_biased_layer(path, &[output, input, 1, 1])
            .map(Self)
    }

    /// # Shapes
    /// - input: `[batch, height, width, input]`, with `second` beside it
    /// - output: `[batch, height, width, output]`
    pub fn forward(&self, input: Tensor<4>, second: Option<Tensor<4>>) -> Tensor<4> {
        kernels::pixelwise(input, second, &self.0, After::default())
    }
}

/// Group normalization over channels and pixels, with an affine transformation per channel.
pub struct GroupNorm {
    norm: Norm,
    groups: usize,
}

impl GroupNorm {
    /// Takes `{path}.weight` and `{path}.bias`, both `[channels]`.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        channels: usize,
        groups: usize,
        epsilon: f64,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            norm: load_norm(weights, path, channels, epsilon)?,
            groups,
        })
    }

    /// `[batch, height, width, channels]` → the same.
    pub fn forward(&self, input: Tensor<4>, activation: Activation) -> Tensor<4> {
        self.forward_beside(input, None, activation)
    }

    /// Of two maps with their channels beside each other.
    pub fn forward_beside(
        &self,
        input: Tensor<4>,
        second: Option<Tensor<4>>,
        activation: Activation,
    ) -> Tensor<4> {
        kernels::group_norm(input, second, &self.norm, self.groups, activation)
    }
}

fn load_norm(
    weights: &mut Weights,
    path: &str,
    size: usize,
    epsilon: f64,
) -> Result<Norm, ModelError> {
    Ok(Norm {
        weight: weights.take(&format!("{path}.weight"), [size])?,
        bias: weights.take(&format!("{path}.bias"), [size])?,
        epsilon,
    })
}

/// Normalization over the last dimension, with an affine transformation.
pub struct LayerNorm(Norm);

impl LayerNorm {
    /// Takes `{path}.weight` and `{path}.bias`, both `[size]`.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        size: usize,
        epsilon: f64,
    ) -> Result<Self, ModelError> {
        load_norm(weights, path, size, epsilon).map(Self)
    }

    /// `[batch, tokens, size]` → the same.
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        kernels::layer_norm(input, &self.0)
    }
}

/// A map as the samplers have it, with its channels last.
///
/// # Shapes
/// `[batch, channels, height, width]` → `[batch, height, width, channels]`
pub fn channels_last(input: Tensor<4>) -> Tensor<4> {
    kernels::contiguous(input.permute([0, 2, 3, 1]))
}

/// The reverse of [`channels_last`].
pub fn channels_first(input: Tensor<4>) -> Tensor<4> {
    kernels::contiguous(input.permute([0, 3, 1, 2]))
}
