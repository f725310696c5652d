//! The experiments that this browser keeps: what each has drawn and found so far, so that one goes on after
//! a reload, a crash or a pause.
//!
//! The worker keeps and measures; the page asks, and shows what comes back. Experiments and manifests travel
//! as the text of their files, so that no number is changed on its way.

use serde::{Deserialize, Serialize};

use crate::metrics::RowDistances;
use crate::picture::image::Image;
use crate::recipe::experiment::{Experiment, PictureId};
use crate::results::{PictureRecord, Report, Results, RowRecord};

/// The number by which an experiment is kept: when it was begun, in milliseconds since 1970.
pub type ExperimentId = u64;

/// What the page asks of the kept experiments. Each request is answered with a [`Reply`], but for
/// [`Request::Export`] and [`Request::ExportAll`], whose answer is a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Lists them.
    List,
    /// Begins an experiment with the pair that is open: its manifest is made and kept.
    Begin {
        /// The new number.
        id: ExperimentId,
        /// The text of the experiment's file.
        experiment: String,
    },
    /// Keeps a finished picture, in place of an earlier one with the same place.
    Picture {
        /// The experiment.
        id: ExperimentId,
        /// What is known of it.
        record: Box<PictureRecord>,
        /// The picture itself.
        picture: Image,
        /// Its last latent, as a file of NumPy's.
        #[serde(with = "serde_bytes")]
        latent: Vec<u8>,
        /// The targets of its steps with the final image as the last, as PNG of
        /// [`stacked`](crate::picture::stack::stacked); empty where they are not kept.
        #[serde(with = "serde_bytes")]
        targets: Vec<u8>,
    },
    /// Keeps distances that the engine has measured, unless others are known.
    Row {
        /// The experiment.
        id: ExperimentId,
        /// The distances.
        row: Box<RowRecord>,
    },
    /// Measures what is missing between the pictures of these rows, each of a prompt under a condition.
    Measure {
        /// The experiment.
        id: ExperimentId,
        /// The rows, by prompt and condition.
        rows: Vec<(u32, u32)>,
    },
    /// Measures all pictures by a network that this browser has: [`Reply::Measured`] after each row, and at
    /// last [`Reply::Report`].
    MeasureByNetwork {
        /// The experiment.
        id: ExperimentId,
        /// The absolute address of the network's manifest.
        manifest_url: String,
    },
    /// Ends a [`Request::MeasureByNetwork`] after its current row; what it has found is lost.
    StopMeasuring,
    /// Makes tables and figures of what there is.
    Report(ExperimentId),
    /// Opens an experiment with all that it has found.
    Open(ExperimentId),
    /// Keeps the results in the text of a results file, and opens them.
    Import {
        /// The new number.
        id: ExperimentId,
        /// The text.
        text: String,
    },
    /// Encodes the results as a file.
    Export(ExperimentId),
    /// Encodes a ZIP of the results, their tables and figures, the pictures and the latents.
    ExportAll(ExperimentId),
    /// Forgets an experiment.
    Delete(ExperimentId),
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// All experiments, the last one first.
    List(Vec<Kept>),
    /// An experiment with all that it has found.
    Opened(Box<Opened>),
    /// Its tables and figures.
    Report(Box<Report>),
    /// Rows that a network has measured, and all.
    Measured(u32, u32),
    /// What was asked for is done.
    Done,
}

/// A kept experiment in the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Its number.
    pub id: ExperimentId,
    /// The text of its file.
    pub experiment: String,
    /// The name of the pair that draws.
    pub pair_name: String,
    /// Pictures that are there.
    pub pictures: u32,
}

impl Kept {
    /// What is kept; none where the text can't be read, as one of a later release.
    pub fn experiment(&self) -> Option<Experiment> {
        Experiment::from_json(&self.experiment).ok()
    }
}

/// An experiment that was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Its number.
    pub id: ExperimentId,
    /// The text of its file.
    pub experiment: String,
    /// The pictures that are there.
    pub pictures: Vec<PictureId>,
    /// Whether any of them is kept as a picture: opened results bring numbers alone.
    pub has_images: bool,
    /// What was found so far.
    pub report: Report,
}

