//! Matrix products and convolutions: one kernel over a tile of outputs in registers.
//!
//! `output[m, n] = Σₖ input[m, k] · weight[n, k]`, and what a layer does with it afterwards. The rows
//! of a convolution are the pixels of its output, and `k` runs over the channels of one tap after the
//! other: a patch is gathered while it is loaded, and exists nowhere as a whole. A quantized weight is
//! expanded while its tile is loaded.

use cubecl::prelude::*;

use super::half::half_to_f32;
use crate::kernels::layer::Activation;
use crate::kernels::matrix::WeightForm;

/// The part of the output that a workgroup computes, and how its threads share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows of the output.
    pub rows: usize,
    /// Columns of the output.
    pub columns: usize,
    /// Values of `k` that are in shared memory at once.
    pub depth: usize,
    /// Rows of one thread.
    pub thread_rows: usize,
    /// Columns of one thread.
    pub thread_columns: usize,
}

impl Tile {
    /// Threads of a workgroup.
    pub fn threads(self) -> usize {
        (self.rows / self.thread_rows) * (self.columns / self.thread_columns)
    }

    /// Bytes of shared memory, with `f32` values.
    pub fn shared_bytes(self) -> usize {
        (self.rows + self.columns) * (self.depth + 4) * 4
    }
}

/// How the rows of the input are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rows {
    /// They are the input's own.
    Same,
    /// Patches of 3 × 3 pixels.
    Patches {
        /// Pixels of the input from one patch to the next.
        stride: usize,
        /// Whether the first patch begins a pixel outside of the input.
        padded: bool,
        /// Whether the input counts as doubled by repeating its pixels.
        doubled: bool,
    },
}

/// What distinguishes one program from another: the shader is compiled for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// The tile of a workgroup.
    pub tile: Tile,
    /// The weight's form.
    pub weight: WeightForm,
    /// How the input's rows are found.
    pub rows: Rows,
    /// Whether the channels of a tap, or the whole of `k`, are no multiple of the tile's depth.
    pub is_ragged: bool,
    /// Whether the last columns of `k` come from a second input.
    pub has_second: bool,
    /// Whether a bias is added.
    pub has_bias: bool,
    /// Whether a vector for each image of the batch is added.
    pub has_embedding: bool,
    /// Whether another tensor is added at the end.
    pub has_residual: bool,
    /// The form of the upper half of a low-rank branch, which is added.
    pub branch: Option<WeightForm>,
    /// The function that is applied before the residual is added.
    pub activation: Activation,
}

impl Program {
    /// Whether values are multiplied by gates.
    pub fn is_gated(self) -> bool {
        self.activation == Activation::Geglu
    }

    /// Whether the rows are patches.
    pub fn has_patches(self) -> bool {
        matches!(self.rows, Rows::Patches { .. })
    }

    /// Pixels of the input from one patch to the next.
    pub fn stride(self) -> usize {
        match self.rows {
            Rows::Patches { stride, .. } => stride,
            Rows::Same => 1,
        }
    }

    /// Pixels outside of the input at which the first patch begins.
    pub fn padding(self) -> usize {
        usize::from(matches!(self.rows, Rows::Patches { padded: true, .. }))
    }

    /// Whether the input counts as doubled.
    pub fn is_doubled(self) -> bool {
        matches!(self.rows, Rows::Patches { doubled: true, .. })
    }
}

/// The sizes of one launch.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
pub struct Sizes {
    /// Rows of the output.
    pub rows: u32,
    /// Columns of the output, of values and gates together.
    pub columns: u32,
    /// Values of `k`.
    pub depth: u32,
    /// Channels of the first input.
    pub channels: u32,
    /// Height of the input.
    pub height: u32,
    /// Width of the input.
    pub width: u32,
    /// Height of the output.
    pub output_height: u32,
    /// Width of the output.
    pub output_width: u32,
    /// The first word of the scales.
    pub scales_at: u32,
    /// Rank of the low-rank branch.
    pub rank: u32,
    /// What the branch is multiplied by.
    pub scale: f32,
    /// Values of a row of the embedding.
    pub embedding_row: u32,
    /// The first of them that is used.
    pub embedding_at: u32,
}

