//! Whether an experiment can be run.

use std::collections::BTreeSet;

use super::bounds::{IMAGES, MAXIMUM_PROMPTS, MAXIMUM_VALUES};
use super::condition::Setting;
use super::definition::Experiment;
use super::error::ExperimentError;
use super::study::Study;
use crate::recipe::Mode;
use crate::recipe::excerpt::excerpt;
use crate::recipe::pair_address::is_on_own_host;
use crate::recipe::validate::{RecipeError, check_prompt};

impl Experiment {
    /// Whether all of it is within its bounds, and each of its grids can be drawn.
    ///
    /// # Errors
    /// The first bound that is broken, as a sentence.
    pub fn validate(&self) -> Result<(), ExperimentError> {
        if !is_on_own_host(&self.pair) {
            return Err(ExperimentError::PairElsewhere {
                pair: excerpt(&self.pair),
            });
        }
        if !IMAGES.contain(&self.images) {
            return Err(ExperimentError::Images {
                images: self.images,
            });
        }
        self.check_prompts()?;
        if self.settings.modes.is_empty() {
            return Err(RecipeError::NoMode.into());
        }
        if self.study.is_of_hybrid() && !self.settings.modes.contains(&Mode::Hybrid) {
            return Err(RecipeError::NoHybrid.into());
        }
        let values = match &self.study {
            Study::Diversity | Study::Convergence | Study::Time => None,
            Study::BaseGuidance(values) | Study::Adaptive(values) | Study::Transfer(values) => {
                Some(values.len())
            }
            Study::K(values) | Study::BaseSteps(values) => Some(values.len()),
        };
        if let Some(values) = values.filter(|values| !(1..=MAXIMUM_VALUES).contains(values)) {
            return Err(ExperimentError::ValueCount { values });
        }
        if let Study::Adaptive(thresholds) = &self.study
            && thresholds.iter().any(|it| *it <= 0.0)
        {
            return Err(ExperimentError::NoThreshold);
        }
        let conditions = self.conditions();
        for (place, condition) in conditions.iter().enumerate() {
            let is_repeated = conditions
                .iter()
                .take(place)
                .any(|other| other == condition);
            if is_repeated {
                let value = match condition.setting {
                    Setting::Own => condition.key(),
                    Setting::K(count) | Setting::BaseSteps(count) => count.to_string(),
                    Setting::BaseGuidance(number)
                    | Setting::Threshold(number)
                    | Setting::Strength(number) => number.to_string(),
                };
                return Err(ExperimentError::RepeatedValue { value });
            }
        }
        // Prompts were checked alone: the grids of one are those of all.
        let of_one = Experiment {
            prompts: self.prompts.iter().take(1).cloned().collect(),
            images: 1,
            ..self.clone()
        };
        for page in of_one.pages() {
            page.recipe.validate()?;
        }
        Ok(())
    }

    fn check_prompts(&self) -> Result<(), ExperimentError> {
        if self.prompts.is_empty() {
            return Err(ExperimentError::NoPrompt);
        }
        if self.prompts.len() > MAXIMUM_PROMPTS {
            return Err(ExperimentError::TooManyPrompts {
                prompts: self.prompts.len(),
            });
        }
        let mut seen = BTreeSet::new();
        for prompt in &self.prompts {
            check_prompt(prompt)?;
            if !seen.insert(prompt) {
                return Err(ExperimentError::RepeatedPrompt {
                    prompt: excerpt(prompt),
                });
            }
        }
        Ok(())
    }
}
