//! A weight as the CPU's operations read it.

use std::sync::OnceLock;

use super::product::Packed;
use super::winograd::Transformed;

/// A weight as the product reads it.
pub struct Weight {
    /// In panels of outputs.
    pub(super) packed: Packed,
    /// For convolutions of large maps, made when the first one comes.
    transformed: OnceLock<Transformed>,
}

impl Weight {
    /// # Shapes
    /// - values: `[outputs, inputs]`
    pub fn new(values: &[f32], outputs: usize, inputs: usize) -> Self {
        Self {
            packed: Packed::new(values, outputs, inputs),
            transformed: OnceLock::new(),
        }
    }

    /// The values as they were before.
    ///
    /// # Shapes
    /// `[outputs, inputs]`
    pub fn values(&self) -> Vec<f32> {
        self.packed.unpacked()
    }

    /// Its outputs.
    pub(super) fn outputs(&self) -> usize {
        self.packed.outputs()
    }

    /// Transformed for convolutions of so many channels.
    pub(super) fn transformed(&self, channels: usize) -> &Transformed {
        self.transformed
            .get_or_init(|| Transformed::new(&self.values(), self.outputs(), channels))
    }
}
