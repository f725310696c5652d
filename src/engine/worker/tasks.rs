//! Tasks that need neither the device nor the models, done while the worker waits for something
//! else: files to save, the history.

use std::{cell::Cell, rc::Rc};

use wasm_bindgen_futures::spawn_local;

use crate::browser::globals::worker_scope::WorkerScope;
use crate::history::store::{HistoryError, Store};
use crate::history::{Entry, Request};
use crate::picture::file::FileRequest;
use crate::protocol::engine::{Event, TaskEvent, TaskId};

/// The history of runs, as the worker keeps it.
#[derive(Default)]
pub(super) struct Runs {
    /// Whether the page has asked for the list: only then is it told of every new run.
    is_listed: Cell<bool>,
    /// Whether the visitor has been told that runs can't be kept.
    has_complained: Cell<bool>,
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

/// Changes or lists the history.
pub(super) fn change_history(
    scope: WorkerScope<Event>,
    runs: Rc<Runs>,
    id: TaskId,
    request: Request,
) {
    spawn_local(async move {
        runs.is_listed.set(true);
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
    scope: WorkerScope<Event>,
    runs: Rc<Runs>,
    entry: Entry,
    stores_nothing: bool,
) {
    spawn_local(async move {
        match keep(&entry, runs.is_listed.get()).await {
            Ok(Some(event)) => scope.post(event),
            Ok(None) => {}
            Err(error) => {
                let is_known = stores_nothing && matches!(error, HistoryError::Unavailable { .. });
                if !is_known && !runs.has_complained.replace(true) {
                    let message = error.to_string();
                    scope.post(Event::Notice { message });
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
