//! The job loop: draws the cells of a grid step by step, and decodes strips between two steps.

#![expect(
    clippy::indexing_slicing,
    reason = "cells are of the rows that they were made of, values of the picture that was decoded"
)]

use std::sync::Arc;

use burn::tensor::Tensor;

use super::error::EngineError;
use super::grid_state::GridState;
use super::host::{Host, Outcome, StripRequest};
use super::pair::Pair;
use super::pass::{PreparedPrompt, latents, predict, read, takes_two_passes};
use super::plan::plan_for;
use super::prompt::is_any_guided;
use super::told::Told;
use crate::metrics::{distance, reduced_to_measure};
use crate::picture::image::Image;
use crate::picture::png_file::{self, Texts};
use crate::picture::stack::stacked;
use crate::protocol::engine::{Extent, JobEvent, Latent, Snapshot, StripView, TaskEvent};
use crate::protocol::stats::Phase;
use crate::recipe::digest::StepDigest;
use crate::recipe::{CellAddress, Mode, Recipe, Row};
use crate::results::npy;
use crate::sampler::{ModelCall, ModelRole, Sampling, is_guided};

/// Chunks of a prompt that don't make a batch smaller.
const FREE_CHUNKS: usize = 2;

/// Draws the grid of a recipe, or a part of it, with a pair whose UNets are loaded. Events have the
/// steps' previews and the images; `grid` takes the latents from which strips are decoded and a later
/// job goes on.
///
/// # Errors
/// The recipe doesn't fit the pair, or the device fails.
pub async fn generate(
    pair: &Pair,
    recipe: &Recipe,
    extent: &Extent,
    grid: &mut GridState,
    host: &mut impl Host,
) -> Result<Outcome, EngineError> {
    recipe.validate()?;
    grid.switch_to(recipe, extent.resumes);
    let rows = recipe.rows();
    let is_any_guided = is_any_guided(recipe, &rows);
    let mut told = Told::default();
    let mut prepared = PreparedPrompt::default();
    let depth = extent.depth.map_or(usize::MAX, |depth| depth as usize);
    let samples = samples_of(pair, recipe)?;
    let plan = |row| Ok(Arc::new(plan_for(row, recipe, pair.manifest())?));
    let plans: Result<Vec<_>, EngineError> = rows.iter().map(plan).collect();
    let plans = plans?;
    let steps = plans.iter().map(|plan| plan.steps().len() as u32);
    host.emit(JobEvent::Planned {
        steps: steps.collect(),
    });
    for mut left in batches(recipe, &rows, extent, samples) {
        let Some(first) = left.first() else { continue };
        let row = &rows[first.row as usize];
        told.encode(pair, recipe, row, is_any_guided, host).await?;
        let plan = plans[first.row as usize].clone();
        prepared.switch_to(Told::key(pair, recipe, row));
        for &cell in &left {
            grid.discard_finished(cell);
            grid.start_unless_begun(cell, || {
                let latent_length = pair.latent_shape().iter().product();
                let seed = u64::from(recipe.seed_of(cell.column));
                Sampling::new(plan.clone(), latent_length, seed)
            });
            host.emit(JobEvent::CellStarted { cell });
        }
        while !left.is_empty() {
            host.pause().await;
            while let Some(request) = host.take_strip() {
                strip(pair, grid, &request, host).await?;
            }
            if host.is_cancelled() {
                return Ok(Outcome::Cancelled);
            }
            // Whoever has taken its steps doesn't wait for the others.
            let mut at_its_end = None;
            for (place, &cell) in left.iter().enumerate() {
                let sampling = &grid.cell(cell)?.sampling;
                if sampling.is_done() || sampling.position() >= depth {
                    at_its_end = Some(place);
                    break;
                }
            }
            if let Some(place) = at_its_end {
                end(pair, left.remove(place), grid, host).await?;
                continue;
            }
            let mut together = grid.furthest_behind(&left)?;
            let calls = next_calls(pair, &mut together, samples, is_any_guided, grid)?;
            let role = calls.first().map_or(ModelRole::Base, |call| call.model);
            let prompt = told.of(pair, recipe, row, role)?;
            let strengths = match (calls.first(), together.first()) {
                (Some(call), Some(&cell)) => {
                    let step = grid.cell(cell)?.sampling.position() as u32 + 1;
                    row.strengths(call.model, step, call.timestep)
                }
                _ => Vec::new(),
            };
            let start = host.milliseconds();
            let (predictions, batch) =
                predict(pair, &calls, &strengths, &mut prepared, &prompt).await?;
            let milliseconds = host.milliseconds() - start;
            if let Some(call) = calls.first() {
                let model = call.model;
                host.took(Phase::UnetPass { model, batch }, milliseconds);
            }
            let each = milliseconds / calls.len().max(1) as f64;
            for (cell, prediction) in together.into_iter().zip(predictions) {
                let state = grid.cell(cell)?;
                state.milliseconds += each;
                // A step of Heun's takes another pass at its end.
                let Some(outcome) = state.sampling.advance(&prediction) else {
                    continue;
                };
                let milliseconds = state.milliseconds;
                let reached = Latent::of(&state.sampling.state());
                grid.record_step(cell, &outcome);
                let digest = StepDigest::of(&outcome.predicted_original);
                let target = latents(pair, outcome.predicted_original);
                let start = host.milliseconds();
                let preview = frame(pair.decode_small(target)).await?;
                host.took(Phase::Preview, host.milliseconds() - start);
                host.emit(JobEvent::Step {
                    cell,
                    step: outcome.step as u32,
                    steps: outcome.steps as u32,
                    timestep: outcome.timestep,
                    model: outcome.model,
                    preview,
                    digest,
                    milliseconds,
                    latent: reached,
                });
            }
        }
    }
    Ok(Outcome::Done)
}

