//! What the controls hold, and the recipe that it spells.
//!
//! Numbers are kept as the text in their fields, so that a visitor can empty a field and type anew.

use std::fmt::Display;
use std::str::FromStr;

use leptos::prelude::*;

use crate::recipe::bounds::{Bounds, GUIDANCE_SCALE, HYBRID_BASE_STEPS, SEED, SEED_COUNT, STEPS};
use crate::recipe::{Axis, Mode, Recipe, RecipeError};
use crate::sampler::SchedulerClass;

/// A signal per control.
#[derive(Clone, Copy)]
pub struct Controls {
    pub prompt: RwSignal<String>,
    pub negative_prompt: RwSignal<String>,
    pub seed: RwSignal<String>,
    pub seed_count: RwSignal<String>,
    pub modes: RwSignal<Vec<Mode>>,
    pub axis_kind: RwSignal<AxisKind>,
    /// Numbers with commas between them.
    pub k_values: RwSignal<String>,
    /// Numbers with commas between them.
    pub base_guidance_values: RwSignal<String>,
    /// A prompt per line.
    pub further_prompts: RwSignal<String>,
    pub k: RwSignal<String>,
    pub hybrid_base_guidance: RwSignal<String>,
    pub hybrid_base_steps: RwSignal<String>,
    pub base_steps: RwSignal<String>,
    pub base_guidance: RwSignal<String>,
    pub base_scheduler: RwSignal<Option<SchedulerClass>>,
    pub distilled_steps: RwSignal<String>,
    pub distilled_guidance: RwSignal<String>,
    pub distilled_scheduler: RwSignal<Option<SchedulerClass>>,
}

impl Controls {
    /// Empty controls; [`Controls::fill`] gives them their values.
    pub fn new() -> Self {
        Controls {
            prompt: RwSignal::default(),
            negative_prompt: RwSignal::default(),
            seed: RwSignal::default(),
            seed_count: RwSignal::default(),
            modes: RwSignal::default(),
            axis_kind: RwSignal::default(),
            k_values: RwSignal::default(),
            base_guidance_values: RwSignal::default(),
            further_prompts: RwSignal::default(),
            k: RwSignal::default(),
            hybrid_base_guidance: RwSignal::default(),
            hybrid_base_steps: RwSignal::default(),
            base_steps: RwSignal::default(),
            base_guidance: RwSignal::default(),
            base_scheduler: RwSignal::default(),
            distilled_steps: RwSignal::default(),
            distilled_guidance: RwSignal::default(),
            distilled_scheduler: RwSignal::default(),
        }
    }

    /// Sets every control.
    pub fn fill(&self, recipe: Recipe) {
        self.prompt.set(recipe.prompt);
        self.negative_prompt.set(recipe.negative_prompt);
        self.seed.set(recipe.seed.to_string());
        self.seed_count.set(recipe.seed_count.to_string());
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
            Axis::Prompts(further) => {
                self.axis_kind.set(AxisKind::Prompts);
                self.further_prompts.set(further.join("\n"));
            }
        }
        self.k.set(recipe.k.to_string());
        self.hybrid_base_guidance
            .set(recipe.hybrid_base_guidance.to_string());
        self.hybrid_base_steps
            .set(recipe.hybrid_base_steps.to_string());
        self.base_steps.set(recipe.base_steps.to_string());
        self.base_guidance.set(recipe.base_guidance.to_string());
        self.base_scheduler.set(recipe.base_scheduler);
        self.distilled_steps.set(recipe.distilled_steps.to_string());
        self.distilled_guidance
            .set(recipe.distilled_guidance.to_string());
        self.distilled_scheduler.set(recipe.distilled_scheduler);
    }

    /// The recipe that the controls spell; follows every one of them.
    pub fn recipe(&self) -> Result<Recipe, ControlsError> {
        let recipe = Recipe {
            prompt: self.prompt.get(),
            negative_prompt: self.negative_prompt.get(),
            seed: number("The seed", self.seed, SEED)?,
            seed_count: number("The number of seeds", self.seed_count, SEED_COUNT)?,
            modes: self.modes.get(),
            axis: self.axis()?,
            k: number("k", self.k, STEPS)?,
            hybrid_base_guidance: number(
                "The hybrid's base guidance",
                self.hybrid_base_guidance,
                GUIDANCE_SCALE,
            )?,
            hybrid_base_steps: number(
                "The number of base steps per replaced step",
                self.hybrid_base_steps,
                HYBRID_BASE_STEPS,
            )?,
            base_steps: number("The number of base steps", self.base_steps, STEPS)?,
            base_guidance: number("The base guidance", self.base_guidance, GUIDANCE_SCALE)?,
            base_scheduler: self.base_scheduler.get(),
            distilled_steps: number("The number of distilled steps", self.distilled_steps, STEPS)?,
            distilled_guidance: number(
                "The distilled guidance",
                self.distilled_guidance,
                GUIDANCE_SCALE,
            )?,
            distilled_scheduler: self.distilled_scheduler.get(),
        };
        recipe.validate()?;
        Ok(recipe)
    }

    fn axis(&self) -> Result<Axis, ControlsError> {
        Ok(match self.axis_kind.get() {
            AxisKind::Modes => Axis::Modes,
            AxisKind::K => Axis::K(numbers("Each k", self.k_values, STEPS)?),
            AxisKind::BaseGuidance => Axis::BaseGuidance(numbers(
                "Each base guidance scale",
                self.base_guidance_values,
                GUIDANCE_SCALE,
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
    Prompts,
}

impl AxisKind {
    /// Every kind, in the order in which they are offered.
    pub const ALL: [AxisKind; 4] = [
        AxisKind::Modes,
        AxisKind::K,
        AxisKind::BaseGuidance,
        AxisKind::Prompts,
    ];

    /// Its value in the field.
    pub fn key(self) -> &'static str {
        match self {
            AxisKind::Modes => "modes",
            AxisKind::K => "k",
            AxisKind::BaseGuidance => "base-guidance",
            AxisKind::Prompts => "prompts",
        }
    }

    /// The kind of a [`AxisKind::key`].
    pub fn from_key(key: &str) -> Option<AxisKind> {
        AxisKind::ALL.into_iter().find(|kind| kind.key() == key)
    }

    /// What it is called.
    pub fn label(self) -> &'static str {
        match self {
            AxisKind::Modes => "the mode alone",
            AxisKind::K => "k of the hybrid",
            AxisKind::BaseGuidance => "the hybrid's base guidance",
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
    label: &'static str,
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
                bounds.parse(part).ok_or_else(|| ControlsError::Number {
                    label,
                    expected: bounds.to_string(),
                })
            })
            .collect()
    })
}

/// The number in a field.
fn number<T>(
    label: &'static str,
    text: RwSignal<String>,
    bounds: Bounds<T>,
) -> Result<T, ControlsError>
where
    T: FromStr + PartialOrd,
    Bounds<T>: Display,
{
    text.with(|text| bounds.parse(text))
        .ok_or_else(|| ControlsError::Number {
            label,
            expected: bounds.to_string(),
        })
}

/// Why the controls spell no recipe.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ControlsError {
    /// A field that holds no number within its bounds.
    #[error("{label} has to be {expected}.")]
    Number {
        label: &'static str,
        expected: String,
    },
    /// Numbers that don't go together.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
}
