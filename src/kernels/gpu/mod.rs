//! The operations on a graphics card: kernels of our own, launched on burn's tensors.

#![expect(
    unsafe_code,
    reason = "launches without checks of each access: the kernels make their own where a tile reaches beyond a tensor"
)]
#![expect(
    clippy::assign_op_pattern,
    clippy::needless_pass_by_value,
    reason = "a kernel's parameters are what its launch takes, and arrays in registers have no operator that assigns"
)]

mod attention;
mod choice;
mod counts;
mod half;
mod matmul;
mod norm;
mod registers;
mod small;
mod submits;

use burn::backend::wgpu::{CubeTensor, Wgpu};
use burn::tensor::{DType, FloatDType, Tensor, TensorData, ops::PadMode};
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

use super::forms::Form;
use super::layer::{
    Activation, After, BranchScale, Embedding, Heads, Layer, LowRank, Norm, Sampling,
};
use super::matrix::{Matrix, WeightForm};
use super::plain::{self, contiguous};
pub use choice::{chosen_forms, forms, is_half, set_choice, set_forms, set_half, set_software};
pub use counts::{Counts, take_counts};
use matmul::Rows;
pub use submits::TASKS;

const F32: ElemType = ElemType::Float(FloatKind::F32);
const F16: ElemType = ElemType::Float(FloatKind::F16);

/// Whether a tensor is on a graphics card.
pub fn is_on<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.device() != burn::tensor::Device::flex()
}

/// A tensor as the kernels take it: not on the CPU, and contiguous. One that is not, as burn has what is
/// repeated, is copied: whoever reads it more than once does better to copy it before.
fn primitive<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    let on_card = |tensor: Tensor<D>| match tensor.try_into_primitive::<Wgpu>() {
        Ok(primitive) => primitive,
        Err(_) => unreachable!("is_on was asked before"),
    };
    let primitive = on_card(tensor);
    if primitive.is_contiguous() {
        primitive
    } else {
        on_card(contiguous(Tensor::from_primitive::<Wgpu>(primitive)))
    }
}

fn tensor<const D: usize>(primitive: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<Wgpu>(primitive)
}

fn element(tensor: &CubeTensor) -> ElemType {
    if tensor.dtype == DType::F16 { F16 } else { F32 }
}

/// burn's plain operations, for what no kernel takes: their weights are `f32`, and so is what they get. The
/// result has the input's type again.
fn in_f32<const D: usize>(
    input: Tensor<D>,
    operation: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    let dtype = input.dtype();
    let output = operation(plain::to_f32(input));
    if dtype == DType::F16 {
        output.cast(FloatDType::F16)
    } else {
        output
    }
}

/// What comes after, as [`in_f32`] takes it.
fn in_f32_too<const D: usize>(after: After<D>) -> After<D> {
    After {
        embedding: after.embedding.map(|embedding| Embedding {
            vectors: plain::to_f32(embedding.vectors),
            ..embedding
        }),
        activation: after.activation,
        residual: after.residual.map(plain::to_f32),
    }
}

/// The size of the last dimension.
fn columns_of(tensor: &CubeTensor) -> usize {
    tensor.meta.shape().as_slice().last().copied().unwrap_or(0)
}

/// Room for an output of the same type beside another tensor.
fn output(beside: &CubeTensor, shape: &[usize]) -> CubeTensor {
    let length: usize = shape.iter().product();
    let handle = beside.client.empty(length * beside.dtype.size());
    CubeTensor::new_contiguous(
        beside.client.clone(),
        beside.device.clone(),
        shape.to_vec().into(),
        handle,
        beside.dtype,
    )
}

fn some<T: LaunchArg<RuntimeArg = BufferArg> + CubeType>(
    tensor: Option<CubeTensor>,
) -> ComptimeOptionArgs<T> {
    tensor.map(CubeTensor::into_buffer_arg).into()
}

