//! Who takes which steps of a row's images.

use crate::recipe::{Mode, Recipe, Row};
use crate::sampler::ModelRole;

/// Steps on end of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Who takes them.
    pub taken_by: TakenBy,
    /// How many there are.
    pub steps: u32,
}

/// Who takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenBy {
    /// A model.
    Model(ModelRole),
    /// Left out, as skip-first-step does.
    Nobody,
}

/// Who takes which steps in a row. Exact but for a hybrid of several base steps per replaced
/// step, where the hand-over depends on both schedules; the engine's own count replaces it.
pub fn stretches(recipe: &Recipe, row: &Row) -> Vec<Stretch> {
    let base = |steps| Stretch {
        taken_by: TakenBy::Model(ModelRole::Base),
        steps,
    };
    let distilled = |steps| Stretch {
        taken_by: TakenBy::Model(ModelRole::Distilled),
        steps,
    };
    let stretches = match row.mode {
        Mode::Base => vec![base(recipe.base_steps)],
        Mode::Distilled => vec![distilled(recipe.distilled_steps)],
        Mode::Hybrid => vec![
            base(row.k.saturating_mul(recipe.hybrid_base_steps)),
            distilled(recipe.distilled_steps.saturating_sub(row.k)),
        ],
        Mode::SkipFirstStep => vec![
            Stretch {
                taken_by: TakenBy::Nobody,
                steps: 1,
            },
            distilled(recipe.distilled_steps.saturating_sub(1)),
        ],
    };
    stretches
        .into_iter()
        .filter(|stretch| stretch.steps > 0)
        .collect()
}

/// The steps that are taken in all.
pub fn planned_steps(stretches: &[Stretch]) -> u32 {
    stretches
        .iter()
        .filter(|stretch| stretch.taken_by != TakenBy::Nobody)
        .map(|stretch| stretch.steps)
        .sum()
}
