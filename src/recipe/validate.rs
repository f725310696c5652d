//! Whether a recipe can be drawn.

use super::adapters::{self, MAXIMUM_ADAPTERS, STRENGTH};
use super::bounds::{Bounds, GUIDANCE_SCALE, MAXIMUM_PROMPT_CHARACTERS, MAXIMUM_ROWS, STEPS};
use super::parameters::{Kind, PARAMETERS, Parameter, place};
use super::size::{ImageSize, LONGEST_SIDE, SHORTEST_SIDE, SIDE_STEP};
use super::{Axis, Mode, Recipe};

impl Recipe {
    /// Whether every parameter takes its value, also those that no row of this recipe needs, and
    /// all of them go together; the engine refuses a recipe that is not so.
    ///
    /// # Errors
    /// The first bound that is broken, as a sentence.
    pub fn validate(&self) -> Result<(), RecipeError> {
        for parameter in &PARAMETERS {
            check(parameter, self)?;
        }
        let spreads_hybrid = matches!(self.axis, Axis::K(_) | Axis::BaseGuidance(_));
        if spreads_hybrid && !self.modes.contains(&Mode::Hybrid) {
            return Err(RecipeError::NoHybrid);
        }
        if matches!(self.axis, Axis::AdapterStrength(_)) && self.adapters.is_empty() {
            return Err(RecipeError::NoAdapter);
        }
        let row_count = self.row_count();
        if row_count > MAXIMUM_ROWS {
            return Err(RecipeError::TooManyRows { rows: row_count });
        }
        let rows = self.rows();
        let keys: Vec<String> = rows.iter().map(|row| row.key()).collect();
        let repeated = (1..).zip(keys.iter().skip(1)).find_map(|(index, key)| {
            let is_earlier = keys.iter().take(index).any(|earlier| earlier == key);
            is_earlier.then_some(key)
        });
        if let Some(row) = repeated {
            return Err(RecipeError::RepeatedRow { row: row.clone() });
        }
        for row in rows.iter().filter(|row| row.mode == Mode::Hybrid) {
            let of_steps = Bounds {
                maximum: self.distilled_steps,
                ..STEPS
            };
            within(PARAMETERS[place::K].subject, row.k, of_steps)?;
        }
        if self.modes.contains(&Mode::Adaptive) {
            let of_steps = Bounds {
                maximum: self.distilled_steps,
                ..STEPS
            };
            within(
                PARAMETERS[place::ADAPTIVE_K].subject,
                self.largest_k(),
                of_steps,
            )?;
        }
        if self.modes.contains(&Mode::SkipFirstStep) {
            let subject = "The number of distilled steps of skip-first-step";
            let more_than_first = Bounds {
                minimum: 2,
                ..STEPS
            };
            within(subject, self.distilled_steps, more_than_first)?;
        }
        Ok(())
    }
}

/// Whether a recipe's value of a parameter is one that it takes.
fn check(parameter: &Parameter, recipe: &Recipe) -> Result<(), RecipeError> {
    match &parameter.kind {
        Kind::Prompt(field) => check_prompt(field.of(recipe)),
        Kind::Whole(field, bounds) => within(parameter.subject, *field.of(recipe), *bounds),
        Kind::Number(field, bounds) => within(parameter.subject, *field.of(recipe), *bounds),
        Kind::Modes(field) if field.of(recipe).is_empty() => Err(RecipeError::NoMode),
        Kind::Axis(field) => check_axis(field.of(recipe)),
        Kind::Size(field) => match field.of(recipe) {
            Some(size) if !size.is_possible() => Err(RecipeError::Size { size: *size }),
            _ => Ok(()),
        },
        Kind::Adapters(field) if !adapters::are_sound(field.of(recipe)) => {
            Err(RecipeError::Adapters)
        }
        Kind::Modes(_) | Kind::Scheduler(_) | Kind::Switch(_) | Kind::Adapters(_) => Ok(()),
    }
}

/// Whether a prompt is short enough.
pub(super) fn check_prompt(prompt: &str) -> Result<(), RecipeError> {
    let characters = prompt.chars().count();
    if characters > MAXIMUM_PROMPT_CHARACTERS {
        return Err(RecipeError::PromptTooLong { characters });
    }
    Ok(())
}

