//! Pairs that a visitor adds: from a manifest, or with a model of a hub, of a folder, of a single file or of the
//! disk in the place of SDXL's base, and another one in the place of the distilled model.

mod compose;
mod place;

use std::collections::BTreeMap;

use serde_json::Value;

use super::catalogue::Pairs;
use super::error::{LibraryError, from_value, parse};
use crate::browser::opened_file::OpenedFile;
use crate::loader::scheduling;
use crate::protocol::loader::PairSource;
use crate::weights::download::network::disk::DiskFile;
use crate::weights::download::network::source::{self, patiently, unless_missing};
use crate::weights::format::kind::FileKind;
use crate::weights::format::safetensors::ENDING;
use crate::weights::format::sha256::sha256;
use crate::weights::manifest::hub::{self, HubError, ModelAddress};
use crate::weights::manifest::{
    Manifest, ManifestError, ManifestFile, disk_address, without_secrets,
};
use crate::weights::stored::files::ADDED;
use crate::weights::stored::store::PairRecord;
use compose::Distilled;
use place::{Model, Place, SingleFile};

/// The manifest in which a visitor's model replaces the base. It has a distillation LoRA, which fits
/// every model that was tuned from the same base.
const TEMPLATE: &str = "pairs/sdxl-dmd2-lora.json";

/// A model that was found at what the visitor gave.
pub(super) enum Found {
    /// A model in diffusers' layout.
    Model(Model),
    /// A safetensors file.
    File(Box<SingleFile>),
}

