//! What the stores of this browser have in common: databases that are opened and transactions that
//! run to their end. Only `weights::store` and `history::store` use it, and nothing else knows
//! IndexedDB.

use std::{cell::Cell, rc::Rc};

use futures::channel::oneshot;
use futures::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use idb::{Database, DatabaseEvent, Error, Factory, ObjectStoreParams, TransactionMode};
use wasm_bindgen_futures::spawn_local;

use super::js;

/// A database that takes longer to open is held by another tab: what a disk needs is far less.
const LONGEST_OPENING_MILLISECONDS: u32 = 8_000;

/// Why a database can't be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Another tab holds an older form of it open.
    #[error("another tab has an older version of this page open; close it and reload this one")]
    Blocked,
    /// There is no IndexedDB, or the browser denies it.
    #[error("{0}")]
    Failed(Error),
}

/// Opens a database. Where it is not there yet, or in an older form, it is made with these object
/// stores and nothing in them; the second value says whether an older form was emptied.
///
/// # Errors
/// Everything that [`OpenError`] lists.
pub(crate) async fn open(
    name: &str,
    version: u32,
    stores: &'static [&'static str],
) -> Result<(Database, bool), OpenError> {
    let emptied = Rc::new(Cell::new(false));
    let factory = Factory::new().map_err(OpenError::Failed)?;
    let mut request = factory
        .open(name, Some(version))
        .map_err(OpenError::Failed)?;
    let upgraded = emptied.clone();
    request.on_upgrade_needed(move |event| {
        // An object store that can't be made shows at the first transaction, as an error.
        let Ok(database) = event.database() else {
            return;
        };
        for old in database.store_names() {
            let _ = database.delete_object_store(&old);
            upgraded.set(true);
        }
        for name in stores {
            let _ = database.create_object_store(name, ObjectStoreParams::new());
        }
    });
    let (report_blocked, blocked) = oneshot::channel();
    let report_blocked = Cell::new(Some(report_blocked));
    request.on_blocked(move |_| {
        if let Some(sender) = report_blocked.take() {
            let _ = sender.send(());
        }
    });
    // In a task of its own, which outlives a caller that goes away.
    let (sender, opened) = oneshot::channel();
    spawn_local(async move {
        let mut opened = request.await;
        if let Ok(database) = &mut opened {
            // A later version of the page, in another tab, waits for this one to let go.
            database.on_version_change(|event| {
                if let Some(database) = event.target() {
                    // A database that is closed already stays so.
                    let _ = js::call(&database, "close", &[]);
                }
            });
        }
        if let Err(Ok(late)) = sender.send(opened) {
            late.close();
        }
    });
    // A request behind another one that is blocked hears nothing of it. The sender of `blocked`
    // falls away with a request that is not.
    let blocked = async {
        let late = TimeoutFuture::new(LONGEST_OPENING_MILLISECONDS);
        if let Either::Left((Err(_), late)) = select(blocked, late).await {
            late.await;
        }
    };
    let mut blocked = std::pin::pin!(blocked);
    match select(opened, blocked.as_mut()).await {
        Either::Left((Ok(Ok(database)), _)) => Ok((database, emptied.get())),
        Either::Left((Ok(Err(error)), _)) => Err(OpenError::Failed(error)),
        Either::Left((Err(_), _)) => Err(OpenError::Failed(Error::DomExceptionNotFound)),
        Either::Right(_) => Err(OpenError::Blocked),
    }
}

/// Runs a transaction on these object stores to its end; it holds or fails as a whole. `requests`
/// makes them all at once: a transaction ends when nothing is asked of it.
///
/// # Errors
/// A request that can't be made, or the cause why the transaction was aborted.
pub(crate) async fn write(
    database: &Database,
    stores: &[&str],
    requests: impl FnOnce(&idb::Transaction) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut transaction = database.transaction(stores, TransactionMode::ReadWrite)?;
    // Not awaited itself: that ends at the first request that fails, and the errors of the
    // others would call back into what is no longer there. A failed transaction aborts, and
    // only then does it tell the cause.
    let (sender, ended) = oneshot::channel();
    let sender = Rc::new(Cell::new(Some(sender)));
    let on_abort = sender.clone();
    let end = |sender: &Cell<Option<oneshot::Sender<bool>>>, committed| {
        if let Some(sender) = sender.take() {
            // The receiver waits below for as long as the transaction lives.
            let _ = sender.send(committed);
        }
    };
    transaction.on_complete(move |_| end(&sender, true));
    transaction.on_abort(move |_| end(&on_abort, false));
    requests(&transaction)?;
    match ended.await {
        Ok(true) => Ok(()),
        _ => Err(transaction
            .error()
            .map_or(Error::DomExceptionNotFound, Error::DomException)),
    }
}
