//! Group normalization in three launches (sums, folded to a scale and a shift per channel, applied) and
//! layer normalization in one. Sums are `f32`, and around a mean: squares of large values would lose
//! what distinguishes them.

use cubecl::prelude::*;

use super::matmul::activate;
use crate::kernels::layer::Activation;

/// Threads of a workgroup.
pub const THREADS: usize = 64;

/// Mean and sum of squared deviations of each channel over a run of pixels, a thread for four channels.
///
/// # Shapes
/// - input: `[batch, pixels, first]`, second: `[batch, pixels, channels − first]`
/// - moments: `[batch, runs, channels, 2]`, in vectors of four channels
#[cube(launch_unchecked)]
pub fn moments<E: Float, N: Size>(
    input: &[Vector<E, N>],
    second: ComptimeOption<Box<[Vector<E, N>]>>,
    moments: &mut [Vector<f32, N>],
    channels: u32,
    first: u32,
    pixels: u32,
    run: u32,
    #[comptime] has_second: bool,
    #[define(E)] _type: cubecl::ir::ElemType,
) {
    let channel = ABSOLUTE_POS_X as usize;
    let channels4 = channels as usize / 4;
    if channel < channels4 {
        let image = CUBE_POS_Z as usize;
        let begin = CUBE_POS_Y as usize * run as usize;
        let mut end = begin + run as usize;
        if end > pixels as usize {
            end = pixels as usize;
        }
        let count = Vector::<f32, N>::cast_from(f32::cast_from((end - begin) as u32));
        let mut sum = Vector::<f32, N>::cast_from(0.0f32);
        for pixel in begin..end {
            let at = image * pixels as usize + pixel;
            sum += read::<E, N>(
                input,
                &second,
                at,
                channel,
                channels4,
                first as usize / 4,
                has_second,
            );
        }
        let mean = sum / count;
        let mut squares = Vector::<f32, N>::cast_from(0.0f32);
        for pixel in begin..end {
            let at = image * pixels as usize + pixel;
            let value = read::<E, N>(
                input,
                &second,
                at,
                channel,
                channels4,
                first as usize / 4,
                has_second,
            );
            let distance = value - mean;
            squares = fma(distance, distance, squares);
        }
        let runs = (pixels as usize).div_ceil(run as usize);
        let at = ((image * runs + CUBE_POS_Y as usize) * channels4 + channel) * 2;
        moments[at] = mean;
        moments[at + 1] = squares;
    }
}

/// Four channels of a pixel of one or two inputs beside each other.
#[cube]
pub fn read<E: Float, N: Size>(
    input: &[Vector<E, N>],
    second: &ComptimeOption<Box<[Vector<E, N>]>>,
    pixel: usize,
    channel: usize,
    channels4: usize,
    first4: usize,
    #[comptime] has_second: bool,
) -> Vector<f32, N> {
    if has_second {
        let mut value = Vector::<f32, N>::cast_from(0.0f32);
        if channel < first4 {
            value += Vector::cast_from(input[pixel * first4 + channel]);
        } else {
            let second = second.as_ref().unwrap();
            value += Vector::cast_from(second[pixel * (channels4 - first4) + channel - first4]);
        }
        value
    } else {
        Vector::cast_from(input[pixel * channels4 + channel])
    }
}

/// Where the mean of a channel over a run lies; its squared deviations follow four places behind.
#[cube]
pub fn moments_at(run: usize, channels: usize, channel: usize) -> usize {
    (run * channels + channel / 4 * 4) * 2 + channel % 4
}

/// The sum of four values.
#[cube]
pub fn sum_of_four<N: Size>(four: Vector<f32, N>) -> f32 {
    four.extract(0usize) + four.extract(1usize) + four.extract(2usize) + four.extract(3usize)
}

/// The sum of what each thread of a workgroup has.
#[cube]
fn sum_of_group(shared: &mut [f32], thread: usize, own: f32) -> f32 {
    shared[thread] = own;
    sync_cube();
    let mut sum = 0.0f32;
    let mut other = 0usize;
    while other < THREADS {
        sum += shared[other];
        other += 1;
    }
    sum
}

/// A workgroup for each group of an image: what its channels are multiplied by, and what is added.
///
/// # Shapes
/// - moments: those of [`moments`]
/// - weight, bias: `[channels]`
/// - affine: `[batch, channels, 2]`
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
    epsilon: f32,
) {
    let mut shared = Shared::<[f32]>::new_slice(THREADS);
    let thread = UNIT_POS as usize;
    let group = CUBE_POS_X as usize;
    let image = CUBE_POS_Y as usize;
    let channels = channels as usize;
    let own = channels / groups as usize;
    let runs = (pixels as usize).div_ceil(run as usize);
    let parts = own * runs;
    let last = pixels as usize - (runs - 1) * run as usize;

    let mut sum = 0.0f32;
    let mut part = thread;
    while part < parts {
        let at_run = part / own;
        let channel = group * own + part % own;
        let at = moments_at(image * runs + at_run, channels, channel);
        let mut count = run;
        if at_run + 1 == runs {
            count = last as u32;
        }
        sum = fma(moments[at], f32::cast_from(count), sum);
        part += THREADS;
    }
    let total = sum_of_group(&mut shared, thread, sum);
    let count = f32::cast_from(own as u32) * f32::cast_from(pixels);
    let mean = total / count;
    sync_cube();

    let mut squares = 0.0f32;
    let mut part = thread;
    while part < parts {
        let at_run = part / own;
        let channel = group * own + part % own;
        let at = moments_at(image * runs + at_run, channels, channel);
        let mut count = run;
        if at_run + 1 == runs {
            count = last as u32;
        }
        let distance = moments[at] - mean;
        squares += moments[at + 4];
        squares = fma(distance * distance, f32::cast_from(count), squares);
        part += THREADS;
    }
    let total = sum_of_group(&mut shared, thread, squares);
    let inverse = (total / count + epsilon).inverse_sqrt();
    let mut channel = thread;
    while channel < own {
        let at = group * own + channel;
        let scale = weight[at] * inverse;
        affine[(image * channels + at) * 2] = scale;
        affine[(image * channels + at) * 2 + 1] = bias[at] - mean * scale;
        channel += THREADS;
    }
}

