//! Which rows to draw.

use leptos::prelude::*;

use super::controls::Controls;
use super::wrong_field::{FieldError, error_id, sentence_at};
use crate::recipe::Mode;
use crate::view::rows::mode_tip;

/// A checkbox per mode.
#[component]
pub fn ModeToggles(controls: Controls) -> impl IntoView {
    let modes = controls.modes;
    let checkbox = move |mode: Mode| {
        let handle = format!("mode-{}", mode.key());
        let sentence = sentence_at(controls.wrong, handle.clone());
        let is_wrong = Signal::derive(move || sentence.with(Option::is_some));
        let error = error_id(&handle);
        view! { <ModeToggle mode=mode modes=modes handle=handle error=error is_wrong=is_wrong /> }
    };
    view! {
        <fieldset class="bare">
            <legend>"Compare"</legend>
            <div class="toggles">{Mode::ALL.map(checkbox).into_iter().collect_view()}</div>
            {Mode::ALL
                .map(|mode| view! { <FieldError wrong=controls.wrong handle=format!("mode-{}", mode.key()) /> })
                .into_iter()
                .collect_view()}
        </fieldset>
    }
}

/// The checkbox of a mode among those that are chosen.
#[component]
pub fn ModeToggle(
    mode: Mode,
    modes: RwSignal<Vec<Mode>>,
    /// Its `data-testid`.
    handle: String,
    /// The id of the sentence about what is wrong with the choice.
    error: String,
    /// Whether there is such a sentence.
    #[prop(into, optional)]
    is_wrong: Signal<bool>,
) -> impl IntoView {
    let toggle = move |on: bool| {
        modes.update(|modes| {
            let chosen = |other: &Mode| {
                if *other == mode {
                    on
                } else {
                    modes.contains(other)
                }
            };
            *modes = Mode::ALL.into_iter().filter(chosen).collect();
        });
    };
    view! {
        <label class="toggle" title=mode_tip(mode)>
            <input
                type="checkbox"
                data-testid=handle
                value=mode.key()
                aria-invalid=move || is_wrong.get().then_some("true")
                aria-describedby=error
                prop:checked=move || modes.with(|modes| modes.contains(&mode))
                on:change=move |event| toggle(event_target_checked(&event))
            />
            <span>{mode.name()}</span>
        </label>
    }
}
