//! The kernels for adapters that compute on the CPU: without shared memory and without barriers, which
//! cost more there than the loads that they save. A thread has a tile of outputs in its registers and
//! reads what it needs for it from the buffers.

use cubecl::prelude::*;

use super::attention::{Program as AttentionProgram, Sizes as AttentionSizes, UNSEEN};
use super::matmul::{Program, Sizes, activate, finished, floats, scale_of, sums_of};
use super::norm::{moments_at, sum_of_four};
use crate::kernels::matrix::WeightForm;

/// Threads of a workgroup.
pub const THREADS: usize = 16;

/// [`matmul`](super::matmul::matmul) in registers: a thread has `thread_rows` rows of four columns, or of
/// four values and their gates. Where there are more rows of workgroups than there may be in one
/// direction, they go on in the third.
#[cube(launch_unchecked)]
pub fn matmul<E: Float, N: Size, W: Size, U: Size>(
    input: &[Vector<E, N>],
    second: ComptimeOption<Box<[Vector<E, N>]>>,
    weight: &[Vector<u32, W>],
    bias: ComptimeOption<Box<[Vector<f32, N>]>>,
    embedding: ComptimeOption<Box<[Vector<E, N>]>>,
    residual: ComptimeOption<Box<[Vector<E, N>]>>,
    low: ComptimeOption<Box<[Vector<E, N>]>>,
    up: ComptimeOption<Box<[Vector<u32, U>]>>,
    output: &mut [Vector<E, N>],
    sizes: Sizes,
    #[comptime] program: Program,
    #[define(E)] _type: cubecl::ir::ElemType,
) {
    let own_rows = comptime!(program.tile.thread_rows);
    let own_columns = comptime!(program.tile.thread_columns);
    let thread = UNIT_POS as usize;
    let rows = sizes.rows as usize;
    let columns4 = sizes.columns as usize / 4;
    let k4 = sizes.depth as usize / 4;
    let c4 = sizes.channels as usize / 4;
    let first_row = (CUBE_POS_Z * CUBE_COUNT_Y + CUBE_POS_Y) as usize * own_rows;
    // The first of the thread's columns, in vectors, and that of their gates.
    let mut column4 = CUBE_POS_X as usize * THREADS + thread;
    if comptime!(program.is_gated()) {
        column4 = CUBE_POS_X as usize * comptime!(2 * THREADS) + thread / 8 * 16 + thread % 8;
    }

    let mut sums = Array::<f32>::new(comptime!(
        program.tile.thread_rows * program.tile.thread_columns
    ));
    #[unroll]
    for i in 0..comptime!(program.tile.thread_rows * program.tile.thread_columns) {
        sums[i] = 0.0f32;
    }
    // What lies beyond the last row or column is computed from the last one, and not written.
    let mut own = Array::<usize>::new(own_rows);
    #[unroll]
    for i in 0..own_rows {
        own[i] = min(first_row + i, rows - 1);
    }
    let mut outputs = Array::<usize>::new(own_columns);
    #[unroll]
    for j in 0..own_columns {
        outputs[j] = min(column4 + comptime!(j / 4 * 8), columns4 - 1) * 4 + comptime!(j % 4);
    }

    let mut inputs_at = Array::<usize>::new(own_rows);
    let mut inside = Array::<f32>::new(own_rows);
    let mut weights_at = Array::<usize>::new(own_columns);
    if comptime!(program.has_patches()) {
        let padding = comptime!(program.padding());
        let height = sizes.height as usize;
        let width = sizes.width as usize;
        let mut seen_height = height;
        let mut seen_width = width;
        if comptime!(program.is_doubled()) {
            seen_height = sizes.output_height as usize;
            seen_width = sizes.output_width as usize;
        }
        let area = (sizes.output_height * sizes.output_width) as usize;
        let mut images = Array::<usize>::new(own_rows);
        let mut tops = Array::<usize>::new(own_rows);
        let mut lefts = Array::<usize>::new(own_rows);
        #[unroll]
        for i in 0..own_rows {
            let image = own[i] / area;
            let rest = own[i] - image * area;
            let y = rest / sizes.output_width as usize;
            images[i] = image * height * width;
            tops[i] = y * comptime!(program.stride());
            lefts[i] = (rest - y * sizes.output_width as usize) * comptime!(program.stride());
        }
        for tap in 0..9usize {
            let dy = tap / 3;
            let dx = tap - dy * 3;
            #[unroll]
            for i in 0..own_rows {
                // Choices without branches: some compilers take a hundred times as long over those.
                let y = tops[i] + dy;
                let x = lefts[i] + dx;
                let above = select(y < padding, 0.0f32, 1.0f32);
                let below = select(y < seen_height + padding, above, 0.0f32);
                let left = select(x < padding, 0.0f32, below);
                inside[i] = select(x < seen_width + padding, left, 0.0f32);
                let mut pixel_y = max(y, padding) - padding;
                let mut pixel_x = max(x, padding) - padding;
                if comptime!(program.is_doubled()) {
                    pixel_y = pixel_y / 2;
                    pixel_x = pixel_x / 2;
                }
                let pixel = images[i] + min(pixel_y, height - 1) * width + min(pixel_x, width - 1);
                inputs_at[i] = pixel * c4;
            }
            begin(&outputs, k4, tap * c4, &mut weights_at, own_columns);
            accumulate::<E, N, W>(
                input,
                weight,
                &inputs_at,
                &inside,
                &weights_at,
                c4,
                sizes.scales_at,
                1.0f32,
                &mut sums,
                program.weight,
                program,
            );
        }
    } else {
        begin(&own, c4, 0usize, &mut inputs_at, own_rows);
        begin(&outputs, k4, 0usize, &mut weights_at, own_columns);
        accumulate::<E, N, W>(
            input,
            weight,
            &inputs_at,
            &inside,
            &weights_at,
            c4,
            sizes.scales_at,
            1.0f32,
            &mut sums,
            program.weight,
            program,
        );
        if comptime!(program.has_second) {
            let second = second.as_ref().unwrap();
            begin(&own, k4 - c4, 0usize, &mut inputs_at, own_rows);
            begin(&outputs, k4, c4, &mut weights_at, own_columns);
            accumulate::<E, N, W>(
                second,
                weight,
                &inputs_at,
                &inside,
                &weights_at,
                k4 - c4,
                sizes.scales_at,
                1.0f32,
                &mut sums,
                program.weight,
                program,
            );
        }
    }
    if comptime!(program.branch.is_some()) {
        let low = low.as_ref().unwrap();
        let up = up.as_ref().unwrap();
        let rank4 = sizes.rank as usize / 4;
        begin(&own, rank4, 0usize, &mut inputs_at, own_rows);
        begin(&outputs, rank4, 0usize, &mut weights_at, own_columns);
        #[unroll]
        for i in 0..own_rows {
            inside[i] = 1.0f32;
        }
        accumulate::<E, N, U>(
            low,
            up,
            &inputs_at,
            &inside,
            &weights_at,
            rank4,
            0u32,
            sizes.scale,
            &mut sums,
            comptime!(program.branch.unwrap_or(WeightForm::F32)),
            program,
        );
    }

    if column4 < columns4 {
        #[unroll]
        for i in 0..own_rows {
            let row = first_row + i;
            if row < rows {
                if comptime!(program.is_gated()) {
                    let mut value = sums_of::<N>(&sums, comptime!(i * program.tile.thread_columns));
                    let mut gate =
                        sums_of::<N>(&sums, comptime!(i * program.tile.thread_columns + 4));
                    if comptime!(program.has_bias) {
                        let bias = bias.as_ref().unwrap();
                        value += bias[column4];
                        gate += bias[column4 + 8];
                    }
                    let result = value * activate::<N>(gate, program.activation);
                    let at = row * (columns4 / 2) + column4 / 16 * 8 + column4 % 16;
                    output[at] = Vector::cast_from(result);
                } else {
                    let sum = sums_of::<N>(&sums, comptime!(i * program.tile.thread_columns));
                    output[row * columns4 + column4] = Vector::cast_from(finished::<E, N>(
                        sum, &bias, &embedding, &residual, row, column4, columns4, &sizes, program,
                    ));
                }
            }
        }
    }
}

