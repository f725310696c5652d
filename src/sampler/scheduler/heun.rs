//! Heun's method on the probability-flow equation (Karras and others, "Elucidating the Design Space of
//! Diffusion-Based Generative Models", algorithm 1 without churn): a step is Euler's, and then taken
//! again with the mean of the slopes at both of its ends. The last step ends without noise, where there
//! is no slope, and stays Euler's.

use super::config::SchedulerConfig;
use super::error::SchedulerError;
use super::memory::{HalfStep, Memory};
use super::output::StepOutput;
use super::timesteps::Timesteps;
use super::variance_exploding::Sigmas;
use super::variance_preserving::clamp;

#[derive(Clone, Debug)]
pub(super) struct Heun {
    pub sigmas: Sigmas,
    clip: Option<f32>,
}

impl Heun {
    pub(super) fn new(
        config: &SchedulerConfig,
        requested: &Timesteps,
    ) -> Result<(Vec<f32>, Heun), SchedulerError> {
        let (timesteps, sigmas) = Sigmas::new(config, requested)?;
        let clip = config.clip_sample_range();
        Ok((timesteps, Heun { sigmas, clip }))
    }

    /// Takes the model's output at one end of the step; none where the output at the other end is needed
    /// too.
    pub(super) fn step(
        &self,
        index: usize,
        model_output: &[f32],
        sample: &[f32],
        memory: &mut Memory,
    ) -> Option<StepOutput> {
        let (from, to) = (self.sigmas.before(index), self.sigmas.after(index));
        let Some(half) = memory.half.take() else {
            let predicted_original = self.predicted_original(index, model_output, sample);
            let slope: Vec<f32> = sample
                .iter()
                .zip(&predicted_original)
                .map(|(value, original)| (value - original) / from)
                .collect();
            let end: Vec<f32> = sample
                .iter()
                .zip(&slope)
                .map(|(value, slope)| value + slope * (to - from))
                .collect();
            if to == 0.0 {
                return Some(StepOutput {
                    previous_sample: end,
                    predicted_original,
                });
            }
            memory.half = Some(HalfStep {
                sample: end,
                slope,
                predicted_original,
            });
            return None;
        };
        let at_end = self.predicted_original(index + 1, model_output, &half.sample);
        let previous_sample = sample
            .iter()
            .zip(&half.slope)
            .zip(half.sample.iter().zip(at_end))
            .map(|((value, slope), (end, original))| {
                value + (slope + (end - original) / to) / 2.0 * (to - from)
            })
            .collect();
        Some(StepOutput {
            previous_sample,
            predicted_original: half.predicted_original,
        })
    }

    fn predicted_original(&self, index: usize, model_output: &[f32], sample: &[f32]) -> Vec<f32> {
        let mut original = self.sigmas.predicted_original(index, model_output, sample);
        if let Some(range) = self.clip {
            clamp(&mut original, range);
        }
        original
    }
}