pub fn linear(input: Tensor<3>, layer: &Layer, after: After<3>) -> Tensor<3> {
    let [batch, tokens, _] = input.dims();
    match Product::new(primitive(input.clone()), layer, batch, [1, tokens]) {
        Some(product) if can_end(layer, after.activation) => {
            let product = product.after(after);
            let columns = product.output_columns();
            tensor(product.launch(&[batch, tokens, columns]))
        }
        // Values and gates that are not where one thread has both are multiplied afterwards.
        Some(product) => {
            let [columns, _] = layer.weight.shape();
            let output = tensor::<3>(product.launch(&[batch, tokens, columns]));
            in_f32(output, |output| plain::finish(output, in_f32_too(after)))
        }
        None => in_f32(input, |input| {
            plain::linear(input, layer, in_f32_too(after))
        }),
    }
}

/// Whether the kernel applies this activation: gates have to be where it expects them.
fn can_end(layer: &Layer, activation: Activation) -> bool {
    activation != Activation::Geglu || layer.weight.is_interleaved()
}

pub fn pixelwise(
    input: Tensor<4>,
    second: Option<Tensor<4>>,
    layer: &Layer,
    after: After<4>,
) -> Tensor<4> {
    let [batch, height, width, channels] = input.dims();
    // A kernel changes from one input to the other between two vectors, or blocks of a quantized weight.
    let can_change = match layer.weight.words() {
        Some((_, form)) => channels.is_multiple_of(form.unit()),
        None => true,
    };
    let (input, second) = match second {
        Some(second) if !can_change => (Tensor::cat(vec![input, second], 3), None),
        second => (input, second),
    };
    match Product::new(primitive(input.clone()), layer, batch, [height, width]) {
        Some(product) => {
            let mut product = product.after(after);
            product.second = second.map(primitive);
            let columns = product.output_columns();
            tensor(product.launch(&[batch, height, width, columns]))
        }
        None => {
            let second = second.map(plain::to_f32);
            in_f32(input, |input| {
                plain::pixelwise(input, second, layer, in_f32_too(after))
            })
        }
    }
}

pub fn convolution(
    input: Tensor<4>,
    layer: &Layer,
    sampling: Sampling,
    after: After<4>,
) -> Tensor<4> {
    let [batch, height, width, channels] = input.dims();
    let output_size = sampling.output_size([height, width]);
    let [outputs, _] = layer.weight.shape();
    let product = Product::new(primitive(input.clone()), layer, batch, [height, width]);
    if let Some(product) = product.filter(|_| channels.is_multiple_of(4)) {
        let mut product = product.after(after);
        product.rows = rows(sampling);
        product.output_size = output_size;
        let [height, width] = output_size;
        return tensor(product.launch(&[batch, height, width, outputs]));
    }
    let is_simple = matches!(after.activation, Activation::Identity | Activation::Relu)
        && after.embedding.is_none()
        && after.residual.is_none()
        && layer.acting_branch().is_none();
    if channels.is_multiple_of(4) && is_simple {
        small_convolution(input, layer, sampling, after.activation)
    } else {
        in_f32(input, |input| {
            plain::convolution(input, layer, sampling, in_f32_too(after))
        })
    }
}

fn rows(sampling: Sampling) -> Rows {
    Rows::Patches {
        stride: match sampling {
            Sampling::Same | Sampling::Doubled(_) => 1,
            Sampling::Halved | Sampling::HalvedAtEnd => 2,
        },
        padded: sampling != Sampling::HalvedAtEnd,
        doubled: matches!(sampling, Sampling::Doubled(_)),
    }
}

