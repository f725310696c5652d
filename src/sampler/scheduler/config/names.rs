//! The words of a `scheduler_config.json` that name one of several ways.

use serde::{Deserialize, Serialize};

/// The schedulers, by the names of diffusers' classes.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchedulerClass {
    /// Denoising diffusion implicit models, without step noise (eta is 0).
    #[serde(rename = "DDIMScheduler")]
    Ddim,
    /// Euler's method on the probability-flow equation.
    #[serde(rename = "EulerDiscreteScheduler")]
    EulerDiscrete,
    /// Euler's method with noise added in every step.
    #[serde(rename = "EulerAncestralDiscreteScheduler")]
    EulerAncestral,
    /// Multistep sampling of a consistency model.
    #[serde(rename = "LCMScheduler")]
    Lcm,
    /// DPM-Solver++ with the model's outputs of earlier steps.
    #[serde(rename = "DPMSolverMultistepScheduler")]
    DpmSolverMultistep,
    /// A predictor and a corrector with the model's outputs of earlier steps.
    #[serde(rename = "UniPCMultistepScheduler")]
    UniPcMultistep,
    /// Heun's method: the slope's mean of two model passes a step.
    #[serde(rename = "HeunDiscreteScheduler")]
    HeunDiscrete,
    /// Trajectory consistency distillation's sampling.
    #[serde(rename = "TCDScheduler")]
    Tcd,
}

impl SchedulerClass {
    /// Every class.
    pub const ALL: [SchedulerClass; 8] = [
        SchedulerClass::Ddim,
        SchedulerClass::EulerDiscrete,
        SchedulerClass::EulerAncestral,
        SchedulerClass::Lcm,
        SchedulerClass::DpmSolverMultistep,
        SchedulerClass::UniPcMultistep,
        SchedulerClass::HeunDiscrete,
        SchedulerClass::Tcd,
    ];

    /// The name of diffusers' class: `_class_name` of a configuration.
    pub fn class_name(self) -> &'static str {
        match self {
            SchedulerClass::Ddim => "DDIMScheduler",
            SchedulerClass::EulerDiscrete => "EulerDiscreteScheduler",
            SchedulerClass::EulerAncestral => "EulerAncestralDiscreteScheduler",
            SchedulerClass::Lcm => "LCMScheduler",
            SchedulerClass::DpmSolverMultistep => "DPMSolverMultistepScheduler",
            SchedulerClass::UniPcMultistep => "UniPCMultistepScheduler",
            SchedulerClass::HeunDiscrete => "HeunDiscreteScheduler",
            SchedulerClass::Tcd => "TCDScheduler",
        }
    }

    /// The name for people.
    pub fn label(self) -> &'static str {
        match self {
            SchedulerClass::Ddim => "DDIM",
            SchedulerClass::EulerDiscrete => "Euler",
            SchedulerClass::EulerAncestral => "Euler ancestral",
            SchedulerClass::Lcm => "LCM",
            SchedulerClass::DpmSolverMultistep => "DPM++ 2M",
            SchedulerClass::UniPcMultistep => "UniPC",
            SchedulerClass::HeunDiscrete => "Heun",
            SchedulerClass::Tcd => "TCD",
        }
    }
}

/// How the noise added per training timestep grows.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Evenly from `beta_start` to `beta_end`.
    Linear,
    /// Evenly in the square roots: the schedule of latent diffusion.
    ScaledLinear,
    /// The cosine schedule of Nichol and Dhariwal, capped at 0.999; without `beta_start` and
    /// `beta_end`.
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredCosine,
}

impl BetaSchedule {
    pub(super) const KNOWN: [(&'static str, BetaSchedule); 3] = [
        ("linear", BetaSchedule::Linear),
        ("scaled_linear", BetaSchedule::ScaledLinear),
        ("squaredcos_cap_v2", BetaSchedule::SquaredCosine),
    ];
}

/// What the model's output is.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredictionType {
    /// The noise in the sample.
    #[serde(rename = "epsilon")]
    Epsilon,
    /// The original sample itself.
    #[serde(rename = "sample")]
    Sample,
    /// The velocity of Salimans and Ho, "Progressive Distillation".
    #[serde(rename = "v_prediction")]
    Velocity,
}

impl PredictionType {
    pub(super) const KNOWN: [(&'static str, PredictionType); 3] = [
        ("epsilon", PredictionType::Epsilon),
        ("sample", PredictionType::Sample),
        ("v_prediction", PredictionType::Velocity),
    ];
}

/// How sampling steps are spread over the training timesteps (Lin and others, "Common Diffusion
/// Noise Schedules and Sample Steps are Flawed", table 2).
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// Equal distances from 0, moved up by `steps_offset`; the noisiest timesteps are left out.
    Leading,
    /// Equal distances from the noisiest timestep downwards.
    Trailing,
    /// Both ends included.
    Linspace,
}

