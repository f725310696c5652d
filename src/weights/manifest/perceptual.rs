//! The manifest of a network that measures pictures: DreamSim, CLIP, or the emoji pair's own classifier. Its
//! files are named, checked and stored as those of a pair.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::component::{Component, rules_of, set_ids};
use super::error::{EARLIEST_MANIFEST_FORMAT, MANIFEST_FORMAT, ManifestError};
use super::file::ManifestFile;
use super::licence::Licence;
use crate::weights::format::rules::EncodingRule;

/// What a network's embeddings are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// DreamSim: its single branch on DINO, or its ensemble.
    DreamSim,
    /// CLIP.
    Clip,
    /// The classifier that was trained on the emoji pair's own sprites.
    EmojiClassifier,
}

/// A further image encoder of a network that consists of several: DreamSim's ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FurtherEncoder {
    /// How pictures are made ready for it, as [`PerceptualManifest::input`].
    pub input: serde_json::Value,
    /// The encoder.
    pub component: Component,
}

/// The parts of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerceptualComponents {
    /// What takes pictures.
    pub image_encoder: Component,
    /// What takes the same pictures beside it: the embeddings stand one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_image_encoders: Vec<FurtherEncoder>,
    /// A low-rank change of the image encoders: DreamSim's. [`Component::adapter_config`] is PEFT's
    /// `adapter_config.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<Component>,
    /// What takes texts: CLIP's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_encoder: Option<Component>,
    /// Of the text encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<Component>,
}

impl PerceptualComponents {
    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Component> {
        let further = self.further_image_encoders.iter_mut();
        let others = [
            &mut self.adapter,
            &mut self.text_encoder,
            &mut self.tokenizer,
        ];
        std::iter::once(&mut self.image_encoder)
            .chain(further.map(|it| &mut it.component))
            .chain(others.into_iter().flatten())
    }

    /// Every component that the network has.
    pub fn iter(&self) -> impl Iterator<Item = &Component> {
        let further = self.further_image_encoders.iter();
        let others = [&self.adapter, &self.text_encoder, &self.tokenizer];
        std::iter::once(&self.image_encoder)
            .chain(further.map(|it| &it.component))
            .chain(others.into_iter().flatten())
    }
}

/// A network that measures pictures: what it is and what it consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerceptualManifest {
    /// As in a pair's manifest.
    pub format: u64,
    /// A short name for folders.
    pub id: String,
    /// What the network is called, as papers write it.
    pub name: String,
    /// What it is, in a sentence or two.
    pub description: String,
    /// Under which licence it may be used.
    pub licence: Licence,
    /// Licences that the visitor has to accept before a download.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licences_to_accept: Vec<Licence>,
    /// Whom the network and its training data are from.
    pub attribution: String,
    /// What its embeddings are taken for.
    pub measure: Measure,
    /// How pictures are made ready for it: `metrics::ModelInput`.
    pub input: serde_json::Value,
    /// The networks and the tokenizer.
    pub components: PerceptualComponents,
}

impl PerceptualManifest {
    /// Reads and checks a manifest. The configs are checked when something is built from them.
    ///
    /// # Errors
    /// [`ManifestError::Malformed`], [`ManifestError::Format`], and what a file's entry can be wrong in.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let parsed: Result<Self, _> = serde_json::from_str(text);
        let mut manifest = parsed.map_err(|error| ManifestError::Malformed {
            reason: error.to_string(),
        })?;
        if !(EARLIEST_MANIFEST_FORMAT..=MANIFEST_FORMAT).contains(&manifest.format) {
            return Err(ManifestError::Format {
                found: manifest.format.to_string(),
            });
        }
        for file in manifest.all_files() {
            file.check()?;
        }
        set_ids(&mut manifest.components.iter_mut().collect::<Vec<_>>());
        Ok(manifest)
    }

    /// How the tensors of a file are stored, as a pair's `rules_of`.
    pub fn rules_of(&self, file: &ManifestFile) -> Vec<EncodingRule> {
        rules_of(self.components.iter(), file)
    }

    /// Every file once, in the order of the components; files of one id are one file.
    pub fn files(&self) -> Vec<&ManifestFile> {
        let mut seen = BTreeSet::new();
        self.all_files()
            .filter(|file| seen.insert(file.id.as_str()))
            .collect()
    }

    /// Every file of every component: one that two of them share is there twice.
    fn all_files(&self) -> impl Iterator<Item = &ManifestFile> {
        self.components.iter().flat_map(|it| &it.files)
    }
}
