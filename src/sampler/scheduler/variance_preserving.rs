//! What DDIM, LCM, TCD and the multistep solvers share: samples keep a variance of about 1, as
//! `sqrt(alpha_bar) * original + sqrt(1 - alpha_bar) * noise`.

use super::config::PredictionType;

/// The predicted original sample (equation 2 of the paper for epsilon), within `clip` if given.
pub(super) fn predicted_original(
    prediction: PredictionType,
    alpha_bar: f32,
    clip: Option<f32>,
    model_output: &[f32],
    sample: &[f32],
) -> Vec<f32> {
    let signal = alpha_bar.sqrt();
    let noise = (1.0 - alpha_bar).sqrt();
    let mut originals = originals(prediction, [signal, noise], model_output, sample);
    if let Some(range) = clip {
        clamp(&mut originals, range);
    }
    originals
}

/// The predicted original samples where a sample has these shares of the original and of the noise.
pub(super) fn originals(
    prediction: PredictionType,
    [signal, noise]: [f32; 2],
    model_output: &[f32],
    sample: &[f32],
) -> Vec<f32> {
    let estimate = |output: f32, value: f32| match prediction {
        PredictionType::Epsilon => (value - noise * output) / signal,
        PredictionType::Sample => output,
        PredictionType::Velocity => signal * value - noise * output,
    };
    let pairs = model_output.iter().zip(sample);
    pairs
        .map(|(output, value)| estimate(*output, *value))
        .collect()
}

/// Keeps values within −`range`…`range`.
pub(super) fn clamp(values: &mut [f32], range: f32) {
    for value in values {
        *value = value.clamp(-range, range);
    }
}

/// The samples at another level, by the originals that were predicted at this one and the noise that the
/// model sees there: DDIM's step without noise of its own.
pub(super) fn at_level(
    prediction: PredictionType,
    [alpha_bar, other_alpha_bar]: [f32; 2],
    model_output: &[f32],
    sample: &[f32],
    originals: &[f32],
) -> Vec<f32> {
    let signal = other_alpha_bar.sqrt();
    let noise = (1.0 - other_alpha_bar).sqrt();
    model_output
        .iter()
        .zip(sample)
        .zip(originals)
        .map(|((output, value), original)| {
            signal * original + noise * predicted_noise(prediction, alpha_bar, *output, *value)
        })
        .collect()
}

/// The noise that the model sees in the sample: from its own output, as in diffusers, also where
/// the predicted original sample is clipped.
fn predicted_noise(
    prediction: PredictionType,
    alpha_bar: f32,
    model_output: f32,
    value: f32,
) -> f32 {
    let signal = alpha_bar.sqrt();
    let noise = (1.0 - alpha_bar).sqrt();
    match prediction {
        PredictionType::Epsilon => model_output,
        PredictionType::Sample => (value - signal * model_output) / noise,
        PredictionType::Velocity => signal * model_output + noise * value,
    }
}
