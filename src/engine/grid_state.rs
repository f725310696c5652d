//! The state of the grid that the engine drew last: each cell's latent, from which the cell can be
//! resumed; the latents of its steps, so that a strip is decoded only when it is opened; and each
//! row's images, for their distances.

#![expect(
    clippy::indexing_slicing,
    reason = "as many images are kept as distances"
)]

use std::collections::BTreeMap;

use super::error::EngineError;
use crate::metrics::{
    Change, Diversity, PairwiseDistances, RowDistances, distance, reduced_to_measure,
};
use crate::picture::image::Image;
use crate::protocol::engine::StripView;
use crate::recipe::{CellAddress, Recipe, Row, Variant};
use crate::sampler::{ModelRole, Sampling, StepOutcome};

/// The most bytes of all steps' latents. A step has 8 kB with the emoji pair, and half a megabyte in an
/// SDXL image of 1024 × 1024.
const MAXIMUM_TRACE_BYTES: usize = 256 << 20;

/// The cells and images of the last recipe.
#[derive(Default)]
pub struct GridState {
    recipe: Option<Recipe>,
    cells: BTreeMap<CellAddress, CellState>,
    rows: BTreeMap<u32, RowImages>,
    /// By row and column, the distances to the images without the first adapter.
    changes: BTreeMap<u32, BTreeMap<u32, f64>>,
    /// Cells that have a trace of their steps, in the order in which they were begun.
    traced: Vec<CellAddress>,
    trace_bytes: usize,
}

/// The state of a cell between two steps, or after its last.
pub(super) struct CellState {
    pub sampling: Sampling,
    /// Time of the steps so far, in milliseconds.
    pub milliseconds: f64,
    trace: Vec<TraceStep>,
    /// Whether `trace` has all steps so far; once it was discarded, it stays empty.
    is_traced: bool,
}

/// The latents of a step that a cell has taken.
pub(super) struct TraceStep {
    pub timestep: f32,
    pub model: ModelRole,
    /// The Diffusion Target.
    target: Vec<f32>,
    /// The noisy latent that the model was given.
    sample: Vec<f32>,
}

impl TraceStep {
    pub(super) fn latent(&self, view: StripView) -> &[f32] {
        match view {
            StripView::Target => &self.target,
            StripView::Sample => &self.sample,
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(self.target.as_slice()) + size_of_val(self.sample.as_slice())
    }
}

/// The finished images of a row, shrunk for measuring, in the order in which they were finished.
#[derive(Default)]
struct RowImages {
    /// The column of each image.
    columns: Vec<u32>,
    images: Vec<Image>,
    distances: PairwiseDistances,
}

impl RowImages {
    fn diversity(&self) -> Option<(Diversity, RowDistances)> {
        let distances = RowDistances {
            columns: self.columns.clone(),
            distances: self.distances.all().to_vec(),
        };
        Some((self.distances.diversity()?, distances))
    }
}

impl GridState {
    /// Begins a job with a recipe. The state stays only if it is of that recipe and the job resumes it.
    pub(super) fn switch_to(&mut self, recipe: &Recipe, resumes: bool) {
        if !resumes || !self.is_of(recipe) {
            *self = GridState {
                recipe: Some(recipe.clone()),
                ..GridState::default()
            };
        }
    }

    /// Discards everything, as when the pair changes.
    pub fn clear(&mut self) {
        *self = GridState::default();
    }

    /// Begins the cell with `start` unless it was begun before.
    pub(super) fn start_unless_begun(
        &mut self,
        address: CellAddress,
        start: impl FnOnce() -> Sampling,
    ) {
        self.cells.entry(address).or_insert_with(|| {
            self.traced.push(address);
            CellState {
                sampling: start(),
                milliseconds: 0.0,
                trace: Vec::new(),
                is_traced: true,
            }
        });
    }

