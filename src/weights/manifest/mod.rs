//! `manifest.json`: everything about a pair of models but the weights themselves.
//!
//! The manifest is the one file of a pair that is asked for anew at each visit. It names every other
//! file with its size and SHA-256, which are of the bytes as they are transferred: a gzipped file is
//! checked before it is unpacked. Files are known by their hash from then on, so two components, or
//! two pairs, that share a file load and store it once.
//!
//! A file may lie on another host, in a hub's repository or at an address. Such an entry may leave
//! out what its host can be asked for, which the loader does before a load. What
//! a file becomes in the store also depends on the encodings that its component asks for, which is
//! why the store knows it by [`ManifestFile::id`] and not by the hash alone.

pub mod hub;
pub mod pack;
pub mod verify;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::footprint::EXPANDED_LIMIT;
use super::format::rules::EncodingRule;
use super::format::sha256::sha256;
use crate::vocabulary::{Vocabulary, VocabularyError};

/// The manifest's format that this program reads and writes.
pub const MANIFEST_FORMAT: u64 = 1;

/// Ending that [`pack`](crate::weights::manifest::pack) gives to gzipped files. It is not `.gz`: hosts take that for a
/// content encoding, and browsers then unpack the bytes before they can be checked.
pub const GZIP_ENDING: &str = ".gzip";

/// Raised when the same bytes and rules give other records than before: the store then takes them
/// for other files, and never mixes the two.
const RECORDS_VERSION: u32 = 1;

/// Ending of a file that is split into tensors.
const TENSORS_ENDING: &str = ".safetensors";

/// Hexadecimal digits of a SHA-256.
const HASH_DIGITS: usize = 64;

/// The largest width or height of an image, in pixels.
const MAXIMUM_IMAGE_SIZE: u32 = 4096;

/// Components without which a pair can't draw.
const REQUIRED_COMPONENTS: [&str; 7] = [
    "unet",
    "unet_distilled",
    "text_encoder",
    "text_encoder_2",
    "vae",
    "tokenizer",
    "tokenizer_2",
];

/// Why a manifest can't be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or a field is missing or of another type.
    #[error(
        "The manifest of the model pair can't be read: {reason}. Ask whoever hosts the pair to mend it."
    )]
    Malformed {
        /// What is wrong, without a full stop.
        reason: String,
    },
    /// Another version of the format.
    #[error(
        "The manifest of the model pair has format {found}; this version of the page reads format \
         {MANIFEST_FORMAT}. Reload the page to get its newest version."
    )]
    Format {
        /// The manifest's format, as it stands there.
        found: String,
    },
    /// A component is not listed.
    #[error(
        "The manifest of the model pair lacks the component {component}, which a pair can't do without."
    )]
    MissingComponent {
        /// The component.
        component: &'static str,
    },
    /// A path that could lead out of the pair's folder.
    #[error(
        "The manifest of the model pair names the file {path}; only plain relative paths below the \
         manifest's own folder are allowed."
    )]
    Path {
        /// The path.
        path: String,
    },
    /// A hash that is not a SHA-256 in lower-case hexadecimal digits.
    #[error(
        "The manifest of the model pair gives the file {path} a SHA-256 that is not {HASH_DIGITS} \
         lower-case hexadecimal digits: {hash}."
    )]
    Hash {
        /// The file.
        path: String,
        /// What stands for its hash.
        hash: String,
    },
    /// A file beside the manifest whose size or hash is not said.
    #[error(
        "The manifest of the model pair doesn't say the size and SHA-256 of the file {path}; only \
         files in a hub's repository or with an address of their own may leave them out."
    )]
    Unresolved {
        /// The file.
        path: String,
    },
    /// An address that files are not loaded from.
    #[error(
        "The manifest of the model pair names the address {url}; only https addresses are loaded \
         from, and http ones of this very machine."
    )]
    Address {
        /// The address.
        url: String,
    },
    /// A hub's repository or revision with characters that none has.
    #[error(
        "The manifest of the model pair names the repository {repository} at {revision}, which is \
         not of the form owner/name with a commit, tag or branch."
    )]
    Repository {
        /// The repository.
        repository: String,
        /// The revision.
        revision: String,
    },
    /// Two entries of one hash that contradict each other.
    #[error(
        "The manifest of the model pair lists the files {first} and {second} with the same SHA-256 \
         but another size or compression."
    )]
    Contradiction {
        /// The entry that comes first.
        first: String,
        /// The entry that differs from it.
        second: String,
    },
    /// An adapter where whole weights belong.
    #[error(
        "The manifest of the model pair says that the component {component} is an adapter; only \
         unet_distilled can be one."
    )]
    Adapter {
        /// The component.
        component: &'static str,
    },
    /// An image without pixels, or with too many.
    #[error(
        "The manifest of the model pair has images of {width} × {height} pixels; each has to be \
         between 1 and {MAXIMUM_IMAGE_SIZE}."
    )]
    ImageSize {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A vocabulary that the page can't show.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
}

