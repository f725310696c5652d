//! The operations from few parts, on any device and for shapes of any size.
//!
//! Natively they are the CPU's, of burn's own parts ([`Burn`]). A graphics card has them for what the kernels
//! don't take, of parts that take everything and are slow: with burn's, which are written for every card that
//! there is, a third of the program that a browser loads would be code that no model needs.

use burn::tensor::{
    FloatDType, Slice, Tensor, TensorData,
    activation::{gelu, relu, sigmoid, silu},
    module,
    ops::{AttentionModuleOptions, PadMode},
};

use super::layer::{Activation, After, BranchScale, Heads, Layer, Norm, Sampling};

/// Values of the patches that are gathered at once: 16 MiB of `f32`.
const MAXIMUM_PATCHES: usize = 4 * 1024 * 1024;

/// Values of the attention scores that are computed at once: 64 MiB of `f32`.
const MAXIMUM_SCORES: usize = 16 * 1024 * 1024;

/// What the operations are made of.
pub trait Parts {
    /// `x Wᵀ + b`.
    ///
    /// # Shapes
    /// - input: `[batch, rows, depth]`
    /// - weight: `[columns, depth]`
    /// - bias: `[columns]`
    /// - output: `[batch, rows, columns]`
    fn product(input: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3>;

    /// softmax(Q Kᵀ / √d) V.
    ///
    /// # Shapes
    /// - query, and output: `[batch, heads, queries, head size]`
    /// - key, value: `[batch, heads, keys, head size]`
    fn attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, is_causal: bool) -> Tensor<4>;

    /// Each group of channels with mean 0 and variance 1.
    ///
    /// # Shapes
    /// `[batch, pixels, groups, channels of a group]` → the same.
    fn normalized(input: Tensor<4>, epsilon: f64) -> Tensor<4>;

    /// Layer normalization over the last dimension.
    ///
    /// # Shapes
    /// `[batch, tokens, size]` → the same.
    fn layer_norm(input: Tensor<3>, norm: &Norm) -> Tensor<3>;
}

/// burn's own.
pub struct Burn;

impl Parts for Burn {
    fn product(input: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
        // Transposed as a view.
        module::linear(input, weight.transpose(), bias)
    }

    fn attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, is_causal: bool) -> Tensor<4> {
        let [batch, heads, queries, _] = query.dims();
        let keys = key.dims()[2];
        let run = |query: Tensor<4>| {
            module::attention(
                query,
                key.clone(),
                value.clone(),
                None,
                None,
                AttentionModuleOptions {
                    is_causal,
                    ..Default::default()
                },
            )
        };
        let block = (MAXIMUM_SCORES / (batch * heads * keys)).max(1);
        // Causal attention is a text's: its scores are few.
        if block >= queries || is_causal {
            run(query)
        } else {
            Tensor::cat(query.split(block, 2).into_iter().map(run).collect(), 2)
        }
    }

    fn normalized(input: Tensor<4>, epsilon: f64) -> Tensor<4> {
        let mean = input.clone().mean_dim(1).mean_dim(3);
        let centred = input - mean;
        let variance = centred.clone().square().mean_dim(1).mean_dim(3);
        centred / (variance + epsilon).sqrt()
    }

    fn layer_norm(input: Tensor<3>, norm: &Norm) -> Tensor<3> {
        module::layer_norm(
            input,
            norm.weight.clone(),
            Some(norm.bias.clone()),
            norm.epsilon,
        )
    }
}

fn activate<const D: usize>(input: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Identity => input,
        Activation::Relu => relu(input),
        Activation::Silu => silu(input),
        Activation::Gelu => gelu(input),
        Activation::QuickGelu => input.clone() * sigmoid(input * 1.702),
        Activation::Geglu => {
            let [values, gates] = halves(input);
            values * gelu(gates)
        }
    }
}

fn halves<const D: usize>(input: Tensor<D>) -> [Tensor<D>; 2] {
    let half = input.dims()[D - 1] / 2;
    [
        input.clone().narrow(D - 1, 0, half),
        input.narrow(D - 1, half, half),
    ]
}

pub fn linear<P: Parts>(input: Tensor<3>, layer: &Layer, after: After<3>) -> Tensor<3> {
    let mut output = P::product(input.clone(), layer.weight.expand(), layer.bias.clone());
    if let Some((branch, scale)) = layer.acting_branch() {
        let change = P::product(input, branch.down.expand(), None);
        let change = match scale {
            BranchScale::Whole(scale) => change * scale,
            BranchScale::Ranks(scales) => {
                let device = change.device();
                let length = scales.len();
                let scales = TensorData::new(scales, [1, 1, length]);
                change * Tensor::<3>::from_data(scales, &device)
            }
        };
        output = output + P::product(change, branch.up.expand(), None);
    }
    finish(output, after)
}

/// What comes after a product.
pub fn finish(mut output: Tensor<3>, after: After<3>) -> Tensor<3> {
    if let Some(embedding) = after.embedding {
        let columns = output.dims()[2];
        let vectors = embedding.vectors.narrow(1, embedding.first, columns);
        output = output + vectors.unsqueeze_dim(1);
    }
    let output = activate(output, after.activation);
    match after.residual {
        Some(residual) => output + residual,
        None => output,
    }
}