    /// The state of a cell.
    ///
    /// # Errors
    /// [`EngineError::StepsDiscarded`] if it was not begun.
    pub(super) fn cell(&mut self, address: CellAddress) -> Result<&mut CellState, EngineError> {
        self.cells
            .get_mut(&address)
            .ok_or(EngineError::StepsDiscarded)
    }

    /// Begins a cell where another engine left it, unless it was begun here. Its trace is not known.
    pub(super) fn restore(&mut self, address: CellAddress, sampling: Sampling, milliseconds: f64) {
        self.cells.entry(address).or_insert(CellState {
            sampling,
            milliseconds,
            trace: Vec::new(),
            is_traced: false,
        });
    }

    /// Discards a cell if its image is finished. A job that names it again draws it from its seed, perhaps
    /// because its trace was discarded.
    pub(super) fn discard_finished(&mut self, address: CellAddress) {
        // The image of a cell that has taken its last step may not have been decoded.
        let has_image = self
            .rows
            .get(&address.row)
            .is_some_and(|row| row.columns.contains(&address.column));
        let is_finished = has_image
            && self
                .cells
                .get(&address)
                .is_some_and(|cell| cell.sampling.is_done());
        if is_finished && let Some(cell) = self.cells.remove(&address) {
            self.trace_bytes -= cell.trace.iter().map(TraceStep::bytes).sum::<usize>();
            self.traced.retain(|traced| *traced != address);
        }
    }

    /// The cells of these that are least far: they wait for the same model pass.
    ///
    /// # Errors
    /// As [`GridState::cell`].
    pub(super) fn furthest_behind(
        &mut self,
        addresses: &[CellAddress],
    ) -> Result<Vec<CellAddress>, EngineError> {
        let mut behind = Vec::new();
        let mut least = (usize::MAX, false, None);
        for &address in addresses {
            let progress = self.cell(address)?.sampling.progress();
            if progress < least {
                least = progress;
                behind.clear();
            }
            if progress == least {
                behind.push(address);
            }
        }
        Ok(behind)
    }

    /// The state of a cell of a recipe; none where the state is of another recipe.
    pub(super) fn cell_of(&self, recipe: &Recipe, address: CellAddress) -> Option<&CellState> {
        if !self.is_of(recipe) {
            return None;
        }
        self.cells.get(&address)
    }

    /// Adds a step to a cell's trace. Where that needs room, the cells that were begun first lose
    /// their traces.
    pub(super) fn record_step(&mut self, address: CellAddress, outcome: &StepOutcome) {
        let step = TraceStep {
            timestep: outcome.timestep,
            model: outcome.model,
            target: outcome.predicted_original.clone(),
            sample: outcome.sample.clone(),
        };
        let bytes = step.bytes();
        while self.trace_bytes + bytes > MAXIMUM_TRACE_BYTES && !self.traced.is_empty() {
            let oldest = self.traced.remove(0);
            if let Some(cell) = self.cells.get_mut(&oldest) {
                self.trace_bytes -= cell.trace.iter().map(TraceStep::bytes).sum::<usize>();
                cell.trace = Vec::new();
                cell.is_traced = false;
            }
        }
        if let Some(cell) = self.cells.get_mut(&address)
            && cell.is_traced
        {
            cell.trace.push(step);
            self.trace_bytes += bytes;
        }
    }

    /// Adds a finished image to its row and returns the row's diversity with the
    /// distances that it is the mean of; none for a single image.
    pub(super) fn add_image(
        &mut self,
        address: CellAddress,
        image: &Image,
    ) -> Result<Option<(Diversity, RowDistances)>, EngineError> {
        let row = self.rows.entry(address.row).or_default();
        if row.columns.contains(&address.column) {
            return Ok(row.diversity());
        }
        let image = reduced_to_measure(image);
        row.distances
            .push(|place| distance(&image, &row.images[place]))?;
        row.columns.push(address.column);
        row.images.push(image);
        Ok(row.diversity())
    }

