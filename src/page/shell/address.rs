//! Keeps the part of the address after `#` and the controls in step, both ways.

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsValue;

use crate::page::form::controls::Controls;
use crate::page::grid::share_link::Followed;
use crate::page::workers::engine::{EngineClient, OWN_PAIR_ADDRESS};
use crate::recipe::bounds::{SEED, SEED_COUNT};
use crate::recipe::device::DevicePreference;
use crate::recipe::link::Link;
use crate::recipe::saved_recipe::SavedRecipe;

/// Typing changes the address once in so long: browsers refuse to change it hundreds of times in
/// half a minute.
const WRITE_DELAY: Duration = Duration::from_millis(300);

/// What turns the page to another pair or recipe, and brings its address along.
#[derive(Clone, Copy)]
pub struct Turns {
    /// Changes to the pair of a manifest's address: its defaults fill the controls, but for the
    /// prompts, the seeds and the rows, which stay as they are.
    pub choose_pair: Callback<String>,
    /// Fills the controls with a recipe that was saved, and changes to its pair where that is
    /// another one. Draws nothing.
    pub open: Callback<SavedRecipe>,
}

/// Applies the page's link and every one that follows, starts the engine on the device and pair
/// that it names, and writes the controls back into the address. What can't be read of a link goes
/// to `notices`, and the digests of a followed link to `followed`.
pub fn keep_in_step(
    controls: Controls,
    engine: EngineClient,
    notices: RwSignal<Vec<String>>,
    followed: RwSignal<Option<Followed>>,
) -> Turns {
    let (first, sentences) = read();
    notices.set(sentences);
    // The prompts don't wait for the pair, and neither has the visitor to.
    let prompts = [
        (controls.prompt, first.prompt.clone()),
        (controls.negative_prompt, first.negative_prompt.clone()),
    ];
    for (control, text) in prompts {
        control.set(text.unwrap_or_default());
    }
    engine.connect(device(&first), first.pair.as_deref());
    let link = RwSignal::new(first);

    // What the controls spelled when they were filled or last written: only a change by the
    // visitor is worth a new address.
    let in_address = StoredValue::new(None::<String>);
    // Whether the visitor has chosen what comes next on the page, instead of following a link.
    let chosen = StoredValue::new(false);
    let spelled = move || {
        let recipe = controls.recipe().ok()?;
        engine.pair.with(|pair| {
            let defaults = &pair.as_ref()?.recipe;
            link.with(|link| {
                let link = Link::of(&recipe, defaults, device(link), link.pair.as_deref());
                Some(link.to_string())
            })
        })
    };

    Effect::new(move |filled_before: Option<bool>| {
        let filled_before = filled_before.unwrap_or(false);
        let Some(defaults) = engine
            .pair
            .with(|pair| pair.as_ref().map(|pair| pair.recipe.clone()))
        else {
            return filled_before;
        };
        let mut recipe = link.with(|link| link.applied_to(&defaults));
        let by_choice = chosen.get_value();
        chosen.set_value(false);
        let mut typed_early = false;
        if !filled_before || by_choice {
            for (control, text) in [
                (controls.prompt, &mut recipe.prompt),
                (controls.negative_prompt, &mut recipe.negative_prompt),
            ] {
                let typed = control.get_untracked();
                if !typed.is_empty() && typed != *text {
                    *text = typed;
                    typed_early = true;
                }
            }
        }
        followed.set(link.with(|link| {
            (!link.digests.is_empty()).then(|| Followed {
                recipe: recipe.clone(),
                digests: link.digests.clone(),
            })
        }));
        if let Err(error) = recipe.validate() {
            notices.update(|notices| notices.push(error.to_string()));
        }
        controls.fill(recipe);
        in_address.set_value(if typed_early || by_choice {
            None
        } else {
            untrack(spelled)
        });
        true
    });

    let mut write_later = debounce(WRITE_DELAY, move |()| {
        // Read again: another link may have come since.
        if let Some(hash) = untrack(spelled)
            && in_address.with_value(|known| known.as_ref() != Some(&hash))
        {
            write(&hash);
            in_address.set_value(Some(hash));
        }
    });
    Effect::new(move |_| {
        if let Some(hash) = spelled()
            && in_address.with_value(|known| known.as_ref() != Some(&hash))
        {
            write_later(());
        }
    });

    let listener = window_event_listener(leptos::ev::hashchange, move |_| {
        let (next, sentences) = read();
        notices.set(sentences);
        chosen.set_value(false);
        let moved =
            link.with_untracked(|link| (device(link), &link.pair) != (device(&next), &next.pair));
        if moved {
            engine.connect(device(&next), next.pair.as_deref());
        }
        link.set(next);
    });
    on_cleanup(move || listener.remove());

    let choose_pair = Callback::new(move |address: String| {
        let next = Link {
            pair: (address != OWN_PAIR_ADDRESS).then_some(address),
            device: link.with_untracked(|link| link.device),
            prompt: Some(controls.prompt.get_untracked()),
            negative_prompt: Some(controls.negative_prompt.get_untracked()),
            seed: controls.seed.with_untracked(|text| SEED.parse(text)),
            seed_count: controls
                .seed_count
                .with_untracked(|text| SEED_COUNT.parse(text)),
            modes: Some(controls.modes.get_untracked()).filter(|modes| !modes.is_empty()),
            ..Link::default()
        };
        notices.set(Vec::new());
        // At once, so that a reload asks for the same pair, also where it can't be loaded.
        write(&next.to_string());
        chosen.set_value(true);
        engine.connect(device(&next), next.pair.as_deref());
        link.set(next);
    });

    let open = Callback::new(move |saved: SavedRecipe| {
        let SavedRecipe { pair, recipe, .. } = saved;
        let moved = engine.pair_address.with_untracked(|known| *known != pair);
        let pair = (pair != OWN_PAIR_ADDRESS).then_some(pair);
        let device = link.with_untracked(device);
        // All of it is said, so that no default of the pair can change it.
        let next = Link::complete(&recipe, device, pair.as_deref(), &[]);
        notices.set(Vec::new());
        // What was typed before must not be taken for typed since.
        controls.prompt.set(recipe.prompt);
        controls.negative_prompt.set(recipe.negative_prompt);
        chosen.set_value(true);
        if moved {
            // At once, as for a pair that is chosen.
            write(&next.to_string());
            engine.connect(device, next.pair.as_deref());
        }
        link.set(next);
    });
    Turns { choose_pair, open }
}

fn device(link: &Link) -> DevicePreference {
    link.device.unwrap_or_default()
}

/// The link in the address, and a sentence for each part that can't be read.
fn read() -> (Link, Vec<String>) {
    let (link, errors) = Link::parse(&location_hash().unwrap_or_default());
    (link, errors.iter().map(ToString::to_string).collect())
}

/// Replaces the hash without a new entry in the browser's history.
fn write(hash: &str) {
    let replaced = location().href().and_then(|href| {
        let page = href.split('#').next().unwrap_or_default();
        let address = if hash.is_empty() {
            page.to_owned()
        } else {
            format!("{page}#{hash}")
        };
        window()
            .history()?
            .replace_state_with_url(&JsValue::NULL, "", Some(&address))
    });
    if replaced.is_err() {
        // The page works on without; the next change tries again.
        leptos::logging::warn!("The address could not be brought up to date.");
    }
}
