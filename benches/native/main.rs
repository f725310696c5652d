//! The kernels on a graphics card, natively: `make bench-native`.
//!
//! SDXL's networks with synthetic weights of the real layout, made in place, over Vulkan, Metal or
//! DirectX 12. Buffers are never shared between tensors, as in the browser, so that the kernels are the
//! browser's. With `--plan` nothing is computed: only the launches are counted. With `--compare=FOLDER` a
//! whole pass is compared with diffusers', see [`full_size`]. With `--against-burn` the kernels take turns
//! with burn's own operations; with `--block=…` one block of SDXL's takes turns with another program.
//! `--software` has the kernels for adapters that compute on the CPU.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark ends where something is not as it should be, and prints what it finds"
)]

mod against_burn;
mod blocks;
mod full_size;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use burn::backend::wgpu::Wgpu;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use cubecl::MemoryScope;
use cubecl::dry_run::DryRun;
use firststep::kernels::{self, Activation, After, Counts, Heads, Layer, Matrix, Norm, Sampling};
use firststep::models::{
    AutoencoderConfig, AutoencoderKlDecoder, AutoencoderKlEncoder, Conditioning,
    UNet2DConditionConfig, UNet2DConditionModel, Weights, layout_of,
};
use firststep::weights::format::encoding::{Encoding, can_quantize};
use firststep::weights::format::order::Order;
use firststep::weights::format::tensor::StoredTensor;
use firststep::weights::manifest::Manifest;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/public/pairs/sdxl-dmd2.json");

/// Times of a measurement, of which the median counts.
const RUNS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let is_plan = has("--plan");
    let device = Device::wgpu_options().init().unwrap();
    println!("device: {device:?}");
    if has("--software") {
        kernels::set_software(true);
    }
    if has("--against-burn") {
        against_burn::compare(&device);
        return;
    }
    if let Some(block) = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix("--block="))
    {
        let [block, weights, activations] = block.split(',').collect::<Vec<_>>()[..] else {
            panic!("a block is named as in --block=transformer,q4,f16");
        };
        kernels::set_half(activations == "f16");
        blocks::serve(&device, block, weights);
        return;
    }
    let mut halves = vec![false, true];
    if !device.supports_dtype(FloatDType::F16) {
        println!("no f16 on this adapter");
        halves.pop();
    }
    // One precision alone.
    let is_asked = |is_half: bool| has(&format!("--{}", type_name(is_half)));
    halves.retain(|&is_half| is_asked(is_half) || !is_asked(!is_half));
    let value = |name: &str| {
        arguments
            .iter()
            .find_map(|argument| argument.strip_prefix(name))
    };
    if let Some(folder) = value("--compare=") {
        let forms: &[bool] = match (has("--software"), has("--shared")) {
            (true, false) => &[true],
            (false, true) => &[false],
            _ => &[true, false],
        };
        full_size::compare(&device, Path::new(folder), &halves, forms);
        return;
    }
    let sizes = match value("--size=") {
        Some(size) => vec![size.parse().unwrap()],
        None => vec![512, 1024],
    };
    if !is_plan && !has("--models") {
        for &is_half in &halves {
            kernels::set_half(is_half);
            single_kernels(&device, is_half);
        }
    }
    if !has("--kernels") {
        for &is_half in &halves {
            kernels::set_half(is_half);
            unet(&device, &sizes, is_half, is_plan);
            decoder(&device, &sizes, is_half, is_plan);
        }
    }
}

fn type_name(is_half: bool) -> &'static str {
    if is_half { "f16" } else { "f32" }
}

