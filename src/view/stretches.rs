//! Which model takes which steps of a row's images.

use crate::recipe::{Mode, Recipe, Row};
use crate::sampler::ModelRole;

/// Consecutive steps that the same model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The model, or nobody.
    pub taken_by: TakenBy,
    /// The number of steps, at least 1.
    pub steps: u32,
}

/// The model that takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenBy {
    /// A model.
    Model(ModelRole),
    /// The step is left out, as the first one of skip-first-step.
    Nobody,
}

/// The stretches of a row in the order of its steps. Their lengths are exact except in a hybrid with
/// several base steps per replaced step: there the hand-over depends on both schedules, and the
/// engine's own count replaces this one.
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
        Mode::Hybrid | Mode::Adaptive => vec![
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

/// The same stretches once the engine has said how many steps there are in all: what the recipe didn't
/// determine are the first ones.
pub fn counted(mut stretches: Vec<Stretch>, steps: u32) -> Vec<Stretch> {
    let others = planned_steps(stretches.get(1..).unwrap_or_default());
    if let Some(first) = stretches.first_mut()
        && first.taken_by != TakenBy::Nobody
        && steps > others
    {
        first.steps = steps - others;
    }
    stretches
}

/// The number of steps that a model takes.
pub fn planned_steps(stretches: &[Stretch]) -> u32 {
    stretches
        .iter()
        .filter(|stretch| stretch.taken_by != TakenBy::Nobody)
        .map(|stretch| stretch.steps)
        .sum()
}
