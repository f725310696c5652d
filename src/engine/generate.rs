//! One job: a grid of images, step by step.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use super::{
    EngineError, Pair, plan_for,
    protocol::{Event, Frame, JobId},
    recipe::{Mode, Recipe},
};
use crate::{
    models::{Conditioning, guidance_embedding},
    sampler::{ModelCall, Sampling, combine, is_guided},
};

/// What the job loop needs from its surroundings.
pub trait Host {
    /// Takes an event for the page.
    fn emit(&mut self, event: Event);
    /// Whether the job has been cancelled.
    fn is_cancelled(&self) -> bool;
    /// Lets messages in, so that a cancellation is seen.
    fn pause(&self) -> impl Future<Output = ()>;
    /// A clock that never goes back, in milliseconds.
    fn milliseconds(&self) -> f64;
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every image is done.
    Done,
    /// It was cancelled; the images that were done stay.
    Cancelled,
}

/// Draws the grid of a recipe with a pair whose UNets are loaded. Events carry the steps' previews
/// and the images.
///
/// # Errors
/// The recipe doesn't fit the pair, or the device fails.
pub async fn generate(
    pair: &Pair,
    job: JobId,
    recipe: &Recipe,
    host: &mut impl Host,
) -> Result<Outcome, EngineError> {
    recipe.validate()?;
    let prompt = Prompts::encode(pair, recipe)?;
    for (mode, column) in cells(recipe) {
        let plan = Arc::new(plan_for(mode, recipe, pair.manifest())?);
        let seed = recipe.seed_of(column);
        let latent_length = pair.latent_shape().iter().product();
        let mut sampling = Sampling::new(plan, latent_length, u64::from(seed));
        let mut milliseconds = 0.0;
        host.emit(Event::CellStarted { job, mode, column });
        while let Some(call) = sampling.next() {
            host.pause().await;
            if host.is_cancelled() {
                return Ok(Outcome::Cancelled);
            }
            let start = host.milliseconds();
            let prediction = predict(pair, &call, &prompt).await?;
            let outcome = sampling.advance(&prediction);
            milliseconds += host.milliseconds() - start;
            let target = latent(pair, outcome.predicted_original);
            let preview = frame(pair.decode_preview(target)).await?;
            host.emit(Event::Step {
                job,
                mode,
                column,
                step: outcome.step as u32,
                steps: outcome.steps as u32,
                timestep: outcome.timestep,
                model: outcome.model,
                preview,
            });
        }
        let start = host.milliseconds();
        let image = frame(pair.decode(latent(pair, sampling.latent().to_vec()))).await?;
        milliseconds += host.milliseconds() - start;
        host.emit(Event::Image {
            job,
            mode,
            column,
            seed,
            frame: image,
            milliseconds,
        });
    }
    Ok(Outcome::Done)
}

/// The grid's cells in the order of work: seed by seed over the fast modes, so that the same seed
/// can be compared early, and then the base model's row, which takes as long as all others.
fn cells(recipe: &Recipe) -> Vec<(Mode, u32)> {
    let chosen = |base: bool| {
        Mode::ALL
            .into_iter()
            .filter(move |mode| recipe.modes.contains(mode) && (*mode == Mode::Base) == base)
    };
    let columns = 0..recipe.seed_count;
    let fast = columns
        .clone()
        .flat_map(|column| chosen(false).map(move |mode| (mode, column)));
    let base = chosen(true).flat_map(|mode| columns.clone().map(move |column| (mode, column)));
    fast.chain(base).collect()
}

/// The encoded prompts of a job.
struct Prompts {
    positive: Conditioning,
    /// None where no step of the recipe is guided.
    negative: Option<Conditioning>,
}

impl Prompts {
    fn encode(pair: &Pair, recipe: &Recipe) -> Result<Self, EngineError> {
        let guided = [
            recipe.base_guidance,
            recipe.hybrid_base_guidance,
            recipe.distilled_guidance,
        ]
        .into_iter()
        .any(is_guided);
        Ok(Self {
            positive: pair.encode_prompt(&recipe.prompt)?,
            negative: if guided {
                Some(pair.encode_negative_prompt(&recipe.negative_prompt)?)
            } else {
                None
            },
        })
    }
}

/// The model's prediction for one step, after guidance: two passes in one batch where the step is
/// guided, one conditional pass where it is not.
async fn predict(
    pair: &Pair,
    call: &ModelCall,
    prompts: &Prompts,
) -> Result<Vec<f32>, EngineError> {
    let unet = pair.unet(call.model)?;
    let sample = latent(pair, call.sample.clone());
    if let Some(size) = unet.config().time_cond_proj_dim {
        // A full LCM model takes the guidance as an input instead of a second pass.
        let embedding = guidance_embedding(call.guidance_scale, size);
        let mut conditioning = prompts.positive.clone();
        conditioning.guidance = Some(Tensor::from_data(
            TensorData::new(embedding, [1, size]),
            pair.device(),
        ));
        return read(unet.forward(sample, call.timestep, &conditioning)).await;
    }
    match &prompts.negative {
        Some(negative) if is_guided(call.guidance_scale) => {
            let conditioning = negative.clone().concatenate(prompts.positive.clone());
            let samples = Tensor::cat(vec![sample.clone(), sample], 0);
            let both = read(unet.forward(samples, call.timestep, &conditioning)).await?;
            let (unconditional, conditional) = both.split_at(both.len() / 2);
            Ok(combine(unconditional, conditional, call.guidance_scale))
        }
        _ => read(unet.forward(sample, call.timestep, &prompts.positive)).await,
    }
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

/// A picture `[1, 3, height, width]` in −1…1 as 8-bit RGBA, rounded as diffusers does.
async fn frame(picture: Tensor<4>) -> Result<Frame, EngineError> {
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
    Ok(Frame {
        width: width as u32,
        height: height as u32,
        rgba,
    })
}
