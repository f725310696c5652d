//! What the multistep solvers share: samples keep a variance of about 1 and are
//! `alpha * original + sigma_t * noise`, where both follow from the ratio sigma of noise to signal; and
//! time is counted in lambda, half the logarithm of the ratio of signal to noise.

use super::config::{PredictionType, SchedulerConfig};
use super::error::SchedulerError;
use super::levels::Levels;
use super::timesteps::Timesteps;
use super::variance_preserving::originals;

/// Noise levels of a run, and what a model's output means at each of them.
#[derive(Clone, Debug)]
pub(super) struct SolverLevels {
    prediction: PredictionType,
    /// The level before each step, then the one after the last.
    levels: Vec<Level>,
}

/// A noise level. diffusers computes in single precision, and differences of lambdas magnify what is
/// rounded there, so everything here is in single precision too, in the same order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    /// Share of the original sample.
    pub alpha: f32,
    /// Share of the noise.
    pub sigma: f32,
    /// Half the logarithm of the ratio of signal to noise; infinite without noise.
    pub lambda: f32,
}

impl Level {
    fn of(ratio: f32) -> Level {
        let alpha = 1.0 / (ratio * ratio + 1.0).sqrt();
        let sigma = ratio * alpha;
        Level {
            alpha,
            sigma,
            lambda: alpha.ln() - sigma.ln(),
        }
    }
}

impl SolverLevels {
    /// The timesteps and their noise levels.
    pub(super) fn new(
        config: &SchedulerConfig,
        requested: &Timesteps,
    ) -> Result<(Vec<f32>, SolverLevels), SchedulerError> {
        let Levels { timesteps, sigmas } = Levels::new(config, requested)?;
        let levels = SolverLevels {
            prediction: config.prediction_type(),
            levels: sigmas.into_iter().map(Level::of).collect(),
        };
        Ok((timesteps, levels))
    }

    /// Number of steps.
    pub(super) fn steps(&self) -> usize {
        self.levels.len() - 1
    }

    /// The noise level before step `index`, or after step `index - 1`.
    pub(super) fn at(&self, index: usize) -> Level {
        self.levels[index]
    }

    /// The predicted original sample at the level before step `index`.
    pub(super) fn predicted_original(
        &self,
        index: usize,
        model_output: &[f32],
        sample: &[f32],
    ) -> Vec<f32> {
        let Level { alpha, sigma, .. } = self.at(index);
        originals(self.prediction, [alpha, sigma], model_output, sample)
    }
}
