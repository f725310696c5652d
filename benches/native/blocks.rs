//! One block of SDXL's UNet, run once for each line of the standard input, so that another program can
//! take turns with it: `benches/blocks.mjs` does.

use std::io::{BufRead, Write, stdin, stdout};
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor, TensorData};
use firststep::kernels::{
    self, Activation, After, Embedding, Heads, Layer, Matrix, Norm, Sampling,
};
use firststep::weights::format::encoding::Encoding;

use super::{numbers, stored, tensor, wait};

const WIDTH: usize = 1280;
const TOKENS: usize = 1024;
const HEADS: Heads = Heads {
    count: 20,
    size: 64,
    is_causal: false,
};
const CONTEXT: [usize; 3] = [1, 77, 2048];
const CHANNELS: usize = 320;
const SIDE: usize = 64;
const GROUPS: usize = 32;

/// Says "ready" after a run that compiles; then the milliseconds of a run for each line that it reads.
/// What goes in is written to the device in each run, and what comes out is read back.
pub fn serve(device: &Device, block: &str, weights: &str) {
    let encoding = match weights {
        "q4" => Encoding::Q4,
        "q8" => Encoding::Q8,
        "f16" => Encoding::F16,
        "f32" => Encoding::F32,
        _ => panic!("weights are q4, q8, f16 or f32, not {weights}"),
    };
    let run: Box<dyn Fn() -> Vec<f32>> = match block {
        "transformer" => {
            let block = TransformerBlock::new(device, encoding);
            Box::new(move || block.run())
        }
        "resnet" => {
            let block = ResnetBlock::new(device, encoding);
            Box::new(move || block.run())
        }
        _ => panic!("a block is a transformer or a resnet, not a {block}"),
    };
    assert!(run().iter().all(|value| value.is_finite()));
    let say = |line: &str| {
        println!("{line}");
        stdout().flush().unwrap();
    };
    say("ready");
    for _ in stdin().lock().lines() {
        let start = Instant::now();
        run();
        say(&format!("{:.2}", start.elapsed().as_secs_f64() * 1e3));
    }
}

/// A tensor in the host's memory.
struct Input(TensorData, Device);

impl Input {
    fn new(shape: &[usize], device: &Device) -> Self {
        let values = numbers(shape.iter().product());
        Self(TensorData::new(values, shape.to_vec()), device.clone())
    }

    fn write<const D: usize>(&self) -> Tensor<D> {
        kernels::to_activations(Tensor::from_data(self.0.clone(), &self.1))
    }
}

fn layer(shape: &[usize], encoding: Encoding, has_bias: bool, device: &Device) -> Layer {
    Layer {
        weight: Matrix::held(Arc::new(stored("weight", shape, encoding)), device).unwrap(),
        bias: has_bias.then(|| tensor([shape[0]], device)),
        branch: None,
    }
}

fn norm(channels: usize, device: &Device) -> Norm {
    Norm {
        weight: tensor([channels], device),
        bias: tensor([channels], device),
        epsilon: 1e-5,
    }
}

/// As `models::transformer` has it, but with the text's keys and values computed in each run.
struct TransformerBlock {
    input: Input,
    context: Input,
    norms: [Norm; 3],
    projections: Layer,
    self_out: Layer,
    queries: Layer,
    keys_values: Layer,
    cross_out: Layer,
    feed_forward_in: Layer,
    feed_forward_out: Layer,
}

impl TransformerBlock {
    fn new(device: &Device, encoding: Encoding) -> Self {
        let layer = |output: usize, input: usize, has_bias| {
            layer(&[output, input], encoding, has_bias, device)
        };
        Self {
            input: Input::new(&[1, TOKENS, WIDTH], device),
            context: Input::new(&CONTEXT, device),
            norms: std::array::from_fn(|_| norm(WIDTH, device)),
            projections: layer(3 * WIDTH, WIDTH, false),
            self_out: layer(WIDTH, WIDTH, true),
            queries: layer(WIDTH, WIDTH, false),
            keys_values: layer(2 * WIDTH, CONTEXT[2], false),
            cross_out: layer(WIDTH, WIDTH, true),
            feed_forward_in: layer(8 * WIDTH, WIDTH, true).gated(),
            feed_forward_out: layer(WIDTH, 4 * WIDTH, true),
        }
    }

    fn run(&self) -> Vec<f32> {
        let input: Tensor<3> = self.input.write();
        let [norm1, norm2, norm3] = &self.norms;
        let all = kernels::linear(
            kernels::layer_norm(input.clone(), norm1),
            &self.projections,
            After::default(),
        );
        let attended = kernels::attention(all, None, HEADS);
        let hidden = kernels::linear(attended, &self.self_out, After::residual(input));
        let queries = kernels::linear(
            kernels::layer_norm(hidden.clone(), norm2),
            &self.queries,
            After::default(),
        );
        let others = kernels::linear(self.context.write(), &self.keys_values, After::default());
        let attended = kernels::attention(queries, Some(others), HEADS);
        let hidden = kernels::linear(attended, &self.cross_out, After::residual(hidden));
        let gated = kernels::linear(
            kernels::layer_norm(hidden.clone(), norm3),
            &self.feed_forward_in,
            After::activation(Activation::Geglu),
        );
        let output = kernels::linear(gated, &self.feed_forward_out, After::residual(hidden));
        wait(kernels::to_f32(output))
    }
}

/// As `models::resnet` has it.
struct ResnetBlock {
    input: Input,
    time: Input,
    norms: [Norm; 2],
    time_projection: Layer,
    convolutions: [Layer; 2],
}

impl ResnetBlock {
    fn new(device: &Device, encoding: Encoding) -> Self {
        let convolution = || layer(&[CHANNELS, CHANNELS, 3, 3], encoding, true, device);
        Self {
            input: Input::new(&[1, SIDE, SIDE, CHANNELS], device),
            time: Input::new(&[1, 1, WIDTH], device),
            norms: std::array::from_fn(|_| norm(CHANNELS, device)),
            time_projection: layer(&[CHANNELS, WIDTH], encoding, true, device),
            convolutions: [convolution(), convolution()],
        }
    }

    fn run(&self) -> Vec<f32> {
        let input: Tensor<4> = self.input.write();
        let time = silu(self.time.write::<3>());
        let time = kernels::linear(time, &self.time_projection, After::default());
        let embedding = Embedding {
            vectors: time.reshape([1, CHANNELS]),
            first: 0,
        };
        let [norm1, norm2] = &self.norms;
        let [first, second] = &self.convolutions;
        let normed = kernels::group_norm(input.clone(), None, norm1, GROUPS, Activation::Silu);
        let hidden = kernels::convolution(
            normed,
            first,
            Sampling::Same,
            After {
                embedding: Some(embedding),
                ..After::default()
            },
        );
        let normed = kernels::group_norm(hidden, None, norm2, GROUPS, Activation::Silu);
        let output = kernels::convolution(normed, second, Sampling::Same, After::residual(input));
        wait(kernels::to_f32(output))
    }
}
