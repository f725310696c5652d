//! The cells that the visitor has opened, and the column that is compared.

use leptos::prelude::*;

use crate::recipe::CellAddress;

/// The cells and the column that are on show beside the grid.
#[derive(Clone, Copy)]
pub struct Selection {
    /// The cell whose strip is open.
    pub strip: RwSignal<Option<CellAddress>>,
    /// The cell that lies under the strip for comparison.
    pub beneath: RwSignal<Option<CellAddress>>,
    /// The column whose images are compared side by side.
    pub compared: RwSignal<Option<u32>>,
}

impl Selection {
    /// Nothing is open.
    pub fn new() -> Self {
        Selection {
            strip: RwSignal::default(),
            beneath: RwSignal::default(),
            compared: RwSignal::default(),
        }
    }

    /// Opens the strip of a cell, or closes the one that is open.
    pub fn open(&self, cell: CellAddress) {
        let next = (self.strip.get_untracked() != Some(cell)).then_some(cell);
        self.strip.set(next);
    }

    /// Whether a cell's strip is on show; follows what is selected.
    pub fn shows(&self, cell: CellAddress) -> bool {
        self.strip.get() == Some(cell)
            || (self.strip.get().is_some() && self.beneath.get() == Some(cell))
    }
}
