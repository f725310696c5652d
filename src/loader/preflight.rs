//! The pre-flight: the download, disk and GPU memory that a pair needs, and whether this browser has
//! them, before the first byte of a load.
//!
//! The numbers of GPU memory are estimates from stored sizes and the models' configs, by the rules of
//! [`footprint`](crate::weights::footprint) that the engine applies too. Browsers don't tell how much
//! memory a GPU has, so the verdict rests on the adapter's limits.

use crate::browser::adapter_limits::AdapterLimits;
use crate::protocol::loader::{Licence, Preflight, Storage, Verdict};
use crate::weights::footprint::{Activations, decoder_activations, unet_activations};
use crate::weights::manifest::{Component, Manifest, ManifestFile};

/// Stored bytes per downloaded byte of a file that is encoded on arrival and whose stored size is
/// unknown: most of its 16-bit values become 4 or 8 bits.
const STORED_SHARE: f64 = 0.4;
/// Bytes on the device per stored byte of a held weight: the scales of its blocks are twice as wide.
const HELD_SHARE: f64 = 1.11;
/// Bytes on the device per stored byte of a weight that is expanded from 8 bits.
const EXPANDED_SHARE: u64 = 4;
/// Bytes on the device per stored byte of an adapter, which is expanded from 16 bits.
const ADAPTER_SHARE: u64 = 2;
/// The most bytes of weights on the device with which a pair also runs on the CPU at a bearable speed.
const CPU_LIMIT: u64 = 512 * 1024 * 1024;

/// Compares a pair's needs with the browser. `missing` is the number of bytes that are still to be
/// fetched; `is_complete` takes a file's id.
pub fn preflight(
    address: &str,
    manifest: &Manifest,
    is_accepted: bool,
    missing: u64,
    is_complete: impl Fn(&str) -> bool,
    adapter: Option<AdapterLimits>,
    storage: Storage,
) -> Preflight {
    let files = manifest.files();
    let size: u64 = files.iter().map(|file| file.size).sum();
    let disk_needed = files
        .iter()
        .filter(|file| !is_complete(&file.id))
        .map(|file| stored(manifest, file))
        .sum();
    let disk_free = match (storage.quota, storage.usage) {
        (Some(quota), Some(usage)) => Some((quota - usage).max(0.0) as u64),
        _ => None,
    };
    let gpu_weights = manifest
        .components
        .iter()
        .map(|(_, component)| weights_on_device(manifest, component))
        .sum();
    let activations = activations(manifest);
    let mut reasons = Vec::new();
    if let Some(free) = disk_free.filter(|free| *free < disk_needed) {
        reasons.push(format!(
            "It takes {} of disk space, and this browser has {} left for the page: delete another \
             pair, or free space on the disk.",
            megabytes(disk_needed),
            megabytes(free)
        ));
    }
    if gpu_weights > CPU_LIMIT {
        reasons.extend(device_reasons(adapter.as_ref(), activations.largest_buffer));
    }
    let has_f16 = adapter.as_ref().is_some_and(|adapter| adapter.has_f16);
    let verdict = match reasons.is_empty() {
        false => Verdict::WontFit(reasons),
        true if has_f16 || gpu_weights <= CPU_LIMIT => Verdict::Fits,
        true => Verdict::FitsWithoutF16,
    };
    let licences = if is_accepted {
        Vec::new()
    } else {
        let licences = manifest.licences_to_accept.iter();
        licences
            .map(|licence| Licence {
                name: licence.name.clone(),
                url: licence.url.clone(),
            })
            .collect()
    };
    Preflight {
        address: address.into(),
        name: manifest.name.clone(),
        download: missing,
        present: size.saturating_sub(missing),
        disk_needed,
        disk_free,
        gpu_weights,
        gpu_activations: activations.peak,
        largest_buffer: activations.largest_buffer,
        adapter,
        verdict,
        licences,
        unproven: files
            .iter()
            .filter(|file| !file.is_proven())
            .map(|file| file.path.clone())
            .collect(),
    }
}

fn device_reasons(adapter: Option<&AdapterLimits>, largest_buffer: u64) -> Vec<String> {
    let Some(adapter) = adapter else {
        return vec![
            "This browser offers no WebGPU adapter, and models of this size need one: use a current \
             Chrome or Edge on a machine with a graphics card."
                .to_owned(),
        ];
    };
    let mut reasons = Vec::new();
    if adapter.is_software {
        reasons.push(format!(
            "The only WebGPU adapter ({}) computes on the processor, where a step of a model of this \
             size takes minutes.",
            adapter.description
        ));
    }
    let limit = adapter.buffer.min(adapter.binding);
    if largest_buffer > limit {
        reasons.push(format!(
            "An image of its size needs a buffer of {}, and the adapter ({}) allows {}.",
            megabytes(largest_buffer),
            adapter.description,
            megabytes(limit)
        ));
    }
    reasons
}

/// Bytes that a file takes in the store, estimated where the manifest doesn't say.
fn stored(manifest: &Manifest, file: &ManifestFile) -> u64 {
    file.stored_size.unwrap_or_else(|| {
        if manifest.rules_of(file).is_empty() {
            file.size
        } else {
            (file.size as f64 * STORED_SHARE) as u64
        }
    })
}

fn weights_on_device(manifest: &Manifest, component: &Component) -> u64 {
    let weights = component.files.iter().filter(|file| file.holds_tensors());
    let stored: u64 = weights.map(|file| stored(manifest, file)).sum();
    if component.adapter_on.is_some() {
        stored * ADAPTER_SHARE
    } else if stored * EXPANDED_SHARE > manifest.expanded_limit() {
        (stored as f64 * HELD_SHARE) as u64
    } else {
        stored * EXPANDED_SHARE
    }
}

/// The larger of the UNet's and the VAE decoder's activations: the two run one after the other.
#[expect(
    clippy::indexing_slicing,
    reason = "to read what a Value lacks gives null"
)]
fn activations(manifest: &Manifest) -> Activations {
    let [width, height] = manifest.image_size.map(|size| size as usize);
    let channels = |component: &Component| numbers(&component.config["block_out_channels"]);
    let (unet, vae) = (&manifest.components.unet, &manifest.components.vae);
    let vae_channels = channels(vae);
    let factor = 1 << vae_channels.len().saturating_sub(1);
    let attends: Vec<bool> = unet.config["down_block_types"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|kind| kind.as_str().is_some_and(|kind| kind.contains("CrossAttn")))
        .collect();
    let layers = unet.config["layers_per_block"].as_u64().unwrap_or(2) as usize;
    let batch = if manifest.defaults.base_guidance > 1.0 {
        2
    } else {
        1
    };
    let latent = [height / factor, width / factor];
    let unet = unet_activations(&channels(unet), &attends, layers, latent, batch);
    let decoder = decoder_activations(&vae_channels, [height, width]);
    Activations {
        largest_buffer: unet.largest_buffer.max(decoder.largest_buffer),
        peak: unet.peak.max(decoder.peak),
    }
}

fn numbers(list: &serde_json::Value) -> Vec<usize> {
    let numbers = list.as_array().into_iter().flatten();
    numbers
        .filter_map(|number| Some(number.as_u64()? as usize))
        .collect()
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}
