//! Which field of the page a recipe's error is about, so that it is marked, focused and explained where it
//! stands.

use crate::recipe::bounds::MAXIMUM_PROMPT_CHARACTERS;
use crate::recipe::parameters::{PARAMETERS, Parameter};
use crate::recipe::validate::RecipeError;
use crate::recipe::{Axis, Mode, Recipe};

/// The field with the values of k.
pub const K_VALUES: &str = "k-values";
/// The field with the hybrid's guidance scales.
pub const BASE_GUIDANCE_VALUES: &str = "base-guidance-values";
/// The field with the strengths of an adapter.
pub const ADAPTER_STRENGTHS: &str = "adapter-strengths";
/// The field with the further prompts.
pub const FURTHER_PROMPTS: &str = "further-prompts";
/// The choice of what the rows differ in.
pub const AXIS: &str = "axis";

/// What is wrong in the controls, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongField {
    /// The field's `data-testid`.
    pub field: String,
    /// What is wrong and what to do, as a sentence.
    pub sentence: String,
}

/// The field of the value that makes a recipe one that can't be drawn.
pub fn field_of(error: &RecipeError, recipe: &Recipe) -> String {
    match error {
        RecipeError::OutOfBounds { subject, .. } => match (field_named(subject), &recipe.axis) {
            (Some("k"), Axis::K(_)) => K_VALUES.to_owned(),
            (Some("base-guidance"), Axis::BaseGuidance(_)) => BASE_GUIDANCE_VALUES.to_owned(),
            (Some(name), _) => name.to_owned(),
            // Bounds that skip-first-step alone has.
            (None, _) => "distilled-steps".to_owned(),
        },
        RecipeError::PromptTooLong { .. } => {
            let is_long = |prompt: &str| prompt.chars().count() > MAXIMUM_PROMPT_CHARACTERS;
            if is_long(&recipe.prompt) {
                "prompt".to_owned()
            } else if is_long(&recipe.negative_prompt) {
                "negative-prompt".to_owned()
            } else {
                FURTHER_PROMPTS.to_owned()
            }
        }
        RecipeError::Size { .. } => "size".to_owned(),
        RecipeError::NoMode => format!("mode-{}", Mode::Base.key()),
        RecipeError::NoHybrid => format!("mode-{}", Mode::Hybrid.key()),
        // The shelf itself shows what is wrong with an adapter; the rows are what can be mended here.
        RecipeError::NoAdapter | RecipeError::Adapters => AXIS.to_owned(),
        RecipeError::NoValues
        | RecipeError::TooManyRows { .. }
        | RecipeError::RepeatedRow { .. } => axis_values(&recipe.axis).to_owned(),
    }
}

/// The field with the values in which the rows differ.
fn axis_values(axis: &Axis) -> &'static str {
    match axis {
        Axis::Modes => AXIS,
        Axis::K(_) => K_VALUES,
        Axis::BaseGuidance(_) => BASE_GUIDANCE_VALUES,
        Axis::AdapterStrength(_) => ADAPTER_STRENGTHS,
        Axis::Prompts(_) => FURTHER_PROMPTS,
    }
}

fn field_named(subject: &str) -> Option<&'static str> {
    let of_subject = |parameter: &&Parameter| parameter.subject == subject;
    PARAMETERS
        .iter()
        .find(of_subject)
        .map(|parameter| parameter.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recipe that can be drawn.
    fn recipe() -> Recipe {
        Recipe {
            prompt: "red apple".into(),
            seed_count: 2,
            modes: vec![Mode::Distilled, Mode::Hybrid],
            distilled_steps: 4,
            base_steps: 10,
            k: 1,
            hybrid_base_steps: 1,
            axis: Axis::Modes,
            ..Recipe::default()
        }
    }

    fn field(change: impl FnOnce(&mut Recipe)) -> String {
        let mut recipe = recipe();
        assert_eq!(recipe.validate(), Ok(()));
        change(&mut recipe);
        let error = recipe.validate().expect_err("a recipe that can't be drawn");
        field_of(&error, &recipe)
    }

    #[test]
    fn every_error_has_the_field_that_is_to_be_mended() {
        let long = "a ".repeat(MAXIMUM_PROMPT_CHARACTERS);
        assert_eq!(field(|it| it.prompt.clone_from(&long)), "prompt");
        assert_eq!(
            field(|it| it.negative_prompt.clone_from(&long)),
            "negative-prompt"
        );
        let further = Axis::Prompts(vec!["b".into(), long.clone()]);
        assert_eq!(field(|it| it.axis = further), FURTHER_PROMPTS);
        assert_eq!(field(|it| it.seed_count = 0), "seed-count");
        assert_eq!(field(|it| it.k = 5), "k");
        assert_eq!(field(|it| it.axis = Axis::K(vec![1, 5])), K_VALUES);
        assert_eq!(field(|it| it.axis = Axis::K(vec![1, 1])), K_VALUES);
        assert_eq!(
            field(|it| it.axis = Axis::BaseGuidance(vec![3.0, 1e6])),
            BASE_GUIDANCE_VALUES
        );
        assert_eq!(
            field(|it| it.axis = Axis::Prompts(Vec::new())),
            FURTHER_PROMPTS
        );
        assert_eq!(field(|it| it.modes.clear()), "mode-base");
        assert_eq!(
            field(|it| {
                it.modes = vec![Mode::Base];
                it.axis = Axis::K(vec![1, 2]);
            }),
            "mode-hybrid"
        );
        assert_eq!(
            field(|it| {
                it.modes = vec![Mode::SkipFirstStep];
                it.distilled_steps = 1;
            }),
            "distilled-steps"
        );
    }
}
