//! Each operation beside burn's own.

use burn::tensor::{Device, Tensor, TensorData};

use super::super::layer::{BranchPart, Embedding, LowRank, Strengths};
use super::super::matrix::Matrix;
use super::super::plain::{self, Burn, Parts};
use super::product::Packed;
use super::*;

/// Values between -1 and 1 that are different for each use.
struct Numbers(u32);

impl Numbers {
    fn values(&mut self, length: usize) -> Vec<f32> {
        std::iter::repeat_with(|| {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .take(length)
        .collect()
    }

    fn tensor<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let values = self.values(shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn layer(&mut self, inputs: usize, outputs: usize) -> Layer {
        Layer {
            weight: Matrix::of(self.tensor([outputs, inputs])),
            bias: Some(self.tensor([outputs])),
            branch: None,
        }
    }

    fn branch(&mut self, inputs: usize, outputs: usize, rank: usize) -> Box<LowRank> {
        Box::new(LowRank {
            down: Matrix::of(self.tensor([rank, inputs])),
            up: Matrix::of(self.tensor([outputs, rank])),
            parts: vec![BranchPart {
                ranks: rank,
                scale: 0.7,
                adapter: None,
            }],
            strengths: Strengths::default(),
        })
    }

    /// Columns of a wider matrix.
    fn embedding(&mut self, batch: usize, outputs: usize) -> Embedding {
        Embedding {
            vectors: self.tensor([batch, outputs + 5]),
            first: 3,
        }
    }

    fn norm(&mut self, channels: usize) -> Norm {
        Norm {
            weight: self.tensor([channels]),
            bias: self.tensor([channels]),
            epsilon: 1e-5,
        }
    }
}

#[track_caller]
fn assert_close<const D: usize>(own: Tensor<D>, expected: Tensor<D>) {
    assert_eq!(own.dims(), expected.dims());
    let expected = Values::of(expected);
    let largest = expected
        .iter()
        .fold(1.0f32, |most, value| most.max(value.abs()));
    for (index, (own, expected)) in Values::of(own).iter().zip(&*expected).enumerate() {
        let error = (own - expected).abs();
        assert!(
            error <= 1e-5 * largest,
            "value {index} is {own} instead of {expected}"
        );
    }
}

const ACTIVATIONS: [Activation; 6] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Silu,
    Activation::Gelu,
    Activation::QuickGelu,
    Activation::Geglu,
];

#[test]
fn linear_layers_are_burns() {
    let mut numbers = Numbers(1);
    for [batch, tokens, inputs, outputs] in [
        [1, 1, 1, 2],
        [1, 3, 5, 6],
        [2, 7, 13, 22],
        [3, 4, 64, 64],
        [1, 77, 192, 130],
    ] {
        for activation in ACTIVATIONS {
            let layer = numbers.layer(inputs, outputs);
            let input = numbers.tensor([batch, tokens, inputs]);
            let width = match activation {
                Activation::Geglu => outputs / 2,
                _ => outputs,
            };
            let after = After {
                embedding: Some(numbers.embedding(batch, outputs)),
                activation,
                residual: Some(numbers.tensor([batch, tokens, width])),
            };
            assert_close(
                linear(input.clone(), &layer, after.clone()),
                plain::linear::<Burn>(input, &layer, after),
            );
        }
    }
}

#[test]
fn branches_and_missing_biases_are_burns() {
    let mut numbers = Numbers(2);
    let layer = Layer {
        bias: None,
        branch: Some(numbers.branch(10, 9, 4)),
        ..numbers.layer(10, 9)
    };
    let input = numbers.tensor([2, 5, 10]);
    assert_close(
        linear(input.clone(), &layer, After::default()),
        plain::linear::<Burn>(input, &layer, After::default()),
    );
}

#[test]
fn a_branch_of_several_adapters_acts_by_their_strengths() {
    let mut numbers = Numbers(8);
    let layer = numbers.layer(10, 9);
    let input = numbers.tensor([2, 5, 10]);
    let without = plain::linear::<Burn>(input.clone(), &layer, After::default());
    let strengths = Strengths::default();
    let mut branch = numbers.branch(10, 9, 8);
    let part = |adapter, scale| BranchPart {
        ranks: 4,
        scale,
        adapter: Some(adapter),
    };
    branch.parts = vec![part(0, 0.5), part(1, 2.0)];
    branch.strengths = strengths.clone();
    let layer = Layer {
        branch: Some(branch),
        ..layer
    };
    for set in [[0.0, 0.0], [1.0, -0.25], [4.0, 1.0], [0.0, 3.0]] {
        strengths.set(&set);
        let ours = linear(input.clone(), &layer, After::default());
        let plain = plain::linear::<Burn>(input.clone(), &layer, After::default());
        if set == [0.0, 0.0] {
            assert_eq!(plain.to_data(), without.to_data(), "nothing acts");
        } else {
            assert_ne!(plain.to_data(), without.to_data());
        }
        assert_close(ours, plain);
    }
}

#[test]
fn convolutions_of_pixels_are_burns() {
    let mut numbers = Numbers(3);
    for second in [None, Some(7)] {
        let layer = numbers.layer(6 + second.unwrap_or(0), 10);
        let input = numbers.tensor([2, 3, 5, 6]);
        let second = second.map(|channels| numbers.tensor([2, 3, 5, channels]));
        let after = After::residual(numbers.tensor([2, 3, 5, 10]));
        assert_close(
            pixelwise(input.clone(), second.clone(), &layer, after.clone()),
            plain::pixelwise::<Burn>(input, second, &layer, after),
        );
    }
}

#[test]
fn convolutions_are_burns() {
    let mut numbers = Numbers(4);
    for [batch, inputs, outputs] in [[1, 1, 1], [2, 3, 10], [1, 4, 4], [2, 20, 24], [1, 64, 16]] {
        for [height, width] in [[6, 6], [1, 1], [5, 7], [16, 16]] {
            let size = [height, width];
            for sampling in [
                Sampling::Same,
                Sampling::Halved,
                Sampling::HalvedAtEnd,
                Sampling::Doubled([2 * height, 2 * width]),
                Sampling::Doubled([2 * height - 1, 2 * width]),
                Sampling::Doubled([2 * height, 2 * width - 1]),
            ] {
                if sampling == Sampling::HalvedAtEnd && size == [1, 1] {
                    continue;
                }
                let mut layer = numbers.layer(9 * inputs, outputs);
                layer.branch = (batch == 2).then(|| numbers.branch(9 * inputs, outputs, 4));
                let input = numbers.tensor([batch, height, width, inputs]);
                let [height, width] = sampling.output_size(size);
                let after = After {
                    embedding: Some(numbers.embedding(batch, outputs)),
                    activation: Activation::Silu,
                    residual: Some(numbers.tensor([batch, height, width, outputs])),
                };
                assert_close(
                    convolution(input.clone(), &layer, sampling, after.clone()),
                    plain::convolution::<Burn>(input, &layer, sampling, after),
                );
            }
        }
    }
}

#[test]
fn attention_is_burns() {
    let mut numbers = Numbers(5);
    for [batch, tokens, keys, count, size] in [
        [1, 1, 1, 1, 1],
        [2, 37, 9, 3, 6],
        [1, 64, 77, 2, 64],
        [2, 33, 33, 2, 10],
    ] {
        let columns = count * size;
        for is_causal in [false, true] {
            let heads = Heads {
                count,
                size,
                is_causal,
            };
            let all = numbers.tensor([batch, tokens, 3 * columns]) * 3.0;
            assert_close(
                attention(all.clone(), None, heads),
                plain::attention::<Burn>(all, None, heads),
            );
        }
        let heads = Heads {
            count,
            size,
            is_causal: false,
        };
        let queries = numbers.tensor([batch, tokens, columns]) * 3.0;
        let others = numbers.tensor([batch, keys, 2 * columns]) * 3.0;
        assert_close(
            attention(queries.clone(), Some(others.clone()), heads),
            plain::attention::<Burn>(queries, Some(others), heads),
        );
    }
}

#[test]
fn group_norms_are_burns() {
    let mut numbers = Numbers(6);
    for [batch, height, width, first, second, groups] in [
        [1, 1, 1, 2, 0, 1],
        [2, 3, 5, 9, 0, 3],
        [2, 4, 4, 10, 14, 4],
        [1, 16, 16, 64, 64, 32],
    ] {
        for activation in [Activation::Identity, Activation::Silu] {
            let norm = numbers.norm(first + second);
            let input = numbers.tensor([batch, height, width, first]) * 4.0 + 2.0;
            let second = (second > 0).then(|| numbers.tensor([batch, height, width, second]));
            assert_close(
                group_norm(input.clone(), second.clone(), &norm, groups, activation),
                plain::group_norm::<Burn>(input, second, &norm, groups, activation),
            );
        }
    }
}

#[test]
fn layer_norms_are_burns() {
    let mut numbers = Numbers(7);
    for [batch, tokens, size] in [[1, 1, 2], [2, 3, 13], [1, 16, 256]] {
        let norm = numbers.norm(size);
        let input = numbers.tensor([batch, tokens, size]) * 4.0 + 2.0;
        assert_close(
            layer_norm(input.clone(), &norm),
            Burn::layer_norm(input, &norm),
        );
    }
}

#[test]
fn a_packed_weight_keeps_its_values() {
    let values = Numbers(8).values(11 * 5);
    let packed = Packed::new(&values, 11, 5);
    assert_eq!(packed.unpacked(), values);
    assert_eq!(packed.outputs(), 11);
}
