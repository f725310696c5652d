//! Weights and manifests in IndexedDB. Beside it only `history::store` knows that, in a database of
//! its own, so that either can change its form without the other.
//!
//! Files are known by the SHA-256 of their transferred bytes. Each tensor is a record of its own, so
//! that no value is larger than a tensor; a file's completion record is written last, in its own
//! transaction, and without it the file counts as absent.
//!
//! The futures here must not be dropped before they are done: IndexedDB would call back into what is
//! no longer there.

use std::collections::BTreeSet;

use idb::{Database, KeyRange, TransactionMode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;

use super::manifest::Manifest;
use super::tensor::{Encoding, StoredTensor};
use super::verify::FileContent;
use crate::indexed_db;

const DATABASE: &str = "firststep";
const VERSION: u32 = 1;

/// `"<sha256>/<tensor name>"` → [`TensorRecord`], or `"<sha256>/"` → [`BlobRecord`].
const TENSORS: &str = "tensors";
/// `<sha256>` → [`FileRecord`].
const FILES: &str = "files";
/// Address → JSON text.
const MANIFESTS: &str = "manifests";

/// Bytes of tensors that are written in one transaction: browsers hold all of it in memory.
const TRANSACTION_LENGTH: usize = 32 * 1024 * 1024;

/// Why the store can't do what it was asked to.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// No IndexedDB, or the browser denies it.
    #[error(
        "This browser doesn't let the page store models ({reason}), as private windows do: they \
         stay in memory and will be downloaded again at the next visit."
    )]
    Unavailable {
        /// The browser's own words.
        reason: String,
    },
    /// The disk or the page's share of it is full.
    #[error(
        "There is not enough room to store the models, so they stay in memory and will be \
         downloaded again at the next visit. Free some space on the disk, or allow this page more."
    )]
    Quota,
    /// A record is missing or not what was written.
    #[error(
        "The stored copy of the models is damaged (record {key}). It has been discarded: press \
         Generate again to download it anew."
    )]
    Damaged {
        /// The record's key.
        key: String,
    },
    /// Anything else.
    #[error("The browser's store failed while {action}: {reason}. Reload the page and try again.")]
    Failed {
        /// What was being done.
        action: &'static str,
        /// The browser's own words.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct TensorRecord {
    encoding: Encoding,
    shape: Vec<usize>,
    /// A Uint8Array.
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct BlobRecord {
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

/// Says that all of a file is there.
#[derive(Serialize, Deserialize)]
struct FileRecord {
    /// Names of its tensors; none for a blob.
    tensors: Option<Vec<String>>,
}

/// The page's database.
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the database, and makes it where it is not there yet.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn open() -> Result<Self, StoreError> {
        match indexed_db::open(DATABASE, VERSION, &[TENSORS, FILES, MANIFESTS]).await {
            Ok(database) => Ok(Store { database }),
            Err(error) => Err(StoreError::Unavailable {
                reason: error.to_string(),
            }),
        }
    }

    /// Whether all of a file is there.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn is_complete(&self, sha256: &str) -> Result<bool, StoreError> {
        Ok(self.get::<FileRecord>(FILES, sha256).await?.is_some())
    }

    /// Writes a file, over what there may be of it, and then its completion record.
    ///
    /// # Errors
    /// [`StoreError::Quota`] or [`StoreError::Failed`]; the file then counts as absent.
    pub async fn put_file(&self, sha256: &str, content: &FileContent) -> Result<(), StoreError> {
        let record = match content {
            FileContent::Tensors(tensors) => {
                let mut batch = Vec::new();
                let mut length = 0;
                for tensor in tensors {
                    let record = TensorRecord {
                        encoding: tensor.encoding,
                        shape: tensor.shape.clone(),
                        bytes: tensor.bytes.clone(),
                    };
                    batch.push((tensor_key(sha256, &tensor.name), to_js(&record)?));
                    length += tensor.bytes.len();
                    if length >= TRANSACTION_LENGTH {
                        self.put(TENSORS, &std::mem::take(&mut batch)).await?;
                        length = 0;
                    }
                }
                self.put(TENSORS, &batch).await?;
                FileRecord {
                    tensors: Some(tensors.iter().map(|t| t.name.clone()).collect()),
                }
            }
            FileContent::Blob(bytes) => {
                let record = BlobRecord {
                    bytes: bytes.clone(),
                };
                let record = to_js(&record)?;
                self.put(TENSORS, &[(tensor_key(sha256, ""), record)])
                    .await?;
                FileRecord { tensors: None }
            }
        };
        self.put(FILES, &[(sha256.into(), to_js(&record)?)]).await
    }

    /// The names of a complete file's tensors, in the order of the file; none for a blob.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where the file is not complete, or [`StoreError::Failed`].
    pub async fn tensor_names(&self, sha256: &str) -> Result<Vec<String>, StoreError> {
        let record: FileRecord = self.get_existing(FILES, sha256).await?;
        Ok(record.tensors.unwrap_or_default())
    }

    /// A tensor of a complete file.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Failed`].
    pub async fn read_tensor(&self, sha256: &str, name: &str) -> Result<StoredTensor, StoreError> {
        let key = tensor_key(sha256, name);
        let record: TensorRecord = self.get_existing(TENSORS, &key).await?;
        StoredTensor::new(name.into(), record.encoding, record.shape, record.bytes)
            .map_err(|_| StoreError::Damaged { key })
    }

    /// The bytes of a complete file that has no tensors.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Failed`].
    pub async fn read_blob(&self, sha256: &str) -> Result<Vec<u8>, StoreError> {
        let record: BlobRecord = self.get_existing(TENSORS, &tensor_key(sha256, "")).await?;
        Ok(record.bytes)
    }

    /// Deletes a file, its completion record first.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn remove_file(&self, sha256: &str) -> Result<(), StoreError> {
        self.write(FILES, "deleting a file", |store| {
            store.delete(JsValue::from_str(sha256)).map(drop)
        })
        .await?;
        self.write(TENSORS, "deleting a file's tensors", |store| {
            // "0" is the character after "/".
            let range = KeyRange::bound(
                &JsValue::from_str(&tensor_key(sha256, "")),
                &JsValue::from_str(&format!("{sha256}0")),
                None,
                Some(true),
            )?;
            store.delete(range).map(drop)
        })
        .await
    }

    /// Keeps a manifest for visits without a network.
    ///
    /// # Errors
    /// [`StoreError::Quota`] or [`StoreError::Failed`].
    pub async fn put_manifest(&self, url: &str, text: &str) -> Result<(), StoreError> {
        self.put(MANIFESTS, &[(url.into(), JsValue::from_str(text))])
            .await
    }

    /// The manifest that was last read from this address.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Failed`].
    pub async fn get_manifest(&self, url: &str) -> Result<Option<String>, StoreError> {
        self.get(MANIFESTS, url).await
    }

    /// Deletes every file that no kept manifest names: what an earlier version of a pair left.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn remove_unnamed_files(&self) -> Result<(), StoreError> {
        let read = async {
            let transaction = self
                .database
                .transaction(&[MANIFESTS, FILES], TransactionMode::ReadOnly)?;
            // Both are asked for before either is awaited: a transaction ends when nothing is.
            let manifests = transaction.object_store(MANIFESTS)?.get_all(None, None)?;
            let files = transaction.object_store(FILES)?.get_all_keys(None, None)?;
            Ok((manifests.await?, files.await?))
        };
        let (manifests, files) = read.await.map_err(|error: idb::Error| StoreError::Failed {
            action: "reading",
            reason: error.to_string(),
        })?;
        let mut named = BTreeSet::new();
        for text in manifests.iter().filter_map(JsValue::as_string) {
            // A manifest of a later format may name files that can't be known here.
            let Ok(manifest) = Manifest::parse(&text) else {
                return Ok(());
            };
            named.extend(manifest.files().into_iter().map(|file| file.sha256.clone()));
        }
        for sha256 in files.iter().filter_map(JsValue::as_string) {
            if !named.contains(&sha256) {
                self.remove_file(&sha256).await?;
            }
        }
        Ok(())
    }

    async fn get<T: DeserializeOwned>(
        &self,
        store: &str,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        let read = async {
            self.database
                .transaction(&[store], TransactionMode::ReadOnly)?
                .object_store(store)?
                .get(JsValue::from_str(key))?
                .await
        };
        let value = read.await.map_err(|error| StoreError::Failed {
            action: "reading",
            reason: error.to_string(),
        })?;
        value
            .map(serde_wasm_bindgen::from_value)
            .transpose()
            .map_err(|_| StoreError::Damaged { key: key.into() })
    }

    async fn get_existing<T: DeserializeOwned>(
        &self,
        store: &str,
        key: &str,
    ) -> Result<T, StoreError> {
        self.get(store, key)
            .await?
            .ok_or_else(|| StoreError::Damaged { key: key.into() })
    }

    async fn put(&self, store: &str, records: &[(String, JsValue)]) -> Result<(), StoreError> {
        self.write(store, "storing", |store| {
            for (key, value) in records {
                store.put(value, Some(&JsValue::from_str(key)))?;
            }
            Ok(())
        })
        .await
    }

    /// Runs a transaction to its end; it holds or fails as a whole.
    async fn write(
        &self,
        store: &str,
        action: &'static str,
        requests: impl FnOnce(&idb::ObjectStore) -> Result<(), idb::Error>,
    ) -> Result<(), StoreError> {
        indexed_db::write(&self.database, &[store], |transaction| {
            requests(&transaction.object_store(store)?)
        })
        .await
        .map_err(|error| {
            let reason = error.to_string();
            if reason.contains("QuotaExceededError") {
                StoreError::Quota
            } else {
                StoreError::Failed { action, reason }
            }
        })
    }
}

fn tensor_key(sha256: &str, name: &str) -> String {
    format!("{sha256}/{name}")
}

fn to_js(record: &impl Serialize) -> Result<JsValue, StoreError> {
    serde_wasm_bindgen::to_value(record).map_err(|error| StoreError::Failed {
        action: "storing",
        reason: error.to_string(),
    })
}
