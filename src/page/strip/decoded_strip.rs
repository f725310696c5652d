//! The frames of one cell in one view, asked for as the cell takes its steps.

use std::sync::Arc;

use leptos::prelude::*;

use super::open_cell::OpenCell;
use crate::page::workers::engine::EngineClient;
use crate::page::workers::grid::{CellState, StripStep};
use crate::protocol::engine::{StripView, Task, TaskEvent, TaskId};

/// The frames and distances that the engine has sent so far. They are dropped when the cell goes or
/// starts over.
#[derive(Clone, Copy)]
pub struct DecodedStrip {
    /// Of the steps that are decoded, from the first on.
    pub frames: RwSignal<Vec<StripStep>>,
    /// Of each step's Diffusion Target to the final image, once that is there.
    pub distances: RwSignal<Option<Vec<f64>>>,
    /// Why frames can't be had: a sentence.
    pub problem: RwSignal<Option<String>>,
    /// Of the frames.
    pub timesteps: Memo<Vec<f32>>,
    /// Whether every step of the cell is there.
    pub is_complete: Memo<bool>,
}

/// How far a cell is, as far as it matters to its strip.
#[derive(Clone, PartialEq)]
struct CellProgress {
    cell: OpenCell,
    state: CellState,
    /// Steps that have been taken.
    steps: u32,
}

impl DecodedStrip {
    /// The strip of whatever cell this is; nothing is asked for, or kept, while there is none.
    pub fn new(
        engine: EngineClient,
        cell: Signal<Option<OpenCell>>,
        view: StripView,
    ) -> DecodedStrip {
        let frames = RwSignal::new(Vec::<StripStep>::new());
        let distances = RwSignal::new(None);
        let problem = RwSignal::new(None);
        let is_under_way = RwSignal::new(false);
        let running_task = StoredValue::new(None::<TaskId>);
        let decoded = DecodedStrip {
            frames,
            distances,
            problem,
            timesteps: Memo::new(move |_| {
                frames.with(|frames| frames.iter().map(|frame| frame.timestep).collect())
            }),
            is_complete: Memo::new(move |_| {
                frames.with(|frames| {
                    let steps = frames.last().map(|last| last.steps as usize);
                    steps == Some(frames.len())
                })
            }),
        };
        let reply = Callback::new(move |event| match event {
            TaskEvent::StripFrame {
                step,
                steps,
                timestep,
                model,
                frame,
            } => {
                frames.maybe_update(|frames| {
                    // Steps that are known come again where all of them were asked for.
                    let is_next = step as usize == frames.len() + 1;
                    if is_next {
                        frames.push(StripStep {
                            step,
                            steps,
                            timestep,
                            model,
                            frame: Arc::new(frame),
                        });
                    }
                    is_next
                });
            }
            TaskEvent::Convergence {
                distances: numbers, ..
            } => distances.set(Some(numbers)),
            TaskEvent::Failed { message } => {
                problem.set(Some(message));
                is_under_way.set(false);
            }
            TaskEvent::Done => is_under_way.set(false),
            TaskEvent::File { .. } | TaskEvent::Tokens(_) | TaskEvent::Experiment(_) => {}
        });
        let progress = Memo::new(move |_| {
            let cell = cell.get()?;
            let (state, steps) = cell
                .cell
                .view
                .with(|view| (view.state, view.step.map_or(0, |step| step.step)));
            Some(CellProgress { cell, state, steps })
        });
        let forget = move || {
            if let Some(task) = running_task.get_value() {
                engine.forget_task(task);
            }
            running_task.set_value(None);
            is_under_way.set(false);
        };
        // The last request: the cell's progress, and how many frames were there. The same request is not
        // made twice in vain.
        let requested = StoredValue::new(None::<(CellProgress, usize)>);
        Effect::new(move |before: Option<Option<CellProgress>>| {
            let before = before.flatten();
            let now = progress.get();
            let goes_on =
                matches!((&before, &now), (Some(before), Some(now)) if now.follows(before));
            if !goes_on && before.is_some() {
                forget();
                let failed = problem.with_untracked(Option::is_some);
                decoded.empty();
                // The engine says a cell's steps anew only after its turn has come: until then the
                // number of steps is an old one, and asking for them would fail as before.
                let stale = now
                    .clone()
                    .filter(|now| failed && before.as_ref().is_some_and(|it| it.cell == now.cell));
                requested.set_value(stale.map(|now| (now, 0)));
            }
            let under_way = is_under_way.get();
            if let Some(now) = &now
                && !under_way
            {
                let known = frames.with_untracked(Vec::len);
                let is_done = now.state == CellState::Done;
                let lacks_distances =
                    view == StripView::Target && distances.with_untracked(Option::is_none);
                let lacks =
                    known < now.steps as usize || (is_done && (known == 0 || lacks_distances));
                let this = (now.clone(), known);
                let is_new = requested.with_value(|requested| match requested {
                    Some((progress, known)) => *progress != this.0 || *known != this.1,
                    None => true,
                });
                if lacks && is_new && problem.with_untracked(Option::is_none) {
                    requested.set_value(Some(this));
                    is_under_way.set(true);
                    // The distances come with all the steps or not at all.
                    let skip = if is_done && view == StripView::Target {
                        0
                    } else {
                        u32::try_from(known).unwrap_or(u32::MAX)
                    };
                    let task = Task::Strip {
                        recipe: Box::new(now.cell.grid.recipe.clone()),
                        cell: now.cell.address(),
                        view,
                        skip,
                    };
                    running_task.set_value(Some(engine.run_task(task, move |it| reply.run(it))));
                }
            }
            now
        });
        decoded
    }

    fn empty(&self) {
        self.frames.maybe_update(|frames| {
            let had_any = !frames.is_empty();
            *frames = Vec::new();
            had_any
        });
        self.distances.set(None);
        self.problem.set(None);
    }

    /// The frame of the last step, where every step is there: the finished picture.
    pub fn last(&self) -> Option<Arc<crate::picture::image::Image>> {
        if !self.is_complete.get() {
            return None;
        }
        self.frames
            .with(|frames| frames.last().map(|last| last.frame.clone()))
    }
}

impl CellProgress {
    /// Whether the frames that came for earlier progress are still those of the cell.
    fn follows(&self, before: &CellProgress) -> bool {
        let starts_over = before.state == CellState::Done && self.state != CellState::Done;
        self.cell == before.cell && self.steps >= before.steps && !starts_over
    }
}
