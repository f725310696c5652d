//! A pair's files as the engine reads them: from the store, into which the loader has written them, or
//! from memory where they can't be stored.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::store::{PairRecord, Store, StoreError};
use crate::weights::download::network::source::{self, SourceError};
use crate::weights::format::safetensors::Header;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::manifest::verify::{self, FileContent, VerifyError};
use crate::weights::manifest::{Manifest, ManifestError, ManifestFile, PerceptualManifest};

/// The beginning of the addresses of added pairs relative to the page; a part of the manifest's hash
/// follows. Their manifests are in the store alone.
pub const ADDED: &str = "added/";

/// Why a pair's files can't be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FilesError {
    /// A file or a manifest can't be fetched.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store fails, or a stored record is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The manifest is malformed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file has the hash of the manifest and is not sound all the same.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Files are missing of a pair that only the loader fetches, after the visitor has agreed.
    #[error(
        "“{name}” is not complete in this browser: {} MB of it are missing. Open Models and load it \
         first.",
        missing.div_ceil(1_000_000)
    )]
    Incomplete {
        /// The pair's name.
        name: String,
        /// Bytes that are missing.
        missing: u64,
    },
    /// The record of an added pair is gone, and nobody else has it.
    #[error(
        "This pair was added in a browser, and this one doesn't have it: it was another one, or the \
         browser has deleted what the page had stored, as it may where room gets scarce or a page isn't \
         visited for long. Open Models and add the pair again, and ask the browser there to keep it."
    )]
    NotAdded,
    /// A file was read that is neither in the store nor in memory.
    #[error("The models are not loaded: {what} is missing. Reload the page and try again.")]
    NotLoaded {
        /// The hash of a file, or a tensor's name.
        what: String,
    },
}

impl FilesError {
    /// Whether the caller cancelled the load.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, FilesError::Source(SourceError::Cancelled))
    }
}

/// Whether the files are there that a job needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// All of them can be read.
    Complete,
    /// Files are missing, and the loader can store them.
    Storable,
    /// Files are missing and can't be stored, so they have to be held in memory.
    Unstorable,
}

/// The files of pairs, in the browser's store or in memory.
pub struct Files {
    /// None where the browser has no IndexedDB or denies it.
    store: Option<Store>,
    /// Whether missing files can be stored.
    can_store: bool,
    memory: BTreeMap<String, FileContent>,
    notice: Option<String>,
}