/// Adds a picture's record to results, in the order of pictures, in place of an earlier one.
pub fn add_picture(results: &mut Results, record: PictureRecord) {
    let pictures = &mut results.pictures;
    match pictures.binary_search_by_key(&record.id, |it| it.id) {
        Ok(place) => {
            if let Some(earlier) = pictures.get_mut(place) {
                *earlier = record;
            }
        }
        Err(place) => pictures.insert(place, record),
    }
}

/// Adds a row's distances, in place of earlier ones of the same pictures or some of them. Returns whether
/// they took their place.
pub fn add_row(results: &mut Results, row: RowRecord) -> bool {
    let is_same = |other: &RowRecord| {
        (other.prompt, other.condition, &other.measure) == (row.prompt, row.condition, &row.measure)
    };
    let has_all = |earlier: &RowRecord| {
        let columns = &row.distances.columns;
        let mut earlier = earlier.distances.columns.iter();
        earlier.all(|column| columns.contains(column))
    };
    match results.rows.iter_mut().find(|other| is_same(other)) {
        Some(earlier) if !has_all(earlier) => false,
        Some(earlier) => {
            *earlier = row;
            true
        }
        None => {
            results.rows.push(row);
            let order = |it: &RowRecord| (it.prompt, it.condition);
            results.rows.sort_by_key(order);
            true
        }
    }
}

/// The distances of a row that are known so far.
pub fn known_row(results: &Results, measure: &str, prompt: u32, condition: u32) -> RowDistances {
    let mut rows = results.rows.iter();
    let known =
        rows.find(|it| it.measure == measure && it.prompt == prompt && it.condition == condition);
    known.map(|it| it.distances.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::experiment::Study;
    use crate::results::STRUCTURAL;
    use crate::results::manifest::{RESULTS_VERSION, RunDevice, RunManifest};

    fn empty() -> Results {
        let experiment = Experiment {
            study: Study::Diversity,
            pair: "pairs/emoji/manifest.json".into(),
            prompts: vec!["a".into()],
            images: 2,
            settings: crate::recipe::random::Random(1).recipe(),
        };
        Results {
            manifest: RunManifest {
                results_version: RESULTS_VERSION,
                program: "firststep".into(),
                experiment: experiment.to_file().unwrap(),
                pair_name: "Emoji".into(),
                image_size: [64, 64],
                files: Vec::new(),
                schedulers: Default::default(),
                scheduler_configurations: Default::default(),
                device: RunDevice {
                    kind: "cpu".into(),
                    name: "test".into(),
                    batch: 1,
                    limits: Default::default(),
                },
                measures: Default::default(),
            },
            pictures: Vec::new(),
            rows: Vec::new(),
            changes: Vec::new(),
            scores: Vec::new(),
            targets: Vec::new(),
        }
    }

    #[test]
    fn a_picture_is_there_once_and_in_its_place() {
        let mut results = empty();
        let record = |image, milliseconds| PictureRecord {
            id: PictureId {
                image,
                ..PictureId::default()
            },
            seed: 1,
            file: None,
            milliseconds,
            steps: Vec::new(),
        };
        for (image, milliseconds) in [(2, 1.0), (0, 2.0), (2, 3.0)] {
            add_picture(&mut results, record(image, milliseconds));
        }
        assert_eq!(results.pictures, [record(0, 2.0), record(2, 3.0)]);
    }

    #[test]
    fn distances_of_fewer_pictures_come_too_late() {
        let mut results = empty();
        let row = |columns: &[u32]| RowRecord {
            prompt: 0,
            condition: 0,
            measure: STRUCTURAL.into(),
            distances: RowDistances {
                columns: columns.to_vec(),
                distances: vec![0.5; columns.len() * (columns.len() - 1) / 2],
            },
        };
        assert!(add_row(&mut results, row(&[0, 1])));
        assert!(add_row(&mut results, row(&[0, 1, 2])));
        // As after a reload, where the engine knows the pictures of its own time alone.
        assert!(!add_row(&mut results, row(&[2, 3])));
        assert_eq!(known_row(&results, STRUCTURAL, 0, 0).columns, [0, 1, 2]);
        assert_eq!(
            known_row(&results, STRUCTURAL, 0, 1),
            RowDistances::default()
        );
    }
}
