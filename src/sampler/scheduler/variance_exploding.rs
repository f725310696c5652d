//! What the Euler schedulers and Heun share: samples are `original + sigma * noise`, so their variance
//! grows with the noise, and the model's input is scaled back to a variance of about 1.

use super::config::{PredictionType, SchedulerConfig, TimestepSpacing};
use super::error::SchedulerError;
use super::levels::Levels;
use super::timesteps::Timesteps;

/// Noise levels of a run, and what a model's output means at each of them.
#[derive(Clone, Debug)]
pub(super) struct Sigmas {
    prediction: PredictionType,
    /// The noise level before each step, then the one after the last.
    sigmas: Vec<f32>,
    init_noise_sigma: f32,
}

impl Sigmas {
    /// The timesteps and their noise levels.
    pub(super) fn new(
        config: &SchedulerConfig,
        requested: &Timesteps,
    ) -> Result<(Vec<f32>, Sigmas), SchedulerError> {
        let Levels { timesteps, sigmas } = Levels::new(config, requested)?;
        let largest = sigmas.iter().copied().fold(0.0, f32::max);
        let init_noise_sigma = match config.timestep_spacing() {
            TimestepSpacing::Linspace | TimestepSpacing::Trailing => largest,
            TimestepSpacing::Leading => (largest * largest + 1.0).sqrt(),
        };
        let sigmas = Sigmas {
            prediction: config.prediction_type(),
            sigmas,
            init_noise_sigma,
        };
        Ok((timesteps, sigmas))
    }

    pub(super) fn init_noise_sigma(&self) -> f32 {
        self.init_noise_sigma
    }

    /// The noise level before step `index`.
    pub(super) fn before(&self, index: usize) -> f32 {
        self.sigmas[index]
    }

    /// The noise level after step `index`.
    pub(super) fn after(&self, index: usize) -> f32 {
        self.sigmas[index + 1]
    }

    /// The sample at the level before step `index` as the model is given it.
    pub(super) fn scale_model_input(&self, index: usize, sample: &[f32]) -> Vec<f32> {
        let sigma = self.before(index);
        let scale = (sigma * sigma + 1.0).sqrt();
        sample.iter().map(|value| value / scale).collect()
    }

    /// The predicted original sample at the level before step `index`.
    pub(super) fn predicted_original(
        &self,
        index: usize,
        model_output: &[f32],
        sample: &[f32],
    ) -> Vec<f32> {
        let sigma = self.before(index);
        let variance = sigma * sigma + 1.0;
        let output_scale = -sigma / variance.sqrt();
        let estimate = |output: f32, value: f32| match self.prediction {
            PredictionType::Epsilon => value - sigma * output,
            PredictionType::Sample => output,
            PredictionType::Velocity => output * output_scale + value / variance,
        };
        model_output
            .iter()
            .zip(sample)
            .map(|(output, value)| estimate(*output, *value))
            .collect()
    }

    /// One step of Euler's method from the level before step `index` to `target`.
    pub(super) fn euler_step(
        &self,
        index: usize,
        target: f32,
        sample: &[f32],
        predicted_original: &[f32],
    ) -> Vec<f32> {
        let sigma = self.before(index);
        sample
            .iter()
            .zip(predicted_original)
            .map(|(value, original)| value + (value - original) / sigma * (target - sigma))
            .collect()
    }
}
