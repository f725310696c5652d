//! The grid on show: a signal per cell, so that a step redraws one cell and nothing else.

use std::sync::Arc;

use leptos::prelude::*;

use crate::metrics::Diversity;
use crate::picture::image::Image;
use crate::protocol::engine::{Extent, JobEvent, JobId, PairInfo};
use crate::recipe::digest::StepDigest;
use crate::recipe::{CellAddress, Mode, Recipe, Row};
use crate::sampler::{ModelRole, SchedulerClass, is_guided};
use crate::view::progress::StepCount;
use crate::view::stretches::{Stretch, planned_steps, stretches};

/// A grid that the engine has begun, whatever number of jobs it takes to finish it.
pub struct Grid {
    run: ArcRwSignal<Run>,
    pub recipe: Recipe,
    /// Address of the manifest of the pair that draws, relative to the page.
    pub pair_address: String,
    /// Name of the pair that draws.
    pub pair_name: String,
    /// Size of an image in pixels: width, height.
    pub image_size: (u32, u32),
    /// The pair's own schedulers: the base model's, the distilled one's.
    pub schedulers: (SchedulerClass, SchedulerClass),
    /// See [`PairInfo::embeds_distilled_guidance`].
    embeds_distilled_guidance: bool,
    /// In the order of [`Recipe::rows`].
    pub rows: Vec<GridRow>,
}

/// The engine's job that draws the grid now, or drew it last.
#[derive(Clone)]
struct Run {
    id: JobId,
    extent: Extent,
}

/// A row of cells.
#[derive(Clone)]
pub struct GridRow {
    pub row: Row,
    /// Who takes which steps, as far as the recipe tells.
    pub stretches: Vec<Stretch>,
    pub cells: Vec<Cell>,
    /// How different the finished images are, from two on.
    pub diversity: ArcRwSignal<Option<Diversity>>,
}

/// A cell of the grid.
#[derive(Clone)]
pub struct Cell {
    pub address: CellAddress,
    /// Of the row and the column, such as `hybrid-3`.
    pub key: String,
    pub seed: u32,
    pub view: ArcRwSignal<CellView>,
    /// Whether the visitor wants it finished.
    pub ticked: ArcRwSignal<bool>,
}

/// A step of a strip, decoded.
#[derive(Clone)]
pub struct StripStep {
    /// From 1.
    pub step: u32,
    /// Steps of the cell in all.
    pub steps: u32,
    /// Of 1000.
    pub timestep: f32,
    pub model: ModelRole,
    pub frame: Arc<Image>,
}

/// What a cell shows.
#[derive(Clone, Default)]
pub struct CellView {
    pub state: CellState,
    /// The last step that was taken.
    pub step: Option<StepTaken>,
    /// The last preview, or the image once it is done.
    pub frame: Option<Arc<Image>>,
    /// Time of the model's steps, once the image is done.
    pub milliseconds: Option<f64>,
    /// Of the steps that were taken.
    pub digests: Vec<StepDigest>,
}

/// Where a cell stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CellState {
    /// Its turn has not come.
    #[default]
    Waiting,
    /// Its steps are being taken.
    Running,
    /// It has had its first look, and can be finished.
    Resting,
    /// Its image is there.
    Done,
    /// Its turn will not come: the job was cancelled.
    Cancelled,
    /// The engine could not finish it.
    Failed,
}

impl CellState {
    /// The value of the cell's `data-state`, which has no word of its own for cancelled cells.
    pub fn key(self) -> &'static str {
        match self {
            CellState::Waiting | CellState::Cancelled => "waiting",
            CellState::Running => "running",
            CellState::Resting => "resting",
            CellState::Done => "done",
            CellState::Failed => "failed",
        }
    }

    /// The state in words.
    pub fn label(self) -> &'static str {
        match self {
            CellState::Cancelled => "cancelled",
            CellState::Resting => "first look, not finished",
            other => other.key(),
        }
    }
}

/// A step that has been taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTaken {
    /// From 1.
    pub step: u32,
    pub steps: u32,
    /// Of 1000.
    pub timestep: f32,
    pub model: ModelRole,
}

impl Grid {
    /// A grid with every cell waiting.
    pub fn new(recipe: Recipe, pair: &PairInfo, pair_address: String) -> Self {
        let cells = |row: &Row, index: u32| {
            (0..recipe.seed_count)
                .map(|column| Cell {
                    address: CellAddress { row: index, column },
                    key: format!("{}-{column}", row.key()),
                    seed: recipe.seed_of(column),
                    view: ArcRwSignal::default(),
                    ticked: ArcRwSignal::default(),
                })
                .collect()
        };
        let rows = recipe
            .rows()
            .into_iter()
            .zip(0..)
            .map(|(row, index)| GridRow {
                stretches: stretches(&recipe, &row),
                cells: cells(&row, index),
                diversity: ArcRwSignal::default(),
                row,
            })
            .collect();
        Grid {
            run: ArcRwSignal::new(Run {
                id: 0,
                extent: Extent::default(),
            }),
            pair_address,
            pair_name: pair.name.clone(),
            image_size: pair.image_size,
            schedulers: (pair.base_scheduler, pair.distilled_scheduler),
            embeds_distilled_guidance: pair.embeds_distilled_guidance,
            recipe,
            rows,
        }
    }

