//! IndexedDB for the stores: opens databases, and runs transactions to their end. Only
//! `weights::stored::store`, `history::store` and `engine::worker::choices` use this module, and nothing
//! else knows IndexedDB.

use std::{cell::Cell, ops::RangeInclusive, rc::Rc};

use futures::channel::oneshot;
use futures::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use idb::{Database, DatabaseEvent, Error, Factory, ObjectStoreParams, TransactionMode};
use wasm_bindgen_futures::spawn_local;

use super::js;

/// A database that takes longer to open is blocked by another tab: a disk needs far less.
const LONGEST_OPENING_MILLISECONDS: u32 = 8_000;

/// Why a database can't be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Another tab has an older version of the database open.
    #[error("another tab has an older version of this page open; close it and reload this one")]
    Blocked,
    /// There is no IndexedDB, or the browser denies it.
    #[error("{0}")]
    Failed(Error),
}

/// A database that is open, at least for now.
pub(crate) struct Opened {
    pub database: Database,
    /// Whether an older version's object stores were deleted.
    pub was_emptied: bool,
    /// Becomes true when the connection is closed under the page: the browser does that when site data is
    /// cleared, and this page when another tab deletes the database or has a later version of it. Every
    /// transaction fails from then on; the database can be opened again.
    pub is_closed: Rc<Cell<bool>>,
}

/// Opens a database of the last of these versions. One of another of them keeps what it has, and gets the
/// object stores that it lacks. One that doesn't exist, or is of a version before them, gets these object stores, with
/// nothing in them.
///
/// # Errors
/// Everything that [`OpenError`] lists.
pub(crate) async fn open(
    name: &str,
    versions: RangeInclusive<u32>,
    stores: &'static [&'static str],
) -> Result<Opened, OpenError> {
    let is_closed = Rc::new(Cell::new(false));
    let closed = is_closed.clone();
    let emptied = Rc::new(Cell::new(false));
    let factory = Factory::new().map_err(OpenError::Failed)?;
    let mut request = factory
        .open(name, Some(*versions.end()))
        .map_err(OpenError::Failed)?;
    let upgraded = emptied.clone();
    request.on_upgrade_needed(move |event| {
        // An object store that can't be made shows at the first transaction, as an error.
        let Ok(database) = event.database() else {
            return;
        };
        // Of a database that doesn't exist, the version is 0.
        let is_kept = event
            .old_version()
            .is_ok_and(|version| versions.contains(&version));
        let known = database.store_names();
        for old in known.iter().filter(|_| !is_kept) {
            let _ = database.delete_object_store(old);
            upgraded.set(true);
        }
        let is_known = |name: &&&str| is_kept && known.iter().any(|it| it == **name);
        for name in stores.iter().filter(|name| !is_known(name)) {
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
    // A task of its own outlives a caller that is dropped.
    let (sender, opened) = oneshot::channel();
    spawn_local(async move {
        let mut opened = request.await;
        if let Ok(database) = &mut opened {
            let closed_by_browser = closed.clone();
            database.on_close(move |_| closed_by_browser.set(true));
            // A later version of the page, in another tab, waits for this one to let go.
            database.on_version_change(move |event| {
                closed.set(true);
                if let Some(database) = event.target() {
                    // `close` doesn't fail, even for a database that is closed already.
                    let _ = js::call(&database, "close", &[]);
                }
            });
        }
        if let Err(Ok(late)) = sender.send(opened) {
            late.close();
        }
    });
    // A request that waits behind a blocked one gets no `blocked` event, so time limits it. The sender
    // of `blocked` is dropped with a request that has ended.
    let blocked = async {
        let late = TimeoutFuture::new(LONGEST_OPENING_MILLISECONDS);
        if let Either::Left((Err(_), late)) = select(blocked, late).await {
            late.await;
        }
    };
    let mut blocked = std::pin::pin!(blocked);
    match select(opened, blocked.as_mut()).await {
        Either::Left((Ok(Ok(database)), _)) => Ok(Opened {
            database,
            was_emptied: emptied.get(),
            is_closed,
        }),
        Either::Left((Ok(Err(error)), _)) => Err(OpenError::Failed(error)),
        Either::Left((Err(_), _)) => Err(OpenError::Failed(Error::DomExceptionNotFound)),
        Either::Right(_) => Err(OpenError::Blocked),
    }
}

/// Runs a transaction on these object stores to its end; all of its requests take effect, or none.
/// `requests` makes all of them at once: a transaction without a pending request ends.
///
/// # Errors
/// A request can't be made, or the transaction was aborted; then the error is the cause of that.
pub(crate) async fn write(
    database: &Database,
    stores: &[&str],
    requests: impl FnOnce(&idb::Transaction) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut transaction = database.transaction(stores, TransactionMode::ReadWrite)?;
    // The transaction itself is not awaited: that would end at the first request that fails, and the
    // errors of the others would call back into what is no longer there. A failed transaction aborts,
    // and only then has the cause.
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
