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
use super::grid_state::{GridState, distance, reduced_to_measure};
use super::pair::{Pair, plan_for};
use crate::models::{Conditioning, PreparedConditioning, guidance_embedding};
use crate::picture::image::Image;
use crate::protocol::engine::{Extent, JobEvent, StripView, TaskEvent, TaskId};
use crate::protocol::stats::Phase;
use crate::recipe::digest::StepDigest;
use crate::recipe::{CellAddress, Mode, Recipe, Row};
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
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every image is done.
    Done,
    /// The job was cancelled; finished images stay.
    Cancelled,
}

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
    let is_any_guided = [recipe.base_guidance, recipe.distilled_guidance]
        .into_iter()
        .chain(rows.iter().map(|row| row.hybrid_base_guidance))
        .any(is_guided);
    let negative = if is_any_guided {
        Some(
            encode(pair, host, |pair| {
                pair.encode_negative_prompt(&recipe.negative_prompt)
            })
            .await?,
        )
    } else {
        None
    };
    let mut prompts = HashMap::new();
    let mut prepared = PreparedPrompt::default();
    let depth = extent.depth.map_or(usize::MAX, |depth| depth as usize);
    for cell in cells(recipe, &rows, extent) {
        let row = &rows[cell.row as usize];
        let prompt = match prompts.entry(row.prompt.as_str()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                entry.insert(encode(pair, host, |pair| pair.encode_prompt(&row.prompt)).await?)
            }
        };
        let plan = Arc::new(plan_for(row, recipe, pair.manifest())?);
        grid.discard_finished(cell);
        grid.start_unless_begun(cell, || {
            let latent_length = pair.latent_shape().iter().product();
            Sampling::new(plan, latent_length, u64::from(recipe.seed_of(cell.column)))
        });
        host.emit(JobEvent::CellStarted { cell });
        loop {
            host.pause().await;
            while let Some(request) = host.take_strip() {
                strip(pair, grid, &request, host).await?;
            }
            if host.is_cancelled() {
                return Ok(Outcome::Cancelled);
            }
            let state = grid.cell(cell)?;
            let Some(call) = state
                .sampling
                .next()
                .filter(|_| state.sampling.position() < depth)
            else {
                break;
            };
            let start = host.milliseconds();
            prepared.switch_to(&row.prompt);
            let (prediction, batch) =
                predict(pair, &call, &mut prepared, prompt, negative.as_ref()).await?;
            let outcome = state.sampling.advance(&prediction);
            let milliseconds = host.milliseconds() - start;
            state.milliseconds += milliseconds;
            let model = outcome.model;
            host.took(Phase::UnetPass { model, batch }, milliseconds);
            grid.record_step(cell, call, &outcome);
            let digest = StepDigest::of(&outcome.predicted_original);
            let target = latent(pair, outcome.predicted_original);
            let start = host.milliseconds();
            let preview = frame(pair.decode_preview(target)).await?;
            host.took(Phase::Preview, host.milliseconds() - start);
            host.emit(JobEvent::Step {
                cell,
                step: outcome.step as u32,
                steps: outcome.steps as u32,
                timestep: outcome.timestep,
                model: outcome.model,
                preview,
                digest,
            });
        }
        let state = grid.cell(cell)?;
        if state.sampling.next().is_some() {
            host.emit(JobEvent::CellRests { cell });
            continue;
        }
        let start = host.milliseconds();
        let image = frame(pair.decode(latent(pair, state.sampling.latent().to_vec()))).await?;
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
        if let Some(diversity) = diversity {
            host.emit(JobEvent::Diversity {
                row: cell.row,
                diversity,
            });
        }
    }
    Ok(Outcome::Done)
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
    let is_finished = cell.sampling.next().is_none();
    let steps = cell.sampling.steps();
    let wants_distances = is_finished && request.view == StripView::Target && request.skip == 0;
    let mut measured = Vec::new();
    for (step, number) in trace.iter().zip(1u32..).skip(request.skip as usize) {
        let start = host.milliseconds();
        let latent = latent(pair, step.latent(request.view).to_vec());
        let frame = frame(pair.decode_preview(latent)).await?;
        host.took(Phase::StripFrame, host.milliseconds() - start);
        if wants_distances {
            measured.push(reduced_to_measure(&frame));
        }
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
        host.pause().await;
    }
    if wants_distances {
        // The steps' own decoder decodes it, so that only the latents differ.
        let last = latent(pair, cell.sampling.latent().to_vec());
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

/// The grid's cells in the order in which they are drawn: seed by seed over the fast rows, so that the
/// same seed can be compared early, and then the base model's rows, which take as long as all others.
fn cells(recipe: &Recipe, rows: &[Row], extent: &Extent) -> Vec<CellAddress> {
    let chosen = |base: bool| {
        rows.iter()
            .zip(0u32..)
            .filter(move |(row, _)| (row.mode == Mode::Base) == base)
            .map(|(_, row)| row)
    };
    let columns = 0..recipe.seed_count;
    let fast = columns
        .clone()
        .flat_map(|column| chosen(false).map(move |row| CellAddress { row, column }));
    let base = chosen(true).flat_map(|row| {
        columns
            .clone()
            .map(move |column| CellAddress { row, column })
    });
    fast.chain(base)
        .filter(|cell| extent.includes(*cell))
        .collect()
}

/// What the models have made of the prompt of the cell that is drawn. Those of other prompts are dropped:
/// the keys and values of SDXL's cross-attentions take 55 MB.
#[derive(Default)]
struct PreparedPrompt {
    prompt: String,
    /// By the model, whether it is for both passes of guidance, and the guidance scale of a model that takes
    /// it as an input.
    conditionings: HashMap<(ModelRole, bool, u32), PreparedConditioning>,
}

impl PreparedPrompt {
    fn switch_to(&mut self, prompt: &str) {
        if self.prompt != prompt {
            prompt.clone_into(&mut self.prompt);
            self.conditionings.clear();
        }
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

/// The model's prediction for one step, after guidance: from two passes in one batch where the step is
/// guided, and from one conditional pass where it is not. `negative` is none where no step of the
/// recipe is guided. Returns the size of the batch too.
async fn predict(
    pair: &Pair,
    call: &ModelCall,
    prepared: &mut PreparedPrompt,
    positive: &Conditioning,
    negative: Option<&Conditioning>,
) -> Result<(Vec<f32>, u32), EngineError> {
    let unet = pair.unet(call.model)?;
    let embedded = unet.config().time_cond_proj_dim;
    let negative = negative.filter(|_| embedded.is_none() && is_guided(call.guidance_scale));
    let embedded_scale = embedded.map_or(0, |_| call.guidance_scale.to_bits());
    let conditioning = prepared
        .conditionings
        .entry((call.model, negative.is_some(), embedded_scale))
        .or_insert_with(|| {
            let mut conditioning = match negative {
                Some(negative) => negative.clone().concatenate(positive.clone()),
                None => positive.clone(),
            };
            // A full LCM model takes the guidance as an input instead of a second pass.
            conditioning.guidance = embedded.map(|size| {
                let embedding = guidance_embedding(call.guidance_scale, size);
                Tensor::from_data(TensorData::new(embedding, [1, size]), pair.device())
            });
            unet.prepare(&conditioning)
        });
    let sample = latent(pair, call.sample.clone());
    if negative.is_none() {
        let prediction = read(unet.forward(sample, call.timestep, conditioning)).await?;
        return Ok((prediction, 1));
    }
    let samples = Tensor::cat(vec![sample.clone(), sample], 0);
    let both = read(unet.forward(samples, call.timestep, conditioning)).await?;
    let (unconditional, conditional) = both.split_at(both.len() / 2);
    let prediction = combine(unconditional, conditional, call.guidance_scale);
    Ok((prediction, 2))
}

fn latent(pair: &Pair, values: Vec<f32>) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, pair.latent_shape()), pair.device())
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
