//! The operations on the CPU, on the values of burn's tensors: one loop for an operation with everything
//! that follows it. They are written for the browser's vectors of four values and one thread.

mod attention;
mod functions;
mod norm;
mod product;
#[cfg(test)]
mod tests;
pub mod weight;
mod winograd;

use std::ops::Deref;

use burn::tensor::{Device, Tensor, TensorData};

use super::layer::{Activation, After, BranchScale, Heads, Layer, Norm, Sampling};
use attention::Columns;
use functions::{activate, add};
use product::{Piece, multiply};
use winograd::Maps;

/// The values of a tensor, which are copied only if it has another owner.
struct Values(TensorData);

impl Values {
    fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        match tensor.try_into_data() {
            Ok(data) if data.as_slice::<f32>().is_ok() => Self(data),
            _ => {
                unreachable!("the models' tensors are f32 on the CPU, where reading is no transfer")
            }
        }
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0.as_slice().unwrap_or_default()
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

pub fn linear(input: Tensor<3>, layer: &Layer, after: After<3>) -> Tensor<3> {
    let [batch, tokens, columns] = input.dims();
    let input = Values::of(input);
    let values = affine(
        &[Piece::matrix(&input, columns)],
        [batch, tokens],
        layer,
        after,
    );
    let columns = values.len() / (batch * tokens).max(1);
    tensor(values, [batch, tokens, columns])
}

pub fn pixelwise(
    input: Tensor<4>,
    second: Option<Tensor<4>>,
    layer: &Layer,
    after: After<4>,
) -> Tensor<4> {
    let [batch, height, width, _] = input.dims();
    let inputs = maps(input, second);
    let pieces: Vec<_> = inputs
        .iter()
        .map(|(values, channels)| Piece::matrix(values, *channels))
        .collect();
    let values = affine(&pieces, [batch, height * width], layer, after);
    let columns = values.len() / (batch * height * width).max(1);
    tensor(values, [batch, height, width, columns])
}

/// One map or two, with their channels.
fn maps(input: Tensor<4>, second: Option<Tensor<4>>) -> Vec<(Values, usize)> {
    std::iter::once(input)
        .chain(second)
        .map(|map| {
            let [_, _, _, channels] = map.dims();
            (Values::of(map), channels)
        })
        .collect()
}

pub fn convolution(
    input: Tensor<4>,
    layer: &Layer,
    sampling: Sampling,
    after: After<4>,
) -> Tensor<4> {
    let [batch, height, width, channels] = input.dims();
    let input_size = [height, width];
    let output_size = sampling.output_size(input_size);
    let input = Values::of(input);
    let [output_height, output_width] = output_size;
    let rows = [batch, output_height * output_width];
    let maps = Maps {
        batch,
        input: input_size,
        output: output_size,
        is_doubled: matches!(sampling, Sampling::Doubled(_)),
        channels,
    };
    let [outputs, _] = layer.weight.shape();
    let is_dense = matches!(sampling, Sampling::Same | Sampling::Doubled(_));
    let is_transformed = is_dense && maps.are_worth_it(outputs);
    let taps: Vec<_> = if is_transformed && layer.acting_branch().is_none() {
        Vec::new()
    } else {
        (0..9)
            .map(|tap| {
                let starts = tap_starts(sampling, [tap / 3, tap % 3], batch, input_size, channels);
                Piece::table(&input, channels, starts)
            })
            .collect()
    };
    let values = if is_transformed {
        let weight = layer.weight.packed();
        let mut output = vec![0.0; batch * output_height * output_width * outputs];
        let bias = bias(layer, outputs);
        winograd::convolve(
            &input,
            maps,
            weight.transformed(channels),
            &bias,
            &mut output,
        );
        finish(output, &taps, rows, layer, after)
    } else {
        affine(&taps, rows, layer, after)
    };
    tensor(values, [batch, output_height, output_width, outputs])
}

/// Where the values of a tap begin for each pixel of the output; none beyond the input's edges.
fn tap_starts(
    sampling: Sampling,
    [tap_y, tap_x]: [usize; 2],
    batch: usize,
    [height, width]: [usize; 2],
    channels: usize,
) -> Vec<Option<usize>> {
    let [output_height, output_width] = sampling.output_size([height, width]);
    let source = |position: usize, tap: usize, size: usize, output_size: usize| {
        let (source, size) = match sampling {
            Sampling::Same => ((position + tap).checked_sub(1)?, size),
            Sampling::Halved => ((2 * position + tap).checked_sub(1)?, size),
            Sampling::HalvedAtEnd => (2 * position + tap, size),
            Sampling::Doubled(_) => ((position + tap).checked_sub(1)?, output_size),
        };
        let is_doubled = matches!(sampling, Sampling::Doubled(_));
        (source < size).then_some(if is_doubled { source / 2 } else { source })
    };
    let columns: Vec<_> = (0..output_width)
        .map(|x| source(x, tap_x, width, output_width))
        .collect();
    let mut starts = Vec::with_capacity(batch * output_height * output_width);
    for image in 0..batch {
        for y in 0..output_height {
            let row = source(y, tap_y, height, output_height);
            starts.extend(columns.iter().map(|&column| {
                let pixel = (image * height + row?) * width + column?;
                Some(pixel * channels)
            }));
        }
    }
    starts
}

/// A layer with its branch and what comes after, over rows of pieces.
fn affine<const D: usize>(
    pieces: &[Piece],
    [batch, rows]: [usize; 2],
    layer: &Layer,
    after: After<D>,
) -> Vec<f32> {
    let weight = layer.weight.packed();
    let bias = bias(layer, weight.outputs());
    let mut output = vec![0.0; batch * rows * weight.outputs()];
    multiply(pieces, &weight.packed, &bias, &mut output);
    finish(output, pieces, [batch, rows], layer, after)
}

fn bias(layer: &Layer, outputs: usize) -> Vec<f32> {
    match layer.bias.clone() {
        Some(bias) => Values::of(bias).to_vec(),
        None => vec![0.0; outputs],
    }
}

/// Adds the branch's output to a layer's, and does what comes after.
fn finish<const D: usize>(
    mut output: Vec<f32>,
    pieces: &[Piece],
    [batch, rows]: [usize; 2],
    layer: &Layer,
    after: After<D>,
) -> Vec<f32> {
    let outputs = output.len() / (batch * rows).max(1);
    if let Some((branch, scale)) = layer.acting_branch() {
        let (down, up) = (branch.down.packed(), branch.up.packed());
        let rank = down.outputs();
        let mut inner = vec![0.0; batch * rows * rank];
        multiply(pieces, &down.packed, &vec![0.0; rank], &mut inner);
        match scale {
            BranchScale::Whole(scale) => inner.iter_mut().for_each(|value| *value *= scale),
            BranchScale::Ranks(scales) => {
                for row in inner.chunks_exact_mut(rank.max(1)) {
                    for (value, scale) in row.iter_mut().zip(&scales) {
                        *value *= scale;
                    }
                }
            }
        }
        let mut change = vec![0.0; output.len()];
        let inner = Piece::matrix(&inner, rank);
        multiply(&[inner], &up.packed, &vec![0.0; outputs], &mut change);
        add(&mut output, &change);
    }
    if let Some(embedding) = after.embedding {
        let [_, width] = embedding.vectors.dims();
        let vectors = Values::of(embedding.vectors);
        let images = output.chunks_exact_mut((rows * outputs).max(1));
        for (image, vector) in images.zip(vectors.chunks_exact(width.max(1))) {
            for row in image.chunks_exact_mut(outputs) {
                add(row, &vector[embedding.first..][..outputs]);
            }
        }
    }
    let mut output = activate(output, outputs, after.activation);
    if let Some(residual) = after.residual {
        add(&mut output, &Values::of(residual));
    }
    output
}

pub fn attention(queries: Tensor<3>, others: Option<Tensor<3>>, heads: Heads) -> Tensor<3> {
    let columns = heads.count * heads.size;
    let [batch, tokens, width] = queries.dims();
    let queries = Values::of(queries);
    let (others, others_width, keys_first) = match others {
        Some(others) => {
            let [_, _, width] = others.dims();
            (Some(Values::of(others)), width, 0)
        }
        None => (None, width, columns),
    };
    let others: &[f32] = others.as_deref().unwrap_or(&queries);
    let mut output = vec![0.0; batch * tokens * columns];
    let images = output.chunks_exact_mut((tokens * columns).max(1));
    for (image, output) in images.enumerate() {
        let part = |values: &'_ [f32]| -> std::ops::Range<usize> {
            let length = values.len() / batch;
            image * length..(image + 1) * length
        };
        let own = Columns {
            values: &queries[part(&queries)],
            width,
            first: 0,
        };
        let keys = Columns {
            values: &others[part(others)],
            width: others_width,
            first: keys_first,
        };
        let values = Columns {
            first: keys_first + columns,
            ..keys
        };
        attention::attend(own, keys, values, heads, output);
    }
    tensor(output, [batch, tokens, columns])
}

