//! The kernels' forms that were measured on an adapter, remembered in IndexedDB: a visitor waits for the
//! measurement once. It has a database of its own, so that a change of its form leaves the weights as they
//! are.

use burn::tensor::Device;
use idb::{Database, TransactionMode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;

use super::preparation;
use crate::browser::adapter_limits::AdapterLimits;
use crate::browser::globals::indexed_db;
use crate::kernels::{self, Choice};

const DATABASE: &str = "firststep-adapters";
const VERSION: u32 = 1;

/// The adapter's description → [`Record`]; with ", half precision" → [`Trials`].
const CHOICES: &str = "choices";

/// Raised when kernels become so much faster or slower that what was measured says nothing any more.
const MEASUREMENT: u32 = 1;

/// What was measured, and with what.
#[derive(Serialize, Deserialize)]
struct Record {
    conditions: Conditions,
    choice: Choice,
}

/// What a measurement depends on. One under other conditions is made again.
#[derive(PartialEq, Serialize, Deserialize)]
struct Conditions {
    page: String,
    measurement: u32,
    is_half: bool,
    /// Bytes of a workgroup's shared memory, and threads.
    workgroup: [u64; 2],
}

impl Conditions {
    fn of(adapter: &AdapterLimits) -> Conditions {
        Conditions {
            page: env!("CARGO_PKG_VERSION").to_owned(),
            measurement: MEASUREMENT,
            is_half: kernels::is_half(),
            workgroup: [adapter.workgroup_storage, adapter.workgroup_invocations],
        }
    }
}

/// Takes the forms that were measured on this adapter; measures them where they weren't, and remembers
/// them. What can't be read, measured or stored changes nothing: the table's forms work everywhere.
pub(super) async fn choose(adapter: &AdapterLimits, device: &Device, table: Choice) {
    let conditions = Conditions::of(adapter);
    let database = indexed_db::open(DATABASE, VERSION..=VERSION, &[CHOICES]).await;
    let database = database.ok().map(|opened| opened.database);
    if let Some(database) = &database
        && let Some(record) = read::<Record>(database, &adapter.description).await
        && record.conditions == conditions
    {
        kernels::set_choice(record.choice);
    } else if preparation::compile(device, || drop(kernels::launch_probe(device)))
        .await
        .is_ok()
        && let Ok(choice) = kernels::probe(device, table).await
    {
        kernels::set_choice(choice);
        if let Some(database) = &database {
            let record = Record { conditions, choice };
            // It is measured again at the next start.
            let _ = write(database, &adapter.description, &record).await;
        }
    }
    if let Some(database) = database {
        database.close();
    }
}

/// A trial of half precision that has begun. A driver may not survive it, and the worker with it: what is
/// left undone is remembered.
pub(super) struct Trial {
    database: Option<Database>,
    key: String,
}

/// An earlier trial was left undone.
pub(super) struct LeftUndone;

/// Trials that were begun on an adapter, while none has ended.
#[derive(Default, Serialize, Deserialize)]
struct Trials {
    page: String,
    begun: u32,
    /// Whether a worker has gone without a trial since the last one.
    was_skipped: bool,
}

/// Trials left undone after which no further one is made. The first may have been a page that was closed.
const MOST_TRIALS: u32 = 2;

impl Trial {
    /// Begins a trial. What can't be remembered is tried each time.
    ///
    /// # Errors
    /// The last trial was left undone, and no worker has gone without one since; or several were.
    pub async fn begin(adapter: &AdapterLimits) -> Result<Trial, LeftUndone> {
        let database = indexed_db::open(DATABASE, VERSION..=VERSION, &[CHOICES]).await;
        let key = format!("{}, half precision", adapter.description);
        let Ok(database) = database.map(|opened| opened.database) else {
            let database = None;
            return Ok(Trial { database, key });
        };
        let page = env!("CARGO_PKG_VERSION").to_owned();
        let known: Option<Trials> = read(&database, &key).await;
        let trials = known.filter(|known| known.page == page).unwrap_or_default();
        let is_left_undone = trials.begun > 0 && !trials.was_skipped;
        if is_left_undone || trials.begun >= MOST_TRIALS {
            let skipped = Trials {
                was_skipped: true,
                ..trials
            };
            // It is as if no worker had skipped it.
            let _ = write(&database, &key, &skipped).await;
            database.close();
            return Err(LeftUndone);
        }
        let begun = Trials {
            page,
            begun: trials.begun + 1,
            was_skipped: false,
        };
        // What can't be remembered is tried each time.
        let _ = write(&database, &key, &begun).await;
        let database = Some(database);
        Ok(Trial { database, key })
    }

    /// The trial has come to an end, whatever that is.
    pub async fn end(self) {
        if let Some(database) = self.database {
            let delete = indexed_db::write(&database, &[CHOICES], |transaction| {
                let store = transaction.object_store(CHOICES)?;
                store.delete(JsValue::from_str(&self.key)).map(drop)
            });
            // The next worker goes without a trial then.
            let _ = delete.await;
            database.close();
        }
    }
}

async fn read<Value: DeserializeOwned>(database: &Database, key: &str) -> Option<Value> {
    let transaction = database.transaction(&[CHOICES], TransactionMode::ReadOnly);
    let store = transaction.ok()?.object_store(CHOICES).ok()?;
    let value = store.get(JsValue::from_str(key)).ok()?.await.ok()??;
    serde_wasm_bindgen::from_value(value).ok()
}

async fn write(database: &Database, key: &str, record: &impl Serialize) -> Option<()> {
    let value = serde_wasm_bindgen::to_value(record).ok()?;
    let put = indexed_db::write(database, &[CHOICES], |transaction| {
        let store = transaction.object_store(CHOICES)?;
        store.put(&value, Some(&JsValue::from_str(key))).map(drop)
    });
    put.await.ok()
}
