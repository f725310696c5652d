//! Every operation as torch computes it: the cases that `tools/reference/operations.py` has written, computed
//! with the operations of `kernels` on some device, and how far the result is from torch's.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
#[cfg(target_family = "wasm")]
use firststep::kernels::Form;
use firststep::kernels::{self, Activation, After, Embedding, Heads, Layer, Norm, Sampling};
use firststep::models::Weights;
use firststep::weights::format::encoding::Encoding;
use firststep::weights::format::safetensors;
use firststep::weights::format::tensor::StoredTensor;
use serde::Deserialize;

use crate::numbers::Numbers;

/// Root mean square of the errors relative to that of torch's values, with activations of `f32`. torch's
/// are sums in double precision, the kernels' in `f32`.
pub const TOLERANCE: f64 = 1e-5;

/// The same with activations of `f16`, whose steps are 0.0005 of a value: they are of graphics cards alone.
#[cfg(feature = "gpu")]
pub const HALF_TOLERANCE: f64 = 2e-3;

/// Values of an output that are kept at places of their own.
const SAMPLES: usize = 96;
/// Runs of an output's values of which a sum is kept.
const SUMS: usize = 96;
/// What the low-rank branches are multiplied by.
const BRANCH_SCALE: f32 = 0.75;
/// What the norms add to a variance.
const EPSILON: f64 = 1e-5;

const CASES: &str = include_str!("values/cases.json");
const EXPECTED: &[u8] = include_bytes!("values/torch.safetensors");

/// All cases, with what is kept of torch's values.
pub struct Cases {
    pub cases: Vec<Case>,
    kept: HashMap<String, Vec<f32>>,
}

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    seed: u32,
    /// How the test on Dawn computes it: shaders are compiled slowly there.
    #[cfg(target_family = "wasm")]
    pub on_dawn: Vec<OnDawn>,
    #[serde(flatten)]
    operation: Operation,
}

/// A form and a precision of the kernels.
#[cfg(target_family = "wasm")]
#[derive(Clone, Copy, PartialEq, Deserialize)]
pub struct OnDawn {
    pub form: Form,
    pub is_half: bool,
}

#[derive(Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
enum Operation {
    Linear {
        input: [usize; 3],
        #[serde(default = "one")]
        parts: usize,
        #[serde(flatten)]
        layer: LayerCase,
        #[serde(flatten)]
        after: AfterCase,
    },
    Pixelwise {
        input: [usize; 4],
        second: usize,
        #[serde(flatten)]
        layer: LayerCase,
        #[serde(flatten)]
        after: AfterCase,
    },
    Convolution {
        input: [usize; 4],
        #[serde(with = "SamplingName")]
        sampling: Sampling,
        #[serde(flatten)]
        layer: LayerCase,
        #[serde(flatten)]
        after: AfterCase,
    },
    Attention {
        batch: usize,
        queries: usize,
        keys: Option<usize>,
        heads: usize,
        size: usize,
        is_causal: bool,
    },
    GroupNorm {
        input: [usize; 4],
        second: usize,
        groups: usize,
        #[serde(default)]
        mean: f32,
        #[serde(default, with = "ActivationName")]
        activation: Activation,
    },
    LayerNorm {
        input: [usize; 3],
        mean: f32,
    },
}

#[derive(Deserialize)]
struct LayerCase {
    outputs: usize,
    encoding: Encoding,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default)]
    rank: usize,
}

#[derive(Deserialize)]
struct AfterCase {
    /// The first column of the embedding's vectors.
    embedding: Option<usize>,
    #[serde(default, with = "ActivationName")]
    activation: Activation,
    #[serde(default)]
    residual: bool,
}

#[derive(Deserialize)]
#[serde(remote = "Activation", rename_all = "snake_case")]
enum ActivationName {
    Identity,
    Relu,
    Silu,
    Gelu,
    QuickGelu,
    Geglu,
}

#[derive(Deserialize)]
#[serde(remote = "Sampling", rename_all = "snake_case")]
enum SamplingName {
    Same,
    Halved,
    HalvedAtEnd,
    Doubled([usize; 2]),
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

/// What a case has computed.
pub struct Computed {
    /// All values of the output.
    pub values: Tensor<1>,
    /// What comes after the numbers of the case: where its samples are, and the signs of its sums.
    numbers: Numbers,
}

impl Cases {
    pub fn read() -> Result<Self, String> {
        let cases = serde_json::from_str(CASES).map_err(|error| error.to_string())?;
        let tensors = safetensors::read("torch.safetensors", EXPECTED);
        let kept = tensors
            .map_err(|error| error.to_string())?
            .into_iter()
            .map(|tensor| Ok((tensor.name.clone(), tensor.to_f32()?)))
            .collect::<Result<_, firststep::weights::format::tensor::TensorError>>();
        Ok(Self {
            cases,
            kept: kept.map_err(|error| error.to_string())?,
        })
    }

