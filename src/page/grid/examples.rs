//! Recipes that show the effect best, a click away.

use crate::recipe::{Axis, Mode, Recipe};

/// A recipe to begin with.
#[derive(Clone, Copy)]
pub struct Example {
    /// In test handles.
    pub key: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// What there is to see.
    pub explanation: &'static str,
    /// What it changes of the pair's defaults.
    change: fn(&mut Recipe),
}

impl Example {
    /// The recipe on a pair with these defaults, whose prompts and seeds stay.
    pub fn applied_to(&self, defaults: &Recipe) -> Recipe {
        let mut recipe = defaults.clone();
        (self.change)(&mut recipe);
        recipe
    }
}

/// The examples, from the plainest on.
pub const EXAMPLES: [Example; 3] = [
    Example {
        key: "variety",
        name: "Variety, lost and found",
        explanation: "Twelve seeds by the distilled model, then with first steps by the base.",
        change: |recipe| {
            recipe.modes = vec![Mode::Distilled, Mode::Hybrid];
            recipe.hybrid_base_steps = recipe.hybrid_base_steps.max(2);
            recipe.seed_count = 12;
        },
    },
    Example {
        key: "decided",
        name: "When is a picture decided?",
        explanation: "Base beside distilled. Open an image to see what it was aiming at in each step.",
        change: |recipe| {
            recipe.modes = vec![Mode::Base, Mode::Distilled, Mode::Hybrid];
            recipe.seed_count = 3;
        },
    },
    Example {
        key: "how-much",
        name: "How much base does it take?",
        explanation: "The base model takes over one, two or three of the distilled model's four steps, in smaller steps of its own: diversity by row.",
        change: |recipe| {
            recipe.modes = vec![Mode::Distilled, Mode::Hybrid];
            recipe.axis = Axis::K(vec![1, 2, 3]);
            recipe.seed_count = 6;
        },
    },
];
