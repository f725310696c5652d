//! The parts of the plain operations, a value, a query or a group a thread: for sizes that no vectors of four
//! fit. No known model has such a layer where time counts.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;
use cubecl::prelude::*;

use super::buffers::{in_rows, output, primitive, some, tensor};
use super::{counts, submits};
use crate::kernels::layer::Norm;
use crate::kernels::plain::Parts;

/// Threads of a workgroup.
const THREADS: usize = 64;

/// The parts as kernels of our own, on tensors of `f32`.
pub struct Scalar;

impl Parts for Scalar {
    fn product(input: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
        let [batch, rows, depth] = input.dims();
        let [columns, _] = weight.dims();
        let (input, weight) = (primitive(input), primitive(weight));
        let bias = bias.map(primitive);
        let result = output(&input, &[batch, rows, columns]);
        let values = batch * rows * columns;
        counts::note(
            "scalar product",
            [&input, &weight, &result].into_iter().chain(&bias),
        );
        submits::before(&input.client, 2.0 * (values * depth) as f64);
        let has_bias = bias.is_some();
        let client = input.client.clone();
        unsafe {
            product::launch_unchecked(
                &client,
                in_rows(values, THREADS),
                CubeDim::new_1d(THREADS as u32),
                input.into_buffer_arg(),
                weight.into_buffer_arg(),
                some(bias),
                result.clone().into_buffer_arg(),
                values as u32,
                columns as u32,
                depth as u32,
                has_bias,
            );
        }
        tensor(result)
    }

    fn attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, is_causal: bool) -> Tensor<4> {
        let [batch, heads, queries, size] = query.dims();
        let keys = key.dims()[2];
        let [query, key, value] = [query, key, value].map(primitive);
        let result = output(&query, &[batch, heads, queries, size]);
        let threads = batch * heads * queries;
        counts::note("scalar attention", [&query, &key, &value, &result]);
        // Each score is computed twice.
        submits::before(&query.client, 6.0 * (threads * keys * size) as f64);
        let client = query.client.clone();
        unsafe {
            attention::launch_unchecked(
                &client,
                in_rows(threads, THREADS),
                CubeDim::new_1d(THREADS as u32),
                query.into_buffer_arg(),
                key.into_buffer_arg(),
                value.into_buffer_arg(),
                result.clone().into_buffer_arg(),
                threads as u32,
                queries as u32,
                keys as u32,
                size as u32,
                1.0 / (size as f32).sqrt(),
                is_causal,
            );
        }
        tensor(result)
    }

    fn normalized(input: Tensor<4>, epsilon: f64) -> Tensor<4> {
        let [batch, pixels, groups, size] = input.dims();
        tensor(normalize(
            primitive(input),
            [batch, pixels, groups, size],
            epsilon,
        ))
    }

    fn layer_norm(input: Tensor<3>, norm: &Norm) -> Tensor<3> {
        let [batch, tokens, size] = input.dims();
        let normalized = normalize(primitive(input), [batch * tokens, 1, 1, size], norm.epsilon);
        tensor::<4>(normalized).reshape([batch, tokens, size])
            * norm.weight.clone().reshape([1, 1, size])
            + norm.bias.clone().reshape([1, 1, size])
    }
}

fn normalize(
    input: CubeTensor,
    [batch, pixels, groups, size]: [usize; 4],
    epsilon: f64,
) -> CubeTensor {
    let result = output(&input, &[batch, pixels, groups, size]);
    counts::note("scalar norm", [&input, &result]);
    submits::before_moving(&input.client, batch * pixels * groups * size);
    let client = input.client.clone();
    unsafe {
        normalized::launch_unchecked(
            &client,
            in_rows(batch * groups, THREADS),
            CubeDim::new_1d(THREADS as u32),
            input.into_buffer_arg(),
            result.clone().into_buffer_arg(),
            (batch * groups) as u32,
            pixels as u32,
            groups as u32,
            size as u32,
            epsilon as f32,
        );
    }
    result
}

