//! The storage that all pairs share, and the request to the browser to make it persistent.

use leptos::prelude::*;

use wasm_bindgen_futures::spawn_local;

use crate::browser::globals::js;
use crate::page::workers::loader::LoaderClient;
use crate::view::units;

const PERSISTENT: &str = "Kept: the browser doesn't delete anything of this by itself.";

/// The browser's answer to the request for persistent storage.
#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Granted,
    Denied,
    /// The browser doesn't support persistent storage here.
    Unknown,
}

impl Outcome {
    fn sentence(self) -> &'static str {
        match self {
            Outcome::Granted => PERSISTENT,
            Outcome::Denied => {
                "The browser has decided not to promise it: when the disk gets full, it may delete \
                 the models, and they have to be downloaded again. Browsers promise it to pages \
                 that are bookmarked, installed or often visited: ask again then."
            }
            Outcome::Unknown => {
                "This browser doesn't make such promises, or not to a page without https: when the \
                 disk gets full, it may delete the models."
            }
        }
    }
}

/// Used and allowed bytes, and a button that requests persistent storage.
#[component]
pub fn StorageView(loader: LoaderClient) -> impl IntoView {
    let storage = Memo::new(move |_| {
        loader
            .library
            .with(|library| library.as_ref().map(|library| library.storage))
    });
    let outcome = RwSignal::new(None::<Outcome>);
    let is_persistent = Memo::new(move |_| {
        outcome.get() == Some(Outcome::Granted)
            || storage.get().is_some_and(|storage| storage.is_persistent)
    });
    let usage = move || {
        let storage = storage.get()?;
        Some(match (storage.usage, storage.quota) {
            (Some(usage), Some(quota)) => format!(
                "{} used of {} that the browser allows this page.",
                units::size(whole_bytes(usage)),
                units::size(whole_bytes(quota))
            ),
            (Some(usage), None) => format!("{} used.", units::size(whole_bytes(usage))),
            (None, _) => "This browser doesn't say how much is used.".to_owned(),
        })
    };
    let bar = move || {
        let storage = storage.get()?;
        let (usage, quota) = (storage.usage?, storage.quota.filter(|quota| *quota > 0.0)?);
        Some(view! {
            <progress
                aria-label="Storage in use"
                max=quota.to_string()
                value=usage.min(quota).to_string()
            ></progress>
        })
    };
    let keep = move |_| {
        spawn_local(async move {
            let answer = persist().await;
            // The panel may have been closed meanwhile.
            if outcome.try_set(Some(answer)).is_none() {
                loader.list();
            }
        });
    };
    let sentence = move || {
        if is_persistent.get() {
            Some(PERSISTENT)
        } else {
            outcome.get().map(Outcome::sentence)
        }
    };
    view! {
        <section class="library-group" data-testid="storage">
            <h3>"Storage"</h3>
            <p>{usage}</p>
            {bar}
            <div class="keep">
                <button
                    type="button"
                    data-testid="keep"
                    hidden=move || is_persistent.get()
                    aria-describedby="keep-outcome"
                    on:click=keep
                >
                    "Ask the browser to keep it"
                </button>
                <p id="keep-outcome" class="help" role="status" data-testid="keep-outcome">
                    {sentence}
                </p>
            </div>
        </section>
    }
}

/// Bytes from the browser's numbers, which are whole although their type has fractions.
fn whole_bytes(bytes: f64) -> u64 {
    // The conversion saturates, and makes NaN 0.
    bytes as u64
}

/// Calls `navigator.storage.persist()`, which no worker can call.
async fn persist() -> Outcome {
    let Some(storage) = js::get(&window().navigator(), "storage") else {
        return Outcome::Unknown;
    };
    match js::call_async(&storage, "persist", &[]).await {
        Ok(answer) if answer.as_bool() == Some(true) => Outcome::Granted,
        Ok(_) => Outcome::Denied,
        Err(_) => Outcome::Unknown,
    }
}
