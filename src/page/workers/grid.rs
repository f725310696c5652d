//! The grid that the page shows: a signal per cell, so that a step redraws one cell and nothing else.

use std::sync::Arc;

use leptos::prelude::*;

use crate::metrics::{Change, Diversity, RowDistances};
use crate::picture::image::Image;
use crate::protocol::engine::{Extent, JobEvent, JobId, PairInfo, Snapshot};
use crate::recipe::digest::StepDigest;
use crate::recipe::{CellAddress, Mode, Recipe, Row};
use crate::sampler::{ModelRole, SchedulerChoice, is_guided};
use crate::view::progress::StepCount;
use crate::view::stretches::{Stretch, planned_steps, stretches};

/// A grid that the engine has begun. Several jobs may draw it: a first look, and later ones that finish
/// cells.
pub struct Grid {
    job: ArcRwSignal<GridJob>,
    pub recipe: Recipe,
    /// Address of the manifest of the pair that draws, relative to the page.
    pub pair_address: String,
    /// Name of the pair that draws.
    pub pair_name: String,
    /// Size of an image in pixels: width, height.
    pub image_size: (u32, u32),
    /// The pair's own schedulers: that of the base model, that of the distilled model.
    pub schedulers: (SchedulerChoice, SchedulerChoice),
    /// See [`PairInfo::embeds_distilled_guidance`].
    embeds_distilled_guidance: bool,
    /// In the order of [`Recipe::rows`].
    pub rows: Vec<GridRow>,
}

/// The engine's job that draws the grid now, or drew it last.
#[derive(Clone)]
struct GridJob {
    id: JobId,
    extent: Extent,
}

/// A row of cells.
#[derive(Clone)]
pub struct GridRow {
    pub row: Row,
    /// Which model takes which steps, as far as the recipe determines that.
    pub stretches: Vec<Stretch>,
    /// The steps of a cell as the engine counts them; none until it has.
    pub steps: ArcRwSignal<Option<u32>>,
    pub cells: Vec<Cell>,
    /// The diversity of the finished images; none for fewer than two.
    pub diversity: ArcRwSignal<Option<Diversity>>,
    /// The distances of the same images.
    pub distances: ArcRwSignal<RowDistances>,
    /// How much the first adapter changes the images; none where rows don't differ in its strength.
    pub change: ArcRwSignal<Option<Change>>,
}

/// A cell of the grid.
#[derive(Clone)]
pub struct Cell {
    pub address: CellAddress,
    /// The row's key and the column, such as `hybrid-3`.
    pub key: String,
    pub seed: u32,
    pub view: ArcRwSignal<CellView>,
    /// Whether the visitor has ticked it, to be finished.
    pub ticked: ArcRwSignal<bool>,
}

/// A decoded step of a strip.
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

/// The content of a cell.
#[derive(Clone, Default)]
pub struct CellView {
    pub state: CellState,
    /// The last step that was taken; none before the first one.
    pub step: Option<StepTaken>,
    /// The last preview, or the image once it is done.
    pub frame: Option<Arc<Image>>,
    /// Time of the model's steps; none until the image is done.
    pub milliseconds: Option<f64>,
    /// A digest of each step so far.
    pub digests: Vec<StepDigest>,
    /// From which another worker can go on; none before the first step, and once the image is done.
    pub snapshot: Option<Arc<Snapshot>>,
}

/// The state of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CellState {
    /// The job has not begun it.
    #[default]
    Waiting,
    /// Its steps are being taken.
    Running,
    /// It has had its first steps, and can be finished.
    Resting,
    /// Its image is finished.
    Done,
    /// The job was cancelled before it was finished.
    Cancelled,
    /// The engine could not finish it.
    Failed,
}

impl CellState {
    /// The value of the cell's `data-state`, which is "waiting" for cancelled cells, too.
    pub fn key(self) -> &'static str {
        match self {
            CellState::Waiting | CellState::Cancelled => "waiting",
            CellState::Running => "running",
            CellState::Resting => "resting",
            CellState::Done => "done",
            CellState::Failed => "failed",
        }
    }

    /// The words for the state that visitors read.
    pub fn label(self) -> &'static str {
        match self {
            CellState::Cancelled => "cancelled",
            CellState::Resting => "first look, not finished",
            other => other.key(),
        }
    }
}