/// Applies what [`fold`] has found, and an activation, to four channels a thread.
///
/// # Shapes
/// - input, second: those of [`moments`]
/// - output: `[batch, pixels, channels]`
#[cube(launch_unchecked)]
pub fn apply<E: Float, N: Size>(
    input: &[Vector<E, N>],
    second: ComptimeOption<Box<[Vector<E, N>]>>,
    affine: &[Vector<f32, N>],
    output: &mut [Vector<E, N>],
    channels: u32,
    first: u32,
    pixels: u32,
    length: u32,
    #[comptime] has_second: bool,
    #[comptime] activation: Activation,
    #[define(E)] _type: cubecl::ir::ElemType,
) {
    let index = ABSOLUTE_POS;
    if index < length as usize {
        let channels4 = channels as usize / 4;
        let pixel = index / channels4;
        let channel = index - pixel * channels4;
        let image = pixel / pixels as usize;
        let value = read::<E, N>(
            input,
            &second,
            pixel,
            channel,
            channels4,
            first as usize / 4,
            has_second,
        );
        let at = (image * channels4 + channel) * 2;
        let (low, high) = (affine[at], affine[at + 1]);
        let mut scaled = Vector::<f32, N>::cast_from(0.0f32);
        #[unroll]
        for e in 0..2usize {
            scaled.insert(
                e,
                fma(
                    value.extract(e),
                    low.extract(comptime!(e * 2)),
                    low.extract(comptime!(e * 2 + 1)),
                ),
            );
            scaled.insert(
                comptime!(e + 2),
                fma(
                    value.extract(comptime!(e + 2)),
                    high.extract(comptime!(e * 2)),
                    high.extract(comptime!(e * 2 + 1)),
                ),
            );
        }
        output[index] = Vector::cast_from(activate::<N>(scaled, activation));
    }
}

/// Layer normalization, a workgroup for each row.
///
/// # Shapes
/// - input, output: `[rows, size]`
/// - weight, bias: `[size]`
#[cube(launch_unchecked)]
pub fn layer_norm<E: Float, N: Size>(
    input: &[Vector<E, N>],
    weight: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    output: &mut [Vector<E, N>],
    size: u32,
    epsilon: f32,
    #[define(E)] _type: cubecl::ir::ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(THREADS);
    let thread = UNIT_POS as usize;
    let size4 = size as usize / 4;
    let begin = CUBE_POS_X as usize * size4;

    let mut sum = Vector::<f32, N>::cast_from(0.0f32);
    let mut at = thread;
    while at < size4 {
        sum += Vector::cast_from(input[begin + at]);
        at += THREADS;
    }
    let total = sum_of_group(&mut shared, thread, sum_of_four::<N>(sum));
    let mean = total / f32::cast_from(size);
    let mean = Vector::<f32, N>::cast_from(mean);
    sync_cube();

    let mut squares = Vector::<f32, N>::cast_from(0.0f32);
    let mut at = thread;
    while at < size4 {
        let distance = Vector::<f32, N>::cast_from(input[begin + at]) - mean;
        squares = fma(distance, distance, squares);
        at += THREADS;
    }
    let total = sum_of_group(&mut shared, thread, sum_of_four::<N>(squares));
    let inverse = (total / f32::cast_from(size) + epsilon).inverse_sqrt();
    let inverse = Vector::<f32, N>::cast_from(inverse);
    let mut at = thread;
    while at < size4 {
        let value = (Vector::<f32, N>::cast_from(input[begin + at]) - mean) * inverse;
        output[begin + at] = Vector::cast_from(fma(value, weight[at], bias[at]));
        at += THREADS;
    }
}

/// Softmax over the first `keys` values of each row, times a scale before; the others become zero. A
/// workgroup for each row.
///
/// # Shapes
/// - scores, output: `[rows, columns]`
#[cube(launch_unchecked)]
pub fn softmax<E: Float>(
    scores: &[E],
    output: &mut [E],
    columns: u32,
    keys: u32,
    scale: f32,
    #[define(E)] _type: cubecl::ir::ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(THREADS);
    let thread = UNIT_POS as usize;
    let begin = CUBE_POS_X as usize * columns as usize;

    let mut largest = f32::new(-3.0e38);
    let mut at = thread;
    while at < keys as usize {
        largest = max(largest, f32::cast_from(scores[begin + at]) * scale);
        at += THREADS;
    }
    shared[thread] = largest;
    sync_cube();
    for other in 0..THREADS {
        largest = max(largest, shared[other]);
    }
    sync_cube();

    let mut sum = 0.0f32;
    let mut at = thread;
    while at < keys as usize {
        sum += (f32::cast_from(scores[begin + at]) * scale - largest).exp();
        at += THREADS;
    }
    let total = sum_of_group(&mut shared, thread, sum);
    let inverse = 1.0f32 / total;
    let mut at = thread;
    while at < columns as usize {
        let mut weight = 0.0f32;
        if at < keys as usize {
            weight = (f32::cast_from(scores[begin + at]) * scale - largest).exp() * inverse;
        }
        output[begin + at] = E::cast_from(weight);
        at += THREADS;
    }
}
