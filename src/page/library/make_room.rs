//! The pairs to delete where the store has no room for the rest of a load.

use leptos::html;
use leptos::prelude::*;

use super::delete_question::DeleteQuestion;
use crate::page::workers::loader::LoaderClient;
use crate::protocol::loader::PairEntry;
use crate::view::units;

/// The other pairs whose deletion frees room, the largest first.
#[component]
pub fn MakeRoom(
    loader: LoaderClient,
    /// The address of the pair that needs the room.
    except: String,
) -> impl IntoView {
    let others = Memo::new(move |_| -> Vec<PairEntry> {
        loader.library.with(|library| {
            let pairs = library.iter().flat_map(|library| &library.pairs);
            let mut others: Vec<PairEntry> = pairs
                .filter(|pair| pair.address != except && freed(pair) > 0)
                .cloned()
                .collect();
            others.sort_by_key(|pair| std::cmp::Reverse(freed(pair)));
            others
        })
    });
    let other = move |pair: PairEntry| {
        let asks = RwSignal::new(false);
        let button = NodeRef::<html::Button>::new();
        let address = pair.address.clone();
        let delete = Callback::new(move |()| loader.delete(address.clone()));
        let label = format!("Delete {}", pair.name);
        let name = pair.name.clone();
        let size = units::size(freed(&pair));
        let pair = Signal::stored(pair);
        view! {
            <li>
                <span>{name} ": " {size}</span>
                <button
                    type="button"
                    node_ref=button
                    data-testid="make-room"
                    aria-label=label
                    on:click=move |_| asks.set(true)
                >
                    "Delete"
                </button>
                {move || {
                    asks.get()
                        .then(|| {
                            view! {
                                <DeleteQuestion
                                    pair=pair
                                    asks=asks
                                    asked_by=button
                                    confirm_handle="confirm-make-room"
                                    on_confirm=delete
                                />
                            }
                        })
                }}
            </li>
        }
    };
    move || {
        if others.with(Vec::is_empty) {
            return view! {
                <p class="help">"No other pair takes any room here that could be freed."</p>
            }
            .into_any();
        }
        view! {
            <ul class="make-room" aria-label="Pairs that can be deleted">
                <For
                    each=move || others.get()
                    key=|pair| (pair.address.clone(), pair.stored, pair.shared)
                    children=other
                />
            </ul>
        }
        .into_any()
    }
}

/// Bytes that deleting a pair frees.
fn freed(pair: &PairEntry) -> u64 {
    pair.stored.saturating_sub(pair.shared)
}
