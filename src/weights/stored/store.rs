//! Weights and manifests in IndexedDB. `history::store` has a database of its own, so that the records
//! of either can change their form without those of the other.
//!
//! Files are known by their [`ManifestFile::id`](crate::weights::manifest::ManifestFile::id). Each
//! tensor is one record, so that no value is larger than a tensor, and has a checksum that every read
//! compares. A file's completion record is written last, in its own transaction; a file without one
//! counts as absent, and its [`FileProgress`] says how much of it has arrived.
//!
//! The futures here must not be dropped before they are done, except those that read one record:
//! IndexedDB would call back into what is no longer there.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use futures::channel::oneshot;
use idb::{Database, KeyRange, TransactionMode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use crate::browser::globals::indexed_db::{self, OpenError};
use crate::weights::adapter_file::adapter_hash;
use crate::weights::download::plan::FileProgress;
use crate::weights::either_manifest::EitherManifest;
use crate::weights::format::encoding::Encoding;
use crate::weights::format::order::Order;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::manifest::verify::FileContent;

const DATABASE: &str = "firststep";
/// Raised when records change their form, so that an earlier version of the page doesn't open what it
/// would misread. Since version 3, a quantized convolution's record has an order.
const VERSION: u32 = 3;
/// The earliest version whose records are still read. A database of one before it is emptied, and its
/// files are loaded again.
const EARLIEST_VERSION: u32 = 2;

/// `"<id>/<tensor name>"` → [`TensorRecord`], or `"<id>/"` → [`BlobRecord`]: the file itself where it
/// has no tensors, else its header. While a file arrives that can only be split as a whole,
/// `"<id>/part <offset>"` → [`BlobRecord`] too.
const TENSORS: &str = "tensors";
/// `<id>` → [`FileRecord`].
const FILES: &str = "files";
/// `<id>` → [`FileProgress`] of a file that is not complete.
const PROGRESS: &str = "progress";
/// Address of a manifest → [`PairRecord`].
const PAIRS: &str = "pairs";

const STORES: [&str; 4] = [TENSORS, FILES, PROGRESS, PAIRS];

/// Bytes of tensors that are written in one transaction: browsers hold all of it in memory.
const TRANSACTION_LENGTH: usize = 32 * 1024 * 1024;

/// Why the store can't be opened, read or written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// The browser has no IndexedDB, or denies it.
    #[error(
        "This browser doesn't let the page store models ({reason}), as private windows do: they \
         stay in memory and will be downloaded again at the next visit."
    )]
    Unavailable {
        /// The browser's own words.
        reason: String,
    },
    /// Another tab runs an older version of the page, which knows the store in another form.
    #[error(
        "Another tab has an older version of this page open, which keeps the store of the models \
         in its old form. Close that tab, then reload this one; what was stored in a form that is no \
         longer read is downloaded again."
    )]
    Blocked,
    /// The disk or the page's share of it is full.
    #[error(
        "There is not enough room to store the models, so they stay in memory and will be \
         downloaded again at the next visit. Free some space on the disk, or allow this page more."
    )]
    Quota,
    /// The connection was closed under the page: the owner opens the store again.
    #[error(
        "The browser has closed the page's store of models, as it does when site data is cleared. \
         Finished images stay. Try again: the page opens the store anew, and downloads what is no longer \
         there."
    )]
    Closed,
    /// A record is missing, or its checksum is wrong.
    #[error(
        "The stored copy of the models is damaged, or a part of it was deleted (record {key}). It has been \
         discarded: press Generate again to download it anew."
    )]
    Damaged {
        /// The record's key.
        key: String,
    },
    /// IndexedDB failed for another reason.
    #[error("The browser's store failed while {action}: {reason}. Reload the page and try again.")]
    Failed {
        /// The action as a participle, such as "reading".
        action: &'static str,
        /// The browser's own words.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct TensorRecord {
    encoding: Encoding,
    /// Not there in a row-major record, such as all of version 2.
    #[serde(default, skip_serializing_if = "Order::is_row_major")]
    order: Order,
    shape: Vec<usize>,
    /// A `Uint8Array` in the record, not an array of numbers.
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    checksum: String,
}