/// Where rows of so many vectors begin, each at its `offset`.
#[cube]
fn begin(
    rows: &Array<usize>,
    row: usize,
    offset: usize,
    at: &mut Array<usize>,
    #[comptime] count: usize,
) {
    #[unroll]
    for i in 0..count {
        at[i] = rows[i] * row + offset;
    }
}

/// Adds the products over a run of `count4` vectors of the depth.
#[cube]
fn accumulate<E: Float, N: Size, W: Size>(
    input: &[Vector<E, N>],
    weight: &[Vector<u32, W>],
    inputs_at: &Array<usize>,
    inside: &Array<f32>,
    weights_at: &Array<usize>,
    count4: usize,
    scales_at: u32,
    scale: f32,
    sums: &mut Array<f32>,
    #[comptime] form: WeightForm,
    #[comptime] program: Program,
) {
    let columns = comptime!(program.tile.thread_columns);
    let mut weights = Array::<Vector<f32, N>>::new(columns);
    if comptime!(matches!(form, WeightForm::Q4)) {
        let mut scales = Array::<f32>::new(columns);
        let mut second = Array::<Vector<f32, N>>::new(columns);
        for block in 0..count4 / 8 {
            #[unroll]
            for j in 0..columns {
                scales[j] = scale_of::<W>(weight, weights_at[j] / 8 + block, scales_at);
            }
            for t in 0..4usize {
                let at = block * 8 + t * 2;
                #[unroll]
                for j in 0..columns {
                    let word = weight[(weights_at[j] + at) / 2].extract(0usize);
                    let offset = scales[j] * -8.0f32;
                    let mut low = Vector::<f32, N>::cast_from(0.0f32);
                    let mut high = Vector::<f32, N>::cast_from(0.0f32);
                    #[unroll]
                    for e in 0..4usize {
                        let first = (word >> comptime!(4 * e as u32)) & 15;
                        let last = (word >> comptime!(16 + 4 * e as u32)) & 15;
                        low.insert(e, fma(f32::cast_from(first), scales[j], offset));
                        high.insert(e, fma(f32::cast_from(last), scales[j], offset));
                    }
                    weights[j] = low;
                    second[j] = high;
                }
                add::<E, N>(input, inputs_at, inside, at, &weights, sums, program);
                add::<E, N>(input, inputs_at, inside, at + 1, &second, sums, program);
            }
        }
    } else if comptime!(matches!(form, WeightForm::Q8)) {
        let mut scales = Array::<f32>::new(columns);
        for block in 0..count4 / 8 {
            #[unroll]
            for j in 0..columns {
                scales[j] = scale_of::<W>(weight, weights_at[j] / 8 + block, scales_at);
            }
            for t in 0..8usize {
                let at = block * 8 + t;
                #[unroll]
                for j in 0..columns {
                    let word = weight[weights_at[j] + at].extract(0usize);
                    let mut value = Vector::<f32, N>::cast_from(0.0f32);
                    #[unroll]
                    for e in 0..4usize {
                        let byte = (word >> comptime!(8 * e as u32)) & 255;
                        value.insert(e, (f32::cast_from(byte ^ 128) - 128.0f32) * scales[j]);
                    }
                    weights[j] = value;
                }
                add::<E, N>(input, inputs_at, inside, at, &weights, sums, program);
            }
        }
    } else {
        for at in 0..count4 {
            #[unroll]
            for j in 0..columns {
                let words = weight[weights_at[j] + at];
                weights[j] = floats::<N, W>(words, form) * Vector::cast_from(scale);
            }
            add::<E, N>(input, inputs_at, inside, at, &weights, sums, program);
        }
    }
}

