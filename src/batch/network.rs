//! What a network says of a folder's pictures: [`Findings`] of pictures that were saved.

use std::path::Path;

use burn::tensor::Device;

use super::collect::{read_image, read_targets};
use super::error::BatchError;
use super::file_folder::{FileFolder, manifest_text};
use super::folder::RunFolder;
use crate::engine::{Findings, Perceptual};
use crate::picture::image::Image;
use crate::results::Results;
use crate::weights::manifest::PerceptualManifest;

/// Reads the network of a manifest, or of the `manifest.json` in a folder, to the CPU.
///
/// # Errors
/// A file is missing, or they are not what the manifest says.
pub async fn read_network(path: &Path) -> Result<Perceptual, BatchError> {
    let (path, text) = manifest_text(path)?;
    let manifest = PerceptualManifest::parse(&text)?;
    let mut folder = FileFolder::beside(&path);
    for file in manifest.files() {
        folder.read_file(file, &manifest.rules_of(file))?;
    }
    Ok(Perceptual::load(manifest, Device::flex(), &folder).await?)
}

/// Adds what the network finds to the results of a folder.
///
/// # Errors
/// A picture can't be read, or the network can't take it.
pub async fn add_network(
    results: &mut Results,
    folder: &RunFolder,
    network: &Perceptual,
) -> Result<(), BatchError> {
    let experiment = results.manifest.experiment()?;
    let mut findings = Findings::new(network, &experiment);
    for (prompt, condition) in Findings::rows(&experiment) {
        let records = results.of(prompt, condition);
        let pictures: Vec<(u32, Image)> = records
            .map(|record| Ok((record.id.image, read_image(folder, record)?)))
            .collect::<Result<_, BatchError>>()?;
        findings.take_row(prompt, condition, &pictures).await?;
        for record in results.of(prompt, condition) {
            if let Some(targets) = read_targets(folder, &experiment, record)? {
                findings.take_targets(record.id, &targets).await?;
            }
        }
    }
    let found = findings.finish();
    results.take(found);
    Ok(())
}
