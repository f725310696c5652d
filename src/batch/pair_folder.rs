//! A pair's folder on the disk, as the engine reads it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::BatchError;
use super::file_folder::{FileFolder, manifest_text, read};
use crate::engine::{EngineError, PairFiles};
use crate::recipe::adapters::AdapterUse;
use crate::weights::adapter_file::adapter_id;
use crate::weights::format::safetensors::{self, Header};
use crate::weights::format::sha256::sha256;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::manifest::verify::FileContent;
use crate::weights::manifest::{Manifest, ManifestFile};

/// A pair whose files are in memory, each verified against its manifest.
pub struct PairFolder {
    /// The pair's manifest.
    pub manifest: Manifest,
    folder: FileFolder,
}

impl PairFolder {
    /// Reads the pair of a manifest, or of the `manifest.json` in a folder. Files that a hub names are
    /// looked for beside the manifest, under their repository's name or without it.
    ///
    /// # Errors
    /// A file is missing, or not the one that the manifest names.
    pub fn read(path: &Path) -> Result<PairFolder, BatchError> {
        let (path, text) = manifest_text(path)?;
        let manifest = Manifest::parse(&text)?;
        let mut folder = FileFolder::beside(&path);
        for file in manifest.files() {
            folder.read_file(file, &manifest.rules_of(file))?;
        }
        Ok(PairFolder { manifest, folder })
    }

    /// Reads the files of adapters: those that lie beside the pair, and further ones. A file counts by its
    /// content.
    ///
    /// # Errors
    /// A file can't be read, or that of an adapter is not among them.
    pub fn add_adapters(
        &mut self,
        adapters: &[AdapterUse],
        further: &[PathBuf],
    ) -> Result<(), BatchError> {
        let beside = self.manifest.adapters.iter();
        let mut paths: Vec<PathBuf> = beside.map(|it| self.folder.path.join(&it.path)).collect();
        paths.extend_from_slice(further);
        for adapter in adapters {
            let id = adapter_id(&adapter.hash);
            if self.folder.files.contains_key(&id) {
                continue;
            }
            let mut found = None;
            for path in paths.iter().filter(|path| path.is_file()) {
                let bytes = read(path)?;
                if sha256(&bytes) == adapter.hash {
                    found = Some(bytes);
                    break;
                }
            }
            let bytes = found.ok_or_else(|| EngineError::NoAdapter {
                name: adapter.name.clone(),
                hash: adapter.hash.chars().take(8).collect(),
            })?;
            let header = Header::parse(&adapter.name, &bytes)?;
            let tensors = safetensors::read(&adapter.name, &bytes)?;
            self.folder.metadata.insert(id.clone(), header.metadata);
            self.folder.files.insert(id, FileContent::Tensors(tensors));
        }
        Ok(())
    }

    /// How many tensors of a file are kept in each encoding.
    pub fn encodings_of(&self, file: &ManifestFile) -> BTreeMap<String, u32> {
        let mut encodings = BTreeMap::new();
        for tensor in self.folder.tensors(&file.id) {
            *encodings.entry(tensor.encoding.to_string()).or_default() += 1;
        }
        encodings
    }
}

impl PairFiles for PairFolder {
    async fn tensor_names(&self, id: &str) -> Result<Vec<String>, EngineError> {
        self.folder.tensor_names(id).await
    }

    async fn tensor(&self, id: &str, name: &str) -> Result<StoredTensor, EngineError> {
        self.folder.tensor(id, name).await
    }

    async fn metadata(&self, id: &str) -> Result<BTreeMap<String, String>, EngineError> {
        self.folder.metadata(id).await
    }

    async fn stored_length(&self, id: &str) -> Result<u64, EngineError> {
        self.folder.stored_length(id).await
    }

    async fn blob(&self, id: &str) -> Result<Vec<u8>, EngineError> {
        self.folder.blob(id).await
    }
}
