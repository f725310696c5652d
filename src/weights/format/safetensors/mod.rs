//! Reading and writing safetensors files, with quantized tensors inside.
//!
//! A safetensors file is a little-endian `u64` header length, a JSON header and the tensors' bytes.
//! Offsets are checked as `u64`: the UNet of SDXL alone is larger than wasm's address space, which
//! is why the header is not left to the `safetensors` crate, whose offsets are `usize`.
//!
//! # Quantized tensors
//! The format has no dtype for them. A tensor in [`Encoding::Q8`] or [`Encoding::Q4`] is stored under
//! its own name as `U8` of shape `[bytes]`, and the header's `__metadata__` has the key
//! [`QUANTIZED_KEY`] with the JSON text of a list of them, by name with encoding, true shape, and the
//! [`Order`] of their values where it isn't row-major:
//! `{"format": 2, "tensors": {"conv.weight": {"encoding": "q8", "order": "channels_last",
//! "shape": [64, 64, 3, 3]}}}`. Any other `U8` tensor is refused.
//!
//! Files of format 1 have the object of tensors under [`ENCODINGS_KEY`], without a format and without
//! orders: all of their tensors are row-major. A program that knows that key alone finds no list in a
//! file of format 2, and refuses it.
//!
//! # What other programs write
//! Tensors that nothing here uses are left out when a file is read, whatever their dtype: the constant
//! `position_ids` of older text encoders, counters, and of a single-file checkpoint all that none of its
//! components has. 8-bit and double-precision floats, and an alpha as an integer, are
//! [converted](ForeignDtype).

mod error;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

use super::dtype::ForeignDtype;
use super::encoding::{Encoding, element_count};
use super::names::Naming;
use super::order::Order;
use super::tensor::{StoredTensor, TensorError};
use error::other_format;

pub use error::{MAXIMUM_HEADER_LENGTH, QUANTIZED_FORMAT, SafetensorsError};

/// Ending of a safetensors file's name.
pub const ENDING: &str = ".safetensors";

/// Key of `__metadata__` under which the quantized tensors are listed.
pub const QUANTIZED_KEY: &str = "firststep.quantized";

/// The key in files of format 1.
pub const ENCODINGS_KEY: &str = "firststep.encodings";

/// Bytes before the header: its length.
const LENGTH_BYTES: usize = 8;

/// Name of the header's entry that is not a tensor.
pub(super) const METADATA_KEY: &str = "__metadata__";

/// Where a tensor lies in its file.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorEntry {
    /// The tensor's name.
    pub name: String,
    /// How its bytes are to be read, once they are converted.
    pub encoding: Encoding,
    /// What its bytes are converted from; none: they are as [`Self::encoding`] says.
    pub converted_from: Option<ForeignDtype>,
    /// The order of its values.
    pub order: Order,
    /// Its true shape, also where it is quantized.
    pub shape: Vec<usize>,
    /// Its bytes, counted from the beginning of the file.
    pub range: Range<u64>,
}

/// The checked header of a safetensors file.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The tensors in the order of their bytes.
    pub tensors: Vec<TensorEntry>,
    /// Names of the tensors that nothing here uses, which are not among [`Self::tensors`]: some of them tell
    /// what the file is.
    pub unused: Vec<String>,
    /// `__metadata__`.
    pub metadata: BTreeMap<String, String>,
    /// How the tensors are named.
    pub naming: Naming,
    /// Where the tensors' bytes begin, counted from the beginning of the file.
    pub data_start: u64,
    /// Length of the whole file in bytes.
    pub file_length: u64,
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

#[derive(Serialize, Deserialize)]
struct QuantizedEntry {
    encoding: Encoding,
    #[serde(default, skip_serializing_if = "Order::is_row_major")]
    order: Order,
    shape: Vec<usize>,
}

/// What is under [`QUANTIZED_KEY`].
#[derive(Serialize, Deserialize)]
struct QuantizedList<Name: Ord> {
    format: u64,
    tensors: BTreeMap<Name, QuantizedEntry>,
}

/// The part of a [`QuantizedList`] that every format has.
#[derive(Deserialize)]
struct ListFormat {
    format: u64,
}

impl Header {
    /// Bytes from the beginning of a file to the end of its header, by the file's first 8 bytes; none
    /// where there are fewer.
    ///
    /// # Errors
    /// [`SafetensorsError::HeaderTooLong`].
    pub fn end(file: &str, bytes: &[u8]) -> Result<Option<u64>, SafetensorsError> {
        let Some(length_bytes) = bytes.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u64::from_le_bytes(*length_bytes);
        // A text, read as a number, is far beyond every length.
        if length > MAXIMUM_HEADER_LENGTH {
            let other = other_format(file, bytes);
            return Err(other.unwrap_or_else(|| SafetensorsError::HeaderTooLong {
                file: file.into(),
                length,
            }));
        }
        Ok(Some(LENGTH_BYTES as u64 + length))
    }

