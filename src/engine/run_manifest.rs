//! What exactly an experiment runs with.

use std::collections::BTreeMap;

use super::described::describe;
use super::error::EngineError;
use crate::metrics::MEASURE;
use crate::recipe::experiment::Experiment;
use crate::results::STRUCTURAL;
use crate::results::manifest::{RESULTS_VERSION, RunDevice, RunManifest, WeightFile};
use crate::sampler::SchedulerChoice;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::manifest::Manifest;

/// How many of a file's tensors are in each encoding, by its name.
pub type Encodings = BTreeMap<String, u32>;

/// Counts tensors by their encodings.
pub fn count_encodings<'a>(tensors: impl IntoIterator<Item = &'a StoredTensor>) -> Encodings {
    let mut encodings = Encodings::new();
    for tensor in tensors {
        *encodings.entry(tensor.encoding.to_string()).or_default() += 1;
    }
    encodings
}

/// The manifest of an experiment's run with a pair on a device, with the encodings of the pair's files by their
/// ids.
///
/// # Errors
/// The pair's schedulers can't be read, or the experiment has no JSON.
pub fn run_manifest(
    experiment: &Experiment,
    pair: &Manifest,
    encodings: &BTreeMap<String, Encodings>,
    device: RunDevice,
) -> Result<RunManifest, EngineError> {
    let info = describe(pair)?;
    let settings = &experiment.settings;
    let size = settings.size.unwrap_or(info.sizes.own);
    let label = |choice: Option<SchedulerChoice>, own: &str| {
        choice.map_or_else(|| own.to_owned(), |choice| choice.key().to_owned())
    };
    let named = |base, distilled| {
        [
            ("base".to_owned(), base),
            ("distilled".to_owned(), distilled),
        ]
    };
    let schedulers = named(
        label(settings.base_scheduler, &info.base_scheduler.label),
        label(
            settings.distilled_scheduler,
            &info.distilled_scheduler.label,
        ),
    );
    let configurations = [
        ("base".to_owned(), pair.schedulers.base.clone()),
        ("distilled".to_owned(), pair.schedulers.distilled.clone()),
    ];
    let components = pair.components.iter();
    let files = components.flat_map(|(name, component)| {
        component.files.iter().map(|file| WeightFile {
            component: name.to_owned(),
            path: file.path.clone(),
            sha256: file.sha256.clone(),
            bytes: file.size,
            encodings: encodings.get(&file.id).cloned().unwrap_or_default(),
        })
    });
    Ok(RunManifest {
        results_version: RESULTS_VERSION,
        program: format!("firststep {}", env!("CARGO_PKG_VERSION")),
        experiment: experiment.to_file()?,
        pair_name: pair.name.clone(),
        image_size: [size.width, size.height],
        files: files.collect(),
        schedulers: BTreeMap::from(schedulers),
        scheduler_configurations: BTreeMap::from(configurations),
        device,
        measures: BTreeMap::from([(STRUCTURAL.to_owned(), MEASURE.to_owned())]),
    })
}
