//! A pair's files, wherever they are: asked for here, they come from the store or the network, and
//! stay in memory where the browser stores nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::store::{PairRecord, Store, StoreError};
use crate::weights::download::network::source::{self, SourceError};
use crate::weights::format::tensor::StoredTensor;
use crate::weights::manifest::verify::{self, FileContent, VerifyError};
use crate::weights::manifest::{Manifest, ManifestError, ManifestFile};

/// Why a pair's files can't be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FilesError {
    /// A file can't be loaded.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The stored copy can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The manifest can't be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file has the manifest's bytes and is still not sound.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A pair whose files are fetched by the loader alone.
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
    /// A file was read that [`Files::ensure`] was not asked for.
    #[error("The models are not loaded: {what} is missing. Reload the page and try again.")]
    NotLoaded {
        /// The hash of a file, or a tensor's name.
        what: String,
    },
}

impl FilesError {
    /// Whether the caller itself asked to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, FilesError::Source(SourceError::Cancelled))
    }
}

/// The files of pairs, in the browser's store or in memory.
pub struct Files {
    store: Option<Store>,
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
            store,
            memory: BTreeMap::new(),
            notice,
        }
    }

    /// What the visitor should know of the store before anything is loaded.
    pub fn renewal(&self) -> Option<&'static str> {
        self.store.as_ref().and_then(Store::notice)
    }

    /// Why files stay in memory, as a sentence for the visitor; none where all are stored.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Reads a manifest: of a pair that the loader brought as it was then, of any other from the
    /// network, or, where that can't be reached, as it was at the last visit.
    ///
    /// # Errors
    /// The manifest can't be loaded, or it can't be used.
    pub async fn manifest(&mut self, url: &str) -> Result<Manifest, FilesError> {
        let stored = match &self.store {
            Some(store) => store.pair(url).await?,
            None => None,
        };
        if let Some(record) = stored.as_ref().filter(|it| it.is_kept || it.is_added) {
            return Ok(Manifest::parse(&record.text)?);
        }
        match (source::fetch_text(url).await, stored) {
            (Ok(text), stored) => {
                let manifest = Manifest::parse(&text)?;
                let stored = stored.unwrap_or_default();
                self.put_pair(url, PairRecord { text, ..stored }).await;
                Ok(manifest)
            }
            (Err(SourceError::Unreachable { .. }), Some(record)) => {
                Ok(Manifest::parse(&record.text)?)
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    async fn put_pair(&mut self, url: &str, record: PairRecord) {
        if let Some(store) = &self.store
            && let Err(error) = store.put_pair(url, &record).await
        {
            self.notice = Some(error.to_string());
        }
    }

    /// Notes that a pair was drawn with.
    async fn touch(&mut self, url: &str) {
        let record = match &self.store {
            // That it can't be read shows where it matters.
            Some(store) => store.pair(url).await.ok().flatten(),
            None => None,
        };
        if let Some(record) = record {
            let last_used = js_sys::Date::now();
            self.put_pair(
                url,
                PairRecord {
                    last_used,
                    ..record
                },
            )
            .await;
        }
    }

    /// The files of the manifest that would have to be loaded from the network.
    ///
    /// # Errors
    /// The store fails.
    pub async fn missing<'a>(
        &self,
        manifest: &'a Manifest,
    ) -> Result<Vec<&'a ManifestFile>, FilesError> {
        let mut missing = Vec::new();
        for file in manifest.files() {
            let stored = match &self.store {
                Some(store) => store.is_complete(&file.id).await?,
                None => false,
            };
            if !stored && !self.memory.contains_key(&file.id) {
                missing.push(file);
            }
        }
        Ok(missing)
    }

    /// Loads, checks and stores every file that is missing, one after the other. `on_progress` gets
    /// the bytes so far and the bytes in all of the missing files; when it breaks, loading ends and
    /// what is complete stays.
    ///
    /// The future must be awaited to its end, see [`store`](crate::weights::stored::store).
    ///
    /// # Errors
    /// A file can't be loaded or is not sound, or it is one that only the loader fetches: it lies on
    /// another host, or its tensors are stored in another form than they arrive in. That a sound file
    /// can't be stored is no error but a [`Files::notice`].
    pub async fn ensure(
        &mut self,
        manifest: &Manifest,
        manifest_url: &str,
        mut on_progress: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<(), FilesError> {
        let missing = self.missing(manifest).await?;
        let is_for_loader =
            |file: &&ManifestFile| file.is_elsewhere() || !manifest.rules_of(file).is_empty();
        if missing.iter().any(is_for_loader) {
            return Err(FilesError::Incomplete {
                name: manifest.name.clone(),
                missing: missing.iter().map(|file| file.size).sum(),
            });
        }
        let is_new = !missing.is_empty();
        let total = missing.iter().map(|file| file.size).sum();
        let mut done = 0;
        for file in missing {
            let url = source::file_address(manifest_url, &file.path)?;
            let bytes =
                source::fetch_file(&url, file, |received| on_progress(done + received, total))
                    .await?;
            let content = verify::split(file, bytes)?;
            self.keep(&file.id, content).await;
            done += file.size;
        }
        // What doesn't fit the store is kept for the pair in use alone.
        let named = manifest.files();
        self.memory
            .retain(|id, _| named.iter().any(|file| file.id == *id));
        if is_new
            && let Some(store) = &self.store
            && let Err(error) = store.remove_unnamed_files().await
        {
            self.notice = Some(error.to_string());
        }
        self.touch(manifest_url).await;
        Ok(())
    }

    /// Bytes of a file's records; none of a file that is not there.
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

    /// The names of a file's tensors.
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

    /// A tensor of a file.
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

    async fn keep(&mut self, id: &str, content: FileContent) {
        let stored = match &self.store {
            Some(store) => store.put_file(id, &content).await,
            // Why there is no store was noticed when it was opened.
            None => {
                self.memory.insert(id.into(), content);
                return;
            }
        };
        if let Err(error) = stored {
            self.notice = Some(error.to_string());
            self.memory.insert(id.into(), content);
        }
    }

    /// Takes a file whose records are damaged out of the complete ones: the next load brings what is
    /// damaged, where the file's proof allows that, or else all of it.
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

fn not_loaded(what: &str) -> FilesError {
    FilesError::NotLoaded { what: what.into() }
}
