//! The job loop: draws the cells of a grid step by step, and decodes strips between two steps.

#![expect(
    clippy::indexing_slicing,
    reason = "cells are of the rows that they were made of, values of the picture that was decoded"
)]

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use burn::tensor::{Tensor, TensorData};

use super::error::EngineError;
use super::grid_state::GridState;
use super::pair::Pair;
use super::plan::plan_for;
use super::prompt::{AdaptedPrompt, is_any_guided};
use crate::metrics::{distance, reduced_to_measure};
use crate::models::{Conditioning, PreparedConditioning, guidance_embedding};
use crate::picture::image::Image;
use crate::protocol::engine::{Extent, JobEvent, Latent, Snapshot, StripView, TaskEvent, TaskId};
use crate::protocol::stats::Phase;
use crate::recipe::digest::StepDigest;
use crate::recipe::{CellAddress, Mode, PromptReading, Recipe, Row};
use crate::sampler::{ModelCall, ModelRole, Sampling, combine, is_guided};

/// The surroundings of the job loop: the worker, or a test.
pub trait Host {
    /// Sends an event of the job to the page.
    fn emit(&mut self, event: JobEvent);
    /// Sends an event of a task to the page.
    fn emit_task(&mut self, id: TaskId, event: TaskEvent);
    /// Whether the job has been cancelled.
    fn is_cancelled(&self) -> bool;
    /// Lets the worker receive messages, such as a cancellation.
    fn pause(&self) -> impl Future<Output = ()>;
    /// A clock that never goes back, in milliseconds.
    fn milliseconds(&self) -> f64;
    /// Takes the next strip to decode. The job loop decodes it between two steps, outside their time.
    fn take_strip(&mut self) -> Option<StripRequest>;
    /// Whether phases are measured. Each then ends only when the device is done with it.
    fn measures(&self) -> bool {
        false
    }
    /// Takes the time of a phase that has just ended.
    fn took(&mut self, _phase: Phase, _milliseconds: f64) {}
}

/// A strip to decode: [`Task::Strip`](crate::protocol::engine::Task::Strip).
#[derive(Clone, Debug, PartialEq)]
pub struct StripRequest {
    /// The task whose events the frames are.
    pub task: TaskId,
    /// The recipe of the cell's grid.
    pub recipe: Recipe,
    /// The place of the cell in the grid.
    pub cell: CellAddress,
    /// Which latent of each step is decoded.
    pub view: StripView,
    /// Steps to leave out at the beginning: those that the page has already.
    pub skip: u32,
    /// Whether the frames are sent, and not the distances alone.
    pub sends_frames: bool,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every image is done.
    Done,
    /// The job was cancelled; finished images stay.
    Cancelled,
}

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
    // Long texts take the memory of pictures.
    let chunks = pair.most_chunks(recipe)?;
    let samples = (pair.allowance().batch as usize / chunks.div_ceil(FREE_CHUNKS)).max(1);
    for mut left in batches(recipe, &rows, extent, samples) {
        let Some(first) = left.first() else { continue };
        let row = &rows[first.row as usize];
        told.encode(pair, recipe, row, is_any_guided, host).await?;
        let plan = Arc::new(plan_for(row, recipe, pair.manifest())?);
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
        host.emit_task(id, TaskEvent::Convergence { distances });
    }
    host.emit_task(id, TaskEvent::Done);
    Ok(())
}

/// The grid's cells in the order in which they are drawn, those together that are drawn at the same time:
/// so many seeds as go through a UNet together, over all of the fast rows, so that the same seeds can be
/// compared early, and then the next seeds; and at last the base model's rows, which take as long as all
/// others. The cells of a batch are of one row, as they share the prompt and the models, and all of them
/// show their steps as these are taken.
fn batches(
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
    let passes = if is_any_guided && takes_two_passes(pair, first)? {
        2
    } else {
        1
    };
    let most = (samples / passes).clamp(1, calls.len());
    let count = 1 << most.ilog2();
    calls.truncate(count);
    together.truncate(count);
    Ok(calls)
}

/// What both passes of guidance are told.
struct Prompt<'a> {
    positive: &'a Conditioning,
    /// None where no step of the recipe is guided.
    negative: Option<&'a Negative>,
}

/// What the second pass of guidance is told, which has to be as long as the first one's.
struct Negative {
    conditioning: Conditioning,
    /// What follows it where the prompt has more chunks.
    filler: Conditioning,
    /// What follows the prompt where this one has more chunks: the empty text.
    positive_filler: Conditioning,
}

