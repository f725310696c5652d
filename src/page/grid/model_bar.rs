//! Which model takes which step, in the models' colours.

use leptos::prelude::*;

use crate::view::rows::model_key;
use crate::view::stretches::{Stretch, TakenBy};

/// A stretch of more steps than this is drawn as one block, as wide as this many.
const BLOCKS: u32 = 8;

/// A block per step, and the same in words: "1 base ▸ 3 distilled".
#[component]
pub fn ModelBar(
    stretches: Vec<Stretch>,
    /// Whether the base model may hand over earlier, where its picture has settled.
    may_end_early: bool,
) -> impl IntoView {
    let words: Vec<_> = stretches
        .iter()
        .map(|stretch| format!("{} {}", stretch.steps, key(stretch.taken_by)))
        .collect();
    let most = if may_end_early { "at most " } else { "" };
    let words = format!("{most}{}", words.join(" ▸ "));
    let blocks = stretches.into_iter().map(|stretch| {
        let class = format!("block model-{}", key(stretch.taken_by));
        // A long stretch keeps its proportion, up to what fits beside a short one.
        let (number, share) = if stretch.steps <= BLOCKS {
            (stretch.steps, 1)
        } else {
            (1, BLOCKS)
        };
        (0..number)
            .map(|_| view! { <i class=class.clone() style=format!("flex-grow:{share}")></i> })
            .collect_view()
    });
    view! {
        <span class="model-bar" aria-hidden="true">
            {blocks.collect_view()}
        </span>
        <span class="model-bar-words">{words}</span>
    }
}

fn key(taken_by: TakenBy) -> &'static str {
    match taken_by {
        TakenBy::Model(model) => model_key(model),
        TakenBy::Nobody => "skipped",
    }
}
