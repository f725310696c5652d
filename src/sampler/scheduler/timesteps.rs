//! Which of the training timesteps are sampled.

use super::config::{SchedulerConfig, TimestepSpacing};
use super::error::SchedulerError;

/// The timesteps that a scheduler is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timesteps {
    /// A number of timesteps, which the scheduler chooses as diffusers' `set_timesteps` does.
    Steps(u32),
    /// A list of timesteps, from the noisiest down.
    ///
    /// diffusers takes them for LCM and Euler. The two other schedulers take them here as well, so
    /// that a model which was distilled on certain timesteps can be sampled by any scheduler.
    Explicit(Vec<u32>),
}

/// The number of steps, within what the model was trained on.
pub(super) fn checked_steps(config: &SchedulerConfig, steps: u32) -> Result<usize, SchedulerError> {
    let maximum = config.num_train_timesteps();
    if (1..=maximum).contains(&steps) {
        Ok(steps as usize)
    } else {
        Err(SchedulerError::StepCount { steps, maximum })
    }
}

/// Explicit timesteps, checked: at least one, each below the one before, all trained.
pub(super) fn checked_explicit(
    config: &SchedulerConfig,
    timesteps: &[u32],
) -> Result<Vec<u32>, SchedulerError> {
    if timesteps.is_empty() {
        return Err(SchedulerError::NoTimesteps);
    }
    if let Some(pair) = timesteps.windows(2).find(|pair| pair[0] <= pair[1]) {
        return Err(SchedulerError::NotDescending {
            earlier: pair[0],
            later: pair[1],
        });
    }
    checked_range(config, timesteps[0])?;
    Ok(timesteps.to_vec())
}

fn checked_range(config: &SchedulerConfig, timestep: u32) -> Result<(), SchedulerError> {
    let num_train_timesteps = config.num_train_timesteps();
    if timestep < num_train_timesteps {
        Ok(())
    } else {
        Err(SchedulerError::TimestepRange {
            timestep,
            num_train_timesteps,
        })
    }
}

/// `steps` timesteps by the configuration's spacing, from the noisiest down. Those of
/// [`TimestepSpacing::Linspace`] aren't whole numbers.
///
/// For some step counts (61 of 1000 is the smallest) rounding makes diffusers' trailing spacing
/// end with an additional timestep of -1, which no model knows; it is left out here.
pub(super) fn spaced(config: &SchedulerConfig, steps: u32) -> Result<Vec<f64>, SchedulerError> {
    let count = checked_steps(config, steps)? as u32;
    let trained = config.num_train_timesteps();
    Ok(match config.timestep_spacing() {
        TimestepSpacing::Leading => {
            let ratio = trained / count;
            checked_range(config, (count - 1) * ratio + config.steps_offset())?;
            (0..count)
                .rev()
                .map(|index| f64::from(index * ratio + config.steps_offset()))
                .collect()
        }
        TimestepSpacing::Trailing => {
            // numpy's arange takes its step from its first two rounded values.
            let first = f64::from(trained);
            let step = (first - first / f64::from(count)) - first;
            (0..count)
                .map(|index| (first + f64::from(index) * step).round_ties_even() - 1.0)
                .collect()
        }
        TimestepSpacing::Linspace if count == 1 => vec![0.0],
        TimestepSpacing::Linspace => {
            let step = f64::from(trained - 1) / f64::from(count - 1);
            (0..count)
                .rev()
                .map(|index| {
                    if index == count - 1 {
                        f64::from(trained - 1)
                    } else {
                        f64::from(index) * step
                    }
                })
                .collect()
        }
    })
}
