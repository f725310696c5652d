//! Which pairs there are, what this browser has of them, and what they need: read from the page's own
//! index, the store, and the hosts of their files.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;
use web_sys::Url;

use crate::protocol::loader::{Library, Origin, PairEntry, PairSource, PairState, Storage};
use crate::weights::download::network::source::{self, HeaderError, Probe, SourceError};
use crate::weights::download::plan::FileProgress;
use crate::weights::format::names;
use crate::weights::format::safetensors::{Header, SafetensorsError};
use crate::weights::format::sha256::sha256;
use crate::weights::manifest::hub::{self, HubError, ListedFile, ModelAddress};
use crate::weights::manifest::{HubRepository, Manifest, ManifestError, ManifestFile};
use crate::weights::stored::store::{FileRecord, PairRecord, Store, StoreError};

/// The list of the page's own pairs, relative to the page.
const INDEX: &str = "pairs/index.json";
/// The pair whose other parts go with a base that a visitor names: a distillation LoRA fits every
/// model that was tuned from the same base.
const TEMPLATE: &str = "pairs/sdxl-dmd2-lora.json";
/// What the addresses of added pairs begin with.
const ADDED: &str = "added/";

/// Why a pair can't be taken up.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum LibraryError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Hub(#[from] HubError),
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("{file} is not JSON: {reason}.")]
    Json { file: String, reason: String },
    #[error("{0} is not a pair that this page knows. Add it again.")]
    Unknown(String),
    #[error(
        "The checkpoint {0} doesn't name its tensors as a single-file SDXL checkpoint does, so it \
         can't be used as one."
    )]
    NoCheckpoint(String),
}