impl Negative {
    async fn of(
        pair: &Pair,
        recipe: &Recipe,
        strengths: &[u32],
        host: &mut impl Host,
    ) -> Result<Self, EngineError> {
        let adapted = |text: &str| AdaptedPrompt {
            prompt: recipe.read_prompt(text),
            strengths: strengths.to_vec(),
        };
        let prompt = adapted(&recipe.negative_prompt);
        let negative = |pair: &Pair| pair.encode_negative_prompt(&prompt);
        let conditioning = encode(pair, host, negative).await?;
        let has_chunks = recipe.prompt_reading() != PromptReading::default();
        // Elsewhere both are one chunk.
        let positive_filler = if has_chunks {
            pair.encode_prompt(&adapted(""))?
        } else {
            conditioning.clone()
        };
        // An empty one may be zeros, and stays what it is.
        let filler = if recipe.negative_prompt.is_empty() {
            conditioning.clone()
        } else {
            positive_filler.clone()
        };
        Ok(Negative {
            conditioning,
            filler,
            positive_filler,
        })
    }

    /// Both passes as one batch, this one first.
    fn with(&self, positive: &Conditioning) -> Conditioning {
        let (own, other) = (self.conditioning.tokens(), positive.tokens());
        let negative = self.conditioning.clone().filled_up(other, &self.filler);
        let positive = positive.clone().filled_up(own, &self.positive_filler);
        negative.concatenate(positive)
    }
}

impl Prompt<'_> {
    /// The conditioning of the second pass; none where the step takes one pass.
    fn unconditional(
        &self,
        pair: &Pair,
        call: &ModelCall,
    ) -> Result<Option<&Negative>, EngineError> {
        let is_guided = takes_two_passes(pair, call)?;
        Ok(self.negative.filter(|_| is_guided))
    }
}

/// Whether a step takes a second pass, without the prompt.
fn takes_two_passes(pair: &Pair, call: &ModelCall) -> Result<bool, EngineError> {
    // A full LCM model takes the guidance as an input instead.
    let is_embedded = pair.unet(call.model)?.config().time_cond_proj_dim.is_some();
    Ok(!is_embedded && is_guided(call.guidance_scale))
}

/// What the text encoders have made of the prompts of a grid, by the strengths of the adapters on them.
#[derive(Default)]
struct Told {
    positive: HashMap<AdaptedPrompt, Conditioning>,
    negative: HashMap<Vec<u32>, Negative>,
}

impl Told {
    /// Encodes what the models are told in a row, unless another row was told the same.
    async fn encode(
        &mut self,
        pair: &Pair,
        recipe: &Recipe,
        row: &Row,
        is_guided: bool,
        host: &mut impl Host,
    ) -> Result<(), EngineError> {
        for role in roles_of(row.mode) {
            let prompt = pair.adapted(recipe.read_prompt(&row.prompt), row, role);
            let strengths = prompt.strengths.clone();
            if let Entry::Vacant(entry) = self.positive.entry(prompt.clone()) {
                entry.insert(encode(pair, host, |pair| pair.encode_prompt(&prompt)).await?);
            }
            if is_guided && let Entry::Vacant(entry) = self.negative.entry(strengths) {
                let negative = Negative::of(pair, recipe, &prompt.strengths, host).await?;
                entry.insert(negative);
            }
        }
        Ok(())
    }

    /// What tells rows apart that are told something else.
    fn key(pair: &Pair, recipe: &Recipe, row: &Row) -> Vec<AdaptedPrompt> {
        let prompt = recipe.read_prompt(&row.prompt);
        let roles = [ModelRole::Base, ModelRole::Distilled];
        roles
            .map(|role| pair.adapted(prompt.clone(), row, role))
            .into()
    }

    /// What a model is told in a row.
    fn of(
        &self,
        pair: &Pair,
        recipe: &Recipe,
        row: &Row,
        role: ModelRole,
    ) -> Result<Prompt<'_>, EngineError> {
        let prompt = pair.adapted(recipe.read_prompt(&row.prompt), row, role);
        Ok(Prompt {
            positive: self.positive.get(&prompt).ok_or(EngineError::NotLoaded)?,
            negative: self.negative.get(&prompt.strengths),
        })
    }
}

/// The models that take steps in a mode.
fn roles_of(mode: Mode) -> impl Iterator<Item = ModelRole> {
    let base = mode.needs_base().then_some(ModelRole::Base);
    let distilled = mode.needs_distilled().then_some(ModelRole::Distilled);
    base.into_iter().chain(distilled)
}

/// What the models have made of the prompt of the cells that are drawn. Those of other prompts are
/// dropped: the keys and values of SDXL's cross-attentions take 55 MB.
#[derive(Default)]
struct PreparedPrompt {
    told: Vec<AdaptedPrompt>,
    conditionings: HashMap<PreparedFor, PreparedConditioning>,
}

/// What a prompt was prepared for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct PreparedFor {
    model: ModelRole,
    /// Whether it is for both passes of guidance.
    is_guided: bool,
    /// The bits of the guidance scale of a model that takes it as an input.
    embedded_scale: u32,
    /// The cells that are drawn together.
    cells: usize,
    /// The bits of the strengths of the adapters.
    strengths: Vec<u32>,
}

