//! Which rows to draw.

use leptos::prelude::*;

use crate::recipe::Mode;
use crate::view::rows::mode_name;

/// A checkbox per mode.
#[component]
pub fn ModeToggles(modes: RwSignal<Vec<Mode>>) -> impl IntoView {
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
        view! {
            <label class="toggle">
                <input
                    type="checkbox"
                    data-testid=format!("mode-{}", mode.key())
                    prop:checked=move || modes.with(|modes| modes.contains(&mode))
                    on:change=move |event| toggle(mode, event_target_checked(&event))
                />
                <span>{mode_name(mode)}</span>
            </label>
        }
    };
    view! {
        <fieldset class="bare">
            <legend>"Compare"</legend>
            <div class="toggles">{Mode::ALL.map(checkbox).into_iter().collect_view()}</div>
        </fieldset>
    }
}
