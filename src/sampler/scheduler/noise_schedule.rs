//! How much of the original sample is left at each training timestep.

use std::f64::consts::PI;

use super::config::{BetaSchedule, PredictionType, SchedulerConfig, TimestepType};
use super::error::SchedulerError;

/// The largest beta of the cosine schedule.
const MAXIMUM_COSINE_BETA: f64 = 0.999;

/// What diffusers leaves of the sample at the last timestep of a zero terminal SNR where a scheduler
/// divides by it: the smallest number of half precision.
const LEAST_ALPHA_BAR: f32 = 1.0 / (1 << 24) as f32;

/// `alphas_cumprod` of diffusers: per training timestep the product of all `1 - beta` so far, from
/// nearly 1 (no noise) down to nearly 0; with a zero terminal SNR to 0 itself, else always above it.
/// Always below 1.
///
/// Betas are single precision and their product runs in double precision, as in torch.
///
/// # Errors
/// Betas that leave no noise at the first timestep or nothing of the sample at the last one.
pub(super) fn alphas_cumprod(config: &SchedulerConfig) -> Result<Vec<f32>, SchedulerError> {
    let alphas = betas(config).into_iter().map(|beta| 1.0 - beta);
    let alphas_cumprod = cumulated(alphas);
    // The schedulers divide by signal and by noise. Products only fall, so the ends bound all of them.
    let first_has_noise = alphas_cumprod.first().is_some_and(|first| *first < 1.0);
    let last_has_signal = alphas_cumprod
        .last()
        .is_some_and(|last| *last >= f32::MIN_POSITIVE);
    let falls = alphas_cumprod.first() > alphas_cumprod.last();
    if !first_has_noise || !last_has_signal || config.rescale_betas_zero_snr() && !falls {
        return Err(SchedulerError::DegenerateNoise {
            beta_start: config.beta_start(),
            beta_end: config.beta_end(),
            num_train_timesteps: config.num_train_timesteps(),
        });
    }
    if config.rescale_betas_zero_snr() {
        Ok(rescaled_to_zero_terminal_snr(&alphas_cumprod))
    } else {
        Ok(alphas_cumprod)
    }
}

/// The noise level of each training timestep, `sqrt((1 - alpha_bar) / alpha_bar)`, from the smallest
/// up.
///
/// # Errors
/// As [`alphas_cumprod`].
pub(super) fn trained_sigmas(config: &SchedulerConfig) -> Result<Vec<f32>, SchedulerError> {
    let mut alphas_cumprod = alphas_cumprod(config)?;
    if config.rescale_betas_zero_snr()
        && let Some(last) = alphas_cumprod.last_mut()
    {
        *last = LEAST_ALPHA_BAR;
    }
    let sigma = |alpha_bar: f32| ((1.0 - alpha_bar) / alpha_bar).sqrt();
    Ok(alphas_cumprod.into_iter().map(sigma).collect())
}

/// Checks that a model's predicted noise leads to a picture from each of these timesteps: it doesn't
/// from one with nothing but noise.
///
/// # Errors
/// [`SchedulerError::NoSignal`], and [`SchedulerError::ContinuousTimesteps`] for a model that isn't told
/// timesteps at all.
pub(super) fn check_signal(
    config: &SchedulerConfig,
    alphas_cumprod: &[f32],
    timesteps: &[u32],
) -> Result<(), SchedulerError> {
    let label = config.class().label();
    if config.timestep_type() == TimestepType::Continuous {
        return Err(SchedulerError::ContinuousTimesteps { label });
    }
    let without = |timestep: &&u32| alphas_cumprod[**timestep as usize] <= 0.0;
    match timesteps.iter().find(without) {
        Some(&timestep) if config.prediction_type() == PredictionType::Epsilon => {
            Err(SchedulerError::NoSignal { timestep, label })
        }
        _ => Ok(()),
    }
}

fn cumulated(alphas: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut product = 1.0_f64;
    alphas
        .map(|alpha| {
            product *= f64::from(alpha);
            product as f32
        })
        .collect()
}

/// Algorithm 1 of Lin and others, "Common Diffusion Noise Schedules and Sample Steps are Flawed": the
/// roots are shifted to end at 0, and scaled to begin where they began. As in diffusers they become
/// betas again in between, in single precision.
fn rescaled_to_zero_terminal_snr(alphas_cumprod: &[f32]) -> Vec<f32> {
    let roots: Vec<f32> = alphas_cumprod.iter().map(|it| it.sqrt()).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let scale = first / (first - last);
    let squares: Vec<f32> = roots
        .iter()
        .map(|root| {
            let root = (root - last) * scale;
            root * root
        })
        .collect();
    let ratios = squares.windows(2).map(|pair| pair[1] / pair[0]);
    let betas = [squares[0]]
        .into_iter()
        .chain(ratios)
        .map(|alpha| 1.0 - alpha);
    cumulated(betas.map(|beta| 1.0 - beta))
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
