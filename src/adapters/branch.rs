//! The change of one layer as the product of two narrow matrices.

use std::collections::BTreeMap;

use super::error::AdapterError;
use super::names::Part;
use crate::weights::format::encoding::Encoding;
use crate::weights::format::order::Order;
use crate::weights::format::tensor::StoredTensor;

/// What a file holds of a layer's branch.
pub(super) type Parts = BTreeMap<Part, StoredTensor>;

/// A layer's change: `scale · up · down`.
#[derive(Debug)]
pub struct LowRankBranch {
    /// `[rank, input, …]`.
    pub down: StoredTensor,
    /// `[output, rank, …]`.
    pub up: StoredTensor,
    /// `alpha / rank`.
    pub scale: f32,
}

impl LowRankBranch {
    /// The shape of the weights that the branch is for, where it can't be put on one of this shape. A matrix
    /// may be meant for a convolution, and the other way round.
    pub(super) fn misfit(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let own: Vec<usize> = self.up.shape.iter().take(1).copied().collect();
        let own = [own.as_slice(), self.down.shape.get(1..).unwrap_or_default()].concat();
        let wanted_row: usize = shape.iter().skip(1).product();
        let own_row: usize = own.iter().skip(1).product();
        // A matrix of a convolution's values has them in the order in which its kernel has them.
        let is_alike = shape.first() == own.first()
            && (own == shape || (own_row == wanted_row && (own.len() == 2 || is_of_ones(&own))));
        (!is_alike).then_some(own)
    }

    /// The branch with its parts in the shapes that a weight of this shape has them in: `[rank, input, …]`
    /// and `[output, rank, 1, …]`.
    pub(super) fn for_weight(self, name: &str, shape: &[usize]) -> Result<Self, AdapterError> {
        let rank = self.down.shape.first().copied().unwrap_or(0);
        if let Some(own) = self.misfit(shape) {
            return Err(AdapterError::Shape {
                name: name.to_owned(),
                adapter: own,
                base: shape.to_vec(),
            });
        }
        let mut down = shape.to_vec();
        let mut up = vec![1; shape.len()];
        if let (Some(first), [up_rows, up_rank, ..]) = (down.first_mut(), up.as_mut_slice()) {
            *first = rank;
            *up_rows = shape.first().copied().unwrap_or(0);
            *up_rank = rank;
        }
        Ok(Self {
            down: reshaped(self.down, &down)?,
            up: reshaped(self.up, &up)?,
            scale: self.scale,
        })
    }

    /// Adds the change to a weight of that shape, row by row.
    pub(super) fn add_to(&self, weight: &mut [f32]) -> Result<(), AdapterError> {
        if self.down.is_outline() {
            return Ok(());
        }
        let down = self.down.to_f32()?;
        let up = self.up.to_f32()?;
        let rank = self.down.shape.first().copied().unwrap_or(1).max(1);
        let columns = (down.len() / rank).max(1);
        // Summed apart: the terms are far smaller than the weight and would be rounded to its steps.
        let mut change = vec![0.0; columns];
        for (row, factors) in weight.chunks_exact_mut(columns).zip(up.chunks_exact(rank)) {
            change.fill(0.0);
            for (&factor, direction) in factors.iter().zip(down.chunks_exact(columns)) {
                for (sum, &value) in change.iter_mut().zip(direction) {
                    *sum += factor * value;
                }
            }
            for (value, &change) in row.iter_mut().zip(&change) {
                *value += self.scale * change;
            }
        }
        Ok(())
    }
}

/// Whether a kernel of this shape has a single value for each pair of channels.
fn is_of_ones(shape: &[usize]) -> bool {
    shape.iter().skip(2).all(|&size| size == 1)
}

/// The same numbers in another shape of as many.
fn reshaped(tensor: StoredTensor, shape: &[usize]) -> Result<StoredTensor, AdapterError> {
    if tensor.shape == shape {
        return Ok(tensor);
    }
    let encoding = match tensor.encoding {
        Encoding::F16 | Encoding::BF16 => tensor.encoding,
        _ => Encoding::F32,
    };
    if tensor.is_outline() {
        let (name, order) = (tensor.name, Order::RowMajor);
        return Ok(StoredTensor::outline(name, encoding, order, shape.to_vec()));
    }
    let values = tensor.to_f32()?;
    Ok(StoredTensor::encode(
        &tensor.name,
        shape,
        &values,
        encoding,
        0.0,
    )?)
}
