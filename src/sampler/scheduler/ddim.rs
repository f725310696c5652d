//! DDIM (Song, Meng and Ermon, "Denoising Diffusion Implicit Models"), equations 12 and 16 with
//! eta 0.

use super::config::{PredictionType, SchedulerConfig};
use super::error::SchedulerError;
use super::noise_schedule;
use super::output::StepOutput;
use super::timesteps::{self, Timesteps};
use super::variance_preserving::{at_level, predicted_original};

#[derive(Clone, Debug)]
pub(super) struct Ddim {
    prediction: PredictionType,
    clip: Option<f32>,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    alpha_bar: f32,
    previous_alpha_bar: f32,
}

impl Ddim {
    pub(super) fn new(
        config: &SchedulerConfig,
        requested: &Timesteps,
    ) -> Result<(Vec<f32>, Ddim), SchedulerError> {
        let alphas_cumprod = noise_schedule::alphas_cumprod(config)?;
        // Where a step ends is not always the next timestep: diffusers subtracts the same distance
        // from every one, whatever the spacing.
        let (timesteps, previous): (Vec<u32>, Vec<Option<u32>>) = match requested {
            Timesteps::Steps(steps) => {
                let timesteps: Vec<u32> = timesteps::spaced(config, *steps)?
                    .into_iter()
                    .map(|timestep| timestep.round_ties_even() as u32)
                    .collect();
                let distance = config.num_train_timesteps() / steps;
                let previous = timesteps
                    .iter()
                    .map(|timestep| timestep.checked_sub(distance))
                    .collect();
                (timesteps, previous)
            }
            Timesteps::Explicit(explicit) => {
                let timesteps = timesteps::checked_explicit(config, explicit)?;
                let previous = timesteps[1..]
                    .iter()
                    .copied()
                    .map(Some)
                    .chain([None])
                    .collect();
                (timesteps, previous)
            }
        };
        noise_schedule::check_signal(config, &alphas_cumprod, &timesteps)?;
        let final_alpha_bar = if config.set_alpha_to_one() {
            1.0
        } else {
            alphas_cumprod[0]
        };
        let steps = timesteps
            .iter()
            .zip(previous)
            .map(|(timestep, previous)| Step {
                alpha_bar: alphas_cumprod[*timestep as usize],
                previous_alpha_bar: previous.map_or(final_alpha_bar, |previous| {
                    alphas_cumprod[previous as usize]
                }),
            })
            .collect();
        let scheduler = Ddim {
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

    pub(super) fn step(&self, index: usize, model_output: &[f32], sample: &[f32]) -> StepOutput {
        let Step {
            alpha_bar,
            previous_alpha_bar,
        } = self.steps[index];
        let predicted_original =
            predicted_original(self.prediction, alpha_bar, self.clip, model_output, sample);
        let previous_sample = at_level(
            self.prediction,
            [alpha_bar, previous_alpha_bar],
            model_output,
            sample,
            &predicted_original,
        );
        StepOutput {
            previous_sample,
            predicted_original,
        }
    }
}
