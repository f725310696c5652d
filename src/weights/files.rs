//! A pair's files, wherever they are: asked for here, they come from the store or the network, and
//! stay in memory where the browser stores nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::manifest::{Manifest, ManifestError, ManifestFile};
use super::source::{self, SourceError};
use super::store::{Store, StoreError};
use super::tensor::StoredTensor;
use super::verify::{self, FileContent, VerifyError};

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

    /// Why files stay in memory, as a sentence for the visitor; none where all are stored.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Reads a manifest from the network, or, where that can't be reached, as it was at the last
    /// visit.
    ///
    /// # Errors
    /// The manifest can't be loaded, or it can't be used.
    pub async fn manifest(&mut self, url: &str) -> Result<Manifest, FilesError> {
        match source::fetch_text(url).await {
            Ok(text) => {
                let manifest = Manifest::parse(&text)?;
                if let Some(store) = &self.store
                    && let Err(error) = store.put_manifest(url, &text).await
                {
                    self.notice = Some(error.to_string());
                }
                Ok(manifest)
            }
            Err(error @ SourceError::Unreachable { .. }) => {
                let stored = match &self.store {
                    Some(store) => store.get_manifest(url).await?,
                    None => None,
                };
                match stored {
                    Some(text) => Ok(Manifest::parse(&text)?),
                    None => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
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
                Some(store) => store.is_complete(&file.sha256).await?,
                None => false,
            };
            if !stored && !self.memory.contains_key(&file.sha256) {
                missing.push(file);
            }
        }
        Ok(missing)
    }

    /// Loads, checks and stores every file that is missing, one after the other. `on_progress` gets
    /// the bytes so far and the bytes in all of the missing files; when it breaks, loading ends and
    /// what is complete stays.
    ///
    /// The future must be awaited to its end, see [`store`](super::store).
    ///
    /// # Errors
    /// A file can't be loaded or is not sound. That a sound file can't be stored is no error but a
    /// [`Files::notice`].
    pub async fn ensure(
        &mut self,
        manifest: &Manifest,
        manifest_url: &str,
        mut on_progress: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<(), FilesError> {
        let missing = self.missing(manifest).await?;
        let is_new = !missing.is_empty();
        let total = missing.iter().map(|file| file.size).sum();
        let mut done = 0;
        for file in missing {
            let url = source::file_address(manifest_url, &file.path)?;
            let bytes =
                source::fetch_file(&url, file, |received| on_progress(done + received, total))
                    .await?;
            let content = verify::split(file, bytes)?;
            self.keep(&file.sha256, content).await;
            done += file.size;
        }
        // What doesn't fit the store is kept for the pair in use alone.
        let named = manifest.files();
        self.memory
            .retain(|sha256, _| named.iter().any(|file| file.sha256 == *sha256));
        if is_new
            && let Some(store) = &self.store
            && let Err(error) = store.remove_unnamed_files().await
        {
            self.notice = Some(error.to_string());
        }
        Ok(())
    }

    /// The names of a file's tensors.
    ///
    /// # Errors
    /// The file is not there, or the store fails.
    pub async fn tensor_names(&self, sha256: &str) -> Result<Vec<String>, FilesError> {
        match (self.memory.get(sha256), &self.store) {
            (Some(FileContent::Tensors(tensors)), _) => {
                Ok(tensors.iter().map(|tensor| tensor.name.clone()).collect())
            }
            (Some(FileContent::Blob(_)), _) => Ok(Vec::new()),
            (None, Some(store)) => {
                let names = store.tensor_names(sha256).await;
                self.discard_damaged(sha256, names).await
            }
            (None, None) => Err(not_loaded(sha256)),
        }
    }

    /// A tensor of a file.
    ///
    /// # Errors
    /// The tensor is not there, or the store fails.
    pub async fn read_tensor(&self, sha256: &str, name: &str) -> Result<StoredTensor, FilesError> {
        match (self.memory.get(sha256), &self.store) {
            (Some(FileContent::Tensors(tensors)), _) => tensors
                .iter()
                .find(|tensor| tensor.name == name)
                .cloned()
                .ok_or_else(|| not_loaded(name)),
            (None, Some(store)) => {
                let tensor = store.read_tensor(sha256, name).await;
                self.discard_damaged(sha256, tensor).await
            }
            _ => Err(not_loaded(name)),
        }
    }

    /// The bytes of a file that has no tensors.
    ///
    /// # Errors
    /// The file is not there, or the store fails.
    pub async fn read_blob(&self, sha256: &str) -> Result<Vec<u8>, FilesError> {
        match (self.memory.get(sha256), &self.store) {
            (Some(FileContent::Blob(bytes)), _) => Ok(bytes.clone()),
            (None, Some(store)) => {
                let bytes = store.read_blob(sha256).await;
                self.discard_damaged(sha256, bytes).await
            }
            _ => Err(not_loaded(sha256)),
        }
    }

    async fn keep(&mut self, sha256: &str, content: FileContent) {
        let stored = match &self.store {
            Some(store) => store.put_file(sha256, &content).await,
            // Why there is no store was noticed when it was opened.
            None => {
                self.memory.insert(sha256.into(), content);
                return;
            }
        };
        if let Err(error) = stored {
            self.notice = Some(error.to_string());
            self.memory.insert(sha256.into(), content);
        }
    }

    /// Deletes a file whose records are damaged, so that the next [`Files::ensure`] loads it again.
    async fn discard_damaged<T>(
        &self,
        sha256: &str,
        result: Result<T, StoreError>,
    ) -> Result<T, FilesError> {
        if let (Err(StoreError::Damaged { .. }), Some(store)) = (&result, &self.store) {
            store.remove_file(sha256).await?;
        }
        Ok(result?)
    }
}

fn not_loaded(what: &str) -> FilesError {
    FilesError::NotLoaded { what: what.into() }
}
