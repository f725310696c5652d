//! One pass of a pair's models: what they are told, what is launched, and what is read of it.

#![expect(
    clippy::indexing_slicing,
    reason = "a conditioning was inserted before it is looked up"
)]

use std::collections::HashMap;

use burn::tensor::{Tensor, TensorData};

use super::error::EngineError;
use super::pair::Pair;
use super::prompt::AdaptedPrompt;
use crate::models::{Conditioning, PreparedConditioning, guidance_embedding};
use crate::recipe::{PromptReading, Recipe};
use crate::sampler::{ModelCall, ModelRole, combine, is_guided};

/// What both passes of guidance are told.
pub struct Prompt<'a> {
    /// The conditional one.
    pub positive: &'a Conditioning,
    /// None where no step of the recipe is guided.
    pub negative: Option<&'a Negative>,
}

/// What the second pass of guidance is told, which has to be as long as the first one's.
pub struct Negative {
    conditioning: Conditioning,
    /// What follows it where the prompt has more chunks.
    filler: Conditioning,
    /// What follows the prompt where this one has more chunks: the empty text.
    positive_filler: Conditioning,
}

impl Negative {
    /// Of the recipe's negative prompt as it was encoded, beside a prompt with the same adapters.
    ///
    /// # Errors
    /// As [`Pair::encode_prompt`].
    pub fn of(
        pair: &Pair,
        recipe: &Recipe,
        prompt: &AdaptedPrompt,
        conditioning: Conditioning,
    ) -> Result<Self, EngineError> {
        let has_chunks = recipe.prompt_reading() != PromptReading::default();
        // Elsewhere both are one chunk.
        let positive_filler = if has_chunks {
            pair.encode_prompt(&prompt.with_text(recipe, ""))?
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
    pub fn unconditional(
        &self,
        pair: &Pair,
        call: &ModelCall,
    ) -> Result<Option<&Negative>, EngineError> {
        let is_guided = takes_two_passes(pair, call.model, call.guidance_scale)?;
        Ok(self.negative.filter(|_| is_guided))
    }
}

/// Whether a step of this guidance scale takes a second pass, without the prompt.
///
/// # Errors
/// The model is not loaded.
pub fn takes_two_passes(
    pair: &Pair,
    model: ModelRole,
    guidance_scale: f32,
) -> Result<bool, EngineError> {
    // A full LCM model takes the guidance as an input instead.
    let is_embedded = pair.unet(model)?.config().time_cond_proj_dim.is_some();
    Ok(!is_embedded && is_guided(guidance_scale))
}

/// What the models have made of the prompt of the cells that are drawn. Those of other prompts are
/// dropped: the keys and values of SDXL's cross-attentions take 55 MB.
#[derive(Default)]
pub struct PreparedPrompt {
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
    /// Begins cells that are told this.
    pub fn switch_to(&mut self, told: Vec<AdaptedPrompt>) {
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

/// Launches the pass of the models for the next step of several cells, all in one batch: two for each cell
/// where the step is guided, and one conditional one where it is not. The calls are of the same step.
/// The strengths are those of the recipe's adapters. Returns the output and the passes of a cell; none where
/// there are no calls.
///
/// # Errors
/// The model is not loaded.
pub fn launch(
    pair: &Pair,
    calls: &[ModelCall],
    strengths: &[f32],
    prepared: &mut PreparedPrompt,
    prompt: &Prompt<'_>,
) -> Result<Option<(Tensor<4>, usize)>, EngineError> {
    let Some(call) = calls.first() else {
        return Ok(None);
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
    let output = unet.forward(latents(pair, samples), call.timestep, conditioning);
    Ok(Some((output, passes)))
}

/// The models' predictions for the next step of several cells, after guidance. Returns the size of the
/// batch too.
pub async fn predict(
    pair: &Pair,
    calls: &[ModelCall],
    strengths: &[f32],
    prepared: &mut PreparedPrompt,
    prompt: &Prompt<'_>,
) -> Result<(Vec<Vec<f32>>, u32), EngineError> {
    let Some((output, passes)) = launch(pair, calls, strengths, prepared, prompt)? else {
        return Ok((Vec::new(), 0));
    };
    let predictions = read(output).await?;
    let length = (predictions.len() / calls.len()).max(1);
    let predictions = predictions.chunks_exact(length).zip(calls);
    let predictions =
        predictions.map(
            |(prediction, call)| match prediction.split_at(length / passes) {
                (unconditional, conditional) if passes == 2 => {
                    combine(unconditional, conditional, call.guidance_scale)
                }
                (only, _) => only.to_vec(),
            },
        );
    Ok((predictions.collect(), (calls.len() * passes) as u32))
}

/// Latents, one behind the other, on the device: `[batch, channels, height, width]`.
pub fn latents(pair: &Pair, values: Vec<f32>) -> Tensor<4> {
    let [_, channels, height, width] = pair.latent_shape();
    let batch = values.len() / (channels * height * width);
    let data = TensorData::new(values, [batch, channels, height, width]);
    Tensor::from_data(data, pair.device())
}

/// A tensor's values.
///
/// # Errors
/// The device fails.
pub async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, EngineError> {
    let failed = |reason: String| EngineError::Device { reason };
    let data = tensor
        .into_data_async()
        .await
        .map_err(|error| failed(error.to_string()))?;
    data.try_into_vec::<f32>()
        .map_err(|error| failed(format!("{error:?}")))
}