/// x · σ(x) and the like, of four values.
#[cube]
pub fn activate<N: Size>(
    value: Vector<f32, N>,
    #[comptime] activation: Activation,
) -> Vector<f32, N> {
    if comptime!(matches!(activation, Activation::Silu)) {
        let one = Vector::<f32, N>::cast_from(1.0f32);
        value / (one + (-value).exp())
    } else if comptime!(matches!(activation, Activation::QuickGelu)) {
        let one = Vector::<f32, N>::cast_from(1.0f32);
        let scaled = value * Vector::<f32, N>::cast_from(-1.702f32);
        value / (one + scaled.exp())
    } else if comptime!(matches!(activation, Activation::Gelu | Activation::Geglu)) {
        let one = Vector::<f32, N>::cast_from(1.0f32);
        let half = Vector::<f32, N>::cast_from(0.5f32);
        let scaled = value * Vector::<f32, N>::cast_from(core::f32::consts::FRAC_1_SQRT_2);
        value * half * (one + scaled.erf())
    } else if comptime!(matches!(activation, Activation::Relu)) {
        max(value, Vector::<f32, N>::cast_from(0.0f32))
    } else {
        value
    }
}

/// Adds the products of the tiles in shared memory to a thread's sums.
#[cube]
fn multiply<N: Size>(
    inputs: &[Vector<f32, N>],
    weights: &[Vector<f32, N>],
    sums: &mut Array<f32>,
    column: usize,
    row: usize,
    #[comptime] tile: Tile,
) {
    let columns = comptime!(tile.columns / tile.thread_columns);
    let rows = comptime!(tile.rows / tile.thread_rows);
    let pitch = comptime!(tile.depth / 4 + 1);
    for k in 0..comptime!(tile.depth / 4) {
        let mut own = Array::<Vector<f32, N>>::new(comptime!(tile.thread_rows));
        #[unroll]
        for i in 0..comptime!(tile.thread_rows) {
            own[i] = Vector::cast_from(inputs[(row + i * rows) * pitch + k]);
        }
        #[unroll]
        for j in 0..comptime!(tile.thread_columns) {
            let slot =
                comptime!((j % 4) * (tile.columns / 4)) + column + comptime!(j / 4) * columns;
            let weight = Vector::<f32, N>::cast_from(weights[slot * pitch + k]);
            #[unroll]
            for i in 0..comptime!(tile.thread_rows) {
                sums[comptime!(i * tile.thread_columns + j)] =
                    sums[comptime!(i * tile.thread_columns + j)] + own[i].dot(weight);
            }
        }
    }
}

