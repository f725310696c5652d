//! Where the files of an added model are: in a hub's repository, below an address, or on the visitor's disk.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::loader::worker::catalogue::Pairs;
use crate::loader::worker::error::{LibraryError, parse};
use crate::sampler::SchedulerConfig;
use crate::weights::download::network::disk::DiskFile;
use crate::weights::download::network::source::{
    self, HeaderError, SourceError, patiently, unless_missing,
};
use crate::weights::format::safetensors::{ENDING, Header};
use crate::weights::manifest::hub::{self, HubError, ListedFile};
use crate::weights::manifest::weight_files::{
    HALF_PRECISION_FIRST, STEMS, files_in_index, index_names,
};
use crate::weights::manifest::{
    HubRepository, ManifestFile, decoded, disk_address, without_secrets,
};

/// The folders of a model in diffusers' layout whose weights are taken.
pub(super) const COMPONENTS: [&str; 4] = ["unet", "text_encoder", "text_encoder_2", "vae"];
/// Where a model in diffusers' layout has its scheduler.
const SCHEDULER: &str = "scheduler/scheduler_config.json";
/// Adapters that may lie at the root of a folder.
const ROOT_ADAPTERS: [&str; 2] = ["pytorch_lora_weights", "adapter_model"];
/// The most pages of a hub's list that are followed: a hundred thousand files.
const MOST_PAGES: usize = 100;

/// The location of a model.
pub(super) enum Place {
    /// A repository, and a folder in it with a slash at its end, or nothing.
    Hub(HubRepository, String),
    /// An address with a slash at its end.
    Folder(String),
    /// Files of the disk, by their paths in the folder that was opened.
    Disk(BTreeMap<String, (DiskFile, u64)>),
}

/// A location with the files that it is known to have, by their paths in it.
pub(in crate::loader::worker) struct Model {
    pub(super) place: Place,
    pub files: Vec<ListedFile>,
}

/// A single safetensors file.
pub(in crate::loader::worker) struct SingleFile {
    /// What it is called.
    pub name: String,
    /// Its entry in a manifest.
    pub entry: ManifestFile,
    pub header: Header,
    /// The address of its page for people; none of a file of the disk.
    pub page: Option<String>,
}

impl Place {
    pub fn name(&self) -> String {
        match self {
            Place::Hub(hub, folder) if folder.is_empty() => hub.repository.clone(),
            Place::Hub(hub, folder) => {
                format!("{}/{}", hub.repository, folder.trim_end_matches('/'))
            }
            Place::Folder(folder) => folder.trim_end_matches('/').to_owned(),
            Place::Disk(files) => {
                let mut tops = files.values().map(|(file, _)| file.name.as_str());
                let first = tops.next().unwrap_or("the opened folder");
                first.split('/').next().unwrap_or(first).to_owned()
            }
        }
    }

    /// The address of its page for people; none for files of the disk.
    pub fn page(&self, hub_address: &str) -> Option<String> {
        match self {
            Place::Hub(hub, _) => Some(hub.page_address(hub_address)),
            Place::Folder(folder) => Some(folder.clone()),
            Place::Disk(_) => None,
        }
    }

    /// A file's entry in a manifest.
    pub fn file(&self, file: &ListedFile) -> ManifestFile {
        let known = ManifestFile {
            path: file.path.clone(),
            size: if file.sha256.is_some() { file.size } else { 0 },
            sha256: file.sha256.clone().unwrap_or_default(),
            ..ManifestFile::default()
        };
        match self {
            Place::Hub(hub, folder) => ManifestFile {
                path: format!("{folder}{}", file.path),
                hub: Some(hub.clone()),
                ..known
            },
            Place::Folder(folder) => ManifestFile {
                url: Some(format!("{folder}{}", file.path)),
                ..known
            },
            Place::Disk(files) => {
                let modified = files.get(&file.path).map_or(0, |(_, modified)| *modified);
                let name = files.get(&file.path).map(|(file, _)| file.name.clone());
                disk_entry(&name.unwrap_or_default(), file.size, modified)
            }
        }
    }
}

/// The entry in a manifest of a file of the disk.
fn disk_entry(path: &str, size: u64, modified: u64) -> ManifestFile {
    ManifestFile {
        path: path.to_owned(),
        url: Some(disk_address(path, size, modified)),
        size,
        validator: modified.to_string(),
        ..ManifestFile::default()
    }
}

impl Pairs {
    /// Looks at what a location has.
    pub(super) async fn open(&self, place: Place) -> Result<Model, LibraryError> {
        match place {
            Place::Hub(hub, folder) => {
                let (hub, files) = self.repository_files(&hub).await?;
                let own = files.into_iter().filter_map(|file| {
                    let path = file.path.strip_prefix(&folder)?.to_owned();
                    Some(ListedFile { path, ..file })
                });
                Ok(Model {
                    files: own.collect(),
                    place: Place::Hub(hub, folder),
                })
            }
            Place::Folder(folder) => {
                let files = probed_files(&folder).await?;
                Ok(Model {
                    files,
                    place: Place::Folder(folder),
                })
            }
            Place::Disk(files) => Ok(Model {
                files: files
                    .iter()
                    .map(|(path, (file, _))| ListedFile {
                        path: path.clone(),
                        size: file.size,
                        sha256: None,
                    })
                    .collect(),
                place: Place::Disk(files),
            }),
        }
    }

