//! The offer of a new version of the page, which the visitor takes when it suits.
//!
//! `www/offline.mjs` finds the new version and changes to it. The two communicate by attributes of the
//! document's element and events of the window; that module lists them.

use leptos::prelude::*;

const ENGINE_ATTRIBUTE: &str = "data-engine";
const ENGINE_CHANGED: &str = "firststep-engine";
const UPDATE_ATTRIBUTE: &str = "data-update";
const UPDATE_CHANGED: &str = "firststep-update";
const TAKE_UPDATE: &str = "firststep-take-update";

/// Whether a new version can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Update {
    /// It can be taken at once.
    Ready,
    /// The visitor wanted to take it while another tab was drawing.
    Elsewhere,
}

impl Update {
    fn read() -> Option<Self> {
        let root = document().document_element()?;
        match root.get_attribute(UPDATE_ATTRIBUTE)?.as_str() {
            "ready" => Some(Update::Ready),
            "elsewhere" => Some(Update::Elsewhere),
            _ => None,
        }
    }
}

/// A line above the page while there is a newer version than this one. It never changes the page by
/// itself, so that no run is lost.
#[component]
pub fn UpdateOffer(
    /// Whether the pair's manifest has been read, or can't be.
    #[prop(into)]
    has_come: Signal<bool>,
    #[prop(into)] busy: Signal<bool>,
) -> impl IntoView {
    // A new version may have been found before this component was made.
    let update = RwSignal::new(Update::read());
    let changed =
        window_event_listener_untyped(UPDATE_CHANGED, move |_| update.set(Update::read()));
    on_cleanup(move || changed.remove());

    let engine_state = Memo::new(move |_| match (has_come.get(), busy.get()) {
        (_, true) => "running",
        (true, false) => "resting",
        (false, false) => "loading",
    });
    Effect::new(move |_| {
        let state = engine_state.get();
        if let Some(root) = document().document_element()
            && root.set_attribute(ENGINE_ATTRIBUTE, state).is_ok()
        {
            dispatch(ENGINE_CHANGED);
        }
    });

    let sentence = move |state| {
        if busy.get() {
            "A new version of this page is ready. It waits until the run is over."
        } else if state == Update::Elsewhere {
            "Another tab of this page is drawing. Update when it is done: every tab is reloaded."
        } else {
            "A new version of this page is ready."
        }
    };
    view! {
        <div class="update-offer" role="status" data-testid="update-offer">
            {move || {
                update
                    .get()
                    .map(|state| {
                        view! {
                            <p>{move || sentence(state)}</p>
                            <div class="update-buttons">
                                <button
                                    type="button"
                                    data-testid="update-now"
                                    disabled=busy
                                    on:click=move |_| dispatch(TAKE_UPDATE)
                                >
                                    "Update now"
                                </button>
                                <button
                                    type="button"
                                    data-testid="update-later"
                                    on:click=move |_| update.set(None)
                                >
                                    "Later"
                                </button>
                            </div>
                        }
                    })
            }}
        </div>
    }
}

/// Dispatches an event of the window to `www/offline.mjs`.
fn dispatch(name: &str) {
    if let Ok(event) = web_sys::Event::new(name) {
        // Fails only for an event that is being dispatched already.
        let _ = window().dispatch_event(&event);
    }
}
