//! The manifest of a native run.

use super::error::BatchError;
use super::pair_folder::PairFolder;
use crate::engine::{self, count_encodings};
use crate::recipe::experiment::Experiment;
use crate::results::manifest::{RunDevice, RunManifest};
use crate::weights::manifest::ManifestFile;

/// What an experiment runs with here.
///
/// # Errors
/// The pair's schedulers can't be read.
pub fn run_manifest(
    experiment: &Experiment,
    pair: &PairFolder,
    device: RunDevice,
) -> Result<RunManifest, BatchError> {
    let of_file = |file: &ManifestFile| {
        let encodings = count_encodings(pair.files.tensors(&file.id));
        (file.id.clone(), encodings)
    };
    let encodings = pair.manifest.files().into_iter().map(of_file).collect();
    let manifest = engine::run_manifest(experiment, &pair.manifest, &encodings, device)?;
    Ok(manifest)
}
