//! DPM-Solver++ (Lu and others, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion
//! Probabilistic Models"), its multistep kind of the orders 1 to 3, deterministic or with noise in every
//! step. Its second order is what programs call DPM++ 2M.

use super::config::{FinalSigmasType, SchedulerConfig, SolverType};
use super::error::SchedulerError;
use super::memory::Memory;
use super::output::StepOutput;
use super::solver_levels::SolverLevels;
use super::timesteps::Timesteps;
use crate::sampler::noise::TorchGenerator;

/// Steps from which on diffusers leaves the last ones at their full order.
const MANY_STEPS: usize = 15;

#[derive(Clone, Debug)]
pub(super) struct DpmSolver {
    pub levels: SolverLevels,
    order: usize,
    solver_type: SolverType,
    is_stochastic: bool,
    lower_order_final: bool,
    euler_at_final: bool,
    ends_without_noise: bool,
}

/// A step's factors: of the sample, of the newest predicted original, of the differences to earlier
/// ones, and of the noise.
struct Factors {
    sample: f32,
    original: f32,
    first_difference: f32,
    second_difference: f32,
    noise: f32,
}

impl DpmSolver {
    pub(super) fn new(
        config: &SchedulerConfig,
        requested: &Timesteps,
    ) -> Result<(Vec<f32>, DpmSolver), SchedulerError> {
        let (timesteps, levels) = SolverLevels::new(config, requested)?;
        let solver = DpmSolver {
            levels,
            order: config.solver_order(),
            solver_type: config.solver_type(),
            is_stochastic: config.is_stochastic(),
            lower_order_final: config.lower_order_final(),
            euler_at_final: config.euler_at_final(),
            ends_without_noise: config.final_sigmas_type() == FinalSigmasType::Zero,
        };
        Ok((timesteps, solver))
    }

    pub(super) fn needs_noise(&self) -> bool {
        self.is_stochastic
    }

    /// The predicted originals that are kept after so many steps.
    pub(super) fn kept_after(&self, steps: usize) -> usize {
        steps.min(self.order - 1)
    }

    /// The order of step `index`, before which so many predicted originals are kept.
    fn order_of(&self, index: usize, kept: usize) -> usize {
        let steps = self.levels.steps();
        let are_few = self.lower_order_final && steps < MANY_STEPS;
        let highest =
            if index == steps - 1 && (self.euler_at_final || are_few || self.ends_without_noise) {
                1
            } else if index + 2 == steps && are_few {
                2
            } else {
                self.order
            };
        highest.min(kept + 1)
    }

    pub(super) fn step(
        &self,
        index: usize,
        model_output: &[f32],
        sample: &[f32],
        memory: &mut Memory,
        generator: &mut TorchGenerator,
    ) -> StepOutput {
        let predicted_original = self.levels.predicted_original(index, model_output, sample);
        let noise = self.is_stochastic.then(|| generator.randn(sample.len()));
        let order = self.order_of(index, memory.kept.len());
        let earlier = |steps: usize| &memory.kept[memory.kept.len() - steps];
        // lambda's distance of this step, and of earlier ones in terms of it.
        let distance = self.levels.at(index + 1).lambda - self.levels.at(index).lambda;
        let ratio = |steps: usize| {
            let levels = &self.levels;
            (levels.at(index + 1 - steps).lambda - levels.at(index - steps).lambda) / distance
        };
        let factors = self.factors(index, distance, order);
        let original = predicted_original.as_slice();
        let (first, second) = match order {
            1 => (Vec::new(), Vec::new()),
            2 => (difference(1.0 / ratio(1), original, earlier(1)), Vec::new()),
            _ => {
                let (newer, older) = (ratio(1), ratio(2));
                let first = difference(1.0 / newer, original, earlier(1));
                let second = difference(1.0 / older, earlier(1), earlier(2));
                let share = newer / (newer + older);
                let scale = 1.0 / (newer + older);
                first
                    .iter()
                    .zip(&second)
                    .map(|(first, second)| {
                        let change = first - second;
                        (first + share * change, scale * change)
                    })
                    .unzip()
            }
        };
        let previous_sample = (0..sample.len())
            .map(|place| {
                let part = |values: &[f32], factor: f32| {
                    values.get(place).map_or(0.0, |value| factor * value)
                };
                factors.sample * sample[place]
                    + factors.original * original[place]
                    + part(&first, factors.first_difference)
                    + part(&second, factors.second_difference)
                    + part(noise.as_deref().unwrap_or_default(), factors.noise)
            })
            .collect();
        memory.kept.push(predicted_original.clone());
        let surplus = memory.kept.len().saturating_sub(self.order - 1);
        memory.kept.drain(..surplus);
        StepOutput {
            previous_sample,
            predicted_original,
        }
    }

    fn factors(&self, index: usize, distance: f32, order: usize) -> Factors {
        let (from, to) = (self.levels.at(index), self.levels.at(index + 1));
        if self.is_stochastic {
            // The same formulas in twice the distance.
            let decay = (-2.0 * distance).exp();
            let original = to.alpha * (1.0 - decay);
            let heun = to.alpha * ((1.0 - decay) / (-2.0 * distance) + 1.0);
            Factors {
                sample: to.sigma / from.sigma * (-distance).exp(),
                original,
                first_difference: if order == 2 && self.solver_type == SolverType::Midpoint {
                    0.5 * original
                } else {
                    heun
                },
                second_difference: to.alpha
                    * ((1.0 - decay - 2.0 * distance) / (2.0 * distance).powi(2) - 0.5),
                noise: to.sigma * (1.0 - decay).sqrt(),
            }
        } else {
            let growth = (-distance).exp() - 1.0;
            let original = -(to.alpha * growth);
            Factors {
                sample: to.sigma / from.sigma,
                original,
                first_difference: if order == 2 && self.solver_type == SolverType::Midpoint {
                    0.5 * original
                } else {
                    to.alpha * (growth / distance + 1.0)
                },
                second_difference: -(to.alpha
                    * ((growth + distance) / (distance * distance) - 0.5)),
                noise: 0.0,
            }
        }
    }
}

fn difference(scale: f32, newer: &[f32], older: &[f32]) -> Vec<f32> {
    newer
        .iter()
        .zip(older)
        .map(|(newer, older)| scale * (newer - older))
        .collect()
}