pub fn pixelwise<P: Parts>(
    input: Tensor<4>,
    second: Option<Tensor<4>>,
    layer: &Layer,
    after: After<4>,
) -> Tensor<4> {
    let input = match second {
        Some(second) => Tensor::cat(vec![input, second], 3),
        None => input,
    };
    let [batch, height, width, _] = input.dims();
    let output = linear::<P>(rows(input), layer, rows_after(after));
    let columns = output.dims()[2];
    output.reshape([batch, height, width, columns])
}

fn rows(input: Tensor<4>) -> Tensor<3> {
    let [batch, height, width, channels] = input.dims();
    input.reshape([batch, height * width, channels])
}

fn rows_after(after: After<4>) -> After<3> {
    After {
        embedding: after.embedding,
        activation: after.activation,
        residual: after.residual.map(rows),
    }
}

/// As a product with the patches, some rows of the output at a time.
pub fn convolution<P: Parts>(
    input: Tensor<4>,
    layer: &Layer,
    sampling: Sampling,
    after: After<4>,
) -> Tensor<4> {
    let [batch, height, width, channels] = input.dims();
    let [output_height, output_width] = sampling.output_size([height, width]);
    let (padding, stride) = match sampling {
        Sampling::Same | Sampling::Doubled(_) => ([1, 1], 1),
        Sampling::Halved => ([1, 1], 2),
        Sampling::HalvedAtEnd => ([0, 1], 2),
    };
    let input = match sampling {
        Sampling::Doubled(size) => doubled(input, size),
        _ => input,
    };
    let [before, behind] = padding;
    let input = input.pad(
        [(0, 0), (before, behind), (before, behind), (0, 0)],
        PadMode::Constant(0.0),
    );
    let rows_at_once = (MAXIMUM_PATCHES / (batch * output_width * 9 * channels)).max(1);
    let After {
        embedding,
        activation,
        residual,
    } = after;
    let mut parts = Vec::new();
    let mut first = 0;
    while first < output_height {
        let count = rows_at_once.min(output_height - first);
        let taps = (0..9)
            .map(|tap| {
                let (top, left) = (first * stride + tap / 3, tap % 3);
                let along = |begin: usize, count: usize| {
                    Slice::new(
                        begin as isize,
                        Some((begin + (count - 1) * stride + 1) as isize),
                        stride as isize,
                    )
                };
                input.clone().slice([
                    Slice::full(),
                    along(top, count),
                    along(left, output_width),
                    Slice::full(),
                ])
            })
            .collect();
        let patches: Tensor<4> = Tensor::cat(taps, 3);
        let after = After {
            embedding: embedding.clone(),
            activation,
            residual: residual
                .as_ref()
                .map(|residual| residual.clone().narrow(1, first, count)),
        };
        parts.push(pixelwise::<P>(patches, None, layer, after));
        first += count;
    }
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 1),
    }
}

/// Each pixel twice in both directions, cut to a height and width.
fn doubled(input: Tensor<4>, [output_height, output_width]: [usize; 2]) -> Tensor<4> {
    let [batch, height, width, channels] = input.dims();
    input
        .reshape([batch, height, width, channels])
        .unsqueeze_dim::<5>(3)
        .repeat_dim(3, 2)
        .reshape([batch, height, 1, 2 * width * channels])
        .repeat_dim(2, 2)
        .reshape([batch, 2 * height, 2 * width, channels])
        .narrow(1, 0, output_height)
        .narrow(2, 0, output_width)
}

pub fn attention<P: Parts>(
    queries: Tensor<3>,
    others: Option<Tensor<3>>,
    heads: Heads,
) -> Tensor<3> {
    let columns = heads.count * heads.size;
    let split = |tensor: Tensor<3>, part: usize| {
        let [batch, tokens, _] = tensor.dims();
        tensor
            .narrow(2, part * columns, columns)
            .reshape([batch, tokens, heads.count, heads.size])
            .swap_dims(1, 2)
    };
    let query = split(queries.clone(), 0);
    let (key, value) = match others {
        Some(others) => (split(others.clone(), 0), split(others, 1)),
        None => (split(queries.clone(), 1), split(queries, 2)),
    };
    let [batch, _, queries, _] = query.dims();
    P::attention(query, key, value, heads.is_causal)
        .swap_dims(1, 2)
        .reshape([batch, queries, columns])
}

pub fn group_norm<P: Parts>(
    input: Tensor<4>,
    second: Option<Tensor<4>>,
    norm: &Norm,
    groups: usize,
    activation: Activation,
) -> Tensor<4> {
    let input = match second {
        Some(second) => Tensor::cat(vec![input, second], 3),
        None => input,
    };
    let [batch, height, width, channels] = input.dims();
    let pixels = height * width;
    let grouped = input.reshape([batch, pixels, groups, channels / groups]);
    let output = P::normalized(grouped, norm.epsilon).reshape([batch, height, width, channels])
        * norm.weight.clone().reshape([1, 1, 1, channels])
        + norm.bias.clone().reshape([1, 1, 1, channels]);
    activate(output, activation)
}

/// A permuted or cut tensor, copied: the kernels read what lies together, and a vector of all values is no
/// view of another order.
pub fn contiguous<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let shape = tensor.dims();
    tensor
        .reshape([shape.iter().product::<usize>()])
        .reshape(shape)
}

/// A tensor of `f16` or `f32` as `f32`.
pub fn to_f32<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.cast(FloatDType::F32)
}
