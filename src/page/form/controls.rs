//! What the controls hold, and the recipe that it spells.
//!
//! Numbers are kept as the text in their fields, so that a visitor can empty a field and type anew.

#![expect(
    clippy::indexing_slicing,
    reason = "places are constants of the table of parameters"
)]

use std::fmt::Display;
use std::str::FromStr;

use leptos::prelude::*;

use crate::recipe::adapters::{self, STRENGTH};
use crate::recipe::bounds::{Bounds, GUIDANCE_SCALE, MAXIMUM_PROMPT_CHARACTERS, STEPS};
use crate::recipe::parameters::{Kind, ON, PARAMETERS, Parameter, ReadError, place};
use crate::recipe::size::ImageSize;
use crate::recipe::validate::RecipeError;
use crate::recipe::{Axis, Mode, Prompt, PromptReading, Recipe};
use crate::view::wrong_field::{
    ADAPTER_STRENGTHS, BASE_GUIDANCE_VALUES, K_VALUES, WrongField, field_of,
};

/// A signal per control, and one for each parameter without a control: what came with a link or a
/// saved recipe stays with the recipe.
#[derive(Clone, Copy)]
pub struct Controls {
    /// The text of each parameter, as links spell it, by its place in [`PARAMETERS`]. Modes and axis
    /// have signals of their own.
    texts: [RwSignal<String>; PARAMETERS.len()],
    pub modes: RwSignal<Vec<Mode>>,
    pub axis_kind: RwSignal<AxisKind>,
    /// Numbers with commas between them.
    pub k_values: RwSignal<String>,
    /// Numbers with commas between them.
    pub base_guidance_values: RwSignal<String>,
    /// Numbers with commas between them.
    pub adapter_strengths: RwSignal<String>,
    /// A prompt per line.
    pub further_prompts: RwSignal<String>,
    /// What kept the recipe from being drawn when the visitor asked for it, until it is mended.
    pub wrong: RwSignal<Option<WrongField>>,
}

impl Controls {
    /// Empty controls; [`Controls::fill`] gives them their values.
    pub fn new() -> Self {
        Controls {
            texts: std::array::from_fn(|_| RwSignal::default()),
            modes: RwSignal::default(),
            axis_kind: RwSignal::default(),
            k_values: RwSignal::default(),
            base_guidance_values: RwSignal::default(),
            adapter_strengths: RwSignal::default(),
            further_prompts: RwSignal::default(),
            wrong: RwSignal::new(None),
        }
    }

    /// The text of the parameter at a place in [`PARAMETERS`].
    pub const fn text(&self, place: usize) -> RwSignal<String> {
        self.texts[place]
    }

    /// What to draw.
    pub fn prompt(&self) -> RwSignal<String> {
        self.text(place::PROMPT)
    }

    /// What to keep away from.
    pub fn negative_prompt(&self) -> RwSignal<String> {
        self.text(place::NEGATIVE_PROMPT)
    }

    /// How the prompts are read; follows the two choices.
    pub fn prompt_reading(&self) -> PromptReading {
        let is_on = |place| self.text(place).with(|text| text == ON);
        PromptReading {
            long: is_on(place::LONG_PROMPTS),
            weighted: is_on(place::WEIGHTED_PROMPT),
        }
    }

    /// All prompts that have a text, the first one, the negative one and further ones; follows them.
    pub fn all_prompts(&self) -> [Vec<Prompt>; 3] {
        let reading = self.prompt_reading();
        let of = |text: String| Prompt { text, reading };
        let further = match self.axis() {
            Ok(Axis::Prompts(further)) => further,
            _ => Vec::new(),
        };
        let one = |text: RwSignal<String>| {
            // One that is too long to be drawn has its own sentence.
            let is_counted = |text: &String| {
                !text.trim().is_empty() && text.chars().count() <= MAXIMUM_PROMPT_CHARACTERS
            };
            let text = Some(text.get()).filter(is_counted);
            text.map(of).into_iter().collect()
        };
        [
            one(self.prompt()),
            one(self.negative_prompt()),
            further.into_iter().map(of).collect(),
        ]
    }

    /// The size of pictures, where the control holds one and it isn't the pair's own; follows it.
    pub fn size(&self) -> Option<ImageSize> {
        self.text(place::SIZE).with(|text| ImageSize::parse(text))
    }

    /// The hashes of the adapters on the shelf; follows it.
    pub fn adapter_hashes(&self) -> Vec<String> {
        let adapters = self
            .text(place::ADAPTERS)
            .with(|text| adapters::parse(text));
        let adapters = adapters.unwrap_or_default().into_iter();
        adapters.map(|adapter| adapter.hash).collect()
    }

    /// Sets every control.
    pub fn fill(&self, recipe: Recipe) {
        for (parameter, text) in PARAMETERS.iter().zip(self.texts) {
            if let Some(value) = parameter.spell(&recipe) {
                text.set(value);
            }
        }
        self.modes.set(recipe.modes);
        match recipe.axis {
            Axis::Modes => self.axis_kind.set(AxisKind::Modes),
            Axis::K(values) => {
                self.axis_kind.set(AxisKind::K);
                self.k_values.set(list(&values));
            }
            Axis::BaseGuidance(values) => {
                self.axis_kind.set(AxisKind::BaseGuidance);
                self.base_guidance_values.set(list(&values));
            }
            Axis::AdapterStrength(values) => {
                self.axis_kind.set(AxisKind::AdapterStrength);
                self.adapter_strengths.set(list(&values));
            }
            Axis::Prompts(further) => {
                self.axis_kind.set(AxisKind::Prompts);
                self.further_prompts.set(further.join("\n"));
            }
        }
    }

