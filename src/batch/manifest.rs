//! The manifest of a native run.

use std::collections::BTreeMap;

use super::error::BatchError;
use super::pair_folder::PairFolder;
use crate::engine::describe;
use crate::metrics::MEASURE;
use crate::recipe::experiment::Experiment;
use crate::results::STRUCTURAL;
use crate::results::manifest::{RESULTS_VERSION, RunDevice, RunManifest, WeightFile};

/// What an experiment runs with here.
///
/// # Errors
/// The pair's schedulers can't be read.
pub fn run_manifest(
    experiment: &Experiment,
    pair: &PairFolder,
    device: RunDevice,
) -> Result<RunManifest, BatchError> {
    let manifest = &pair.manifest;
    let info = describe(manifest)?;
    let settings = &experiment.settings;
    let size = settings.size.unwrap_or(info.sizes.own);
    let mut files = Vec::new();
    for (name, component) in manifest.components.iter() {
        files.extend(component.files.iter().map(|file| WeightFile {
            component: name.to_owned(),
            path: file.path.clone(),
            sha256: file.sha256.clone(),
            bytes: file.size,
            encodings: pair.encodings_of(file),
        }));
    }
    let label = |choice: Option<crate::sampler::SchedulerChoice>, own: &str| {
        choice.map_or_else(|| own.to_owned(), |choice| choice.key().to_owned())
    };
    let schedulers = BTreeMap::from([
        (
            "base".to_owned(),
            label(settings.base_scheduler, &info.base_scheduler.label),
        ),
        (
            "distilled".to_owned(),
            label(
                settings.distilled_scheduler,
                &info.distilled_scheduler.label,
            ),
        ),
    ]);
    let configurations = BTreeMap::from([
        ("base".to_owned(), manifest.schedulers.base.clone()),
        (
            "distilled".to_owned(),
            manifest.schedulers.distilled.clone(),
        ),
    ]);
    Ok(RunManifest {
        results_version: RESULTS_VERSION,
        program: format!("firststep {}", env!("CARGO_PKG_VERSION")),
        experiment: experiment.to_file()?,
        pair_name: manifest.name.clone(),
        image_size: [size.width, size.height],
        files,
        schedulers,
        scheduler_configurations: configurations,
        device,
        measures: BTreeMap::from([(STRUCTURAL.to_owned(), MEASURE.to_owned())]),
    })
}