/// How a file is packed for the way over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// One gzip member.
    Gzip,
}

/// Where a file lies on a hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubRepository {
    /// `owner/name`.
    pub repository: String,
    /// A commit, tag or branch.
    pub revision: String,
}

/// A file of a pair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// With `/`; relative to the manifest, or in the hub's repository.
    pub path: String,
    /// The repository that it lies in; none: it lies beside the manifest, or at [`Self::url`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubRepository>,
    /// Its address, where it is on another host and in no hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Bytes as transferred; 0: its host has to be asked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// SHA-256 of the bytes as transferred, in lower-case hexadecimal digits; empty: its host has to
    /// be asked, or publishes none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// The validator (`ETag`) that a host without hashes gives the file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub validator: String,
    /// Bytes in the store, where that is known before the file has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_size: Option<u64>,
    /// How the transferred bytes are to be unpacked; none: they are the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// What the store knows the file by, with the encodings that its components ask for. Set by
    /// [`Manifest::parse`].
    #[serde(skip)]
    pub id: String,
}

fn is_zero(size: &u64) -> bool {
    *size == 0
}

impl ManifestFile {
    /// The file's own name once it is unpacked, without folders: `vocab.json`.
    pub fn name(&self) -> &str {
        let name = match self.path.rsplit_once('/') {
            Some((_, name)) => name,
            None => &self.path,
        };
        name.strip_suffix(GZIP_ENDING).unwrap_or(name)
    }

    /// Whether the file is split into tensors.
    pub fn holds_tensors(&self) -> bool {
        self.name().ends_with(TENSORS_ENDING)
    }

    /// Whether the file's host has nothing more to say: the size is known, and the hash or what
    /// stands in for it.
    pub fn is_resolved(&self) -> bool {
        self.size > 0 && (!self.sha256.is_empty() || self.is_elsewhere())
    }

    /// Whether the file's bytes can be checked against a published hash.
    pub fn is_proven(&self) -> bool {
        !self.sha256.is_empty()
    }

    /// Whether the file lies on another host than the manifest.
    pub fn is_elsewhere(&self) -> bool {
        self.hub.is_some() || self.url.is_some()
    }

    /// What tells the transferred bytes from others: their SHA-256, or where nobody publishes that,
    /// a hash of where they are from, how long they are, and their host's validator.
    fn source_id(&self) -> String {
        if !self.sha256.is_empty() {
            return self.sha256.clone();
        }
        let place = match (&self.hub, &self.url) {
            (Some(hub), _) => format!("{}@{}/{}", hub.repository, hub.revision, self.path),
            (None, Some(url)) => url.clone(),
            (None, None) => self.path.clone(),
        };
        sha256(format!("{place}\n{}\n{}", self.size, self.validator).as_bytes())
    }
}

/// The component that an adapter is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterBase {
    /// [`Components::unet`].
    Unet,
}

