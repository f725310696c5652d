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

impl Timesteps {
    /// Those that a model was distilled at (`own`, which may be none), where as many steps are asked for.
    pub fn of_distilled(own: &[u32], steps: u32) -> Timesteps {
        if own.len() == steps as usize {
            Timesteps::Explicit(own.to_vec())
        } else {
            Timesteps::Steps(steps)
        }
    }
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

/// Where the spacing of a multistep solver begins: so many training timesteps count.
///
/// As [`spaced`], in whole timesteps, but with one step more in mind, which would be taken at 0: the
/// solvers' last step ends there.
pub(super) fn spaced_before_end(
    config: &SchedulerConfig,
    steps: u32,
    last_timestep: u32,
) -> Result<Vec<u32>, SchedulerError> {
    let spacing = config.timestep_spacing();
    let maximum = match spacing {
        TimestepSpacing::Trailing => config.num_train_timesteps(),
        TimestepSpacing::Leading | TimestepSpacing::Linspace => last_timestep.saturating_sub(1),
    };
    if !(1..=maximum).contains(&steps) {
        return Err(SchedulerError::StepCount { steps, maximum });
    }
    Ok(match spacing {
        TimestepSpacing::Leading => {
            let ratio = last_timestep / (steps + 1);
            checked_range(config, steps * ratio + config.steps_offset())?;
            (1..=steps)
                .rev()
                .map(|index| index * ratio + config.steps_offset())
                .collect()
        }
        TimestepSpacing::Linspace => {
            let step = f64::from(last_timestep - 1) / f64::from(steps);
            (1..=steps)
                .rev()
                .map(|index| {
                    let timestep = if index == steps {
                        f64::from(last_timestep - 1)
                    } else {
                        f64::from(index) * step
                    };
                    timestep.round_ties_even() as u32
                })
                .collect()
        }
        TimestepSpacing::Trailing => {
            let ratio = f64::from(config.num_train_timesteps()) / f64::from(steps);
            let first = f64::from(last_timestep);
            // numpy's arange takes its step from its first two rounded values.
            let step = (first - ratio) - first;
            let count = ((first / ratio).ceil() as u32).min(steps);
            (0..count)
                .map(|index| first + f64::from(index) * step)
                .map(|timestep| (timestep.round_ties_even() - 1.0).max(0.0) as u32)
                .collect()
        }
    })
}
