//! What the kernels are tried with on an adapter: small layers and inputs that are the same each time.

use std::sync::Arc;

use burn::tensor::Device;

use super::layer::Layer;
use super::matrix::Matrix;
use crate::weights::format::encoding::Encoding;
use crate::weights::format::tensor::{StoredTensor, TensorError};

/// Numbers in about −`scale`…`scale`.
pub fn numbers(count: usize, scale: f32) -> Vec<f32> {
    (0..count)
        .map(|index| ((index * 7919 % 997) as f32 / 498.5 - 1.0) * scale)
        .collect()
}

/// A layer with a weight of this shape on a graphics card, and nothing else.
///
/// # Errors
/// The shape doesn't fit the encoding.
pub fn layer(
    shape: &[usize],
    encoding: Encoding,
    scale: f32,
    device: &Device,
) -> Result<Layer, TensorError> {
    let values = numbers(shape.iter().product(), scale);
    let tensor = StoredTensor::encode("trial", shape, &values, encoding, 0.0)?;
    Ok(Layer {
        weight: Matrix::held(Arc::new(tensor), device)?,
        bias: None,
        branch: None,
    })
}
