//! The records of an experiment's run, in the order of its pictures.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::error::ResultsError;
use super::manifest::{RunManifest, check_version};
use crate::metrics::{MetricsError, PairwiseDistances, RowDistances, distance, reduced_to_measure};
use crate::picture::image::Image;
use crate::recipe::digest::StepDigest;
use crate::recipe::experiment::PictureId;
use crate::sampler::ModelRole;

/// The largest distance of any measure: that of embeddings which point away from each other.
const LARGEST_DISTANCE: f64 = 2.0;
/// What sums are rounded by: the distance of a picture to itself may be below 0 by as much.
const ROUNDING: f64 = 1e-6;

/// The name of the measure that needs no model: [`MEASURE`](crate::metrics::MEASURE).
pub const STRUCTURAL: &str = "structural";

/// A step of a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The model that took it.
    pub model: ModelRole,
    /// The timestep that the model was given, of 1000.
    pub timestep: f32,
    /// A digest of the predicted original, to compare machines by.
    pub digest: StepDigest,
    /// The distance of the decoded Diffusion Target to the final image; none where it wasn't measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<f64>,
}

/// A finished picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PictureRecord {
    /// Which picture it is.
    #[serde(flatten)]
    pub id: PictureId,
    /// Its seed.
    pub seed: u32,
    /// The path of its file, relative to the record's; none where it was not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Time of the models' passes and the last decode, without loading and without previews.
    pub milliseconds: f64,
    /// Its steps.
    pub steps: Vec<StepRecord>,
}

/// The distances between the pictures of one prompt under one condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowRecord {
    /// Index into the experiment's prompts.
    pub prompt: u32,
    /// Index into the experiment's conditions.
    pub condition: u32,
    /// What was measured, such as [`STRUCTURAL`].
    pub measure: String,
    /// Of each pair; the columns are the images.
    pub distances: RowDistances,
}

/// The distances of pictures to those of the same seeds under the condition that theirs is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// Index into the experiment's prompts.
    pub prompt: u32,
    /// Index into the experiment's conditions.
    pub condition: u32,
    /// What was measured, such as [`STRUCTURAL`].
    pub measure: String,
    /// The images, counted from 0.
    pub images: Vec<u32>,
    /// The distance of each.
    pub distances: Vec<f64>,
}

/// What stands before a network's name where its distance is said in words.
pub const COSINE_OF: &str = "1 − cosine of the embeddings of ";

/// What a network's numbers of [`ScoreRecord`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// The CLIP score of each picture: [`clip_score`](crate::metrics::clip_score).
    Clip,
    /// [`Coverage::styles`](crate::metrics::Coverage::styles) of all pictures together.
    Styles,
    /// [`Coverage::backgrounds`](crate::metrics::Coverage::backgrounds).
    Backgrounds,
    /// [`Coverage::place`](crate::metrics::Coverage::place).
    Place,
    /// [`Coverage::size`](crate::metrics::Coverage::size).
    Size,
}

/// What a network says of the pictures of one prompt under one condition, beside their distances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreRecord {
    /// Index into the experiment's prompts.
    pub prompt: u32,
    /// Index into the experiment's conditions.
    pub condition: u32,
    /// The network, as in [`RowRecord::measure`].
    pub measure: String,
    /// What the numbers are.
    pub score: Score,
    /// One for each picture, or one for all of them.
    pub values: Vec<f64>,
}

/// How far a network finds the Diffusion Target of each step of a picture from its final image. The structural
/// distances are in [`StepRecord::distance`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetsRecord {
    /// Which picture it is.
    #[serde(flatten)]
    pub id: PictureId,
    /// The network, as in [`RowRecord::measure`].
    pub measure: String,
    /// A distance for each step.
    pub distances: Vec<f64>,
}

/// All that a run has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// What ran.
    pub manifest: RunManifest,
    /// Every finished picture, by [`PictureId`].
    pub pictures: Vec<PictureRecord>,
    /// Distances within rows.
    pub rows: Vec<RowRecord>,
    /// Distances between rows; only a study of an adapter has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeRecord>,
    /// What networks say beside the distances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<ScoreRecord>,
    /// What networks say of the Diffusion Targets; only a study of them has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetsRecord>,
}

impl Results {
    /// The text of a file; the same results give the same text.
    ///
    /// # Errors
    /// A number that JSON has not.
    pub fn to_json(&self) -> Result<String, ResultsError> {
        Ok(serde_json::to_string(self)?)
    }

    /// Reads such a text.
    ///
    /// # Errors
    /// It is none, or of another version, or its numbers are none that such an experiment can have.
    pub fn from_json(text: &str) -> Result<Results, ResultsError> {
        check_version(text)?;
        let results: Results = serde_json::from_str(text)?;
        results.check()?;
        Ok(results)
    }

