//! diffusers' schedulers: which timesteps are sampled, and how a model's output takes a sample from
//! one to the next.

mod config;
mod ddim;
mod error;
mod euler_ancestral;
mod euler_discrete;
mod lcm;
mod noise_schedule;
mod output;
mod timesteps;
mod variance_exploding;
mod variance_preserving;

pub use config::{BetaSchedule, PredictionType, SchedulerClass, SchedulerConfig, TimestepSpacing};
pub use error::SchedulerError;
pub use output::StepOutput;
pub use timesteps::Timesteps;

use self::ddim::Ddim;
use self::lcm::Lcm;
use self::variance_exploding::Sigmas;
use super::noise::TorchGenerator;

/// A scheduler with its timesteps set. It keeps no count of steps: every call names the position,
/// so a run can stop, fork and resume anywhere.
#[derive(Clone, Debug)]
pub struct Scheduler {
    class: SchedulerClass,
    timesteps: Vec<f32>,
    method: Method,
}

#[derive(Clone, Debug)]
enum Method {
    Ddim(Ddim),
    EulerDiscrete(Sigmas),
    EulerAncestral(Sigmas),
    Lcm(Lcm),
}

/// The scale that a scheduler keeps its samples in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatentScale {
    /// `sqrt(alpha_bar) * original + sqrt(1 - alpha_bar) * noise`: DDIM and LCM.
    VariancePreserving,
    /// `original + sqrt((1 - alpha_bar) / alpha_bar) * noise`: the Euler schedulers.
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
        let class = config.class();
        let (timesteps, method) = match class {
            SchedulerClass::Ddim => {
                let (timesteps, ddim) = Ddim::new(config, timesteps)?;
                (timesteps, Method::Ddim(ddim))
            }
            SchedulerClass::EulerDiscrete => {
                let (timesteps, sigmas) = Sigmas::new(config, timesteps)?;
                (timesteps, Method::EulerDiscrete(sigmas))
            }
            SchedulerClass::EulerAncestral => {
                let (timesteps, sigmas) = Sigmas::new(config, timesteps)?;
                (timesteps, Method::EulerAncestral(sigmas))
            }
            SchedulerClass::Lcm => {
                let (timesteps, lcm) = Lcm::new(config, timesteps)?;
                (timesteps, Method::Lcm(lcm))
            }
        };
        Ok(Scheduler {
            class,
            timesteps,
            method,
        })
    }

    /// The scheduler's class.
    pub fn class(&self) -> SchedulerClass {
        self.class
    }

    /// The timesteps as the model is given them, from the noisiest down; at least one. Those of
    /// Euler with linspace spacing aren't whole numbers.
    pub fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    /// The standard deviation of the noise that a run starts from.
    pub fn init_noise_sigma(&self) -> f32 {
        match &self.method {
            Method::Ddim(_) | Method::Lcm(_) => 1.0,
            Method::EulerDiscrete(sigmas) | Method::EulerAncestral(sigmas) => {
                sigmas.init_noise_sigma()
            }
        }
    }

    /// The sample as the model is given it at step `index`: with a variance of about 1.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn scale_model_input(&self, index: usize, sample: &[f32]) -> Vec<f32> {
        match &self.method {
            Method::Ddim(_) | Method::Lcm(_) => sample.to_vec(),
            Method::EulerDiscrete(sigmas) | Method::EulerAncestral(sigmas) => {
                sigmas.scale_model_input(index, sample)
            }
        }
    }

    /// Whether [`Scheduler::step`] draws noise at step `index`.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn needs_noise(&self, index: usize) -> bool {
        match &self.method {
            Method::Ddim(_) | Method::EulerDiscrete(_) => false,
            Method::EulerAncestral(_) => true,
            Method::Lcm(lcm) => lcm.needs_noise(index),
        }
    }

    /// Takes a sample through step `index`.
    ///
    /// `model_output` is what the model made of [`Scheduler::scale_model_input`], after guidance;
    /// `sample` is the unscaled sample. Step noise comes from `generator`, one draw of the sample's
    /// size per step that needs any.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn step(
        &self,
        index: usize,
        model_output: &[f32],
        sample: &[f32],
        generator: &mut TorchGenerator,
    ) -> StepOutput {
        debug_assert_eq!(model_output.len(), sample.len());
        match &self.method {
            Method::Ddim(ddim) => ddim.step(index, model_output, sample),
            Method::EulerDiscrete(sigmas) => {
                euler_discrete::step(sigmas, index, model_output, sample)
            }
            Method::EulerAncestral(sigmas) => {
                euler_ancestral::step(sigmas, index, model_output, sample, generator)
            }
            Method::Lcm(lcm) => lcm.step(index, model_output, sample, generator),
        }
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
            Method::EulerDiscrete(sigmas) | Method::EulerAncestral(sigmas) => {
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