fn small_convolution(
    input: Tensor<4>,
    layer: &Layer,
    sampling: Sampling,
    activation: Activation,
) -> Tensor<4> {
    let [batch, height, width, channels] = input.dims();
    let [output_height, output_width] = sampling.output_size([height, width]);
    let [outputs, _] = layer.weight.shape();
    let own = [4, 3, 2]
        .into_iter()
        .find(|own| outputs % own == 0)
        .unwrap_or(1);
    let Rows::Patches {
        stride,
        padded,
        doubled,
    } = rows(sampling)
    else {
        unreachable!("a sampling has patches");
    };
    let input = primitive(input);
    let result = output(&input, &[batch, output_height, output_width, outputs]);
    let pixels = batch * output_height * output_width;
    let program = small::Program {
        outputs: own,
        stride,
        is_padded: padded,
        is_doubled: doubled,
        has_bias: layer.bias.is_some(),
        is_relu: activation == Activation::Relu,
    };
    let sizes = small::SizesLaunch::new(
        pixels as u32,
        outputs as u32,
        channels as u32,
        height as u32,
        width as u32,
        output_height as u32,
        output_width as u32,
    );
    let element = element(&input);
    let client = input.client.clone();
    let weight = primitive(layer.weight.expand());
    counts::note("small convolution", [&input, &weight, &result]);
    submits::before(&client, 18.0 * (pixels * outputs * channels) as f64);
    unsafe {
        small::convolution::launch_unchecked(
            &client,
            CubeCount::Static(pixels.div_ceil(64) as u32, (outputs / own) as u32, 1),
            CubeDim::new_1d(64),
            4,
            input.into_buffer_arg(),
            weight.into_buffer_arg(),
            some(layer.bias.clone().map(primitive)),
            result.clone().into_buffer_arg(),
            sizes,
            program,
            element,
        );
    }
    tensor(result)
}

/// A weight on the device: `[columns of the output, depth]`.
#[derive(Clone)]
struct Weight {
    words: CubeTensor,
    form: WeightForm,
    shape: [usize; 2],
}

impl Weight {
    fn of(matrix: &Matrix) -> Option<Self> {
        let (words, form) = matrix.words()?;
        Some(Self {
            words: words.clone().try_into_primitive::<Wgpu>().ok()?,
            form,
            shape: matrix.shape(),
        })
    }

    /// Activations as a weight.
    fn of_rows(rows: CubeTensor, shape: [usize; 2]) -> Self {
        let form = if rows.dtype == DType::F16 {
            WeightForm::F16
        } else {
            WeightForm::F32
        };
        Self {
            words: rows,
            form,
            shape,
        }
    }
}

/// One launch of the matrix kernel.
struct Product<'a> {
    input: CubeTensor,
    second: Option<CubeTensor>,
    weight: Weight,
    bias: Option<CubeTensor>,
    branch: Option<(&'a LowRank, BranchScale)>,
    rows: Rows,
    /// Height and width of the input.
    size: [usize; 2],
    /// Height and width of the output.
    output_size: [usize; 2],
    batch: usize,
    /// The vectors, and their first column.
    embedding: Option<(CubeTensor, usize)>,
    activation: Activation,
    residual: Option<CubeTensor>,
}

impl<'a> Product<'a> {
    /// A product with nothing before and after it.
    fn of(input: CubeTensor, weight: Weight, batch: usize, size: [usize; 2]) -> Self {
        Self {
            input,
            second: None,
            weight,
            bias: None,
            branch: None,
            rows: Rows::Same,
            size,
            output_size: size,
            batch,
            embedding: None,
            activation: Activation::Identity,
            residual: None,
        }
    }

    /// A layer's product with rows of the input; none where the kernel can't read its weight.
    fn new(input: CubeTensor, layer: &'a Layer, batch: usize, size: [usize; 2]) -> Option<Self> {
        Some(Self {
            bias: layer.bias.clone().map(primitive),
            branch: layer.acting_branch(),
            ..Self::of(input, Weight::of(&layer.weight)?, batch, size)
        })
    }

    fn after<const D: usize>(mut self, after: After<D>) -> Self {
        self.embedding = after
            .embedding
            .map(|embedding| (primitive(embedding.vectors), embedding.first));
        self.activation = after.activation;
        self.residual = after.residual.map(primitive);
        self
    }

    fn output_rows(&self) -> usize {
        self.batch * self.output_size.iter().product::<usize>()
    }

    fn output_columns(&self) -> usize {
        let [columns, _] = self.weight.shape;
        if self.activation == Activation::Geglu {
            columns / 2
        } else {
            columns
        }
    }

