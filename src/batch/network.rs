//! What a network says of a folder's pictures: DreamSim's or CLIP's distances beside the structural ones, how well
//! CLIP finds the prompts in the pictures, and how much of what the emoji pair knows they cover.

use std::path::Path;

use burn::tensor::Device;

use super::collect::read_image;
use super::error::BatchError;
use super::file_folder::{FileFolder, manifest_text};
use super::folder::RunFolder;
use crate::engine::Perceptual;
use crate::metrics::{Coverage, Estimate, PairwiseDistances, RowDistances, clip_score};
use crate::picture::image::Image;
use crate::results::{Cell, Column, Results, RowRecord, Table};
use crate::weights::manifest::{Measure, PerceptualManifest};

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

/// Adds the network's distances to the results of a folder, row by row, and gives what else it says: a table of
/// the CLIP scores by condition, or of what the pictures of a prompt cover; none of another network.
///
/// # Errors
/// A picture can't be read, or the network can't take it.
pub async fn add_network(
    results: &mut Results,
    folder: &RunFolder,
    network: &Perceptual,
) -> Result<Option<Table>, BatchError> {
    let experiment = results.manifest.experiment()?;
    let conditions = experiment.conditions();
    let manifest = network.manifest();
    let (measure, name) = (manifest.id.clone(), manifest.name.clone());
    results.manifest.measures.insert(
        measure.clone(),
        format!("1 − cosine of the embeddings of {name}"),
    );
    let kind = manifest.measure;
    let mut rows = Vec::new();
    let mut scores: Vec<Vec<Vec<f64>>> = vec![Vec::new(); conditions.len()];
    let mut covered: Vec<Vec<Coverage>> = vec![Vec::new(); conditions.len()];
    for (prompt, text) in (0..).zip(&experiment.prompts) {
        let wanted = match kind {
            Measure::Clip => Some(network.embed_text(text).await?),
            Measure::DreamSim | Measure::EmojiClassifier => None,
        };
        for ((condition, scores), covered) in (0..).zip(&mut scores).zip(&mut covered) {
            let records = results.of(prompt, condition);
            let pictures: Vec<(u32, Image)> = records
                .map(|record| Ok((record.id.image, read_image(folder, record)?)))
                .collect::<Result<_, BatchError>>()?;
            let views = pictures.iter().map(|(_, image)| image.view());
            let views = views.collect::<Result<Vec<_>, _>>()?;
            let embeddings = network.embed(views.iter().copied()).await?;
            if let Some(text) = &wanted {
                scores.push(embeddings.iter().map(|it| clip_score(it, text)).collect());
            }
            if kind == Measure::EmojiClassifier {
                covered.extend(Coverage::of(&network.judge(views.iter().copied()).await?));
            }
            let columns = pictures.iter().map(|(image, _)| *image).collect();
            rows.push(RowRecord {
                prompt,
                condition,
                measure: measure.clone(),
                distances: distances(columns, &embeddings),
            });
        }
    }
    results.rows.extend(rows);
    let names = conditions
        .iter()
        .map(|condition| Cell::Text(condition.name()));
    let (title, note, columns, cells): (_, _, &[(&str, &str)], Vec<Vec<Cell>>) = match kind {
        Measure::Clip => (
            format!("CLIP score, {name}"),
            "100 × the cosine of a picture's embedding and its prompt's, at least 0: the mean over prompts.",
            &[("score", "CLIP score")],
            scores
                .iter()
                .map(|groups| vec![Estimate::of_groups(groups).into()])
                .collect(),
        ),
        Measure::EmojiClassifier => (
            "What the pictures of a prompt cover".to_owned(),
            "Styles and backgrounds of which the classifier is sure in at least one picture, and the deviation \
             of the thing's place and size: the mean over prompts.",
            &[
                ("styles", "styles"),
                ("backgrounds", "backgrounds"),
                ("place", "place, of the picture's side"),
                ("size", "size, of the picture's side"),
            ],
            covered.iter().map(|all| coverage_cells(all)).collect(),
        ),
        Measure::DreamSim => return Ok(None),
    };
    let columns = columns
        .iter()
        .map(|(key, name)| Column::estimate(key, name));
    Ok(Some(Table {
        key: measure,
        title,
        note: note.to_owned(),
        columns: std::iter::once(Column::plain("condition", "condition"))
            .chain(columns)
            .collect(),
        rows: names
            .zip(cells)
            .map(|(name, cells)| std::iter::once(name).chain(cells).collect())
            .collect(),
    }))
}

/// Means over prompts of what their pictures cover.
fn coverage_cells(all: &[Coverage]) -> Vec<Cell> {
    let parts: [fn(&Coverage) -> f64; 4] = [
        |it| it.styles as f64,
        |it| it.backgrounds as f64,
        |it| it.place,
        |it| it.size,
    ];
    let estimates = parts.map(|part| {
        let numbers: Vec<f64> = all.iter().map(part).collect();
        Estimate::of(&numbers).into()
    });
    estimates.into()
}

fn distances(columns: Vec<u32>, embeddings: &[Vec<f32>]) -> RowDistances {
    let mut all = PairwiseDistances::default();
    for own in embeddings {
        let mut earlier = embeddings.iter();
        // As many as there are before it are asked for.
        let Ok(()) = all.push::<std::convert::Infallible>(|_| {
            let other = earlier.next();
            Ok(other.map_or(0.0, |other| Perceptual::distance(own, other)))
        });
    }
    RowDistances {
        columns,
        distances: all.all().to_vec(),
    }
}
