//! What an experiment is about.

use serde::{Deserialize, Serialize};

/// What is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Study {
    /// The modes: how far the pictures of a prompt are apart.
    Diversity,
    /// The modes: how far each step's Diffusion Target is from the final image.
    Convergence,
    /// The modes: the time of an image.
    Time,
    /// The hybrid, by the guidance scale of the base model's steps.
    BaseGuidance(Vec<f32>),
    /// The hybrid, by the number of replaced steps.
    K(Vec<u32>),
    /// The hybrid, by the base model's steps in place of each replaced one.
    BaseSteps(Vec<u32>),
    /// The adaptive switch by its threshold, beside the hybrid with each k.
    Adaptive(Vec<f32>),
    /// The modes, by the strength of the first adapter. The strength 0, with which all others are
    /// compared, is always among them.
    Transfer(Vec<f32>),
}

impl Study {
    /// The names of all studies in links and files, in the order in which they are offered.
    pub const KEYS: [&'static str; 8] = [
        "diversity",
        "convergence",
        "time",
        "base-guidance",
        "k",
        "base-steps",
        "adaptive",
        "transfer",
    ];

    /// The study's name in links, files and test handles.
    pub fn key(&self) -> &'static str {
        match self {
            Study::Diversity => "diversity",
            Study::Convergence => "convergence",
            Study::Time => "time",
            Study::BaseGuidance(_) => "base-guidance",
            Study::K(_) => "k",
            Study::BaseSteps(_) => "base-steps",
            Study::Adaptive(_) => "adaptive",
            Study::Transfer(_) => "transfer",
        }
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Study::Diversity => "Sample diversity",
            Study::Convergence => "Distance of each target to the final image",
            Study::Time => "Time per image",
            Study::BaseGuidance(_) => "Diversity by base guidance",
            Study::K(_) => "Diversity by k",
            Study::BaseSteps(_) => "Diversity by base steps",
            Study::Adaptive(_) => "Adaptive switch beside fixed k",
            Study::Transfer(_) => "Transfer of an adapter",
        }
    }

    /// Whether the steps of its pictures are decoded and compared with the final image, which takes
    /// longer.
    pub fn measures_steps(&self) -> bool {
        matches!(self, Study::Convergence)
    }

    /// Whether only the hybrid has the setting that it is about.
    pub fn is_of_hybrid(&self) -> bool {
        matches!(
            self,
            Study::BaseGuidance(_) | Study::K(_) | Study::BaseSteps(_)
        )
    }
}