    fn launch(self, shape: &[usize]) -> CubeTensor {
        let [columns, depth] = self.weight.shape;
        let form = self.weight.form;
        let rows = self.output_rows();
        let second_channels = self.second.as_ref().map_or(0, columns_of);
        let channels = match self.rows {
            Rows::Same => depth - second_channels,
            Rows::Patches { .. } => depth / 9,
        };
        let client = self.input.client.clone();
        let shared = client.properties().hardware.max_shared_memory_size;
        let kernel_form = match self.rows {
            Rows::Same => choice::forms().matmul,
            Rows::Patches { .. } => choice::forms().convolution,
        };
        let tile = choice::tile(kernel_form, shared, self.activation);
        let branch = self.branch.as_ref();
        let rank = branch.map_or(0, |(branch, _)| branch.up.shape()[1]);
        let branch = branch.and_then(|(branch, scale)| self.low(branch, scale));
        let (low, up, up_form, scale) = match branch {
            Some((low, up, scale)) => (Some(low), Some(up.words), Some(up.form), scale),
            None => (None, None, None, 1.0),
        };
        let program = matmul::Program {
            tile,
            weight: form,
            rows: self.rows,
            is_ragged: match self.rows {
                Rows::Same => false,
                Rows::Patches { .. } => channels % tile.depth != 0,
            },
            has_second: self.second.is_some(),
            has_bias: self.bias.is_some(),
            has_embedding: self.embedding.is_some(),
            has_residual: self.residual.is_some(),
            branch: up_form,
            activation: self.activation,
        };
        let sizes = matmul::SizesLaunch::new(
            rows as u32,
            columns as u32,
            depth as u32,
            channels as u32,
            self.size[0] as u32,
            self.size[1] as u32,
            self.output_size[0] as u32,
            self.output_size[1] as u32,
            form.words(columns * depth) as u32,
            rank as u32,
            scale,
            self.embedding
                .as_ref()
                .map_or(0, |(embedding, _)| columns_of(embedding)) as u32,
            self.embedding.as_ref().map_or(0, |(_, first)| *first) as u32,
        );
        let element = element(&self.input);
        let result = output(&self.input, shape);
        // More rows of workgroups than there may be in one direction go on in the third.
        let tiles = rows.div_ceil(tile.rows);
        let layers = tiles.div_ceil(MAXIMUM_COUNT);
        let count = CubeCount::Static(
            columns.div_ceil(tile.columns) as u32,
            tiles.div_ceil(layers) as u32,
            layers as u32,
        );
        let (words, up_words) = (
            matmul::words_at_once(form),
            matmul::words_at_once(up_form.unwrap_or(WeightForm::F32)),
        );
        let embedding = self.embedding.map(|(embedding, _)| embedding);
        let optional = [
            &self.second,
            &self.bias,
            &embedding,
            &self.residual,
            &low,
            &up,
        ];
        counts::note(
            match self.rows {
                Rows::Same => "matmul",
                Rows::Patches { .. } => "convolution",
            },
            [&self.input, &self.weight.words, &result]
                .into_iter()
                .chain(optional.into_iter().flatten()),
        );
        submits::before(&client, 2.0 * (rows * columns) as f64 * depth as f64);
        // Both forms take the same.
        macro_rules! launch {
            ($kernel:path, $threads:expr) => {
                unsafe {
                    $kernel(
                        &client,
                        count,
                        CubeDim::new_1d($threads as u32),
                        4,
                        words,
                        up_words,
                        self.input.into_buffer_arg(),
                        some(self.second),
                        self.weight.words.into_buffer_arg(),
                        some(self.bias),
                        some(embedding),
                        some(self.residual),
                        some(low),
                        some(up),
                        result.clone().into_buffer_arg(),
                        sizes,
                        program,
                        element,
                    );
                }
            };
        }
        match kernel_form {
            Form::Registers => launch!(registers::matmul::launch_unchecked, registers::THREADS),
            Form::Shared => launch!(matmul::matmul::launch_unchecked, tile.threads()),
        }
        result
    }

    /// What a branch's lower half makes of the input, its upper half, and what their product is
    /// multiplied by.
    fn low(&self, branch: &LowRank, scale: &BranchScale) -> Option<(CubeTensor, Weight, f32)> {
        let product = Product {
            second: self.second.clone(),
            rows: self.rows,
            output_size: self.output_size,
            ..Product::of(
                self.input.clone(),
                Weight::of(&branch.down)?,
                self.batch,
                self.size,
            )
        };
        let [_, rank] = branch.up.shape();
        let rows = self.output_rows();
        let up = Weight::of(&branch.up)?;
        let low = product.launch(&[rows, rank]);
        Some(match scale {
            BranchScale::Whole(scale) => (low, up, *scale),
            BranchScale::Ranks(scales) => (scaled(low, scales), up, 1.0),
        })
    }
}