    /// How far values are from torch's: the larger one of what samples and sums say.
    pub fn error(&self, case: &Case, mut numbers: Numbers, values: &[f32]) -> Result<f64, String> {
        let kept = self.kept.get(&case.name).map(Vec::as_slice);
        let Some(([mean], kept)) = kept.and_then(|kept| kept.split_first_chunk()) else {
            return Err(format!("nothing is kept of {}", case.name));
        };
        let mean_square = f64::from(*mean).powi(2);
        let (samples, sums) = kept.split_at(SAMPLES.min(kept.len()));
        let mut of_samples = 0.0;
        for &expected in samples {
            let found = values.get(numbers.word() as usize % values.len().max(1));
            of_samples += square_of_difference(f64::from(*found.ok_or("no values")?), expected);
        }
        let run = values.len().div_ceil(SUMS).max(1);
        let mut runs = values.chunks(run);
        let mut of_sums = 0.0;
        for &expected in sums {
            let run = runs.next().unwrap_or_default().iter();
            let sum: f64 = run
                .map(|&value| match numbers.word() >> 31 {
                    0 => f64::from(value),
                    _ => -f64::from(value),
                })
                .sum();
            of_sums += square_of_difference(sum, expected);
        }
        if runs.next().is_some() {
            return Err(format!("{} has too many values", case.name));
        }
        let of_samples = of_samples / (mean_square * SAMPLES as f64);
        // With signs that are drawn, errors add up as their squares do.
        let of_sums = of_sums / (mean_square * values.len() as f64);
        // What is not a number among the samples is none in the sums either.
        let larger = if of_samples > of_sums {
            of_samples
        } else {
            of_sums
        };
        Ok(larger.sqrt())
    }
}

fn square_of_difference(found: f64, expected: f32) -> f64 {
    (found - f64::from(expected)).powi(2)
}

impl Case {
    /// Computes the case on a device.
    pub fn compute(&self, device: &Device) -> Result<Computed, String> {
        let mut draw = Draw {
            numbers: Numbers::new(self.seed),
            device,
        };
        let values = self.operation.compute(&mut draw)?;
        Ok(Computed {
            values,
            numbers: draw.numbers,
        })
    }
}

impl Computed {
    pub fn into_parts(self) -> (Tensor<1>, Numbers) {
        (self.values, self.numbers)
    }
}

impl Operation {
    fn compute(&self, draw: &mut Draw) -> Result<Tensor<1>, String> {
        Ok(match self {
            Operation::Linear {
                input,
                parts,
                layer,
                after,
            } => {
                let [batch, tokens, columns] = *input;
                let x = draw.input(*input);
                let layers = (0..*parts)
                    .map(|_| layer.draw(draw, &[layer.outputs, columns], after.activation))
                    .collect::<Result<Vec<_>, _>>()?;
                let after = after.draw(draw, [batch, tokens, layer.outputs * parts])?;
                // As the models do with queries, keys and values: what can't be joined is computed apart.
                match Layer::join(layers) {
                    Ok(layer) => flat(kernels::linear(x, &layer, after)),
                    Err(layers) => match layers.as_slice() {
                        [layer] => flat(kernels::linear(x, layer, after)),
                        layers => {
                            let outputs = layers
                                .iter()
                                .map(|layer| kernels::linear(x.clone(), layer, After::default()))
                                .collect();
                            flat(Tensor::cat(outputs, 2))
                        }
                    },
                }
            }
            Operation::Pixelwise {
                input,
                second,
                layer,
                after,
            } => {
                let [batch, height, width, channels] = *input;
                let x = draw.input(*input);
                let other = (*second > 0).then(|| draw.input([batch, height, width, *second]));
                let shape = [layer.outputs, channels + second, 1, 1];
                let own = layer.draw(draw, &shape, after.activation)?;
                let after = after.draw(draw, [batch, height, width, layer.outputs])?;
                flat(kernels::pixelwise(x, other, &own, after))
            }
            Operation::Convolution {
                input,
                sampling,
                layer,
                after,
            } => {
                let [batch, height, width, channels] = *input;
                let x = draw.input(*input);
                let shape = [layer.outputs, channels, 3, 3];
                let own = layer.draw(draw, &shape, after.activation)?;
                let [height, width] = sampling.output_size([height, width]);
                let after = after.draw(draw, [batch, height, width, layer.outputs])?;
                flat(kernels::convolution(x, &own, *sampling, after))
            }
            Operation::Attention {
                batch,
                queries,
                keys,
                heads,
                size,
                is_causal,
            } => {
                let columns = heads * size;
                let own = if keys.is_some() { columns } else { 3 * columns };
                let own = draw.input([*batch, *queries, own]);
                let others = keys.map(|keys| draw.input([*batch, keys, 2 * columns]));
                let heads = Heads {
                    count: *heads,
                    size: *size,
                    is_causal: *is_causal,
                };
                flat(kernels::attention(own, others, heads))
            }
            Operation::GroupNorm {
                input,
                second,
                groups,
                mean,
                activation,
            } => {
                let [batch, height, width, channels] = *input;
                let x = draw.input_around(*mean, *input);
                let other = (*second > 0).then(|| draw.input([batch, height, width, *second]));
                let norm = draw.norm(channels + second);
                flat(kernels::group_norm(x, other, &norm, *groups, *activation))
            }
            Operation::LayerNorm { input, mean } => {
                let [_, _, size] = *input;
                let x = draw.input_around(*mean, *input);
                flat(kernels::layer_norm(x, &draw.norm(size)))
            }
        })
    }
}

/// All values as `f32`.
fn flat<const D: usize>(output: Tensor<D>) -> Tensor<1> {
    let length: usize = output.dims().iter().product();
    kernels::to_f32(output).reshape([length])
}

/// Where a case's numbers come from, and the device that they are put on.
struct Draw<'a> {
    numbers: Numbers,
    device: &'a Device,
}

