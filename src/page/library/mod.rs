//! The panel of models: the list of pairs and how much of each this browser has, a pair's pre-flight,
//! and the storage that all pairs share.

mod add_pair;
mod delete_question;
mod load_status;
mod make_room;
pub mod pair_load;
mod pair_row;
mod panel;
pub mod preflight_view;
mod storage_view;

pub use load_status::LoadStatus;
pub use panel::Panel;

use leptos::html;
use leptos::prelude::*;

use crate::protocol::loader::{Origin, PairEntry};
use add_pair::AddPair;
use pair_row::PairRow;
use storage_view::StorageView;

/// A button that opens the panel.
#[component]
pub fn ModelsButton(panel: Panel) -> impl IntoView {
    view! {
        <button
            type="button"
            class="models"
            data-testid="models"
            aria-haspopup="dialog"
            on:click=move |_| panel.open()
        >
            "More models…"
        </button>
    }
}

/// The panel: a dialog over the page. Its content exists only while it is open.
#[component]
pub fn LibraryDialog(
    panel: Panel,
    /// The address of the pair that draws.
    #[prop(into)]
    current: Signal<String>,
    /// Called with the address of a pair that is to draw.
    on_use: Callback<String>,
) -> impl IntoView {
    let Panel { loader, is_open } = panel;
    let dialog = NodeRef::<html::Dialog>::new();
    let heading = NodeRef::<html::H2>::new();
    Effect::new(move |_| {
        let is_open = is_open.get();
        if let Some(dialog) = dialog.get() {
            if is_open && !dialog.open() {
                // Fails only for a dialog that isn't in the document.
                let _ = dialog.show_modal();
            } else if !is_open && dialog.open() {
                dialog.close();
            }
        }
    });
    let use_pair = Callback::new(move |address: String| {
        panel.close();
        on_use.run(address);
    });
    let focus_heading = Callback::new(move |()| {
        if let Some(heading) = heading.get_untracked() {
            let _ = heading.focus();
        }
    });
    let problem = move || {
        loader
            .problems
            .with(|problems| problems.get(&None).map(|problem| problem.sentence.clone()))
    };
    let group = move |title: &'static str, origin: Origin| {
        let pairs = Memo::new(move |_| -> Vec<PairEntry> {
            loader.library.with(|library| {
                let pairs = library.iter().flat_map(|library| &library.pairs);
                pairs
                    .filter(|pair| pair.origin == origin)
                    .cloned()
                    .collect()
            })
        });
        let is_empty = Memo::new(move |_| pairs.with(Vec::is_empty));
        move || {
            (!is_empty.get()).then(|| {
                view! {
                    <section class="library-group">
                        <h3>{title}</h3>
                        <ul class="library-list">
                            <For
                                each=move || pairs.get()
                                key=|pair| pair.address.clone()
                                children=move |pair| {
                                    view! {
                                        <PairRow
                                            pair=pair
                                            loader=loader
                                            current=current
                                            on_use=use_pair
                                            on_gone=focus_heading
                                        />
                                    }
                                }
                            />
                        </ul>
                    </section>
                }
            })
        }
    };
    // None once the library is known.
    let waiting = move || {
        let is_waiting = loader.library.with(Option::is_none);
        is_waiting.then(|| {
            if problem().is_none() {
                view! { <p class="help" role="status">"Looking at what is here…"</p> }.into_any()
            } else {
                view! {
                    <button type="button" class="models" on:click=move |_| loader.list()>
                        "Try again"
                    </button>
                }
                .into_any()
            }
        })
    };
    let content = move || {
        is_open.get().then(|| {
            view! {
                {waiting}
                {group("With the page", Origin::Bundled)}
                {group("Stable Diffusion XL", Origin::Offered)}
                {group("Added by you", Origin::Added)}
                <AddPair loader=loader />
                <StorageView loader=loader />
            }
        })
    };
    view! {
        <dialog
            node_ref=dialog
            class="library"
            data-testid="library"
            aria-labelledby="library-heading"
            on:close=move |_| panel.close()
        >
            <header class="library-header">
                <h2 id="library-heading" node_ref=heading tabindex="-1">
                    "Models"
                </h2>
                <button type="button" data-testid="library-close" on:click=move |_| panel.close()>
                    "Close"
                </button>
                <div class="library-trouble" role="alert">
                    {move || {
                        problem()
                            .map(|sentence| {
                                view! {
                                    <p class="problem" data-testid="library-problem">
                                        {sentence}
                                    </p>
                                }
                            })
                    }}
                </div>
            </header>
            <div class="library-content">{content}</div>
        </dialog>
    }
}