/// Columns, each multiplied by a number of its own.
///
/// # Shapes
/// rows: `[rows, columns]`
fn scaled(rows: CubeTensor, scales: &[f32]) -> CubeTensor {
    let is_half = rows.dtype == DType::F16;
    let rows: Tensor<2> = tensor(rows);
    let data = TensorData::new(scales.to_vec(), [1, scales.len()]);
    let mut scales = Tensor::<2>::from_data(data, &rows.device());
    if is_half {
        scales = scales.cast(FloatDType::F16);
    }
    primitive(rows * scales)
}

pub fn attention(queries: Tensor<3>, others: Option<Tensor<3>>, heads: Heads) -> Tensor<3> {
    let [batch, tokens, query_row] = queries.dims();
    let own = primitive(queries.clone());
    let shared = own.client.properties().hardware.max_shared_memory_size;
    let form = choice::forms().attention;
    let choice = choice::attention(form, shared, heads.size);
    let Some(program) = choice else {
        return if heads.count == 1 && !heads.is_causal && heads.size.is_multiple_of(4) {
            attention_by_scores(queries, others, heads.size)
        } else {
            let others = others.map(plain::to_f32);
            in_f32(queries, |queries| plain::attention(queries, others, heads))
        };
    };
    let program = attention::Program {
        is_joined: others.is_none(),
        is_causal: heads.is_causal,
        ..program
    };
    let columns = heads.count * heads.size;
    // Where others are given, they begin with the keys.
    let [keys, key_row, key_at] = match &others {
        Some(others) => [others.dims()[1], others.dims()[2], 0],
        None => [tokens, query_row, columns],
    };
    let sizes = attention::SizesLaunch::new(
        tokens as u32,
        keys as u32,
        heads.count as u32,
        query_row as u32,
        key_row as u32,
        key_at as u32,
        (key_at + columns) as u32,
        1.0 / (heads.size as f32).sqrt(),
    );
    let element = element(&own);
    let client = own.client.clone();
    let result = output(&own, &[batch, tokens, columns]);
    let count = CubeCount::Static(
        tokens.div_ceil(program.queries) as u32,
        (batch * heads.count) as u32,
        1,
    );
    let others = others.map(primitive);
    counts::note("attention", [&own, &result].into_iter().chain(&others));
    let scores = (batch * heads.count * tokens * keys) as f64;
    submits::before(&client, 4.0 * scores * heads.size as f64);
    // Both forms take the same.
    macro_rules! launch {
        ($kernel:path, $threads:expr) => {
            unsafe {
                $kernel(
                    &client,
                    count,
                    CubeDim::new_1d($threads as u32),
                    4,
                    own.into_buffer_arg(),
                    some(others),
                    result.clone().into_buffer_arg(),
                    sizes,
                    program,
                    element,
                );
            }
        };
    }
    match form {
        Form::Registers => launch!(registers::attention::launch_unchecked, registers::THREADS),
        Form::Shared => launch!(attention::attention::launch_unchecked, program.threads()),
    }
    tensor(result)
}

/// Bytes of the attention scores that are computed at once.
const MAXIMUM_SCORES: usize = 16 * 1024 * 1024;

