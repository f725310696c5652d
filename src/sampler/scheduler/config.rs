//! `scheduler_config.json` as diffusers writes it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::SchedulerError;

/// The largest number of training timesteps that a configuration may ask for; real models have 1000.
const MAXIMUM_TRAIN_TIMESTEPS: u32 = 10_000;

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
}

impl SchedulerClass {
    /// Every class.
    pub const ALL: [SchedulerClass; 4] = [
        SchedulerClass::Ddim,
        SchedulerClass::EulerDiscrete,
        SchedulerClass::EulerAncestral,
        SchedulerClass::Lcm,
    ];

    /// The name of diffusers' class: `_class_name` of a configuration.
    pub fn class_name(self) -> &'static str {
        match self {
            SchedulerClass::Ddim => "DDIMScheduler",
            SchedulerClass::EulerDiscrete => "EulerDiscreteScheduler",
            SchedulerClass::EulerAncestral => "EulerAncestralDiscreteScheduler",
            SchedulerClass::Lcm => "LCMScheduler",
        }
    }

    /// The short name in links.
    pub fn key(self) -> &'static str {
        match self {
            SchedulerClass::Ddim => "ddim",
            SchedulerClass::EulerDiscrete => "euler",
            SchedulerClass::EulerAncestral => "euler-ancestral",
            SchedulerClass::Lcm => "lcm",
        }
    }

    /// The class of a [`SchedulerClass::key`].
    pub fn from_key(key: &str) -> Option<SchedulerClass> {
        SchedulerClass::ALL
            .into_iter()
            .find(|class| class.key() == key)
    }

    /// The name for people.
    pub fn label(self) -> &'static str {
        match self {
            SchedulerClass::Ddim => "DDIM",
            SchedulerClass::EulerDiscrete => "Euler",
            SchedulerClass::EulerAncestral => "Euler ancestral",
            SchedulerClass::Lcm => "LCM",
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
    const KNOWN: [(&'static str, BetaSchedule); 3] = [
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
    const KNOWN: [(&'static str, PredictionType); 3] = [
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
    const KNOWN: [(&'static str, TimestepSpacing); 3] = [
        ("leading", TimestepSpacing::Leading),
        ("trailing", TimestepSpacing::Trailing),
        ("linspace", TimestepSpacing::Linspace),
    ];
}

/// A `scheduler_config.json`: the fields that it sets, by diffusers' names. A field that it leaves
/// out (or sets to null) has the default of the scheduler's class, also after
/// [`SchedulerConfig::with_class`].
///
/// Reading one through serde checks it as [`SchedulerConfig::from_json`] does.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(try_from = "Value")]
pub struct SchedulerConfig {
    #[serde(rename = "_class_name")]
    class: SchedulerClass,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_train_timesteps: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta_start: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta_end: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta_schedule: Option<BetaSchedule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction_type: Option<PredictionType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestep_spacing: Option<TimestepSpacing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps_offset: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set_alpha_to_one: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clip_sample: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clip_sample_range: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_inference_steps: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestep_scaling: Option<f64>,
}

impl SchedulerConfig {
    /// Reads a parsed `scheduler_config.json`. Keys that no scheduler here reads are ignored, as
    /// diffusers does.
    ///
    /// # Errors
    /// A field of the wrong type or out of its range, an unknown name, or an option that would
    /// change the pictures and isn't implemented.
    pub fn from_json(value: &Value) -> Result<SchedulerConfig, SchedulerError> {
        let fields = Fields(value.as_object().ok_or(SchedulerError::NotAnObject)?);
        fields.refuse_unimplemented()?;
        let class = fields
            .named(
                "_class_name",
                &SchedulerClass::ALL.map(|class| (class.class_name(), class)),
            )?
            .ok_or(SchedulerError::NoClass)?;
        Ok(SchedulerConfig {
            class,
            num_train_timesteps: fields.count("num_train_timesteps", 1, MAXIMUM_TRAIN_TIMESTEPS)?,
            beta_start: fields.fraction("beta_start")?,
            beta_end: fields.fraction("beta_end")?,
            beta_schedule: fields.named("beta_schedule", &BetaSchedule::KNOWN)?,
            prediction_type: fields.named("prediction_type", &PredictionType::KNOWN)?,
            timestep_spacing: fields.named("timestep_spacing", &TimestepSpacing::KNOWN)?,
            steps_offset: fields.count("steps_offset", 0, MAXIMUM_TRAIN_TIMESTEPS)?,
            set_alpha_to_one: fields.flag("set_alpha_to_one")?,
            clip_sample: fields.flag("clip_sample")?,
            clip_sample_range: fields.positive("clip_sample_range")?,
            original_inference_steps: fields.count(
                "original_inference_steps",
                1,
                MAXIMUM_TRAIN_TIMESTEPS,
            )?,
            timestep_scaling: fields.positive("timestep_scaling")?,
        })
    }

    /// The same configuration for another class, as diffusers' `from_config` makes it: what the
    /// file sets stays, what it leaves out takes the new class's default.
    pub fn with_class(&self, class: SchedulerClass) -> SchedulerConfig {
        SchedulerConfig {
            class,
            ..self.clone()
        }
    }

    /// The scheduler's class.
    pub fn class(&self) -> SchedulerClass {
        self.class
    }

    /// Number of timesteps that the model was trained on.
    pub fn num_train_timesteps(&self) -> u32 {
        self.num_train_timesteps.unwrap_or(1000)
    }

    /// Variance of the noise added at the first training timestep.
    pub fn beta_start(&self) -> f64 {
        self.beta_start.unwrap_or(match self.class {
            SchedulerClass::Lcm => 0.00085,
            _ => 0.0001,
        })
    }

    /// Variance of the noise added at the last training timestep.
    pub fn beta_end(&self) -> f64 {
        self.beta_end.unwrap_or(match self.class {
            SchedulerClass::Lcm => 0.012,
            _ => 0.02,
        })
    }

    /// How the variance grows between them.
    pub fn beta_schedule(&self) -> BetaSchedule {
        self.beta_schedule.unwrap_or(match self.class {
            SchedulerClass::Lcm => BetaSchedule::ScaledLinear,
            _ => BetaSchedule::Linear,
        })
    }

    /// What the model's output is.
    pub fn prediction_type(&self) -> PredictionType {
        self.prediction_type.unwrap_or(PredictionType::Epsilon)
    }

    /// How steps are spread; LCM has its own way and doesn't read it.
    pub fn timestep_spacing(&self) -> TimestepSpacing {
        self.timestep_spacing.unwrap_or(match self.class {
            SchedulerClass::Ddim | SchedulerClass::Lcm => TimestepSpacing::Leading,
            SchedulerClass::EulerDiscrete | SchedulerClass::EulerAncestral => {
                TimestepSpacing::Linspace
            }
        })
    }

    /// What is added to every timestep of [`TimestepSpacing::Leading`].
    pub fn steps_offset(&self) -> u32 {
        self.steps_offset.unwrap_or(0)
    }

    /// DDIM: whether the last step ends without any noise, or at the level of timestep 0.
    pub fn set_alpha_to_one(&self) -> bool {
        self.set_alpha_to_one.unwrap_or(true)
    }

    /// DDIM and LCM: the bound that the predicted original sample is clipped to, if it is.
    pub fn clip_sample_range(&self) -> Option<f32> {
        let clip_sample = self
            .clip_sample
            .unwrap_or(self.class == SchedulerClass::Ddim);
        clip_sample.then(|| self.clip_sample_range.unwrap_or(1.0) as f32)
    }

    /// LCM: number of steps of the schedule that the model was distilled on.
    pub fn original_inference_steps(&self) -> u32 {
        self.original_inference_steps.unwrap_or(50)
    }

    /// LCM: factor of the timestep in the boundary condition.
    pub fn timestep_scaling(&self) -> f32 {
        self.timestep_scaling.unwrap_or(10.0) as f32
    }
}

impl TryFrom<Value> for SchedulerConfig {
    type Error = SchedulerError;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        SchedulerConfig::from_json(&value)
    }
}

/// Typed access to the fields of a configuration; null counts as absent.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Options of diffusers that would change the pictures but have no implementation here. Each
    /// is refused unless it has the value under which it does nothing.
    fn refuse_unimplemented(&self) -> Result<(), SchedulerError> {
        let idle_values = [
            ("thresholding", Value::from(false)),
            ("rescale_betas_zero_snr", Value::from(false)),
            ("use_karras_sigmas", Value::from(false)),
            ("use_exponential_sigmas", Value::from(false)),
            ("use_beta_sigmas", Value::from(false)),
            ("trained_betas", Value::Null),
            ("interpolation_type", Value::from("linear")),
            ("final_sigmas_type", Value::from("zero")),
            ("timestep_type", Value::from("discrete")),
        ];
        for (name, idle) in idle_values {
            match self.get(name) {
                Some(value) if *value != idle => {
                    return Err(SchedulerError::Unimplemented {
                        name,
                        value: shortened(value),
                        idle: idle.to_string(),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn named<T: Copy>(
        &self,
        name: &'static str,
        known: &[(&'static str, T)],
    ) -> Result<Option<T>, SchedulerError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        known
            .iter()
            .find(|(text, _)| value.as_str() == Some(text))
            .map(|(_, meaning)| Some(*meaning))
            .ok_or_else(|| SchedulerError::UnknownName {
                name,
                value: shortened(value),
                known: known
                    .iter()
                    .map(|(text, _)| *text)
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    fn count(
        &self,
        name: &'static str,
        minimum: u32,
        maximum: u32,
    ) -> Result<Option<u32>, SchedulerError> {
        self.read(
            name,
            || format!("a whole number from {minimum} to {maximum}"),
            |value| {
                value
                    .as_u64()
                    .and_then(|number| u32::try_from(number).ok())
                    .filter(|number| (minimum..=maximum).contains(number))
            },
        )
    }

    fn fraction(&self, name: &'static str) -> Result<Option<f64>, SchedulerError> {
        self.read(
            name,
            || "a number between 0 and 1".into(),
            |value| {
                value
                    .as_f64()
                    .filter(|number| 0.0 < *number && *number < 1.0)
            },
        )
    }

    fn positive(&self, name: &'static str) -> Result<Option<f64>, SchedulerError> {
        self.read(
            name,
            || "a number above 0 and at most 1000000".into(),
            |value| {
                value
                    .as_f64()
                    .filter(|number| 0.0 < *number && *number <= 1e6)
            },
        )
    }

    fn flag(&self, name: &'static str) -> Result<Option<bool>, SchedulerError> {
        self.read(name, || "true or false".into(), Value::as_bool)
    }

    fn read<T>(
        &self,
        name: &'static str,
        expected: impl Fn() -> String,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, SchedulerError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        convert(value)
            .map(Some)
            .ok_or_else(|| SchedulerError::InvalidField {
                name,
                value: shortened(value),
                expected: expected(),
            })
    }
}

/// A value for a sentence: a list of a thousand numbers would hide what the sentence says.
fn shortened(value: &Value) -> String {
    const LONGEST: usize = 40;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start}…")
}