/// Adds the products of one vector of the depth.
#[cube]
fn add<E: Float, N: Size>(
    input: &[Vector<E, N>],
    inputs_at: &Array<usize>,
    inside: &Array<f32>,
    at: usize,
    weights: &Array<Vector<f32, N>>,
    sums: &mut Array<f32>,
    #[comptime] program: Program,
) {
    let columns = comptime!(program.tile.thread_columns);
    #[unroll]
    for i in 0..comptime!(program.tile.thread_rows) {
        let mut value = Vector::<f32, N>::cast_from(input[inputs_at[i] + at]);
        if comptime!(program.has_patches()) {
            value = value * Vector::cast_from(inside[i]);
        }
        #[unroll]
        for j in 0..columns {
            sums[comptime!(i * program.tile.thread_columns + j)] =
                sums[comptime!(i * program.tile.thread_columns + j)] + value.dot(weights[j]);
        }
    }
}

/// Queries of a thread.
const QUERIES: usize = 4;
/// Keys that a thread looks at together.
const KEYS: usize = 8;
/// Queries of a workgroup of [`attention()`].
pub const GROUP_QUERIES: usize = THREADS * QUERIES;

/// [`attention`](super::attention::attention) in registers.
#[cube(launch_unchecked)]
pub fn attention<E: Float, N: Size>(
    queries: &[Vector<E, N>],
    others: ComptimeOption<Box<[Vector<E, N>]>>,
    output: &mut [Vector<E, N>],
    sizes: AttentionSizes,
    #[comptime] program: AttentionProgram,
    #[define(E)] _type: cubecl::ir::ElemType,
) {
    let head4 = comptime!(program.head_size / 4);
    let heads = sizes.heads as usize;
    let head = CUBE_POS_Y as usize % heads;
    let image = CUBE_POS_Y as usize / heads;
    let query_count = sizes.queries as usize;
    let key_count = sizes.keys as usize;
    let query_row4 = sizes.query_row as usize / 4;
    let key_row4 = sizes.key_row as usize / 4;
    let keys_at = image * key_count * key_row4 + sizes.key_at as usize / 4 + head * head4;
    let values_at = image * key_count * key_row4 + sizes.value_at as usize / 4 + head * head4;
    let first = CUBE_POS_X as usize * GROUP_QUERIES + UNIT_POS as usize;

    let mut own = Array::<usize>::new(QUERIES);
    let mut largest = Array::<f32>::new(QUERIES);
    let mut total = Array::<f32>::new(QUERIES);
    #[unroll]
    for i in 0..QUERIES {
        let query = min(first + i * THREADS, query_count - 1);
        own[i] = (image * query_count + query) * query_row4 + head * head4;
        largest[i] = UNSEEN;
        total[i] = 0.0f32;
    }
    let mut result = Array::<Vector<f32, N>>::new(comptime!(QUERIES * (program.head_size / 4)));
    for d in 0..comptime!(QUERIES * (program.head_size / 4)) {
        result[d] = Vector::cast_from(0.0f32);
    }

    let tiles = key_count.div_ceil(KEYS);
    for t in 0..tiles {
        let first_key = t * KEYS;
        let mut keys = Array::<usize>::new(KEYS);
        #[unroll]
        for j in 0..KEYS {
            keys[j] = min(first_key + j, key_count - 1) * key_row4;
        }
        let mut scores = Array::<f32>::new(comptime!(QUERIES * KEYS));
        #[unroll]
        for i in 0..comptime!(QUERIES * KEYS) {
            scores[i] = 0.0f32;
        }
        for d in 0..head4 {
            let mut asking = Array::<Vector<f32, N>>::new(QUERIES);
            #[unroll]
            for i in 0..QUERIES {
                asking[i] = Vector::cast_from(queries[own[i] + d]);
            }
            #[unroll]
            for j in 0..KEYS {
                let key =
                    read_other::<E, N>(queries, &others, keys_at + keys[j] + d, program.is_joined);
                #[unroll]
                for i in 0..QUERIES {
                    scores[comptime!(i * KEYS + j)] =
                        scores[comptime!(i * KEYS + j)] + asking[i].dot(key);
                }
            }
        }
        let mut shrink = Array::<f32>::new(QUERIES);
        #[unroll]
        for i in 0..QUERIES {
            let mut new = largest[i];
            #[unroll]
            for j in 0..KEYS {
                let mut score = scores[comptime!(i * KEYS + j)] * sizes.scale;
                score = select(first_key + j < key_count, score, UNSEEN);
                if comptime!(program.is_causal) {
                    score = select(first_key + j <= first + i * THREADS, score, UNSEEN);
                }
                scores[comptime!(i * KEYS + j)] = score;
                new = max(new, score);
            }
            shrink[i] = (largest[i] - new).exp();
            largest[i] = new;
            let mut sum = 0.0f32;
            #[unroll]
            for j in 0..KEYS {
                let weight = (scores[comptime!(i * KEYS + j)] - new).exp();
                scores[comptime!(i * KEYS + j)] = weight;
                sum += weight;
            }
            total[i] = fma(total[i], shrink[i], sum);
        }
        for d in 0..head4 {
            let mut sums = Array::<Vector<f32, N>>::new(QUERIES);
            #[unroll]
            for i in 0..QUERIES {
                sums[i] = result[i * head4 + d] * Vector::cast_from(shrink[i]);
            }
            #[unroll]
            for j in 0..KEYS {
                let value = read_other::<E, N>(
                    queries,
                    &others,
                    values_at + keys[j] + d,
                    program.is_joined,
                );
                #[unroll]
                for i in 0..QUERIES {
                    sums[i] = fma(
                        value,
                        Vector::cast_from(scores[comptime!(i * KEYS + j)]),
                        sums[i],
                    );
                }
            }
            #[unroll]
            for i in 0..QUERIES {
                result[i * head4 + d] = sums[i];
            }
        }
    }
    #[unroll]
    for i in 0..QUERIES {
        let query = first + i * THREADS;
        if query < query_count {
            let inverse = Vector::<f32, N>::cast_from(1.0f32 / total[i]);
            let at = (image * query_count + query) * heads * head4 + head * head4;
            for d in 0..head4 {
                output[at + d] = Vector::cast_from(result[i * head4 + d] * inverse);
            }
        }
    }
}