    /// Reads the header from a file's beginning; `bytes` may end anywhere after it.
    ///
    /// # Errors
    /// Everything that [`SafetensorsError`] lists but [`SafetensorsError::Surplus`], which needs the
    /// whole file.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, SafetensorsError> {
        let truncated = |expected: u64| SafetensorsError::Truncated {
            file: file.into(),
            expected,
            found: bytes.len() as u64,
        };
        let Some(data_start) = Self::end(file, bytes)? else {
            return Err(truncated(LENGTH_BYTES as u64));
        };
        // The length is at most 100 MB, which fits usize everywhere.
        let json = bytes
            .get(LENGTH_BYTES..data_start as usize)
            .ok_or_else(|| truncated(data_start))?;
        let mut entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(json)
            .map_err(|error| SafetensorsError::Header {
                file: file.into(),
                reason: error.to_string(),
            })?;
        let metadata = match entries.remove(METADATA_KEY) {
            None => BTreeMap::new(),
            Some(value) => {
                serde_json::from_value(value).map_err(|error| SafetensorsError::Header {
                    file: file.into(),
                    reason: format!("{METADATA_KEY} is not an object of texts: {error}"),
                })?
            }
        };
        let quantized = quantized_entries(file, &metadata)?;
        let entries = sorted_entries(file, entries)?;
        let data_length = check_layout(file, &entries)?;
        let file_length =
            data_start
                .checked_add(data_length)
                .ok_or_else(|| SafetensorsError::Header {
                    file: file.into(),
                    reason: "an offset is too large".into(),
                })?;
        if let Some(name) = quantized
            .keys()
            .find(|name| !entries.iter().any(|(entry, _)| entry == *name))
        {
            return Err(SafetensorsError::Header {
                file: file.into(),
                reason: format!(
                    "its list of quantized tensors has {name}, which is not in the file"
                ),
            });
        }
        let naming = Naming::of(entries.iter().map(|(name, _)| name.as_str()));
        let (mut tensors, mut unused) = (Vec::new(), Vec::new());
        for (name, entry) in entries {
            if is_unused(naming, &name, &entry, &quantized) {
                unused.push(name);
            } else if is_scale(&name) {
                let file = file.into();
                return Err(SafetensorsError::ScaledWeights { file, tensor: name });
            } else {
                tensors.push(tensor_entry(file, name, entry, &quantized, data_start)?);
            }
        }
        if let Some(tensor) = unused.iter().find(|name| is_scale(name)) {
            return Err(SafetensorsError::ScaledWeights {
                file: file.into(),
                tensor: tensor.clone(),
            });
        }
        Ok(Header {
            tensors,
            unused,
            metadata,
            naming,
            data_start,
            file_length,
        })
    }

    /// The names of all tensors in the file, those that nothing here uses too: some are there for their names
    /// alone.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let used = self.tensors.iter().map(|tensor| tensor.name.as_str());
        used.chain(self.unused.iter().map(String::as_str))
    }

    /// Checks that a file is as long as its header says.
    ///
    /// # Errors
    /// [`SafetensorsError::Truncated`] or [`SafetensorsError::Surplus`].
    pub fn check_length(&self, file: &str, length: u64) -> Result<(), SafetensorsError> {
        if length < self.file_length {
            Err(SafetensorsError::Truncated {
                file: file.into(),
                expected: self.file_length,
                found: length,
            })
        } else if length > self.file_length {
            Err(SafetensorsError::Surplus {
                file: file.into(),
                surplus: length - self.file_length,
            })
        } else {
            Ok(())
        }
    }
}

/// Reads a whole file into its tensors, in the order of their bytes.
///
/// # Errors
/// Everything that [`SafetensorsError`] lists; `file` is the name in the sentences.
pub fn read(file: &str, bytes: &[u8]) -> Result<Vec<StoredTensor>, SafetensorsError> {
    let header = Header::parse(file, bytes)?;
    header.check_length(file, bytes.len() as u64)?;
    header
        .tensors
        .into_iter()
        .map(|entry| {
            usize::try_from(entry.range.start)
                .ok()
                .zip(usize::try_from(entry.range.end).ok())
                .and_then(|(start, end)| bytes.get(start..end))
                .ok_or_else(|| SafetensorsError::Truncated {
                    file: file.into(),
                    expected: header.file_length,
                    found: bytes.len() as u64,
                })
                .and_then(|bytes| {
                    entry
                        .tensor(bytes.to_vec())
                        .map_err(|error| unusable(file, error))
                })
        })
        .collect()
}

