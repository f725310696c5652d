//! What the pictures of one prompt and seed differ in.

use serde::{Deserialize, Serialize};

use crate::recipe::{Mode, Recipe, Row, Variant};

/// A mode, and the value of the setting that the experiment is about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Which model takes which steps.
    pub mode: Mode,
    /// What it has that the experiment's settings have not.
    pub setting: Setting,
}

/// The value of the setting that an experiment is about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// None: it has what the experiment's settings say.
    Own,
    /// The number of replaced steps.
    K(u32),
    /// The guidance scale of the hybrid's base steps.
    BaseGuidance(f32),
    /// The base model's steps in place of each replaced one.
    BaseSteps(u32),
    /// The threshold of the adaptive switch.
    Threshold(f32),
    /// The strength of the first adapter.
    Strength(f32),
}

impl Setting {
    /// What sets a grid's row apart that has it; a setting of the whole grid is in no row.
    fn variant(self) -> Variant {
        match self {
            Setting::Own | Setting::BaseSteps(_) | Setting::Threshold(_) => Variant::Only,
            Setting::K(k) => Variant::K(k),
            Setting::BaseGuidance(scale) => Variant::BaseGuidance(scale),
            Setting::Strength(strength) => Variant::AdapterStrength(strength),
        }
    }
}

impl Condition {
    /// The condition's name in files and test handles, such as `hybrid` or `hybrid-k2`.
    pub fn key(&self) -> String {
        let row = self.setting.variant().key(self.mode);
        match self.setting {
            Setting::BaseSteps(steps) => format!("{row}-s{steps}"),
            Setting::Threshold(threshold) => format!("{row}-t{threshold}"),
            _ => row,
        }
    }

    /// The condition's name in tables and figures.
    pub fn name(&self) -> String {
        let row = self.setting.variant().name(self.mode);
        match self.setting {
            Setting::BaseSteps(1) => format!("{row}, 1 base step"),
            Setting::BaseSteps(steps) => format!("{row}, {steps} base steps"),
            Setting::Threshold(threshold) => format!("{row}, threshold {threshold}"),
            _ => row,
        }
    }

    /// The value of the setting, for an axis; none where it has none.
    pub fn value(&self) -> Option<f64> {
        match self.setting {
            Setting::Own => None,
            Setting::K(count) | Setting::BaseSteps(count) => Some(f64::from(count)),
            // By its decimal digits: 0.1 is 0.1, and not the nearest of the smaller type.
            Setting::BaseGuidance(number)
            | Setting::Threshold(number)
            | Setting::Strength(number) => number.to_string().parse().ok(),
        }
    }

    /// Whether a grid's row is drawn under this condition.
    pub(super) fn is_of(&self, row: &Row, recipe: &Recipe) -> bool {
        let is_of_grid = match self.setting {
            Setting::BaseSteps(steps) => steps == recipe.hybrid_base_steps,
            Setting::Threshold(threshold) => threshold == recipe.adaptive_threshold,
            _ => true,
        };
        self.mode == row.mode && self.setting.variant() == row.variant && is_of_grid
    }
}
