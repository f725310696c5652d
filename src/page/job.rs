//! The job on show: a signal per cell, so that a step redraws one cell and nothing else.

use std::sync::Arc;

use leptos::prelude::*;

use crate::engine::protocol::{Frame, JobId, PairInfo};
use crate::engine::recipe::{Mode, Recipe};
use crate::sampler::{ModelRole, is_guided};

/// A job that the engine has begun.
pub struct Job {
    pub id: JobId,
    pub recipe: Recipe,
    /// Name of the pair that draws.
    pub pair_name: String,
    /// Size of an image in pixels: width, height.
    pub image_size: (u32, u32),
    /// See [`PairInfo::embeds_distilled_guidance`].
    embeds_distilled_guidance: bool,
    /// In the order of the recipe's modes.
    pub rows: Vec<Row>,
}

/// The cells of a mode.
#[derive(Clone)]
pub struct Row {
    pub mode: Mode,
    /// Who takes which steps, as far as the recipe tells.
    pub stretches: Vec<Stretch>,
    pub cells: Vec<Cell>,
}

/// A cell of the grid.
#[derive(Clone)]
pub struct Cell {
    pub mode: Mode,
    pub column: u32,
    pub seed: u32,
    pub view: ArcRwSignal<CellView>,
}

/// What a cell shows.
#[derive(Clone, Default)]
pub struct CellView {
    pub state: CellState,
    /// The last step that was taken.
    pub step: Option<StepTaken>,
    /// The last preview, or the image once it is done.
    pub frame: Option<Arc<Frame>>,
    /// Time of the model's steps, once the image is done.
    pub milliseconds: Option<f64>,
}

/// Where a cell stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CellState {
    /// Its turn has not come.
    #[default]
    Waiting,
    /// Its steps are being taken.
    Running,
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
            CellState::Done => "done",
            CellState::Failed => "failed",
        }
    }

    /// The state in words.
    pub fn label(self) -> &'static str {
        match self {
            CellState::Cancelled => "cancelled",
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

/// Steps on end of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub taken_by: TakenBy,
    pub steps: u32,
}

/// Who takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenBy {
    Model(ModelRole),
    /// Left out, as skip-first-step does.
    Nobody,
}

impl Job {
    /// A job with every cell waiting.
    pub fn new(id: JobId, recipe: Recipe, pair: &PairInfo) -> Self {
        let rows = Mode::ALL
            .into_iter()
            .filter(|mode| recipe.modes.contains(mode))
            .map(|mode| Row {
                mode,
                stretches: stretches(&recipe, mode),
                cells: (0..recipe.seed_count)
                    .map(|column| Cell {
                        mode,
                        column,
                        seed: recipe.seed_of(column),
                        view: ArcRwSignal::default(),
                    })
                    .collect(),
            })
            .collect();
        Job {
            id,
            recipe,
            pair_name: pair.name.clone(),
            image_size: pair.image_size,
            embeds_distilled_guidance: pair.embeds_distilled_guidance,
            rows,
        }
    }

    /// The cell at a place of the grid.
    pub fn cell(&self, mode: Mode, column: u32) -> Option<&Cell> {
        let row = self.rows.iter().find(|row| row.mode == mode)?;
        row.cells.get(usize::try_from(column).ok()?)
    }

    /// Every cell, row by row.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.rows.iter().flat_map(|row| &row.cells)
    }

    /// Gives every unfinished cell the state in which the job ended.
    pub fn end_unfinished(&self, state: CellState) {
        for cell in self.cells() {
            if cell.view.with_untracked(|view| view.state) != CellState::Done {
                cell.view.update(|view| view.state = state);
            }
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

    /// Steps that are done and steps that are left, by mode.
    pub fn steps(&self) -> Vec<StepCount> {
        self.rows
            .iter()
            .map(|row| {
                // The steps of a row are the same for each cell: the first report tells them all.
                let reported = row
                    .cells
                    .iter()
                    .find_map(|cell| cell.view.with_untracked(|view| view.step))
                    .map(|step| step.steps);
                let each = reported.unwrap_or_else(|| planned_steps(&row.stretches));
                let done = |cell: &Cell| {
                    cell.view.with_untracked(|view| match view.state {
                        CellState::Done => each,
                        _ => view.step.map_or(0, |step| step.step),
                    })
                };
                let done: u32 = row.cells.iter().map(done).sum();
                let cells = u32::try_from(row.cells.len()).unwrap_or(u32::MAX);
                StepCount {
                    mode: row.mode,
                    passes: self.passes(row.mode),
                    done,
                    left: each.saturating_mul(cells).saturating_sub(done),
                }
            })
            .collect()
    }
}

/// How far a mode's row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCount {
    pub mode: Mode,
    /// Passes of a model in a step: two where it is guided.
    pub passes: u32,
    pub done: u32,
    pub left: u32,
}

/// Who takes which steps in a mode. Exact but for a hybrid of several base steps per replaced
/// step, where the hand-over depends on both schedules; the engine's own count replaces it.
fn stretches(recipe: &Recipe, mode: Mode) -> Vec<Stretch> {
    let base = |steps| Stretch {
        taken_by: TakenBy::Model(ModelRole::Base),
        steps,
    };
    let distilled = |steps| Stretch {
        taken_by: TakenBy::Model(ModelRole::Distilled),
        steps,
    };
    let stretches = match mode {
        Mode::Base => vec![base(recipe.base_steps)],
        Mode::Distilled => vec![distilled(recipe.distilled_steps)],
        Mode::Hybrid => vec![
            base(recipe.k.saturating_mul(recipe.hybrid_base_steps)),
            distilled(recipe.distilled_steps.saturating_sub(recipe.k)),
        ],
        Mode::SkipFirstStep => vec![
            Stretch {
                taken_by: TakenBy::Nobody,
                steps: 1,
            },
            distilled(recipe.distilled_steps.saturating_sub(1)),
        ],
    };
    stretches
        .into_iter()
        .filter(|stretch| stretch.steps > 0)
        .collect()
}

/// The steps that are taken in all.
fn planned_steps(stretches: &[Stretch]) -> u32 {
    stretches
        .iter()
        .filter(|stretch| stretch.taken_by != TakenBy::Nobody)
        .map(|stretch| stretch.steps)
        .sum()
}