/// Attention of one head that is too large for [`attention::attention`], the VAE's: a matrix of scores for
/// some queries at a time.
fn attention_by_scores(queries: Tensor<3>, others: Option<Tensor<3>>, size: usize) -> Tensor<3> {
    let [batch, tokens, _] = queries.dims();
    let part = |tensor: &Tensor<3>, image: usize, index: usize| {
        let [_, tokens, _] = tensor.dims();
        contiguous(
            tensor
                .clone()
                .narrow(0, image, 1)
                .narrow(2, index * size, size)
                .reshape([tokens, size]),
        )
    };
    let images = (0..batch).map(|image| {
        let query = part(&queries, image, 0);
        let (key, value) = match &others {
            Some(others) => (part(others, image, 0), part(others, image, 1)),
            None => (part(&queries, image, 1), part(&queries, image, 2)),
        };
        let [keys, _] = key.dims();
        // A product takes its second matrix by rows of the depth.
        let padded = keys.next_multiple_of(4);
        let value = contiguous(
            value
                .pad([(0, padded - keys), (0, 0)], PadMode::Constant(0.0))
                .transpose(),
        );
        let key = Weight::of_rows(
            primitive(contiguous(
                key.pad([(0, padded - keys), (0, 0)], PadMode::Constant(0.0)),
            )),
            [padded, size],
        );
        let value = Weight::of_rows(primitive(value), [size, padded]);
        let block = (MAXIMUM_SCORES / 4 / padded).clamp(1, tokens);
        let blocks = (0..tokens).step_by(block).map(|first| {
            let count = block.min(tokens - first);
            let rows = contiguous(query.clone().narrow(0, first, count));
            let scores = of_rows(primitive(rows), key.clone()).launch(&[count, padded]);
            let weights = softmax(&scores, [count, padded], keys, 1.0 / (size as f32).sqrt());
            tensor::<2>(of_rows(weights, value.clone()).launch(&[count, size]))
        });
        Tensor::cat(blocks.collect(), 0).reshape([1, tokens, size])
    });
    Tensor::cat(images.collect(), 0)
}

/// A product of two activations.
fn of_rows(input: CubeTensor, weight: Weight) -> Product<'static> {
    let rows = input.meta.shape().as_slice().first().copied().unwrap_or(0);
    Product::of(input, weight, 1, [1, rows])
}

/// Softmax over the first `keys` columns of each row; the others become zero.
fn softmax(
    scores: &CubeTensor,
    [rows, columns]: [usize; 2],
    keys: usize,
    scale: f32,
) -> CubeTensor {
    let result = output(scores, &[rows, columns]);
    counts::note("softmax", [scores, &result]);
    submits::before_moving(&scores.client, rows * columns);
    unsafe {
        norm::softmax::launch_unchecked(
            &scores.client,
            CubeCount::Static(rows as u32, 1, 1),
            CubeDim::new_1d(norm::THREADS as u32),
            scores.clone().into_buffer_arg(),
            result.clone().into_buffer_arg(),
            columns as u32,
            keys as u32,
            scale,
            element(scores),
        );
    }
    result
}

/// Pixels that one thread sums up, at most.
const RUN: usize = 64;