impl Draw<'_> {
    /// An input in the type of the device's activations.
    fn input<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        self.input_around(0.0, shape)
    }

    fn input_around<const D: usize>(&mut self, mean: f32, shape: [usize; D]) -> Tensor<D> {
        kernels::to_activations(self.numbers.coarse(shape, mean, self.device))
    }

    fn vector(&mut self, length: usize) -> Tensor<1> {
        let values = TensorData::new(self.numbers.fine(length), [length]);
        Tensor::from_data(values, self.device)
    }

    fn norm(&mut self, channels: usize) -> Norm {
        Norm {
            weight: self.vector(channels),
            bias: self.vector(channels),
            epsilon: EPSILON,
        }
    }

    /// A weight whose outputs are about as large as its inputs.
    fn stored(
        &mut self,
        name: &str,
        shape: &[usize],
        encoding: Encoding,
    ) -> Result<StoredTensor, String> {
        let count: usize = shape.iter().product();
        let fan_in: usize = shape.iter().skip(1).product();
        // A power of two: exact.
        let exponent = fan_in.next_power_of_two().trailing_zeros().div_ceil(2);
        let scale = 0.5f32.powi(exponent as i32);
        let values = self.numbers.fine(count);
        let values: Vec<f32> = values.into_iter().map(|value| value * scale).collect();
        StoredTensor::encode(name, shape, &values, encoding, 0.0).map_err(|error| error.to_string())
    }
}

impl LayerCase {
    /// The layer as a model takes it from the weights of a component that is held.
    fn draw(
        &self,
        draw: &mut Draw,
        shape: &[usize],
        activation: Activation,
    ) -> Result<Layer, String> {
        let mut weights = Weights::new("case", draw.device, 0);
        let weight = draw.stored("layer.weight", shape, self.encoding)?;
        weights.insert(weight).map_err(|error| error.to_string())?;
        let bias = self.bias.then(|| draw.vector(self.outputs));
        if self.rank > 0 {
            let mut down = shape.to_vec();
            let mut up = vec![1; shape.len()];
            if let ([down_rank, ..], [outputs, up_rank, ..]) = (&mut *down, &mut *up) {
                *down_rank = self.rank;
                (*outputs, *up_rank) = (self.outputs, self.rank);
            }
            let down = draw.stored("down", &down, Encoding::F16)?;
            let up = draw.stored("up", &up, Encoding::F16)?;
            weights
                .insert_branch("layer.weight", down, up, BRANCH_SCALE, None)
                .map_err(|error| error.to_string())?;
        }
        let layer = weights.take_layer("layer.weight", shape);
        let layer = Layer {
            bias,
            ..layer.map_err(|error| error.to_string())?
        };
        Ok(match activation {
            Activation::Geglu => layer.gated(),
            _ => layer,
        })
    }
}

impl AfterCase {
    /// What comes after an output of a layer that has this shape, before gates take half of it.
    fn draw<const D: usize>(
        &self,
        draw: &mut Draw,
        mut shape: [usize; D],
    ) -> Result<After<D>, String> {
        let (Some(&batch), Some(&columns)) = (shape.first(), shape.last()) else {
            return Err("an output has dimensions".to_owned());
        };
        let embedding = self.embedding.map(|first| Embedding {
            vectors: draw.input([batch, first + columns + 4]),
            first,
        });
        if let (Activation::Geglu, Some(columns)) = (self.activation, shape.last_mut()) {
            *columns /= 2;
        }
        Ok(After {
            embedding,
            activation: self.activation,
            residual: self.residual.then(|| draw.input(shape)),
        })
    }
}
