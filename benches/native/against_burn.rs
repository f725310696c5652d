//! The kernels beside burn's own operations on the same adapter, taking turns, in `f32`: each output is
//! read back, and compared once.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::activation::silu;
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{Device, Tensor, module};
use firststep::kernels::{self, Activation, After, Heads, Layer, Matrix, Norm, Sampling};
use firststep::weights::format::encoding::Encoding;
use firststep::weights::format::tensor::StoredTensor;

use super::{numbers, tensor, wait};

/// Rounds, of which the median counts.
const ROUNDS: usize = 5;
/// How far two kernels may be apart, of the largest value: they add up in different orders.
const TOLERANCE: f32 = 1e-4;

pub fn compare(device: &Device) {
    println!("operation: own, burn's, own / burn's (medians of {ROUNDS} rounds in turns, f32)");
    matmul(device);
    convolution(device);
    attention(device);
    group_norm(device);
}

fn in_turns(label: &str, own: impl Fn() -> Vec<f32>, burns: impl Fn() -> Vec<f32>) {
    let (first, second) = (own(), burns());
    let largest = second
        .iter()
        .fold(0.0, |largest: f32, value| largest.max(value.abs()));
    assert!(first.len() == second.len() && largest > 0.0);
    for (one, other) in first.iter().zip(&second) {
        assert!((one - other).abs() <= TOLERANCE * largest, "{label}");
    }
    let timed = |run: &dyn Fn() -> Vec<f32>| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        // Each is first in turn.
        if round % 2 == 0 {
            times[0].push(timed(&own));
            times[1].push(timed(&burns));
        } else {
            times[1].push(timed(&burns));
            times[0].push(timed(&own));
        }
    }
    let [own, burns] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    });
    println!("{label}: {own:.3} s, {burns:.3} s, {:.2}", own / burns);
}

/// A weight as both have it.
fn layer(shape: &[usize], device: &Device) -> (Layer, Vec<f32>) {
    let values: Vec<f32> = numbers(shape.iter().product());
    let stored = StoredTensor::encode("weight", shape, &values, Encoding::F32, 0.0).unwrap();
    let layer = Layer {
        weight: Matrix::held(Arc::new(stored), device).unwrap(),
        bias: Some(tensor([shape[0]], device)),
        branch: None,
    };
    (layer, values)
}

fn matmul(device: &Device) {
    let (rows, depth, columns) = (1024, 1280, 1280);
    let input: Tensor<3> = tensor([1, rows, depth], device);
    let (layer, values) = layer(&[columns, depth], device);
    let weight = Tensor::<1>::from_floats(values.as_slice(), device).reshape([columns, depth]);
    in_turns(
        "matmul 1024 × 1280 × 1280 and bias",
        || wait(kernels::linear(input.clone(), &layer, After::default())),
        || {
            let weight = weight.clone().transpose();
            wait(module::linear(input.clone(), weight, layer.bias.clone()))
        },
    );
}

fn convolution(device: &Device) {
    let (channels, side) = (320, 64);
    let input: Tensor<4> = tensor([1, side, side, channels], device);
    let (layer, values) = layer(&[channels, channels, 3, 3], device);
    let weight = Tensor::<1>::from_floats(values.as_slice(), device);
    let weight: Tensor<4> = weight.reshape([channels, channels, 3, 3]);
    let channels_first = contiguous(input.clone().permute([0, 3, 1, 2]));
    in_turns(
        "convolution 3 × 3, 320 → 320 at 64 × 64",
        || {
            wait(kernels::convolution(
                input.clone(),
                &layer,
                Sampling::Same,
                After::default(),
            ))
        },
        || {
            let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
            let (weight, bias) = (weight.clone(), layer.bias.clone());
            let output = module::conv2d(channels_first.clone(), weight, bias, options);
            wait(output.permute([0, 2, 3, 1]))
        },
    );
}

fn attention(device: &Device) {
    let heads = Heads {
        count: 10,
        size: 64,
        is_causal: false,
    };
    let (tokens, columns) = (1024, heads.count * heads.size);
    let all: Tensor<3> = tensor([1, tokens, 3 * columns], device) * 2.0;
    let part = |part: usize| {
        let part = all.clone().narrow(2, part * columns, columns);
        let split = part.reshape([1, tokens, heads.count, heads.size]);
        contiguous(split.swap_dims(1, 2))
    };
    let [queries, keys, values] = [part(0), part(1), part(2)];
    in_turns(
        "attention, 10 heads of 64, 1024 tokens",
        || wait(kernels::attention(all.clone(), None, heads)),
        || {
            let options = AttentionModuleOptions::default();
            let (keys, values) = (keys.clone(), values.clone());
            let output = module::attention(queries.clone(), keys, values, None, None, options);
            wait(output.swap_dims(1, 2))
        },
    );
}

fn group_norm(device: &Device) {
    let (channels, side, groups) = (320, 128, 32);
    let input: Tensor<4> = tensor([1, side, side, channels], device);
    let norm = Norm {
        weight: tensor([channels], device),
        bias: tensor([channels], device),
        epsilon: 1e-5,
    };
    let channels_first = contiguous(input.clone().permute([0, 3, 1, 2]));
    // One row is read back: the whole map would take longer than the norm.
    in_turns(
        "group norm and SiLU, 320 at 128 × 128",
        || {
            let output = kernels::group_norm(input.clone(), None, &norm, groups, Activation::Silu);
            wait(output.narrow(1, 0, 1))
        },
        || {
            let grouped =
                channels_first
                    .clone()
                    .reshape([1, groups, channels / groups * side * side]);
            let centred = grouped.clone() - grouped.mean_dim(2);
            let variance = centred.clone().square().mean_dim(2);
            let normed = centred / (variance + norm.epsilon).sqrt();
            let affine = [1, channels, 1, 1];
            let output = silu(
                normed.reshape([1, channels, side, side]) * norm.weight.clone().reshape(affine)
                    + norm.bias.clone().reshape(affine),
            );
            wait(output.narrow(2, 0, 1).permute([0, 2, 3, 1]))
        },
    );
}

/// A permuted tensor, copied: a vector of all values is no view of it.
fn contiguous(input: Tensor<4>) -> Tensor<4> {
    let shape = input.dims();
    input
        .reshape([shape.iter().product::<usize>()])
        .reshape(shape)
}
