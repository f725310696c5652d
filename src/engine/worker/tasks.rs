//! Tasks that need neither the device nor the models, and so run while a job waits for either: files
//! to save, the history, and the number of a prompt's tokens.

use std::{cell::Cell, rc::Rc};

use wasm_bindgen_futures::spawn_local;

use crate::browser::globals::worker_scope::WorkerScope;
use crate::engine::error::EngineError;
use crate::engine::prompt::count;
use crate::history::favourite_store::FavouriteStore;
use crate::history::store::{HistoryError, Store};
use crate::history::{Entry, Request};
use crate::models::ClipTokenizer;
use crate::picture::file::FileRequest;
use crate::protocol::engine::{Event, TaskEvent, TaskId};
use crate::recipe::Prompt;

/// The worker's state of the history of runs.
#[derive(Default)]
pub(super) struct HistoryState {
    /// Whether the page has asked for the history: only then does every new run post it again.
    is_listed: Cell<bool>,
    /// Whether the visitor has been told that runs can't be stored.
    has_warned: Cell<bool>,
}

/// Encodes a file to save.
pub(super) fn encode(scope: WorkerScope<Event>, id: TaskId, request: FileRequest) {
    spawn_local(async move {
        match request.encode() {
            Ok(bytes) => {
                let event = TaskEvent::File { bytes };
                scope.post(Event::Task { id, event });
                end(&scope, id, Ok(()));
            }
            Err(error) => end(&scope, id, Err(error.to_string())),
        }
    });
}

/// Counts the tokens of prompts.
pub(super) fn count_tokens(
    scope: &WorkerScope<Event>,
    tokenizers: Option<&[ClipTokenizer; 2]>,
    id: TaskId,
    prompts: &[Prompt],
) {
    let counts = tokenizers.ok_or(EngineError::NotLoaded).and_then(|both| {
        let counts = prompts.iter().map(|prompt| count(both, prompt));
        counts.collect::<Result<_, _>>()
    });
    let outcome = counts.map(|counts| {
        let event = TaskEvent::Tokens(counts);
        scope.post(Event::Task { id, event });
    });
    end(scope, id, outcome.map_err(|error| error.to_string()));
}

/// Changes or lists the history.
pub(super) fn change_history(
    scope: WorkerScope<Event>,
    history: Rc<HistoryState>,
    id: TaskId,
    request: Request,
) {
    spawn_local(async move {
        let lists_runs = !matches!(
            request,
            Request::ListFavourites | Request::Mark(_) | Request::Unmark(_)
        );
        if lists_runs {
            history.is_listed.set(true);
        }
        match changed(request).await {
            Ok(event) => {
                scope.post(event);
                end(&scope, id, Ok(()));
            }
            Err(error) => end(&scope, id, Err(error.to_string())),
        }
    });
}

fn end(scope: &WorkerScope<Event>, id: TaskId, outcome: Result<(), String>) {
    let event = match outcome {
        Ok(()) => TaskEvent::Done,
        Err(message) => TaskEvent::Failed { message },
    };
    scope.post(Event::Task { id, event });
}

async fn changed(request: Request) -> Result<Event, HistoryError> {
    match request {
        Request::List | Request::Delete(_) | Request::Clear | Request::Restore(_) => {
            changed_runs(request).await
        }
        Request::ListFavourites | Request::Mark(_) | Request::Unmark(_) => {
            changed_favourites(request).await
        }
    }
}

async fn changed_favourites(request: Request) -> Result<Event, HistoryError> {
    let store = FavouriteStore::open().await?;
    match request {
        Request::Mark(favourite) => store.mark(&favourite).await?,
        Request::Unmark(recipe) => store.unmark(&recipe).await?,
        _ => {}
    }
    Ok(Event::Favourites(store.list().await?))
}

async fn changed_runs(request: Request) -> Result<Event, HistoryError> {
    let store = Store::open().await?;
    match request {
        Request::Delete(recipe) => store.delete(&recipe).await?,
        Request::Clear => store.clear().await?,
        Request::Restore(entries) => {
            for entry in &entries {
                store.remember(entry).await?;
            }
        }
        _ => {}
    }
    Ok(Event::History(Box::new(store.list().await?)))
}

/// Stores a run that has ended while the worker goes on. Where that fails, the visitor is told once,
/// and not at all where they know that this browser stores nothing.
pub(super) fn remember(
    scope: WorkerScope<Event>,
    history: Rc<HistoryState>,
    entry: Entry,
    stores_nothing: bool,
) {
    spawn_local(async move {
        match store_run(&entry, history.is_listed.get()).await {
            Ok(Some(event)) => scope.post(event),
            Ok(None) => {}
            Err(error) => {
                let is_known = stores_nothing && matches!(error, HistoryError::Unavailable { .. });
                if !is_known && !history.has_warned.replace(true) {
                    let message = error.to_string();
                    scope.post(Event::Notice { message });
                }
            }
        }
    });
}

/// Stores a run. Returns the new history where the page shows it.
async fn store_run(entry: &Entry, is_listed: bool) -> Result<Option<Event>, HistoryError> {
    let store = Store::open().await?;
    store.remember(entry).await?;
    if !is_listed {
        return Ok(None);
    }
    Ok(Some(Event::History(Box::new(store.list().await?))))
}
