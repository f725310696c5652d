//! The list of pairs and how much of each this browser has, from the page's own index and the store.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures::future::join_all;
use serde::Deserialize;
use web_sys::Url;

use super::error::{LibraryError, parse};
use crate::loader::scheduling;
use crate::protocol::loader::{
    AdapterEntry, Library, Licence, NetworkEntry, Origin, PairEntry, PairState, Storage,
};
use crate::weights::download::network::disk::DiskFile;
use crate::weights::download::network::source::{self, SourceError};
use crate::weights::download::network::transfer::FileOrigin;
use crate::weights::download::plan::FileProgress;
use crate::weights::either_manifest::EitherManifest;
use crate::weights::manifest::{Manifest, ManifestFile, PerceptualManifest};
use crate::weights::stored::store::{FileRecord, PairRecord, Store};

/// The index of the page's own pairs, relative to the page.
const INDEX: &str = "pairs/index.json";

#[derive(Clone, Deserialize)]
struct Index {
    /// The address of the hub that has the manifests' repositories.
    #[serde(default = "default_hub")]
    hub: String,
    pairs: Vec<IndexEntry>,
    /// Addresses of the manifests of networks that measure pictures, relative to the page.
    #[serde(default)]
    networks: Vec<String>,
}

/// The hub where SDXL's own files are.
const HUB: &str = "https://huggingface.co";

fn default_hub() -> String {
    HUB.into()
}

#[derive(Clone, Deserialize)]
struct IndexEntry {
    manifest: String,
    #[serde(default)]
    bundled: bool,
}

/// The networks that measure pictures.
#[derive(Default)]
pub(super) struct Networks {
    pub entries: Vec<NetworkEntry>,
    /// Typed addresses at which there is none, each with the reason.
    pub unread: Vec<(String, LibraryError)>,
}

/// The pairs of one page.
pub(super) struct Pairs {
    page_url: String,
    pub store: Rc<Store>,
    index: Option<Index>,
    /// Manifests of the page's own pairs, by address.
    own: BTreeMap<String, Manifest>,
    /// Addresses with what is secret in them, by those without: they are used in requests and written nowhere.
    pub secrets: BTreeMap<String, String>,
    /// Files of the visitor's disk by their addresses in manifests, as long as this page is open.
    pub disk: BTreeMap<String, DiskFile>,
}

impl Pairs {
    pub fn new(page_url: String, store: Rc<Store>) -> Self {
        Pairs {
            page_url,
            store,
            index: None,
            own: BTreeMap::new(),
            secrets: BTreeMap::new(),
            disk: BTreeMap::new(),
        }
    }

    /// The absolute address of a pair's manifest.
    pub fn url(&self, address: &str) -> Result<String, LibraryError> {
        Ok(source::file_address(&self.page_url, address)?)
    }

    fn address(&self, url: &str) -> String {
        let folder = Url::new_with_base(".", &self.page_url);
        let folder = folder.map(|folder| folder.href()).unwrap_or_default();
        url.strip_prefix(&folder).unwrap_or(url).to_owned()
    }

    /// The hub's address: the index's, or that of SDXL's own files.
    pub fn hub(&self) -> &str {
        self.index.as_ref().map_or(HUB, |index| &index.hub)
    }

