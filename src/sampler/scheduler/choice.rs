//! The schedulers that a visitor can choose.

use serde::{Deserialize, Serialize};

use super::config::{AlgorithmType, SchedulerClass, SchedulerConfig, SigmaSpacing};

/// A scheduler by the name under which people know it: a class, and for DPM-Solver++ what else its names
/// tell. Saved recipes have the first ones by their classes.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchedulerChoice {
    /// [`SchedulerClass::Ddim`].
    #[serde(rename = "DDIMScheduler")]
    Ddim,
    /// [`SchedulerClass::EulerDiscrete`].
    #[serde(rename = "EulerDiscreteScheduler")]
    EulerDiscrete,
    /// [`SchedulerClass::EulerAncestral`].
    #[serde(rename = "EulerAncestralDiscreteScheduler")]
    EulerAncestral,
    /// [`SchedulerClass::Lcm`].
    #[serde(rename = "LCMScheduler")]
    Lcm,
    /// [`SchedulerClass::DpmSolverMultistep`].
    #[serde(rename = "DPM++ 2M")]
    DpmSolver,
    /// The same on Karras' noise levels.
    #[serde(rename = "DPM++ 2M Karras")]
    DpmSolverKarras,
    /// The same with noise in every step.
    #[serde(rename = "DPM++ 2M SDE")]
    DpmSolverSde,
    /// The same with both.
    #[serde(rename = "DPM++ 2M SDE Karras")]
    DpmSolverSdeKarras,
    /// [`SchedulerClass::UniPcMultistep`].
    #[serde(rename = "UniPC")]
    UniPc,
    /// [`SchedulerClass::HeunDiscrete`].
    #[serde(rename = "Heun")]
    Heun,
    /// [`SchedulerClass::Tcd`].
    #[serde(rename = "TCD")]
    Tcd,
}

impl SchedulerChoice {
    /// Every choice.
    pub const ALL: [SchedulerChoice; 11] = [
        SchedulerChoice::Ddim,
        SchedulerChoice::EulerDiscrete,
        SchedulerChoice::EulerAncestral,
        SchedulerChoice::Lcm,
        SchedulerChoice::DpmSolver,
        SchedulerChoice::DpmSolverKarras,
        SchedulerChoice::DpmSolverSde,
        SchedulerChoice::DpmSolverSdeKarras,
        SchedulerChoice::UniPc,
        SchedulerChoice::Heun,
        SchedulerChoice::Tcd,
    ];