    /// Notes which of the engine's jobs draws it from now on.
    pub fn begin(&self, id: JobId, extent: Extent) {
        self.run.set(Run { id, extent });
    }

    /// The engine's job that draws it now, or drew it last.
    pub fn id(&self) -> JobId {
        self.run.with_untracked(|run| run.id)
    }

    /// How much of the grid that job draws.
    pub fn extent(&self) -> Extent {
        self.run.with_untracked(|run| run.extent.clone())
    }

    /// The cell at a place of the grid.
    pub fn cell(&self, address: CellAddress) -> Option<&Cell> {
        let row = self.rows.get(usize::try_from(address.row).ok()?)?;
        row.cells.get(usize::try_from(address.column).ok()?)
    }

    /// Every cell, row by row.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.rows.iter().flat_map(|row| &row.cells)
    }

    /// The cells that are so, row by row.
    pub fn cells_that(&self, is: impl Fn(&Cell) -> bool) -> Vec<CellAddress> {
        self.cells()
            .filter(|cell| is(cell))
            .map(|cell| cell.address)
            .collect()
    }

    /// Gives every cell that waits or runs the state in which the job ended.
    pub fn end_unfinished(&self, state: CellState) {
        for cell in self.cells() {
            let unfinished = cell.view.with_untracked(|view| {
                matches!(
                    view.state,
                    CellState::Waiting | CellState::Running | CellState::Cancelled
                )
            });
            if unfinished {
                cell.view.update(|view| view.state = state);
            }
        }
    }

    /// Shows what the running job says of a cell or a row; its other events change no cell.
    pub fn show(&self, event: JobEvent) {
        match event {
            JobEvent::CellStarted { cell } => {
                self.change(cell, |view| view.state = CellState::Running);
            }
            JobEvent::Step {
                cell,
                step,
                steps,
                timestep,
                model,
                preview,
                digest,
            } => self.change(cell, |view| {
                // The steps of a cell that starts over come once more.
                let before = usize::try_from(step.saturating_sub(1)).unwrap_or(usize::MAX);
                view.digests.truncate(before);
                view.digests.push(digest);
                view.state = CellState::Running;
                view.step = Some(StepTaken {
                    step,
                    steps,
                    timestep,
                    model,
                });
                view.frame = Some(Arc::new(preview));
            }),
            JobEvent::CellRests { cell } => {
                self.change(cell, |view| view.state = CellState::Resting);
            }
            JobEvent::Image {
                cell,
                image,
                milliseconds,
            } => self.change(cell, |view| {
                view.state = CellState::Done;
                view.frame = Some(Arc::new(image));
                view.milliseconds = Some(milliseconds);
            }),
            JobEvent::Diversity { row, diversity } => {
                let row = usize::try_from(row).ok();
                if let Some(row) = row.and_then(|row| self.rows.get(row)) {
                    row.diversity.set(Some(diversity));
                }
            }
            JobEvent::LacksWeights
            | JobEvent::Started
            | JobEvent::Loading { .. }
            | JobEvent::Compiling
            | JobEvent::Done
            | JobEvent::Cancelled
            | JobEvent::Failed { .. } => {}
        }
    }

    fn change(&self, address: CellAddress, change: impl FnOnce(&mut CellView)) {
        if let Some(cell) = self.cell(address) {
            cell.view.update(change);
        }
    }

    /// Passes of a model in most steps of a mode.
    fn passes(&self, mode: Mode) -> u32 {
        let guidance = match mode {
            Mode::Base => self.recipe.base_guidance,
            _ if self.embeds_distilled_guidance => return 1,
            _ => self.recipe.distilled_guidance,
        };
        if is_guided(guidance) { 2 } else { 1 }
    }

    /// Steps of the running job that are done and that are left, by row.
    pub fn steps(&self) -> Vec<StepCount> {
        let extent = self.extent();
        let in_extent = |cell: &&Cell| extent.includes(cell.address);
        self.rows
            .iter()
            .zip(0..)
            .map(|(row, index)| {
                // The steps of a row are the same for each cell: the first report tells them all.
                let reported = row
                    .cells
                    .iter()
                    .find_map(|cell| cell.view.with_untracked(|view| view.step))
                    .map(|step| step.steps);
                let each = reported.unwrap_or_else(|| planned_steps(&row.stretches));
                let each = extent.depth.map_or(each, |depth| depth.min(each));
                let done = |cell: &Cell| {
                    cell.view.with_untracked(|view| match view.state {
                        CellState::Done => each,
                        _ => view.step.map_or(0, |step| step.step.min(each)),
                    })
                };
                let done: u32 = row.cells.iter().filter(in_extent).map(done).sum();
                let cells = row.cells.iter().filter(in_extent).count();
                let cells = u32::try_from(cells).unwrap_or(u32::MAX);
                StepCount {
                    row: index,
                    passes: self.passes(row.row.mode),
                    done,
                    left: each.saturating_mul(cells).saturating_sub(done),
                }
            })
            .collect()
    }
}
