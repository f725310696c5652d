//! `manifest.json`: everything about a pair of models but the weights themselves.
//!
//! The manifest is the one file of a pair that the page fetches anew at each visit. It names every
//! other file with its size and SHA-256, which are of the bytes as they are transferred: a gzipped file
//! is checked before it is unpacked. Two components, or two pairs, that name the same hash share the
//! file: it is loaded and stored once.
//!
//! A file may lie on another host, in a hub's repository or at an address. Its entry may leave out the
//! size and the hash: the loader asks the host for them before a load. A file's records in the store
//! also depend on the encodings that its component asks for. That is why the store knows a file by
//! [`ManifestFile::id`] and not by the hash alone.

mod component;
mod error;
mod file;
pub mod hub;
mod licence;
pub mod pack;
mod percent;
mod perceptual;
mod secrets;
pub mod verify;
pub mod weight_files;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::footprint::EXPANDED_LIMIT;
use super::format::rules::EncodingRule;
use crate::vocabulary::Vocabulary;

use component::{REQUIRED_COMPONENTS, set_ids};
use error::MAXIMUM_IMAGE_SIZE;
use file::is_plain_relative_path;

pub use component::{AdapterBase, Component, Components};
pub use error::{EARLIEST_MANIFEST_FORMAT, MANIFEST_FORMAT, MAXIMUM_STRENGTH, ManifestError};
pub use file::{Compression, GZIP_ENDING, HubRepository, ManifestFile, disk_address, is_loadable};
pub use licence::Licence;
pub use percent::decoded;
pub use perceptual::{FurtherEncoder, Measure, PerceptualComponents, PerceptualManifest};
pub use secrets::without_secrets;

/// The shortest side of pictures of large models, in pixels: half of what SDXL draws best.
const SMALLEST_SIDE: u32 = 512;
/// The longest side of pictures of large models, in pixels: twice what SDXL draws best.
const LARGEST_SIDE: u32 = 2048;

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
    /// The prompt that stands in the form at first.
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
    /// The first image's seed; each further image has the next one.
    pub seed: u32,
    /// How many images of each row the page starts with.
    pub seed_count: u32,
    /// The rows that the page starts with: base, distilled, hybrid or skip; empty: all but the base,
    /// which takes longest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<String>,
}

/// A pair that is offered as a choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyMember {
    /// [`Manifest::name`] of that pair.
    pub name: String,
    /// Path of its manifest, relative to this one.
    pub manifest: String,
}

/// An adapter that lies beside a pair's files, to be tried with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundledAdapter {
    /// Path of its file, relative to the manifest.
    pub path: String,
    /// What it is called.
    pub title: String,
    /// What it does, in a sentence.
    pub description: String,
    /// A prompt that shows it.
    pub prompt: String,
    /// A strength that shows it.
    pub strength: f32,
}

/// A pair of models: what it is, what it consists of, and how it is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// From [`EARLIEST_MANIFEST_FORMAT`] to [`MANIFEST_FORMAT`].
    pub format: u64,
    /// A short name for links and folders.
    pub id: String,
    /// What the page calls the pair.
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
    /// The shortest and the longest side of pictures of other sizes, in pixels; none:
    /// [`Manifest::image_sides`] says what holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_sides: Option<(u32, u32)>,
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
    /// Adapters that lie beside the pair.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<BundledAdapter>,
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

    /// The shortest and the longest side of pictures of other sizes than the pair's own, in pixels;
    /// none where there are no others. Models of 512 pixels and more were trained in many sizes, also
    /// where their manifest says nothing of it.
    pub fn image_sides(&self) -> Option<(u32, u32)> {
        let is_large = self.image_size.iter().all(|side| *side >= SMALLEST_SIDE);
        self.image_sides
            .or_else(|| is_large.then_some((SMALLEST_SIDE, LARGEST_SIDE)))
    }

    /// The size of pictures to plan for where one is asked for: the pair's own in place of one that it
    /// doesn't draw.
    pub fn drawn_size(&self, asked: Option<[u32; 2]>) -> [u32; 2] {
        let is_drawn = |size: &[u32; 2]| {
            self.image_sides().is_some_and(|(shortest, longest)| {
                size.iter().all(|side| (shortest..=longest).contains(side))
            })
        };
        asked.filter(is_drawn).unwrap_or(self.image_size)
    }

    /// Reads and checks a manifest. Fields that this version doesn't know are ignored; the schedulers'
    /// and the models' configs are checked when something is built from them.
    ///
    /// # Errors
    /// Everything that [`ManifestError`] lists.
    #[expect(
        clippy::indexing_slicing,
        reason = "to read what a Value lacks gives null"
    )]
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let malformed = |error: serde_json::Error| ManifestError::Malformed {
            reason: error.to_string(),
        };
        let value: serde_json::Value = serde_json::from_str(text).map_err(malformed)?;
        match &value["format"] {
            format
                if format.as_u64().is_some_and(|format| {
                    (EARLIEST_MANIFEST_FORMAT..=MANIFEST_FORMAT).contains(&format)
                }) => {}
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
        component::rules_of(self.components.iter().map(|(_, it)| it), file)
    }

    /// Whether every file's host has been asked for what the manifest leaves out.
    pub fn is_resolved(&self) -> bool {
        self.all_files().all(ManifestFile::is_resolved)
    }

    fn set_ids(&mut self) {
        set_ids(&mut self.components.iter_mut().collect::<Vec<_>>());
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
        if let Some((shortest, longest)) = self.image_sides
            && !(1..=longest.min(MAXIMUM_IMAGE_SIZE)).contains(&shortest)
        {
            return Err(ManifestError::ImageSides { shortest, longest });
        }
        if let Some(vocabulary) = &self.vocabulary {
            vocabulary.check()?;
        }
        let manifests = self.family.iter().map(|member| &member.manifest);
        let adapters = self.adapters.iter().map(|adapter| &adapter.path);
        let mut manifests = manifests
            .chain(adapters)
            .filter(|path| !is_plain_relative_path(path));
        if let Some(path) = manifests.next() {
            return Err(ManifestError::Path { path: path.clone() });
        }
        for file in self.all_files() {
            file.check()?;
        }
        for (component, content) in self.components.iter() {
            if content.adapter_on.is_some() && component != "unet_distilled" {
                return Err(ManifestError::Adapter { component });
            }
            if let Some(strength) = content.strength
                && !(-MAXIMUM_STRENGTH..=MAXIMUM_STRENGTH).contains(&strength)
            {
                return Err(ManifestError::Strength {
                    component,
                    strength,
                });
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