/// Rows times the rows of a matrix.
///
/// # Shapes
/// - input: `[rows, depth]`
/// - weight: `[columns, depth]`
/// - output: `[rows, columns]`, `values` in all
#[cube(launch_unchecked)]
fn product(
    input: &[f32],
    weight: &[f32],
    bias: ComptimeOption<Box<[f32]>>,
    output: &mut [f32],
    values: u32,
    columns: u32,
    depth: u32,
    #[comptime] has_bias: bool,
) {
    let at = ABSOLUTE_POS;
    if at < values as usize {
        let row = at / columns as usize;
        let column = at - row * columns as usize;
        let depth = depth as usize;
        let mut sum = 0.0f32;
        for index in 0..depth {
            sum = fma(
                input[row * depth + index],
                weight[column * depth + index],
                sum,
            );
        }
        if comptime!(has_bias) {
            let bias = bias.as_ref().unwrap();
            sum += bias[column];
        }
        output[at] = sum;
    }
}

/// softmax(Q Kᵀ · scale) V, a query a thread.
///
/// # Shapes
/// - query, output: `[batch · heads, queries, size]`, of `threads` queries in all
/// - key, value: `[batch · heads, keys, size]`
#[cube(launch_unchecked)]
fn attention(
    query: &[f32],
    key: &[f32],
    value: &[f32],
    output: &mut [f32],
    threads: u32,
    queries: u32,
    keys: u32,
    size: u32,
    scale: f32,
    #[comptime] is_causal: bool,
) {
    let thread = ABSOLUTE_POS;
    if thread < threads as usize {
        let size = size as usize;
        let head = thread / queries as usize;
        let own = thread * size;
        let others = head * keys as usize * size;
        let mut seen = keys as usize;
        if comptime!(is_causal) {
            seen = thread - head * queries as usize + 1;
        }
        let mut largest = f32::new(-3.0e38);
        for other in 0..seen {
            let mut score = 0.0f32;
            for index in 0..size {
                score = fma(
                    query[own + index],
                    key[others + other * size + index],
                    score,
                );
            }
            largest = max(largest, score * scale);
        }
        for index in 0..size {
            output[own + index] = 0.0f32;
        }
        let mut total = 0.0f32;
        for other in 0..seen {
            let mut score = 0.0f32;
            for index in 0..size {
                score = fma(
                    query[own + index],
                    key[others + other * size + index],
                    score,
                );
            }
            let weight = (score * scale - largest).exp();
            total += weight;
            for index in 0..size {
                output[own + index] = fma(
                    weight,
                    value[others + other * size + index],
                    output[own + index],
                );
            }
        }
        for index in 0..size {
            output[own + index] = output[own + index] / total;
        }
    }
}

/// Mean 0 and variance 1, a group a thread. Squares are summed up around the mean.
///
/// # Shapes
/// input, output: `[batch, pixels, groups, size]`, with `threads` the groups of all images
#[cube(launch_unchecked)]
fn normalized(
    input: &[f32],
    output: &mut [f32],
    threads: u32,
    pixels: u32,
    groups: u32,
    size: u32,
    epsilon: f32,
) {
    let thread = ABSOLUTE_POS;
    if thread < threads as usize {
        let groups = groups as usize;
        let size = size as usize;
        let pixels = pixels as usize;
        let image = thread / groups;
        let first = (image * pixels * groups + thread - image * groups) * size;
        let row = groups * size;
        let count = f32::cast_from((pixels * size) as u32);
        let mut sum = 0.0f32;
        for pixel in 0..pixels {
            for index in 0..size {
                sum += input[first + pixel * row + index];
            }
        }
        let mean = sum / count;
        let mut squares = 0.0f32;
        for pixel in 0..pixels {
            for index in 0..size {
                let distance = input[first + pixel * row + index] - mean;
                squares = fma(distance, distance, squares);
            }
        }
        let inverse = 1.0f32 / (squares / count + epsilon).sqrt();
        for pixel in 0..pixels {
            for index in 0..size {
                let at = first + pixel * row + index;
                output[at] = (input[at] - mean) * inverse;
            }
        }
    }
}
