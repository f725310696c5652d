//! Sampling of a model from trajectory consistency distillation (Zheng and others, "Trajectory
//! Consistency Distillation"), algorithm 4: every step goes down past the next timestep, and adds noise
//! back up to it.

use super::config::{PredictionType, SchedulerConfig};
use super::distilled_timesteps;
use super::error::SchedulerError;
use super::noise_schedule;
use super::output::StepOutput;
use super::timesteps::Timesteps;
use super::variance_preserving::{at_level, predicted_original};
use crate::sampler::noise::TorchGenerator;

/// How far a step goes past the next timestep, from 0 (not at all) to 1 (to the end): the paper's gamma,
/// in diffusers an argument named eta with this default, which the distilled models' authors use.
const GAMMA: f64 = 0.3;

#[derive(Clone, Debug)]
pub(super) struct Tcd {
    prediction: PredictionType,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    alpha_bar: f32,
    /// Where the model's output leads.
    lower_alpha_bar: f32,
    /// The level to noise to; none after the last step.
    next_alpha_bar: Option<f32>,
}

impl Tcd {
    pub(super) fn new(
        config: &SchedulerConfig,
        requested: &Timesteps,
    ) -> Result<(Vec<f32>, Tcd), SchedulerError> {
        let timesteps = distilled_timesteps::chosen(config, requested)?;
        let alphas_cumprod = noise_schedule::alphas_cumprod(config)?;
        noise_schedule::check_signal(config, &alphas_cumprod, &timesteps)?;
        let steps = timesteps
            .iter()
            .enumerate()
            .map(|(index, timestep)| {
                let next = timesteps.get(index + 1).copied();
                let lower = ((1.0 - GAMMA) * f64::from(next.unwrap_or(0))) as f32 as usize;
                Step {
                    alpha_bar: alphas_cumprod[*timestep as usize],
                    lower_alpha_bar: alphas_cumprod[lower],
                    next_alpha_bar: next.map(|next| alphas_cumprod[next as usize]),
                }
            })
            .collect();
        let scheduler = Tcd {
            prediction: config.prediction_type(),
            steps,
        };
        let timesteps = timesteps.into_iter().map(|timestep| timestep as f32);
        Ok((timesteps.collect(), scheduler))
    }

    pub(super) fn alpha_bar(&self, index: usize) -> f32 {
        self.steps[index].alpha_bar
    }

    pub(super) fn needs_noise(&self, index: usize) -> bool {
        self.steps[index].next_alpha_bar.is_some()
    }

    pub(super) fn step(
        &self,
        index: usize,
        model_output: &[f32],
        sample: &[f32],
        generator: &mut TorchGenerator,
    ) -> StepOutput {
        let Step {
            alpha_bar,
            lower_alpha_bar,
            next_alpha_bar,
        } = self.steps[index];
        let predicted_original =
            predicted_original(self.prediction, alpha_bar, None, model_output, sample);
        let lower = at_level(
            self.prediction,
            [alpha_bar, lower_alpha_bar],
            model_output,
            sample,
            &predicted_original,
        );
        let previous_sample = match next_alpha_bar {
            Some(next_alpha_bar) => {
                let kept = (next_alpha_bar / lower_alpha_bar).sqrt();
                let added = (1.0 - next_alpha_bar / lower_alpha_bar).sqrt();
                lower
                    .into_iter()
                    .zip(generator.randn(sample.len()))
                    .map(|(lower, random)| kept * lower + added * random)
                    .collect()
            }
            None => lower,
        };
        StepOutput {
            previous_sample,
            predicted_original,
        }
    }
}
