//! From what a pickle describes to tensors by name, each with its place in the file.

use std::collections::BTreeSet;

use super::TorchTensor;
use super::error::{MAXIMUM_COPIES, MAXIMUM_DIMENSIONS, TorchFileError, shown};
use super::pickle::{Items, Pickle, Value};
use super::zip::Contents;

/// The entry of a training program's checkpoint that holds the model.
const STATE_DICT: &str = "state_dict";

/// How deeply dicts with tensors may be nested.
const DEEPEST: usize = 16;

/// What an entry costs beside its name, and what a byte of the pickle pays for: no sound pickle names more
/// tensors than that.
const ENTRY_COST: usize = 32;
const BUDGET_PER_BYTE: usize = 8;

/// The longest name of a storage's member: torch's are numbers.
const LONGEST_KEY: usize = 32;

/// The tensors that a pickle names, in its order.
pub(super) fn tensors(
    file: &str,
    size: u64,
    pickle: &Pickle,
    pickle_length: usize,
    contents: &Contents,
) -> Result<Vec<TorchTensor>, TorchFileError> {
    let too_much = || TorchFileError::TooMuch { file: file.into() };
    let mut walk = Walk {
        pickle,
        budget: pickle_length.saturating_mul(BUDGET_PER_BYTE),
        found: Vec::new(),
    };
    walk.dict(model(pickle), "", 0).ok_or_else(too_much)?;
    let mut names = BTreeSet::new();
    let mut length = 0u64;
    let mut tensors = Vec::with_capacity(walk.found.len());
    for (name, tensor) in &walk.found {
        if !names.insert(name) {
            return Err(TorchFileError::Twice {
                file: file.into(),
                tensor: shown(name),
            });
        }
        let tensor = described(pickle, contents, name, *tensor).map_err(|reason| {
            TorchFileError::Tensor {
                file: file.into(),
                tensor: shown(name),
                reason,
            }
        })?;
        length = length.saturating_add(tensor.length());
        tensors.push(tensor);
    }
    if tensors.is_empty() {
        return Err(TorchFileError::NoTensors { file: file.into() });
    }
    if length > size.saturating_mul(MAXIMUM_COPIES) {
        return Err(too_much());
    }
    Ok(tensors)
}

/// The dict that holds the model: what was saved, or its entry of that name.
fn model<'a>(pickle: &Pickle<'a>) -> Value<'a> {
    let Value::Dict(dict) = pickle.root else {
        return pickle.root;
    };
    let entries = pickle.dicts.get(dict).map(Vec::as_slice);
    let model = entries
        .unwrap_or_default()
        .iter()
        .find_map(|entry| match entry {
            (Value::Text(STATE_DICT), model @ Value::Dict(_)) => Some(*model),
            _ => None,
        });
    model.unwrap_or(pickle.root)
}

struct Walk<'a> {
    pickle: &'a Pickle<'a>,
    /// What is left for entries and names: dicts that are in each other several times would have no end.
    budget: usize,
    found: Vec<(String, usize)>,
}

impl Walk<'_> {
    /// The tensors of a dict and those within it, whose names are joined by dots. None, where the budget is
    /// too small for them.
    fn dict(&mut self, dict: Value, prefix: &str, depth: usize) -> Option<()> {
        let Value::Dict(dict) = dict else {
            return Some(());
        };
        if depth == DEEPEST {
            return None;
        }
        let pickle = self.pickle;
        for (key, value) in pickle.dicts.get(dict).map(Vec::as_slice)? {
            let Value::Text(key) = key else {
                self.budget = self.budget.checked_sub(ENTRY_COST)?;
                continue;
            };
            let cost = ENTRY_COST + prefix.len() + key.len();
            self.budget = self.budget.checked_sub(cost)?;
            match *value {
                Value::Tensor(tensor) => self.found.push((format!("{prefix}{key}"), tensor)),
                Value::Dict(_) => self.dict(*value, &format!("{prefix}{key}."), depth + 1)?,
                _ => {}
            }
        }
        Some(())
    }
}

fn described(
    pickle: &Pickle,
    contents: &Contents,
    name: &str,
    tensor: usize,
) -> Result<TorchTensor, &'static str> {
    let tensor = pickle.tensors.get(tensor).ok_or("it isn't there")?;
    let storage = pickle
        .storages
        .get(tensor.storage)
        .ok_or("it isn't there")?;
    let member = Some(storage.key)
        .filter(|key| key.len() <= LONGEST_KEY)
        .and_then(|key| contents.storage(key))
        .ok_or("its values are not in the file")?;
    let width = storage.dtype.bitsize() as u64 / 8;
    if storage.count.checked_mul(width) != Some(member.end - member.start) {
        return Err("its values have another length than it says");
    }
    let shape = sizes(pickle, tensor.shape)?;
    let strides = sizes(pickle, tensor.strides)?;
    if shape.len() != strides.len() {
        return Err("its shape and its strides differ in number");
    }
    let count = product(&shape).ok_or("its shape is too large")?;
    // Values from the first to the last, with those between them that are not its own.
    let span = span(&shape, &strides).ok_or("its strides are too large")?;
    let end = tensor.offset.checked_add(span);
    if end.is_none_or(|end| end > storage.count) {
        return Err("it is beyond its values' end");
    }
    if count > span {
        return Err("it repeats values, as expanded ones do; save a copy of it");
    }
    let start = member.start + tensor.offset * width;
    let is_contiguous = count == 0 || is_contiguous(&shape, &strides);
    Ok(TorchTensor {
        name: name.into(),
        dtype: storage.dtype,
        range: start..start + span * width,
        strides: if is_contiguous { None } else { Some(strides) },
        shape,
    })
}

fn sizes(pickle: &Pickle, items: Items) -> Result<Vec<usize>, &'static str> {
    let items = pickle.items(items);
    if items.len() > MAXIMUM_DIMENSIONS {
        return Err("it has more than 8 dimensions");
    }
    let size = |item: &Value| match item {
        Value::Integer(size) => usize::try_from(*size).ok(),
        _ => None,
    };
    let sizes = items.iter().map(size).collect::<Option<Vec<_>>>();
    sizes.ok_or("its shape is none of numbers")
}

fn product(shape: &[usize]) -> Option<u64> {
    shape
        .iter()
        .try_fold(1u64, |count, &size| count.checked_mul(size as u64))
}

fn span(shape: &[usize], strides: &[usize]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    let mut last = 0u64;
    for (&size, &stride) in shape.iter().zip(strides) {
        last = last.checked_add((size as u64 - 1).checked_mul(stride as u64)?)?;
    }
    last.checked_add(1)
}

/// Whether the values lie in row-major order without a gap. The stride along one value says nothing.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1u64;
    shape.iter().zip(strides).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride as u64 == expected;
        expected = expected.saturating_mul(size as u64);
        fits
    })
}