/// Writes tensors into one file, quantized ones as the [module](self) says and all others in row-major
/// order. The same tensors give the same bytes.
///
/// # Errors
/// A tensor whose bytes don't fit its encoding, or a header over the limit; `file` is the name in
/// the sentences.
pub fn write(file: &str, tensors: &[StoredTensor]) -> Result<Vec<u8>, SafetensorsError> {
    let bytes = tensors
        .iter()
        .map(|tensor| match tensor.encoding.value_length() {
            Some(size) => tensor.row_major_bytes(size),
            None => Ok(Cow::Borrowed(tensor.bytes.as_slice())),
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(file, error))?;
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|(tensor, bytes)| {
            let dtype = match tensor.encoding {
                Encoding::F32 => Dtype::F32,
                Encoding::F16 => Dtype::F16,
                Encoding::BF16 => Dtype::BF16,
                Encoding::Q8 | Encoding::Q4 => Dtype::U8,
            };
            let shape = if tensor.encoding.is_quantized() {
                vec![tensor.bytes.len()]
            } else {
                tensor.shape.clone()
            };
            TensorView::new(dtype, shape, bytes)
                .map(|view| (tensor.name.as_str(), view))
                .map_err(|_| SafetensorsError::Length {
                    file: file.into(),
                    tensor: tensor.name.clone(),
                    shape: tensor.shape.clone(),
                    dtype: tensor.encoding.to_string(),
                    found: tensor.bytes.len() as u64,
                })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let quantized: BTreeMap<&str, QuantizedEntry> = tensors
        .iter()
        .filter(|tensor| tensor.encoding.is_quantized())
        .map(|tensor| {
            let entry = QuantizedEntry {
                encoding: tensor.encoding,
                order: tensor.order,
                shape: tensor.shape.clone(),
            };
            (tensor.name.as_str(), entry)
        })
        .collect();
    let unwritable = |reason: String| SafetensorsError::Header {
        file: file.into(),
        reason,
    };
    // One key at most: the crate writes a HashMap, whose order would change from run to run.
    let metadata = if quantized.is_empty() {
        None
    } else {
        let list = QuantizedList {
            format: QUANTIZED_FORMAT,
            tensors: quantized,
        };
        let json = serde_json::to_string(&list).map_err(|e| unwritable(e.to_string()))?;
        Some(HashMap::from([(QUANTIZED_KEY.to_owned(), json)]))
    };
    safetensors::serialize(views, metadata).map_err(|error| unwritable(error.to_string()))
}

impl TensorEntry {
    /// The tensor, of its bytes in the file.
    ///
    /// # Errors
    /// [`TensorError::Length`].
    pub fn tensor(self, bytes: Vec<u8>) -> Result<StoredTensor, TensorError> {
        let bytes = match self.converted_from {
            Some(dtype) => dtype.convert(&bytes),
            None => bytes,
        };
        StoredTensor::new(self.name, self.encoding, self.order, self.shape, bytes)
    }
}

/// Whether nothing here uses a tensor: none of a checkpoint's components has it, or its dtype is none of
/// weights and its name none of a layer's. What isn't used is not judged.
fn is_unused(
    naming: Naming,
    name: &str,
    entry: &RawEntry,
    quantized: &BTreeMap<String, QuantizedEntry>,
) -> bool {
    if name.ends_with("position_ids") || naming.stored_names(name).is_empty() {
        return true;
    }
    let dtype = ForeignDtype::of(&entry.dtype);
    let is_number = dtype.is_some_and(|dtype| !dtype.is_float()) && !quantized.contains_key(name);
    let is_of_a_layer = [".weight", ".bias", ".alpha"]
        .iter()
        .any(|ending| name.ends_with(ending));
    is_number && !is_of_a_layer
}

/// Whether a tensor scales the 8-bit weights beside it: ComfyUI writes such.
fn is_scale(name: &str) -> bool {
    name == "scaled_fp8" || name.ends_with(".scale_weight") || name.ends_with(".weight_scale")
}

fn quantized_entries(
    file: &str,
    metadata: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, QuantizedEntry>, SafetensorsError> {
    let malformed = |key: &str, error: serde_json::Error| SafetensorsError::Header {
        file: file.into(),
        reason: format!("{key} is malformed: {error}"),
    };
    if let Some(json) = metadata.get(QUANTIZED_KEY) {
        let malformed = |error| malformed(QUANTIZED_KEY, error);
        let ListFormat { format } = serde_json::from_str(json).map_err(malformed)?;
        if format > QUANTIZED_FORMAT {
            return Err(SafetensorsError::Format {
                file: file.into(),
                found: format,
            });
        }
        let list: QuantizedList<String> = serde_json::from_str(json).map_err(malformed)?;
        return Ok(list.tensors);
    }
    match metadata.get(ENCODINGS_KEY) {
        None => Ok(BTreeMap::new()),
        Some(json) => {
            let mut tensors: BTreeMap<String, QuantizedEntry> =
                serde_json::from_str(json).map_err(|error| malformed(ENCODINGS_KEY, error))?;
            for entry in tensors.values_mut() {
                entry.order = Order::RowMajor;
            }
            Ok(tensors)
        }
    }
}

fn unusable(file: &str, error: TensorError) -> SafetensorsError {
    SafetensorsError::Tensor {
        file: file.into(),
        error,
    }
}

/// The entries in the order of their bytes.
fn sorted_entries(
    file: &str,
    entries: BTreeMap<String, serde_json::Value>,
) -> Result<Vec<(String, RawEntry)>, SafetensorsError> {
    let mut sorted = entries
        .into_iter()
        .map(|(name, value)| match serde_json::from_value(value) {
            Ok(entry) => Ok((name, entry)),
            Err(error) => Err(SafetensorsError::Entry {
                file: file.into(),
                tensor: name,
                reason: error.to_string(),
            }),
        })
        .collect::<Result<Vec<(String, RawEntry)>, _>>()?;
    sorted.sort_by_key(|(_, entry)| entry.data_offsets);
    Ok(sorted)
}

/// Checks that the tensors follow each other without a gap; returns the length of all of them.
fn check_layout(file: &str, entries: &[(String, RawEntry)]) -> Result<u64, SafetensorsError> {
    let mut end = 0;
    let mut previous = "";
    for (name, entry) in entries {
        let [from, to] = entry.data_offsets;
        if to < from {
            return Err(SafetensorsError::Entry {
                file: file.into(),
                tensor: name.clone(),
                reason: format!("it ends at {to}, before its beginning at {from}"),
            });
        }
        if from < end {
            return Err(SafetensorsError::Overlap {
                file: file.into(),
                first: previous.into(),
                second: name.clone(),
            });
        }
        if from > end {
            return Err(SafetensorsError::Hole {
                file: file.into(),
                tensor: name.clone(),
                length: from - end,
            });
        }
        end = to;
        previous = name;
    }
    Ok(end)
}

fn tensor_entry(
    file: &str,
    name: String,
    entry: RawEntry,
    quantized: &BTreeMap<String, QuantizedEntry>,
    data_start: u64,
) -> Result<TensorEntry, SafetensorsError> {
    let [from, to] = entry.data_offsets;
    let length = to - from;
    let foreign =
        ForeignDtype::of(&entry.dtype).filter(|dtype| dtype.is_float() || name.ends_with(".alpha"));
    let (encoding, converted_from) = match (entry.dtype.as_str(), quantized.get(&name), foreign) {
        ("F32", None, _) => (Encoding::F32, None),
        ("F16", None, _) => (Encoding::F16, None),
        ("BF16", None, _) => (Encoding::BF16, None),
        ("U8", Some(quantized), _) if quantized.encoding.is_quantized() => {
            (quantized.encoding, None)
        }
        (_, None, Some(dtype)) => (dtype.encoding(), Some(dtype)),
        _ => {
            return Err(SafetensorsError::Dtype {
                file: file.into(),
                tensor: name,
                dtype: entry.dtype,
            });
        }
    };
    let stored_shape_fits = !encoding.is_quantized()
        || matches!(entry.shape.as_slice(), [bytes] if *bytes as u64 == length);
    let (shape, order) = match quantized.get(&name) {
        Some(quantized) => (quantized.shape.clone(), quantized.order),
        None => (entry.shape, Order::RowMajor),
    };
    let expected = match converted_from {
        Some(dtype) => element_count(&shape).and_then(|count| count.checked_mul(dtype.width())),
        None => encoding.byte_length(&shape),
    };
    let expected = expected.map(|length| length as u64);
    if expected != Some(length) || !stored_shape_fits {
        return Err(SafetensorsError::Length {
            file: file.into(),
            tensor: name,
            shape,
            dtype: encoding.to_string(),
            found: length,
        });
    }
    Ok(TensorEntry {
        name,
        encoding,
        converted_from,
        order: order.for_shape(&shape),
        shape,
        range: data_start + from..data_start + to,
    })
}
