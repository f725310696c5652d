//! What a scheduler remembers from one step to the next.

/// What the steps so far left for those that follow: nothing at the first step, and nothing ever for a
/// scheduler that looks at one step alone.
///
/// It belongs to one scheduler and one model. Whoever hands a latent over to another begins with an
/// empty one, as a new scheduler of diffusers does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Results of earlier steps, each of the sample's length; which ones, the scheduler knows.
    pub(super) kept: Vec<Vec<f32>>,
    /// What the first of a step's two model passes left for the second.
    pub(super) half: Option<HalfStep>,
}

/// A step between its two model passes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HalfStep {
    /// The sample that the second pass looks at, at the level after the step.
    pub sample: Vec<f32>,
    /// The slope at the level before the step.
    pub slope: Vec<f32>,
    /// The original sample that the first pass predicted.
    pub predicted_original: Vec<f32>,
}

impl Memory {
    /// The memory of which [`Memory::values`] are these; `len` is the length of a sample.
    pub fn from_values(values: &[f32], len: usize) -> Memory {
        Memory {
            kept: values.chunks(len.max(1)).map(<[f32]>::to_vec).collect(),
            half: None,
        }
    }

    /// What is remembered between two steps, one result behind the other.
    pub fn values(&self) -> impl Iterator<Item = f32> {
        self.kept.iter().flatten().copied()
    }

    /// Whether a step has taken the first of two model passes.
    pub fn is_within_step(&self) -> bool {
        self.half.is_some()
    }
}