#[derive(Serialize, Deserialize)]
struct BlobRecord {
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    checksum: String,
}

/// What is known of a tensor's record without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorOutline {
    /// The record's encoding.
    pub encoding: Encoding,
    /// The tensor's shape.
    pub shape: Vec<usize>,
}

impl TensorOutline {
    /// Of a tensor that is stored so.
    pub fn of(tensor: &StoredTensor) -> Self {
        Self {
            encoding: tensor.encoding,
            shape: tensor.shape.clone(),
        }
    }
}

/// The completion record of a file: all of its other records are there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FileRecord {
    /// Names of its tensors in the file's order; none for a file without tensors.
    pub tensors: Option<Vec<String>>,
    /// Their outlines in the same order; none for a file of an earlier version of the page.
    #[serde(default)]
    pub outlines: Vec<TensorOutline>,
    /// Bytes that its tensors, or its own bytes, take in the store.
    pub stored: u64,
    /// The file's last progress, whose states prove its commits; none for a file that is loaded as a
    /// whole.
    pub progress: Option<FileProgress>,
    /// What is known of an adapter that the visitor has brought; none for files of pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterRecord>,
}

/// An adapter that the visitor has brought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdapterRecord {
    /// What its file was called.
    pub name: String,
    /// What it is, in words.
    pub description: String,
    /// Bytes of its file.
    pub size: u64,
    /// When it was brought, in milliseconds since 1970.
    pub added: f64,
}

/// A pair, or a network that measures pictures, that this browser knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PairRecord {
    /// The manifest's JSON, with all sizes and hashes where [`PairRecord::is_pinned`].
    pub text: String,
    /// Whether the manifest stays as it was when the pair was loaded, instead of being fetched again.
    /// The stored name is that of earlier versions.
    #[serde(rename = "is_kept")]
    pub is_pinned: bool,
    /// Whether the visitor added the pair.
    pub is_added: bool,
    /// Whether the visitor accepted the pair's licences.
    pub is_accepted: bool,
    /// The last time that the pair was drawn with or loaded, in milliseconds since 1970.
    pub last_used: f64,
}

/// The database of weights and manifests.
pub struct Store {
    database: Rc<Database>,
    was_emptied: bool,
    is_closed: Rc<Cell<bool>>,
}

impl Store {
    /// Opens the database, and creates it where there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Blocked`].
    pub async fn open() -> Result<Self, StoreError> {
        match indexed_db::open(DATABASE, EARLIEST_VERSION..=VERSION, &STORES).await {
            Ok(opened) => Ok(Store {
                database: Rc::new(opened.database),
                was_emptied: opened.was_emptied,
                is_closed: opened.is_closed,
            }),
            Err(OpenError::Blocked) => Err(StoreError::Blocked),
            Err(OpenError::Failed(error)) => Err(StoreError::Unavailable {
                reason: error.to_string(),
            }),
        }
    }

    /// Whether the connection was closed under the page. Nothing is read or written by it any more.
    pub fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// The error of a request that failed during an action.
    fn failed(&self, action: &'static str, error: &idb::Error) -> StoreError {
        let reason = error.to_string();
        // The requests under way end before the connection's own event comes.
        let ends_with_connection = ["InvalidStateError", "AbortError", "connection"];
        if reason.contains("QuotaExceededError") {
            StoreError::Quota
        } else if self.is_closed() || ends_with_connection.iter().any(|it| reason.contains(it)) {
            self.is_closed.set(true);
            StoreError::Closed
        } else {
            StoreError::Failed { action, reason }
        }
    }

