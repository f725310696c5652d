//! The noise levels of a run: by its timesteps, or spread in a way of their own. A level, sigma, is the
//! ratio of noise to signal, `sqrt((1 - alpha_bar) / alpha_bar)`.

use super::config::{
    BetaSchedule, FinalSigmasType, InterpolationType, SchedulerClass, SchedulerConfig,
    SigmaSpacing, TimestepType,
};
use super::error::SchedulerError;
use super::noise_schedule;
use super::timesteps::{self, Timesteps};

/// The exponent of Karras' spacing, fixed in diffusers as in the paper.
const RHO: f64 = 7.0;
/// Both parameters of the beta distribution, fixed in diffusers.
const BETA_SHAPE: f64 = 0.6;

/// Timesteps and noise levels of a run.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    /// What the model is told in each step.
    pub timesteps: Vec<f32>,
    /// The noise level before each step, then the one after the last.
    pub sigmas: Vec<f32>,
}

impl Levels {
    pub(super) fn new(
        config: &SchedulerConfig,
        requested: &Timesteps,
    ) -> Result<Levels, SchedulerError> {
        let trained = noise_schedule::trained_sigmas(config)?;
        let mut timesteps = chosen_timesteps(config, requested, &trained)?;
        let steps = timesteps.len();
        let mut sigmas: Vec<f64> = timesteps
            .iter()
            .map(|timestep| interpolated(&trained, *timestep))
            .collect();
        let (smallest, largest) = (trained[0], trained[trained.len() - 1]);
        let is_log_linear = config.class() == SchedulerClass::EulerDiscrete
            && config.interpolation_type() == InterpolationType::LogLinear;
        if is_log_linear {
            // One more than there are steps: the last step ends at the smallest of them.
            sigmas = linspace(ln(largest), ln(smallest), steps + 1)
                .map(|log| f64::from(f64_exp_single(log)))
                .collect();
        }
        if let Some(spacing) = config.sigma_spacing() {
            if let Timesteps::Explicit(_) = requested {
                return Err(SchedulerError::ExplicitWithSpacing {
                    spacing: spacing.label(),
                });
            }
            // diffusers' multistep solvers spread over all of the trained levels, the others over
            // those of their timesteps.
            let (minimum, maximum) = if is_multistep(config) {
                (f64::from(smallest), f64::from(largest))
            } else {
                (sigmas[sigmas.len() - 1], sigmas[0])
            };
            let minimum = config.sigma_min().unwrap_or(minimum);
            let maximum = config.sigma_max().unwrap_or(maximum);
            if steps > 1 && minimum >= maximum {
                return Err(SchedulerError::SigmaRange { minimum, maximum });
            }
            sigmas = spread(spacing, minimum, maximum, steps);
            timesteps = sigmas
                .iter()
                .map(|sigma| told_timestep(config, spacing, timestep_of(*sigma, &trained)))
                .collect();
        }
        sigmas.push(match config.final_sigmas_type() {
            FinalSigmasType::SigmaMin if can_end_above_zero(config) => {
                // UniPC's spread levels end with their own smallest.
                let own = config.class() == SchedulerClass::UniPcMultistep
                    && config.sigma_spacing().is_some();
                own.then(|| sigmas.last().copied())
                    .flatten()
                    .unwrap_or(f64::from(smallest))
            }
            FinalSigmasType::SigmaMin | FinalSigmasType::Zero => 0.0,
        });
        let sigmas: Vec<f32> = sigmas.into_iter().map(|sigma| sigma as f32).collect();
        let timesteps = match config.timestep_type() {
            TimestepType::Discrete => timesteps.into_iter().map(|it| it as f32).collect(),
            TimestepType::Continuous if config.class() == SchedulerClass::EulerDiscrete => {
                sigmas[..steps].iter().map(|it| 0.25 * it.ln()).collect()
            }
            TimestepType::Continuous => {
                return Err(SchedulerError::ContinuousTimesteps {
                    label: config.class().label(),
                });
            }
        };
        Ok(Levels { timesteps, sigmas })
    }
}

fn is_multistep(config: &SchedulerConfig) -> bool {
    matches!(
        config.class(),
        SchedulerClass::DpmSolverMultistep | SchedulerClass::UniPcMultistep
    )
}

fn can_end_above_zero(config: &SchedulerConfig) -> bool {
    is_multistep(config) || config.class() == SchedulerClass::EulerDiscrete
}

