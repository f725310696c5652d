//! Convolutions with few channels at one side, a pixel a thread: the first and last layers of a model.

use cubecl::prelude::*;

use super::norm::sum_of_four;

/// What distinguishes one program from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// Output channels that a thread computes: all, or a divisor of them.
    pub outputs: usize,
    /// Pixels of the input from one patch to the next.
    pub stride: usize,
    /// Whether the first patch begins a pixel outside of the input.
    pub is_padded: bool,
    /// Whether the input counts as doubled by repeating its pixels.
    pub is_doubled: bool,
    /// Whether a bias is added.
    pub has_bias: bool,
    /// Whether negative outputs become zero.
    pub is_relu: bool,
}

/// The sizes of one launch.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
pub struct Sizes {
    /// Pixels of the output, of all images.
    pub pixels: u32,
    /// Channels of the output.
    pub outputs: u32,
    /// Channels of the input.
    pub channels: u32,
    /// Height of the input.
    pub height: u32,
    /// Width of the input.
    pub width: u32,
    /// Height of the output.
    pub output_height: u32,
    /// Width of the output.
    pub output_width: u32,
}

/// A convolution of 3 × 3 pixels.
///
/// # Shapes
/// - input: `[batch, height, width, channels]`
/// - weight: `[outputs, 3, 3, channels]`
/// - output: `[batch, output_height, output_width, outputs]`
#[cube(launch_unchecked)]
pub fn convolution<E: Float, N: Size>(
    input: &[Vector<E, N>],
    weight: &[Vector<f32, N>],
    bias: ComptimeOption<Box<[f32]>>,
    output: &mut [E],
    sizes: Sizes,
    #[comptime] program: Program,
    #[define(E)] _type: cubecl::ir::ElemType,
) {
    let index = ABSOLUTE_POS_X as usize;
    if index < sizes.pixels as usize {
        let padding = comptime!(if program.is_padded { 1usize } else { 0usize });
        let area = (sizes.output_height * sizes.output_width) as usize;
        let image = index / area;
        let rest = index - image * area;
        let top = rest / sizes.output_width as usize * program.stride;
        let left = rest % sizes.output_width as usize * program.stride;
        let height = sizes.height as usize;
        let width = sizes.width as usize;
        let mut seen_height = height;
        let mut seen_width = width;
        if comptime!(program.is_doubled) {
            seen_height = sizes.output_height as usize;
            seen_width = sizes.output_width as usize;
        }
        let channels4 = sizes.channels as usize / 4;
        let first = CUBE_POS_Y as usize * program.outputs;

        let mut sums = Array::<Vector<f32, N>>::new(comptime!(program.outputs));
        #[unroll]
        for o in 0..comptime!(program.outputs) {
            sums[o] = Vector::cast_from(0.0f32);
        }
        for tap in 0..9usize {
            let y = top + tap / 3;
            let x = left + tap % 3;
            if y >= padding && y < seen_height + padding && x >= padding && x < seen_width + padding
            {
                let mut pixel_y = y - padding;
                let mut pixel_x = x - padding;
                if comptime!(program.is_doubled) {
                    pixel_y = pixel_y / 2;
                    pixel_x = pixel_x / 2;
                }
                let at = ((image * height + pixel_y) * width + pixel_x) * channels4;
                for channel in 0..channels4 {
                    let value = Vector::<f32, N>::cast_from(input[at + channel]);
                    #[unroll]
                    for o in 0..comptime!(program.outputs) {
                        let weight_at = ((first + o) * 9 + tap) * channels4 + channel;
                        sums[o] = fma(value, weight[weight_at], sums[o]);
                    }
                }
            }
        }
        #[unroll]
        for o in 0..comptime!(program.outputs) {
            let mut sum = sum_of_four::<N>(sums[o]);
            if comptime!(program.has_bias) {
                let bias = bias.as_ref().unwrap();
                sum += bias[first + o];
            }
            if comptime!(program.is_relu) {
                sum = max(sum, 0.0f32);
            }
            output[index * sizes.outputs as usize + first + o] = E::cast_from(sum);
        }
    }
}
