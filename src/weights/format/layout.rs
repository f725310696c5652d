//! Names and shapes of a model's tensors, without their values.

use std::collections::BTreeMap;

/// Every tensor of a model by its name, in the order in which the package safetensors writes tensors
/// of one dtype.
#[derive(Clone, Debug, Default)]
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
}