impl Files {
    /// Opens the store; where the browser has none, everything stays in memory.
    pub async fn open() -> Self {
        let (store, notice) = match Store::open().await {
            Ok(store) => (Some(store), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Files {
            can_store: store.is_some(),
            store,
            memory: BTreeMap::new(),
            notice,
        }
    }

    /// Opens the store again where it was closed under the page.
    pub async fn renew(&mut self) {
        if self.store.as_ref().is_some_and(Store::is_closed) {
            match Store::open().await {
                Ok(store) => self.store = Some(store),
                Err(error) => {
                    self.store = None;
                    self.can_store = false;
                    self.notice = Some(error.to_string());
                }
            }
        }
    }

    /// A sentence for the visitor where the store was emptied when it was opened.
    pub fn renewal(&self) -> Option<&'static str> {
        self.store.as_ref().and_then(Store::notice)
    }

    /// Why files stay in memory, as a sentence for the visitor; none where all are stored.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Makes missing files go to memory from now on: the loader found no room to store them.
    pub fn give_up_storing(&mut self) {
        self.can_store = false;
        self.notice = Some(StoreError::Quota.to_string());
    }

    /// Reads a manifest, with its JSON. That of a pinned or an added pair comes from the store, any
    /// other from the network, or from the store where the network can't be reached.
    ///
    /// # Errors
    /// The manifest can't be fetched, or it is malformed.
    pub async fn manifest(&self, url: &str) -> Result<(Manifest, String), FilesError> {
        let stored = self.record(url).await?;
        let text = match stored {
            Some(record) if record.is_pinned || record.is_added => record.text,
            None if is_added(url) => return Err(FilesError::NotAdded),
            stored => match (source::fetch_text(url).await, stored) {
                (Ok(text), _) => text,
                (Err(SourceError::Unreachable { .. }), Some(record)) => record.text,
                // A host that is in trouble is as good as none.
                (Err(SourceError::Status { status: 500.., .. }), Some(record)) => record.text,
                (Err(error), _) => return Err(error.into()),
            },
        };
        Ok((Manifest::parse(&text)?, text))
    }

    /// Reads the manifest of a network that measures pictures and that the loader has stored.
    ///
    /// # Errors
    /// It isn't stored, or files of it are missing.
    pub async fn network(&self, url: &str) -> Result<PerceptualManifest, FilesError> {
        let record = self.record(url).await?;
        let record = record.ok_or_else(|| not_loaded(url))?;
        let manifest = PerceptualManifest::parse(&record.text)?;
        let missing = self.missing(manifest.files()).await?;
        if !missing.is_empty() {
            return Err(FilesError::Incomplete {
                name: manifest.name.clone(),
                missing: size_of(&missing),
            });
        }
        Ok(manifest)
    }

    async fn record(&self, url: &str) -> Result<Option<PairRecord>, StoreError> {
        match &self.store {
            Some(store) => store.pair(url).await,
            None => Ok(None),
        }
    }

    /// Whether all files of the manifest can be read. A bundled pair without a record of this manifest
    /// counts as [`Presence::Storable`] even where all its files are there: without the record the pair
    /// couldn't be drawn with offline, and its files would be deleted as an older version's. Any other
    /// pair gets its record once the visitor has agreed to its load.
    ///
    /// # Errors
    /// The store fails, or files are missing that the loader fetches only after the visitor has agreed.
    pub async fn presence(&self, manifest: &Manifest, url: &str) -> Result<Presence, FilesError> {
        let missing = self.missing(manifest.files()).await?;
        if !manifest.is_self_contained() {
            if missing.is_empty() {
                return Ok(Presence::Complete);
            }
            return Err(FilesError::Incomplete {
                name: manifest.name.clone(),
                missing: size_of(&missing),
            });
        }
        if !self.can_store {
            return Ok(if missing.is_empty() {
                Presence::Complete
            } else {
                Presence::Unstorable
            });
        }
        let record = self.record(url).await?;
        let known = record.and_then(|record| Manifest::parse(&record.text).ok());
        Ok(if missing.is_empty() && known.as_ref() == Some(manifest) {
            Presence::Complete
        } else {
            Presence::Storable
        })
    }

    /// Bytes over the network of the files that are neither in the store nor in memory, without those of
    /// them that have come already.
    ///
    /// # Errors
    /// The store fails.
    pub async fn missing_bytes(&self, manifest: &Manifest) -> Result<u64, FilesError> {
        let missing = self.missing(manifest.files()).await?;
        let mut bytes = size_of(&missing);
        if let Some(store) = &self.store {
            for file in missing {
                if let Some(progress) = store.progress(&file.id).await? {
                    bytes = bytes.saturating_sub(progress.position.min(file.size));
                }
            }
        }
        Ok(bytes)
    }

    /// Whether a file can be read.
    ///
    /// # Errors
    /// The store fails.
    pub async fn has(&self, id: &str) -> Result<bool, FilesError> {
        let stored = match &self.store {
            Some(store) => store.is_complete(id).await?,
            None => false,
        };
        Ok(stored || self.memory.contains_key(id))
    }

    async fn missing<'a>(
        &self,
        files: Vec<&'a ManifestFile>,
    ) -> Result<Vec<&'a ManifestFile>, FilesError> {
        let mut missing = Vec::new();
        for file in files {
            if !self.has(&file.id).await? {
                missing.push(file);
            }
        }
        Ok(missing)
    }

    /// Loads and checks the missing files one after the other, and holds them in memory. `on_progress`
    /// gets the bytes so far and the bytes of all missing files; when it breaks, the load ends and
    /// complete files stay.
    ///
    /// # Errors
    /// A file can't be fetched, or it is not sound.
    pub async fn hold(
        &mut self,
        manifest: &Manifest,
        manifest_url: &str,
        mut on_progress: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<(), FilesError> {
        let missing = self.missing(manifest.files()).await?;
        let total = size_of(&missing);
        let mut done = 0;
        for file in missing {
            let url = source::file_address(manifest_url, &file.path)?;
            let bytes =
                source::fetch_file(&url, file, |received| on_progress(done + received, total))
                    .await?;
            self.memory
                .insert(file.id.clone(), verify::split(file, bytes)?);
            done += file.size;
        }
        // Only the pair in use stays: memory is scarcer than the store.
        let named = manifest.files();
        self.memory
            .retain(|id, _| named.iter().any(|file| file.id == *id));
        Ok(())
    }

    /// Stores the present as the time when a pair was last drawn with, which the list of models shows.
    /// A failure to do so loses nothing else, so none is reported.
    pub async fn note_use(&self, url: &str) {
        if let Some(store) = &self.store
            && let Ok(Some(record)) = store.pair(url).await
        {
            let last_used = js_sys::Date::now();
            let record = PairRecord {
                last_used,
                ..record
            };
            // A store that takes no more is reported where a load writes to it.
            let _ = store.put_pair(url, &record).await;
        }
    }

    /// Bytes that a file takes in the store or in memory; 0 for a file that is not complete.
    ///
    /// # Errors
    /// The store fails.
    pub async fn stored_size(&self, id: &str) -> Result<u64, FilesError> {
        Ok(match (self.memory.get(id), &self.store) {
            (Some(FileContent::Tensors(tensors)), _) => {
                tensors.iter().map(|tensor| tensor.bytes.len() as u64).sum()
            }
            (Some(FileContent::Blob(bytes)), _) => bytes.len() as u64,
            (None, Some(store)) => store.file(id).await?.map_or(0, |record| record.stored),
            (None, None) => 0,
        })
    }

    /// The names of a file's tensors, in its order; empty for a file without tensors.
    ///
    /// # Errors
    /// The file is not there, or the store fails.
    pub async fn tensor_names(&self, id: &str) -> Result<Vec<String>, FilesError> {
        match (self.memory.get(id), &self.store) {
            (Some(FileContent::Tensors(tensors)), _) => {
                Ok(tensors.iter().map(|tensor| tensor.name.clone()).collect())
            }
            (Some(FileContent::Blob(_)), _) => Ok(Vec::new()),
            (None, Some(store)) => {
                let names = store.tensor_names(id).await;
                self.discard_damaged(id, names).await
            }
            (None, None) => Err(not_loaded(id)),
        }
    }

    /// The outlines of a file's tensors, in its order; none where they are not known without reading the
    /// tensors.
    ///
    /// # Errors
    /// The file is not there, or the store fails.
    pub async fn outlines(&self, id: &str) -> Result<Option<Vec<StoredTensor>>, FilesError> {
        match (self.memory.get(id), &self.store) {
            (Some(FileContent::Tensors(tensors)), _) => {
                let outlines = tensors.iter().map(|tensor| {
                    let (name, shape) = (tensor.name.clone(), tensor.shape.clone());
                    StoredTensor::outline(name, tensor.encoding, tensor.order, shape)
                });
                Ok(Some(outlines.collect()))
            }
            (Some(FileContent::Blob(_)), _) => Ok(Some(Vec::new())),
            (None, Some(store)) => {
                let outlines = store.outlines(id).await;
                self.discard_damaged(id, outlines).await
            }
            (None, None) => Err(not_loaded(id)),
        }
    }

    /// A tensor of a file, in the encoding in which it is stored.
    ///
    /// # Errors
    /// The tensor is not there, or the store fails.
    pub async fn read_tensor(&self, id: &str, name: &str) -> Result<StoredTensor, FilesError> {
        match (self.memory.get(id), &self.store) {
            (Some(FileContent::Tensors(tensors)), _) => tensors
                .iter()
                .find(|tensor| tensor.name == name)
                .cloned()
                .ok_or_else(|| not_loaded(name)),
            (None, Some(store)) => {
                let tensor = store.read_tensor(id, name).await;
                self.discard_damaged(id, tensor).await
            }
            _ => Err(not_loaded(name)),
        }
    }

    /// The bytes of a file that has no tensors.
    ///
    /// # Errors
    /// The file is not there, or the store fails.
    pub async fn read_blob(&self, id: &str) -> Result<Vec<u8>, FilesError> {
        match (self.memory.get(id), &self.store) {
            (Some(FileContent::Blob(bytes)), _) => Ok(bytes.clone()),
            (None, Some(store)) => {
                let bytes = store.read_blob(id).await;
                self.discard_damaged(id, bytes).await
            }
            _ => Err(not_loaded(id)),
        }
    }

    /// What the header of a file says beside its tensors (`__metadata__`); nothing of a file that arrived
    /// as a whole: `pack`, which alone makes such files, writes all of it into tensors.
    ///
    /// # Errors
    /// The store fails, or its record of the header is damaged.
    pub async fn metadata(&self, id: &str) -> Result<BTreeMap<String, String>, FilesError> {
        let (None, Some(store)) = (self.memory.get(id), &self.store) else {
            return Ok(BTreeMap::new());
        };
        let header = store.header(id).await;
        let Some(header) = self.discard_damaged(id, header).await? else {
            return Ok(BTreeMap::new());
        };
        let header = Header::parse(id, &header).map_err(VerifyError::from)?;
        Ok(header.metadata)
    }

    /// Makes a file with a damaged record count as incomplete. The next load fetches that record alone
    /// where the hash's states can prove it, or else the whole file.
    async fn discard_damaged<T>(
        &self,
        id: &str,
        result: Result<T, StoreError>,
    ) -> Result<T, FilesError> {
        if let (Err(StoreError::Damaged { key }), Some(store)) = (&result, &self.store) {
            let name = key.strip_prefix(id).and_then(|key| key.strip_prefix('/'));
            let proof = match store.file(id).await {
                Ok(record) => record.and_then(|record| record.progress),
                Err(_) => None,
            };
            match (proof, name.filter(|name| !name.is_empty())) {
                (Some(proof), Some(name)) => {
                    let mut progress = proof;
                    progress.damaged.push(name.to_owned());
                    store.reopen(id, &progress).await?;
                }
                _ => store.remove_file(id).await?,
            }
        }
        Ok(result?)
    }
}

/// Bytes over the network of these files, as far as their hosts have told.
fn size_of(files: &[&ManifestFile]) -> u64 {
    files.iter().map(|file| file.size).sum()
}

/// Whether an absolute address is one of an added pair.
fn is_added(url: &str) -> bool {
    let Some((before, hash)) = url.rsplit_once('/') else {
        return false;
    };
    let is_hash = !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash && before.ends_with(ADDED.trim_end_matches('/'))
}

fn not_loaded(what: &str) -> FilesError {
    FilesError::NotLoaded { what: what.into() }
}