/// A finished step of a cell.
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
    /// A grid whose cells all wait.
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
                steps: ArcRwSignal::default(),
                cells: cells(&row, index),
                diversity: ArcRwSignal::default(),
                distances: ArcRwSignal::default(),
                change: ArcRwSignal::default(),
                row,
            })
            .collect();
        // The engine refuses a size that the pair doesn't draw, before it draws a cell.
        let size = pair.sizes.drawn(recipe.size).unwrap_or(pair.sizes.own);
        Grid {
            job: ArcRwSignal::new(GridJob {
                id: 0,
                extent: Extent::default(),
            }),
            pair_address,
            pair_name: pair.name.clone(),
            image_size: (size.width, size.height),
            schedulers: (pair.base_scheduler.choice, pair.distilled_scheduler.choice),
            embeds_distilled_guidance: pair.embeds_distilled_guidance,
            recipe,
            rows,
        }
    }

    /// Sets the job that draws the grid from now on.
    pub fn begin(&self, id: JobId, extent: Extent) {
        self.job.set(GridJob { id, extent });
    }

    /// The job that draws the grid now, or drew it last.
    pub fn id(&self) -> JobId {
        self.job.with_untracked(|job| job.id)
    }

    /// The part of the grid that this job draws.
    pub fn extent(&self) -> Extent {
        self.job.with_untracked(|job| job.extent.clone())
    }

    /// The cell at an address; none outside the grid.
    pub fn cell(&self, address: CellAddress) -> Option<&Cell> {
        let row = self.rows.get(usize::try_from(address.row).ok()?)?;
        row.cells.get(usize::try_from(address.column).ok()?)
    }

    /// Every cell, row by row.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.rows.iter().flat_map(|row| &row.cells)
    }

    /// The addresses of the cells that match, row by row.
    pub fn cells_that(&self, matches: impl Fn(&Cell) -> bool) -> Vec<CellAddress> {
        self.cells()
            .filter(|cell| matches(cell))
            .map(|cell| cell.address)
            .collect()
    }

    /// Where the cells of an extent have got to.
    pub fn snapshots(&self, extent: &Extent) -> Vec<Snapshot> {
        self.cells()
            .filter(|cell| extent.includes(cell.address))
            .filter_map(|cell| cell.view.with_untracked(|view| view.snapshot.clone()))
            .map(|snapshot| Snapshot::clone(&snapshot))
            .collect()
    }

    /// Gives every cell that waits, runs or was cancelled the state in which the job ended.
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

    /// The job goes on by itself: the cells that it left unfinished wait.
    pub fn wait_again(&self) {
        let extent = self.extent();
        for cell in self.cells().filter(|cell| extent.includes(cell.address)) {
            if cell.view.with_untracked(|view| view.state) == CellState::Cancelled {
                cell.view.update(|view| view.state = CellState::Waiting);
            }
        }
    }

    /// Shows an event of the running job in its cell or row; other events change nothing here.
    pub fn show(&self, event: JobEvent) {
        match event {
            JobEvent::Planned { steps } => {
                for (row, steps) in self.rows.iter().zip(steps) {
                    row.steps.set(Some(steps));
                }
            }
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
                milliseconds,
                latent,
            } => self.change(cell, |view| {
                // A cell that starts over takes its steps again.
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
                view.snapshot = Some(Arc::new(Snapshot {
                    cell,
                    step,
                    milliseconds,
                    latent,
                }));
            }),
            JobEvent::CellRests { cell } => {
                self.change(cell, |view| view.state = CellState::Resting);
            }
            JobEvent::Image {
                cell,
                image,
                milliseconds,
                ..
            } => self.change(cell, |view| {
                view.state = CellState::Done;
                view.frame = Some(Arc::new(image));
                view.milliseconds = Some(milliseconds);
                view.snapshot = None;
            }),
            JobEvent::Diversity {
                row,
                diversity,
                distances,
            } => {
                let row = usize::try_from(row).ok();
                if let Some(row) = row.and_then(|row| self.rows.get(row)) {
                    row.diversity.set(Some(diversity));
                    row.distances.set(distances);
                }
            }
            JobEvent::Change { row, change } => {
                let row = usize::try_from(row).ok();
                if let Some(row) = row.and_then(|row| self.rows.get(row)) {
                    row.change.set(Some(change));
                }
            }
            JobEvent::LacksWeights { .. }
            | JobEvent::Started
            | JobEvent::Loading { .. }
            | JobEvent::Preparing { .. }
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

    /// The passes of a model in most steps of a mode: two with classifier-free guidance, and twice as many
    /// with Heun's method.
    fn passes(&self, mode: Mode) -> u32 {
        let recipe = &self.recipe;
        let (base, distilled) = self.schedulers;
        let (guidance, scheduler) = match mode {
            Mode::Base => (recipe.base_guidance, recipe.base_scheduler.unwrap_or(base)),
            _ => (
                recipe.distilled_guidance,
                recipe.distilled_scheduler.unwrap_or(distilled),
            ),
        };
        let is_embedded = mode != Mode::Base && self.embeds_distilled_guidance;
        let guided = if is_guided(guidance) && !is_embedded {
            2
        } else {
            1
        };
        let ends = if scheduler == SchedulerChoice::Heun {
            2
        } else {
            1
        };
        guided * ends
    }

    /// The running job's steps, finished and left, by row.
    pub fn steps(&self) -> Vec<StepCount> {
        let extent = self.extent();
        let in_extent = |cell: &&Cell| extent.includes(cell.address);
        self.rows
            .iter()
            .zip(0..)
            .map(|(row, index)| {
                let counted = row.steps.get_untracked();
                let each = counted.unwrap_or_else(|| planned_steps(&row.stretches));
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
