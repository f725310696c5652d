//! Attention with a matrix of scores, for heads that are too large for the kernel without one.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::{Tensor, ops::PadMode};
use cubecl::prelude::*;

use super::buffers::{element, output, primitive, tensor};
use super::product::{Product, Weight};
use super::{counts, norm, submits};
use crate::kernels::plain::contiguous;

/// Bytes of the attention scores that are computed at once.
const MAXIMUM_SCORES: usize = 16 * 1024 * 1024;

/// Attention of one head that is too large for [`attention::attention`], the VAE's: a matrix of scores for
/// some queries at a time.
pub(super) fn attention_by_scores(
    queries: Tensor<3>,
    others: Option<Tensor<3>>,
    size: usize,
) -> Tensor<3> {
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
