//! What the engine keeps of the grid that it drew last: each cell's latent, so that a cell goes on
//! where it rested; the latents of its steps, so that a strip is decoded when somebody looks at it
//! and not while the grid is drawn; and each row's images, for their distances.

#![expect(
    clippy::indexing_slicing,
    reason = "as many images are kept as distances"
)]

use std::collections::BTreeMap;

use super::error::EngineError;
use crate::metrics::{Diversity, MetricsError, PairwiseDistances, structural_dissimilarity};
use crate::picture::image::Image;
use crate::protocol::engine::StripView;
use crate::recipe::{CellAddress, Recipe};
use crate::sampler::{ModelCall, ModelRole, Sampling, StepOutcome};

/// The most bytes of steps' latents that are kept: 8 kB a step for the emoji pair, half a megabyte
/// for an SDXL image of 1024 × 1024.
const MAXIMUM_TRACE_BYTES: usize = 256 << 20;
/// The longer side of what pictures are measured on, in pixels. Larger ones are averaged down: the
/// distance is one of small pictures, and the pairs of a row are many.
const MEASURED_SIDE: u32 = 256;

/// The cells of the last recipe.
#[derive(Default)]
pub struct Kept {
    recipe: Option<Recipe>,
    cells: BTreeMap<CellAddress, KeptCell>,
    rows: BTreeMap<u32, RowImages>,
    /// Cells whose steps are kept, in the order in which they were begun.
    traced: Vec<CellAddress>,
    trace_bytes: usize,
}

/// A cell between two steps, or after its last.
pub(super) struct KeptCell {
    pub sampling: Sampling,
    /// Time of the steps so far, in milliseconds.
    pub milliseconds: f64,
    trace: Vec<TraceStep>,
    is_traced: bool,
}

/// A step that a cell has taken, as latents.
pub(super) struct TraceStep {
    pub timestep: f32,
    pub model: ModelRole,
    /// The Diffusion Target.
    target: Vec<f32>,
    /// What the model was given.
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

/// The finished images of a row.
#[derive(Default)]
struct RowImages {
    columns: Vec<u32>,
    images: Vec<Image>,
    distances: PairwiseDistances,
}

impl Kept {
    /// Turns to a recipe. What is kept of the same recipe stays if the job resumes it.
    pub(super) fn turn_to(&mut self, recipe: &Recipe, resumes: bool) {
        if !resumes || !self.is_of(recipe) {
            *self = Kept {
                recipe: Some(recipe.clone()),
                ..Kept::default()
            };
        }
    }

    /// Forgets everything, as when the pair changes.
    pub fn clear(&mut self) {
        *self = Kept::default();
    }

    /// Has `start` begin the cell if nothing is kept of it.
    pub(super) fn start_unless_kept(
        &mut self,
        address: CellAddress,
        start: impl FnOnce() -> Sampling,
    ) {
        self.cells.entry(address).or_insert_with(|| {
            self.traced.push(address);
            KeptCell {
                sampling: start(),
                milliseconds: 0.0,
                trace: Vec::new(),
                is_traced: true,
            }
        });
    }

    /// The cell.
    ///
    /// # Errors
    /// [`EngineError::NotKept`] if it was not begun.
    pub(super) fn cell(&mut self, address: CellAddress) -> Result<&mut KeptCell, EngineError> {
        self.cells.get_mut(&address).ok_or(EngineError::NotKept)
    }

    /// Forgets a cell that is finished: it was asked for again, perhaps because its steps are gone.
    pub(super) fn forget_finished(&mut self, address: CellAddress) {
        let is_finished = self
            .cells
            .get(&address)
            .is_some_and(|cell| cell.sampling.next().is_none());
        if is_finished && let Some(cell) = self.cells.remove(&address) {
            self.trace_bytes -= cell.trace.iter().map(TraceStep::bytes).sum::<usize>();
            self.traced.retain(|traced| *traced != address);
        }
    }

    /// A cell of a recipe, with the steps that it has taken.
    pub(super) fn cell_of(&self, recipe: &Recipe, address: CellAddress) -> Option<&KeptCell> {
        if !self.is_of(recipe) {
            return None;
        }
        self.cells.get(&address)
    }

    /// Notes a step that a cell has taken. Where there is no more room the cells that were begun
    /// first lose their steps, and only those.
    pub(super) fn note_step(
        &mut self,
        address: CellAddress,
        call: ModelCall,
        outcome: &StepOutcome,
    ) {
        let step = TraceStep {
            timestep: outcome.timestep,
            model: outcome.model,
            target: outcome.predicted_original.clone(),
            sample: call.sample,
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

    /// Adds a finished image to its row. The row's diversity from two images on.
    pub(super) fn add_image(
        &mut self,
        address: CellAddress,
        image: &Image,
    ) -> Result<Option<Diversity>, EngineError> {
        let row = self.rows.entry(address.row).or_default();
        if row.columns.contains(&address.column) {
            return Ok(row.distances.diversity());
        }
        let image = reduced_to_measure(image);
        row.distances
            .push(|place| distance(&image, &row.images[place]))?;
        row.columns.push(address.column);
        row.images.push(image);
        Ok(row.distances.diversity())
    }

    /// Whether what is kept is of this recipe.
    pub fn is_of(&self, recipe: &Recipe) -> bool {
        self.recipe.as_ref() == Some(recipe)
    }

    /// Finished images, at most so many, small: the first of each row, then the second of each.
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

impl KeptCell {
    /// The steps that were taken; none where they are no longer kept.
    pub(super) fn trace(&self) -> Option<&[TraceStep]> {
        self.is_traced.then_some(self.trace.as_slice())
    }
}

/// The picture at the size at which pictures are measured.
pub(super) fn reduced_to_measure(frame: &Image) -> Image {
    frame.shrunk_to(MEASURED_SIDE)
}

/// How far two pictures of [`reduced_to_measure`] are apart.
pub(super) fn distance(frame: &Image, other: &Image) -> Result<f64, MetricsError> {
    structural_dissimilarity(frame.view()?, other.view()?)
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
        let mut kept = Kept::default();
        let place = |column| CellAddress { row: 0, column };
        let stripes = frame(16, 16, |x, _| if x % 4 < 2 { 250 } else { 0 });
        let plain = frame(16, 16, |_, _| 120);
        assert_eq!(kept.add_image(place(0), &stripes).expect("measured"), None);
        let two = kept.add_image(place(3), &plain).expect("measured");
        assert!(two.is_some_and(|it| it.pictures == 2 && it.mean > 0.1));
        assert_eq!(kept.add_image(place(3), &plain).expect("measured"), two);
        assert_eq!(kept.images(), 2);
        assert_eq!(kept.thumbnails(1, 8), [stripes.shrunk_to(8)]);
    }
}
