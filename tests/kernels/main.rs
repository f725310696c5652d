//! The kernels on a graphics card, natively: each against the plain operations on the CPU, with every
//! epilogue, odd sizes and several images. Run by `make test-native-gpu`, where there is a driver.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be, and says how far from it all else is"
)]

use std::sync::{Arc, Mutex, OnceLock};

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use firststep::kernels::{
    self, Activation, After, Embedding, Heads, Layer, LowRank, Matrix, Norm, Sampling,
};
use firststep::sampler::TorchGenerator;
use firststep::weights::format::encoding::Encoding;
use firststep::weights::format::tensor::StoredTensor;

/// Root mean square of the errors relative to that of the expected values, with activations of `f32`:
/// both sides sum in `f32`, in another order.
const TOLERANCE: f32 = 1e-5;

/// The same with activations of `f16`, whose steps are 0.0005 of a value.
const HALF_TOLERANCE: f32 = 2e-3;

fn card() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE
        .get_or_init(|| Device::wgpu_options().init().unwrap())
        .clone()
}

struct Random(TorchGenerator);

impl Random {
    fn values(&mut self, count: usize) -> Vec<f32> {
        self.0
            .randn(count.max(16))
            .into_iter()
            .take(count)
            .collect()
    }

    fn stored(&mut self, shape: &[usize], encoding: Encoding) -> StoredTensor {
        let count: usize = shape.iter().product();
        let fan_in = (count / shape[0]) as f32;
        let values: Vec<f32> = self
            .values(count)
            .into_iter()
            .map(|value| value / fan_in.sqrt())
            .collect();
        StoredTensor::encode("weight", shape, &values, encoding, 0.0).unwrap()
    }
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// Values for both devices.
struct Both<const D: usize> {
    values: Vec<f32>,
    shape: [usize; D],
}

impl<const D: usize> Both<D> {
    fn new(random: &mut Random, shape: [usize; D]) -> Self {
        Self {
            values: random.values(shape.iter().product()),
            shape,
        }
    }

    /// As parameters, which are `f32` everywhere.
    fn parameters(&self, device: &Device) -> Tensor<D> {
        tensor(&self.values, self.shape, device)
    }

    /// As activations.
    fn on(&self, device: &Device) -> Tensor<D> {
        kernels::to_activations(self.parameters(device))
    }
}

struct Weight {
    weight: StoredTensor,
    bias: Option<Both<1>>,
    branch: Option<(StoredTensor, StoredTensor)>,
}

impl Weight {
    fn new(
        random: &mut Random,
        shape: &[usize],
        encoding: Encoding,
        bias: bool,
        rank: usize,
    ) -> Self {
        let mut down = shape.to_vec();
        down[0] = rank;
        let mut up = vec![1; shape.len()];
        up[..2].copy_from_slice(&[shape[0], rank]);
        Self {
            weight: random.stored(shape, encoding),
            bias: bias.then(|| Both::new(random, [shape[0]])),
            branch: (rank > 0).then(|| {
                (
                    random.stored(&down, Encoding::F16),
                    random.stored(&up, Encoding::F16),
                )
            }),
        }
    }

    fn on(&self, device: &Device) -> Layer {
        let matrix =
            |stored: &StoredTensor| Matrix::held(Arc::new(stored.clone()), device).unwrap();
        Layer {
            weight: matrix(&self.weight),
            bias: self.bias.as_ref().map(|bias| bias.parameters(device)),
            branch: self.branch.as_ref().map(|(down, up)| {
                Box::new(LowRank {
                    down: matrix(down),
                    up: matrix(up),
                    scale: 0.7,
                })
            }),
        }
    }
}

fn assert_same<const D: usize>(name: &str, run: impl Fn(&Device) -> Tensor<D>) {
    let expected: Vec<f32> = run(&Device::flex()).into_data().try_into_vec().unwrap();
    // One kind of adapter at a time.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    for is_software in [false, true] {
        kernels::set_software(is_software);
        compare(name, &expected, run(&card()), TOLERANCE);
    }
    if card().supports_dtype(FloatDType::F16) {
        kernels::set_software(false);
        kernels::set_half(true);
        let half = run(&card());
        kernels::set_half(false);
        compare(&format!("{name}, f16"), &expected, half, HALF_TOLERANCE);
    }
}

fn compare<const D: usize>(name: &str, expected: &[f32], got: Tensor<D>, tolerance: f32) {
    let got: Vec<f32> = kernels::to_f32(got).into_data().try_into_vec().unwrap();
    assert_eq!(got.len(), expected.len(), "{name}");
    let square: f32 = expected.iter().map(|value| value * value).sum();
    let error: f32 = got
        .iter()
        .zip(expected)
        .map(|(got, expected)| (got - expected).powi(2))
        .sum();
    let error = (error / square).sqrt();
    println!("{name}: {error:.1e}");
    assert!(error <= tolerance, "{name}: {error}");
}

