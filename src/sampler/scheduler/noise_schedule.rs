//! How much of the original sample is left at each training timestep.

use std::f64::consts::PI;

use super::config::{BetaSchedule, SchedulerConfig};
use super::error::SchedulerError;

/// The largest beta of the cosine schedule.
const MAXIMUM_COSINE_BETA: f64 = 0.999;

/// `alphas_cumprod` of diffusers: per training timestep the product of all `1 - beta` so far, from
/// nearly 1 (no noise) down to nearly 0. Always above 0 and below 1.
///
/// Betas are single precision and their product runs in double precision, as in torch.
///
/// # Errors
/// Betas that leave no noise at the first timestep or nothing of the sample at the last one.
pub(super) fn alphas_cumprod(config: &SchedulerConfig) -> Result<Vec<f32>, SchedulerError> {
    let mut product = 1.0_f64;
    let alphas_cumprod: Vec<f32> = betas(config)
        .into_iter()
        .map(|beta| {
            product *= f64::from(1.0 - beta);
            product as f32
        })
        .collect();
    // The schedulers divide by signal and by noise. Products only fall, so the ends bound all of them.
    let first_has_noise = alphas_cumprod.first().is_some_and(|first| *first < 1.0);
    let last_has_signal = alphas_cumprod
        .last()
        .is_some_and(|last| *last >= f32::MIN_POSITIVE);
    if first_has_noise && last_has_signal {
        Ok(alphas_cumprod)
    } else {
        Err(SchedulerError::DegenerateNoise {
            beta_start: config.beta_start(),
            beta_end: config.beta_end(),
            num_train_timesteps: config.num_train_timesteps(),
        })
    }
}

fn betas(config: &SchedulerConfig) -> Vec<f32> {
    let count = config.num_train_timesteps();
    match config.beta_schedule() {
        BetaSchedule::Linear => linspace(
            config.beta_start() as f32,
            config.beta_end() as f32,
            count as usize,
        ),
        BetaSchedule::ScaledLinear => linspace(
            config.beta_start().sqrt() as f32,
            config.beta_end().sqrt() as f32,
            count as usize,
        )
        .into_iter()
        .map(|root| root * root)
        .collect(),
        BetaSchedule::SquaredCosine => {
            let alpha_bar = |time: f64| ((time + 0.008) / 1.008 * PI / 2.0).cos().powi(2);
            (0..count)
                .map(|index| {
                    let start = f64::from(index) / f64::from(count);
                    let end = f64::from(index + 1) / f64::from(count);
                    let beta = 1.0 - alpha_bar(end) / alpha_bar(start);
                    beta.min(MAXIMUM_COSINE_BETA) as f32
                })
                .collect()
        }
    }
}

/// `torch.linspace` in single precision, which counts the second half down from the end.
fn linspace(start: f32, end: f32, count: usize) -> Vec<f32> {
    if count == 1 {
        return vec![start];
    }
    let step = (end - start) / (count - 1) as f32;
    (0..count)
        .map(|index| {
            if index < count / 2 {
                start + step * index as f32
            } else {
                end - step * (count - 1 - index) as f32
            }
        })
        .collect()
}