impl TimestepSpacing {
    pub(super) const KNOWN: [(&'static str, TimestepSpacing); 3] = [
        ("leading", TimestepSpacing::Leading),
        ("trailing", TimestepSpacing::Trailing),
        ("linspace", TimestepSpacing::Linspace),
    ];
}

/// What the model is told of a noise level.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum TimestepType {
    /// The training timestep of that level.
    Discrete,
    /// A quarter of the level's logarithm, for models that predict the velocity.
    Continuous,
}

impl TimestepType {
    pub(super) const KNOWN: [(&'static str, TimestepType); 2] = [
        ("discrete", TimestepType::Discrete),
        ("continuous", TimestepType::Continuous),
    ];
}

/// How Euler's noise levels follow from its timesteps.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum InterpolationType {
    /// Each is the level of its timestep.
    Linear,
    /// They fall evenly in their logarithms, from the largest trained one to the smallest.
    LogLinear,
}

impl InterpolationType {
    pub(super) const KNOWN: [(&'static str, InterpolationType); 2] = [
        ("linear", InterpolationType::Linear),
        ("log_linear", InterpolationType::LogLinear),
    ];
}

/// The noise level after the last step.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum FinalSigmasType {
    /// None.
    Zero,
    /// The smallest of the schedule.
    SigmaMin,
}

impl FinalSigmasType {
    pub(super) const KNOWN: [(&'static str, FinalSigmasType); 2] = [
        ("zero", FinalSigmasType::Zero),
        ("sigma_min", FinalSigmasType::SigmaMin),
    ];
}

/// The equation that DPM-Solver solves.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlgorithmType {
    /// DPM-Solver++ (Lu and others, 2022): the equation in the predicted original sample.
    #[serde(rename = "dpmsolver++")]
    Ordinary,
    /// Its stochastic kind: every step adds noise.
    #[serde(rename = "sde-dpmsolver++")]
    Stochastic,
}

impl AlgorithmType {
    pub(super) const KNOWN: [(&'static str, AlgorithmType); 5] = [
        ("dpmsolver++", AlgorithmType::Ordinary),
        ("sde-dpmsolver++", AlgorithmType::Stochastic),
        // The same in the predicted noise. A configuration of theirs is sampled with Euler, unless
        // somebody chooses DPM-Solver++ for it.
        ("dpmsolver", AlgorithmType::Ordinary),
        ("sde-dpmsolver", AlgorithmType::Stochastic),
        // What DEIS' configurations name; DPM-Solver takes it for its own.
        ("deis", AlgorithmType::Ordinary),
    ];
}

/// The kind of a multistep solver's step. A class takes another class's word for its own default.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SolverType {
    /// DPM-Solver's second order by the midpoint.
    Midpoint,
    /// DPM-Solver's second order by Heun's method.
    Heun,
    /// UniPC with B(h) = h.
    Bh1,
    /// UniPC with B(h) = exp(h) - 1.
    Bh2,
    /// DEIS' only one.
    Logrho,
}

impl SolverType {
    pub(super) const KNOWN: [(&'static str, SolverType); 5] = [
        ("midpoint", SolverType::Midpoint),
        ("heun", SolverType::Heun),
        ("bh1", SolverType::Bh1),
        ("bh2", SolverType::Bh2),
        ("logrho", SolverType::Logrho),
    ];
}

/// How the noise levels of a run are spread, where that doesn't follow from the timesteps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigmaSpacing {
    /// Evenly in their seventh roots (Karras and others, "Elucidating the Design Space of
    /// Diffusion-Based Generative Models", equation 5).
    Karras,
    /// Evenly in their logarithms.
    Exponential,
    /// By the quantiles of the beta distribution with alpha and beta 0.6 (Lee and others, "Beta
    /// Sampling is All You Need").
    Beta,
    /// As [`SigmaSpacing::Exponential`], on whole timesteps: DPM-Solver's alone.
    Lu,
}

impl SigmaSpacing {
    /// The name for people.
    pub fn label(self) -> &'static str {
        match self {
            SigmaSpacing::Karras => "Karras",
            SigmaSpacing::Exponential => "exponential",
            SigmaSpacing::Beta => "beta",
            SigmaSpacing::Lu => "Lu",
        }
    }
}