/// A model or tokenizer of a pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// diffusers' `config.json` (of the model with the adapter on, where there is one), or a
    /// tokenizer's `tokenizer_config.json`.
    pub config: serde_json::Value,
    /// The weights in one or more safetensors files, or a tokenizer's `vocab.json` and `merges.txt`.
    pub files: Vec<ManifestFile>,
    /// Set where the files hold an `adapters::Adapter`: the weights are those of
    /// this component with the adapter merged in. Only [`Components::unet_distilled`] can be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter_on: Option<AdapterBase>,
    /// How the tensors are stored when they arrive in another form; the first rule that fits a tensor
    /// counts, and one without a rule is stored as f16. Empty: as they are in the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encodings: Vec<EncodingRule>,
    /// What stands before the names of this component's tensors in its files, where several share
    /// one, as in a single-file checkpoint: `unet.`, `vae.`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

/// The components by diffusers' names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Components {
    /// The base model.
    pub unet: Component,
    /// The distilled model.
    pub unet_distilled: Component,
    /// CLIP without projection.
    pub text_encoder: Component,
    /// CLIP with projection, whose pooled output conditions the UNets.
    pub text_encoder_2: Component,
    /// The full decoder and encoder.
    pub vae: Component,
    /// A small decoder for previews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiny_decoder: Option<Component>,
    /// Of [`Components::text_encoder`].
    pub tokenizer: Component,
    /// Of [`Components::text_encoder_2`].
    pub tokenizer_2: Component,
}

impl Components {
    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Component> {
        [
            Some(&mut self.unet),
            Some(&mut self.unet_distilled),
            Some(&mut self.text_encoder),
            Some(&mut self.text_encoder_2),
            Some(&mut self.vae),
            self.tiny_decoder.as_mut(),
            Some(&mut self.tokenizer),
            Some(&mut self.tokenizer_2),
        ]
        .into_iter()
        .flatten()
    }

    /// Every component that the pair has, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Component)> {
        [
            ("unet", Some(&self.unet)),
            ("unet_distilled", Some(&self.unet_distilled)),
            ("text_encoder", Some(&self.text_encoder)),
            ("text_encoder_2", Some(&self.text_encoder_2)),
            ("vae", Some(&self.vae)),
            ("tiny_decoder", self.tiny_decoder.as_ref()),
            ("tokenizer", Some(&self.tokenizer)),
            ("tokenizer_2", Some(&self.tokenizer_2)),
        ]
        .into_iter()
        .filter_map(|(name, component)| Some((name, component?)))
    }
}

/// A licence that is shown before a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// Its name.
    pub name: String,
    /// Where its text is.
    pub url: String,
}

/// diffusers' `scheduler_config.json` of both models, verbatim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedulers {
    /// Of the base model.
    pub base: serde_json::Value,
    /// Of the distilled model.
    pub distilled: serde_json::Value,
}

/// What the page starts with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Defaults {
    /// The prompt.
    pub prompt: String,
    /// Prompts that show the pair well.
    pub example_prompts: Vec<String>,
    /// Steps of the base model.
    pub base_steps: u32,
    /// Guidance scale of the base model.
    pub base_guidance: f32,
    /// Steps of the distilled model.
    pub distilled_steps: u32,
    /// The distilled model's timesteps, used when as many steps are asked for; empty: the
    /// scheduler's own.
    #[serde(default)]
    pub distilled_timesteps: Vec<u32>,
    /// Guidance scale of the distilled model.
    pub distilled_guidance: f32,
    /// How many of the distilled model's steps the base model takes in the hybrid.
    pub k: u32,
    /// Guidance scale of the base model's steps in the hybrid.
    pub hybrid_base_guidance: f32,
    /// Steps of the base model in place of each replaced step in the hybrid.
    pub hybrid_base_steps: u32,
    /// The first seed.
    pub seed: u32,
    /// Number of seeds.
    pub seed_count: u32,
}

/// A pair that is offered as a choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyMember {
    /// [`Manifest::name`] of that pair.
    pub name: String,
    /// Path of its manifest, relative to this one.
    pub manifest: String,
}