    /// Whoever wrote the file: places are the experiment's, and distances are distances.
    fn check(&self) -> Result<(), ResultsError> {
        let experiment = self.manifest.experiment()?;
        let (prompts, conditions) = (experiment.prompts.len(), experiment.conditions().len());
        let is_row = |prompt: u32, condition: u32| {
            (prompt as usize) < prompts && (condition as usize) < conditions
        };
        let is_image = |image: &u32| *image < experiment.images;
        let is_picture = |id: PictureId| is_row(id.prompt, id.condition) && is_image(&id.image);
        let each_once = |images: &[u32]| {
            images.iter().all(is_image)
                && images.iter().collect::<BTreeSet<_>>().len() == images.len()
        };
        let distances = -ROUNDING..=LARGEST_DISTANCE + ROUNDING;
        let is_distance = |distance: &f64| distances.contains(distance);
        let pictures = self.pictures.iter().all(|it| {
            let mut steps = it.steps.iter().filter_map(|step| step.distance);
            is_picture(it.id)
                && it.milliseconds.is_finite()
                && it.milliseconds >= 0.0
                && steps.all(|it| is_distance(&it))
        });
        let ids: BTreeSet<PictureId> = self.pictures.iter().map(|it| it.id).collect();
        let rows = self.rows.iter().all(|it| {
            let images = it.distances.columns.len();
            let pairs = images * images.saturating_sub(1) / 2;
            is_row(it.prompt, it.condition)
                && each_once(&it.distances.columns)
                && it.distances.distances.len() == pairs
                && it.distances.distances.iter().all(is_distance)
        });
        let changes = self.changes.iter().all(|it| {
            is_row(it.prompt, it.condition)
                && each_once(&it.images)
                && it.distances.len() == it.images.len()
                && it.distances.iter().all(is_distance)
        });
        let scores = self
            .scores
            .iter()
            .all(|it| is_row(it.prompt, it.condition) && it.values.iter().all(|it| it.is_finite()));
        let targets = self
            .targets
            .iter()
            .all(|it| is_picture(it.id) && it.distances.iter().all(is_distance));
        let parts = [
            ("pictures", pictures && ids.len() == self.pictures.len()),
            ("rows", rows),
            ("changes", changes),
            ("scores", scores),
            ("targets", targets),
        ];
        match parts.iter().find(|(_, is_right)| !is_right) {
            Some((part, _)) => Err(ResultsError::Unreadable {
                reason: format!("{part}: a number that this experiment can't have"),
            }),
            None => Ok(()),
        }
    }

    /// The records of one prompt's pictures under one condition.
    pub fn of(&self, prompt: u32, condition: u32) -> impl Iterator<Item = &PictureRecord> {
        self.pictures
            .iter()
            .filter(move |it| it.id.prompt == prompt && it.id.condition == condition)
    }

    /// Takes what a network has found, in place of what was known of the same network.
    pub fn take(&mut self, found: NetworkFindings) {
        let NetworkFindings {
            measure,
            words,
            rows,
            changes,
            scores,
            targets,
        } = found;
        self.rows.retain(|it| it.measure != measure);
        self.changes.retain(|it| it.measure != measure);
        self.scores.retain(|it| it.measure != measure);
        self.targets.retain(|it| it.measure != measure);
        self.rows.extend(rows);
        self.changes.extend(changes);
        self.scores.extend(scores);
        self.targets.extend(targets);
        self.manifest.measures.insert(measure, words);
    }

    /// The names of all measures, each once.
    pub fn measures(&self) -> Vec<&str> {
        let mut measures: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !measures.contains(&row.measure.as_str()) {
                measures.push(&row.measure);
            }
        }
        measures
    }
}

/// All that a network has found in an experiment's pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkFindings {
    /// The network's name in records.
    pub measure: String,
    /// What its distance is, in words.
    pub words: String,
    /// Distances within rows.
    pub rows: Vec<RowRecord>,
    /// Distances between rows, in a study of an adapter.
    pub changes: Vec<ChangeRecord>,
    /// What it says beside them.
    pub scores: Vec<ScoreRecord>,
    /// How far it finds the targets from their images.
    pub targets: Vec<TargetsRecord>,
}

/// The distances between pictures of one row, each with its image's number.
///
/// # Errors
/// Two pictures can't be compared.
pub fn row_distances(pictures: &[(u32, Image)]) -> Result<RowDistances, MetricsError> {
    completed_row(&RowDistances::default(), pictures)
}

/// The same where some of the distances are known: those alone are measured that are not.
///
/// # Errors
/// Two pictures can't be compared.
pub fn completed_row(
    known: &RowDistances,
    pictures: &[(u32, Image)],
) -> Result<RowDistances, MetricsError> {
    let images: Vec<u32> = pictures.iter().map(|(image, _)| *image).collect();
    let mut measured: Vec<Image> = Vec::with_capacity(pictures.len());
    let mut distances = PairwiseDistances::default();
    for (image, picture) in pictures {
        let picture = reduced_to_measure(picture);
        let mut earlier = images.iter().zip(&measured);
        distances.push(|_| match earlier.next() {
            Some((other_image, other)) => known
                .between(*image, *other_image)
                .map_or_else(|| distance(&picture, other), Ok),
            // There are as many as distances.
            None => Ok(0.0),
        })?;
        measured.push(picture);
    }
    Ok(RowDistances {
        columns: images,
        distances: distances.all().to_vec(),
    })
}

/// The distances of a row's pictures to those of the same images in another row.
///
/// # Errors
/// Two pictures can't be compared.
pub fn change_distances(
    pictures: &[(u32, Image)],
    reference: &[(u32, Image)],
) -> Result<(Vec<u32>, Vec<f64>), MetricsError> {
    let (mut images, mut distances) = (Vec::new(), Vec::new());
    for (image, picture) in pictures {
        if let Some((_, other)) = reference.iter().find(|(other, _)| other == image) {
            images.push(*image);
            distances.push(distance(
                &reduced_to_measure(picture),
                &reduced_to_measure(other),
            )?);
        }
    }
    Ok((images, distances))
}
