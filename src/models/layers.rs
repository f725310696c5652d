//! The layers that all models share. They are our own thin structs, not burn-nn's modules: a layer
//! here is what a file's tensors say, without initializers, and it is the place where low-rank
//! branches and held weights (see [`weights`](super::weights)) attach.

use burn::tensor::{
    Tensor,
    module::{conv2d, interpolate, layer_norm, linear},
    ops::{ConvOptions, InterpolateMode, InterpolateOptions},
};

use super::error::ModelError;
use super::weights::Weights;
use super::weights::{LowRank, Weight};

/// `y = x Wᵀ + b`, and what a branch beside it adds.
pub struct Linear {
    /// `[output, input]`.
    weight: Weight<2>,
    bias: Option<Tensor<1>>,
    branch: Option<Box<LowRank<2>>>,
}

impl Linear {
    /// Takes `{path}.weight` `[output, input]` and `{path}.bias` `[output]`.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        input: usize,
        output: usize,
    ) -> Result<Self, ModelError> {
        let mut layer = Self::load_without_bias(weights, path, input, output)?;
        layer.bias = Some(weights.take(&format!("{path}.bias"), [output])?);
        Ok(layer)
    }

    /// Takes `{path}.weight` `[output, input]`; there is no bias.
    pub fn load_without_bias(
        weights: &mut Weights,
        path: &str,
        input: usize,
        output: usize,
    ) -> Result<Self, ModelError> {
        let name = format!("{path}.weight");
        Ok(Self {
            weight: weights.take_weight(&name, [output, input])?,
            bias: None,
            branch: weights.take_branch(&name, [output, input])?,
        })
    }

    /// `[..., input]` → `[..., output]`.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let project = |input, weight: &Weight<2>, bias| {
            // Transposed as a view.
            linear(input, weight.get().transpose(), bias)
        };
        match &self.branch {
            None => project(input, &self.weight, self.bias.clone()),
            Some(branch) => {
                let change = project(input.clone(), &branch.down, None);
                let change = project(change, &branch.up, None) * branch.scale;
                project(input, &self.weight, self.bias.clone()) + change
            }
        }
    }
}

/// How a convolution treats the borders.
#[derive(Clone, Copy)]
pub enum Padding {
    /// The same on all sides.
    Same(usize),
    /// One row below and one column to the right: the VAE encoder's downsampling.
    EndOnly,
}

/// A 2D convolution with a square kernel, and what a branch beside it adds.
pub struct Conv2d {
    /// `[output, input, kernel, kernel]`.
    weight: Weight<4>,
    bias: Option<Tensor<1>>,
    branch: Option<Box<LowRank<4>>>,
    stride: usize,
    padding: Padding,
}

impl Conv2d {
    /// Takes `{path}.weight` `[output, input, kernel, kernel]` and `{path}.bias` `[output]`; stride
    /// 1, and padded so that the size stays.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        input: usize,
        output: usize,
        kernel: usize,
    ) -> Result<Self, ModelError> {
        let mut layer = Self::load_without_bias(weights, path, input, output, kernel)?;
        layer.bias = Some(weights.take(&format!("{path}.bias"), [output])?);
        Ok(layer)
    }

    /// [`Conv2d::load`] for a layer that has no bias.
    pub fn load_without_bias(
        weights: &mut Weights,
        path: &str,
        input: usize,
        output: usize,
        kernel: usize,
    ) -> Result<Self, ModelError> {
        let name = format!("{path}.weight");
        let shape = [output, input, kernel, kernel];
        Ok(Self {
            weight: weights.take_weight(&name, shape)?,
            bias: None,
            branch: weights.take_branch(&name, shape)?,
            stride: 1,
            padding: Padding::Same(kernel / 2),
        })
    }

    /// The same layer with stride 2: it halves the size.
    pub fn halving(mut self, padding: Padding) -> Self {
        self.stride = 2;
        self.padding = padding;
        self
    }

    /// `[batch, input, height, width]` → `[batch, output, height / stride, width / stride]`.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let stride = [self.stride; 2];
        let convolve = |input, weight: &Weight<4>, bias| {
            let options = match self.padding {
                Padding::Same(padding) => ConvOptions::new(stride, [padding; 2], [1, 1], 1),
                Padding::EndOnly => ConvOptions::new_with_padding(stride, [(0, 1); 2], [1, 1], 1),
            };
            conv2d(input, weight.get(), bias, options)
        };
        match &self.branch {
            None => convolve(input, &self.weight, self.bias.clone()),
            Some(branch) => {
                let change = convolve(input.clone(), &branch.down, None);
                let pixelwise = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
                let change = conv2d(change, branch.up.get(), None, pixelwise) * branch.scale;
                convolve(input, &self.weight, self.bias.clone()) + change
            }
        }
    }
}

/// Group normalization over channels and pixels, with an affine transformation per channel.
pub struct GroupNorm {
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    epsilon: f64,
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
            weight: weights.take(&format!("{path}.weight"), [channels])?,
            bias: weights.take(&format!("{path}.bias"), [channels])?,
            groups,
            epsilon,
        })
    }

    /// `[batch, channels, height, width]` → the same.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = input.dims();
        let group = channels / self.groups * height * width;
        let input = input.reshape([batch, self.groups, group]);
        let centred = input.clone() - input.mean_dim(2);
        let variance = centred.clone().square().mean_dim(2);
        let normalized = centred / (variance + self.epsilon).sqrt();
        normalized.reshape([batch, channels, height, width])
            * self.weight.clone().reshape([1, channels, 1, 1])
            + self.bias.clone().reshape([1, channels, 1, 1])
    }
}

/// Normalization over the last dimension, with an affine transformation.
pub struct LayerNorm {
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
}

impl LayerNorm {
    /// Takes `{path}.weight` and `{path}.bias`, both `[size]`.
    pub fn load(
        weights: &mut Weights,
        path: &str,
        size: usize,
        epsilon: f64,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.take(&format!("{path}.weight"), [size])?,
            bias: weights.take(&format!("{path}.bias"), [size])?,
            epsilon,
        })
    }

    /// `[batch, tokens, size]` → the same.
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        layer_norm(
            input,
            self.weight.clone(),
            Some(self.bias.clone()),
            self.epsilon,
        )
    }
}

/// Doubles the size by repeating pixels: `[batch, channels, height, width]` → `[batch, channels, …size]`.
/// `size` is the height and width to reach: one less than the double where a downsampling rounded up.
pub fn upsample_nearest(input: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    interpolate(
        input,
        InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size),
    )
}
