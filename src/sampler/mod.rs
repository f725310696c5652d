//! Everything that happens to a latent between two passes of a model, as plain numbers: the seeded
//! noise that it starts from, the schedulers that take it from one timestep to the next, guidance,
//! and the plan that says which model takes which step.
//!
//! The folder knows neither burn nor the browser, and no model: it works on `f32` slices, in
//! whatever shape the caller keeps them, so all of it is tested natively in milliseconds. Whoever
//! runs a [`Sampling`] asks it for the next [`ModelCall`], runs the model wherever it lives, and
//! gives the output back.
//!
//! Numbers are those of torch and diffusers: the same seed and the same model outputs give the same
//! latents as `torch.randn` and diffusers' schedulers.

#![expect(
    clippy::indexing_slicing,
    reason = "schedules and latents have the lengths that they were made with"
)]

mod guidance;
mod noise;
mod pair;
mod plan;
mod sampling;
mod scheduler;

pub use guidance::{combine, is_guided};
pub use noise::TorchGenerator;
pub use pair::PairSchedulers;
pub use plan::{ModelRole, Plan, PlanError, PlanStep, relative_change};
pub use sampling::{ModelCall, Sampling, StepOutcome};
pub use scheduler::{
    AlgorithmType, BetaSchedule, Evaluation, LatentScale, Memory, NoiseLevel, PredictionType,
    Scheduler, SchedulerChoice, SchedulerClass, SchedulerConfig, SchedulerError, SigmaSpacing,
    StepOutput, TimestepSpacing, TimestepType, Timesteps,
};