impl Pairs {
    /// Adds a pair and returns its address.
    pub async fn add(&mut self, source: &PairSource) -> Result<String, LibraryError> {
        self.read_own().await?;
        let text = match source {
            PairSource::Manifest(text) => text.clone(),
            PairSource::Typed(text) => {
                let address = ModelAddress::parse_for(text, self.hub())?;
                self.typed(address).await?
            }
            PairSource::Disk(files) => self.opened(files).await?,
        };
        let manifest = Manifest::parse(&text)?;
        scheduling::schedulers_of(&manifest)?;
        let address = format!("{ADDED}{}", &sha256(text.as_bytes())[..16]);
        // A dropped file has no address to which paths could be relative.
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

    /// The manifest of what was typed.
    async fn typed(&mut self, address: ModelAddress) -> Result<String, LibraryError> {
        match address {
            ModelAddress::Manifest(url) => self.distant_manifest(&url).await,
            ModelAddress::Folder(folder) => {
                let manifest = format!("{folder}manifest.json");
                let text = patiently("manifest.json", || source::fetch_text(&manifest)).await;
                match unless_missing(text)? {
                    Some(text) => absolute_manifest(&manifest, &text),
                    // A folder without a manifest is not a pack, but in diffusers' layout.
                    None => {
                        let model = self.open(Place::Folder(folder)).await?;
                        self.with_base(&Found::Model(model)).await
                    }
                }
            }
            ModelAddress::Pair {
                base,
                distilled,
                strength,
            } => {
                let base = self.find(*base).await?;
                let text = self.with_base(&base).await?;
                let distilled = self.find(*distilled).await?;
                self.with_distilled(&text, &distilled, strength).await
            }
            address => {
                let base = self.find(address).await?;
                self.with_base(&base).await
            }
        }
    }

    /// The model at an address.
    pub(super) async fn find(&mut self, address: ModelAddress) -> Result<Found, LibraryError> {
        let place = match address {
            ModelAddress::Base(hub) => Place::Hub(hub, String::new()),
            ModelAddress::Subfolder(hub, folder) => Place::Hub(hub, format!("{folder}/")),
            ModelAddress::Folder(folder) => Place::Folder(folder),
            ModelAddress::Checkpoint(url) => {
                return Ok(Found::File(Box::new(self.single_at(&url).await?)));
            }
            ModelAddress::CivitaiModel(model) => {
                let url = hub::model_address(model);
                let text = patiently("Civitai's answer", || source::fetch_text(&url)).await?;
                let answer: Value = parse("Civitai's answer", &text)?;
                let file = hub::newest_file(&answer).ok_or(HubError::CivitaiModel { model })?;
                return Ok(Found::File(Box::new(self.single_at(&file).await?)));
            }
            ModelAddress::Manifest(url) => {
                let text = without_secrets(&url);
                let kind = "a manifest, which is a pair by itself";
                return Err(HubError::Page { text, kind }.into());
            }
            // What was typed has at most two parts.
            ModelAddress::Pair { .. } => return Err(LibraryError::NothingOpened),
        };
        Ok(Found::Model(self.open(place).await?))
    }

    /// The manifest of files that were opened from the disk.
    async fn opened(&mut self, opened: &[OpenedFile]) -> Result<String, LibraryError> {
        // A folder's files are known by their paths in it, without its own name.
        let root = opened.iter().find_map(|file| {
            let unet = file.path.strip_suffix("unet/config.json")?;
            Some(unet.to_owned())
        });
        let mut files = BTreeMap::new();
        for file in opened {
            let Some(path) = file.path.strip_prefix(root.as_deref().unwrap_or_default()) else {
                continue;
            };
            let on_disk = DiskFile {
                name: file.path.clone(),
                size: file.size,
                file: file.file.clone(),
            };
            let address = disk_address(&file.path, file.size, file.modified);
            self.disk.insert(address, on_disk.clone());
            files.insert(path.to_owned(), (on_disk, file.modified));
        }
        let model = self.open(Place::Disk(files)).await?;
        if root.is_some() {
            return self.with_base(&Found::Model(model)).await;
        }
        let mut base = None;
        let mut distilled = None;
        for file in model
            .files
            .iter()
            .filter(|file| file.path.ends_with(ENDING))
        {
            let mut file = self.single_of(&model, file).await?;
            file.name = file.entry.name().to_owned();
            let place = match FileKind::of(&file.header) {
                FileKind::Checkpoint if base.is_none() => &mut base,
                FileKind::Checkpoint | FileKind::UNet | FileKind::Adapter => &mut distilled,
                FileKind::Other(kind) => {
                    return Err(LibraryError::NoCheckpoint {
                        file: file.name,
                        kind,
                        advice: String::new(),
                    });
                }
            };
            if let Some(other) = place.replace(file) {
                return Err(HubError::Several {
                    place: "What was opened".into(),
                    first: other.name,
                    second: "another file".into(),
                }
                .into());
            }
        }
        let text = match base {
            Some(base) => self.with_base(&Found::File(Box::new(base))).await?,
            None if distilled.is_some() => self.template().await?.to_string(),
            None => return Err(LibraryError::NothingOpened),
        };
        match distilled {
            Some(file) => {
                let file = Found::File(Box::new(file));
                self.with_distilled(&text, &file, None).await
            }
            None => Ok(text),
        }
    }

    /// The JSON of a manifest on another host, with absolute addresses of its files.
    async fn distant_manifest(&self, url: &str) -> Result<String, LibraryError> {
        let text = patiently("the manifest", || source::fetch_text(url)).await?;
        absolute_manifest(url, &text)
    }

    async fn template(&self) -> Result<Value, LibraryError> {
        let url = self.url(TEMPLATE)?;
        let text = patiently("the template", || source::fetch_text(&url)).await?;
        Manifest::parse(&text)?;
        with_absolute_addresses(&url, &text)
    }

    /// The template with another model in the place of SDXL's base.
    async fn with_base(&self, base: &Found) -> Result<String, LibraryError> {
        let mut manifest = self.template().await?;
        match base {
            Found::Model(model) => match self.only_file(model).await? {
                Some(file) => compose::put_checkpoint(&mut manifest, &file)?,
                None => self.put_base(&mut manifest, model).await?,
            },
            Found::File(file) => compose::put_checkpoint(&mut manifest, file)?,
        }
        Ok(manifest.to_string())
    }

    /// The manifest with another distilled model.
    async fn with_distilled(
        &self,
        text: &str,
        found: &Found,
        strength: Option<f32>,
    ) -> Result<String, LibraryError> {
        let mut manifest: Value = parse("manifest.json", text)?;
        let distilled = match found {
            Found::Model(model) => self.distilled_of(model).await?,
            Found::File(file) => Distilled::of_file(file, None)?,
        };
        let known = hub::known_distilled(&distilled.name, distilled.is_adapter());
        let known = known.and_then(|address| self.own(address));
        compose::put_distilled(&mut manifest, distilled, strength, known);
        Ok(manifest.to_string())
    }

    /// The distilled model that a location has: a UNet in its folder, or a file at the root.
    async fn distilled_of(&self, model: &Model) -> Result<Distilled, LibraryError> {
        let place = model.place.name();
        let weights = self.weights(model, "unet").await?;
        if !weights.is_empty() {
            let config = self.json(model, "unet/config.json").await?;
            let scheduler = self.scheduler_config(model).await?;
            let page = model.place.page(self.hub());
            return Distilled::of_unet(place, page, weights, config, scheduler);
        }
        let Some(found) = hub::distilled_file(&place, &model.files)? else {
            return Err(HubError::NoDistilled { place }.into());
        };
        let file = self.single_of(model, found.file).await?;
        let adapter_config = match FileKind::of(&file.header) {
            FileKind::Adapter => self.json(model, "adapter_config.json").await?,
            _ => None,
        };
        Distilled::of_file(&file, adapter_config)
    }
}

/// The JSON of a manifest at this address, with absolute addresses of its files.
fn absolute_manifest(url: &str, text: &str) -> Result<String, LibraryError> {
    // A web page in its place is called one.
    let _: Value = parse("manifest.json", text)?;
    Manifest::parse(text)?;
    Ok(with_absolute_addresses(url, text)?.to_string())
}

/// The JSON of the manifest at `url`, to be read from another place: its relative paths become absolute
/// addresses, and its family, whose manifests have relative paths, is left out.
fn with_absolute_addresses(url: &str, text: &str) -> Result<Value, LibraryError> {
    let mut json: Value = parse(url, text)?;
    let components = json
        .get_mut("components")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten();
    let files = components
        .filter_map(|(_, component)| component.get_mut("files")?.as_array_mut())
        .flatten();
    for place in files {
        let file: ManifestFile = from_value(url, place.clone())?;
        if let Some(entry) = place.as_object_mut().filter(|_| !file.is_elsewhere()) {
            let address = source::file_address(url, &file.path)?;
            entry.insert("url".into(), address.into());
        }
    }
    if let Some(manifest) = json.as_object_mut() {
        manifest.remove("family");
    }
    Ok(json)
}
