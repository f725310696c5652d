//! The timesteps of the schedulers for models that were distilled on a schedule of their own.

use super::config::SchedulerConfig;
use super::error::SchedulerError;
use super::timesteps::{self, Timesteps};

/// The given timesteps, or a selection of those that the model was distilled on.
pub(super) fn chosen(
    config: &SchedulerConfig,
    requested: &Timesteps,
) -> Result<Vec<u32>, SchedulerError> {
    match requested {
        Timesteps::Steps(steps) => selected(config, *steps),
        Timesteps::Explicit(explicit) => timesteps::checked_explicit(config, explicit),
    }
}

/// An even selection of the timesteps that the model was distilled on, from the noisiest down.
fn selected(config: &SchedulerConfig, steps: u32) -> Result<Vec<u32>, SchedulerError> {
    let original_steps = config.original_inference_steps();
    let trained = config.num_train_timesteps();
    if original_steps > trained {
        return Err(SchedulerError::OriginalSteps {
            original_steps,
            num_train_timesteps: trained,
        });
    }
    let count = timesteps::checked_steps(config, steps)?;
    if steps > original_steps {
        return Err(SchedulerError::StepCount {
            steps,
            maximum: original_steps,
        });
    }
    let distance = trained / original_steps;
    let stride = f64::from(original_steps) / count as f64;
    Ok((0..count)
        .map(|index| {
            let skipped = (index as f64 * stride).floor() as u32;
            (original_steps - skipped) * distance - 1
        })
        .collect())
}