    /// All files of a repository, and the name that it has today.
    async fn repository_files(
        &self,
        hub: &HubRepository,
    ) -> Result<(HubRepository, Vec<ListedFile>), LibraryError> {
        let mut url = hub.listing_address(self.hub());
        let mut files = Vec::new();
        let mut found = None;
        for _ in 0..MOST_PAGES {
            let answer = patiently(&hub.repository, || source::fetch_answer(&url)).await;
            let name = format!("the list of the files of {}", hub.repository);
            let answer = answer.map_err(|error| refused(hub, error.about(&name)))?;
            files.extend(hub::listing(&hub.repository, &answer.text)?);
            found.get_or_insert_with(|| hub.renamed(&answer.url));
            match hub::next_page(&answer.link, &url) {
                Some(next) => url = next,
                None => return Ok((found.unwrap_or_else(|| hub.clone()), files)),
            }
        }
        Err(HubError::Pages {
            place: hub.repository.clone(),
            pages: MOST_PAGES,
        }
        .into())
    }

    /// A text file of a model; none where the model has no such file.
    async fn text(&self, model: &Model, path: &str) -> Result<Option<String>, LibraryError> {
        match &model.place {
            Place::Hub(..) if !model.files.iter().any(|file| file.path == path) => Ok(None),
            Place::Hub(hub, folder) => {
                let url = hub.file_address(self.hub(), &format!("{folder}{path}"));
                let text = patiently(path, || source::fetch_text(&url)).await;
                unless_missing(text).map_err(|error| refused(hub, error))
            }
            Place::Folder(folder) => {
                let url = format!("{folder}{path}");
                let text = patiently(path, || source::fetch_text(&url)).await;
                Ok(unless_missing(text)?)
            }
            Place::Disk(files) => match files.get(path) {
                Some((file, _)) => Ok(Some(file.text().await?)),
                None => Ok(None),
            },
        }
    }

    /// A JSON file of a model; none where the model has no such file.
    pub(super) async fn json(
        &self,
        model: &Model,
        path: &str,
    ) -> Result<Option<Value>, LibraryError> {
        let text = self.text(model, path).await?;
        text.map(|text| parse(path, &text)).transpose()
    }

    /// The configuration of a model's scheduler, which Python writes with numbers that JSON hasn't; none
    /// where the model has no such file.
    pub(super) async fn scheduler_config(
        &self,
        model: &Model,
    ) -> Result<Option<Value>, LibraryError> {
        let Some(text) = self.text(model, SCHEDULER).await? else {
            return Ok(None);
        };
        match SchedulerConfig::parse_text(&text) {
            Ok(config) => Ok(Some(config)),
            // A web page in its place is called one.
            Err(_) => parse(SCHEDULER, &text).map(Some),
        }
    }

    /// The entries of a component's weights; nothing where it has none.
    pub(super) async fn weights(
        &self,
        model: &Model,
        component: &str,
    ) -> Result<Vec<ManifestFile>, LibraryError> {
        let files = match hub::index_of(&model.files, component) {
            None => hub::weight_files(&model.files, component),
            Some(path) => {
                let index = self.text(model, &path).await?.unwrap_or_default();
                hub::files_by_index(&model.files, component, &index)
            }
        };
        Ok(files
            .into_iter()
            .map(|file| model.place.file(file))
            .collect())
    }

    /// The only safetensors file beside a repository's README where it has no model in diffusers' layout; none
    /// where it has.
    pub(in crate::loader::worker) async fn only_file(
        &self,
        model: &Model,
    ) -> Result<Option<SingleFile>, LibraryError> {
        if model
            .files
            .iter()
            .any(|file| file.path.starts_with("unet/"))
        {
            return Ok(None);
        }
        let mut files = model
            .files
            .iter()
            .filter(|file| !file.path.contains('/') && file.path.ends_with(ENDING));
        match (files.next(), files.next()) {
            (None, _) => Ok(None),
            (Some(file), None) => self.single_of(model, file).await.map(Some),
            (Some(first), Some(second)) => Err(HubError::Several {
                place: model.place.name(),
                first: first.path.clone(),
                second: second.path.clone(),
            }
            .into()),
        }
    }

    /// A safetensors file of a model, with its header.
    pub(super) async fn single_of(
        &self,
        model: &Model,
        file: &ListedFile,
    ) -> Result<SingleFile, LibraryError> {
        let entry = model.place.file(file);
        let bytes = match &model.place {
            Place::Disk(files) => match files.get(&file.path) {
                Some((file, _)) => file.header().await?,
                None => return Err(LibraryError::NothingOpened),
            },
            Place::Hub(..) | Place::Folder(_) => {
                source::fetch_header(&self.file_address("", &entry)?).await?
            }
        };
        Ok(SingleFile {
            name: format!("{}/{}", model.place.name(), file.path),
            header: Header::parse(&file.path, &bytes)?,
            entry,
            page: model.place.page(self.hub()),
        })
    }

