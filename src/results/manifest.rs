//! What exactly ran, so that it can run again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::ResultsError;
use crate::recipe::experiment::{Experiment, ExperimentError, ExperimentFile};

/// Raised when results come to mean something else.
pub const RESULTS_VERSION: u32 = 1;

/// What an experiment was run with. Adapters stand in the experiment, by their SHA-256.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunManifest {
    /// [`RESULTS_VERSION`].
    pub results_version: u32,
    /// The release that ran it.
    pub program: String,
    /// The experiment, with all of its settings.
    pub experiment: ExperimentFile,
    /// The pair's name.
    pub pair_name: String,
    /// Width and height of the pictures, in pixels.
    pub image_size: [u32; 2],
    /// The files of the pair.
    pub files: Vec<WeightFile>,
    /// The schedulers that took the steps, by model: a choice of the experiment's, or the pair's own.
    pub schedulers: BTreeMap<String, String>,
    /// The pair's own schedulers' configurations, by model.
    pub scheduler_configurations: BTreeMap<String, Value>,
    /// Where the models ran.
    pub device: RunDevice,
    /// What the distances are, by the measure's name.
    pub measures: BTreeMap<String, String>,
}

/// A file of a pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightFile {
    /// The model that it is of, such as `unet`.
    pub component: String,
    /// Its path or address.
    pub path: String,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// How many of its tensors are kept in each encoding; empty where it has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub encodings: BTreeMap<String, u32>,
}

/// Where models ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunDevice {
    /// `cpu` or `gpu`.
    pub kind: String,
    /// What it calls itself.
    pub name: String,
    /// Cells that take a step together.
    pub batch: u32,
    /// Its limits, by their names in WebGPU; empty where it has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, u64>,
}

/// As much of a manifest, or of results around one, as every release has.
#[derive(Deserialize)]
struct Versioned {
    results_version: Option<u32>,
    manifest: Option<Box<Versioned>>,
}

/// # Errors
/// A text is JSON of another version, or none.
pub(super) fn check_version(text: &str) -> Result<(), ResultsError> {
    let own: Versioned = serde_json::from_str(text)?;
    let within = own.manifest.and_then(|it| it.results_version);
    match own.results_version.or(within) {
        Some(version) if version != RESULTS_VERSION => Err(ResultsError::Version {
            version,
            known: RESULTS_VERSION,
        }),
        _ => Ok(()),
    }
}

impl RunManifest {
    /// The text of a file; the same manifest gives the same text.
    ///
    /// # Errors
    /// A number that JSON has not.
    pub fn to_json(&self) -> Result<String, ResultsError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Reads such a text.
    ///
    /// # Errors
    /// It is none, or of another version.
    pub fn from_json(text: &str) -> Result<RunManifest, ResultsError> {
        check_version(text)?;
        Ok(serde_json::from_str(text)?)
    }

    /// The experiment, to be run again.
    ///
    /// # Errors
    /// The manifest was changed, so that it can't be run.
    pub fn experiment(&self) -> Result<Experiment, ExperimentError> {
        let defaults = crate::recipe::Recipe::default();
        self.experiment.clone().with_defaults(&defaults)
    }

    /// Whether two runs are of the same experiment with the same weights, so that their pictures belong
    /// together; they may be of different machines.
    pub fn belongs_with(&self, other: &RunManifest) -> bool {
        let hashes = |it: &RunManifest| -> Vec<String> {
            it.files.iter().map(|file| file.sha256.clone()).collect()
        };
        self.results_version == other.results_version
            && self.experiment == other.experiment
            && self.image_size == other.image_size
            && hashes(self) == hashes(other)
    }
}
