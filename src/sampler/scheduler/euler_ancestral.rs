//! Ancestral sampling with Euler steps, as k-diffusion has it: every step goes further down than
//! asked for and adds noise back up to the level that it was to reach.

use super::output::StepOutput;
use super::variance_exploding::Sigmas;
use crate::sampler::noise::TorchGenerator;

pub(super) fn step(
    sigmas: &Sigmas,
    index: usize,
    model_output: &[f32],
    sample: &[f32],
    generator: &mut TorchGenerator,
) -> StepOutput {
    let from = sigmas.before(index);
    let to = sigmas.after(index);
    let up = (to * to * (from * from - to * to) / (from * from)).sqrt();
    // Rounding must not turn a nearly empty remainder into the root of a negative number.
    let down = (to * to - up * up).max(0.0).sqrt();
    let predicted_original = sigmas.predicted_original(index, model_output, sample);
    let mut previous_sample = sigmas.euler_step(index, down, sample, &predicted_original);
    // The last step draws as well, though it adds nothing: diffusers does, and a seed's stream has
    // to stay in step with it.
    for (value, noise) in previous_sample
        .iter_mut()
        .zip(generator.randn(sample.len()))
    {
        *value += noise * up;
    }
    StepOutput {
        previous_sample,
        predicted_original,
    }
}
