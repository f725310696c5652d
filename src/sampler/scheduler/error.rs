//! What is wrong with a scheduler's configuration or timesteps.

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
    /// A model of another kind.
    #[error(
        "The model names the scheduler {class}: it was trained with another formula for noise \
         ({kind}), which Firststep doesn't have, so it can't be drawn."
    )]
    OtherModel {
        /// The class that the file names.
        class: String,
        /// The name of the formula.
        kind: &'static str,
    },
    /// Noise levels can be spread in one way alone.
    #[error(
        "The scheduler's configuration sets more than one of use_karras_sigmas, \
         use_exponential_sigmas and use_beta_sigmas; at most one can be true."
    )]
    SeveralSpacings,
    /// No noise level lies between the bounds.
    #[error(
        "The scheduler's noise levels can't fall from {maximum} to {minimum}: sigma_min has to be \
         below sigma_max, and both within the model's own levels where one of them isn't given."
    )]
    SigmaRange {
        /// The smallest level.
        minimum: f64,
        /// The largest level.
        maximum: f64,
    },
    /// Timesteps were given, and noise levels that don't follow from them.
    #[error(
        "The scheduler's configuration spreads its noise levels in a way of its own ({spacing}), so \
         it can't follow given timesteps: leave one of the two out."
    )]
    ExplicitWithSpacing {
        /// The way.
        spacing: &'static str,
    },
    /// A model that is told its noise level by another number than a timestep.
    #[error(
        "The model was trained on continuous timesteps, which only the scheduler Euler tells it; \
         {label} would draw something else. Choose Euler."
    )]
    ContinuousTimesteps {
        /// The scheduler's name for people.
        label: &'static str,
    },
    /// A model that predicts noise where there is nothing else.
    #[error(
        "The model predicts the noise, and by its configuration (rescale_betas_zero_snr) nothing but \
         noise is left at timestep {timestep}: {label} can't compute a picture from there. Choose \
         Euler, or a timestep_spacing that leaves this timestep out."
    )]
    NoSignal {
        /// The timestep without any of the sample.
        timestep: u32,
        /// The scheduler's name for people.
        label: &'static str,
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
