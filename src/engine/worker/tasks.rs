//! Work beside the jobs that needs neither the device nor the models: files to save, the history.

use std::{cell::Cell, rc::Rc};

use web_sys::DedicatedWorkerGlobalScope;

use super::post;
use crate::history::store::{HistoryError, Store};
use crate::history::{Entry, Request};
use crate::protocol::engine::{Errand, ErrandId, Event};

/// The history of runs, as the worker keeps it.
#[derive(Default)]
pub(super) struct Runs {
    /// Whether the page has asked for the list: only then is it told of every new run.
    is_listed: Cell<bool>,
    /// Whether the visitor has been told that runs can't be kept.
    has_complained: Cell<bool>,
}

/// Does an errand while the worker waits for something else.
pub(super) fn run(
    scope: DedicatedWorkerGlobalScope,
    runs: Rc<Runs>,
    errand: ErrandId,
    task: Errand,
) {
    wasm_bindgen_futures::spawn_local(async move {
        let outcome = match task {
            Errand::File(request) => request
                .encode()
                .map(|bytes| Event::File { errand, bytes })
                .map_err(|error| error.to_string()),
            Errand::History(request) => {
                runs.is_listed.set(true);
                answer(request).await.map_err(|error| error.to_string())
            }
            // Needs the models: the worker's loop does it.
            Errand::Strip { .. } => return,
        };
        match outcome {
            Ok(event) => {
                post(&scope, &event);
                post(&scope, &Event::ErrandDone { errand });
            }
            Err(message) => post(&scope, &Event::ErrandFailed { errand, message }),
        }
    });
}

async fn answer(request: Request) -> Result<Event, HistoryError> {
    let store = Store::open().await?;
    match request {
        Request::List => {}
        Request::Delete(recipe) => store.delete(&recipe).await?,
        Request::Clear => store.clear().await?,
    }
    Ok(Event::History(Box::new(store.list().await?)))
}

/// Keeps a run that has ended, while the worker goes on. Where that fails the visitor is told once,
/// unless it has been said already that this browser stores nothing.
pub(super) fn remember(
    scope: DedicatedWorkerGlobalScope,
    runs: Rc<Runs>,
    entry: Entry,
    stores_nothing: bool,
) {
    wasm_bindgen_futures::spawn_local(async move {
        match keep(&entry, runs.is_listed.get()).await {
            Ok(Some(event)) => post(&scope, &event),
            Ok(None) => {}
            Err(error) => {
                let is_known = stores_nothing && matches!(error, HistoryError::Unavailable { .. });
                if !is_known && !runs.has_complained.replace(true) {
                    let message = error.to_string();
                    post(&scope, &Event::Notice { message });
                }
            }
        }
    });
}

/// Keeps a run; the new list, where that is wanted.
async fn keep(entry: &Entry, is_listed: bool) -> Result<Option<Event>, HistoryError> {
    let store = Store::open().await?;
    store.remember(entry).await?;
    if !is_listed {
        return Ok(None);
    }
    Ok(Some(Event::History(Box::new(store.list().await?))))
}
