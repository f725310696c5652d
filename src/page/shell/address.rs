//! Keeps the part of the address after `#` and the controls in step, both ways, as
//! [`Address`](crate::view::address::Address) decides.

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsValue;

use crate::page::form::controls::Controls;
use crate::page::workers::engine::EngineClient;
use crate::recipe::parameters::place;
use crate::recipe::saved_recipe::SavedRecipe;
use crate::view::address::{Address, Followed, Turn, Typed};

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
    let (first, sentences) = Address::open(&location_hash().unwrap_or_default());
    notices.set(sentences);
    let [prompt, negative_prompt] = first.prompts();
    controls.prompt().set(prompt);
    controls.negative_prompt().set(negative_prompt);
    connect(engine, &first.turn());
    // Set where the link becomes another one, so that the controls are filled anew; what else changes
    // of the address concerns nobody.
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
        let filling = address
            .try_update_untracked(|address| address.fill(&defaults, [prompt, negative_prompt]));
        let Some(filling) = filling else { return };
        followed.set(filling.followed);
        if let Some(problem) = filling.problem {
            notices.update(|notices| notices.push(problem));
        }
        controls.fill(filling.recipe);
        let spelled = untrack(spelled);
        address.update_untracked(|address| address.filled(spelled));
    });

    let is_news = move |hash: &str| address.with_untracked(|address| address.is_news(hash));
    let mut write_later = debounce(WRITE_DELAY, move |()| {
        // Read again: another link may have come since.
        if let Some(hash) = untrack(spelled)
            && is_news(&hash)
        {
            write(&hash);
            address.update_untracked(|address| address.written(hash));
        }
    });
    Effect::new(move |_| {
        if let Some(hash) = spelled()
            && is_news(&hash)
        {
            write_later(());
        }
    });

    let listener = window_event_listener(leptos::ev::hashchange, move |_| {
        let hash = location_hash().unwrap_or_default();
        let followed = address.try_update_untracked(|address| address.follow(&hash));
        let Some((turn, sentences)) = followed else {
            return;
        };
        notices.set(sentences);
        if let Some(turn) = turn {
            connect(engine, &turn);
        }
        address.notify();
    });
    on_cleanup(move || listener.remove());

    let choose_pair = Callback::new(move |pair: String| {
        let typed = Typed {
            prompt: controls.prompt().get_untracked(),
            negative_prompt: controls.negative_prompt().get_untracked(),
            seed: controls.text(place::SEED).get_untracked(),
            seed_count: controls.text(place::SEED_COUNT).get_untracked(),
            modes: controls.modes.get_untracked(),
        };
        let chosen = address.try_update_untracked(|address| address.choose_pair(pair, typed));
        let Some((turn, hash)) = chosen else { return };
        notices.set(Vec::new());
        write(&hash);
        connect(engine, &turn);
        address.notify();
    });

    let open = Callback::new(move |saved: SavedRecipe| {
        let current = engine.pair_address.get_untracked();
        let opened = address.try_update_untracked(|address| address.open_recipe(&saved, &current));
        notices.set(Vec::new());
        // What was typed before must not be taken for typed since.
        controls.prompt().set(saved.recipe.prompt);
        controls.negative_prompt().set(saved.recipe.negative_prompt);
        if let Some((turn, hash)) = opened.flatten() {
            write(&hash);
            connect(engine, &turn);
        }
        address.notify();
    });
    Turns { choose_pair, open }
}

fn connect(engine: EngineClient, turn: &Turn) {
    engine.connect(turn.device, turn.pair.clone());
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
