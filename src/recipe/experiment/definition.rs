//! The experiment itself: what is drawn, and what its pictures differ in.

use super::condition::{Condition, Setting};
use super::study::Study;
use crate::recipe::{Axis, Mode, Recipe};

/// The recipe of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// What is compared.
    pub study: Study,
    /// Address of the pair's manifest, relative to the page.
    pub pair: String,
    /// What is drawn, each prompt once.
    pub prompts: Vec<String>,
    /// Images of each prompt under each condition, n. Their seeds count up from that of the settings.
    pub images: u32,
    /// Everything else. Its modes are those that are compared; a study of the hybrid shows the others
    /// beside it. Its prompt, its number of seeds and its axis don't count.
    pub settings: Recipe,
}

impl Experiment {
    /// The experiment that has the pictures of a grid: its axis is what is studied.
    pub fn of_recipe(pair: &str, recipe: &Recipe) -> Experiment {
        let mut prompts = vec![recipe.prompt.clone()];
        let study = match &recipe.axis {
            Axis::Modes => Study::Diversity,
            Axis::K(values) => Study::K(values.clone()),
            Axis::BaseGuidance(scales) => Study::BaseGuidance(scales.clone()),
            Axis::AdapterStrength(strengths) => Study::Transfer(strengths.clone()),
            Axis::Prompts(further) => {
                prompts.extend(further.iter().cloned());
                Study::Diversity
            }
        };
        Experiment {
            study,
            pair: pair.to_owned(),
            prompts,
            images: recipe.seed_count,
            settings: Recipe {
                axis: Axis::Modes,
                ..recipe.clone()
            },
        }
    }

    /// The seed of an image, counted from 0.
    pub fn seed_of(&self, image: u32) -> u32 {
        self.settings.seed.wrapping_add(image)
    }

    /// What the pictures of a prompt differ in beside the seed, in the order of tables.
    pub fn conditions(&self) -> Vec<Condition> {
        let plain = |mode| Condition {
            mode,
            setting: Setting::Own,
        };
        let modes = Mode::ALL
            .into_iter()
            .filter(|mode| self.settings.modes.contains(mode));
        let hybrid = |setting| Condition {
            mode: Mode::Hybrid,
            setting,
        };
        let values: Vec<Condition> = match &self.study {
            Study::Diversity | Study::Convergence | Study::Time => {
                return modes.map(plain).collect();
            }
            Study::Transfer(strengths) => {
                let strengths = with_none(strengths);
                return modes
                    .flat_map(|mode| {
                        strengths.iter().map(move |&strength| Condition {
                            mode,
                            setting: Setting::Strength(strength),
                        })
                    })
                    .collect();
            }
            Study::Adaptive(thresholds) => {
                let fixed = (1..=self.settings.distilled_steps).map(|k| hybrid(Setting::K(k)));
                let adaptive = thresholds.iter().map(|&threshold| Condition {
                    mode: Mode::Adaptive,
                    setting: Setting::Threshold(threshold),
                });
                fixed.chain(adaptive).collect()
            }
            Study::BaseGuidance(scales) => scales
                .iter()
                .map(|&scale| hybrid(Setting::BaseGuidance(scale)))
                .collect(),
            Study::K(values) => values.iter().map(|&k| hybrid(Setting::K(k))).collect(),
            Study::BaseSteps(values) => values
                .iter()
                .map(|&steps| hybrid(Setting::BaseSteps(steps)))
                .collect(),
        };
        let is_studied = |mode: &Mode| match self.study {
            Study::Adaptive(_) => matches!(mode, Mode::Hybrid | Mode::Adaptive),
            _ => *mode == Mode::Hybrid,
        };
        let others = modes.filter(|mode| !is_studied(mode)).map(plain);
        others.chain(values).collect()
    }

    /// The condition that others are compared with: the distilled model's, or else the first; of the
    /// study of an adapter, the same mode without it.
    pub fn reference_of(&self, condition: &Condition) -> Option<usize> {
        let conditions = self.conditions();
        let is_reference = |other: &Condition| match condition.setting {
            Setting::Strength(_) => {
                other.mode == condition.mode && other.setting == Setting::Strength(0.0)
            }
            _ => other.mode == Mode::Distilled,
        };
        let reference = conditions.iter().position(is_reference).unwrap_or(0);
        (conditions.get(reference)? != condition).then_some(reference)
    }
}

/// Strengths with 0 before them, unless it is among them.
pub(super) fn with_none(strengths: &[f32]) -> Vec<f32> {
    let none = (!strengths.contains(&0.0)).then_some(0.0);
    none.into_iter().chain(strengths.iter().copied()).collect()
}
