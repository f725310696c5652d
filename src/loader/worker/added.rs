//! Pairs that a visitor adds: from a manifest, or with a model of a hub, of a folder or of a single
//! checkpoint in the place of SDXL's base.

#![expect(
    clippy::indexing_slicing,
    reason = "Value makes what is missing, and a manifest that was parsed is an object"
)]

use std::collections::BTreeSet;

use serde_json::Value;

use super::catalogue::Pairs;
use super::error::{LibraryError, from_value, parse};
use crate::loader::scheduling::{self, Marks};
use crate::protocol::loader::PairSource;
use crate::sampler::SchedulerConfig;
use crate::weights::download::network::source::{self, SourceError};
use crate::weights::format::names;
use crate::weights::format::safetensors::Header;
use crate::weights::format::sha256::sha256;
use crate::weights::manifest::hub::{self, HubError, ListedFile, ModelAddress};
use crate::weights::manifest::{HubRepository, Manifest, ManifestError, ManifestFile};
use crate::weights::stored::store::PairRecord;

/// The manifest in which a visitor's model replaces the base. It has a distillation LoRA, which fits
/// every model that was tuned from the same base.
const TEMPLATE: &str = "pairs/sdxl-dmd2-lora.json";
/// Where a model in diffusers' layout has its scheduler, and what its pipeline does beside.
const SCHEDULER: &str = "scheduler/scheduler_config.json";
const MODEL_INDEX: &str = "model_index.json";
/// The beginning of the addresses of added pairs.
pub(super) const ADDED: &str = "added/";

impl Pairs {
    /// Adds a pair and returns its address.
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
                        // A folder without a manifest is not a pack, but in diffusers' layout.
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

    /// The JSON of a manifest on another host, with absolute addresses of its files.
    async fn distant_manifest(&self, url: &str) -> Result<String, LibraryError> {
        let text = source::fetch_text(url).await?;
        Manifest::parse(&text)?;
        Ok(with_absolute_addresses(url, &text)?.to_string())
    }

    async fn template(&self) -> Result<Value, LibraryError> {
        let url = self.url(TEMPLATE)?;
        let text = source::fetch_text(&url).await?;
        Manifest::parse(&text)?;
        with_absolute_addresses(&url, &text)
    }

    /// The template with another model in the place of SDXL's base.
    async fn tuned_base(&self, place: &Place) -> Result<String, LibraryError> {
        let mut manifest = self.template().await?;
        let name = place.name();
        let files = self.listing(place).await?;
        for component in ["unet", "text_encoder", "text_encoder_2", "vae"] {
            let config = self.json(place, &format!("{component}/config.json")).await;
            let weights = hub::weight_files(&files, component);
            // A repository may have a UNet alone: the other components stay SDXL's.
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
        if let Some(config) = self.json_if_there(place, &files, SCHEDULER).await? {
            manifest["schedulers"]["base"] = config;
        }
        if let Some(index) = self.json_if_there(place, &files, MODEL_INDEX).await? {
            manifest["force_zeros_for_empty_prompt"] = scheduling::forces_zeros(&index).into();
        }
        manifest["name"] = format!("{name} + DMD2").into();
        manifest["id"] = "added".into();
        manifest["description"] = format!(
            "{name} as the base, with DMD2's distillation LoRA for the steps after the first."
        )
        .into();
        self.add_licence(&mut manifest, place);
        Ok(manifest.to_string())
    }

    /// The manifest with another distilled model.
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
        if let Some(config) = self.json_if_there(place, &files, SCHEDULER).await? {
            manifest["schedulers"]["distilled"] = config;
        }
        // The template's timesteps are those that DMD2 was distilled at.
        manifest["defaults"]["distilled_timesteps"] = Value::Array(Vec::new());
        let base = manifest["name"].as_str().unwrap_or_default();
        let base = base.trim_end_matches(" + DMD2").to_owned();
        manifest["description"] = format!(
            "{base} as the base, {} as the distilled model.",
            place.name()
        )
        .into();
        manifest["name"] = format!("{base} + {}", place.name()).into();
        self.add_licence(&mut manifest, place);
        Ok(manifest.to_string())
    }

    /// The template with a single checkpoint file in the place of SDXL's base.
    async fn checkpoint(&self, url: &str) -> Result<String, LibraryError> {
        let mut manifest = self.template().await?;
        let header = source::fetch_header(url).await?;
        let name = source::file_name(url);
        let header = Header::parse(&name, &header)?;
        if header.naming != names::Naming::Checkpoint {
            return Err(LibraryError::NoCheckpoint(name));
        }
        let marks = Marks::of(&name, &header)?;
        marks.write_into(&mut manifest["schedulers"]["base"]);
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
             first. {}",
            marks.sentence().unwrap_or_default()
        )
        .trim_end()
        .into();
        let place = Place::Folder(url.into());
        self.add_licence(&mut manifest, &place);
        Ok(manifest.to_string())
    }

    /// Adds the model's own licence, whose name this page doesn't know, to those to accept.
    fn add_licence(&self, manifest: &mut Value, place: &Place) {
        let licence = serde_json::json!({
            "name": format!("the licence of {}", place.name()),
            "url": place.page(self.hub()),
        });
        if let Some(licences) = manifest["licences_to_accept"].as_array_mut() {
            licences.insert(0, licence);
        }
    }

    async fn json(&self, place: &Place, path: &str) -> Result<Value, LibraryError> {
        parse(
            path,
            &source::fetch_text(&self.address_in(place, path)).await?,
        )
    }

    /// A JSON file that a model may lack: none where a hub's list has no such file, or the host of a folder
    /// says so. A host that is busy or fails says nothing of the kind, and another model's file in its place
    /// would draw wrong pictures.
    async fn json_if_there(
        &self,
        place: &Place,
        files: &[ListedFile],
        path: &str,
    ) -> Result<Option<Value>, LibraryError> {
        let is_listed = files.iter().any(|file| file.path == path);
        if matches!(place, Place::Hub(_)) && !is_listed {
            return Ok(None);
        }
        let text = match source::fetch_text(&self.address_in(place, path)).await {
            Ok(text) => text,
            Err(SourceError::Status { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let json = SchedulerConfig::parse_text(&text).map_err(|error| LibraryError::Json {
            file: path.into(),
            reason: error.to_string(),
        })?;
        Ok(Some(json))
    }

    fn address_in(&self, place: &Place, path: &str) -> String {
        match place {
            Place::Hub(hub) => hub.file_address(self.hub(), path),
            Place::Folder(folder) => format!("{folder}{path}"),
        }
    }

    async fn listing(&self, place: &Place) -> Result<Vec<ListedFile>, LibraryError> {
        let folder = match place {
            Place::Hub(hub) => {
                let text = source::fetch_text(&hub.listing_address(self.hub())).await?;
                return Ok(hub::listing(&place.name(), &text)?);
            }
            Place::Folder(folder) => folder,
        };
        // A static host has no listing, so every usual path is probed.
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

/// The location of a model in diffusers' layout, or the address of a checkpoint.
enum Place {
    Hub(HubRepository),
    /// An address with a slash at its end.
    Folder(String),
}

impl Place {
    fn name(&self) -> String {
        match self {
            Place::Hub(hub) => hub.repository.clone(),
            Place::Folder(folder) => folder.trim_end_matches('/').to_owned(),
        }
    }

    /// The address of its page for people.
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

/// The JSON of the manifest at `url`, to be read from another place: its relative paths become absolute
/// addresses, and its family, whose manifests have relative paths, is left out.
fn with_absolute_addresses(url: &str, text: &str) -> Result<Value, LibraryError> {
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