pub fn group_norm(
    input: Tensor<4>,
    second: Option<Tensor<4>>,
    norm: &Norm,
    groups: usize,
    activation: Activation,
) -> Tensor<4> {
    let [batch, height, width, first] = input.dims();
    let others = second.as_ref().map_or(0, |second| second.dims()[3]);
    if !first.is_multiple_of(4) || !others.is_multiple_of(4) {
        let second = second.map(plain::to_f32);
        return in_f32(input, |input| {
            plain::group_norm(input, second, norm, groups, activation)
        });
    }
    let channels = first + others;
    let pixels = height * width;
    let input = primitive(input);
    let second = second.map(primitive);
    let has_second = second.is_some();
    let (client, element) = (input.client.clone(), element(&input));
    // Runs are long where there are many pixels, and short where few threads would be busy.
    let run = (pixels / 64).clamp(8, RUN);
    let runs = pixels.div_ceil(run);
    let weight = primitive(norm.weight.clone());
    let moments = output(&weight, &[batch, runs, channels, 2]);
    let affine = output(&weight, &[batch, channels, 2]);
    let result = output(&input, &[batch, height, width, channels]);
    let threads = norm::THREADS;
    counts::note(
        "group norm, moments",
        [&input, &moments].into_iter().chain(&second),
    );
    counts::note("group norm, fold", [&moments, &weight, &affine]);
    counts::note(
        "group norm, apply",
        [&input, &affine, &result].into_iter().chain(&second),
    );
    submits::before_moving(&client, batch * pixels * channels);
    unsafe {
        norm::moments::launch_unchecked(
            &client,
            CubeCount::Static(
                (channels / 4).div_ceil(threads) as u32,
                runs as u32,
                batch as u32,
            ),
            CubeDim::new_1d(threads as u32),
            4,
            input.clone().into_buffer_arg(),
            some(second.clone()),
            moments.clone().into_buffer_arg(),
            channels as u32,
            first as u32,
            pixels as u32,
            run as u32,
            has_second,
            element,
        );
        let bias = primitive(norm.bias.clone());
        match choice::forms().norm {
            Form::Registers => registers::fold::launch_unchecked(
                &client,
                CubeCount::Static((groups * batch).div_ceil(threads) as u32, 1, 1),
                CubeDim::new_1d(threads as u32),
                moments.into_buffer_arg(),
                weight.into_buffer_arg(),
                bias.into_buffer_arg(),
                affine.clone().into_buffer_arg(),
                channels as u32,
                groups as u32,
                pixels as u32,
                run as u32,
                batch as u32,
                norm.epsilon as f32,
            ),
            Form::Shared => norm::fold::launch_unchecked(
                &client,
                CubeCount::Static(groups as u32, batch as u32, 1),
                CubeDim::new_1d(threads as u32),
                moments.into_buffer_arg(),
                weight.into_buffer_arg(),
                bias.into_buffer_arg(),
                affine.clone().into_buffer_arg(),
                channels as u32,
                groups as u32,
                pixels as u32,
                run as u32,
                norm.epsilon as f32,
            ),
        }
        let length = batch * pixels * channels / 4;
        norm::apply::launch_unchecked(
            &client,
            in_rows(length, threads),
            CubeDim::new_1d(threads as u32),
            4,
            input.into_buffer_arg(),
            some(second),
            affine.into_buffer_arg(),
            result.clone().into_buffer_arg(),
            channels as u32,
            first as u32,
            pixels as u32,
            length as u32,
            has_second,
            activation,
            element,
        );
    }
    tensor(result)
}

/// The most workgroups that there can be in one direction.
const MAXIMUM_COUNT: usize = 65_535;

/// Workgroups for so many threads, in several rows where one would be too long.
fn in_rows(threads: usize, per_group: usize) -> CubeCount {
    let groups = threads.div_ceil(per_group);
    let rows = groups.div_ceil(MAXIMUM_COUNT);
    CubeCount::Static(groups.div_ceil(rows) as u32, rows as u32, 1)
}

pub fn layer_norm(input: Tensor<3>, norm: &Norm) -> Tensor<3> {
    let [batch, tokens, size] = input.dims();
    if !size.is_multiple_of(4) {
        return in_f32(input, |input| plain::layer_norm(input, norm));
    }
    let input = primitive(input);
    let (client, element) = (input.client.clone(), element(&input));
    let result = output(&input, &[batch, tokens, size]);
    let rows = batch * tokens;
    let (weight, bias) = (primitive(norm.weight.clone()), primitive(norm.bias.clone()));
    counts::note("layer norm", [&input, &weight, &bias, &result]);
    submits::before_moving(&client, rows * size);
    match choice::forms().norm {
        Form::Registers => unsafe {
            registers::layer_norm::launch_unchecked(
                &client,
                CubeCount::Static(rows.div_ceil(norm::THREADS) as u32, 1, 1),
                CubeDim::new_1d(norm::THREADS as u32),
                4,
                input.into_buffer_arg(),
                weight.into_buffer_arg(),
                bias.into_buffer_arg(),
                result.clone().into_buffer_arg(),
                rows as u32,
                size as u32,
                norm.epsilon as f32,
                element,
            );
        },
        Form::Shared => unsafe {
            norm::layer_norm::launch_unchecked(
                &client,
                CubeCount::Static(rows as u32, 1, 1),
                CubeDim::new_1d(norm::THREADS as u32),
                4,
                input.into_buffer_arg(),
                weight.into_buffer_arg(),
                bias.into_buffer_arg(),
                result.clone().into_buffer_arg(),
                size as u32,
                norm.epsilon as f32,
                element,
            );
        },
    }
    tensor(result)
}
