//! An adapter of the recipe: its strength, its models, and when it acts.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

use crate::protocol::loader::AdapterEntry;
use crate::recipe::adapters::{ActsOn, AdapterUse, FROM_TIMESTEP, STRENGTH};
use crate::recipe::bounds::STEPS;

/// Hands the focus of a button that is about to go to the head of the shelf, so that the keyboard stays
/// there.
pub(super) fn focus_shelf(event: &web_sys::MouseEvent) {
    let button = event.current_target();
    let button = button.and_then(|button| button.dyn_into::<Element>().ok());
    let shelf = button.and_then(|button| button.closest("[data-testid=adapters]").ok()?);
    let head = shelf.and_then(|shelf| shelf.query_selector("summary").ok()?);
    if let Some(head) = head.and_then(|head| head.dyn_into::<HtmlElement>().ok()) {
        let _ = head.focus();
    }
}

/// The controls of one adapter; `hash` says which.
#[component]
pub fn AdapterField(
    hash: String,
    used: Memo<Vec<AdapterUse>>,
    /// None before the store has been asked.
    stored: Memo<Option<Vec<AdapterEntry>>>,
    on_change: Callback<Vec<AdapterUse>>,
    /// Its strength was moved.
    on_move: Callback<()>,
) -> impl IntoView {
    let hash = StoredValue::new(hash);
    let own = Memo::new(move |_| {
        used.with(|used| {
            let found = used
                .iter()
                .find(|it| hash.with_value(|hash| it.hash == *hash));
            found.cloned()
        })
    });
    let change = move |change: &dyn Fn(&mut AdapterUse)| {
        let mut all = used.get_untracked();
        for adapter in &mut all {
            if hash.with_value(|hash| adapter.hash == *hash) {
                change(adapter);
            }
        }
        on_change.run(all);
    };
    let remove = move |event: web_sys::MouseEvent| {
        focus_shelf(&event);
        let mut all = used.get_untracked();
        all.retain(|adapter| hash.with_value(|hash| adapter.hash != *hash));
        on_change.run(all);
    };
    let id = hash.with_value(|hash| hash.chars().take(8).collect::<String>());
    let strength_id = format!("strength-{id}");
    let name = move || own.get().map(|own| own.name);
    let strength = move || own.get().map_or(0.0, |own| own.strength);
    let set_strength = move |event| {
        if let Some(strength) = STRENGTH.parse(&event_target_value(&event)) {
            change(&|own| own.strength = strength);
            on_move.run(());
        }
    };
    let set_from = move |event| {
        if let Some(timestep) = FROM_TIMESTEP.parse(&event_target_value(&event)) {
            change(&|own| own.from_timestep = timestep);
        }
    };
    let steps = move || {
        let steps = own.get().map(|own| own.steps).unwrap_or_default();
        let steps: Vec<_> = steps.iter().map(ToString::to_string).collect();
        steps.join(", ")
    };
    let set_steps = move |event| {
        let text = event_target_value(&event);
        let steps = text
            .split([',', ' '])
            .filter(|part| !part.trim().is_empty())
            .map(|part| STEPS.parse(part))
            .collect::<Option<Vec<_>>>();
        if let Some(steps) = steps {
            change(&|own| own.steps.clone_from(&steps));
        }
    };
    let models = ActsOn::ALL.map(|choice| {
        let label = match choice {
            ActsOn::Both => "both models",
            ActsOn::Base => "the base model",
            ActsOn::Distilled => "the distilled model",
        };
        let is_chosen =
            move || own.with(|own| own.as_ref().is_some_and(|own| own.acts_on == choice));
        view! {
            <option value=choice.key() prop:selected=is_chosen>
                {label}
            </option>
        }
    });
    let set_models = move |event| {
        if let Some(acts_on) = ActsOn::from_key(&event_target_value(&event)) {
            change(&|own| own.acts_on = acts_on);
        }
    };
    let missing = move || {
        let stored = stored.get()?;
        let is_here = hash.with_value(|hash| stored.iter().any(|entry| entry.hash == *hash));
        let beginning = hash.with_value(|hash| hash.chars().take(8).collect::<String>());
        (!is_here).then(|| {
            format!(
                "This file is not in this browser: bring it below (its SHA-256 begins with \
                 {beginning}), or take it off."
            )
        })
    };
    let description = move || {
        let stored = stored.get()?;
        let entry = stored
            .into_iter()
            .find(|entry| hash.with_value(|hash| entry.hash == *hash));
        entry.map(|entry| entry.description)
    };
    view! {
        <fieldset class="group adapter" data-testid="adapter">
            <legend>{name}</legend>
            <div class="adapter-strength">
                <label for=strength_id.clone()>"Strength"</label>
                <input
                    id=strength_id
                    data-testid="adapter-strength"
                    type="range"
                    min=STRENGTH.minimum.to_string()
                    max=STRENGTH.maximum.to_string()
                    step="0.05"
                    prop:value=move || strength().to_string()
                    on:input=set_strength
                />
                <input
                    data-testid="adapter-strength-number"
                    type="number"
                    inputmode="decimal"
                    aria-label="Strength as a number"
                    min=STRENGTH.minimum.to_string()
                    max=STRENGTH.maximum.to_string()
                    step="any"
                    prop:value=move || strength().to_string()
                    on:change=set_strength
                />
            </div>
            <p class="help" data-testid="adapter-description">
                {description}
            </p>
            <details>
                <summary>"Where and when"</summary>
                <div class="fields">
                    <label class="field">
                        <span>"Acts on"</span>
                        <select data-testid="adapter-models" on:change=set_models>
                            {models.into_iter().collect_view()}
                        </select>
                    </label>
                    <label class="field">
                        <span>"From timestep"</span>
                        <input
                            data-testid="adapter-from"
                            type="number"
                            min=FROM_TIMESTEP.minimum.to_string()
                            max=FROM_TIMESTEP.maximum.to_string()
                            step="50"
                            prop:value=move || own.get().map(|own| own.from_timestep.to_string())
                            on:change=set_from
                        />
                    </label>
                    <label class="field">
                        <span>"In steps"</span>
                        <input
                            data-testid="adapter-steps"
                            type="text"
                            inputmode="numeric"
                            placeholder="all"
                            prop:value=steps
                            on:change=set_steps
                        />
                    </label>
                </div>
                <p class="help">
                    "Timesteps count down from 999: sliders often act from 700 on, when the composition is settled. Steps are those of the row, from 1."
                </p>
            </details>
            <p class="help adapter-missing" role="status" data-testid="adapter-missing">
                {missing}
            </p>
            <button type="button" data-testid="remove-adapter" on:click=remove>
                "Take off"
            </button>
        </fieldset>
    }
}
