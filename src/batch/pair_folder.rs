//! A pair's folder on the disk.

use std::path::{Path, PathBuf};

use super::error::BatchError;
use super::file_folder::{FileFolder, manifest_text, read};
use crate::engine::EngineError;
use crate::recipe::adapters::AdapterUse;
use crate::weights::adapter_file::adapter_id;
use crate::weights::format::safetensors::{self, Header};
use crate::weights::format::sha256::sha256;
use crate::weights::manifest::Manifest;
use crate::weights::manifest::verify::FileContent;

/// A pair whose files are in memory, each verified against its manifest.
pub struct PairFolder {
    /// The pair's manifest.
    pub manifest: Manifest,
    /// Its files, as the engine reads them.
    pub files: FileFolder,
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
        let mut files = FileFolder::beside(&path);
        for file in manifest.files() {
            files.read_file(file, &manifest.rules_of(file))?;
        }
        Ok(PairFolder { manifest, files })
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
        let mut paths: Vec<PathBuf> = beside.map(|it| self.files.path.join(&it.path)).collect();
        paths.extend_from_slice(further);
        for adapter in adapters {
            let id = adapter_id(&adapter.hash);
            if self.files.contents.contains_key(&id) {
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
            self.files.metadata.insert(id.clone(), header.metadata);
            self.files
                .contents
                .insert(id, FileContent::Tensors(tensors));
        }
        Ok(())
    }
}
