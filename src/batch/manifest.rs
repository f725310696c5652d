//! The manifest of a native run.

use super::error::BatchError;
use super::pair_folder::PairFolder;
use crate::engine;
use crate::recipe::experiment::Experiment;
use crate::results::manifest::{RunDevice, RunManifest, WeightFile};

/// What an experiment runs with here.
///
/// # Errors
/// The pair's schedulers can't be read.
pub fn run_manifest(
    experiment: &Experiment,
    pair: &PairFolder,
    device: RunDevice,
) -> Result<RunManifest, BatchError> {
    let mut files = Vec::new();
    for (name, component) in pair.manifest.components.iter() {
        files.extend(component.files.iter().map(|file| WeightFile {
            component: name.to_owned(),
            path: file.path.clone(),
            sha256: file.sha256.clone(),
            bytes: file.size,
            encodings: pair.encodings_of(file),
        }));
    }
    let manifest = engine::run_manifest(experiment, &pair.manifest, files, device)?;
    Ok(manifest)
}