/// The timesteps of the configuration's spacing, or the given ones.
fn chosen_timesteps(
    config: &SchedulerConfig,
    requested: &Timesteps,
    trained: &[f32],
) -> Result<Vec<f64>, SchedulerError> {
    Ok(match requested {
        Timesteps::Explicit(explicit) => timesteps::checked_explicit(config, explicit)?
            .into_iter()
            .map(f64::from)
            .collect(),
        Timesteps::Steps(steps) if is_multistep(config) => {
            let is_clipped = |sigma: &&f32| {
                let clipped = config
                    .lambda_min_clipped()
                    .filter(|_| config.class() == SchedulerClass::DpmSolverMultistep);
                // The half logarithm of the ratio of signal to noise is minus the level's own.
                clipped.is_some_and(|lambda| -f64::from(**sigma).ln() < lambda)
            };
            let clipped = trained.iter().filter(is_clipped).count() as u32;
            let last = config.num_train_timesteps() - clipped;
            timesteps::spaced_before_end(config, *steps, last)?
                .into_iter()
                .map(f64::from)
                .collect()
        }
        Timesteps::Steps(steps) => timesteps::spaced(config, *steps)?
            .into_iter()
            // diffusers keeps them in single precision.
            .map(|timestep| f64::from(timestep as f32))
            .collect(),
    })
}

/// So many levels from the largest down to the smallest.
fn spread(spacing: SigmaSpacing, minimum: f64, maximum: f64, steps: usize) -> Vec<f64> {
    let ramp = linspace(0.0, 1.0, steps);
    match spacing {
        SigmaSpacing::Karras => {
            let [start, end] = [maximum, minimum].map(|sigma| sigma.powf(1.0 / RHO));
            ramp.map(|part| (start + part * (end - start)).powf(RHO))
                .collect()
        }
        SigmaSpacing::Exponential | SigmaSpacing::Lu => linspace(maximum.ln(), minimum.ln(), steps)
            .map(f64::exp)
            .collect(),
        SigmaSpacing::Beta => ramp
            .map(|part| {
                let quantile = puruspe::invbetai(1.0 - part, BETA_SHAPE, BETA_SHAPE);
                minimum + quantile * (maximum - minimum)
            })
            .collect(),
    }
}

/// `numpy.linspace`.
fn linspace(start: f64, end: f64, count: usize) -> impl Iterator<Item = f64> {
    let step = (end - start) / (count.max(2) - 1) as f64;
    (0..count).map(move |index| {
        if index > 0 && index == count - 1 {
            end
        } else {
            start + index as f64 * step
        }
    })
}

/// The logarithm as numpy gives it for a number in single precision.
fn ln(sigma: f32) -> f64 {
    f64::from(f64::from(sigma).ln() as f32)
}

fn f64_exp_single(log: f64) -> f32 {
    f64::from(log as f32).exp() as f32
}

/// The timestep of a noise level, interpolated between the trained levels' logarithms: `_sigma_to_t` of
/// diffusers.
fn timestep_of(sigma: f64, trained: &[f32]) -> f64 {
    let log = sigma.max(1e-10).ln();
    let below = trained.partition_point(|trained| ln(*trained) <= log);
    let lower = below.saturating_sub(1).min(trained.len().saturating_sub(2));
    let upper = (lower + 1).min(trained.len() - 1);
    let (low, high) = (ln(trained[lower]), ln(trained[upper]));
    let weight = ((low - log) / (low - high)).clamp(0.0, 1.0);
    (1.0 - weight) * lower as f64 + weight * upper as f64
}

/// What a class tells the model of a timestep between two whole ones.
fn told_timestep(config: &SchedulerConfig, spacing: SigmaSpacing, timestep: f64) -> f64 {
    let is_rounded = match (config.class(), spacing) {
        (SchedulerClass::DpmSolverMultistep, SigmaSpacing::Karras | SigmaSpacing::Lu) => {
            config.beta_schedule() != BetaSchedule::SquaredCosine
        }
        (_, SigmaSpacing::Karras) => true,
        _ => false,
    };
    match is_multistep(config) {
        true if is_rounded => timestep.round_ties_even(),
        true => timestep.trunc(),
        false => timestep,
    }
}

/// The value at a position between whole indices, as `numpy.interp` in double precision.
fn interpolated(values: &[f32], position: f64) -> f64 {
    let lower = (position as usize).min(values.len() - 1);
    let upper = (lower + 1).min(values.len() - 1);
    let start = f64::from(values[lower]);
    let slope = f64::from(values[upper]) - start;
    slope * (position - lower as f64) + start
}
