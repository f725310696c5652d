//! One pass of SDXL's whole UNet against diffusers': the same packed weights, the same inputs.
//!
//! tools/reference/full_size.py writes both, and the output to compare with. Each combination of kernels
//! and precision is run twice: as a plan, which only counts, and in earnest. What both count has to be
//! the same, so that a plan of a size that nobody wants to wait for can be believed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use cubecl::dry_run::DryRun;
use firststep::kernels;
use firststep::models::{Conditioning, UNet2DConditionConfig, UNet2DConditionModel, Weights};
use firststep::weights::format::safetensors::{self, Header};
use firststep::weights::format::tensor::StoredTensor;

use super::{counted, manifest, memory, type_name};

/// The largest relative error, by the root mean square, in single precision.
const LIMIT: f64 = 1e-3;
/// How far a pass with activations in `f16` may be from diffusers' in `f32`, relative to how far diffusers'
/// own pass in `f16` is: eleven bits cost that much over the UNet's hundreds of layers.
const HALF_LIMIT: f64 = 1.2;

/// Compares with what is in a folder, in some forms of the kernels: whether it is that for adapters that
/// compute on the CPU.
///
/// # Panics
/// An output is too far from diffusers', or a plan counted something else than the run.
pub fn compare(device: &Device, folder: &Path, halves: &[bool], forms: &[bool]) {
    let manifest = manifest();
    let config = UNet2DConditionConfig::from_json(&manifest.components.unet.config).unwrap();
    let path = folder.join("pass.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let pass: BTreeMap<String, StoredTensor> = safetensors::read("pass.safetensors", &bytes)
        .unwrap()
        .into_iter()
        .map(|tensor| (tensor.name.clone(), tensor))
        .collect();
    let values = |name: &str| pass[name].to_f32().unwrap();
    let expected = values("output");
    let half = Error::of(&values("half_output"), &expected);
    println!(
        "diffusers in half precision: relative error, root mean square {:.2e}",
        half.root_mean_square
    );

    let start = Instant::now();
    let weights = weights(&folder.join("unet.safetensors"), device);
    let unet = UNet2DConditionModel::load(config, weights).unwrap();
    // What the loading held beside the weights.
    device.memory_cleanup();
    device.sync().unwrap();
    println!("loaded: {:.1} s", start.elapsed().as_secs_f64());
    memory("with the weights alone", device);

    let mut is_near = true;
    for &is_half in halves {
        for &is_software in forms {
            kernels::set_half(is_half);
            kernels::set_software(is_software);
            let conditioning = unet.prepare(&Conditioning {
                context: tensor(&pass["context"], device),
                pooled: tensor(&pass["pooled"], device),
                time_ids: values("time_ids").as_chunks().0.to_vec(),
                guidance: None,
            });
            let sample: Tensor<4> = tensor(&pass["sample"], device);
            let timestep = values("timestep")[0];
            let label = format!(
                "UNet pass, latent {} × {}, {}, {}",
                pass["sample"].shape[2],
                pass["sample"].shape[3],
                type_name(is_half),
                if is_software {
                    "kernels in registers"
                } else {
                    "kernels with shared tiles"
                }
            );
            kernels::take_counts();
            let plan = DryRun::new();
            drop(unet.forward(sample.clone(), timestep, &conditioning));
            drop(plan);
            let planned = kernels::take_counts();

            let start = Instant::now();
            let output = unet.forward(sample, timestep, &conditioning);
            let output: Vec<f32> = output.into_data().try_into_vec().unwrap();
            let seconds = start.elapsed().as_secs_f64();
            let real = kernels::take_counts();
            assert_eq!(
                real, planned,
                "the plan counted something else than the run"
            );
            counted(&label, &real, Some(seconds));
            memory("after it", device);

            let limit = if is_half {
                HALF_LIMIT * half.root_mean_square
            } else {
                LIMIT
            };
            let error = Error::of(&output, &expected);
            println!(
                "    relative error: root mean square {:.2e} (at most {limit:.2e}), largest {:.2e} of the largest value",
                error.root_mean_square, error.largest
            );
            is_near &= error.root_mean_square <= limit;
            drop(conditioning);
            device.memory_cleanup();
        }
    }
    assert!(is_near, "an output is too far from diffusers'");
}

/// The weights of a file, one tensor at a time.
fn weights(path: &Path, device: &Device) -> Weights {
    let name = path.to_string_lossy();
    let mut file = BufReader::new(File::open(path).unwrap());
    let mut bytes = vec![0; 8];
    file.read_exact(&mut bytes).unwrap();
    let end = Header::end(&name, &bytes).unwrap().unwrap();
    bytes.resize(end as usize, 0);
    file.read_exact(&mut bytes[8..]).unwrap();
    let mut weights = Weights::new("unet", device, 0);
    for entry in Header::parse(&name, &bytes).unwrap().tensors {
        let mut bytes = vec![0; (entry.range.end - entry.range.start) as usize];
        file.read_exact(&mut bytes).unwrap();
        let tensor =
            StoredTensor::new(entry.name, entry.encoding, entry.order, entry.shape, bytes).unwrap();
        weights.insert(tensor).unwrap();
    }
    weights
}

fn tensor<const D: usize>(stored: &StoredTensor, device: &Device) -> Tensor<D> {
    let shape: [usize; D] = stored.shape.as_slice().try_into().unwrap();
    Tensor::from_data(TensorData::new(stored.to_f32().unwrap(), shape), device)
}

/// How far values are from those that they should be.
struct Error {
    /// Root mean square of the differences, relative to that of the values.
    root_mean_square: f64,
    /// The largest difference, relative to the largest value.
    largest: f64,
}

impl Error {
    fn of(values: &[f32], expected: &[f32]) -> Self {
        assert_eq!(values.len(), expected.len());
        let differences = || {
            let pairs = values.iter().zip(expected);
            pairs.map(|(&value, &expected)| f64::from(value) - f64::from(expected))
        };
        let expected = || expected.iter().map(|&value| f64::from(value));
        // A maximum passes over what is not a number; a sum doesn't.
        let largest = |value: f64, next: f64| value.max(next.abs());
        Self {
            root_mean_square: (differences().map(|value| value * value).sum::<f64>()
                / expected().map(|value| value * value).sum::<f64>())
            .sqrt(),
            largest: differences().fold(0.0, largest) / expected().fold(0.0, largest),
        }
    }
}