    /// A sentence for the visitor where an older version's records were deleted.
    pub fn notice(&self) -> Option<&'static str> {
        self.was_emptied.then_some(
            "This version of the page keeps models in another form than the last one: what was \
             stored is downloaded again.",
        )
    }

    /// Whether the file has a completion record.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn is_complete(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.file(id).await?.is_some())
    }

    /// A file's completion record; none where the file is not complete.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn file(&self, id: &str) -> Result<Option<FileRecord>, StoreError> {
        self.get(FILES, id).await
    }

    /// The progress of a file that has begun to arrive; none of a complete one.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn progress(&self, id: &str) -> Result<Option<FileProgress>, StoreError> {
        self.get(PROGRESS, id).await
    }

    /// Writes records of a file and its progress with them in one transaction. `header`, where there is
    /// one, becomes a record of its own.
    ///
    /// # Errors
    /// [`StoreError::Quota`] or [`StoreError::Failed`].
    pub async fn commit(
        &self,
        id: &str,
        header: Option<&[u8]>,
        tensors: &[StoredTensor],
        progress: &FileProgress,
    ) -> Result<(), StoreError> {
        let mut records = tensors
            .iter()
            .map(|tensor| Ok((tensor_key(id, &tensor.name), tensor_record(tensor)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        if let Some(header) = header {
            records.push((tensor_key(id, ""), blob_record(header)?));
        }
        let progress = to_js(progress)?;
        self.write(&[TENSORS, PROGRESS], "storing", |transaction| {
            let tensors = transaction.object_store(TENSORS)?;
            for (key, value) in &records {
                tensors.put(value, Some(&JsValue::from_str(key)))?;
            }
            transaction
                .object_store(PROGRESS)?
                .put(&progress, Some(&JsValue::from_str(id)))
                .map(drop)
        })
        .await
    }

    /// Writes a file's completion record, the last of its records, and deletes its progress.
    ///
    /// # Errors
    /// [`StoreError::Quota`] or [`StoreError::Failed`].
    pub async fn complete(&self, id: &str, record: &FileRecord) -> Result<(), StoreError> {
        let record = to_js(record)?;
        self.write(&[FILES, PROGRESS], "storing", |transaction| {
            let key = JsValue::from_str(id);
            transaction.object_store(FILES)?.put(&record, Some(&key))?;
            transaction.object_store(PROGRESS)?.delete(key).map(drop)
        })
        .await
    }

    /// Deletes a file's completion record, so that its damaged records
    /// ([`FileProgress::damaged`]) are loaded again.
    ///
    /// # Errors
    /// [`StoreError::Quota`] or [`StoreError::Failed`].
    pub async fn reopen(&self, id: &str, progress: &FileProgress) -> Result<(), StoreError> {
        let progress = to_js(progress)?;
        self.write(&[FILES, PROGRESS], "storing", |transaction| {
            let key = JsValue::from_str(id);
            transaction
                .object_store(PROGRESS)?
                .put(&progress, Some(&key))?;
            transaction.object_store(FILES)?.delete(key).map(drop)
        })
        .await
    }

    /// Writes a part of a file that can only be split into tensors as a whole, at its offset, and how far
    /// the file has come with it, both or neither.
    ///
    /// # Errors
    /// [`StoreError::Quota`] or [`StoreError::Failed`].
    pub async fn put_part(
        &self,
        id: &str,
        offset: u64,
        bytes: &[u8],
        progress: &FileProgress,
    ) -> Result<(), StoreError> {
        let (key, record) = (part_key(id, offset), blob_record(bytes)?);
        let progress = to_js(progress)?;
        self.write(&[TENSORS, PROGRESS], "storing", |transaction| {
            let tensors = transaction.object_store(TENSORS)?;
            tensors.put(&record, Some(&JsValue::from_str(&key)))?;
            transaction
                .object_store(PROGRESS)?
                .put(&progress, Some(&JsValue::from_str(id)))
                .map(drop)
        })
        .await
    }

    /// The part of a file that was written at an offset.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Failed`].
    pub async fn read_part(&self, id: &str, offset: u64) -> Result<Vec<u8>, StoreError> {
        self.read_bytes(part_key(id, offset)).await
    }

    async fn remove_parts(&self, id: &str) -> Result<(), StoreError> {
        self.write(&[TENSORS], "deleting a file's parts", |transaction| {
            // "!" is the character after the blank.
            let range = KeyRange::bound(
                &JsValue::from_str(&tensor_key(id, "part ")),
                &JsValue::from_str(&tensor_key(id, "part!")),
                None,
                Some(true),
            )?;
            transaction.object_store(TENSORS)?.delete(range).map(drop)
        })
        .await
    }

    /// Writes a file that arrived as a whole over the records and parts that it may have, and then its
    /// completion record.
    ///
    /// # Errors
    /// [`StoreError::Quota`] or [`StoreError::Failed`]; the file then counts as absent.
    pub async fn put_file(&self, id: &str, content: &FileContent) -> Result<(), StoreError> {
        let record = match content {
            FileContent::Tensors(tensors) => {
                let mut batch = Vec::new();
                let mut length = 0;
                for tensor in tensors {
                    batch.push((tensor_key(id, &tensor.name), tensor_record(tensor)?));
                    length += tensor.bytes.len();
                    if length >= TRANSACTION_LENGTH {
                        self.put(TENSORS, &std::mem::take(&mut batch)).await?;
                        length = 0;
                    }
                }
                self.put(TENSORS, &batch).await?;
                FileRecord {
                    tensors: Some(tensors.iter().map(|t| t.name.clone()).collect()),
                    outlines: tensors.iter().map(TensorOutline::of).collect(),
                    stored: tensors.iter().map(|t| t.bytes.len() as u64).sum(),
                    ..FileRecord::default()
                }
            }
            FileContent::Blob(bytes) => {
                let record = blob_record(bytes)?;
                self.put(TENSORS, &[(tensor_key(id, ""), record)]).await?;
                FileRecord {
                    stored: bytes.len() as u64,
                    ..FileRecord::default()
                }
            }
        };
        self.remove_parts(id).await?;
        self.complete(id, &record).await
    }

    /// Writes tensors of a file without a completion record.
    ///
    /// # Errors
    /// [`StoreError::Quota`] or [`StoreError::Failed`].
    pub async fn put_tensors(&self, id: &str, tensors: &[StoredTensor]) -> Result<(), StoreError> {
        let records = tensors
            .iter()
            .map(|tensor| Ok((tensor_key(id, &tensor.name), tensor_record(tensor)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        self.put(TENSORS, &records).await
    }

    /// Writes the header of a file without a completion record.
    ///
    /// # Errors
    /// [`StoreError::Quota`] or [`StoreError::Failed`].
    pub async fn put_header(&self, id: &str, header: &[u8]) -> Result<(), StoreError> {
        self.put(TENSORS, &[(tensor_key(id, ""), blob_record(header)?)])
            .await
    }

    /// The adapters that the visitor has brought, by the SHA-256 of their files, each with the bytes that
    /// it takes.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn adapters(&self) -> Result<Vec<(String, AdapterRecord, u64)>, StoreError> {
        let files = self.files().await?.into_iter();
        let adapters = files.filter_map(|(id, file)| {
            Some((adapter_hash(&id)?.to_owned(), file.adapter?, file.stored))
        });
        Ok(adapters.collect())
    }

    /// The names of a complete file's tensors, in the order of the file; empty for a file without
    /// tensors.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where the file is not complete, or [`StoreError::Failed`].
    pub async fn tensor_names(&self, id: &str) -> Result<Vec<String>, StoreError> {
        let record: FileRecord = self.get_existing(FILES, id).await?;
        Ok(record.tensors.unwrap_or_default())
    }

    /// The outlines of a complete file's tensors; none where the file was stored without them.
    ///
    /// # Errors
    /// As [`Store::tensor_names`].
    pub async fn outlines(&self, id: &str) -> Result<Option<Vec<StoredTensor>>, StoreError> {
        let record: FileRecord = self.get_existing(FILES, id).await?;
        let names = record.tensors.unwrap_or_default();
        if names.len() != record.outlines.len() {
            return Ok(None);
        }
        let outlines = names.into_iter().zip(record.outlines);
        let outlines = outlines.map(|(name, TensorOutline { encoding, shape })| {
            let order = Order::of(encoding, &shape);
            StoredTensor::outline(name, encoding, order, shape)
        });
        Ok(Some(outlines.collect()))
    }

    /// A tensor of a complete file.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Failed`].
    pub async fn read_tensor(&self, id: &str, name: &str) -> Result<StoredTensor, StoreError> {
        let key = tensor_key(id, name);
        let record: TensorRecord = self.get_existing(TENSORS, &key).await?;
        if record.checksum != checksum(&record.bytes) {
            return Err(StoreError::Damaged { key });
        }
        let TensorRecord {
            encoding,
            order,
            shape,
            bytes,
            ..
        } = record;
        StoredTensor::new(name.into(), encoding, order, shape, bytes)
            .map_err(|_| StoreError::Damaged { key })
    }

    /// The bytes of a file that has no tensors, or the header of one that has.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Failed`].
    pub async fn read_blob(&self, id: &str) -> Result<Vec<u8>, StoreError> {
        self.read_bytes(tensor_key(id, "")).await
    }

    /// The header of a file with tensors; none where the file arrived as a whole, as packed ones do.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Failed`].
    pub async fn header(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = tensor_key(id, "");
        match self.get::<BlobRecord>(TENSORS, &key).await? {
            Some(record) if record.checksum != checksum(&record.bytes) => {
                Err(StoreError::Damaged { key })
            }
            record => Ok(record.map(|record| record.bytes)),
        }
    }

    async fn read_bytes(&self, key: String) -> Result<Vec<u8>, StoreError> {
        let record: BlobRecord = self.get_existing(TENSORS, &key).await?;
        if record.checksum != checksum(&record.bytes) {
            return Err(StoreError::Damaged { key });
        }
        Ok(record.bytes)
    }

    /// Deletes all records of a file, the completion record first.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn remove_file(&self, id: &str) -> Result<(), StoreError> {
        self.write(&[FILES, PROGRESS], "deleting a file", |transaction| {
            for store in [FILES, PROGRESS] {
                let store = transaction.object_store(store)?;
                store.delete(JsValue::from_str(id))?;
            }
            Ok(())
        })
        .await?;
        self.write(&[TENSORS], "deleting a file's tensors", |transaction| {
            // "0" is the character after "/".
            let range = KeyRange::bound(
                &JsValue::from_str(&tensor_key(id, "")),
                &JsValue::from_str(&format!("{id}0")),
                None,
                Some(true),
            )?;
            transaction.object_store(TENSORS)?.delete(range).map(drop)
        })
        .await
    }

    /// Writes a pair's record, which later visits can read without a network.
    ///
    /// # Errors
    /// [`StoreError::Quota`] or [`StoreError::Failed`].
    pub async fn put_pair(&self, url: &str, pair: &PairRecord) -> Result<(), StoreError> {
        self.put(PAIRS, &[(url.into(), to_js(pair)?)]).await
    }

    /// A pair's record by its manifest's absolute URL.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Failed`].
    pub async fn pair(&self, url: &str) -> Result<Option<PairRecord>, StoreError> {
        self.get(PAIRS, url).await
    }

    /// Every pair's record with its manifest's URL, but for records that can't be read.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn pairs(&self) -> Result<Vec<(String, PairRecord)>, StoreError> {
        self.all(PAIRS).await
    }

    /// The completion records of all files, by id.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn files(&self) -> Result<Vec<(String, FileRecord)>, StoreError> {
        self.all(FILES).await
    }

    /// The progress of all files that have begun to arrive and are not complete, by id.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn begun(&self) -> Result<Vec<(String, FileProgress)>, StoreError> {
        self.all(PROGRESS).await
    }

    /// Deletes a pair's record; its files stay until [`Store::remove_unnamed_files`].
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn remove_pair(&self, url: &str) -> Result<(), StoreError> {
        self.write(&[PAIRS], "deleting a pair", |transaction| {
            let pairs = transaction.object_store(PAIRS)?;
            pairs.delete(JsValue::from_str(url)).map(drop)
        })
        .await
    }

    /// Deletes every file that no stored manifest names, such as those of deleted pairs or of an
    /// earlier version of a manifest. Adapters that the visitor has brought stay.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn remove_unnamed_files(&self) -> Result<(), StoreError> {
        let mut named = BTreeSet::new();
        for (_, pair) in self.pairs().await? {
            // A manifest of a later format may name files that this version can't know.
            let Ok(manifest) = EitherManifest::parse(&pair.text) else {
                return Ok(());
            };
            named.extend(manifest.files().into_iter().map(|file| file.id.clone()));
        }
        let complete = self.files().await?.into_iter().map(|(id, _)| id);
        let begun = self.begun().await?.into_iter().map(|(id, _)| id);
        let is_named = |id: &String| named.contains(id) || adapter_hash(id).is_some();
        for id in complete.chain(begun).filter(|id| !is_named(id)) {
            self.remove_file(&id).await?;
        }
        Ok(())
    }

    async fn all<T: DeserializeOwned>(&self, store: &str) -> Result<Vec<(String, T)>, StoreError> {
        let read = async {
            let transaction = self
                .database
                .transaction(&[store], TransactionMode::ReadOnly)?;
            let store = transaction.object_store(store)?;
            // Both requests are made before either is awaited: a transaction without a request ends.
            let (keys, values) = (store.get_all_keys(None, None)?, store.get_all(None, None)?);
            Ok((keys.await?, values.await?))
        };
        let (keys, values) = read
            .await
            .map_err(|error: idb::Error| self.failed("reading", &error))?;
        Ok(keys
            .iter()
            .zip(values)
            .filter_map(|(key, value)| {
                let value = serde_wasm_bindgen::from_value(value).ok()?;
                Some((key.as_string()?, value))
            })
            .collect())
    }

    async fn get<T: DeserializeOwned>(
        &self,
        store: &str,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        let (database, store, name) = (self.database.clone(), store.to_owned(), key.to_owned());
        let (sender, read) = oneshot::channel();
        // A task of its own outlives a reader that is dropped: several may read ahead.
        spawn_local(async move {
            let read = async {
                database
                    .transaction(&[&store], TransactionMode::ReadOnly)?
                    .object_store(&store)?
                    .get(JsValue::from_str(&name))?
                    .await
            };
            let _ = sender.send(read.await);
        });
        // The task above always answers.
        let value = read.await.unwrap_or(Err(idb::Error::DomExceptionNotFound));
        let value = value.map_err(|error| self.failed("reading", &error))?;
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
        self.write(&[store], "storing", |transaction| {
            let store = transaction.object_store(store)?;
            for (key, value) in records {
                store.put(value, Some(&JsValue::from_str(key)))?;
            }
            Ok(())
        })
        .await
    }

    /// Runs a transaction to its end; all of its requests take effect, or none.
    async fn write(
        &self,
        stores: &[&str],
        action: &'static str,
        requests: impl FnOnce(&idb::Transaction) -> Result<(), idb::Error>,
    ) -> Result<(), StoreError> {
        indexed_db::write(&self.database, stores, requests)
            .await
            .map_err(|error| self.failed(action, &error))
    }
}

fn tensor_key(id: &str, name: &str) -> String {
    format!("{id}/{name}")
}

/// No tensor's name has a blank in it.
fn part_key(id: &str, offset: u64) -> String {
    tensor_key(id, &format!("part {offset}"))
}

/// A checksum against damage by a disk or a browser. It needs no protection against intent: whoever can
/// write to the store can write to the page.
fn checksum(bytes: &[u8]) -> String {
    format!("{:016x}", XxHash3_64::oneshot(bytes))
}

fn tensor_record(tensor: &StoredTensor) -> Result<JsValue, StoreError> {
    to_js(&TensorRecord {
        encoding: tensor.encoding,
        order: tensor.order,
        shape: tensor.shape.clone(),
        bytes: tensor.bytes.clone(),
        checksum: checksum(&tensor.bytes),
    })
}

fn blob_record(bytes: &[u8]) -> Result<JsValue, StoreError> {
    to_js(&BlobRecord {
        bytes: bytes.into(),
        checksum: checksum(bytes),
    })
}

fn to_js(record: &impl Serialize) -> Result<JsValue, StoreError> {
    serde_wasm_bindgen::to_value(record).map_err(|error| StoreError::Failed {
        action: "storing",
        reason: error.to_string(),
    })
}