/// Whether an axis has values, and each is one that its parameter takes.
fn check_axis(axis: &Axis) -> Result<(), RecipeError> {
    let is_empty = match axis {
        Axis::Modes => false,
        Axis::K(values) => values.is_empty(),
        Axis::BaseGuidance(values) | Axis::AdapterStrength(values) => values.is_empty(),
        Axis::Prompts(further) => further.is_empty(),
    };
    if is_empty {
        return Err(RecipeError::NoValues);
    }
    match axis {
        Axis::Modes => Ok(()),
        Axis::K(values) => values
            .iter()
            .try_for_each(|k| within(PARAMETERS[place::K].subject, *k, STEPS)),
        Axis::BaseGuidance(values) => values.iter().try_for_each(|scale| {
            let subject = PARAMETERS[place::HYBRID_BASE_GUIDANCE].subject;
            within(subject, *scale, GUIDANCE_SCALE)
        }),
        Axis::AdapterStrength(values) => values
            .iter()
            .try_for_each(|strength| within("Each strength", *strength, STRENGTH)),
        Axis::Prompts(further) => further.iter().try_for_each(|prompt| check_prompt(prompt)),
    }
}

fn within<T: Copy + PartialOrd + ToString>(
    subject: &'static str,
    value: T,
    bounds: Bounds<T>,
) -> Result<(), RecipeError> {
    if bounds.contain(&value) {
        return Ok(());
    }
    Err(RecipeError::OutOfBounds {
        subject,
        value: value.to_string(),
        minimum: bounds.minimum.to_string(),
        maximum: bounds.maximum.to_string(),
    })
}

/// Why a recipe can't be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecipeError {
    /// A number outside of its bounds.
    #[error("{subject} is {value}; it has to be between {minimum} and {maximum}.")]
    OutOfBounds {
        /// [`Parameter::subject`], or more precise words.
        subject: &'static str,
        /// The number of the recipe.
        value: String,
        /// The smallest number that the recipe may have.
        minimum: String,
        /// The largest number that the recipe may have.
        maximum: String,
    },
    /// A prompt over [`MAXIMUM_PROMPT_CHARACTERS`].
    #[error("A prompt has {characters} characters; {MAXIMUM_PROMPT_CHARACTERS} are the most.")]
    PromptTooLong {
        /// The prompt's length.
        characters: usize,
    },
    /// Sides that no picture has.
    #[error(
        "The size is {size}; each side has to be a multiple of {SIDE_STEP} from {SHORTEST_SIDE} to {LONGEST_SIDE} pixels."
    )]
    Size {
        /// The size of the recipe.
        size: ImageSize,
    },
    /// No row to draw.
    #[error(
        "No mode is chosen: tick at least one of base, distilled, hybrid, skip-first-step and adaptive."
    )]
    NoMode,
    /// An axis of the hybrid without the hybrid.
    #[error(
        "The rows differ in the hybrid's setting: tick the hybrid too, or let them differ in nothing else."
    )]
    NoHybrid,
    /// An axis of the adapter without one.
    #[error(
        "The rows differ in an adapter's strength: choose an adapter, or let them differ in something else."
    )]
    NoAdapter,
    /// Adapters that no recipe has.
    #[error(
        "The list of adapters can't be drawn: up to {MAXIMUM_ADAPTERS} files are, each once, with strengths from {} to {}.",
        STRENGTH.minimum,
        STRENGTH.maximum
    )]
    Adapters,
    /// An axis without a value.
    #[error("The rows are to differ in a setting, but no value of it is given: give at least one.")]
    NoValues,
    /// More rows than [`MAXIMUM_ROWS`].
    #[error("The grid would have {rows} rows; {MAXIMUM_ROWS} are the most.")]
    TooManyRows {
        /// Rows of all modes and values of the axis.
        rows: usize,
    },
    /// Two rows of the same mode with the same value.
    #[error("Two rows would be the same ({row}): give each value once.")]
    RepeatedRow {
        /// [`Row::key`](super::Row::key).
        row: String,
    },
}
