//! The pre-flight: the download, disk and GPU memory that a pair needs, and whether this browser has
//! them, before the first byte of a load.
//!
//! The numbers of GPU memory are computed from stored sizes and the models' configs, by the rules of
//! [`footprint`](crate::weights::footprint) that the engine applies too. Browsers don't tell how much
//! memory a GPU has, so the verdict rests on the adapter's limits.

use super::scheduling;
use crate::browser::adapter_limits::{AdapterLimits, NoAdapter};
use crate::protocol::loader::{Licence, Preflight, Storage, Verdict};
use crate::weights::footprint::{
    Activations, DecoderShape, LARGEST_MAP, UNetShape, activation_length, decoder_maps, numbers,
    texts_length, tiny_decoder_maps, unet_maps,
};
use crate::weights::format::encoding::Encoding;
use crate::weights::format::rules::target_encoding;
use crate::weights::manifest::{Component, Manifest, ManifestFile};

/// Stored bytes per downloaded byte of a file that is encoded on arrival and whose stored size is
/// unknown: most of its 16-bit values become 4 or 8 bits.
const STORED_SHARE: f64 = 0.4;
/// Bytes of a weight as `f32` per stored byte, where most are stored in 8 bits or fewer.
const EXPANDED_SHARE: u64 = 4;
/// What a stored byte of a quantized weight becomes where it is expanded, beside itself.
const MORE_EXPANDED: u64 = EXPANDED_SHARE - 1;
/// The manifests' format whose quantized convolutions have their values in another order than the kernels
/// read.
const FORMAT_IN_ROWS: u64 = 1;
/// The most bytes of weights on the device with which a pair also runs on the CPU at a bearable speed.
const CPU_LIMIT: u64 = 512 * 1024 * 1024;

/// What a pair is to draw.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    /// Width and height of the pictures in pixels.
    pub image_size: [u32; 2],
    /// Stored bytes of the adapters that are put beside the models.
    pub adapters: u64,
}

/// Compares a pair's needs with the browser. `missing` is the number of bytes
/// that are still to be fetched; `is_complete` takes a file's id. All licences are listed, also those that
/// have been accepted.
pub fn preflight(
    address: &str,
    manifest: &Manifest,
    drawn: Drawn,
    missing: u64,
    is_complete: impl Fn(&str) -> bool,
    adapter: Result<AdapterLimits, NoAdapter>,
    storage: Storage,
) -> Preflight {
    let files = manifest.files();
    let size: u64 = files.iter().map(|file| file.size).sum();
    let disk_needed = files
        .iter()
        .filter(|file| !is_complete(&file.id))
        .map(|file| stored(manifest, file))
        .sum();
    let from_disk: u64 = files
        .iter()
        .filter(|file| file.is_on_disk() && !is_complete(&file.id))
        .map(|file| file.size)
        .sum();
    let disk_free = match (storage.quota, storage.usage) {
        (Some(quota), Some(usage)) => Some((quota - usage).max(0.0) as u64),
        _ => None,
    };
    let has_f16 = adapter.as_ref().is_ok_and(|adapter| adapter.has_f16);
    let image_size = drawn.image_size;
    let memory = device_memory(manifest, image_size, has_f16);
    // Each of the two UNets has its own copy.
    let gpu_adapters = 2 * drawn.adapters;
    let mut reasons = Vec::new();
    if let Some(free) = disk_free.filter(|free| *free < disk_needed) {
        reasons.push(format!(
            "It takes {} of disk space, and this browser has {} left for the page: delete another \
             pair, or free space on the disk.",
            megabytes(disk_needed),
            megabytes(free)
        ));
    }
    if memory.weights > CPU_LIMIT {
        reasons.extend(device_reasons(adapter.as_ref(), memory.largest_buffer));
    }
    let verdict = match reasons.is_empty() {
        false => Verdict::WontFit(reasons),
        true if has_f16 || memory.weights <= CPU_LIMIT => Verdict::Fits,
        true => Verdict::FitsWithoutF16,
    };
    Preflight {
        address: address.into(),
        name: manifest.name.clone(),
        download: missing.saturating_sub(from_disk),
        from_disk,
        present: size.saturating_sub(missing),
        disk_needed,
        disk_free,
        image_size: image_size.into(),
        gpu_weights: memory.weights + gpu_adapters,
        gpu_adapters,
        gpu_activations: memory.peak() - memory.weights,
        largest_buffer: memory.largest_buffer,
        adapter: adapter.ok(),
        verdict,
        licences: manifest
            .licences_to_accept
            .iter()
            .map(|licence| Licence {
                name: licence.name.clone(),
                url: licence.url.clone(),
            })
            .collect(),
        notices: scheduling::notices(manifest),
        unproven: files
            .iter()
            .filter(|file| !file.is_proven() && !file.is_on_disk())
            .map(|file| file.path.clone())
            .collect(),
    }
}

