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
mod buffers;
mod choice;
mod counts;
mod half;
mod matmul;
mod norm;
mod product;
mod registers;
mod scalar;
mod scores;
mod small;
mod submits;

use burn::tensor::{DType, FloatDType, Tensor};
use cubecl::prelude::*;

use super::forms::Form;
use super::layer::{Activation, After, Embedding, Heads, Layer, Norm, Sampling};
use super::plain::{self, Parts};
use buffers::{element, in_rows, output, primitive, some, tensor};
pub use choice::{chosen_forms, forms, is_half, set_choice, set_forms, set_half, set_software};
pub use counts::{Counts, take_counts};
use matmul::Rows;
use product::Product;
use scalar::Scalar;
use scores::attention_by_scores;
pub use submits::TASKS;

/// Whether a tensor is on a graphics card.
pub fn is_on<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.device() != burn::tensor::Device::flex()
}

/// The plain operations, for what no kernel of vectors takes: their weights are `f32`, and so is what they get.
/// The result has the input's type again.
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
            plain::linear::<Scalar>(input, layer, in_f32_too(after))
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
                plain::pixelwise::<Scalar>(input, second, layer, in_f32_too(after))
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
            plain::convolution::<Scalar>(input, layer, sampling, in_f32_too(after))
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
            in_f32(queries, |queries| {
                plain::attention::<Scalar>(queries, others, heads)
            })
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
            plain::group_norm::<Scalar>(input, second, norm, groups, activation)
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

pub fn layer_norm(input: Tensor<3>, norm: &Norm) -> Tensor<3> {
    let [batch, tokens, size] = input.dims();
    if !size.is_multiple_of(4) {
        return in_f32(input, |input| Scalar::layer_norm(input, norm));
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
