//! Euler's method on the probability-flow equation (Karras and others, "Elucidating the Design
//! Space of Diffusion-Based Generative Models", algorithm 2 without churn).

use super::output::StepOutput;
use super::variance_exploding::Sigmas;

pub(super) fn step(
    sigmas: &Sigmas,
    index: usize,
    model_output: &[f32],
    sample: &[f32],
) -> StepOutput {
    let predicted_original = sigmas.predicted_original(index, model_output, sample);
    let previous_sample =
        sigmas.euler_step(index, sigmas.after(index), sample, &predicted_original);
    StepOutput {
        previous_sample,
        predicted_original,
    }
}
