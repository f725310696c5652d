//! Files of a manifest on the disk, as the engine reads them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::error::BatchError;
use crate::engine::{EngineError, PairFiles};
use crate::weights::download::plan::{CommitEncoder, plan};
use crate::weights::format::rules::EncodingRule;
use crate::weights::format::safetensors::Header;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::manifest::ManifestFile;
use crate::weights::manifest::verify::{FileContent, FileVerifier, split};

/// Files that are in memory, each verified against its manifest.
pub struct FileFolder {
    /// The manifest's folder.
    pub(super) path: PathBuf,
    /// By the files' ids.
    pub(super) contents: HashMap<String, FileContent>,
    pub(super) metadata: HashMap<String, BTreeMap<String, String>>,
}

/// The path of a manifest, or of the one in a folder, and what it says.
///
/// # Errors
/// It can't be read.
pub(super) fn manifest_text(path: &Path) -> Result<(PathBuf, String), BatchError> {
    let path = if path.is_dir() {
        path.join("manifest.json")
    } else {
        path.to_owned()
    };
    let text = String::from_utf8_lossy(&read(&path)?).into_owned();
    Ok((path, text))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, BatchError> {
    fs::read(path).map_err(|error| BatchError::reading(path, &error))
}

impl FileFolder {
    /// A folder of which nothing was read.
    pub(super) fn beside(manifest: &Path) -> FileFolder {
        FileFolder {
            path: manifest.parent().unwrap_or(Path::new(".")).to_owned(),
            contents: HashMap::new(),
            metadata: HashMap::new(),
        }
    }

    /// Reads a file of the manifest, and encodes its tensors by these rules. A file that a hub names is looked
    /// for under its repository's name or without it.
    ///
    /// # Errors
    /// The file is missing, or not the one that the manifest names.
    pub(super) fn read_file(
        &mut self,
        file: &ManifestFile,
        rules: &[EncodingRule],
    ) -> Result<(), BatchError> {
        let repository = file.hub.as_ref().map(|hub| hub.repository.as_str());
        let places = [
            repository.map(|repository| self.path.join(repository).join(&file.path)),
            Some(self.path.join(&file.path)),
        ];
        let path = places.into_iter().flatten().find(|path| path.is_file());
        let path = path.ok_or_else(|| BatchError::NotHere {
            path: file.path.clone(),
            folder: self.path.clone(),
        })?;
        let bytes = read(&path)?;
        if file.is_proven() && file.size > 0 {
            let mut verifier = FileVerifier::new(file);
            verifier.update(&bytes)?;
            verifier.finish()?;
        }
        if rules.is_empty() || !file.holds_tensors() {
            self.contents.insert(file.id.clone(), split(file, bytes)?);
            return Ok(());
        }
        let header = Header::parse(&file.path, &bytes)?;
        self.metadata
            .insert(file.id.clone(), header.metadata.clone());
        let mut tensors = Vec::new();
        for commit in plan(&file.path, &header, rules)? {
            let mut encoder = CommitEncoder::new(&file.path, &commit)?;
            let range = commit.range.start as usize..commit.range.end as usize;
            encoder.push(bytes.get(range).unwrap_or_default())?;
            tensors.extend(encoder.finish());
        }
        self.contents
            .insert(file.id.clone(), FileContent::Tensors(tensors));
        Ok(())
    }

    /// The tensors of a file; none of one that holds none.
    pub(super) fn tensors(&self, id: &str) -> &[StoredTensor] {
        match self.contents.get(id) {
            Some(FileContent::Tensors(tensors)) => tensors,
            _ => &[],
        }
    }
}

impl PairFiles for FileFolder {
    async fn tensor_names(&self, id: &str) -> Result<Vec<String>, EngineError> {
        let tensors = self.tensors(id).iter();
        Ok(tensors.map(|tensor| tensor.name.clone()).collect())
    }

    async fn tensor(&self, id: &str, name: &str) -> Result<StoredTensor, EngineError> {
        let mut tensors = self.tensors(id).iter();
        let found = tensors.find(|tensor| tensor.name == name);
        found.cloned().ok_or(EngineError::NotLoaded)
    }

    async fn metadata(&self, id: &str) -> Result<BTreeMap<String, String>, EngineError> {
        Ok(self.metadata.get(id).cloned().unwrap_or_default())
    }

    async fn stored_length(&self, id: &str) -> Result<u64, EngineError> {
        Ok(match self.contents.get(id) {
            Some(FileContent::Tensors(tensors)) => {
                tensors.iter().map(|it| it.bytes.len() as u64).sum()
            }
            Some(FileContent::Blob(bytes)) => bytes.len() as u64,
            None => 0,
        })
    }

    async fn blob(&self, id: &str) -> Result<Vec<u8>, EngineError> {
        match self.contents.get(id) {
            Some(FileContent::Blob(bytes)) => Ok(bytes.clone()),
            _ => Err(EngineError::NotLoaded),
        }
    }
}