    /// The recipe that the controls spell; follows every one of them.
    pub fn recipe(&self) -> Result<Recipe, ControlsError> {
        let mut recipe = Recipe::default();
        for (parameter, text) in PARAMETERS.iter().zip(self.texts) {
            match &parameter.kind {
                Kind::Modes(field) => field.set(&mut recipe, self.modes.get()),
                Kind::Axis(field) => field.set(&mut recipe, self.axis()?),
                Kind::Prompt(_)
                | Kind::Whole(..)
                | Kind::Number(..)
                | Kind::Scheduler(_)
                | Kind::Switch(_)
                | Kind::Size(_)
                | Kind::Adapters(_) => text
                    .with(|text| parameter.read(text, &mut recipe))
                    .map_err(|error| ControlsError::of(parameter, error))?,
            }
        }
        match recipe.validate() {
            Ok(()) => Ok(recipe),
            Err(error) => Err(ControlsError::Recipe {
                field: field_of(&error, &recipe),
                error,
            }),
        }
    }

    /// What the rows differ in; follows the choice and the values.
    pub fn axis(&self) -> Result<Axis, ControlsError> {
        Ok(match self.axis_kind.get() {
            AxisKind::Modes => Axis::Modes,
            AxisKind::K => Axis::K(numbers(K_VALUES, "Each k", self.k_values, STEPS)?),
            AxisKind::BaseGuidance => Axis::BaseGuidance(numbers(
                BASE_GUIDANCE_VALUES,
                "Each base guidance scale",
                self.base_guidance_values,
                GUIDANCE_SCALE,
            )?),
            AxisKind::AdapterStrength => Axis::AdapterStrength(numbers(
                ADAPTER_STRENGTHS,
                "Each strength",
                self.adapter_strengths,
                STRENGTH,
            )?),
            AxisKind::Prompts => Axis::Prompts(self.further_prompts.with(|text| {
                text.lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .map(str::to_owned)
                    .collect()
            })),
        })
    }

    /// [`Controls::recipe`] outside of the reactive graph.
    pub fn recipe_untracked(&self) -> Result<Recipe, ControlsError> {
        untrack(|| self.recipe())
    }
}

/// What the rows can differ in beside the mode: [`Axis`] without its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AxisKind {
    #[default]
    Modes,
    K,
    BaseGuidance,
    AdapterStrength,
    Prompts,
}

impl AxisKind {
    /// Every kind, in the order in which they are offered.
    pub const ALL: [AxisKind; 5] = [
        AxisKind::Modes,
        AxisKind::K,
        AxisKind::BaseGuidance,
        AxisKind::AdapterStrength,
        AxisKind::Prompts,
    ];

    /// Its value in the field.
    pub fn key(self) -> &'static str {
        match self {
            AxisKind::Modes => "modes",
            AxisKind::K => "k",
            AxisKind::BaseGuidance => "base-guidance",
            AxisKind::AdapterStrength => "adapter-strength",
            AxisKind::Prompts => "prompts",
        }
    }

    /// The kind of a [`AxisKind::key`].
    pub fn from_key(key: &str) -> Option<AxisKind> {
        AxisKind::ALL.into_iter().find(|kind| kind.key() == key)
    }

    /// The option's text, which goes on "Rows differ in".
    pub fn label(self) -> &'static str {
        match self {
            AxisKind::Modes => "the mode alone",
            AxisKind::K => "k of the hybrid",
            AxisKind::BaseGuidance => "the hybrid's base guidance",
            AxisKind::AdapterStrength => "the first adapter's strength",
            AxisKind::Prompts => "the prompt",
        }
    }
}

/// Numbers as a field shows them.
fn list<T: Display>(values: &[T]) -> String {
    let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// The numbers in a field; empty places between two commas don't count.
fn numbers<T>(
    field: &'static str,
    subject: &'static str,
    text: RwSignal<String>,
    bounds: Bounds<T>,
) -> Result<Vec<T>, ControlsError>
where
    T: FromStr + PartialOrd,
    Bounds<T>: Display,
{
    text.with(|text| {
        text.split([',', ';', ' '])
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                bounds.parse(part).ok_or_else(|| ControlsError::Value {
                    field,
                    subject,
                    expected: bounds.to_string(),
                })
            })
            .collect()
    })
}

/// Why the controls spell no recipe.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ControlsError {
    /// A field that holds no value of its parameter, such as no number within the bounds.
    #[error("{subject} has to be {expected}.")]
    Value {
        /// The field's `data-testid`.
        field: &'static str,
        subject: &'static str,
        expected: String,
    },
    /// Values that don't go together.
    #[error("{error}")]
    Recipe {
        /// The `data-testid` of the field to mend.
        field: String,
        error: RecipeError,
    },
}

impl ControlsError {
    /// What is wrong, and where.
    pub fn wrong_field(&self) -> WrongField {
        WrongField {
            field: match self {
                ControlsError::Value { field, .. } => (*field).to_owned(),
                ControlsError::Recipe { field, .. } => field.clone(),
            },
            sentence: self.to_string(),
        }
    }

    fn of(parameter: &Parameter, error: ReadError) -> Self {
        match error {
            ReadError::NoValue => ControlsError::Value {
                field: parameter.name,
                subject: parameter.subject,
                expected: parameter.values(),
            },
            ReadError::PromptTooLong { characters } => ControlsError::Recipe {
                field: parameter.name.to_owned(),
                error: RecipeError::PromptTooLong { characters },
            },
        }
    }
}
