//! Whether an adapter that offers `f16` computes with it as it should.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use super::gpu::{is_half, set_half};
use super::layer::{Activation, After, Heads, Norm, Sampling};
use super::operations;
use super::plain;
use super::trial;
use crate::weights::format::encoding::Encoding;

/// The root mean square of the differences, relative to the values: several times what the steps of `f16`
/// come to, and far less than any fault does.
const TOLERANCE: f32 = 0.02;

/// Channels of the block that is computed.
const CHANNELS: usize = 64;

/// Why half precision is not used. Each is the end of a sentence that begins with the adapter.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HalfFault {
    /// The adapter has no such numbers.
    #[error("has no half-precision numbers")]
    Missing,
    /// The block could not be made.
    #[error("could not be tested")]
    Untested,
    /// A program in half precision can't be compiled.
    #[error("can't compile a program with half-precision numbers ({0})")]
    Program(String),
    /// The device failed, and may be lost.
    #[error("failed with half precision ({0})")]
    Device(String),
    /// The result is another one, by so many percent.
    #[error("computes wrongly with half-precision numbers (by {0:.0} %)")]
    Wrong(f32),
}

/// Launches the block in half or in single precision.
pub fn launch_canary(device: &Device, half: bool) -> Option<Tensor<3>> {
    let before = is_half();
    set_half(half);
    let block = block(device);
    set_half(before);
    block.map(plain::to_f32)
}

/// Computes one small block in both types, and compares.
///
/// # Errors
/// What is wrong.
pub async fn check_half(device: &Device) -> Result<(), HalfFault> {
    if !device.supports_dtype(FloatDType::F16) {
        return Err(HalfFault::Missing);
    }
    let mut results = Vec::new();
    for is_half in [false, true] {
        let block = launch_canary(device, is_half).ok_or(HalfFault::Untested)?;
        let data = block.into_data_async().await;
        let values = data.map_err(|error| HalfFault::Device(error.to_string()))?;
        results.push(values.try_into_vec::<f32>().unwrap_or_default());
    }
    let [whole, half] = results.as_slice() else {
        return Err(HalfFault::Untested);
    };
    let square: f32 = whole.iter().map(|value| value * value).sum();
    let error: f32 = whole
        .iter()
        .zip(half)
        .map(|(whole, half)| (whole - half).powi(2))
        .sum();
    let error = (error / square).sqrt();
    // Not a number is no small error.
    if whole.len() == half.len() && error <= TOLERANCE {
        Ok(())
    } else {
        Err(HalfFault::Wrong(error * 100.0))
    }
}

/// A normalization, a convolution, attention and a gated layer in a row; none if a weight can't be made.
fn block(device: &Device) -> Option<Tensor<3>> {
    let layer = |shape: &[usize]| trial::layer(shape, Encoding::F16, 0.15, device).ok();
    let vector = |value: f32| Tensor::<1>::full([CHANNELS], value, device);
    let norm = Norm {
        weight: vector(1.0),
        bias: vector(0.1),
        epsilon: 1e-5,
    };
    let input = TensorData::new(trial::numbers(36 * CHANNELS, 2.0), [1, 6, 6, CHANNELS]);
    let input = operations::to_activations(Tensor::<4>::from_data(input, device));
    let normed = operations::group_norm(input.clone(), None, &norm, 16, Activation::Silu);
    let map = operations::convolution(
        normed,
        &layer(&[CHANNELS, CHANNELS, 3, 3])?,
        Sampling::Same,
        After::residual(input),
    );
    let tokens = map.reshape([1, 36, CHANNELS]);
    let normed = operations::layer_norm(tokens.clone(), &norm);
    let projected =
        operations::linear(normed, &layer(&[3 * CHANNELS, CHANNELS])?, After::default());
    let heads = Heads {
        count: 1,
        size: CHANNELS,
        is_causal: false,
    };
    let attended = operations::attention(projected, None, heads) + tokens;
    let gated = layer(&[2 * CHANNELS, CHANNELS])?.gated();
    Some(operations::linear(
        attended,
        &gated,
        After::activation(Activation::Geglu),
    ))
}
