//! Making a pack: which tensor is stored how, the files of a component, and the manifest.
//!
//! A pack is what a static host serves: per component one or more safetensors files with quantized
//! tensors, gzipped where that makes them smaller, and `manifest.json`. This module is pure; the
//! program `pack` reads and writes the folders.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

use flate2::Compression as GzipLevel;
use flate2::write::GzEncoder;
use serde::Deserialize;

use super::file::{Compression, GZIP_ENDING, ManifestFile};
use super::{BundledAdapter, Defaults, Licence};
use crate::weights::format::rules::{EncodingRule, target_encoding};
use crate::weights::format::safetensors::{self, SafetensorsError};
use crate::weights::format::sha256::sha256;
use crate::weights::format::tensor::{StoredTensor, TensorError};

/// The most bytes of tensors in one file of a pack, unless a single tensor is longer. A damaged or
/// interrupted file is fetched again as a whole, so that this is what a fault costs.
pub const MAXIMUM_SHARD_LENGTH: usize = 32 * 1024 * 1024;

/// The longest file that is gzipped: the page has to unpack it in memory.
const MAXIMUM_GZIP_LENGTH: usize = MAXIMUM_SHARD_LENGTH;

/// The part of its length that gzip has to save on a file to be used: unpacking takes time.
const WORTHWHILE_SAVING: f64 = 0.02;

/// What a person writes about a pair: everything in its manifest that neither the models' folders nor
/// the vocabulary's file says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairDescription {
    /// See [`Manifest::id`](super::Manifest::id).
    pub id: String,
    /// See [`Manifest::name`](super::Manifest::name).
    pub name: String,
    /// See [`Manifest::description`](super::Manifest::description).
    pub description: String,
    /// See [`Manifest::licence`](super::Manifest::licence).
    pub licence: Licence,
    /// See [`Manifest::licences_to_accept`](super::Manifest::licences_to_accept).
    #[serde(default)]
    pub licences_to_accept: Vec<Licence>,
    /// See [`Manifest::attribution`](super::Manifest::attribution).
    pub attribution: String,
    /// See [`Manifest::image_size`](super::Manifest::image_size).
    pub image_size: [u32; 2],
    /// See [`Manifest::image_sides`](super::Manifest::image_sides).
    #[serde(default)]
    pub image_sides: Option<(u32, u32)>,
    /// See [`Manifest::force_zeros_for_empty_prompt`](super::Manifest::force_zeros_for_empty_prompt).
    pub force_zeros_for_empty_prompt: bool,
    /// See [`Manifest::defaults`](super::Manifest::defaults).
    pub defaults: Defaults,
    /// Which of the models' folders hold the distilled model: `unet_<distilled>`, with a whole UNet
    /// or an adapter on the base, and `scheduler_<distilled>`. `distilled` where it isn't given.
    #[serde(default = "default_distilled")]
    pub distilled: String,
    /// How strongly the distilled model's adapter takes effect, where it is one; see
    /// [`Component::strength`](super::Component::strength).
    #[serde(default)]
    pub strength: Option<f32>,
    /// See [`Manifest::adapters`](super::Manifest::adapters).
    #[serde(default)]
    pub adapters: Vec<BundledAdapter>,
    /// The rules by the models' folders, in order: the first that fits a tensor counts. A tensor
    /// without a rule is stored as f16. A folder that is not listed is stored by the rules of
    /// the first pair that is packed with this one.
    #[serde(default)]
    pub encodings: BTreeMap<String, Vec<EncodingRule>>,
}

/// [`PairDescription::distilled`] of a pair that doesn't say it.
fn default_distilled() -> String {
    "distilled".into()
}

impl PairDescription {
    /// The folder of the distilled UNet, and the name of its files.
    pub fn distilled_unet(&self) -> String {
        format!("unet_{}", self.distilled)
    }

    /// The folder of the distilled model's scheduler.
    pub fn distilled_scheduler(&self) -> String {
        format!("scheduler_{}", self.distilled)
    }

    /// The file name of the manifest: `manifest.json`, or `<distilled>.json` where the pair says
    /// which distilled model it has.
    pub fn manifest_name(&self) -> String {
        if self.distilled == default_distilled() {
            "manifest.json".into()
        } else {
            format!("{}.json", self.distilled)
        }
    }
}

