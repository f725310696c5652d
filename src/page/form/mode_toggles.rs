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
    let toggle = move |mode: Mode, on: bool| {
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
    let checkbox = move |mode: Mode| {
        let handle = format!("mode-{}", mode.key());
        let sentence = sentence_at(controls.wrong, handle.clone());
        view! {
            <label class="toggle" title=mode_tip(mode)>
                <input
                    type="checkbox"
                    data-testid=handle.clone()
                    aria-invalid=move || sentence.with(Option::is_some).then_some("true")
                    aria-describedby=error_id(&handle)
                    prop:checked=move || modes.with(|modes| modes.contains(&mode))
                    on:change=move |event| toggle(mode, event_target_checked(&event))
                />
                <span>{mode.name()}</span>
            </label>
        }
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
