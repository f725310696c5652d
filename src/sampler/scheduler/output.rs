//! What a step brings.

/// What a step makes of a sample. Both have the sample's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutput {
    /// The sample at the next timestep; the result after the last step.
    pub previous_sample: Vec<f32>,
    /// The original sample that the model aims at from here (equation 2 of the paper), before any
    /// noise is added again. Its scale is the result's.
    pub predicted_original: Vec<f32>,
}
