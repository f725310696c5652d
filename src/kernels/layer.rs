//! What the operations work with: layers, what is done after them, and how convolutions and attention
//! go over their inputs.

use std::sync::{Arc, PoisonError, RwLock};

use burn::tensor::Tensor;

use super::matrix::{self, Matrix};

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

/// The changes of a layer beside its weight, each `strength · scale · up · down`: those of several
/// adapters are one pair of matrices, concatenated by rank.
#[derive(Clone)]
pub struct LowRank {
    /// As the layer's weight, with the rank in place of the outputs.
    pub down: Matrix,
    /// `[output, rank]`.
    pub up: Matrix,
    /// Whose ranks these are, in their order.
    pub parts: Vec<BranchPart>,
    /// How strongly the adapters act.
    pub strengths: Strengths,
}

/// The ranks that one adapter has in a branch.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchPart {
    /// Their number.
    pub ranks: usize,
    /// What the adapter's file multiplies its change by.
    pub scale: f32,
    /// The adapter, by its place in [`Strengths`]; none where it always acts with strength 1.
    pub adapter: Option<usize>,
}

/// How strongly each adapter of a model acts. Clones are the same strengths: what is set counts for every
/// layer that has one of them, from its next use on.
#[derive(Clone, Debug, Default)]
pub struct Strengths(Arc<RwLock<Vec<f32>>>);

impl Strengths {
    /// Sets the strengths, in the order of the adapters. Those beyond the end are 0.
    pub fn set(&self, strengths: &[f32]) {
        let mut own = self.0.write().unwrap_or_else(PoisonError::into_inner);
        own.clear();
        own.extend_from_slice(strengths);
    }

    fn of(&self, adapter: usize) -> f32 {
        let own = self.0.read().unwrap_or_else(PoisonError::into_inner);
        own.get(adapter).copied().unwrap_or(0.0)
    }
}

/// What a branch is multiplied by between its two matrices.
#[derive(Clone, Debug, PartialEq)]
pub enum BranchScale {
    /// One number for all ranks.
    Whole(f32),
    /// A number for each rank.
    Ranks(Vec<f32>),
}

impl LowRank {
    /// What the branch is multiplied by now; none where no part of it acts.
    pub fn scale(&self) -> Option<BranchScale> {
        let scales: Vec<f32> = self
            .parts
            .iter()
            .map(|part| {
                part.scale
                    * part
                        .adapter
                        .map_or(1.0, |adapter| self.strengths.of(adapter))
            })
            .collect();
        let first = scales.first().copied()?;
        if scales.iter().all(|&scale| scale == 0.0) {
            None
        } else if scales.iter().all(|&scale| scale == first) {
            Some(BranchScale::Whole(first))
        } else {
            let ranks = self.parts.iter().zip(scales);
            Some(BranchScale::Ranks(
                ranks
                    .flat_map(|(part, scale)| std::iter::repeat_n(scale, part.ranks))
                    .collect(),
            ))
        }
    }
}

impl Layer {
    /// The branch with what it is multiplied by, where any of it acts now.
    pub fn acting_branch(&self) -> Option<(&LowRank, BranchScale)> {
        let branch = self.branch.as_deref()?;
        Some((branch, branch.scale()?))
    }

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
    /// where one thread computes both. What is so already stays: a shared weight may have been arranged
    /// before, and has its bias with it.
    pub fn gated(mut self) -> Layer {
        let was_arranged = self.weight.is_interleaved();
        self.weight = self.weight.interleaved();
        if self.weight.is_interleaved() {
            if !was_arranged {
                self.bias = self.bias.map(matrix::interleave_halves);
            }
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
