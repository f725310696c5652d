//! diffusers' schedulers: which timesteps are sampled, and how a model's output takes a sample from
//! one to the next.

mod choice;
mod config;
mod ddim;
mod distilled_timesteps;
mod dpm_solver;
mod error;
mod euler_ancestral;
mod euler_discrete;
mod heun;
mod lcm;
mod levels;
mod memory;
mod noise_schedule;
mod output;
mod solver_levels;
mod tcd;
mod timesteps;
mod unipc;
mod variance_exploding;
mod variance_preserving;

pub use choice::SchedulerChoice;
pub use config::{
    AlgorithmType, BetaSchedule, PredictionType, SchedulerClass, SchedulerConfig, SigmaSpacing,
    TimestepSpacing, TimestepType,
};
pub use error::SchedulerError;
pub use memory::Memory;
pub use output::StepOutput;
pub use timesteps::Timesteps;

use self::ddim::Ddim;
use self::dpm_solver::DpmSolver;
use self::heun::Heun;
use self::lcm::Lcm;
use self::tcd::Tcd;
use self::unipc::UniPc;
use self::variance_exploding::Sigmas;
use super::noise::TorchGenerator;

/// A scheduler with its timesteps set. It keeps no count of steps and no memory of them: every call
/// names the position and brings the memory, so a run can stop, fork and resume anywhere.
#[derive(Clone, Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    timesteps: Vec<f32>,
    method: Method,
}

#[derive(Clone, Debug)]
enum Method {
    Ddim(Ddim),
    EulerDiscrete(Sigmas),
    EulerAncestral(Sigmas),
    Lcm(Lcm),
    DpmSolver(DpmSolver),
    UniPc(UniPc),
    Heun(Heun),
    Tcd(Tcd),
}

/// A model pass that a step needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The timestep to tell the model.
    pub timestep: f32,
    /// The model's input, with a variance of about 1.
    pub sample: Vec<f32>,
}

/// The scale that a scheduler keeps its samples in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatentScale {
    /// `sqrt(alpha_bar) * original + sqrt(1 - alpha_bar) * noise`: DDIM, LCM, TCD and the multistep
    /// solvers.
    VariancePreserving,
    /// `original + sqrt((1 - alpha_bar) / alpha_bar) * noise`: the Euler schedulers and Heun.
    VarianceExploding,
}

/// How noisy a sample is before a step, and in which scale it is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseLevel {
    /// Share of the original sample in the variance-preserving scale.
    pub sqrt_alpha_bar: f32,
    /// Share of the noise in the variance-preserving scale.
    pub sqrt_one_minus_alpha_bar: f32,
    /// The scale that the scheduler's samples are in.
    pub scale: LatentScale,
}

impl NoiseLevel {
    /// The logarithm of the ratio of noise to signal.
    pub(super) fn log(&self) -> f32 {
        (self.sqrt_one_minus_alpha_bar / self.sqrt_alpha_bar).ln()
    }
}

impl Scheduler {
    /// Sets up the scheduler of a configuration for a run.
    ///
    /// # Errors
    /// Timesteps or a number of steps that the configuration doesn't allow, and a configuration
    /// whose noise schedule can't be computed with.
    pub fn new(
        config: &SchedulerConfig,
        timesteps: &Timesteps,
    ) -> Result<Scheduler, SchedulerError> {
        let (timesteps, method) = match config.class() {
            SchedulerClass::Ddim => with(Method::Ddim, Ddim::new(config, timesteps)?),
            SchedulerClass::EulerDiscrete => {
                with(Method::EulerDiscrete, Sigmas::new(config, timesteps)?)
            }
            SchedulerClass::EulerAncestral => {
                with(Method::EulerAncestral, Sigmas::new(config, timesteps)?)
            }
            SchedulerClass::Lcm => with(Method::Lcm, Lcm::new(config, timesteps)?),
            SchedulerClass::DpmSolverMultistep => {
                with(Method::DpmSolver, DpmSolver::new(config, timesteps)?)
            }
            SchedulerClass::UniPcMultistep => with(Method::UniPc, UniPc::new(config, timesteps)?),
            SchedulerClass::HeunDiscrete => with(Method::Heun, Heun::new(config, timesteps)?),
            SchedulerClass::Tcd => with(Method::Tcd, Tcd::new(config, timesteps)?),
        };
        Ok(Scheduler {
            config: config.clone(),
            timesteps,
            method,
        })
    }

    /// The scheduler's class.
    pub fn class(&self) -> SchedulerClass {
        self.config.class()
    }

    /// Whether a timestep of this scheduler is as noisy as the same number of the other.
    pub(super) fn shares_timesteps_with(&self, other: &Scheduler) -> bool {
        let is_discrete =
            |config: &SchedulerConfig| config.timestep_type() == TimestepType::Discrete;
        is_discrete(&self.config)
            && is_discrete(&other.config)
            && self.config.has_noise_of(&other.config)
    }

    /// The timesteps as the model is given them, from the noisiest down; at least one. Those of
    /// Euler with linspace spacing aren't whole numbers.
    pub fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    /// The standard deviation of the noise that a run starts from.
    pub fn init_noise_sigma(&self) -> f32 {
        self.sigmas().map_or(1.0, Sigmas::init_noise_sigma)
    }

