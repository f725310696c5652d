//! What rows, modes and models are called.

use crate::recipe::{Mode, Row, Variant};
use crate::sampler::ModelRole;

/// A mode's name.
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Base => "Base",
        Mode::Distilled => "Distilled",
        Mode::Hybrid => "Hybrid",
        Mode::SkipFirstStep => "Skip first step",
    }
}

/// A row's name: its mode, and what sets it apart.
pub fn row_name(row: &Row) -> String {
    let mode = mode_name(row.mode);
    match row.variant {
        Variant::Only => mode.to_owned(),
        Variant::K(k) => format!("{mode}, k = {k}"),
        Variant::BaseGuidance(scale) => format!("{mode}, base guidance {scale}"),
        Variant::Prompt(number) => format!("{mode}, prompt {number}"),
    }
}

/// What a row does, in a line.
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

/// The word and the class of a model's colour.
pub fn model_key(model: ModelRole) -> &'static str {
    match model {
        ModelRole::Base => "base",
        ModelRole::Distilled => "distilled",
    }
}