    /// Reads the index and the page's own manifests, unless they have been read. Without a network only
    /// the pairs of the store are known.
    pub async fn read_own(&mut self) -> Result<(), LibraryError> {
        if self.index.is_none() {
            let url = self.url(INDEX)?;
            let text = match source::fetch_text(&url).await {
                Ok(text) => text,
                Err(SourceError::Unreachable { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.index = Some(parse(INDEX, &text)?);
        }
        let entries = self.index.iter().flat_map(|index| &index.pairs);
        let mut unread = Vec::new();
        for entry in entries {
            let address = format!("pairs/{}", entry.manifest);
            if !self.own.contains_key(&address) {
                unread.push((self.url(&address)?, address));
            }
        }
        // All at once: the load of a first visit waits for them.
        let texts = unread.iter().map(|(url, _)| source::fetch_text(url));
        let texts = join_all(texts).await;
        for ((_, address), text) in unread.into_iter().zip(texts) {
            match text {
                Ok(text) => {
                    self.own.insert(address, Manifest::parse(&text)?);
                }
                Err(SourceError::Unreachable { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Lists all pairs. The storage is left empty.
    pub async fn list(&mut self) -> Result<Library, LibraryError> {
        self.read_own().await?;
        let records: BTreeMap<String, PairRecord> = self
            .store
            .pairs()
            .await?
            .into_iter()
            .map(|(url, record)| (self.address(&url), record))
            .collect();
        let files: BTreeMap<String, FileRecord> = self.store.files().await?.into_iter().collect();
        let begun: BTreeMap<String, FileProgress> = self.store.begun().await?.into_iter().collect();
        let mut pairs = Vec::new();
        let mut listed = BTreeSet::new();
        for entry in self.index.iter().flat_map(|index| &index.pairs) {
            let address = format!("pairs/{}", entry.manifest);
            let origin = if entry.bundled {
                Origin::Bundled
            } else {
                Origin::Offered
            };
            let record = records.get(&address);
            let pinned = record
                .filter(|record| record.is_pinned)
                .and_then(|record| Manifest::parse(&record.text).ok());
            if let Some(manifest) = pinned.or_else(|| self.own.get(&address).cloned()) {
                listed.insert(address.clone());
                pairs.push((address, origin, manifest, record));
            }
        }
        for (address, record) in &records {
            if !listed.contains(address)
                && let Ok(manifest) = Manifest::parse(&record.text)
            {
                let origin = if record.is_added {
                    Origin::Added
                } else if manifest.is_self_contained() {
                    Origin::Bundled
                } else {
                    // The page's own index had it at an earlier visit.
                    Origin::Offered
                };
                pairs.push((address.clone(), origin, manifest, Some(record)));
            }
        }
        // Files of a pair without a record don't stay: `Store::remove_unnamed_files` deletes them.
        let named: Vec<(String, BTreeSet<String>)> = pairs
            .iter()
            .filter(|(_, _, _, record)| record.is_some())
            .map(|(_, _, manifest, _)| {
                let ids = manifest.files().into_iter().map(|file| file.id.clone());
                (manifest.name.clone(), ids.collect())
            })
            .collect();
        let entries = pairs
            .into_iter()
            .map(|(address, origin, manifest, record)| {
                entry(address, origin, &manifest, record, &files, &begun, &named)
            })
            .collect();
        let mut adapters: Vec<_> = self
            .store
            .adapters()
            .await?
            .into_iter()
            .map(|(hash, adapter, stored)| AdapterEntry {
                hash,
                name: adapter.name,
                description: adapter.description,
                stored,
            })
            .collect();
        adapters.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Library {
            pairs: entries,
            adapters,
            storage: Storage::default(),
        })
    }

    /// Lists the networks that measure pictures: those of the index in its order, those that are stored, and
    /// those at further addresses.
    pub async fn list_networks(
        &mut self,
        further: &BTreeSet<String>,
    ) -> Result<Networks, LibraryError> {
        self.read_own().await?;
        let mut addresses: Vec<String> = self
            .index
            .iter()
            .flat_map(|it| it.networks.clone())
            .collect();
        let mut stored: BTreeMap<String, PerceptualManifest> = BTreeMap::new();
        for (url, record) in self.store.pairs().await? {
            if let Ok(EitherManifest::Network(manifest)) = EitherManifest::parse(&record.text) {
                let address = self.address(&url);
                addresses.push(address.clone());
                stored.insert(address, *manifest);
            }
        }
        addresses.extend(further.iter().cloned());
        let files: BTreeMap<String, FileRecord> = self.store.files().await?.into_iter().collect();
        let begun: BTreeMap<String, FileProgress> = self.store.begun().await?.into_iter().collect();
        let mut networks = Networks::default();
        let mut listed = BTreeSet::new();
        for typed in addresses {
            let read = async {
                let url = self.url(&typed)?;
                let address = self.address(&url);
                let manifest = match stored.get(&address) {
                    Some(manifest) => manifest.clone(),
                    None => PerceptualManifest::parse(&source::fetch_text(&url).await?)?,
                };
                Ok((address, manifest))
            };
            match read.await {
                Ok((address, manifest)) => {
                    if listed.insert(address.clone()) {
                        let is_kept = stored.contains_key(&address);
                        let entry = network_entry(address, manifest, is_kept, &files, &begun);
                        networks.entries.push(entry);
                    }
                }
                Err(error) if further.contains(&typed) => networks.unread.push((typed, error)),
                // Without a network those that are stored are there.
                Err(LibraryError::Source(SourceError::Unreachable { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(networks)
    }

    /// The absolute address of a file of the manifest at `manifest_url`.
    pub fn file_address(
        &self,
        manifest_url: &str,
        file: &ManifestFile,
    ) -> Result<String, LibraryError> {
        Ok(match (&file.hub, &file.url) {
            (Some(hub), _) => hub.file_address(self.hub(), &file.path),
            (None, Some(url)) => self.secrets.get(url).unwrap_or(url).clone(),
            (None, None) => source::file_address(manifest_url, &file.path)?,
        })
    }
}

impl Pairs {
    /// A pair of the page's own, by its address.
    pub fn own(&self, address: &str) -> Option<&Manifest> {
        self.own.get(address)
    }

    /// Where the bytes of a file of the manifest at `manifest_url` are.
    pub fn origin(
        &self,
        manifest_url: &str,
        file: &ManifestFile,
    ) -> Result<FileOrigin, LibraryError> {
        if file.is_on_disk() {
            let opened = file.url.as_ref().and_then(|url| self.disk.get(url));
            return Ok(opened
                .cloned()
                .map_or(FileOrigin::NotOpened, FileOrigin::Disk));
        }
        Ok(FileOrigin::Address(self.file_address(manifest_url, file)?))
    }
}

fn entry(
    address: String,
    origin: Origin,
    manifest: &Manifest,
    record: Option<&PairRecord>,
    files: &BTreeMap<String, FileRecord>,
    begun: &BTreeMap<String, FileProgress>,
    named: &[(String, BTreeSet<String>)],
) -> PairEntry {
    let own = manifest.files();
    let is_known = own.iter().all(|file| file.size > 0);
    let size = own.iter().map(|file| file.size).sum();
    let missing = missing(&own, files, begun);
    let stored_of = |id: &str| stored_of(id, files, begun);
    let stored = own.iter().map(|file| stored_of(&file.id)).sum();
    let mut shared = 0;
    let mut shared_with = BTreeSet::new();
    for file in &own {
        let others: Vec<_> = named
            .iter()
            .filter(|(name, ids)| *name != manifest.name && ids.contains(&file.id))
            .map(|(name, _)| name.clone())
            .collect();
        if !others.is_empty() && stored_of(&file.id) > 0 {
            shared += stored_of(&file.id);
            shared_with.extend(others);
        }
    }
    let is_complete = own.iter().all(|file| files.contains_key(&file.id));
    let state = if is_complete {
        PairState::Complete
    } else if record.is_some_and(|record| record.is_pinned) && stored > 0 || stored > shared {
        PairState::Partial
    } else {
        PairState::Absent
    };
    PairEntry {
        address,
        name: manifest.name.clone(),
        description: manifest.description.clone(),
        notices: scheduling::notices(manifest),
        origin,
        licence: manifest.licence.name.clone(),
        image_size: manifest.image_size.into(),
        state,
        begun: record.is_some_and(|record| record.is_pinned),
        download_size: is_known.then_some(size),
        missing: is_known.then_some(missing),
        stored,
        shared,
        shared_with: shared_with.into_iter().collect(),
        last_used: record.map(|record| record.last_used).filter(|at| *at > 0.0),
    }
}

/// `is_kept`: its manifest is in the store. Without that the engine doesn't know it, even where another network
/// has brought all of its files.
fn network_entry(
    address: String,
    manifest: PerceptualManifest,
    is_kept: bool,
    files: &BTreeMap<String, FileRecord>,
    begun: &BTreeMap<String, FileProgress>,
) -> NetworkEntry {
    let own = manifest.files();
    let is_known = own.iter().all(|file| file.size > 0);
    let size = own.iter().map(|file| file.size).sum();
    let missing = missing(&own, files, begun);
    let stored = own
        .iter()
        .map(|file| stored_of(&file.id, files, begun))
        .sum();
    let state = if is_kept && own.iter().all(|file| files.contains_key(&file.id)) {
        PairState::Complete
    } else if stored > 0 {
        PairState::Partial
    } else {
        PairState::Absent
    };
    let licences = manifest.licences_to_accept.iter();
    NetworkEntry {
        is_whole: manifest.components.iter().all(|it| !it.files.is_empty()),
        licences: licences
            .map(|licence| Licence {
                name: licence.name.clone(),
                url: licence.url.clone(),
            })
            .collect(),
        download_size: is_known.then_some(size),
        missing: is_known.then_some(missing),
        address,
        id: manifest.id,
        name: manifest.name,
        description: manifest.description,
        licence: manifest.licence.name,
        state,
        stored,
    }
}

/// Bytes that a file takes in the store, whether or not all of it is there.
fn stored_of(
    id: &str,
    files: &BTreeMap<String, FileRecord>,
    begun: &BTreeMap<String, FileProgress>,
) -> u64 {
    let complete = files.get(id).map(|record| record.stored);
    complete
        .or_else(|| begun.get(id).map(|progress| progress.stored))
        .unwrap_or(0)
}

/// Bytes of these files that are still to be fetched.
pub(super) fn missing(
    own: &[&ManifestFile],
    files: &BTreeMap<String, FileRecord>,
    begun: &BTreeMap<String, FileProgress>,
) -> u64 {
    own.iter()
        .filter(|file| !files.contains_key(&file.id))
        .map(|file| {
            let there = begun.get(&file.id).map_or(0, |progress| progress.position);
            file.size.saturating_sub(there)
        })
        .sum()
}