    /// The short name in links.
    pub fn key(self) -> &'static str {
        match self {
            SchedulerChoice::Ddim => "ddim",
            SchedulerChoice::EulerDiscrete => "euler",
            SchedulerChoice::EulerAncestral => "euler-ancestral",
            SchedulerChoice::Lcm => "lcm",
            SchedulerChoice::DpmSolver => "dpmpp-2m",
            SchedulerChoice::DpmSolverKarras => "dpmpp-2m-karras",
            SchedulerChoice::DpmSolverSde => "dpmpp-2m-sde",
            SchedulerChoice::DpmSolverSdeKarras => "dpmpp-2m-sde-karras",
            SchedulerChoice::UniPc => "unipc",
            SchedulerChoice::Heun => "heun",
            SchedulerChoice::Tcd => "tcd",
        }
    }

    /// The choice of a [`SchedulerChoice::key`].
    pub fn from_key(key: &str) -> Option<SchedulerChoice> {
        SchedulerChoice::ALL
            .into_iter()
            .find(|choice| choice.key() == key)
    }

    /// The name for people.
    pub fn label(self) -> &'static str {
        match self {
            SchedulerChoice::DpmSolverKarras => "DPM++ 2M Karras",
            SchedulerChoice::DpmSolverSde => "DPM++ 2M SDE",
            SchedulerChoice::DpmSolverSdeKarras => "DPM++ 2M SDE Karras",
            SchedulerChoice::Ddim
            | SchedulerChoice::EulerDiscrete
            | SchedulerChoice::EulerAncestral
            | SchedulerChoice::Lcm
            | SchedulerChoice::DpmSolver
            | SchedulerChoice::UniPc
            | SchedulerChoice::Heun
            | SchedulerChoice::Tcd => self.class().label(),
        }
    }

    /// Its class.
    pub fn class(self) -> SchedulerClass {
        match self {
            SchedulerChoice::Ddim => SchedulerClass::Ddim,
            SchedulerChoice::EulerDiscrete => SchedulerClass::EulerDiscrete,
            SchedulerChoice::EulerAncestral => SchedulerClass::EulerAncestral,
            SchedulerChoice::Lcm => SchedulerClass::Lcm,
            SchedulerChoice::DpmSolver
            | SchedulerChoice::DpmSolverKarras
            | SchedulerChoice::DpmSolverSde
            | SchedulerChoice::DpmSolverSdeKarras => SchedulerClass::DpmSolverMultistep,
            SchedulerChoice::UniPc => SchedulerClass::UniPcMultistep,
            SchedulerChoice::Heun => SchedulerClass::HeunDiscrete,
            SchedulerChoice::Tcd => SchedulerClass::Tcd,
        }
    }

    /// The choice that is nearest to a configuration.
    pub fn of(config: &SchedulerConfig) -> SchedulerChoice {
        let is_karras = config.sigma_spacing() == Some(SigmaSpacing::Karras);
        match (config.class(), config.is_stochastic(), is_karras) {
            (SchedulerClass::Ddim, ..) => SchedulerChoice::Ddim,
            (SchedulerClass::EulerDiscrete, ..) => SchedulerChoice::EulerDiscrete,
            (SchedulerClass::EulerAncestral, ..) => SchedulerChoice::EulerAncestral,
            (SchedulerClass::Lcm, ..) => SchedulerChoice::Lcm,
            (SchedulerClass::DpmSolverMultistep, false, false) => SchedulerChoice::DpmSolver,
            (SchedulerClass::DpmSolverMultistep, false, true) => SchedulerChoice::DpmSolverKarras,
            (SchedulerClass::DpmSolverMultistep, true, false) => SchedulerChoice::DpmSolverSde,
            (SchedulerClass::DpmSolverMultistep, true, true) => SchedulerChoice::DpmSolverSdeKarras,
            (SchedulerClass::UniPcMultistep, ..) => SchedulerChoice::UniPc,
            (SchedulerClass::HeunDiscrete, ..) => SchedulerChoice::Heun,
            (SchedulerClass::Tcd, ..) => SchedulerChoice::Tcd,
        }
    }

    /// A model's configuration for this choice: what the file sets stays, as in diffusers'
    /// `from_config`, but for what the choice's name tells.
    pub fn config(self, own: &SchedulerConfig) -> SchedulerConfig {
        let config = own.with_class(self.class());
        let (is_stochastic, is_karras) = match self {
            SchedulerChoice::DpmSolver => (false, false),
            SchedulerChoice::DpmSolverKarras => (false, true),
            SchedulerChoice::DpmSolverSde => (true, false),
            SchedulerChoice::DpmSolverSdeKarras => (true, true),
            SchedulerChoice::Ddim
            | SchedulerChoice::EulerDiscrete
            | SchedulerChoice::EulerAncestral
            | SchedulerChoice::Lcm
            | SchedulerChoice::UniPc
            | SchedulerChoice::Heun
            | SchedulerChoice::Tcd => return config,
        };
        let algorithm = if is_stochastic {
            AlgorithmType::Stochastic
        } else {
            AlgorithmType::Ordinary
        };
        let config = config.with_algorithm(algorithm);
        let was_karras = config.sigma_spacing() == Some(SigmaSpacing::Karras);
        match (is_karras, was_karras) {
            (true, _) => config.with_sigma_spacing(Some(SigmaSpacing::Karras)),
            (false, true) => config.with_sigma_spacing(None),
            (false, false) => config,
        }
    }
}
