//! What DDIM and LCM share: samples keep a variance of about 1, as
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
    let estimate = |output: f32, value: f32| match prediction {
        PredictionType::Epsilon => (value - noise * output) / signal,
        PredictionType::Sample => output,
        PredictionType::Velocity => signal * value - noise * output,
    };
    model_output
        .iter()
        .zip(sample)
        .map(|(output, value)| {
            let original = estimate(*output, *value);
            clip.map_or(original, |range| original.clamp(-range, range))
        })
        .collect()
}

/// The noise that the model sees in the sample: from its own output, as in diffusers, also where
/// the predicted original sample is clipped.
pub(super) fn predicted_noise(
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
