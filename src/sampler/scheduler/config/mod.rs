//! `scheduler_config.json` as diffusers writes it.

mod fields;
mod names;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::fields::Fields;
use super::error::SchedulerError;

pub use self::names::{
    AlgorithmType, BetaSchedule, FinalSigmasType, InterpolationType, PredictionType,
    SchedulerClass, SigmaSpacing, SolverType, TimestepSpacing, TimestepType,
};

/// The largest number of training timesteps that a configuration may ask for; real models have 1000.
const MAXIMUM_TRAIN_TIMESTEPS: u32 = 10_000;
/// The highest order of diffusers' multistep solvers.
const MAXIMUM_SOLVER_ORDER: u32 = 3;

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
    /// What the file names where that is not implemented.
    #[serde(skip)]
    substituted: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_train_timesteps: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta_start: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta_end: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta_schedule: Option<BetaSchedule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rescale_betas_zero_snr: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction_type: Option<PredictionType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestep_type: Option<TimestepType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestep_spacing: Option<TimestepSpacing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps_offset: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interpolation_type: Option<InterpolationType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_karras_sigmas: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_exponential_sigmas: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_beta_sigmas: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_lu_lambdas: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sigma_min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sigma_max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    final_sigmas_type: Option<FinalSigmasType>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    solver_order: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm_type: Option<AlgorithmType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    solver_type: Option<SolverType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_order_final: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    euler_at_final: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lambda_min_clipped: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_corrector: Option<Vec<u32>>,
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
        let (class, substituted) = fields.class()?;
        fields.refuse_unimplemented()?;
        let config = SchedulerConfig {
            class,
            substituted,
            num_train_timesteps: fields.count("num_train_timesteps", 1, MAXIMUM_TRAIN_TIMESTEPS)?,
            beta_start: fields.fraction("beta_start")?,
            beta_end: fields.fraction("beta_end")?,
            beta_schedule: fields.named("beta_schedule", &BetaSchedule::KNOWN)?,
            rescale_betas_zero_snr: fields.flag("rescale_betas_zero_snr")?,
            prediction_type: fields.named("prediction_type", &PredictionType::KNOWN)?,
            timestep_type: fields.named("timestep_type", &TimestepType::KNOWN)?,
            timestep_spacing: fields.named("timestep_spacing", &TimestepSpacing::KNOWN)?,
            steps_offset: fields.count("steps_offset", 0, MAXIMUM_TRAIN_TIMESTEPS)?,
            interpolation_type: fields.named("interpolation_type", &InterpolationType::KNOWN)?,
            use_karras_sigmas: fields.flag("use_karras_sigmas")?,
            use_exponential_sigmas: fields.flag("use_exponential_sigmas")?,
            use_beta_sigmas: fields.flag("use_beta_sigmas")?,
            use_lu_lambdas: fields.flag("use_lu_lambdas")?,
            sigma_min: fields.positive("sigma_min")?,
            sigma_max: fields.positive("sigma_max")?,
            final_sigmas_type: fields.named("final_sigmas_type", &FinalSigmasType::KNOWN)?,
            set_alpha_to_one: fields.flag("set_alpha_to_one")?,
            clip_sample: fields.flag("clip_sample")?,
            clip_sample_range: fields.positive("clip_sample_range")?,
            original_inference_steps: fields.count(
                "original_inference_steps",
                1,
                MAXIMUM_TRAIN_TIMESTEPS,
            )?,
            timestep_scaling: fields.positive("timestep_scaling")?,
            solver_order: fields.count("solver_order", 1, MAXIMUM_SOLVER_ORDER)?,
            algorithm_type: fields.named("algorithm_type", &AlgorithmType::KNOWN)?,
            solver_type: fields.named("solver_type", &SolverType::KNOWN)?,
            lower_order_final: fields.flag("lower_order_final")?,
            euler_at_final: fields.flag("euler_at_final")?,
            lambda_min_clipped: fields.finite("lambda_min_clipped")?,
            disable_corrector: fields.counts("disable_corrector", MAXIMUM_TRAIN_TIMESTEPS)?,
        };
        config.check_sigmas()?;
        Ok(config)
    }

    fn check_sigmas(&self) -> Result<(), SchedulerError> {
        let spacings = [
            self.use_karras_sigmas,
            self.use_exponential_sigmas,
            self.use_beta_sigmas,
        ];
        if spacings.into_iter().flatten().filter(|is| *is).count() > 1 {
            return Err(SchedulerError::SeveralSpacings);
        }
        match (self.sigma_min, self.sigma_max) {
            (Some(minimum), Some(maximum)) if minimum >= maximum => {
                Err(SchedulerError::SigmaRange { minimum, maximum })
            }
            _ => Ok(()),
        }
    }

    /// Reads the text of a `scheduler_config.json`. Python's writer puts `-Infinity` and its like
    /// there, which no JSON has: such a value counts as absent, which means the same.
    ///
    /// # Errors
    /// The text is no JSON.
    pub fn parse_text(text: &str) -> Result<Value, serde_json::Error> {
        serde_json::from_str(&without_infinities(text))
    }

    /// The same configuration for another class, as diffusers' `from_config` makes it: what the
    /// file sets stays, what it leaves out takes the new class's default.
    pub fn with_class(&self, class: SchedulerClass) -> SchedulerConfig {
        SchedulerConfig {
            class,
            substituted: None,
            ..self.clone()
        }
    }

    /// The same configuration as one that spreads noise levels this way, or by its timesteps.
    pub fn with_sigma_spacing(&self, spacing: Option<SigmaSpacing>) -> SchedulerConfig {
        SchedulerConfig {
            use_karras_sigmas: Some(spacing == Some(SigmaSpacing::Karras)),
            use_exponential_sigmas: Some(spacing == Some(SigmaSpacing::Exponential)),
            use_beta_sigmas: Some(spacing == Some(SigmaSpacing::Beta)),
            use_lu_lambdas: Some(spacing == Some(SigmaSpacing::Lu)),
            ..self.clone()
        }
    }

    /// The same configuration with another equation for DPM-Solver.
    pub fn with_algorithm(&self, algorithm: AlgorithmType) -> SchedulerConfig {
        SchedulerConfig {
            algorithm_type: Some(algorithm),
            ..self.clone()
        }
    }

    /// The same configuration with a scheduler whose steps add no noise, where there is one that differs
    /// in nothing else: Euler for Euler ancestral, and DPM-Solver++ for its stochastic kind.
    pub fn without_step_noise(&self) -> SchedulerConfig {
        if self.class == SchedulerClass::EulerAncestral {
            self.with_class(SchedulerClass::EulerDiscrete)
        } else if self.is_stochastic() {
            self.with_algorithm(AlgorithmType::Ordinary)
        } else {
            self.clone()
        }
    }

    /// The same way of sampling for the model of another configuration: what the model's output
    /// means, what it is told of the noise, and how noisy its timesteps are come from there. That is
    /// what a low-rank adapter takes over from the weights that it was put on.
    pub fn for_model_of(&self, model: &SchedulerConfig) -> SchedulerConfig {
        SchedulerConfig {
            num_train_timesteps: Some(model.num_train_timesteps()),
            beta_start: Some(model.beta_start()),
            beta_end: Some(model.beta_end()),
            beta_schedule: Some(model.beta_schedule()),
            rescale_betas_zero_snr: Some(model.rescale_betas_zero_snr()),
            prediction_type: Some(model.prediction_type()),
            timestep_type: Some(model.timestep_type()),
            ..self.clone()
        }
    }

    /// Whether this configuration is for a model like that of the other: [`Self::for_model_of`] would
    /// change nothing.
    pub fn is_for_model_of(&self, model: &SchedulerConfig) -> bool {
        self.has_noise_of(model)
            && self.prediction_type() == model.prediction_type()
            && self.timestep_type() == model.timestep_type()
    }

    /// Whether the training timesteps of both models are equally noisy.
    pub fn has_noise_of(&self, model: &SchedulerConfig) -> bool {
        self.num_train_timesteps() == model.num_train_timesteps()
            && self.beta_start() == model.beta_start()
            && self.beta_end() == model.beta_end()
            && self.beta_schedule() == model.beta_schedule()
            && self.rescale_betas_zero_snr() == model.rescale_betas_zero_snr()
    }

    /// The scheduler's class.
    pub fn class(&self) -> SchedulerClass {
        self.class
    }

    /// What the file names as its scheduler where that is not implemented, so that
    /// [`SchedulerClass::EulerDiscrete`] takes its place.
    pub fn substituted(&self) -> Option<&'static str> {
        self.substituted
    }

    /// A sentence for whoever draws with the model of this configuration, named by `model`; none where it
    /// is sampled with the scheduler that it names.
    pub fn notice(&self, model: &str) -> Option<String> {
        self.substituted.map(|named| {
            format!(
                "{model} names {named}, which Firststep doesn't have: it is drawn with {} on the same \
                 noise schedule.",
                self.label()
            )
        })
    }

    /// The name for people: the class, and how its noise levels are spread.
    pub fn label(&self) -> String {
        let mut label = self.class.label().to_owned();
        if self.is_stochastic() {
            label += " SDE";
        }
        if let Some(spacing) = self.sigma_spacing() {
            label = format!("{label} {}", spacing.label());
        }
        label
    }

    /// Number of timesteps that the model was trained on.
    pub fn num_train_timesteps(&self) -> u32 {
        self.num_train_timesteps.unwrap_or(1000)
    }

    /// Variance of the noise added at the first training timestep.
    pub fn beta_start(&self) -> f64 {
        self.beta_start.unwrap_or(match self.class {
            SchedulerClass::Lcm | SchedulerClass::Tcd | SchedulerClass::HeunDiscrete => 0.00085,
            _ => 0.0001,
        })
    }

    /// Variance of the noise added at the last training timestep.
    pub fn beta_end(&self) -> f64 {
        self.beta_end.unwrap_or(match self.class {
            SchedulerClass::Lcm | SchedulerClass::Tcd | SchedulerClass::HeunDiscrete => 0.012,
            _ => 0.02,
        })
    }

    /// How the variance grows between them.
    pub fn beta_schedule(&self) -> BetaSchedule {
        self.beta_schedule.unwrap_or(match self.class {
            SchedulerClass::Lcm | SchedulerClass::Tcd => BetaSchedule::ScaledLinear,
            _ => BetaSchedule::Linear,
        })
    }

    /// Whether the variances are changed so that nothing of the sample is left at the last training
    /// timestep (Lin and others, "Common Diffusion Noise Schedules and Sample Steps are Flawed").
    /// diffusers' Heun ignores it; a model that was trained so needs it there too.
    pub fn rescale_betas_zero_snr(&self) -> bool {
        self.rescale_betas_zero_snr.unwrap_or(false)
    }

    /// What the model's output is.
    pub fn prediction_type(&self) -> PredictionType {
        self.prediction_type.unwrap_or(PredictionType::Epsilon)
    }

    /// What the model is told of a noise level.
    pub fn timestep_type(&self) -> TimestepType {
        let stated = self.timestep_type.unwrap_or(TimestepType::Discrete);
        match self.prediction_type() {
            PredictionType::Velocity => stated,
            PredictionType::Epsilon | PredictionType::Sample => TimestepType::Discrete,
        }
    }

    /// How steps are spread; LCM and TCD have their own way and don't read it.
    pub fn timestep_spacing(&self) -> TimestepSpacing {
        self.timestep_spacing.unwrap_or(match self.class {
            SchedulerClass::Ddim | SchedulerClass::Lcm | SchedulerClass::Tcd => {
                TimestepSpacing::Leading
            }
            SchedulerClass::EulerDiscrete
            | SchedulerClass::EulerAncestral
            | SchedulerClass::DpmSolverMultistep
            | SchedulerClass::UniPcMultistep
            | SchedulerClass::HeunDiscrete => TimestepSpacing::Linspace,
        })
    }

    /// What is added to every timestep of [`TimestepSpacing::Leading`].
    pub fn steps_offset(&self) -> u32 {
        self.steps_offset.unwrap_or(0)
    }

    /// Euler: how noise levels follow from timesteps.
    pub fn interpolation_type(&self) -> InterpolationType {
        self.interpolation_type.unwrap_or(InterpolationType::Linear)
    }

    /// Euler, Heun, DPM-Solver and UniPC: how noise levels are spread, where that doesn't follow from
    /// the timesteps.
    pub fn sigma_spacing(&self) -> Option<SigmaSpacing> {
        let is_multistep = match self.class {
            SchedulerClass::Ddim
            | SchedulerClass::EulerAncestral
            | SchedulerClass::Lcm
            | SchedulerClass::Tcd => return None,
            SchedulerClass::DpmSolverMultistep => true,
            SchedulerClass::EulerDiscrete
            | SchedulerClass::UniPcMultistep
            | SchedulerClass::HeunDiscrete => false,
        };
        let choices = [
            (self.use_karras_sigmas, SigmaSpacing::Karras),
            (
                self.use_lu_lambdas.filter(|_| is_multistep),
                SigmaSpacing::Lu,
            ),
            (self.use_exponential_sigmas, SigmaSpacing::Exponential),
            (self.use_beta_sigmas, SigmaSpacing::Beta),
        ];
        let chosen = choices.into_iter().find(|(is, _)| *is == Some(true));
        chosen.map(|(_, spacing)| spacing)
    }

    /// The smallest noise level of a [`SchedulerConfig::sigma_spacing`]; none: the schedule's own.
    pub fn sigma_min(&self) -> Option<f64> {
        self.sigma_min
    }

    /// The largest noise level of a [`SchedulerConfig::sigma_spacing`]; none: the schedule's own.
    pub fn sigma_max(&self) -> Option<f64> {
        self.sigma_max
    }

    /// Euler, DPM-Solver and UniPC: the noise level after the last step.
    pub fn final_sigmas_type(&self) -> FinalSigmasType {
        self.final_sigmas_type.unwrap_or(FinalSigmasType::Zero)
    }

    /// DDIM: whether the last step ends without any noise, or at the level of timestep 0.
    pub fn set_alpha_to_one(&self) -> bool {
        self.set_alpha_to_one.unwrap_or(true)
    }

    /// DDIM, LCM and Heun: the bound that the predicted original sample is clipped to, if it is.
    pub fn clip_sample_range(&self) -> Option<f32> {
        let clip_sample = self
            .clip_sample
            .unwrap_or(self.class == SchedulerClass::Ddim);
        clip_sample.then(|| self.clip_sample_range.unwrap_or(1.0) as f32)
    }

    /// LCM and TCD: number of steps of the schedule that the model was distilled on.
    pub fn original_inference_steps(&self) -> u32 {
        self.original_inference_steps.unwrap_or(50)
    }

    /// LCM: factor of the timestep in the boundary condition.
    pub fn timestep_scaling(&self) -> f32 {
        self.timestep_scaling.unwrap_or(10.0) as f32
    }

    /// DPM-Solver and UniPC: the number of steps, with the one that is taken, whose model outputs a
    /// step is made of.
    pub fn solver_order(&self) -> usize {
        self.solver_order.unwrap_or(2) as usize
    }

    /// DPM-Solver: whether every step adds noise.
    pub fn is_stochastic(&self) -> bool {
        self.class == SchedulerClass::DpmSolverMultistep
            && self.algorithm_type == Some(AlgorithmType::Stochastic)
    }

    /// DPM-Solver and UniPC: the kind of a step.
    pub fn solver_type(&self) -> SolverType {
        match (self.class, self.solver_type) {
            (SchedulerClass::UniPcMultistep, Some(SolverType::Bh1)) => SolverType::Bh1,
            (SchedulerClass::UniPcMultistep, _) => SolverType::Bh2,
            (_, Some(SolverType::Heun)) => SolverType::Heun,
            _ => SolverType::Midpoint,
        }
    }

    /// DPM-Solver and UniPC: whether the last steps are of a lower order.
    pub fn lower_order_final(&self) -> bool {
        self.lower_order_final.unwrap_or(true)
    }

    /// DPM-Solver: whether the last step is of the first order in any case.
    pub fn euler_at_final(&self) -> bool {
        self.euler_at_final.unwrap_or(false)
    }

    /// DPM-Solver: the smallest half logarithm of the ratio of signal to noise that a timestep may
    /// have; none: any.
    pub fn lambda_min_clipped(&self) -> Option<f64> {
        self.lambda_min_clipped
    }

    /// UniPC: the steps, counted from 0, after which nothing is corrected.
    pub fn disable_corrector(&self) -> &[u32] {
        self.disable_corrector.as_deref().unwrap_or_default()
    }
}

impl TryFrom<Value> for SchedulerConfig {
    type Error = SchedulerError;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        SchedulerConfig::from_json(&value)
    }
}

/// The text with null for each of Python's numbers that JSON has not.
fn without_infinities(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_quoted = false;
    while let Some(character) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|word| !is_quoted && rest.starts_with(word));
        if let Some(word) = word {
            cleaned.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        let mut length = character.len_utf8();
        match character {
            '"' => is_quoted = !is_quoted,
            // The character after it is part of the text, a quotation mark too.
            '\\' if is_quoted => {
                length += rest[length..].chars().next().map_or(0, char::len_utf8);
            }
            _ => {}
        }
        cleaned.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    cleaned
}
