//! Keeps the part of the address after `#` and the controls in sync, in both directions, as
//! [`Address`](crate::view::address::Address) decides.

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsValue;

use crate::page::form::controls::Controls;
use crate::page::workers::engine::{EngineClient, LostPair, Problem};
use crate::recipe::adapters;
use crate::recipe::experiment::is_link;
use crate::recipe::parameters::place;
use crate::recipe::saved_recipe::SavedRecipe;
use crate::view::address::{Address, EngineTarget, SharedRun, VisitorInput};

/// The delay between typing and a change of the address: browsers refuse hundreds of changes in half a
/// minute.
const WRITE_DELAY: Duration = Duration::from_millis(300);

/// Callbacks that change the page's pair or recipe together with its address.
#[derive(Clone, Copy)]
pub struct AddressActions {
    /// Changes to the pair whose manifest has this address. Its defaults fill the controls, except the
    /// prompts, the seeds and the rows, which stay.
    pub choose_pair: Callback<String>,
    /// Fills the controls with a saved recipe, and changes to its pair where that is another one. Draws
    /// nothing.
    pub open: Callback<SavedRecipe>,
}

/// Applies the page's link and every later one, starts the engine on the link's device and pair, and
/// writes the controls back into the address. Sentences about parts of a link that can't be read go to
/// `notices`, the run that a link was copied from to `shared_run`, and a link to an experiment to
/// `experiment_link`, which is none after another link.
pub fn keep_in_sync(
    controls: Controls,
    engine: EngineClient,
    notices: RwSignal<Vec<String>>,
    shared_run: RwSignal<Option<SharedRun>>,
    experiment_link: RwSignal<Option<String>>,
) -> AddressActions {
    let hash = location_hash().unwrap_or_default();
    let (first, sentences) = if is_link(&hash) {
        let first = Address::of_experiment(&hash);
        experiment_link.set(Some(hash));
        (first, Vec::new())
    } else {
        Address::open(&hash)
    };
    notices.set(sentences);
    let [prompt, negative_prompt] = first.prompts();
    controls.prompt().set(prompt);
    controls.negative_prompt().set(negative_prompt);
    connect(engine, &first.engine_target());
    // Notifies only where the link becomes another one, so that the controls are filled again.
    let address = RwSignal::new(first);

    let spelled = move || {
        let recipe = controls.recipe().ok()?;
        engine.pair.with(|pair| {
            let defaults = &pair.as_ref()?.recipe;
            Some(address.with(|address| address.spell(&recipe, defaults)))
        })
    };

    Effect::new(move |_| {
        address.track();
        let Some(defaults) = engine
            .pair
            .with(|pair| pair.as_ref().map(|pair| pair.recipe.clone()))
        else {
            return;
        };
        let typed = [controls.prompt(), controls.negative_prompt()].map(|it| it.get_untracked());
        let [prompt, negative_prompt] = &typed;
        let values = address
            .try_update_untracked(|address| address.fill(&defaults, [prompt, negative_prompt]));
        let Some(values) = values else { return };
        shared_run.set(values.shared_run);
        if let Some(problem) = values.problem {
            notices.update(|notices| notices.push(problem));
        }
        controls.fill(values.recipe);
        let spelled = untrack(spelled);
        address.update_untracked(|address| address.filled(spelled));
    });

    let needs_writing =
        move |hash: &str| address.with_untracked(|address| address.needs_writing(hash));
    let mut write_later = debounce(WRITE_DELAY, move |()| {
        // Read again: another link may have come since.
        if let Some(hash) = untrack(spelled)
            && needs_writing(&hash)
        {
            write(&hash);
            address.update_untracked(|address| address.written(hash));
        }
    });
    Effect::new(move |_| {
        if let Some(hash) = spelled()
            && needs_writing(&hash)
        {
            write_later(());
        }
    });

    Effect::new(move |_| {
        let Some(LostPair {
            address: lost,
            reason,
        }) = engine.lost_pair.get()
        else {
            return;
        };
        let target = address.try_update_untracked(Address::fall_back);
        let Some(target) = target else { return };
        connect(engine, &target);
        engine.problem.set(Some(Problem {
            sentence: format!(
                "The pair “{lost}” can't be opened, so the page has opened the one that comes with it. {reason}"
            ),
            remedy: "Try that pair again",
            pair: Some(lost),
        }));
        address.notify();
    });

    let listener = window_event_listener(leptos::ev::hashchange, move |_| {
        let hash = location_hash().unwrap_or_default();
        if is_link(&hash) {
            // The same one again opens it again.
            experiment_link.set(Some(hash));
            return;
        }
        experiment_link.set(None);
        let followed = address.try_update_untracked(|address| address.follow(&hash));
        let Some((target, sentences)) = followed else {
            return;
        };
        notices.set(sentences);
        if let Some(target) = target {
            connect(engine, &target);
        }
        address.notify();
    });
    on_cleanup(move || listener.remove());

    let choose_pair = Callback::new(move |pair: String| {
        let typed = VisitorInput {
            prompt: controls.prompt().get_untracked(),
            negative_prompt: controls.negative_prompt().get_untracked(),
            reading: untrack(|| controls.prompt_reading()),
            seed: controls.text(place::SEED).get_untracked(),
            seed_count: controls.text(place::SEED_COUNT).get_untracked(),
            modes: controls.modes.get_untracked(),
            axis: untrack(|| controls.axis()).unwrap_or_default(),
            adapters: controls
                .text(place::ADAPTERS)
                .with_untracked(|text| adapters::parse(text))
                .unwrap_or_default(),
        };
        let chosen = address.try_update_untracked(|address| address.choose_pair(pair, typed));
        let Some((target, hash)) = chosen else { return };
        notices.set(Vec::new());
        write(&hash);
        connect(engine, &target);
        address.notify();
    });

    let open = Callback::new(move |saved: SavedRecipe| {
        let current = engine.pair_address.get_untracked();
        let opened = address.try_update_untracked(|address| address.open_recipe(&saved, &current));
        notices.set(Vec::new());
        // Otherwise the prompts that were typed before would replace the recipe's own.
        controls.prompt().set(saved.recipe.prompt);
        controls.negative_prompt().set(saved.recipe.negative_prompt);
        if let Some((target, hash)) = opened.flatten() {
            write(&hash);
            connect(engine, &target);
        }
        address.notify();
    });
    AddressActions { choose_pair, open }
}

fn connect(engine: EngineClient, target: &EngineTarget) {
    engine.connect(target.clone());
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
        // The page works without it; the next change tries again.
        leptos::logging::warn!("The address could not be brought up to date.");
    }
}