fn random(seed: u64) -> Random {
    Random(TorchGenerator::new(seed))
}

#[test]
fn products_in_every_encoding() {
    let random = &mut random(1);
    for encoding in [Encoding::F32, Encoding::F16, Encoding::Q8, Encoding::Q4] {
        for [batch, tokens, input, output] in [[1, 70, 64, 100], [3, 16, 96, 64], [1, 1, 320, 1280]]
        {
            let x = Both::new(random, [batch, tokens, input]);
            let weight = Weight::new(random, &[output, input], encoding, true, 0);
            assert_same(
                &format!("{encoding} {batch} {tokens} {input} {output}"),
                |device| kernels::linear(x.on(device), &weight.on(device), After::default()),
            );
        }
    }
}

#[test]
fn products_with_everything_after_them() {
    let random = &mut random(2);
    let shape = [2, 40, 128];
    let x = Both::new(random, shape);
    for activation in [
        Activation::Identity,
        Activation::Relu,
        Activation::Silu,
        Activation::Gelu,
        Activation::QuickGelu,
    ] {
        for rank in [0, 8, 36] {
            let weight = Weight::new(random, &[192, 128], Encoding::Q8, rank != 8, rank);
            let residual = Both::new(random, [2, 40, 192]);
            let embedding = Both::new(random, [2, 200]);
            assert_same(&format!("{activation:?}, rank {rank}"), |device| {
                kernels::linear(
                    x.on(device),
                    &weight.on(device),
                    After {
                        embedding: Some(Embedding {
                            vectors: embedding.on(device),
                            first: 4,
                        }),
                        activation,
                        residual: Some(residual.on(device)),
                    },
                )
            });
        }
    }
    for rank in [0, 4] {
        let weight = Weight::new(random, &[256, 128], Encoding::Q4, true, rank);
        assert_same(&format!("geglu, rank {rank}"), |device| {
            kernels::linear(
                x.on(device),
                &weight.on(device).gated(),
                After::activation(Activation::Geglu),
            )
        });
    }
}

#[test]
fn layers_of_one_input_are_one() {
    let random = &mut random(3);
    let x = Both::new(random, [1, 33, 64]);
    for encoding in [Encoding::F32, Encoding::F16, Encoding::Q8, Encoding::Q4] {
        let weights: Vec<_> = (0..3)
            .map(|_| Weight::new(random, &[64, 64], encoding, true, 0))
            .collect();
        assert_same(&format!("{encoding} joined"), |device| {
            let layers: Vec<_> = weights.iter().map(|weight| weight.on(device)).collect();
            match Layer::join(layers) {
                Ok(layer) => kernels::linear(x.on(device), &layer, After::default()),
                // On the CPU a held weight is expanded at its use.
                Err(layers) => Tensor::cat(
                    layers
                        .iter()
                        .map(|layer| kernels::linear(x.on(device), layer, After::default()))
                        .collect(),
                    2,
                ),
            }
        });
    }
}

#[test]
fn convolutions_of_every_sampling() {
    let random = &mut random(4);
    for (encoding, channels, outputs, rank) in [
        (Encoding::F32, 32, 64, 0),
        (Encoding::F16, 48, 36, 0),
        (Encoding::Q8, 64, 128, 0),
        (Encoding::Q4, 32, 32, 4),
        (Encoding::F32, 4, 64, 0),
        (Encoding::F32, 32, 3, 0),
    ] {
        for sampling in [
            Sampling::Same,
            Sampling::Halved,
            Sampling::HalvedAtEnd,
            Sampling::Doubled([17, 13]),
        ] {
            let x = Both::new(random, [2, 9, 7, channels]);
            let weight = Weight::new(random, &[outputs, channels, 3, 3], encoding, true, rank);
            let [height, width] = sampling.output_size([9, 7]);
            let residual = Both::new(random, [2, height, width, outputs]);
            let embedding = Both::new(random, [2, outputs + 8]);
            assert_same(
                &format!("{encoding} {channels} {outputs} {sampling:?}"),
                |device| {
                    let after = if outputs == 3 || channels == 4 {
                        After::activation(Activation::Relu)
                    } else {
                        After {
                            embedding: Some(Embedding {
                                vectors: embedding.on(device),
                                first: 8,
                            }),
                            activation: Activation::Silu,
                            residual: Some(residual.on(device)),
                        }
                    };
                    kernels::convolution(x.on(device), &weight.on(device), sampling, after)
                },
            );
        }
    }
}