/// Ends a cell that takes no step in this job any more: decodes its image, unless it rests.
async fn end(
    pair: &Pair,
    cell: CellAddress,
    grid: &mut GridState,
    host: &mut impl Host,
) -> Result<(), EngineError> {
    let state = grid.cell(cell)?;
    if !state.sampling.is_done() {
        host.emit(JobEvent::CellRests { cell });
        return Ok(());
    }
    let start = host.milliseconds();
    let image = frame(pair.decode(latents(pair, state.sampling.latent().to_vec()))).await?;
    let decoding = host.milliseconds() - start;
    state.milliseconds += decoding;
    let milliseconds = state.milliseconds;
    host.took(Phase::ImageDecode, decoding);
    let diversity = grid.add_image(cell, &image)?;
    host.emit(JobEvent::Image {
        cell,
        image,
        milliseconds,
        latent: npy::write(&pair.latent_shape(), grid.cell(cell)?.sampling.latent()),
    });
    if let Some((diversity, distances)) = diversity {
        host.emit(JobEvent::Diversity {
            row: cell.row,
            diversity,
            distances,
        });
    }
    for (row, change) in grid.changes(cell)? {
        host.emit(JobEvent::Change { row, change });
    }
    Ok(())
}

/// Begins cells where another engine left them, for a job that resumes them. What doesn't fit the recipe
/// is left out: such a cell starts from its seed.
///
/// # Errors
/// The recipe doesn't fit the pair.
pub fn restore(
    pair: &Pair,
    recipe: &Recipe,
    snapshots: &[Snapshot],
    grid: &mut GridState,
) -> Result<(), EngineError> {
    recipe.validate()?;
    grid.switch_to(recipe, true);
    let rows = recipe.rows();
    let latent_length = pair.latent_shape().iter().product();
    for snapshot in snapshots {
        let cell = snapshot.cell;
        let Some(row) = rows
            .get(cell.row as usize)
            .filter(|_| cell.column < recipe.seed_count)
        else {
            continue;
        };
        let sampling = Sampling::resume(
            Arc::new(plan_for(row, recipe, pair.manifest())?),
            latent_length,
            u64::from(recipe.seed_of(cell.column)),
            snapshot.step as usize,
            snapshot.latent.values(),
        );
        if let Some(sampling) = sampling {
            grid.restore(cell, sampling, snapshot.milliseconds);
        }
    }
    Ok(())
}

/// Decodes the steps that a cell has taken, with the tiny decoder where the pair has one.
///
/// # Errors
/// The device fails. Where the cell's steps were discarded, [`TaskEvent::Failed`] tells the page.
pub async fn strip(
    pair: &Pair,
    grid: &GridState,
    request: &StripRequest,
    host: &mut impl Host,
) -> Result<(), EngineError> {
    let id = request.task;
    let cell = grid.cell_of(&request.recipe, request.cell);
    let Some((cell, trace)) = cell.and_then(|cell| Some((cell, cell.trace()?))) else {
        let message = EngineError::StepsDiscarded.to_string();
        host.emit_task(id, TaskEvent::Failed { message });
        return Ok(());
    };
    let is_finished = cell.sampling.is_done();
    let steps = cell.sampling.steps();
    let wants_distances = is_finished && request.view == StripView::Target && request.skip == 0;
    let mut measured = Vec::new();
    for (step, number) in trace.iter().zip(1u32..).skip(request.skip as usize) {
        let start = host.milliseconds();
        let latent = latents(pair, step.latent(request.view).to_vec());
        let frame = frame(pair.decode_preview(latent)).await?;
        host.took(Phase::StripFrame, host.milliseconds() - start);
        if wants_distances {
            measured.push(reduced_to_measure(&frame));
        }
        if request.sends_frames {
            host.emit_task(
                id,
                TaskEvent::StripFrame {
                    step: number,
                    steps: steps as u32,
                    timestep: step.timestep,
                    model: step.model,
                    frame,
                },
            );
        }
        host.pause().await;
    }
    if wants_distances {
        // The steps' own decoder decodes it, so that only the latents differ.
        let last = latents(pair, cell.sampling.latent().to_vec());
        let last = frame(pair.decode_preview(last)).await?;
        let last = reduced_to_measure(&last);
        let distances = measured
            .iter()
            .map(|frame| distance(frame, &last))
            .collect::<Result<_, _>>()?;
        let targets = if request.sends_frames {
            Vec::new()
        } else {
            measured.push(last);
            png_of_stack(&measured)
        };
        host.emit_task(id, TaskEvent::Convergence { distances, targets });
    }
    host.emit_task(id, TaskEvent::Done);
    Ok(())
}