/// The kernel. `E` is the type of the activations in memory; shared memory and sums are `f32`.
///
/// # Shapes
/// - input: `[rows, channels]`, of patches `[batch, height, width, channels]`
/// - second: `[rows, depth − channels]`
/// - weight: `[columns, depth]`
/// - bias: `[columns]`
/// - embedding: `[batch, embedding_row]`
/// - residual, output: `[rows, columns]`, of [`Activation::Geglu`] `[rows, columns / 2]`
/// - low: `[rows, rank]`
/// - up: `[columns, rank]`
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
    let tile = comptime!(program.tile);
    let threads = comptime!(tile.threads());
    let thread_columns = comptime!(tile.columns / tile.thread_columns);
    let thread_rows = comptime!(tile.rows / tile.thread_rows);
    let depth4 = comptime!(tile.depth / 4);
    let pitch = comptime!(tile.depth / 4 + 1);
    // Vectors of the input that a thread loads of each tile.
    let loads = comptime!(tile.rows * (tile.depth / 4) / tile.threads());
    let is_patches = comptime!(program.has_patches());
    let stride = comptime!(program.stride());
    let padding = comptime!(program.padding());
    let is_doubled = comptime!(program.is_doubled());

    let mut inputs =
        Shared::<[Vector<f32, N>]>::new_slice(comptime!(tile.rows * (tile.depth / 4 + 1)));
    let mut weights =
        Shared::<[Vector<f32, N>]>::new_slice(comptime!(tile.columns * (tile.depth / 4 + 1)));

    let thread = UNIT_POS as usize;
    let column = thread % thread_columns;
    let row = thread / thread_columns;
    let first_row = CUBE_POS_Y as usize * tile.rows;
    let first_column = CUBE_POS_X as usize * tile.columns;
    let rows = sizes.rows as usize;
    let columns = sizes.columns as usize;
    let k4 = sizes.depth as usize / 4;
    let c4 = sizes.channels as usize / 4;
    let height = sizes.height as usize;
    let width = sizes.width as usize;
    // The size that the patches see.
    let mut seen_height = height;
    let mut seen_width = width;
    if is_doubled {
        seen_height = sizes.output_height as usize;
        seen_width = sizes.output_width as usize;
    }

    let mut sums = Array::<f32>::new(comptime!(tile.thread_rows * tile.thread_columns));
    #[unroll]
    for i in 0..comptime!(tile.thread_rows * tile.thread_columns) {
        sums[i] = 0.0f32;
    }

    // Where the patches of a thread's rows begin: the pixel of the image, and the row and column in it,
    // both plus the padding.
    let mut images = Array::<usize>::new(loads);
    let mut tops = Array::<usize>::new(loads);
    let mut lefts = Array::<usize>::new(loads);
    if is_patches {
        let area = (sizes.output_height * sizes.output_width) as usize;
        #[unroll]
        for l in 0..loads {
            let pixel = first_row + (thread + l * threads) / depth4;
            let image = pixel / area;
            let rest = pixel - image * area;
            let y = rest / sizes.output_width as usize;
            let x = rest - y * sizes.output_width as usize;
            images[l] = image * height * width;
            tops[l] = y * stride;
            lefts[l] = x * stride;
        }
    }

    let tiles = (sizes.depth as usize).div_ceil(tile.depth);
    for t in 0..tiles {
        // The input's tile.
        let position = t * depth4 + thread % depth4;
        if is_patches {
            let mut at = t * depth4;
            if comptime!(program.is_ragged) {
                at = position;
            }
            let tap = at / c4;
            let channel = at - tap * c4 + (position - at);
            let dy = tap / 3;
            let dx = tap - dy * 3;
            #[unroll]
            for l in 0..loads {
                let own = (thread + l * threads) / depth4;
                let y = tops[l] + dy;
                let x = lefts[l] + dx;
                let is_inside = first_row + own < rows
                    && position < k4
                    && y >= padding
                    && y < seen_height + padding
                    && x >= padding
                    && x < seen_width + padding;
                let mut value = Vector::<f32, N>::cast_from(0.0f32);
                if is_inside {
                    let mut pixel_y = y - padding;
                    let mut pixel_x = x - padding;
                    if is_doubled {
                        pixel_y = pixel_y / 2;
                        pixel_x = pixel_x / 2;
                    }
                    let pixel = images[l] + pixel_y * width + pixel_x;
                    value = Vector::cast_from(input[pixel * c4 + channel]);
                }
                inputs[own * pitch + thread % depth4] = value;
            }
        } else {
            #[unroll]
            for l in 0..loads {
                let own = (thread + l * threads) / depth4;
                let mut value = Vector::<f32, N>::cast_from(0.0f32);
                if first_row + own < rows && position < k4 {
                    if comptime!(program.has_second) {
                        if position < c4 {
                            value = Vector::cast_from(input[(first_row + own) * c4 + position]);
                        } else {
                            let other = second.as_ref().unwrap();
                            let at = (first_row + own) * (k4 - c4) + position - c4;
                            value = Vector::cast_from(other[at]);
                        }
                    } else {
                        value = Vector::cast_from(input[(first_row + own) * k4 + position]);
                    }
                }
                inputs[own * pitch + thread % depth4] = value;
            }
        }
        // The weight's tile. Its rows are permuted, so that neighbouring threads read neighbouring slots.
        if comptime!(matches!(program.weight, WeightForm::Q4)) {
            #[unroll]
            for l in 0..comptime!(tile.columns * (tile.depth / 8) / tile.threads()) {
                let index = thread + l * threads;
                let own = index / comptime!(tile.depth / 8);
                let place = index % comptime!(tile.depth / 8);
                let mut first = Vector::<f32, N>::cast_from(0.0f32);
                let mut last = Vector::<f32, N>::cast_from(0.0f32);
                let word_at = t * comptime!(tile.depth / 8) + place;
                if first_column + own < columns && word_at < k4 / 2 {
                    let at = (first_column + own) * (k4 / 2) + word_at;
                    let word = weight[at].extract(0usize);
                    let scale = scale_of::<W>(weight, at / 4, sizes.scales_at);
                    let offset = scale * -8.0f32;
                    #[unroll]
                    for j in 0..4usize {
                        let low = (word >> comptime!(4 * j as u32)) & 15;
                        let high = (word >> comptime!(16 + 4 * j as u32)) & 15;
                        first.insert(j, fma(f32::cast_from(low), scale, offset));
                        last.insert(j, fma(f32::cast_from(high), scale, offset));
                    }
                }
                let slot = (own % 4) * comptime!(tile.columns / 4) + own / 4;
                weights[slot * pitch + place * 2] = Vector::cast_from(first);
                weights[slot * pitch + place * 2 + 1] = Vector::cast_from(last);
            }
        } else {
            #[unroll]
            for l in 0..comptime!(tile.columns * (tile.depth / 4) / tile.threads()) {
                let own = (thread + l * threads) / depth4;
                let mut value = Vector::<f32, N>::cast_from(0.0f32);
                if first_column + own < columns && position < k4 {
                    let at = (first_column + own) * k4 + position;
                    let words = weight[at];
                    if comptime!(matches!(program.weight, WeightForm::Q8)) {
                        let word = words.extract(0usize);
                        let scale = scale_of::<W>(weight, at / 8, sizes.scales_at);
                        #[unroll]
                        for j in 0..4usize {
                            let byte = (word >> comptime!(8 * j as u32)) & 255;
                            value.insert(j, (f32::cast_from(byte ^ 128) - 128.0f32) * scale);
                        }
                    } else if comptime!(matches!(program.weight, WeightForm::F16)) {
                        value = halves::<N, W>(words);
                    } else {
                        value = Vector::<f32, N>::reinterpret(words);
                    }
                }
                let slot = (own % 4) * comptime!(tile.columns / 4) + own / 4;
                weights[slot * pitch + thread % depth4] = Vector::cast_from(value);
            }
        }
        sync_cube();
        multiply::<N>(&inputs, &weights, &mut sums, column, row, tile);
        sync_cube();
    }

    if comptime!(program.branch.is_some()) {
        let is_half = comptime!(matches!(program.branch, Some(WeightForm::F16)));
        let low = low.as_ref().unwrap();
        let up = up.as_ref().unwrap();
        let rank4 = sizes.rank as usize / 4;
        let tiles = rank4.div_ceil(depth4);
        for t in 0..tiles {
            let position = t * depth4 + thread % depth4;
            #[unroll]
            for l in 0..loads {
                let own = (thread + l * threads) / depth4;
                let mut value = Vector::<f32, N>::cast_from(0.0f32);
                if first_row + own < rows && position < rank4 {
                    value = Vector::cast_from(low[(first_row + own) * rank4 + position]);
                }
                inputs[own * pitch + thread % depth4] = value;
            }
            #[unroll]
            for l in 0..comptime!(tile.columns * (tile.depth / 4) / tile.threads()) {
                let own = (thread + l * threads) / depth4;
                let mut value = Vector::<f32, N>::cast_from(0.0f32);
                if first_column + own < columns && position < rank4 {
                    let words = up[(first_column + own) * rank4 + position];
                    if is_half {
                        value = halves::<N, U>(words);
                    } else {
                        value = Vector::<f32, N>::reinterpret(words);
                    }
                    value = value * Vector::cast_from(sizes.scale);
                }
                let slot = (own % 4) * comptime!(tile.columns / 4) + own / 4;
                weights[slot * pitch + thread % depth4] = Vector::cast_from(value);
            }
            sync_cube();
            multiply::<N>(&inputs, &weights, &mut sums, column, row, tile);
            sync_cube();
        }
    }

    let columns4 = columns / 4;
    #[unroll]
    for i in 0..comptime!(tile.thread_rows) {
        let own = first_row + row + i * thread_rows;
        if own < rows {
            if comptime!(program.is_gated()) {
                // Each 32 values are followed by their 32 gates: a thread has both.
                let column4 = first_column / 4 + column;
                if column4 < columns4 {
                    let mut value = sums_of::<N>(&sums, comptime!(i * tile.thread_columns));
                    let mut gate = sums_of::<N>(&sums, comptime!(i * tile.thread_columns + 4));
                    if comptime!(program.has_bias) {
                        let bias = bias.as_ref().unwrap();
                        value += bias[column4];
                        gate += bias[column4 + thread_columns];
                    }
                    let result = value * activate::<N>(gate, program.activation);
                    let at = own * (columns4 / 2) + first_column / 8 + column;
                    output[at] = Vector::cast_from(result);
                }
            } else {
                #[unroll]
                for j in 0..comptime!(tile.thread_columns / 4) {
                    let column4 = first_column / 4 + column + j * thread_columns;
                    if column4 < columns4 {
                        let sum = sums_of::<N>(&sums, comptime!(i * tile.thread_columns + j * 4));
                        output[own * columns4 + column4] = Vector::cast_from(finished::<E, N>(
                            sum, &bias, &embedding, &residual, own, column4, columns4, &sizes,
                            program,
                        ));
                    }
                }
            }
        }
    }
}