/// Numbers in about −1…1 without a pattern that would make the arithmetic easier.
fn numbers(count: usize) -> Vec<f32> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn tensor<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let values = numbers(shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A weight whose layer neither grows nor shrinks what goes through it.
fn stored(name: &str, shape: &[usize], encoding: Encoding) -> StoredTensor {
    let count: usize = shape.iter().product();
    let fan_in = (count / shape[0].max(1)).max(1) as f32;
    let scale = half::f16::from_f32(
        1.7 / fan_in.sqrt() / if encoding == Encoding::Q4 { 8.0 } else { 127.0 },
    );
    let length = encoding.byte_length(shape).unwrap();
    let bytes = match encoding {
        Encoding::Q8 | Encoding::Q4 => {
            let scales = count / 32 * 2;
            let mut bytes: Vec<u8> = (0..length - scales)
                .map(|index| (index as u32).wrapping_mul(0x9E37_79B1).to_le_bytes()[3])
                .collect();
            bytes.extend(scale.to_le_bytes().repeat(count / 32));
            bytes
        }
        _ => {
            let scale = if shape.len() == 1 {
                0.02
            } else {
                1.7 / fan_in.sqrt()
            };
            let base = if name.contains("norm") && name.ends_with("weight") {
                1.0
            } else {
                0.0
            };
            let values = numbers(count).into_iter().map(|value| base + value * scale);
            let values: Vec<f32> = values.collect();
            return StoredTensor::encode(name, shape, &values, encoding, 0.0).unwrap();
        }
    };
    StoredTensor::new(
        name.into(),
        encoding,
        Order::of(encoding, shape),
        shape.to_vec(),
        bytes,
    )
    .unwrap()
}

/// A component's weights: matrices in 4 bits, convolutions in 8, as the pairs of the page have them.
fn weights(name: &str, config: &serde_json::Value, device: &Device, is_quantized: bool) -> Weights {
    let layout = layout_of(config).unwrap();
    let mut weights = Weights::new(name, device, 0);
    for (tensor, shape) in layout.iter() {
        if AutoencoderKlEncoder::owns(tensor) {
            continue;
        }
        let count: usize = shape.iter().product();
        let encoding = match shape.len() {
            2 if is_quantized && can_quantize(shape) && count >= 32 * 1024 => Encoding::Q4,
            4 if is_quantized && can_quantize(shape) && count >= 32 * 1024 => Encoding::Q8,
            2 | 4 => Encoding::F16,
            _ => Encoding::F32,
        };
        weights.insert(stored(tensor, shape, encoding)).unwrap();
    }
    weights
}

fn wait<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// Seconds of the median run, after one that compiles.
fn median(mut run: impl FnMut()) -> f64 {
    run();
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

fn counted(label: &str, counts: &Counts, seconds: Option<f64>) {
    let launches: u64 = counts.launches.values().sum();
    let time = seconds.map_or_else(
        || "not run".to_owned(),
        |seconds| format!("{:.3} s", seconds),
    );
    println!(
        "{label}: {time}, {launches} launches of kernels, {:.2} GB bound, largest binding {:.1} MiB",
        counts.bytes_bound as f64 / 1e9,
        counts.largest_binding as f64 / f64::from(1u32 << 20)
    );
    for (kernel, count) in &counts.launches {
        println!("    {kernel}: {count}");
    }
}

/// Prints the device's memory: what tensors take, and what is held for them. The latter only grows during
/// a pass, so that it is the pass's peak. A plan holds what the pass would, without taking it.
fn memory(when: &str, device: &Device) {
    let one = Tensor::<1>::zeros([1], device);
    let client = one.try_into_primitive::<Wgpu>().unwrap().client;
    let usage = client.memory_report(MemoryScope::Device).usage();
    println!(
        "    memory {when}: {:.3} GB in use, {:.3} GB held",
        usage.bytes_in_use as f64 / 1e9,
        usage.bytes_reserved as f64 / 1e9
    );
}

/// The pair whose networks are measured.
fn manifest() -> Manifest {
    Manifest::parse(&std::fs::read_to_string(MANIFEST).unwrap()).unwrap()
}

fn unet(device: &Device, sizes: &[usize], is_half: bool, is_plan: bool) {
    let manifest = manifest();
    let config = &manifest.components.unet.config;
    let weights = weights("unet", config, device, true);
    let parsed = UNet2DConditionConfig::from_json(config).unwrap();
    let unet = UNet2DConditionModel::load(parsed, weights).unwrap();
    for &size in sizes {
        for batch in [1, 2, 4] {
            device.memory_cleanup();
            let _plan = is_plan.then(DryRun::new);
            let conditioning = Conditioning {
                context: tensor([batch, 77, 2048], device),
                pooled: tensor([batch, 1280], device),
                time_ids: vec![[1024.0, 1024.0, 0.0, 0.0, 1024.0, 1024.0]; batch],
                guidance: None,
            };
            let conditioning = unet.prepare(&conditioning);
            let sample = tensor([batch, 4, size / 8, size / 8], device);
            let label = format!(
                "UNet pass, {size} × {size}, batch {batch}, {}",
                type_name(is_half)
            );
            kernels::take_counts();
            if is_plan {
                drop(unet.forward(sample, 999.0, &conditioning));
                counted(&label, &kernels::take_counts(), None);
            } else {
                let first = wait(unet.forward(sample.clone(), 999.0, &conditioning));
                assert!(first.iter().all(|value| value.is_finite()));
                kernels::take_counts();
                let start = Instant::now();
                wait(unet.forward(sample, 999.0, &conditioning));
                let seconds = start.elapsed().as_secs_f64();
                counted(&label, &kernels::take_counts(), Some(seconds));
            }
            memory("after it", device);
        }
    }
    device.memory_cleanup();
}

fn decoder(device: &Device, sizes: &[usize], is_half: bool, is_plan: bool) {
    let manifest = manifest();
    let config = &manifest.components.vae.config;
    let weights = weights("vae", config, device, false);
    let config = AutoencoderConfig::from_json(config).unwrap();
    let decoder = AutoencoderKlDecoder::load(config, weights).unwrap();
    for &size in sizes {
        let _plan = is_plan.then(DryRun::new);
        let latent = tensor([1, 4, size / 8, size / 8], device);
        kernels::take_counts();
        let start = Instant::now();
        let decoded = decoder.decode(latent, 128 << 20);
        if !is_plan {
            wait(decoded);
        }
        let seconds = (!is_plan).then(|| start.elapsed().as_secs_f64());
        counted(
            &format!("VAE decode, {size} × {size}, {}", type_name(is_half)),
            &kernels::take_counts(),
            seconds,
        );
    }
    device.memory_cleanup();
}

/// The kernels of the most work, each by itself: time, and operations in a second.
fn single_kernels(device: &Device, is_half: bool) {
    let layer = |shape: &[usize], encoding| Layer {
        weight: Matrix::held(Arc::new(stored("weight", shape, encoding)), device).unwrap(),
        bias: None,
        branch: None,
    };
    let report = |label: &str, operations: f64, seconds: f64| {
        println!(
            "{label}, {}: {:.1} ms, {:.2} TFLOP/s",
            type_name(is_half),
            seconds * 1e3,
            operations / seconds / 1e12
        );
    };
    for encoding in [Encoding::F16, Encoding::Q4] {
        let input = kernels::to_activations(tensor([1, 1024, 1280], device));
        let weight = layer(&[1280, 1280], encoding);
        let seconds = median(|| {
            let output = kernels::linear(input.clone(), &weight, After::default());
            wait(kernels::to_f32(output.narrow(1, 0, 1)));
        });
        report(
            &format!("matmul 1024 × 1280 × 1280, {encoding}"),
            2.0 * 1024.0 * 1280.0 * 1280.0,
            seconds,
        );
    }
    for encoding in [Encoding::F16, Encoding::Q8] {
        let input = kernels::to_activations(tensor([1, 128, 128, 320], device));
        let weight = layer(&[320, 320, 3, 3], encoding);
        let seconds = median(|| {
            let output =
                kernels::convolution(input.clone(), &weight, Sampling::Same, After::default());
            wait(kernels::to_f32(output.narrow(1, 0, 1).narrow(2, 0, 1)));
        });
        report(
            &format!("convolution 320 → 320 at 128 × 128, {encoding}"),
            2.0 * 128.0 * 128.0 * 320.0 * 320.0 * 9.0,
            seconds,
        );
    }
    let queries = kernels::to_activations(tensor([1, 4096, 3 * 640], device));
    let heads = Heads {
        count: 10,
        size: 64,
        is_causal: false,
    };
    let seconds = median(|| {
        let output = kernels::attention(queries.clone(), None, heads);
        wait(kernels::to_f32(output.narrow(1, 0, 1)));
    });
    report(
        "attention, 10 heads, 4096 tokens",
        4.0 * 10.0 * 4096.0 * 4096.0 * 64.0,
        seconds,
    );
    let input = kernels::to_activations(tensor([1, 128, 128, 320], device));
    let norm = Norm {
        weight: tensor([320], device),
        bias: tensor([320], device),
        epsilon: 1e-5,
    };
    let seconds = median(|| {
        let output = kernels::group_norm(input.clone(), None, &norm, 32, Activation::Silu);
        wait(kernels::to_f32(output.narrow(1, 0, 1).narrow(2, 0, 1)));
    });
    report(
        "group norm and SiLU, 320 at 128 × 128",
        10.0 * 128.0 * 128.0 * 320.0,
        seconds,
    );
}