/// A pair of models: what it is, what it consists of, and how it is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u64,
    /// A short name for links and folders.
    pub id: String,
    /// The pair's name.
    pub name: String,
    /// What it is, in a sentence or two.
    pub description: String,
    /// Under which licence it may be used.
    pub licence: Licence,
    /// Licences that the visitor has to accept before a download.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licences_to_accept: Vec<Licence>,
    /// Whom the training data are from and under which licences.
    pub attribution: String,
    /// Width and height of an image in pixels.
    pub image_size: [u32; 2],
    /// Whether an empty prompt is replaced by zeros, as diffusers' SDXL pipeline may do, instead of
    /// being encoded as text.
    pub force_zeros_for_empty_prompt: bool,
    /// Models and tokenizers.
    pub components: Components,
    /// The models' schedulers.
    pub schedulers: Schedulers,
    /// What the page starts with.
    pub defaults: Defaults,
    /// What the pair was trained to draw, where that can be listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vocabulary>,
    /// The pairs that the page offers in this one's place, this one among them; empty: there is no
    /// choice. They are in the same folder and share the files that are the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub family: Vec<FamilyMember>,
    /// Bytes up to which a component's weights are expanded to `f32` when they are loaded; none:
    /// [`EXPANDED_LIMIT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expanded_limit: Option<u64>,
}

impl Manifest {
    /// Bytes up to which a component's weights are expanded to `f32` when they are loaded; above,
    /// they stay as they are stored.
    pub fn expanded_limit(&self) -> u64 {
        self.expanded_limit.unwrap_or(EXPANDED_LIMIT)
    }

