//! What a network finds in an experiment's pictures: distances within rows, in a study of an adapter also those
//! between rows, in one of Diffusion Targets those to the final images, how well CLIP finds the prompts in the
//! pictures, and how much of what the emoji pair knows they cover.

use std::collections::BTreeMap;

use super::error::EngineError;
use super::perceptual::Perceptual;
use crate::metrics::{Coverage, MetricsError, PairwiseDistances, RowDistances, clip_score};
use crate::picture::image::Image;
use crate::recipe::experiment::{Condition, Experiment, PictureId, Study};
use crate::results::{
    COSINE_OF, ChangeRecord, NetworkFindings, RowRecord, Score, ScoreRecord, TargetsRecord,
};
use crate::weights::manifest::Measure;

/// The embeddings of a row, each with its image's number.
type Embedded = Vec<(u32, Vec<f32>)>;

/// What is found, row by row. It keeps embeddings and no pictures.
pub struct Findings<'a> {
    network: &'a Perceptual,
    experiment: &'a Experiment,
    conditions: Vec<Condition>,
    /// The last prompt's number and embedding, where the network takes texts.
    text: Option<(u32, Vec<f32>)>,
    /// By prompt and condition, where rows are compared with each other.
    embedded: BTreeMap<(u32, u32), Embedded>,
    found: NetworkFindings,
}

impl<'a> Findings<'a> {
    /// Nothing so far.
    pub fn new(network: &'a Perceptual, experiment: &'a Experiment) -> Self {
        let manifest = network.manifest();
        Self {
            network,
            experiment,
            conditions: experiment.conditions(),
            text: None,
            embedded: BTreeMap::new(),
            found: NetworkFindings {
                measure: manifest.id.clone(),
                words: format!("{COSINE_OF}{}", manifest.name),
                ..NetworkFindings::default()
            },
        }
    }

    /// Every row of the experiment, by prompt and condition, in an order in which texts are embedded once.
    pub fn rows(experiment: &Experiment) -> Vec<(u32, u32)> {
        let conditions = 0..experiment.conditions().len() as u32;
        let prompts = 0..experiment.prompts.len() as u32;
        prompts
            .flat_map(|prompt| conditions.clone().map(move |condition| (prompt, condition)))
            .collect()
    }

    /// Measures the pictures of a row, each with its image's number.
    ///
    /// # Errors
    /// A picture is none, or the device fails.
    pub async fn take_row(
        &mut self,
        prompt: u32,
        condition: u32,
        pictures: &[(u32, Image)],
    ) -> Result<(), EngineError> {
        if pictures.is_empty() {
            return Ok(());
        }
        let views = pictures.iter().map(|(_, image)| image.view());
        let views = views
            .collect::<Result<Vec<_>, _>>()
            .map_err(MetricsError::from)?;
        let seen = self.network.see(views).await?;
        let measure = self.found.measure.clone();
        let score = |score, values| ScoreRecord {
            prompt,
            condition,
            measure: measure.clone(),
            score,
            values,
        };
        if self.network.manifest().measure == Measure::Clip {
            let text = self.text_of(prompt).await?;
            let scores = seen.iter().map(|it| clip_score(&it.embedding, &text));
            let scores = score(Score::Clip, scores.collect());
            self.found.scores.push(scores);
        }
        let judged: Vec<_> = seen.iter().filter_map(|it| it.judged.clone()).collect();
        if let Some(covered) = Coverage::of(&judged) {
            self.found.scores.extend([
                score(Score::Styles, vec![covered.styles as f64]),
                score(Score::Backgrounds, vec![covered.backgrounds as f64]),
                score(Score::Place, vec![covered.place]),
                score(Score::Size, vec![covered.size]),
            ]);
        }
        let images = pictures.iter().map(|(image, _)| *image);
        let embedded: Embedded = images
            .zip(seen.into_iter().map(|it| it.embedding))
            .collect();
        self.found.rows.push(RowRecord {
            prompt,
            condition,
            measure,
            distances: distances(&embedded),
        });
        if matches!(self.experiment.study, Study::Transfer(_)) {
            self.embedded.insert((prompt, condition), embedded);
        }
        Ok(())
    }

    /// Measures how far the Diffusion Targets of a picture's steps are from its final image, which is the
    /// last of `pictures`.
    ///
    /// # Errors
    /// A picture is none, or the device fails.
    pub async fn take_targets(
        &mut self,
        id: PictureId,
        pictures: &[Image],
    ) -> Result<(), EngineError> {
        let views = pictures.iter().map(Image::view);
        let views = views
            .collect::<Result<Vec<_>, _>>()
            .map_err(MetricsError::from)?;
        let embedded = self.network.embed(views).await?;
        if let Some((last, targets)) = embedded.split_last() {
            let distances = targets.iter().map(|it| Perceptual::distance(it, last));
            self.found.targets.push(TargetsRecord {
                id,
                measure: self.found.measure.clone(),
                distances: distances.collect(),
            });
        }
        Ok(())
    }

    async fn text_of(&mut self, prompt: u32) -> Result<Vec<f32>, EngineError> {
        if let Some((of, known)) = &self.text
            && *of == prompt
        {
            return Ok(known.clone());
        }
        let text = self.experiment.prompts.get(prompt as usize);
        let text = text.map(String::as_str).unwrap_or_default();
        let embedding = self.network.embed_text(text).await?;
        self.text = Some((prompt, embedding.clone()));
        Ok(embedding)
    }

    /// All that was found.
    pub fn finish(mut self) -> NetworkFindings {
        for ((prompt, condition), own) in &self.embedded {
            let of_row = self.conditions.get(*condition as usize);
            let reference = of_row.and_then(|it| self.experiment.reference_of(it));
            let reference = reference.and_then(|it| self.embedded.get(&(*prompt, it as u32)));
            let Some(reference) = reference else { continue };
            let (mut images, mut distances) = (Vec::new(), Vec::new());
            for (image, embedding) in own {
                if let Some((_, other)) = reference.iter().find(|(other, _)| other == image) {
                    images.push(*image);
                    distances.push(Perceptual::distance(embedding, other));
                }
            }
            if !images.is_empty() {
                self.found.changes.push(ChangeRecord {
                    prompt: *prompt,
                    condition: *condition,
                    measure: self.found.measure.clone(),
                    images,
                    distances,
                });
            }
        }
        self.found
    }
}

fn distances(embedded: &Embedded) -> RowDistances {
    let mut all = PairwiseDistances::default();
    for (_, own) in embedded {
        let mut earlier = embedded.iter();
        // As many as there are before it are asked for.
        let Ok(()) = all.push::<std::convert::Infallible>(|_| {
            let other = earlier.next();
            Ok(other.map_or(0.0, |(_, other)| Perceptual::distance(own, other)))
        });
    }
    RowDistances {
        columns: embedded.iter().map(|(image, _)| *image).collect(),
        distances: all.all().to_vec(),
    }
}