/// A file of a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedFile {
    /// Its entry in the manifest.
    pub entry: ManifestFile,
    /// The bytes as transferred.
    pub bytes: Vec<u8>,
}

/// How far quantized weights are from the original ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuantizationError {
    squared_error: f64,
    squared_values: f64,
    /// Values in quantized tensors.
    pub quantized: u64,
    /// Values in all.
    pub values: u64,
}

impl QuantizationError {
    /// Root of the squared error over the squared values of the quantized tensors.
    pub fn relative(&self) -> f64 {
        if self.squared_values > 0.0 {
            (self.squared_error / self.squared_values).sqrt()
        } else {
            0.0
        }
    }

    fn add(&mut self, original: &StoredTensor, stored: &StoredTensor) -> Result<(), TensorError> {
        let count = original.element_count() as u64;
        self.values += count;
        if stored.encoding.is_quantized() {
            self.quantized += count;
            for (original, stored) in original.to_f32()?.into_iter().zip(stored.to_f32()?) {
                let original = f64::from(original);
                let difference = f64::from(stored) - original;
                self.squared_error += difference * difference;
                self.squared_values += original * original;
            }
        }
        Ok(())
    }
}

/// Stores one tensor of a component by its rules, and adds to the component's error.
///
/// # Errors
/// A tensor whose bytes don't fit its shape, or that holds a value which its encoding can't.
pub fn encode_tensor(
    tensor: &StoredTensor,
    rules: &[EncodingRule],
    error: &mut QuantizationError,
) -> Result<StoredTensor, TensorError> {
    let (encoding, minimum_step) =
        target_encoding(rules, &tensor.name, &tensor.shape, tensor.encoding);
    let stored = tensor.quantize(encoding, minimum_step)?;
    error.add(tensor, &stored)?;
    Ok(stored)
}

/// Splits a component's tensors, given by the lengths of their bytes, into files with at most
/// `maximum_length` bytes of tensors each. A single tensor over it still makes one file.
pub fn shards(lengths: &[usize], maximum_length: usize) -> Vec<Range<usize>> {
    let mut shards = Vec::new();
    let mut start = 0;
    let mut sum = 0;
    for (index, &length) in lengths.iter().enumerate() {
        if index > start && length > maximum_length.saturating_sub(sum) {
            shards.push(start..index);
            (start, sum) = (index, 0);
        }
        sum += length;
    }
    shards.push(start..lengths.len());
    shards
}

/// Writes tensors into the file `index` of `count` of a component, which is named after it:
/// `unet.safetensors`, or `unet-1-of-2.safetensors` and so on.
///
/// # Errors
/// As [`safetensors::write`].
pub fn pack_shard(
    component: &str,
    index: usize,
    count: usize,
    tensors: &[StoredTensor],
) -> Result<PackedFile, SafetensorsError> {
    let path = if count == 1 {
        format!("{component}.safetensors")
    } else {
        format!("{component}-{}-of-{count}.safetensors", index + 1)
    };
    let bytes = safetensors::write(&path, tensors)?;
    let mut file = pack_blob(&path, bytes);
    if file.entry.compression.is_some() {
        let stored: usize = tensors.iter().map(|tensor| tensor.bytes.len()).sum();
        file.entry.stored_size = Some(stored as u64);
    }
    Ok(file)
}

/// A file of a pack, gzipped where that is worth it.
pub fn pack_blob(path: &str, bytes: Vec<u8>) -> PackedFile {
    let zipped = (bytes.len() <= MAXIMUM_GZIP_LENGTH).then(|| gzip(&bytes));
    let longest = bytes.len() as f64 * (1.0 - WORTHWHILE_SAVING);
    let (path, bytes, compression) = match zipped {
        Some(zipped) if (zipped.len() as f64) < longest => (
            format!("{path}{GZIP_ENDING}"),
            zipped,
            Some(Compression::Gzip),
        ),
        _ => (path.into(), bytes, None),
    };
    PackedFile {
        entry: ManifestFile {
            path,
            size: bytes.len() as u64,
            sha256: sha256(&bytes),
            compression,
            ..ManifestFile::default()
        },
        bytes,
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), GzipLevel::best());
    // A Vec takes every write; were that to change, nothing zipped is a file too long to be chosen.
    match encoder.write_all(bytes).and_then(|()| encoder.finish()) {
        Ok(zipped) => zipped,
        Err(_) => bytes.to_vec(),
    }
}
