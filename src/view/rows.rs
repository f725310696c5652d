//! The names of rows, modes and models.

use super::stretches::{Stretch, TakenBy};
use crate::recipe::{Mode, Row};
use crate::sampler::ModelRole;

/// What a mode is, for who meets it for the first time.
pub fn mode_tip(mode: Mode) -> &'static str {
    match mode {
        Mode::Base => "The slow model takes every step: varied, and many steps.",
        Mode::Distilled => "The fast model takes all of its few steps: sharp, and much alike.",
        Mode::Hybrid => {
            "The base model takes the first k steps, the distilled model the rest: variety at nearly the \
             fast model's speed."
        }
        Mode::Adaptive => {
            "As the hybrid, but each picture has the base model's steps that it needs: the distilled model \
             takes over once the picture that the base aims at has settled."
        }
        Mode::SkipFirstStep => {
            "No base model at all: the distilled model starts at its second step, since its first one is \
             what makes the pictures alike."
        }
    }
}

/// A row's name: its mode, and the value in which it differs from other rows of that mode.
pub fn row_name(row: &Row) -> String {
    row.variant.name(row.mode)
}

/// A sentence that explains which model takes which steps of a row, of whose stretches it is told.
pub fn row_explanation(row: &Row, stretches: &[Stretch]) -> String {
    let taken = |model| -> u32 {
        let stretches = stretches.iter();
        stretches
            .filter(|stretch| stretch.taken_by == TakenBy::Model(model))
            .map(|stretch| stretch.steps)
            .sum()
    };
    let base = taken(ModelRole::Base);
    match row.mode {
        Mode::Base => "The base model takes every step: diverse, but slow.".to_owned(),
        Mode::Distilled => {
            "The distilled model takes every step: fast, but the seeds look alike.".to_owned()
        }
        Mode::Hybrid if base > row.k => {
            let steps = row.k.saturating_add(taken(ModelRole::Distilled));
            let replaced = match row.k {
                1 => "first".to_owned(),
                k => format!("first {k}"),
            };
            let enough = if row.k == 1 { "one is" } else { "as many are" };
            format!("{base} base steps for the {replaced} of {steps}: on SDXL {enough} enough.")
        }
        Mode::Hybrid if row.k == 1 => {
            "The base model takes the first step, the distilled model the rest.".to_owned()
        }
        Mode::Hybrid => format!(
            "The base model takes over the first {} steps, the distilled model takes the rest.",
            row.k
        ),
        Mode::SkipFirstStep => "The distilled model without its first step.".to_owned(),
        Mode::Adaptive => format!(
            "The base model takes over at most the first {} steps, and fewer where the picture settles \
             earlier.",
            row.k
        ),
    }
}

/// The word for a model, which is also its CSS class.
pub fn model_key(model: ModelRole) -> &'static str {
    match model {
        ModelRole::Base => "base",
        ModelRole::Distilled => "distilled",
    }
}

/// The adapters of a row that act in a step, counted from 1, with their strengths: “ink × 1, smile × −2”. None
/// where the row has no adapters; where it has some and none acts, it says so.
pub fn acting_adapters(row: &Row, role: ModelRole, step: u32, timestep: f32) -> Option<String> {
    if row.adapters.is_empty() {
        return None;
    }
    let strengths = row.strengths(role, step, timestep);
    let acting: Vec<String> = row
        .adapters
        .iter()
        .zip(strengths)
        .filter(|(_, strength)| *strength != 0.0)
        .map(|(adapter, strength)| {
            let sign = if strength < 0.0 { "−" } else { "" };
            format!("{} × {sign}{}", adapter.name, strength.abs())
        })
        .collect();
    Some(if acting.is_empty() {
        "no adapter".to_owned()
    } else {
        acting.join(", ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;
    use crate::recipe::adapters::{ActsOn, AdapterUse};
    use crate::view::stretches::{counted, stretches};

    /// The hybrid's sentence for k of four steps, with base steps for each replaced one, when the
    /// engine has counted so many steps in all.
    fn hybrid(k: u32, base_steps: u32, steps: u32) -> String {
        let recipe = Recipe {
            modes: vec![Mode::Hybrid],
            distilled_steps: 4,
            k,
            hybrid_base_steps: base_steps,
            ..Recipe::default()
        };
        let rows = recipe.rows();
        let row = rows.first().expect("a row");
        row_explanation(row, &counted(stretches(&recipe, row), steps))
    }

    #[test]
    fn the_hybrids_sentence_has_the_steps_that_are_taken() {
        assert_eq!(
            hybrid(1, 2, 5),
            "2 base steps for the first of 4: on SDXL one is enough."
        );
        assert_eq!(
            hybrid(1, 2, 6),
            "3 base steps for the first of 4: on SDXL one is enough."
        );
        assert_eq!(
            hybrid(2, 2, 7),
            "5 base steps for the first 2 of 4: on SDXL as many are enough."
        );
        assert!(hybrid(1, 1, 4).contains("takes the first step"));
    }

    #[test]
    fn a_step_names_the_adapters_that_act_in_it() {
        let mut recipe = Recipe {
            modes: vec![Mode::Hybrid],
            ..Recipe::default()
        };
        let mut ink = AdapterUse::new(&"a".repeat(64), "ink");
        ink.from_timestep = 700;
        let mut smile = AdapterUse::new(&"b".repeat(64), "smile");
        smile.strength = -2.0;
        smile.acts_on = ActsOn::Base;
        let words =
            |recipe: &Recipe, role, timestep| acting_adapters(&recipe.rows()[0], role, 1, timestep);
        assert_eq!(words(&recipe, ModelRole::Base, 999.0), None);
        recipe.adapters = vec![ink, smile];
        let at = |role, timestep| words(&recipe, role, timestep).expect("words");
        assert_eq!(at(ModelRole::Base, 999.0), "smile × −2");
        assert_eq!(at(ModelRole::Base, 399.0), "ink × 1, smile × −2");
        assert_eq!(at(ModelRole::Distilled, 999.0), "no adapter");
    }
}