#[test]
fn single_pixels_of_two_maps() {
    let random = &mut random(5);
    let first = Both::new(random, [2, 5, 6, 64]);
    let second = Both::new(random, [2, 5, 6, 96]);
    let weight = Weight::new(random, &[128, 160, 1, 1], Encoding::Q8, true, 0);
    assert_same("two maps", |device| {
        kernels::pixelwise(
            first.on(device),
            Some(second.on(device)),
            &weight.on(device),
            After::default(),
        )
    });
    let weight = Weight::new(random, &[4, 4, 1, 1], Encoding::F32, true, 0);
    let small = Both::new(random, [1, 5, 6, 4]);
    assert_same("four channels", |device| {
        kernels::pixelwise(small.on(device), None, &weight.on(device), After::default())
    });
}

#[test]
fn shapes_that_no_kernel_takes_are_computed_all_the_same() {
    let random = &mut random(8);
    let x = Both::new(random, [2, 10, 64]);
    let weight = Weight::new(random, &[72, 64], Encoding::Q8, true, 0);
    assert_same("gates of 36 values", |device| {
        let layer = weight.on(device).gated();
        kernels::linear(x.on(device), &layer, After::activation(Activation::Geglu))
    });
    let weight = Weight::new(random, &[30, 64], Encoding::F16, true, 0);
    let residual = Both::new(random, [2, 10, 30]);
    assert_same("30 outputs", |device| {
        let after = After::residual(residual.on(device));
        kernels::linear(x.on(device), &weight.on(device), after)
    });
    let first = Both::new(random, [1, 4, 5, 40]);
    let second = Both::new(random, [1, 4, 5, 24]);
    let weight = Weight::new(random, &[64, 64, 1, 1], Encoding::Q4, true, 0);
    assert_same("two maps that share a block", |device| {
        let second = Some(second.on(device));
        kernels::pixelwise(
            first.on(device),
            second,
            &weight.on(device),
            After::default(),
        )
    });
    let odd = Both::new(random, [1, 4, 5, 6]);
    let (scale, bias) = (Both::new(random, [6]), Both::new(random, [6]));
    assert_same("group norm of six channels", |device| {
        let norm = Norm {
            weight: scale.parameters(device),
            bias: bias.parameters(device),
            epsilon: 1e-5,
        };
        kernels::group_norm(odd.on(device), None, &norm, 2, Activation::Silu)
    });
}

#[test]
fn attention_to_itself_to_a_context_and_to_the_past() {
    let random = &mut random(6);
    for (count, size) in [(2, 64), (1, 96), (4, 32), (3, 16), (1, 512)] {
        // Texts alone are causal, and their heads small.
        for is_causal in [false, size < 128] {
            let heads = Heads {
                count,
                size,
                is_causal,
            };
            let columns = count * size;
            let queries = Both::new(random, [2, 77, 3 * columns]);
            assert_same(&format!("{heads:?}"), |device| {
                kernels::attention(queries.on(device), None, heads)
            });
        }
        let heads = Heads {
            count,
            size,
            is_causal: false,
        };
        let columns = count * size;
        let queries = Both::new(random, [2, 40, columns]);
        let others = Both::new(random, [2, 77, 2 * columns]);
        assert_same(&format!("context, {heads:?}"), |device| {
            kernels::attention(queries.on(device), Some(others.on(device)), heads)
        });
    }
}

#[test]
fn norms() {
    let random = &mut random(7);
    for (first, second, groups, size) in [
        (64, 0, 32, 16),
        (48, 0, 16, 9),
        (64, 32, 32, 8),
        (320, 640, 32, 8),
    ] {
        let channels = first + second;
        let one = Both::new(random, [2, size, size, first]);
        let other = Both::new(random, [2, size, size, second.max(1)]);
        let (weight, bias) = (Both::new(random, [channels]), Both::new(random, [channels]));
        assert_same(&format!("group norm {first} {second}"), |device| {
            let norm = Norm {
                weight: weight.parameters(device),
                bias: bias.parameters(device),
                epsilon: 1e-5,
            };
            // Away from zero; in f16 values far from it have lost their deviations before.
            let second = (second > 0).then(|| other.on(device) * 0.5 + 1.0);
            kernels::group_norm(
                one.on(device) * 0.5 + 1.0,
                second,
                &norm,
                groups,
                Activation::Silu,
            )
        });
    }
    for size in [64, 320, 1280] {
        let x = Both::new(random, [2, 13, size]);
        let (weight, bias) = (Both::new(random, [size]), Both::new(random, [size]));
        assert_same(&format!("layer norm {size}"), |device| {
            let norm = Norm {
                weight: weight.parameters(device),
                bias: bias.parameters(device),
                epsilon: 1e-5,
            };
            kernels::layer_norm(x.on(device) + 2.0, &norm)
        });
    }
}
