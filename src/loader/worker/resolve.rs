//! A pair's manifest with the sizes and hashes that only its hosts know.

#![expect(
    clippy::indexing_slicing,
    reason = "Value makes what is missing, and a manifest that was parsed is an object"
)]

use std::collections::BTreeMap;

use serde_json::Value;

use super::added::ADDED;
use super::catalogue::Pairs;
use super::error::{LibraryError, from_value, parse};
use crate::weights::download::network::source::{self, Probe};
use crate::weights::format::sha256::sha256;
use crate::weights::manifest::{Manifest, ManifestFile, hub};
use crate::weights::stored::store::PairRecord;

/// A pair with its manifest, resolved.
pub(super) struct Resolved {
    pub manifest: Manifest,
    pub record: PairRecord,
    pub url: String,
}

impl Pairs {
    /// A pair's manifest with everything that its hosts have to say.
    pub async fn resolve(&mut self, address: &str) -> Result<Resolved, LibraryError> {
        let url = self.url(address)?;
        let stored = self.store.pair(&url).await?;
        if let Some(record) = &stored
            && record.is_kept
            && let Ok(manifest) = Manifest::parse(&record.text)
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
            _ => source::fetch_text(&url).await?,
        };
        let text = self.with_facts(&text).await?;
        let manifest = Manifest::parse(&text)?;
        let record = PairRecord {
            text,
            // What lies beside the page changes with the page.
            is_kept: !manifest.is_self_contained(),
            ..stored.unwrap_or_default()
        };
        Ok(Resolved {
            manifest,
            record,
            url,
        })
    }

    /// A manifest's text with the sizes and hashes that it leaves out.
    async fn with_facts(&self, text: &str) -> Result<String, LibraryError> {
        // Sound before its hosts are asked for anything.
        Manifest::parse(text)?;
        let mut json: Value = parse("manifest.json", text)?;
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        let components = json["components"].as_object_mut().into_iter().flatten();
        let files = components
            .filter_map(|(_, component)| component["files"].as_array_mut())
            .flatten();
        for place in files {
            let file: ManifestFile = from_value("manifest.json", place.clone())?;
            if !file.is_elsewhere() || (file.size > 0 && file.is_proven()) {
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

    /// A file with the size and the hash that its host tells of it.
    async fn with_size_and_hash(
        &self,
        mut file: ManifestFile,
        address: &str,
    ) -> Result<ManifestFile, LibraryError> {
        if let Some(hub) = &file.hub {
            let pointer = hub.pointer_address(self.hub(), &file.path);
            // A small file stands there itself, and is known by its own hash.
            if let Ok(text) = source::fetch_text(&pointer).await {
                (file.sha256, file.size) = hub::lfs_pointer(&text)
                    .unwrap_or_else(|| (sha256(text.as_bytes()), text.len() as u64));
                return Ok(file);
            }
        }
        let Probe {
            size,
            sha256,
            validator,
        } = source::probe(address).await?;
        file.size = size;
        file.sha256 = sha256.unwrap_or_default();
        file.validator = validator;
        Ok(file)
    }
}