    /// Reads and checks a manifest. Fields that this version doesn't know are ignored; the schedulers
    /// and the models' configs are checked by whoever builds from them.
    ///
    /// # Errors
    /// Everything that [`ManifestError`] lists.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let malformed = |error: serde_json::Error| ManifestError::Malformed {
            reason: error.to_string(),
        };
        let value: serde_json::Value = serde_json::from_str(text).map_err(malformed)?;
        match &value["format"] {
            format if format.as_u64() == Some(MANIFEST_FORMAT) => {}
            serde_json::Value::Null => {
                return Err(ManifestError::Malformed {
                    reason: "it has no field \"format\"".into(),
                });
            }
            format => {
                return Err(ManifestError::Format {
                    found: format.to_string(),
                });
            }
        }
        if let Some(component) = REQUIRED_COMPONENTS
            .into_iter()
            .find(|component| value["components"][component].is_null())
        {
            return Err(ManifestError::MissingComponent { component });
        }
        let mut manifest: Manifest = serde_json::from_value(value).map_err(malformed)?;
        manifest.check()?;
        manifest.set_ids();
        Ok(manifest)
    }

    /// Every file once, in the order of the components; files of one id are one file.
    pub fn files(&self) -> Vec<&ManifestFile> {
        let mut seen = BTreeSet::new();
        self.all_files()
            .filter(|file| seen.insert(file.id.as_str()))
            .collect()
    }

    /// Whether all files lie beside the manifest, in the form in which they are stored: a pack on the
    /// page's own host, which is loaded without a question.
    pub fn is_self_contained(&self) -> bool {
        self.files()
            .into_iter()
            .all(|file| !file.is_elsewhere() && self.rules_of(file).is_empty())
    }

    /// How the tensors of a file are stored, of all components that share it: their names with the
    /// component's [`Component::prefix`] before them. Empty: as they are in the file.
    pub fn rules_of(&self, file: &ManifestFile) -> Vec<EncodingRule> {
        let source = file.source_id();
        let mut rules = Vec::new();
        for (_, component) in self.components.iter() {
            if component.files.iter().any(|it| it.source_id() == source) {
                for rule in &component.encodings {
                    let rule = EncodingRule {
                        tensors: format!("{}{}", component.prefix, rule.tensors),
                        ..rule.clone()
                    };
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
            }
        }
        rules
    }

    /// Whether every file's host has been asked for what the manifest leaves out.
    pub fn is_resolved(&self) -> bool {
        self.all_files().all(ManifestFile::is_resolved)
    }

    fn set_ids(&mut self) {
        let ids: BTreeMap<String, String> = self
            .all_files()
            .map(|file| {
                let source = file.source_id();
                let rules = self.rules_of(file);
                let id = if rules.is_empty() {
                    source.clone()
                } else {
                    // A list of plain fields: there is nothing that could fail to be written.
                    let rules = serde_json::to_string(&rules).unwrap_or_default();
                    sha256(format!("{RECORDS_VERSION}\n{source}\n{rules}").as_bytes())
                };
                (source, id)
            })
            .collect();
        for component in self.components.iter_mut() {
            for file in &mut component.files {
                file.id = ids.get(&file.source_id()).cloned().unwrap_or_default();
            }
        }
    }

    /// Bytes over the network for a first visit, without the manifest itself.
    pub fn download_size(&self) -> u64 {
        self.files()
            .into_iter()
            .fold(0, |sum, file| sum.saturating_add(file.size))
    }

    fn all_files(&self) -> impl Iterator<Item = &ManifestFile> {
        self.components
            .iter()
            .flat_map(|(_, component)| &component.files)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let [width, height] = self.image_size;
        if !(1..=MAXIMUM_IMAGE_SIZE).contains(&width) || !(1..=MAXIMUM_IMAGE_SIZE).contains(&height)
        {
            return Err(ManifestError::ImageSize { width, height });
        }
        if let Some(vocabulary) = &self.vocabulary {
            vocabulary.check()?;
        }
        let manifests = self.family.iter().map(|member| &member.manifest);
        let mut paths = self.all_files().map(|file| &file.path).chain(manifests);
        if let Some(path) = paths.find(|path| !is_plain_relative_path(path)) {
            return Err(ManifestError::Path { path: path.clone() });
        }
        for file in self.all_files() {
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            if !file.is_elsewhere() && file.size == 0 {
                return Err(ManifestError::Unresolved {
                    path: file.path.clone(),
                });
            }
            if let Some(url) = file.url.as_ref().filter(|url| !is_loadable(url)) {
                return Err(ManifestError::Address { url: url.clone() });
            }
            if let Some(HubRepository {
                repository,
                revision,
            }) = file.hub.as_ref().filter(|hub| !is_repository(hub))
            {
                return Err(ManifestError::Repository {
                    repository: repository.clone(),
                    revision: revision.clone(),
                });
            }
            if file.sha256.is_empty() && file.is_elsewhere() {
                continue;
            }
            if file.sha256.len() != HASH_DIGITS || !file.sha256.bytes().all(is_digit) {
                return Err(ManifestError::Hash {
                    path: file.path.clone(),
                    hash: file.sha256.clone(),
                });
            }
        }
        for (component, content) in self.components.iter() {
            if content.adapter_on.is_some() && component != "unet_distilled" {
                return Err(ManifestError::Adapter { component });
            }
        }
        for file in self.all_files().filter(|file| file.is_proven()) {
            let contradicts = |other: &&ManifestFile| {
                other.sha256 == file.sha256
                    && (other.size, other.compression) != (file.size, file.compression)
            };
            if let Some(first) = self.all_files().find(contradicts) {
                return Err(ManifestError::Contradiction {
                    first: first.path.clone(),
                    second: file.path.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Whether a path consists of plain names joined by `/`: no root, no `..`, no scheme, query or
/// percent-encoding that a URL would read otherwise.
fn is_plain_relative_path(path: &str) -> bool {
    path.split('/').all(|name| {
        !name.is_empty()
            && name != "."
            && name != ".."
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    })
}

/// Whether files may be loaded from an address: it can't be read or changed on the way, or there is
/// no way.
pub fn is_loadable(url: &str) -> bool {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    url.starts_with("https://")
        || local.iter().any(|host| {
            url.strip_prefix(host)
                .is_some_and(|rest| rest.starts_with([':', '/']))
        })
}

/// Whether this can be a repository of a hub, with nothing in it that an address would read otherwise.
fn is_repository(hub: &HubRepository) -> bool {
    hub.repository.matches('/').count() == 1
        && is_plain_relative_path(&hub.repository)
        && is_plain_relative_path(&hub.revision)
}
