//! A pair's folder on the disk, as the engine reads it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::error::BatchError;
use crate::engine::{EngineError, PairFiles};
use crate::recipe::adapters::AdapterUse;
use crate::weights::adapter_file::adapter_id;
use crate::weights::download::plan::{CommitEncoder, plan};
use crate::weights::format::safetensors::{self, Header};
use crate::weights::format::sha256::sha256;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::manifest::verify::{FileContent, FileVerifier, split};
use crate::weights::manifest::{Manifest, ManifestFile};

/// A pair whose files are in memory, each verified against its manifest.
pub struct PairFolder {
    /// The pair's manifest.
    pub manifest: Manifest,
    folder: PathBuf,
    files: HashMap<String, FileContent>,
    metadata: HashMap<String, BTreeMap<String, String>>,
}

impl PairFolder {
    /// Reads the pair of a manifest, or of the `manifest.json` in a folder. Files that a hub names are
    /// looked for beside the manifest, under their repository's name or without it.
    ///
    /// # Errors
    /// A file is missing, or not the one that the manifest names.
    pub fn read(path: &Path) -> Result<PairFolder, BatchError> {
        let path = if path.is_dir() {
            path.join("manifest.json")
        } else {
            path.to_owned()
        };
        let manifest = Manifest::parse(&String::from_utf8_lossy(&read(&path)?))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut pair = PairFolder {
            folder: folder.to_owned(),
            files: HashMap::new(),
            metadata: HashMap::new(),
            manifest: manifest.clone(),
        };
        for file in manifest.files() {
            let content = pair.read_file(file)?;
            pair.files.insert(file.id.clone(), content);
        }
        Ok(pair)
    }

    fn read_file(&mut self, file: &ManifestFile) -> Result<FileContent, BatchError> {
        let repository = file.hub.as_ref().map(|hub| hub.repository.as_str());
        let places = [
            repository.map(|repository| self.folder.join(repository).join(&file.path)),
            Some(self.folder.join(&file.path)),
        ];
        let path = places.into_iter().flatten().find(|path| path.is_file());
        let path = path.ok_or_else(|| BatchError::NotHere {
            path: file.path.clone(),
            folder: self.folder.clone(),
        })?;
        let bytes = read(&path)?;
        if file.is_proven() && file.size > 0 {
            let mut verifier = FileVerifier::new(file);
            verifier.update(&bytes)?;
            verifier.finish()?;
        }
        let rules = self.manifest.rules_of(file);
        if rules.is_empty() || !file.holds_tensors() {
            return Ok(split(file, bytes)?);
        }
        let header = Header::parse(&file.path, &bytes)?;
        self.metadata
            .insert(file.id.clone(), header.metadata.clone());
        let mut tensors = Vec::new();
        for commit in plan(&file.path, &header, &rules)? {
            let mut encoder = CommitEncoder::new(&file.path, &commit)?;
            let range = commit.range.start as usize..commit.range.end as usize;
            encoder.push(bytes.get(range).unwrap_or_default())?;
            tensors.extend(encoder.finish());
        }
        Ok(FileContent::Tensors(tensors))
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
        let mut paths: Vec<PathBuf> = beside.map(|it| self.folder.join(&it.path)).collect();
        paths.extend_from_slice(further);
        for adapter in adapters {
            let id = adapter_id(&adapter.hash);
            if self.files.contains_key(&id) {
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
            self.metadata.insert(id.clone(), header.metadata);
            self.files.insert(id, FileContent::Tensors(tensors));
        }
        Ok(())
    }

    /// How many tensors of a file are kept in each encoding.
    pub fn encodings_of(&self, file: &ManifestFile) -> BTreeMap<String, u32> {
        let mut encodings = BTreeMap::new();
        for tensor in self.tensors(&file.id) {
            *encodings.entry(tensor.encoding.to_string()).or_default() += 1;
        }
        encodings
    }

    fn tensors(&self, id: &str) -> &[StoredTensor] {
        match self.files.get(id) {
            Some(FileContent::Tensors(tensors)) => tensors,
            _ => &[],
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BatchError> {
    fs::read(path).map_err(|error| BatchError::reading(path, &error))
}

impl PairFiles for PairFolder {
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
        Ok(match self.files.get(id) {
            Some(FileContent::Tensors(tensors)) => {
                tensors.iter().map(|it| it.bytes.len() as u64).sum()
            }
            Some(FileContent::Blob(bytes)) => bytes.len() as u64,
            None => 0,
        })
    }

    async fn blob(&self, id: &str) -> Result<Vec<u8>, EngineError> {
        match self.files.get(id) {
            Some(FileContent::Blob(bytes)) => Ok(bytes.clone()),
            _ => Err(EngineError::NotLoaded),
        }
    }
}
