//! The kernels' forms that were measured on an adapter, remembered in IndexedDB: a visitor waits for the
//! measurement once. It has a database of its own, so that a change of its form leaves the weights as they
//! are.

use burn::tensor::Device;
use idb::{Database, TransactionMode};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;

use crate::browser::adapter_limits::AdapterLimits;
use crate::browser::globals::indexed_db;
use crate::kernels::{self, Choice};

const DATABASE: &str = "firststep-adapters";
const VERSION: u32 = 1;

/// The adapter's description → [`Record`].
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
        && let Some(record) = read(database, &adapter.description).await
        && record.conditions == conditions
    {
        kernels::set_choice(record.choice);
    } else if let Ok(choice) = kernels::probe(device, table).await {
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

async fn read(database: &Database, key: &str) -> Option<Record> {
    let transaction = database.transaction(&[CHOICES], TransactionMode::ReadOnly);
    let store = transaction.ok()?.object_store(CHOICES).ok()?;
    let value = store.get(JsValue::from_str(key)).ok()?.await.ok()??;
    serde_wasm_bindgen::from_value(value).ok()
}

async fn write(database: &Database, key: &str, record: &Record) -> Option<()> {
    let value = serde_wasm_bindgen::to_value(record).ok()?;
    let put = indexed_db::write(database, &[CHOICES], |transaction| {
        let store = transaction.object_store(CHOICES)?;
        store.put(&value, Some(&JsValue::from_str(key))).map(drop)
    });
    put.await.ok()
}