    /// How much the first adapter changes the rows that a finished image is of or is compared with, by
    /// their indices: see [`JobEvent::Change`](crate::protocol::engine::JobEvent::Change).
    ///
    /// # Errors
    /// Two images can't be compared.
    pub(super) fn changes(
        &mut self,
        address: CellAddress,
    ) -> Result<Vec<(u32, Change)>, EngineError> {
        let rows = self.recipe.as_ref().map(Recipe::rows).unwrap_or_default();
        let own = rows.get(address.row as usize);
        let Some((mode, Variant::AdapterStrength(_))) = own.map(|row| (row.mode, row.variant))
        else {
            return Ok(Vec::new());
        };
        let of_mode = || (0..).zip(&rows).filter(|(_, row)| row.mode == mode);
        let is_without = |row: &Row| row.variant == Variant::AdapterStrength(0.0);
        let Some((reference, _)) = of_mode().find(|(_, row)| is_without(row)) else {
            return Ok(Vec::new());
        };
        let mut changes = Vec::new();
        for (index, row) in of_mode() {
            let is_touched = index == address.row || address.row == reference;
            if is_touched && !is_without(row) {
                let distances = self.distances_between(index, reference)?;
                changes.extend(Change::of(&distances).map(|change| (index, change)));
            }
        }
        Ok(changes)
    }

    /// The distances of the finished images of two rows that are of the same seeds.
    fn distances_between(&mut self, row: u32, other: u32) -> Result<Vec<f64>, EngineError> {
        let (Some(own), Some(other)) = (self.rows.get(&row), self.rows.get(&other)) else {
            return Ok(Vec::new());
        };
        let known = self.changes.entry(row).or_default();
        for (column, image) in own.columns.iter().zip(&own.images) {
            let place = other.columns.iter().position(|other| other == column);
            if let Some(place) = place.filter(|_| !known.contains_key(column)) {
                known.insert(*column, distance(image, &other.images[place])?);
            }
        }
        Ok(known.values().copied().collect())
    }

    /// Whether this is the state of a grid of this recipe.
    pub fn is_of(&self, recipe: &Recipe) -> bool {
        self.recipe.as_ref() == Some(recipe)
    }

    /// At most `most` finished images, shrunk to `side` pixels: the first of each row, then the second
    /// of each.
    pub fn thumbnails(&self, most: usize, side: u32) -> Vec<Image> {
        let longest = self.rows.values().map(|row| row.images.len()).max();
        (0..longest.unwrap_or(0))
            .flat_map(|place| {
                self.rows
                    .values()
                    .filter_map(move |row| row.images.get(place))
            })
            .take(most)
            .map(|image| image.shrunk_to(side))
            .collect()
    }

    /// Number of finished images.
    pub fn images(&self) -> usize {
        self.rows.values().map(|row| row.images.len()).sum()
    }
}

impl CellState {
    /// The latents of all steps so far; none where they were discarded.
    pub(super) fn trace(&self) -> Option<&[TraceStep]> {
        self.is_traced.then_some(self.trace.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: u32, height: u32, value: impl Fn(u32, u32) -> u8) -> Image {
        let rgba = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| [value(x, y), 0, 0, 255])
            .collect();
        Image {
            width,
            height,
            rgba,
        }
    }

    #[test]
    fn a_row_is_measured_once_per_column() {
        let mut grid = GridState::default();
        let place = |column| CellAddress { row: 0, column };
        let stripes = frame(16, 16, |x, _| if x % 4 < 2 { 250 } else { 0 });
        let plain = frame(16, 16, |_, _| 120);
        assert_eq!(grid.add_image(place(0), &stripes).expect("measured"), None);
        let two = grid.add_image(place(3), &plain).expect("measured");
        assert!(
            two.as_ref()
                .is_some_and(|(it, _)| it.pictures == 2 && it.mean > 0.1)
        );
        assert_eq!(grid.add_image(place(3), &plain).expect("measured"), two);
        assert_eq!(grid.images(), 2);
        assert_eq!(grid.thumbnails(1, 8), [stripes.shrunk_to(8)]);
    }
}