/// What becomes of four sums of a row.
#[cube]
pub fn finished<E: Float, N: Size>(
    sum: Vector<f32, N>,
    bias: &ComptimeOption<Box<[Vector<f32, N>]>>,
    embedding: &ComptimeOption<Box<[Vector<E, N>]>>,
    residual: &ComptimeOption<Box<[Vector<E, N>]>>,
    row: usize,
    column4: usize,
    columns4: usize,
    sizes: &Sizes,
    #[comptime] program: Program,
) -> Vector<f32, N> {
    let mut value = sum;
    if comptime!(program.has_bias) {
        let bias = bias.as_ref().unwrap();
        value += bias[column4];
    }
    if comptime!(program.has_embedding) {
        let embedding = embedding.as_ref().unwrap();
        let area = (sizes.output_height * sizes.output_width) as usize;
        let at = row / area * (sizes.embedding_row as usize / 4) + sizes.embedding_at as usize / 4;
        value += Vector::cast_from(embedding[at + column4]);
    }
    value = activate::<N>(value, program.activation);
    if comptime!(program.has_residual) {
        let residual = residual.as_ref().unwrap();
        value += Vector::cast_from(residual[row * columns4 + column4]);
    }
    value
}

/// Four of a thread's sums.
#[cube]
pub fn sums_of<N: Size>(sums: &Array<f32>, #[comptime] first: usize) -> Vector<f32, N> {
    let mut value = Vector::<f32, N>::cast_from(0.0f32);
    #[unroll]
    for j in 0..4usize {
        value.insert(j, sums[comptime!(first + j)]);
    }
    value
}