/// A vector of the keys or values.
#[cube]
fn read_other<E: Float, N: Size>(
    queries: &[Vector<E, N>],
    others: &ComptimeOption<Box<[Vector<E, N>]>>,
    at: usize,
    #[comptime] is_joined: bool,
) -> Vector<f32, N> {
    if is_joined {
        Vector::cast_from(queries[at])
    } else {
        let others = others.as_ref().unwrap();
        Vector::cast_from(others[at])
    }
}

/// [`layer_norm`](super::norm::layer_norm) with a row a thread.
#[cube(launch_unchecked)]
pub fn layer_norm<E: Float, N: Size>(
    input: &[Vector<E, N>],
    weight: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    output: &mut [Vector<E, N>],
    rows: u32,
    size: u32,
    epsilon: f32,
    #[define(E)] _type: cubecl::ir::ElemType,
) {
    let row = ABSOLUTE_POS_X;
    if row < rows {
        let size4 = size as usize / 4;
        let begin = row as usize * size4;
        let mut sum = Vector::<f32, N>::cast_from(0.0f32);
        for at in 0..size4 {
            sum += Vector::cast_from(input[begin + at]);
        }
        let mean = sum_of_four::<N>(sum) / f32::cast_from(size);
        let mean = Vector::<f32, N>::cast_from(mean);
        let mut squares = Vector::<f32, N>::cast_from(0.0f32);
        for at in 0..size4 {
            let distance = Vector::<f32, N>::cast_from(input[begin + at]) - mean;
            squares = fma(distance, distance, squares);
        }
        let inverse = (sum_of_four::<N>(squares) / f32::cast_from(size) + epsilon).inverse_sqrt();
        let inverse = Vector::<f32, N>::cast_from(inverse);
        for at in 0..size4 {
            let value = (Vector::<f32, N>::cast_from(input[begin + at]) - mean) * inverse;
            output[begin + at] = Vector::cast_from(fma(value, weight[at], bias[at]));
        }
    }
}

