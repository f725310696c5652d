//! Names and shapes of a model's tensors, without their values, and the size of a file of them.

use std::collections::{BTreeMap, HashMap};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Serialize;

use super::encoding::Encoding;
use super::rules::{EncodingRule, target_encoding};

/// Bytes in front of a safetensors header, which say how long it is.
const LENGTH_BYTES: u64 = 8;

/// A header is filled up with spaces to a multiple of so many bytes.
const HEADER_ALIGNMENT: u64 = 8;

/// Every tensor of a model by its name, in the order in which the package safetensors writes tensors
/// of one dtype.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Layout(BTreeMap<String, Vec<usize>>);

impl Layout {
    /// Adds a tensor.
    pub fn insert(&mut self, name: impl Into<String>, shape: impl Into<Vec<usize>>) {
        self.0.insert(name.into(), shape.into());
    }

    /// Names and shapes, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.0
            .iter()
            .map(|(name, shape)| (name.as_str(), shape.as_slice()))
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Bytes of the safetensors file that the package safetensors writes of these tensors in one
    /// dtype, with `metadata` in its header; none for a quantized encoding, of which safetensors has
    /// no dtype, or where the sum overflows.
    pub fn file_size(&self, encoding: Encoding, metadata: &[(&str, &str)]) -> Option<u64> {
        let dtype = match encoding {
            Encoding::F32 => Dtype::F32,
            Encoding::F16 => Dtype::F16,
            Encoding::BF16 => Dtype::BF16,
            Encoding::Q8 | Encoding::Q4 => return None,
        };
        let mut end = 0usize;
        let mut tensors = Vec::with_capacity(self.0.len());
        for (name, shape) in &self.0 {
            let begin = end;
            end = begin.checked_add(encoding.byte_length(shape)?)?;
            let info = TensorInfo {
                dtype,
                shape: shape.clone(),
                data_offsets: (begin, end),
            };
            tensors.push((name.clone(), info));
        }
        let metadata: HashMap<String, String> = metadata
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let metadata = (!metadata.is_empty()).then_some(metadata);
        let header = Metadata::new(metadata, tensors).ok()?;
        let header = serde_json::to_vec(&header).ok()?.len() as u64;
        let header = header.checked_next_multiple_of(HEADER_ALIGNMENT)?;
        (LENGTH_BYTES + header).checked_add(end as u64)
    }

    /// Bytes of the tensors in the store, where they arrive in `from` and are stored by the rules;
    /// none where a shape doesn't fit its encoding.
    pub fn stored_size(&self, from: Encoding, rules: &[EncodingRule]) -> Option<u64> {
        self.iter().try_fold(0u64, |sum, (name, shape)| {
            let (to, _) = target_encoding(rules, name, shape, from);
            sum.checked_add(to.byte_length(shape)? as u64)
        })
    }
}
