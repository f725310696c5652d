//! The operations on a graphics card: kernels of our own, launched on burn's tensors.

#![expect(
    unsafe_code,
    reason = "launches without checks of each access: the kernels make their own where a tile reaches beyond a tensor"
)]

mod attention;
mod choice;
mod half;
mod matmul;
mod norm;
mod small;

use burn::backend::wgpu::{CubeTensor, Wgpu};
use burn::tensor::{DType, Tensor};
use cubecl::client::Client;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

use super::matrix::WeightForm;
use super::{Activation, After, Heads, Layer, LowRank, Matrix, Norm, Sampling, plain};
use matmul::Rows;

const F32: ElemType = ElemType::Float(FloatKind::F32);
const F16: ElemType = ElemType::Float(FloatKind::F16);

/// Whether a tensor is on a graphics card.
pub fn is_on<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.device() != burn::tensor::Device::flex()
}

/// A tensor as the kernels take it: contiguous, and not on the CPU.
fn primitive<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    match tensor.try_into_primitive::<Wgpu>() {
        Ok(primitive) => primitive,
        Err(_) => unreachable!("is_on was asked before"),
    }
}

fn tensor<const D: usize>(primitive: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<Wgpu>(primitive)
}

fn words(matrix: &Matrix) -> Option<CubeTensor> {
    let (words, _) = matrix.words()?;
    words.clone().try_into_primitive::<Wgpu>().ok()
}

fn element(tensor: &CubeTensor) -> ElemType {
    if tensor.dtype == DType::F16 { F16 } else { F32 }
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
    let [batch, tokens, columns] = input.dims();
    if layer.weight.words().is_none() || columns % 4 != 0 {
        return plain::linear(input, layer, after);
    }
    let product = Product {
        input: primitive(input),
        second: None,
        layer,
        rows: Rows::Same,
        size: [1, tokens],
        output_size: [1, tokens],
        batch,
        embedding: after.embedding.map(primitive),
        activation: after.activation,
        residual: after.residual.map(primitive),
    };
    let columns = product.output_columns();
    tensor(product.launch(&[batch, tokens, columns]))
}

pub fn pixelwise(
    input: Tensor<4>,
    second: Option<Tensor<4>>,
    layer: &Layer,
    after: After<4>,
) -> Tensor<4> {
    let [batch, height, width, channels] = input.dims();
    let others = second.as_ref().map_or(0, |second| second.dims()[3]);
    if layer.weight.words().is_none() || channels % 4 != 0 || others % 4 != 0 {
        return plain::pixelwise(input, second, layer, after);
    }
    let product = Product {
        input: primitive(input),
        second: second.map(primitive),
        layer,
        rows: Rows::Same,
        size: [height, width],
        output_size: [height, width],
        batch,
        embedding: after.embedding.map(primitive),
        activation: after.activation,
        residual: after.residual.map(primitive),
    };
    let columns = product.output_columns();
    tensor(product.launch(&[batch, height, width, columns]))
}

pub fn convolution(
    input: Tensor<4>,
    layer: &Layer,
    sampling: Sampling,
    after: After<4>,
) -> Tensor<4> {
    let [batch, height, width, channels] = input.dims();
    let [output_height, output_width] = sampling.output_size([height, width]);
    let [outputs, _] = layer.weight.shape();
    if layer.weight.words().is_none() {
        let is_simple = matches!(after.activation, Activation::Identity | Activation::Relu)
            && after.embedding.is_none()
            && after.residual.is_none()
            && layer.branch.is_none();
        return if channels % 4 == 0 && is_simple {
            small_convolution(input, layer, sampling, after.activation)
        } else {
            plain::convolution(input, layer, sampling, after)
        };
    }
    let product = Product {
        input: primitive(input),
        second: None,
        layer,
        rows: rows(sampling),
        size: [height, width],
        output_size: [output_height, output_width],
        batch,
        embedding: after.embedding.map(primitive),
        activation: after.activation,
        residual: after.residual.map(primitive),
    };
    tensor(product.launch(&[batch, output_height, output_width, outputs]))
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
    unsafe {
        small::convolution::launch_unchecked(
            &client,
            CubeCount::Static(pixels.div_ceil(64) as u32, (outputs / own) as u32, 1),
            CubeDim::new_1d(64),
            4,
            input.into_buffer_arg(),
            primitive(layer.weight.expand()).into_buffer_arg(),
            some(layer.bias.clone().map(primitive)),
            result.clone().into_buffer_arg(),
            sizes,
            program,
            element,
        );
    }
    tensor(result)
}

/// One launch of the matrix kernel.
struct Product<'a> {
    input: CubeTensor,
    second: Option<CubeTensor>,
    layer: &'a Layer,
    rows: Rows,
    /// Height and width of the input.
    size: [usize; 2],
    /// Height and width of the output.
    output_size: [usize; 2],
    batch: usize,
    embedding: Option<CubeTensor>,
    activation: Activation,
    residual: Option<CubeTensor>,
}