/// The scale of a block, two of which share a word.
#[cube]
pub fn scale_of<W: Size>(weight: &[Vector<u32, W>], block: usize, scales_at: u32) -> f32 {
    let word = weight[scales_at as usize + block / 2].extract(0usize);
    let bits = (word >> (16 * (block as u32 % 2))) & 65535;
    half_to_f32(bits)
}

/// Four `f16` of two words.
#[cube]
pub fn halves<N: Size, W: Size>(words: Vector<u32, W>) -> Vector<f32, N> {
    let mut value = Vector::<f32, N>::cast_from(0.0f32);
    #[unroll]
    for j in 0..4usize {
        let word = words.extract(comptime!(j / 2));
        let bits = (word >> comptime!(16 * (j as u32 % 2))) & 65535;
        value.insert(j, half_to_f32(bits));
    }
    value
}

/// Four floating-point numbers of their words.
#[cube]
pub fn floats<N: Size, W: Size>(
    words: Vector<u32, W>,
    #[comptime] form: WeightForm,
) -> Vector<f32, N> {
    if comptime!(matches!(form, WeightForm::F16)) {
        halves::<N, W>(words)
    } else {
        Vector::<f32, N>::reinterpret(words)
    }
}

/// Words that hold the values which are read at once: four, or eight in four bits.
pub fn words_at_once(form: WeightForm) -> usize {
    match form {
        WeightForm::F32 => 4,
        WeightForm::F16 => 2,
        WeightForm::Q8 | WeightForm::Q4 => 1,
    }
}