pub fn group_norm(
    input: Tensor<4>,
    second: Option<Tensor<4>>,
    norm: &Norm,
    groups: usize,
    activation: Activation,
) -> Tensor<4> {
    let [batch, height, width, _] = input.dims();
    let inputs = maps(input, second);
    let weight = Values::of(norm.weight.clone());
    let bias = Values::of(norm.bias.clone());
    let channels = weight.len();
    let pixels = height * width;
    let mut output = vec![0.0; batch * pixels * channels];
    let images = output.chunks_exact_mut((pixels * channels).max(1));
    for (image, output) in images.enumerate() {
        let parts: Vec<(&[f32], usize)> = inputs
            .iter()
            .map(|(values, own)| (&values[image * pixels * own..][..pixels * own], *own))
            .collect();
        norm::group(&parts, &weight, &bias, groups, norm.epsilon, output);
    }
    let output = activate(output, channels, activation);
    tensor(output, [batch, height, width, channels])
}

pub fn layer_norm(input: Tensor<3>, norm: &Norm) -> Tensor<3> {
    let shape = input.dims();
    let input = Values::of(input);
    let weight = Values::of(norm.weight.clone());
    let bias = Values::of(norm.bias.clone());
    let mut output = vec![0.0; input.len()];
    norm::layer(&input, &weight, &bias, norm.epsilon, &mut output);
    tensor(output, shape)
}