    /// The safetensors file at an address. What is secret in the address is kept in memory, and used nowhere but
    /// in requests.
    pub(super) async fn single_at(&mut self, url: &str) -> Result<SingleFile, LibraryError> {
        let public = without_secrets(url);
        if public != url {
            self.secrets.insert(public.clone(), url.to_owned());
        }
        let entry = match hub::file_at_hub(&public, self.hub()) {
            Some((hub, path)) => ManifestFile {
                path,
                hub: Some(hub),
                ..ManifestFile::default()
            },
            None => ManifestFile {
                path: label(&public),
                url: Some(public.clone()),
                ..ManifestFile::default()
            },
        };
        let name = entry.name().to_owned();
        let bytes = source::fetch_header(&self.file_address("", &entry)?).await;
        let bytes = bytes.map_err(|error| match (error, &entry.hub) {
            (HeaderError::Source(error), Some(hub)) => refused_file(hub, error),
            (HeaderError::Source(SourceError::Unreachable { .. }), None)
                if hub::is_civitai(&public) =>
            {
                HubError::Civitai.into()
            }
            (error, _) => error.into(),
        })?;
        Ok(SingleFile {
            header: Header::parse(&name, &bytes)?,
            name,
            entry,
            page: Some(public.split('?').next().unwrap_or(&public).to_owned()),
        })
    }
}

/// What a file at an address is called: its name there, with the ending that it has by what it is.
fn label(url: &str) -> String {
    if let Some(version) = hub::version_of(url) {
        return format!("civitai-{version}{ENDING}");
    }
    let name = decoded(&source::file_name(url));
    let name: String = name
        .chars()
        .filter(|it| !it.is_control() && !matches!(it, '/' | '\\'))
        .collect();
    let name = name.trim_start_matches('.');
    match name {
        "" => format!("model{ENDING}"),
        _ if name.ends_with(ENDING) => name.to_owned(),
        _ => format!("{name}{ENDING}"),
    }
}

/// What it means that a hub refuses a question about a repository.
fn refused(hub: &HubRepository, error: SourceError) -> LibraryError {
    match &error {
        SourceError::Status { status, code, .. } => match hub::refusal(hub, *status, code) {
            Some(refusal) => refusal.into(),
            None => error.into(),
        },
        _ => error.into(),
    }
}

/// As [`refused`], of a file: a 404 speaks of the file, unless the hub says otherwise.
fn refused_file(hub: &HubRepository, error: SourceError) -> LibraryError {
    match &error {
        SourceError::Status {
            status: 404, code, ..
        } if !matches!(code.as_str(), "RepoNotFound" | "RevisionNotFound") => error.into(),
        _ => refused(hub, error),
    }
}

/// The weights below an address: a static host has no list, so every usual path is asked for until one is there.
async fn probed_files(folder: &str) -> Result<Vec<ListedFile>, LibraryError> {
    let mut files = Vec::new();
    for component in COMPONENTS {
        files.extend(probed_component(folder, component).await?);
    }
    for stem in ROOT_ADAPTERS {
        files.extend(probed(folder, format!("{stem}{ENDING}")).await?);
    }
    Ok(files)
}

/// The weights of one component below an address.
async fn probed_component(folder: &str, component: &str) -> Result<Vec<ListedFile>, LibraryError> {
    for variant in HALF_PRECISION_FIRST {
        for stem in STEMS {
            let path = format!("{component}/{stem}{variant}{ENDING}");
            if let Some(file) = probed(folder, path).await? {
                return Ok(vec![file]);
            }
        }
        for name in index_names(variant) {
            let url = format!("{folder}{component}/{name}");
            let index = patiently(&name, || source::fetch_text(&url)).await;
            let Some(index) = unless_missing(index)? else {
                continue;
            };
            let mut files = Vec::new();
            for shard in files_in_index(&index) {
                let path = format!("{component}/{shard}");
                let file = probed(folder, path.clone()).await?;
                let missing = || SourceError::Status {
                    file: path,
                    status: 404,
                    code: String::new(),
                    retry_after: None,
                };
                files.push(file.ok_or_else(missing)?);
            }
            if !files.is_empty() {
                return Ok(files);
            }
        }
    }
    Ok(Vec::new())
}

/// The file at a path below an address; none where the host says that it has no such file.
async fn probed(folder: &str, path: String) -> Result<Option<ListedFile>, LibraryError> {
    let url = format!("{folder}{path}");
    let probe = patiently(&path, || source::probe(&url)).await;
    Ok(unless_missing(probe)?.map(|probe| ListedFile {
        path,
        size: probe.size,
        sha256: probe.sha256,
    }))
}
