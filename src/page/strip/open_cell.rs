//! A cell whose strip is open.

use std::sync::Arc;

use crate::page::workers::grid::{Cell, Grid, StripStep};
use crate::recipe::{CellAddress, Row};
use crate::view::rows::{acting_adapters, row_name};

/// A cell of the grid on show.
#[derive(Clone)]
pub struct OpenCell {
    pub grid: Arc<Grid>,
    pub cell: Cell,
    /// The row's name.
    pub row: String,
    /// What the row draws.
    pub prompt: String,
    /// The row's adapters and when they act are asked of it.
    recipe_row: Row,
}

/// One is another if both are the same place of the same grid.
impl PartialEq for OpenCell {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.grid, &other.grid) && self.cell.address == other.cell.address
    }
}

impl OpenCell {
    /// The cell at a place of a grid, if the grid has it.
    pub fn find(grid: &Arc<Grid>, address: CellAddress) -> Option<OpenCell> {
        let cell = grid.cell(address)?.clone();
        let row = &grid.rows.get(usize::try_from(address.row).ok()?)?.row;
        Some(OpenCell {
            grid: grid.clone(),
            cell,
            row: row_name(row),
            prompt: row.prompt.clone(),
            recipe_row: row.clone(),
        })
    }

    /// The adapters that act in a step, in words; none where the recipe has no adapters.
    pub fn acting_adapters(&self, step: &StripStep) -> Option<String> {
        acting_adapters(&self.recipe_row, step.model, step.step, step.timestep)
    }

    pub fn address(&self) -> CellAddress {
        self.cell.address
    }

    /// What it is called: “Base, seed 3”.
    pub fn name(&self) -> String {
        format!("{}, seed {}", self.row, self.cell.seed)
    }
}
