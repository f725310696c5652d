//! diffusers' schedulers: which timesteps are sampled, and how a model's output takes a sample from
//! one to the next.

mod config;
mod ddim;
mod euler_ancestral;
mod euler_discrete;
mod lcm;
mod noise_schedule;
mod timesteps;
mod variance_exploding;
mod variance_preserving;

pub use config::{BetaSchedule, PredictionType, SchedulerClass, SchedulerConfig, TimestepSpacing};
pub use timesteps::Timesteps;

use super::TorchGenerator;
use super::scheduler::ddim::Ddim;
use super::scheduler::lcm::Lcm;
use super::scheduler::variance_exploding::Sigmas;

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

/// What a step makes of a sample. Both have the sample's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutput {
    /// The sample at the next timestep; the result after the last step.
    pub previous_sample: Vec<f32>,
    /// The original sample that the model aims at from here (equation 2 of the paper), before any
    /// noise is added again. Its scale is the result's.
    pub predicted_original: Vec<f32>,
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

/// Why a scheduler can't be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SchedulerError {
    /// The configuration is some other kind of JSON.
    #[error(
        "The scheduler's configuration is not a JSON object: it has to be a scheduler_config.json \
         as diffusers writes it."
    )]
    NotAnObject,
    /// `_class_name` is missing.
    #[error(
        "The scheduler's configuration doesn't say which scheduler it is for: it needs a \
         \"_class_name\", for example \"DDIMScheduler\"."
    )]
    NoClass,
    /// A name that is not among the known ones.
    #[error(
        "The scheduler's configuration has {name} {value}, which is not known here; known are \
         {known}."
    )]
    UnknownName {
        /// The field.
        name: &'static str,
        /// What the file says.
        value: String,
        /// What it could say.
        known: String,
    },
    /// A field of the wrong type or out of its range.
    #[error("The scheduler's configuration has {name} {value}; it has to be {expected}.")]
    InvalidField {
        /// The field.
        name: &'static str,
        /// What the file says.
        value: String,
        /// What it could say.
        expected: String,
    },
    /// An option of diffusers that would change the pictures.
    #[error(
        "The scheduler's configuration sets {name} to {value}, which is not implemented here; \
         only {idle} is."
    )]
    Unimplemented {
        /// The field.
        name: &'static str,
        /// What the file says.
        value: String,
        /// The value that is implemented.
        idle: String,
    },
    /// Betas that are too small or too large to compute with.
    #[error(
        "The scheduler's noise can't be computed with: beta_start {beta_start} and beta_end \
         {beta_end} over {num_train_timesteps} timesteps leave no noise at the first or no signal \
         at the last of them."
    )]
    DegenerateNoise {
        /// Variance at the first timestep.
        beta_start: f64,
        /// Variance at the last timestep.
        beta_end: f64,
        /// Number of timesteps.
        num_train_timesteps: u32,
    },
    /// No step, or more than there are timesteps to choose from.
    #[error("The number of steps is {steps}; this scheduler can make from 1 to {maximum}.")]
    StepCount {
        /// The number that was asked for.
        steps: u32,
        /// The most that the scheduler can make.
        maximum: u32,
    },
    /// LCM's own schedule has more steps than the model was trained on.
    #[error(
        "The scheduler's configuration has original_inference_steps {original_steps}; it can't be \
         more than num_train_timesteps, which is {num_train_timesteps}."
    )]
    OriginalSteps {
        /// Steps of the distillation's schedule.
        original_steps: u32,
        /// Timesteps of the training.
        num_train_timesteps: u32,
    },
    /// An empty list of timesteps.
    #[error("The list of timesteps is empty; it needs at least one.")]
    NoTimesteps,
    /// Timesteps that don't fall.
    #[error(
        "The timesteps have to go down, from the noisiest to the last, but {later} comes after \
         {earlier}."
    )]
    NotDescending {
        /// The timestep before.
        earlier: u32,
        /// The one after it that isn't smaller.
        later: u32,
    },
    /// A timestep that the model was not trained on.
    #[error(
        "The timestep {timestep} is beyond those that the model was trained on, 0 to \
         {}.", num_train_timesteps - 1
    )]
    TimestepRange {
        /// The timestep.
        timestep: u32,
        /// Timesteps of the training.
        num_train_timesteps: u32,
    },
}
