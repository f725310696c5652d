//! What the stores of this browser have in common: databases that are opened and transactions that
//! run to their end. Only `weights::store` and `history::store` use it, and nothing else knows
//! IndexedDB.

use std::{cell::Cell, rc::Rc};

use futures::channel::oneshot;
use idb::{Database, DatabaseEvent, Error, Factory, ObjectStoreParams, TransactionMode};

/// Opens a database, and makes it with these object stores where it is not there yet.
///
/// # Errors
/// There is no IndexedDB, or the browser denies it.
pub(crate) async fn open(
    name: &str,
    version: u32,
    stores: &'static [&'static str],
) -> Result<Database, Error> {
    let mut request = Factory::new()?.open(name, Some(version))?;
    request.on_upgrade_needed(move |event| {
        // An object store that can't be made shows at the first transaction, as an error.
        if let Ok(database) = event.database() {
            for name in stores {
                let _ = database.create_object_store(name, ObjectStoreParams::new());
            }
        }
    });
    request.await
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
