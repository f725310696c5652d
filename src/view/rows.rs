//! The names of rows, modes and models.

use crate::recipe::{Mode, Row, Variant};
use crate::sampler::ModelRole;

/// A mode's name, with a capital letter.
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Base => "Base",
        Mode::Distilled => "Distilled",
        Mode::Hybrid => "Hybrid",
        Mode::SkipFirstStep => "Skip first step",
    }
}

/// A row's name: its mode, and the value in which it differs from other rows of that mode.
pub fn row_name(row: &Row) -> String {
    let mode = mode_name(row.mode);
    match row.variant {
        Variant::Only => mode.to_owned(),
        Variant::K(k) => format!("{mode}, k = {k}"),
        Variant::BaseGuidance(scale) => format!("{mode}, base guidance {scale}"),
        Variant::AdapterStrength(strength) => format!("{mode}, strength {strength}"),
        Variant::Prompt(number) => format!("{mode}, prompt {number}"),
    }
}

/// A sentence that explains which model takes which steps of a row.
pub fn row_explanation(row: &Row) -> String {
    match row.mode {
        Mode::Base => "The base model takes every step: diverse, but slow.".to_owned(),
        Mode::Distilled => {
            "The distilled model takes every step: fast, but the seeds look alike.".to_owned()
        }
        Mode::Hybrid if row.k == 1 => {
            "The base model takes the first step, the distilled model the rest.".to_owned()
        }
        Mode::Hybrid => format!(
            "The base model takes over the first {} steps, the distilled model takes the rest.",
            row.k
        ),
        Mode::SkipFirstStep => "The distilled model without its first step.".to_owned(),
    }
}

/// The word for a model, which is also its CSS class.
pub fn model_key(model: ModelRole) -> &'static str {
    match model {
        ModelRole::Base => "base",
        ModelRole::Distilled => "distilled",
    }
}