fn device_reasons(adapter: Result<&AdapterLimits, &NoAdapter>, largest_buffer: u64) -> Vec<String> {
    let adapter = match adapter {
        Ok(adapter) => adapter,
        Err(insecure @ NoAdapter::Insecure) => {
            return vec![format!("Models of this size need WebGPU, and {insecure}.")];
        }
        Err(NoAdapter::Missing(_)) => {
            return vec![
                "This browser offers no WebGPU adapter, and models of this size need one: use a current \
                 Chrome or Edge on a machine with a graphics card."
                    .to_owned(),
            ];
        }
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

/// The memory of the device that a pair takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Bytes of the weights that stay as long as the pair.
    pub weights: u64,
    /// Bytes of the larger of the text encoders, where they leave the device after they have encoded a
    /// prompt: they come one after the other, and nothing is drawn meanwhile.
    pub text_encoder: u64,
    /// Bytes of weights that the base model has twice where its own are shared: those that it launches as
    /// one lie beside each other in its copy. They make room for the text encoders.
    pub joined: u64,
    /// The most bytes of activations that are live at once.
    pub activations: u64,
    /// Bytes of the largest map.
    pub largest_buffer: u64,
}

impl DeviceMemory {
    /// The most bytes that are there at once.
    pub fn peak(&self) -> u64 {
        self.weights + self.text_encoder.max(self.joined + self.activations)
    }
}

/// The memory that a pair takes for pictures of a size, width and height in pixels, of a graphics card which
/// computes with `f16` or doesn't. Weights are there in the form in which they are stored.
pub fn device_memory(manifest: &Manifest, image_size: [u32; 2], has_f16: bool) -> DeviceMemory {
    let components = &manifest.components;
    let stored = |component: &Component| -> u64 {
        let weights = component.files.iter().filter(|file| file.holds_tensors());
        weights.map(|file| stored(manifest, file)).sum()
    };
    let is_held = |stored: u64| stored * EXPANDED_SHARE > manifest.expanded_limit();
    // Whether a component's quantized convolutions are expanded: to quantize them anew in the order of the
    // kernels would cost precision, and is done where nothing else fits. What the loader quantizes has
    // that order.
    let expands_convolutions = |component: &Component| {
        manifest.format == FORMAT_IN_ROWS
            && component.encodings.is_empty()
            && !is_held(stored(component))
    };
    let unet = |component: &Component| {
        let convolutions = if expands_convolutions(component) {
            MORE_EXPANDED * UNetShape::of(&component.config).convolution_values()
        } else {
            0
        };
        stored(component) + convolutions
    };
    let base = stored(&components.unet);
    let mut joined = 0;
    let distilled = match components.unet_distilled.adapter_on {
        None => unet(&components.unet_distilled),
        // Beside a held base, the adapter's own weights.
        Some(_) if is_held(base) => {
            joined =
                UNetShape::of(&components.unet.config).joined_weights(&components.unet.encodings);
            stored(&components.unet_distilled)
        }
        // A small base is copied with the adapter merged into it, as `f32`.
        Some(_) => base * EXPANDED_SHARE,
    };
    // Nearly all of a decoder are convolutions.
    let share = if expands_convolutions(&components.vae) {
        EXPANDED_SHARE
    } else {
        1
    };
    let decoder = DecoderShape::of(&components.vae.config).share();
    let vae = share * (stored(&components.vae) as f64 * decoder) as u64;
    // TAESDXL's halves are alike.
    let tiny_decoder = components
        .tiny_decoder
        .as_ref()
        .map_or(0, |it| stored(it) / 2);
    let mut weights = unet(&components.unet) + distilled + vae + tiny_decoder;
    let mut text_encoder = 0;
    for component in [&components.text_encoder, &components.text_encoder_2] {
        let stored = stored(component);
        let own = stored.saturating_sub(token_table(component));
        if is_held(stored) {
            text_encoder = text_encoder.max(own);
        } else {
            weights += own;
        }
    }
    let activations = activations(manifest, image_size, has_f16);
    DeviceMemory {
        weights,
        text_encoder,
        joined,
        activations: activations.peak,
        largest_buffer: activations.largest_buffer,
    }
}

/// Stored bytes of a text encoder's table of tokens, which stays in the host's memory.
#[expect(
    clippy::indexing_slicing,
    reason = "to read what a Value lacks gives null"
)]
fn token_table(component: &Component) -> u64 {
    let name = "text_model.embeddings.token_embedding.weight";
    let [rows, width] = ["vocab_size", "hidden_size"]
        .map(|field| component.config[field].as_u64().unwrap_or(0) as usize);
    let shape = [rows, width];
    let (encoding, _) = target_encoding(&component.encodings, name, &shape, Encoding::F16);
    encoding.byte_length(&shape).unwrap_or(0) as u64
}

/// The largest of the UNet's and the decoders' activations: one of them computes at a time.
fn activations(manifest: &Manifest, image_size: [u32; 2], has_f16: bool) -> Activations {
    let components = &manifest.components;
    let [width, height] = image_size.map(|size| size as usize);
    let length = activation_length(has_f16);
    let vae = DecoderShape::of(&components.vae.config);
    let factor = 1 << vae.channels.len().saturating_sub(1);
    let latent = [height / factor, width / factor];
    let batch = if manifest.defaults.base_guidance > 1.0 {
        2
    } else {
        1
    };
    let mut parts = decoder_maps(&vae, latent, LARGEST_MAP, length);
    if let Some(decoder) = &components.tiny_decoder {
        let channels = numbers(decoder.config.get("decoder_block_out_channels"));
        parts.extend(tiny_decoder_maps(&channels, latent, LARGEST_MAP, length));
    }
    // The keys and values of the text stay while a picture is decoded.
    let unet = UNetShape::of(&components.unet.config);
    let texts = texts_length(&unet, batch, length);
    for part in &mut parts {
        part.bytes += texts;
    }
    parts.extend(unet_maps(&unet, latent, batch, length));
    Activations::of(&parts)
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}
