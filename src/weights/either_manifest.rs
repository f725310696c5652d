//! A manifest of a pair or of a network that measures pictures: they are loaded and stored alike.

use super::format::rules::EncodingRule;
use super::manifest::{Licence, Manifest, ManifestError, ManifestFile, PerceptualManifest};

/// A manifest of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum EitherManifest {
    /// Of a pair.
    Pair(Box<Manifest>),
    /// Of a network that measures pictures.
    Network(Box<PerceptualManifest>),
}

impl EitherManifest {
    /// Reads and checks a manifest; one of a network has a measure.
    ///
    /// # Errors
    /// As [`Manifest::parse`] or [`PerceptualManifest::parse`].
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let has_measure = serde_json::from_str::<serde_json::Value>(text)
            .is_ok_and(|value| value.get("measure").is_some());
        Ok(if has_measure {
            Self::Network(Box::new(PerceptualManifest::parse(text)?))
        } else {
            Self::Pair(Box::new(Manifest::parse(text)?))
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Pair(manifest) => &manifest.name,
            Self::Network(manifest) => &manifest.name,
        }
    }

    /// Licences that the visitor has to accept before a download.
    pub fn licences_to_accept(&self) -> &[Licence] {
        match self {
            Self::Pair(manifest) => &manifest.licences_to_accept,
            Self::Network(manifest) => &manifest.licences_to_accept,
        }
    }

    /// Every file once.
    pub fn files(&self) -> Vec<&ManifestFile> {
        match self {
            Self::Pair(manifest) => manifest.files(),
            Self::Network(manifest) => manifest.files(),
        }
    }

    /// How the tensors of a file are stored; empty: as they are in the file.
    pub fn rules_of(&self, file: &ManifestFile) -> Vec<EncodingRule> {
        match self {
            Self::Pair(manifest) => manifest.rules_of(file),
            Self::Network(manifest) => manifest.rules_of(file),
        }
    }

    /// Whether all files lie beside the manifest, in the form in which they are stored.
    pub fn is_self_contained(&self) -> bool {
        self.files()
            .into_iter()
            .all(|file| !file.is_elsewhere() && self.rules_of(file).is_empty())
    }

    /// Whether every file's host has been asked for what the manifest leaves out.
    pub fn is_resolved(&self) -> bool {
        self.files().into_iter().all(ManifestFile::is_resolved)
    }

    /// Bytes over the network for a first visit, without the manifest itself.
    pub fn download_size(&self) -> u64 {
        self.files()
            .into_iter()
            .fold(0, |sum, file| sum.saturating_add(file.size))
    }
}