/// The pictures below each other as PNG; empty where they are too large for one.
fn png_of_stack(pictures: &[Image]) -> Vec<u8> {
    let stack = stacked(pictures);
    let view = stack.as_ref().and_then(|it| it.view().ok());
    let png = view.and_then(|it| png_file::encode(it, Texts::NONE).ok());
    png.unwrap_or_default()
}

/// The passes that go through a UNet together.
///
/// # Errors
/// A prompt can't be cut into tokens.
pub(super) fn samples_of(pair: &Pair, recipe: &Recipe) -> Result<usize, EngineError> {
    // Long texts take the memory of pictures.
    let chunks = pair.most_chunks(recipe)?;
    Ok((pair.allowance().batch as usize / chunks.div_ceil(FREE_CHUNKS)).max(1))
}

/// The grid's cells in the order in which they are drawn, those together that are drawn at the same time:
/// so many seeds as go through a UNet together, over all of the fast rows, so that the same seeds can be
/// compared early, and then the next seeds; and at last the base model's rows, which take as long as all
/// others. The cells of a batch are of one row, as they share the prompt and the models, and all of them
/// show their steps as these are taken.
pub(super) fn batches(
    recipe: &Recipe,
    rows: &[Row],
    extent: &Extent,
    samples: usize,
) -> Vec<Vec<CellAddress>> {
    let chosen = |base: bool| {
        rows.iter()
            .zip(0u32..)
            .filter(move |(row, _)| (row.mode == Mode::Base) == base)
            .map(|(_, row)| row)
    };
    let of = |row: u32, columns: &[u32]| -> Vec<CellAddress> {
        columns
            .iter()
            .map(|&column| CellAddress { row, column })
            .filter(|cell| extent.includes(*cell))
            .collect()
    };
    let columns: Vec<u32> = (0..recipe.seed_count).collect();
    let fast_columns: Vec<u32> = columns
        .iter()
        .copied()
        .filter(|&column| chosen(false).any(|row| extent.includes(CellAddress { row, column })))
        .collect();
    let fast = fast_columns
        .chunks(samples.max(1))
        .flat_map(|columns| chosen(false).map(|row| of(row, columns)));
    // Every step of these rows is guided, or none.
    let passes = if is_guided(recipe.base_guidance) {
        2
    } else {
        1
    };
    let base = chosen(true).flat_map(|row| {
        let cells = of(row, &columns);
        cells
            .chunks((samples / passes).max(1))
            .map(<[CellAddress]>::to_vec)
            .collect::<Vec<_>>()
    });
    fast.chain(base).filter(|cells| !cells.is_empty()).collect()
}

/// The model passes that cells wait for which have taken equally many steps. Leaves as many of them in
/// `together` as may take the step at once: a power of two, so that the shapes that the kernels meet,
/// and the pipelines for them, stay few.
fn next_calls(
    pair: &Pair,
    together: &mut Vec<CellAddress>,
    samples: usize,
    is_any_guided: bool,
    grid: &mut GridState,
) -> Result<Vec<ModelCall>, EngineError> {
    let mut calls = Vec::with_capacity(together.len());
    for &cell in &*together {
        calls.extend(grid.cell(cell)?.sampling.next());
    }
    let Some(first) = calls.first() else {
        return Ok(calls);
    };
    let passes = if is_any_guided && takes_two_passes(pair, first.model, first.guidance_scale)? {
        2
    } else {
        1
    };
    let count = together_of(calls.len(), samples, passes);
    calls.truncate(count);
    together.truncate(count);
    Ok(calls)
}

/// How many of so many cells take a step together that has so many passes.
pub(super) fn together_of(cells: usize, samples: usize, passes: usize) -> usize {
    let most = (samples / passes).clamp(1, cells.max(1));
    1 << most.ilog2()
}

/// A picture in −1…1 as 8-bit RGBA, rounded as diffusers does.
///
/// # Shapes
/// `picture`: `[1, 3, height, width]`.
async fn frame(picture: Tensor<4>) -> Result<Image, EngineError> {
    let [_, _, height, width] = picture.dims();
    let values = read(picture).await?;
    let plane = height * width;
    let byte = |value: f32| ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8;
    let rgba = (0..plane)
        .flat_map(|pixel| {
            let channel = |index: usize| byte(values[index * plane + pixel]);
            [channel(0), channel(1), channel(2), u8::MAX]
        })
        .collect();
    Ok(Image {
        width: width as u32,
        height: height as u32,
        rgba,
    })
}