impl Product<'_> {
    fn output_columns(&self) -> usize {
        let [columns, _] = self.layer.weight.shape();
        if self.activation == Activation::Geglu {
            columns / 2
        } else {
            columns
        }
    }

    fn launch(self, shape: &[usize]) -> CubeTensor {
        let [columns, depth] = self.layer.weight.shape();
        let Some((_, form)) = self.layer.weight.words() else {
            unreachable!("the caller has asked for them");
        };
        let Some(weight) = words(&self.layer.weight) else {
            unreachable!("the weight is where the input is");
        };
        let rows = self.batch * self.output_size.iter().product::<usize>();
        let branch = self.layer.branch.as_deref().map(|branch| self.low(branch));
        let second_channels = match &self.second {
            Some(second) => second.meta.shape().as_slice().last().copied().unwrap_or(0),
            None => 0,
        };
        let channels = match self.rows {
            Rows::Same => depth - second_channels,
            Rows::Patches { .. } => depth / 9,
        };
        let client = self.input.client.clone();
        let choice = choice::tile(&client, rows, columns, self.activation);
        let program = matmul::Program {
            tile: choice,
            weight: form,
            rows: self.rows,
            is_ragged: match self.rows {
                Rows::Same => false,
                Rows::Patches { .. } => channels % choice.depth != 0,
            },
            has_second: self.second.is_some(),
            has_bias: self.layer.bias.is_some(),
            has_embedding: self.embedding.is_some(),
            has_residual: self.residual.is_some(),
            branch: self
                .layer
                .branch
                .as_ref()
                .and_then(|branch| branch.up.words())
                .map(|(_, form)| form),
            activation: self.activation,
        };
        let rank = branch.as_ref().map_or(0, |(_, _, rank)| *rank);
        let (up_form, scale) = match &self.layer.branch {
            Some(branch) => (
                branch.up.words().map_or(form, |(_, form)| form),
                branch.scale,
            ),
            None => (WeightForm::F32, 1.0),
        };
        let (low, up) = match branch {
            Some((low, up, _)) => (Some(low), Some(up)),
            None => (None, None),
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
        );
        let element = element(&self.input);
        let result = output(&self.input, shape);
        let count = CubeCount::Static(
            columns.div_ceil(choice.columns) as u32,
            rows.div_ceil(choice.rows) as u32,
            1,
        );
        unsafe {
            matmul::matmul::launch_unchecked(
                &client,
                count,
                CubeDim::new_1d(choice.threads() as u32),
                4,
                matmul::words_at_once(form),
                matmul::words_at_once(up_form),
                self.input.into_buffer_arg(),
                some(self.second),
                weight.into_buffer_arg(),
                some(self.layer.bias.clone().map(primitive)),
                some(self.embedding),
                some(self.residual),
                some(low),
                some(up),
                result.clone().into_buffer_arg(),
                sizes,
                program,
                [element, F32],
            );
        }
        result
    }

    /// What the branch's lower half makes of the input, the words of its upper half, and its rank.
    fn low(&self, branch: &LowRank) -> (CubeTensor, CubeTensor, usize) {
        let Some(up) = words(&branch.up) else {
            unreachable!("a branch's rank is a multiple of four");
        };
        let [_, rank] = branch.up.shape();
        let down = Layer {
            weight: branch.down.clone(),
            bias: None,
            branch: None,
        };
        let product = Product {
            input: self.input.clone(),
            second: self.second.clone(),
            layer: &down,
            rows: self.rows,
            size: self.size,
            output_size: self.output_size,
            batch: self.batch,
            embedding: None,
            activation: Activation::Identity,
            residual: None,
        };
        let rows = self.batch * self.output_size.iter().product::<usize>();
        (product.launch(&[rows, rank]), up, rank)
    }
}

pub fn attention(queries: Tensor<3>, others: Option<Tensor<3>>, heads: Heads) -> Tensor<3> {
    let [batch, tokens, query_row] = queries.dims();
    let own = primitive(queries.clone());
    let choice = choice::attention(&own.client, heads.size);
    let Some(program) = choice.filter(|_| heads.size.is_multiple_of(16)) else {
        return plain::attention(queries, others, heads);
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
    unsafe {
        attention::attention::launch_unchecked(
            &client,
            count,
            CubeDim::new_1d(program.threads() as u32),
            4,
            own.into_buffer_arg(),
            some(others.map(primitive)),
            result.clone().into_buffer_arg(),
            sizes,
            program,
            [element, F32],
        );
    }
    tensor(result)
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
    if first % 4 != 0 || others % 4 != 0 {
        return plain::group_norm(input, second, norm, groups, activation);
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
        norm::fold::launch_unchecked(
            &client,
            CubeCount::Static(groups as u32, batch as u32, 1),
            CubeDim::new_1d(threads as u32),
            moments.into_buffer_arg(),
            weight.into_buffer_arg(),
            primitive(norm.bias.clone()).into_buffer_arg(),
            affine.clone().into_buffer_arg(),
            channels as u32,
            groups as u32,
            pixels as u32,
            run as u32,
            norm.epsilon as f32,
        );
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
    if size % 4 != 0 {
        return plain::layer_norm(input, norm);
    }
    let input = primitive(input);
    let (client, element) = (input.client.clone(), element(&input));
    let result = output(&input, &[batch, tokens, size]);
    unsafe {
        norm::layer_norm::launch_unchecked(
            &client,
            CubeCount::Static((batch * tokens) as u32, 1, 1),
            CubeDim::new_1d(norm::THREADS as u32),
            4,
            input.into_buffer_arg(),
            primitive(norm.weight.clone()).into_buffer_arg(),
            primitive(norm.bias.clone()).into_buffer_arg(),
            result.clone().into_buffer_arg(),
            size as u32,
            norm.epsilon as f32,
            element,
        );
    }
    tensor(result)
}