/// [`fold`](super::norm::fold) with a group a thread.
#[cube(launch_unchecked)]
pub fn fold(
    moments: &[f32],
    weight: &[f32],
    bias: &[f32],
    affine: &mut [f32],
    channels: u32,
    groups: u32,
    pixels: u32,
    run: u32,
    images: u32,
    epsilon: f32,
) {
    let index = ABSOLUTE_POS_X;
    if index < groups * images {
        let image = (index / groups) as usize;
        let group = (index % groups) as usize;
        let channels = channels as usize;
        let own = channels / groups as usize;
        let runs = (pixels as usize).div_ceil(run as usize);
        let last = f32::cast_from(pixels - (runs as u32 - 1) * run);
        let all = f32::cast_from(own as u32) * f32::cast_from(pixels);
        let mut sum = 0.0f32;
        for part in 0..runs {
            let count = select(part + 1 == runs, last, f32::cast_from(run));
            for channel in group * own..group * own + own {
                let at = moments_at(image * runs + part, channels, channel);
                sum = fma(moments[at], count, sum);
            }
        }
        let mean = sum / all;
        let mut squares = 0.0f32;
        for part in 0..runs {
            let count = select(part + 1 == runs, last, f32::cast_from(run));
            for channel in group * own..group * own + own {
                let at = moments_at(image * runs + part, channels, channel);
                let distance = moments[at] - mean;
                squares += moments[at + 4];
                squares = fma(distance * distance, count, squares);
            }
        }
        let inverse = (squares / all + epsilon).inverse_sqrt();
        for channel in group * own..group * own + own {
            let scale = weight[channel] * inverse;
            affine[(image * channels + channel) * 2] = scale;
            affine[(image * channels + channel) * 2 + 1] = bias[channel] - mean * scale;
        }
    }
}