impl PreparedPrompt {
    fn switch_to(&mut self, told: Vec<AdaptedPrompt>) {
        if self.told != told {
            self.told = told;
            self.conditionings.clear();
        }
    }

    /// The conditioning of a batch; `prepare` makes that of one cell.
    fn of(
        &mut self,
        wanted: &PreparedFor,
        prepare: impl FnOnce() -> PreparedConditioning,
    ) -> &PreparedConditioning {
        if !self.conditionings.contains_key(wanted) {
            let single = |of: &PreparedFor| PreparedFor {
                cells: 1,
                ..of.clone()
            };
            let own = single(wanted);
            // Those for batches of another size, and for other strengths, take memory, and these come
            // first.
            self.conditionings.retain(|known, _| {
                let is_of_now = known.model != wanted.model || known.strengths == wanted.strengths;
                is_of_now && (known.cells == 1 || single(known) != own)
            });
            let one = self
                .conditionings
                .entry(own.clone())
                .or_insert_with(prepare);
            if *wanted != own {
                let repeated = one.repeat(wanted.cells);
                self.conditionings.insert(wanted.clone(), repeated);
            }
        }
        &self.conditionings[wanted]
    }
}

/// Encodes a prompt as `encoding` does.
async fn encode(
    pair: &Pair,
    host: &mut impl Host,
    encoding: impl FnOnce(&Pair) -> Result<Conditioning, EngineError>,
) -> Result<Conditioning, EngineError> {
    let start = host.milliseconds();
    let conditioning = encoding(pair)?;
    if host.measures() {
        // The device works through what it is given in order: what is read is the last of it.
        read(conditioning.pooled.clone()).await?;
        host.took(Phase::TextEncoding, host.milliseconds() - start);
    }
    Ok(conditioning)
}

/// The model's predictions for the next step of several cells, after guidance: from two passes for each
/// cell where the step is guided, and from one conditional pass where it is not, all in one batch. The
/// calls are of the same step. Returns the size of the batch too.
async fn predict(
    pair: &Pair,
    calls: &[ModelCall],
    strengths: &[f32],
    prepared: &mut PreparedPrompt,
    prompt: &Prompt<'_>,
) -> Result<(Vec<Vec<f32>>, u32), EngineError> {
    let Some(call) = calls.first() else {
        return Ok((Vec::new(), 0));
    };
    let unet = pair.unet(call.model)?;
    let negative = prompt.unconditional(pair, call)?;
    let embedded = unet.config().time_cond_proj_dim;
    let wanted = PreparedFor {
        model: call.model,
        is_guided: negative.is_some(),
        embedded_scale: embedded.map_or(0, |_| call.guidance_scale.to_bits()),
        cells: calls.len(),
        strengths: strengths
            .iter()
            .map(|strength| strength.to_bits())
            .collect(),
    };
    pair.set_strengths(call.model, strengths);
    let conditioning = prepared.of(&wanted, || {
        let mut conditioning = match negative {
            Some(negative) => negative.with(prompt.positive),
            None => prompt.positive.clone(),
        };
        conditioning.guidance = embedded.map(|size| {
            let embedding = guidance_embedding(call.guidance_scale, size);
            Tensor::from_data(TensorData::new(embedding, [1, size]), pair.device())
        });
        unet.prepare(&conditioning)
    });
    let passes = if negative.is_some() { 2 } else { 1 };
    let samples = calls
        .iter()
        .flat_map(|call| std::iter::repeat_n(call.sample.as_slice(), passes))
        .flatten()
        .copied()
        .collect();
    let predictions =
        read(unet.forward(latents(pair, samples), call.timestep, conditioning)).await?;
    let length = (predictions.len() / calls.len()).max(1);
    let predictions = predictions.chunks_exact(length).map(|prediction| {
        match prediction.split_at(length / passes) {
            (unconditional, conditional) if passes == 2 => {
                combine(unconditional, conditional, call.guidance_scale)
            }
            (only, _) => only.to_vec(),
        }
    });
    Ok((predictions.collect(), (calls.len() * passes) as u32))
}

/// Latents, one behind the other, on the device: `[batch, channels, height, width]`.
fn latents(pair: &Pair, values: Vec<f32>) -> Tensor<4> {
    let [_, channels, height, width] = pair.latent_shape();
    let batch = values.len() / (channels * height * width);
    let data = TensorData::new(values, [batch, channels, height, width]);
    Tensor::from_data(data, pair.device())
}

async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, EngineError> {
    let failed = |reason: String| EngineError::Device { reason };
    let data = tensor
        .into_data_async()
        .await
        .map_err(|error| failed(error.to_string()))?;
    data.try_into_vec::<f32>()
        .map_err(|error| failed(format!("{error:?}")))
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