#[derive(Clone, Deserialize)]
struct Index {
    /// The hub that manifests' repositories are of.
    #[serde(default = "default_hub")]
    hub: String,
    pairs: Vec<IndexEntry>,
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

/// The pairs of one page.
pub(super) struct Pairs {
    page_url: String,
    pub store: Rc<Store>,
    index: Option<Index>,
    /// Manifests of the page's own pairs, by address.
    own: BTreeMap<String, Manifest>,
}

/// A pair with its manifest, resolved.
pub(super) struct Resolved {
    pub manifest: Manifest,
    pub record: PairRecord,
    pub url: String,
}

impl Pairs {
    pub fn new(page_url: String, store: Rc<Store>) -> Self {
        Pairs {
            page_url,
            store,
            index: None,
            own: BTreeMap::new(),
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

    /// The hub's address.
    pub fn hub(&self) -> &str {
        self.index.as_ref().map_or(HUB, |index| &index.hub)
    }

    /// Reads the index and the page's own manifests, unless they are known. Without a network the
    /// pairs of the store are all there is.
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
        for entry in self.index.clone().into_iter().flat_map(|it| it.pairs) {
            let address = format!("pairs/{}", entry.manifest);
            if self.own.contains_key(&address) {
                continue;
            }
            match source::fetch_text(&self.url(&address)?).await {
                Ok(text) => {
                    self.own.insert(address, Manifest::parse(&text)?);
                }
                Err(SourceError::Unreachable { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// All pairs as they are now.
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
            let kept = record
                .filter(|record| record.is_kept)
                .and_then(|record| Manifest::parse(&record.text).ok());
            if let Some(manifest) = kept.or_else(|| self.own.get(&address).cloned()) {
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
                    // In the page's own index at an earlier visit.
                    Origin::Offered
                };
                pairs.push((address.clone(), origin, manifest, Some(record)));
            }
        }
        // Only a pair that the store knows keeps its files there.
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
        Ok(Library {
            pairs: entries,
            storage: Storage::default(),
        })
    }

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

    /// Where a file of a manifest at `manifest_url` is.
    pub fn file_address(
        &self,
        manifest_url: &str,
        file: &ManifestFile,
    ) -> Result<String, LibraryError> {
        Ok(match (&file.hub, &file.url) {
            (Some(hub), _) => hub.file_address(self.hub(), &file.path),
            (None, Some(url)) => url.clone(),
            (None, None) => source::file_address(manifest_url, &file.path)?,
        })
    }

    /// Adds a pair; its address.
    pub async fn add(&mut self, source: &PairSource) -> Result<String, LibraryError> {
        self.read_own().await?;
        let text = match source {
            PairSource::Manifest(text) => text.clone(),
            PairSource::Typed(text) => match ModelAddress::parse(text)? {
                ModelAddress::Manifest(url) => self.distant_manifest(&url).await?,
                ModelAddress::Base(repository) => self.tuned_base(&Place::Hub(repository)).await?,
                ModelAddress::Pair(base, distilled) => {
                    let text = self.tuned_base(&Place::Hub(base)).await?;
                    self.with_distilled(&text, &Place::Hub(distilled)).await?
                }
                ModelAddress::Folder(folder) => {
                    let manifest = format!("{folder}manifest.json");
                    match self.distant_manifest(&manifest).await {
                        Ok(text) => text,
                        // Not a pack: a folder in diffusers' layout.
                        Err(LibraryError::Source(SourceError::Status { .. })) => {
                            self.tuned_base(&Place::Folder(folder)).await?
                        }
                        Err(error) => return Err(error),
                    }
                }
                ModelAddress::Checkpoint(url) => self.checkpoint(&url).await?,
            },
        };
        let manifest = Manifest::parse(&text)?;
        let address = format!("{ADDED}{}", &sha256(text.as_bytes())[..16]);
        // Paths relative to the manifest lead nowhere from a file that was dropped.
        if let Some(file) = manifest
            .files()
            .into_iter()
            .find(|file| !file.is_elsewhere() && matches!(source, PairSource::Manifest(_)))
        {
            return Err(ManifestError::Malformed {
                reason: format!(
                    "the file {} has neither a hub's repository nor an address, so nobody knows \
                     where it is",
                    file.path
                ),
            }
            .into());
        }
        let record = PairRecord {
            text,
            is_added: true,
            last_used: js_sys::Date::now(),
            ..PairRecord::default()
        };
        let url = self.url(&address)?;
        if self.store.pair(&url).await?.is_none() {
            self.store.put_pair(&url, &record).await?;
        }
        Ok(address)
    }

    /// A manifest on another host, with the addresses of its files in it.
    async fn distant_manifest(&self, url: &str) -> Result<String, LibraryError> {
        let text = source::fetch_text(url).await?;
        Manifest::parse(&text)?;
        Ok(placed(url, &text)?.to_string())
    }

    async fn template(&self) -> Result<Value, LibraryError> {
        let url = self.url(TEMPLATE)?;
        placed(&url, &source::fetch_text(&url).await?)
    }

    /// SDXL's base with another model of its kind in its place.
    async fn tuned_base(&self, place: &Place) -> Result<String, LibraryError> {
        let mut manifest = self.template().await?;
        let name = place.name();
        let files = self.listing(place).await?;
        for component in ["unet", "text_encoder", "text_encoder_2", "vae"] {
            let config = self.json(place, &format!("{component}/config.json")).await;
            let weights = hub::weight_files(&files, component);
            // A repository of a UNet alone goes with the base's other parts.
            if component != "unet" && (weights.is_empty() || config.is_err()) {
                continue;
            }
            if weights.is_empty() {
                return Err(HubError::NoComponent {
                    place: name,
                    component,
                }
                .into());
            }
            let weights: Vec<_> = weights.into_iter().map(|file| place.file(file)).collect();
            hub::replace_component(&mut manifest, component, config?, &weights, "");
        }
        if let Ok(config) = self.json(place, "scheduler/scheduler_config.json").await {
            manifest["schedulers"]["base"] = config;
        }
        manifest["name"] = format!("{name} + DMD2").into();
        manifest["id"] = "added".into();
        manifest["description"] = format!(
            "{name} as the base, with DMD2's distillation LoRA for the steps after the first."
        )
        .into();
        self.licensed(&mut manifest, place);
        Ok(manifest.to_string())
    }

    /// The pair with another distilled model.
    async fn with_distilled(&self, text: &str, place: &Place) -> Result<String, LibraryError> {
        let mut manifest: Value = parse("manifest.json", text)?;
        let files = self.listing(place).await?;
        let weights = hub::weight_files(&files, "unet");
        if weights.is_empty() {
            return Err(HubError::NoComponent {
                place: place.name(),
                component: "unet",
            }
            .into());
        }
        let weights: Vec<_> = weights.into_iter().map(|file| place.file(file)).collect();
        let config = self.json(place, "unet/config.json").await?;
        let encodings = manifest["components"]["unet"]["encodings"].clone();
        hub::replace_component(&mut manifest, "unet_distilled", config, &weights, "");
        manifest["components"]["unet_distilled"]["encodings"] = encodings;
        if let Ok(config) = self.json(place, "scheduler/scheduler_config.json").await {
            manifest["schedulers"]["distilled"] = config;
        }
        // The timesteps that DMD2 was distilled at are not this model's.
        manifest["defaults"]["distilled_timesteps"] = Value::Array(Vec::new());
        let base = manifest["name"].as_str().unwrap_or_default();
        let base = base.trim_end_matches(" + DMD2").to_owned();
        manifest["description"] = format!(
            "{base} as the base, {} as the distilled model.",
            place.name()
        )
        .into();
        manifest["name"] = format!("{base} + {}", place.name()).into();
        self.licensed(&mut manifest, place);
        Ok(manifest.to_string())
    }

    /// SDXL's base replaced by a single checkpoint file.
    async fn checkpoint(&self, url: &str) -> Result<String, LibraryError> {
        let mut manifest = self.template().await?;
        let header = source::fetch_header(url).await?;
        let name = source::file_name(url);
        let header = Header::parse(&name, &header)?;
        if header.naming != names::Naming::Checkpoint {
            return Err(LibraryError::NoCheckpoint(name));
        }
        let file = ManifestFile {
            path: name.clone(),
            url: Some(url.into()),
            ..ManifestFile::default()
        };
        let stored: BTreeSet<String> = header
            .tensors
            .iter()
            .flat_map(|tensor| header.naming.stored_names(&tensor.name))
            .filter_map(|stored| Some(stored.name.split_once('.')?.0.to_owned()))
            .collect();
        for component in ["unet", "text_encoder", "text_encoder_2", "vae"] {
            if stored.contains(component) {
                let config = manifest["components"][component]["config"].clone();
                let files = std::slice::from_ref(&file);
                let prefix = format!("{component}.");
                hub::replace_component(&mut manifest, component, config, files, &prefix);
            }
        }
        manifest["name"] = format!("{name} + DMD2").into();
        manifest["id"] = "added".into();
        manifest["description"] = format!(
            "The checkpoint {name} as the base, with DMD2's distillation LoRA for the steps after the \
             first."
        )
        .into();
        let place = Place::Folder(url.into());
        self.licensed(&mut manifest, &place);
        Ok(manifest.to_string())
    }

    /// Adds that a place has a licence of its own, which this page doesn't know.
    fn licensed(&self, manifest: &mut Value, place: &Place) {
        let licence = serde_json::json!({
            "name": format!("the licence of {}", place.name()),
            "url": place.page(self.hub()),
        });
        if let Some(licences) = manifest["licences_to_accept"].as_array_mut() {
            licences.insert(0, licence);
        }
    }

    async fn json(&self, place: &Place, path: &str) -> Result<Value, LibraryError> {
        let url = match place {
            Place::Hub(hub) => hub.file_address(self.hub(), path),
            Place::Folder(folder) => format!("{folder}{path}"),
        };
        parse(path, &source::fetch_text(&url).await?)
    }

    async fn listing(&self, place: &Place) -> Result<Vec<ListedFile>, LibraryError> {
        let folder = match place {
            Place::Hub(hub) => {
                let text = source::fetch_text(&hub.listing_address(self.hub())).await?;
                return Ok(hub::listing(&place.name(), &text)?);
            }
            Place::Folder(folder) => folder,
        };
        // A static host has no list: what may be there is asked for.
        let mut files = Vec::new();
        for component in ["unet", "text_encoder", "text_encoder_2", "vae"] {
            for stem in ["diffusion_pytorch_model", "model"] {
                for variant in [".fp16", ""] {
                    let path = format!("{component}/{stem}{variant}.safetensors");
                    if let Ok(probe) = source::probe(&format!("{folder}{path}")).await {
                        files.push(ListedFile {
                            path,
                            size: probe.size,
                            sha256: probe.sha256,
                        });
                    }
                }
            }
        }
        Ok(files)
    }
}

/// Where a model in diffusers' layout is.
enum Place {
    Hub(HubRepository),
    /// With a slash at its end.
    Folder(String),
}

impl Place {
    fn name(&self) -> String {
        match self {
            Place::Hub(hub) => hub.repository.clone(),
            Place::Folder(folder) => folder.trim_end_matches('/').to_owned(),
        }
    }

    /// Where people read about it.
    fn page(&self, hub_address: &str) -> String {
        match self {
            Place::Hub(hub) => format!("{}/{}", hub_address.trim_end_matches('/'), hub.repository),
            Place::Folder(folder) => folder.clone(),
        }
    }

    fn file(&self, file: &ListedFile) -> ManifestFile {
        let (hub, url) = match self {
            Place::Hub(hub) => (Some(hub.clone()), None),
            Place::Folder(folder) => (None, Some(format!("{folder}{}", file.path))),
        };
        ManifestFile {
            path: file.path.clone(),
            hub,
            url,
            size: if file.sha256.is_some() { file.size } else { 0 },
            sha256: file.sha256.clone().unwrap_or_default(),
            ..ManifestFile::default()
        }
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
    let missing = missing(manifest, files, begun);
    let stored_of = |id: &str| {
        let complete = files.get(id).map(|record| record.stored);
        complete
            .or_else(|| begun.get(id).map(|progress| progress.stored))
            .unwrap_or(0)
    };
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
    } else if record.is_some_and(|record| record.is_kept) && stored > 0 || stored > shared {
        PairState::Partial
    } else {
        PairState::Absent
    };
    PairEntry {
        address,
        name: manifest.name.clone(),
        description: manifest.description.clone(),
        origin,
        licence: manifest.licence.name.clone(),
        image_size: manifest.image_size.into(),
        state,
        begun: record.is_some_and(|record| record.is_kept),
        download_size: is_known.then_some(size),
        missing: is_known.then_some(missing),
        stored,
        shared,
        shared_with: shared_with.into_iter().collect(),
        last_used: record.map(|record| record.last_used).filter(|at| *at > 0.0),
    }
}

/// Bytes of a pair that are still to be fetched.
pub(super) fn missing(
    manifest: &Manifest,
    files: &BTreeMap<String, FileRecord>,
    begun: &BTreeMap<String, FileProgress>,
) -> u64 {
    manifest
        .files()
        .into_iter()
        .filter(|file| !files.contains_key(&file.id))
        .map(|file| {
            let there = begun.get(&file.id).map_or(0, |progress| progress.position);
            file.size.saturating_sub(there)
        })
        .sum()
}

/// The JSON of a manifest at `url` for a place elsewhere: files that lie beside it are named by their
/// addresses, and the others of its family, which lie there too, are left out.
fn placed(url: &str, text: &str) -> Result<Value, LibraryError> {
    let mut json: Value = parse(url, text)?;
    let components = json["components"].as_object_mut().into_iter().flatten();
    let files = components
        .filter_map(|(_, component)| component["files"].as_array_mut())
        .flatten();
    for place in files {
        let file: ManifestFile = from_value(url, place.clone())?;
        if !file.is_elsewhere() {
            place["url"] = source::file_address(url, &file.path)?.into();
        }
    }
    if let Some(manifest) = json.as_object_mut() {
        manifest.remove("family");
    }
    Ok(json)
}

fn parse<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, LibraryError> {
    serde_json::from_str(text).map_err(|error| LibraryError::Json {
        file: file.into(),
        reason: error.to_string(),
    })
}

fn from_value<T: serde::de::DeserializeOwned>(file: &str, json: Value) -> Result<T, LibraryError> {
    serde_json::from_value(json).map_err(|error| LibraryError::Json {
        file: file.into(),
        reason: error.to_string(),
    })
}
