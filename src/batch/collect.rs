//! What a folder's pictures say: distances, tables and figures.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::error::BatchError;
use super::folder::{RESULTS, RunFolder, Shard};
use crate::picture::image::Image;
use crate::picture::png_file;
use crate::picture::stack::unstacked;
use crate::recipe::experiment::{Experiment, PictureFile, PictureId, Study};
use crate::results::{
    ChangeRecord, PictureRecord, Results, RowRecord, STRUCTURAL, change_distances, files,
    row_distances,
};

/// Measures the pictures of a folder that are there, in the order of the pictures, whoever drew them.
///
/// # Errors
/// A picture can't be read.
pub fn collect(folder: &RunFolder) -> Result<Results, BatchError> {
    let manifest = folder.manifest()?;
    let experiment = manifest.experiment()?;
    let pictures = folder.pictures()?;
    let mut results = Results {
        manifest,
        pictures,
        rows: Vec::new(),
        changes: Vec::new(),
        scores: Vec::new(),
        targets: Vec::new(),
    };
    let conditions = experiment.conditions();
    let is_transfer = matches!(experiment.study, Study::Transfer(_));
    for prompt in 0..experiment.prompts.len() as u32 {
        // Only a study of an adapter compares rows with each other.
        let mut earlier: BTreeMap<u32, Vec<(u32, Image)>> = BTreeMap::new();
        for (condition, of_condition) in (0..).zip(&conditions) {
            let row: Vec<(u32, Image)> = results
                .of(prompt, condition)
                .map(|record| Ok((record.id.image, read_image(folder, record)?)))
                .collect::<Result<_, BatchError>>()?;
            if row.is_empty() {
                continue;
            }
            results.rows.push(RowRecord {
                prompt,
                condition,
                measure: STRUCTURAL.to_owned(),
                distances: row_distances(&row)?,
            });
            if is_transfer {
                let reference = experiment.reference_of(of_condition);
                let reference = reference.and_then(|it| earlier.get(&(it as u32)));
                if let Some(reference) = reference {
                    let (images, distances) = change_distances(&row, reference)?;
                    results.changes.push(ChangeRecord {
                        prompt,
                        condition,
                        measure: STRUCTURAL.to_owned(),
                        images,
                        distances,
                    });
                }
                earlier.insert(condition, row);
            }
        }
    }
    Ok(results)
}

/// What a folder's pictures say, with what networks have said of the very same pictures.
///
/// # Errors
/// As [`collect`].
pub fn measured(folder: &RunFolder) -> Result<Results, BatchError> {
    match folder.results() {
        Some(known) if known.pictures == folder.pictures()? => Ok(known),
        _ => collect(folder),
    }
}

pub(super) fn read_image(folder: &RunFolder, record: &PictureRecord) -> Result<Image, BatchError> {
    let path = folder
        .path()
        .join(record.file.as_deref().unwrap_or_default());
    read_png(&path)
}

/// The targets of a picture's steps with the final image as the last; none where they were not kept.
pub(super) fn read_targets(
    folder: &RunFolder,
    experiment: &Experiment,
    record: &PictureRecord,
) -> Result<Option<Vec<Image>>, BatchError> {
    let path = folder
        .path()
        .join(experiment.path_of(PictureFile::Targets, record.id));
    if !path.is_file() {
        return Ok(None);
    }
    Ok(unstacked(&read_png(&path)?, record.steps.len() + 1))
}

fn read_png(path: &Path) -> Result<Image, BatchError> {
    let bytes = fs::read(path).map_err(|error| BatchError::reading(path, &error))?;
    png_file::decode(&bytes).map_err(|error| BatchError::Picture {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// The pictures of a folder without a run, by the names of their files: every PNG in it, but not below.
///
/// # Errors
/// The folder or a picture can't be read.
pub fn read_pictures(folder: &Path) -> Result<Vec<(u32, Image)>, BatchError> {
    let failed = |error: std::io::Error| BatchError::reading(folder, &error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case("png"))
        {
            paths.push(path);
        }
    }
    paths.sort();
    let pictures = (0..)
        .zip(paths)
        .map(|(number, path)| Ok((number, read_png(&path)?)));
    pictures.collect()
}

/// Brings the runs of folders together in another one, which may be one of them.
///
/// # Errors
/// They are of different experiments or weights, or can't be read or written.
pub fn merge(into: &RunFolder, from: &[RunFolder]) -> Result<(), BatchError> {
    // All of them are known to belong together before anything is written.
    let manifests = from.iter().map(|source| Ok((source, source.manifest()?)));
    let manifests: Vec<_> = manifests.collect::<Result<_, BatchError>>()?;
    if let Some(((_, first), others)) = manifests.split_first()
        && let Some((other, _)) = others.iter().find(|(_, it)| !it.belongs_with(first))
    {
        return Err(BatchError::OtherRun {
            folder: other.path().to_owned(),
        });
    }
    for (_, manifest) in &manifests {
        into.begin(manifest)?;
    }
    let known = into.records()?;
    let others = from.iter().filter(|source| source.path() != into.path());
    let others: Vec<&RunFolder> = others.collect();
    if others.is_empty() {
        return Ok(());
    }
    let mut records = into.open_records(Shard::WHOLE)?;
    for source in others {
        let manifest = source.manifest()?;
        let experiment = manifest.experiment()?;
        for (id, record) in source.records()? {
            if known.contains_key(&id) {
                continue;
            }
            copy_files(source, into, &experiment, id, &record)?;
            records.add(&record)?;
        }
    }
    Ok(())
}

fn copy_files(
    from: &RunFolder,
    into: &RunFolder,
    experiment: &Experiment,
    id: PictureId,
    record: &PictureRecord,
) -> Result<(), BatchError> {
    let beside = [PictureFile::Latent, PictureFile::Targets];
    let beside = beside.map(|it| experiment.path_of(it, id));
    let beside = beside.iter().filter(|it| from.path().join(it).is_file());
    for file in record.file.iter().chain(beside) {
        let path = from.path().join(file);
        let bytes = fs::read(&path).map_err(|error| BatchError::reading(&path, &error))?;
        into.write(file, &bytes)?;
    }
    Ok(())
}

/// Writes `results.json`, and below `report/` what [`files`](crate::results::files) makes of it.
///
/// # Errors
/// The folder can't be written.
pub fn write_report(folder: &RunFolder, results: &Results) -> Result<(), BatchError> {
    // What an earlier report said of other pictures is not to stand beside this one.
    for earlier in ["report/tables", "report/figures"] {
        let path = folder.path().join(earlier);
        if path.is_dir() {
            fs::remove_dir_all(&path).map_err(|error| BatchError::writing(&path, &error))?;
        }
    }
    folder.write(RESULTS, results.to_json()?.as_bytes())?;
    for (name, bytes) in files(results)? {
        folder.write(&format!("report/{name}"), &bytes)?;
    }
    Ok(())
}
