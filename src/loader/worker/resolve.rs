//! Resolves the manifest of a pair or of a network that measures pictures: adds the sizes and hashes that only the files' hosts know.

#![expect(
    clippy::indexing_slicing,
    reason = "Value makes what is missing, and a manifest that was parsed is an object"
)]

use std::collections::BTreeMap;

use serde_json::Value;

use super::catalogue::Pairs;
use super::error::{LibraryError, from_value, parse};
use crate::loader::scheduling;
use crate::weights::download::network::source::{
    self, Probe, SourceError, patiently, unless_missing,
};
use crate::weights::either_manifest::EitherManifest;
use crate::weights::format::sha256::sha256;
use crate::weights::manifest::{ManifestFile, hub};
use crate::weights::stored::files::ADDED;
use crate::weights::stored::store::PairRecord;

/// A pair or a network whose manifest has all sizes and hashes.
pub(super) struct Resolved {
    pub manifest: EitherManifest,
    /// The record to store; its text is the resolved manifest's.
    pub record: PairRecord,
    /// The manifest's absolute address.
    pub url: String,
}

impl Pairs {
    /// Resolves the manifest at an address: from the store where it is pinned or added,
    /// else from `given`, or fetched where nothing is given.
    pub async fn resolve(
        &mut self,
        address: &str,
        given: Option<String>,
    ) -> Result<Resolved, LibraryError> {
        let url = self.url(address)?;
        let stored = self.store.pair(&url).await?;
        if let Some(record) = &stored
            && record.is_pinned
            && let Ok(manifest) = EitherManifest::parse(&record.text)
            && manifest.is_resolved()
        {
            return Ok(Resolved {
                manifest,
                record: record.clone(),
                url,
            });
        }
        self.read_own().await?;
        let text = match &stored {
            Some(record) if record.is_added => record.text.clone(),
            _ if address.starts_with(ADDED) => {
                return Err(LibraryError::Unknown(address.to_owned()));
            }
            _ => match given {
                Some(text) => text,
                None => source::fetch_text(&url).await?,
            },
        };
        // What can't be drawn is refused before any host gets a request.
        if let EitherManifest::Pair(manifest) = EitherManifest::parse(&text)? {
            scheduling::schedulers_of(&manifest)?;
        }
        let text = self.with_sizes_and_hashes(&text).await?;
        let manifest = EitherManifest::parse(&text)?;
        let record = PairRecord {
            text,
            // Manifests of bundled pairs are not pinned: they change with the page.
            is_pinned: !manifest.is_self_contained(),
            ..stored.unwrap_or_default()
        };
        Ok(Resolved {
            manifest,
            record,
            url,
        })
    }

    /// A manifest's JSON with the sizes and hashes that it leaves out. Each host is asked once for each
    /// file.
    async fn with_sizes_and_hashes(&self, text: &str) -> Result<String, LibraryError> {
        // A malformed manifest is refused before any host gets a request.
        EitherManifest::parse(text)?;
        let mut json: Value = parse("manifest.json", text)?;
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        let components = json["components"].as_object_mut().into_iter().flatten();
        let files = components
            .filter_map(|(_, component)| component["files"].as_array_mut())
            .flatten();
        for place in files {
            let file: ManifestFile = from_value("manifest.json", place.clone())?;
            let is_known = file.size > 0 && (file.is_proven() || file.is_on_disk());
            if !file.is_elsewhere() || is_known {
                continue;
            }
            let address = self.file_address("", &file)?;
            if let Some(done) = known.get(&address) {
                *place = done.clone();
                continue;
            }
            let file = self.with_size_and_hash(file, &address).await?;
            *place = serde_json::to_value(&file).unwrap_or_default();
            known.insert(address, place.clone());
        }
        Ok(json.to_string())
    }

    /// The file with the size and the hash that its host publishes.
    async fn with_size_and_hash(
        &self,
        mut file: ManifestFile,
        address: &str,
    ) -> Result<ManifestFile, LibraryError> {
        if let Some(hub) = &file.hub {
            let pointer = hub.pointer_address(self.hub(), &file.path);
            // The address has a small file itself instead of an LFS pointer to it.
            let name = file.name();
            match unless_missing(patiently(name, || source::fetch_text(&pointer)).await) {
                Ok(Some(text)) => {
                    (file.sha256, file.size) = hub::lfs_pointer(&text)
                        .unwrap_or_else(|| (sha256(text.as_bytes()), text.len() as u64));
                    return Ok(file);
                }
                // A hub without pointers, or one that has the file itself there, is asked for the file.
                Ok(None) | Err(SourceError::NotText { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let Probe {
            size,
            sha256,
            validator,
        } = patiently(file.name(), || source::probe(address)).await?;
        file.size = size;
        file.sha256 = sha256.unwrap_or_default();
        file.validator = validator;
        Ok(file)
    }
}
