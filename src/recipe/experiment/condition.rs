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

impl Condition {
    /// The condition's name in files and test handles, such as `hybrid` or `hybrid-k2`.
    pub fn key(&self) -> String {
        let mode = self.mode.key();
        match self.setting {
            Setting::Own => mode.to_owned(),
            Setting::K(k) => format!("{mode}-k{k}"),
            Setting::BaseGuidance(scale) => format!("{mode}-g{scale}"),
            Setting::BaseSteps(steps) => format!("{mode}-s{steps}"),
            Setting::Threshold(threshold) => format!("{mode}-t{threshold}"),
            Setting::Strength(strength) => format!("{mode}-a{strength}"),
        }
    }

    /// The condition's name in tables and figures.
    pub fn name(&self) -> String {
        let mode = self.mode.name();
        match self.setting {
            Setting::Own => mode.to_owned(),
            Setting::K(k) => format!("{mode}, k = {k}"),
            Setting::BaseGuidance(scale) => format!("{mode}, base guidance {scale}"),
            Setting::BaseSteps(1) => format!("{mode}, 1 base step"),
            Setting::BaseSteps(steps) => format!("{mode}, {steps} base steps"),
            Setting::Threshold(threshold) => format!("{mode}, threshold {threshold}"),
            Setting::Strength(strength) => format!("{mode}, strength {strength}"),
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
        let is_same = match (self.setting, row.variant) {
            (Setting::K(k), Variant::K(other)) => k == other,
            (Setting::BaseGuidance(scale), Variant::BaseGuidance(other)) => scale == other,
            (Setting::Strength(strength), Variant::AdapterStrength(other)) => strength == other,
            (Setting::BaseSteps(steps), Variant::Only) => steps == recipe.hybrid_base_steps,
            (Setting::Threshold(threshold), Variant::Only) => {
                threshold == recipe.adaptive_threshold
            }
            (Setting::Own, Variant::Only) => true,
            _ => false,
        };
        self.mode == row.mode && is_same
    }
}
