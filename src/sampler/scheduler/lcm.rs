//! Multistep sampling of a latent consistency model (Luo and others, "Latent Consistency Models"):
//! every step estimates the original sample and noises it again to the next timestep.

use super::config::{PredictionType, SchedulerConfig};
use super::distilled_timesteps;
use super::error::SchedulerError;
use super::noise_schedule;
use super::output::StepOutput;
use super::timesteps::Timesteps;
use super::variance_preserving::predicted_original;
use crate::sampler::noise::TorchGenerator;

/// Standard deviation of the data in the boundary condition; fixed in diffusers.
const SIGMA_DATA: f32 = 0.5;

#[derive(Clone, Debug)]
pub(super) struct Lcm {
    prediction: PredictionType,
    clip: Option<f32>,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    alpha_bar: f32,
    /// The level to noise to; none after the last step.
    next_alpha_bar: Option<f32>,
    /// Share of the sample in the denoised one.
    c_skip: f32,
    /// Share of the predicted original sample in the denoised one.
    c_out: f32,
}

impl Lcm {
    pub(super) fn new(
        config: &SchedulerConfig,
        requested: &Timesteps,
    ) -> Result<(Vec<f32>, Lcm), SchedulerError> {
        let timesteps = distilled_timesteps::chosen(config, requested)?;
        let alphas_cumprod = noise_schedule::alphas_cumprod(config)?;
        noise_schedule::check_signal(config, &alphas_cumprod, &timesteps)?;
        let steps = timesteps
            .iter()
            .enumerate()
            .map(|(index, timestep)| {
                let scaled = *timestep as f32 * config.timestep_scaling();
                let sum = scaled * scaled + SIGMA_DATA * SIGMA_DATA;
                Step {
                    alpha_bar: alphas_cumprod[*timestep as usize],
                    next_alpha_bar: timesteps
                        .get(index + 1)
                        .map(|next| alphas_cumprod[*next as usize]),
                    c_skip: SIGMA_DATA * SIGMA_DATA / sum,
                    c_out: scaled / sum.sqrt(),
                }
            })
            .collect();
        let scheduler = Lcm {
            prediction: config.prediction_type(),
            clip: config.clip_sample_range(),
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
        let step = &self.steps[index];
        let predicted_original = predicted_original(
            self.prediction,
            step.alpha_bar,
            self.clip,
            model_output,
            sample,
        );
        let denoised = predicted_original
            .iter()
            .zip(sample)
            .map(|(original, value)| step.c_out * original + step.c_skip * value);
        let previous_sample = match step.next_alpha_bar {
            Some(next_alpha_bar) => {
                let signal = next_alpha_bar.sqrt();
                let noise = (1.0 - next_alpha_bar).sqrt();
                denoised
                    .zip(generator.randn(sample.len()))
                    .map(|(denoised, random)| signal * denoised + noise * random)
                    .collect()
            }
            None => denoised.collect(),
        };
        StepOutput {
            previous_sample,
            predicted_original,
        }
    }
}