    /// The noise levels of the schedulers whose samples grow with the noise.
    fn sigmas(&self) -> Option<&Sigmas> {
        match &self.method {
            Method::EulerDiscrete(sigmas) | Method::EulerAncestral(sigmas) => Some(sigmas),
            Method::Heun(heun) => Some(&heun.sigmas),
            Method::Ddim(_)
            | Method::Lcm(_)
            | Method::Tcd(_)
            | Method::DpmSolver(_)
            | Method::UniPc(_) => None,
        }
    }

    /// The model pass that step `index` needs next, of the sample before it. A step takes one pass; one
    /// of Heun's but the last takes a second, at its end.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn evaluation(&self, index: usize, sample: &[f32], memory: &Memory) -> Evaluation {
        let (index, sample) = match &memory.half {
            Some(half) => (index + 1, half.sample.as_slice()),
            None => (index, sample),
        };
        let sample = match self.sigmas() {
            Some(sigmas) => sigmas.scale_model_input(index, sample),
            None => sample.to_vec(),
        };
        Evaluation {
            // A level after the last timestep has no number of its own.
            timestep: self.timesteps[index.min(self.timesteps.len() - 1)],
            sample,
        }
    }

    /// Whether [`Scheduler::step`] draws noise at step `index`.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn needs_noise(&self, index: usize) -> bool {
        match &self.method {
            Method::Ddim(_) | Method::EulerDiscrete(_) | Method::UniPc(_) | Method::Heun(_) => {
                false
            }
            Method::EulerAncestral(_) => true,
            Method::Lcm(lcm) => lcm.needs_noise(index),
            Method::DpmSolver(solver) => solver.needs_noise(),
            Method::Tcd(tcd) => tcd.needs_noise(index),
        }
    }

    /// How many arrays of the sample's length a memory has after so many steps on end, where it was
    /// empty before them.
    pub(super) fn remembers_after(&self, steps: usize) -> usize {
        match &self.method {
            Method::DpmSolver(solver) => solver.kept_after(steps),
            Method::UniPc(solver) => solver.kept_after(steps),
            Method::Ddim(_)
            | Method::EulerDiscrete(_)
            | Method::EulerAncestral(_)
            | Method::Lcm(_)
            | Method::Heun(_)
            | Method::Tcd(_) => 0,
        }
    }

    /// Takes a sample through step `index`; none where the step needs another model pass before, which
    /// [`Scheduler::evaluation`] then tells.
    ///
    /// `model_output` is what the model made of [`Scheduler::evaluation`], after guidance; `sample` is
    /// the unscaled sample before the step, and `memory` what the steps before it left. Step noise comes
    /// from `generator`, one draw of the sample's size per step that needs any.
    ///
    /// # Panics
    /// If there is no such step, or the memory is of another scheduler.
    pub fn step(
        &self,
        index: usize,
        model_output: &[f32],
        sample: &[f32],
        memory: &mut Memory,
        generator: &mut TorchGenerator,
    ) -> Option<StepOutput> {
        debug_assert_eq!(model_output.len(), sample.len());
        Some(match &self.method {
            Method::Ddim(ddim) => ddim.step(index, model_output, sample),
            Method::EulerDiscrete(sigmas) => {
                euler_discrete::step(sigmas, index, model_output, sample)
            }
            Method::EulerAncestral(sigmas) => {
                euler_ancestral::step(sigmas, index, model_output, sample, generator)
            }
            Method::Lcm(lcm) => lcm.step(index, model_output, sample, generator),
            Method::DpmSolver(solver) => {
                solver.step(index, model_output, sample, memory, generator)
            }
            Method::UniPc(solver) => solver.step(index, model_output, sample, memory),
            Method::Heun(heun) => return heun.step(index, model_output, sample, memory),
            Method::Tcd(tcd) => tcd.step(index, model_output, sample, generator),
        })
    }

    /// The noise level before step `index`.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn noise_level(&self, index: usize) -> NoiseLevel {
        let preserving = |alpha_bar: f32| NoiseLevel {
            sqrt_alpha_bar: alpha_bar.sqrt(),
            sqrt_one_minus_alpha_bar: (1.0 - alpha_bar).sqrt(),
            scale: LatentScale::VariancePreserving,
        };
        match &self.method {
            Method::Ddim(ddim) => preserving(ddim.alpha_bar(index)),
            Method::Lcm(lcm) => preserving(lcm.alpha_bar(index)),
            Method::Tcd(tcd) => preserving(tcd.alpha_bar(index)),
            Method::DpmSolver(DpmSolver { levels, .. }) | Method::UniPc(UniPc { levels, .. }) => {
                let level = levels.at(index);
                NoiseLevel {
                    sqrt_alpha_bar: level.alpha,
                    sqrt_one_minus_alpha_bar: level.sigma,
                    scale: LatentScale::VariancePreserving,
                }
            }
            Method::EulerDiscrete(sigmas)
            | Method::EulerAncestral(sigmas)
            | Method::Heun(Heun { sigmas, .. }) => {
                let sigma = sigmas.before(index);
                let scale = (sigma * sigma + 1.0).sqrt();
                NoiseLevel {
                    sqrt_alpha_bar: 1.0 / scale,
                    sqrt_one_minus_alpha_bar: sigma / scale,
                    scale: LatentScale::VarianceExploding,
                }
            }
        }
    }
}

/// Timesteps, and what makes a method of the rest.
fn with<T>(method: impl Fn(T) -> Method, (timesteps, made): (Vec<f32>, T)) -> (Vec<f32>, Method) {
    (timesteps, method(made))
}
