//! The folder as the job loop's host: what arrives is saved, and a picture counts once all of it has.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::error::BatchError;
use super::folder::{Records, RunFolder};
use crate::engine::{Host, StripRequest};
use crate::picture::file::FileRequest;
use crate::picture::image::Image;
use crate::protocol::engine::{JobEvent, PairInfo, StripView, TaskEvent, TaskId};
use crate::recipe::CellAddress;
use crate::recipe::experiment::{Experiment, Page, PictureFile};
use crate::recipe::generation_parameters::GenerationParameters;
use crate::recipe::saved_recipe::SavedRecipe;
use crate::results::{PictureRecord, StepRecord};

/// What a page's pictures become.
pub(super) struct BatchHost<'a> {
    pub experiment: &'a Experiment,
    pub page: &'a Page,
    pub pair: &'a PairInfo,
    pub folder: &'a RunFolder,
    pub records: &'a mut Records,
    pub saves_latents: bool,
    pub start: Instant,
    /// Told of each picture that counts.
    pub on_picture: &'a mut dyn FnMut(u32),
    /// The cells whose steps have begun.
    pub cells: BTreeMap<CellAddress, CellSoFar>,
    pub strips: VecDeque<StripRequest>,
    /// The cell of each strip that was asked for, by its task.
    pub tasks: BTreeMap<TaskId, CellAddress>,
    /// Ends the job.
    pub error: Option<BatchError>,
}

/// What is known of a cell.
#[derive(Default)]
pub(super) struct CellSoFar {
    steps: Vec<StepRecord>,
    milliseconds: f64,
}

impl BatchHost<'_> {
    fn take(&mut self, event: JobEvent) -> Result<(), BatchError> {
        match event {
            JobEvent::Step {
                cell,
                timestep,
                model,
                digest,
                ..
            } => {
                let so_far = self.cells.entry(cell).or_default();
                so_far.steps.push(StepRecord {
                    model,
                    timestep,
                    digest,
                    distance: None,
                });
            }
            JobEvent::Image {
                cell,
                image,
                milliseconds,
                latent,
            } => {
                self.save(cell, image, &latent)?;
                self.cells.entry(cell).or_default().milliseconds = milliseconds;
                if self.experiment.study.measures_steps() {
                    self.request_strip(cell);
                } else {
                    self.count(cell)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn request_strip(&mut self, cell: CellAddress) {
        let task = self.tasks.len() as TaskId + 1;
        self.tasks.insert(task, cell);
        self.strips.push_back(StripRequest {
            task,
            recipe: self.page.recipe.clone(),
            cell,
            view: StripView::Target,
            skip: 0,
            sends_frames: false,
        });
    }

    /// Writes the picture of a cell, and its latent where latents are saved.
    fn save(&self, cell: CellAddress, image: Image, latent: &[u8]) -> Result<(), BatchError> {
        let Some(id) = self.page.picture(cell) else {
            return Ok(());
        };
        let path = |file| self.experiment.path_of(file, id);
        let recipe = &self.page.recipe;
        let (pair, info) = (&self.experiment.pair, self.pair);
        let saved = SavedRecipe::new(pair, &info.name, recipe.clone(), Some(cell));
        let parameters = GenerationParameters::of(
            recipe,
            cell,
            info.base_scheduler.choice,
            info.distilled_scheduler.choice,
            (image.width, image.height),
            &info.name,
        );
        let request = FileRequest::Image {
            image,
            recipe: saved.to_json()?,
            parameters: parameters.map(|it| it.to_string()).unwrap_or_default(),
        };
        self.folder
            .write(&path(PictureFile::Picture), &request.encode()?)?;
        if self.saves_latents {
            self.folder.write(&path(PictureFile::Latent), latent)?;
        }
        Ok(())
    }

    /// Writes the record of a cell that is done.
    fn count(&mut self, cell: CellAddress) -> Result<(), BatchError> {
        let Some(id) = self.page.picture(cell) else {
            return Ok(());
        };
        let so_far = self.cells.remove(&cell).unwrap_or_default();
        self.records.add(&PictureRecord {
            id,
            seed: self.experiment.seed_of(id.image),
            file: Some(self.experiment.path_of(PictureFile::Picture, id)),
            milliseconds: so_far.milliseconds,
            steps: so_far.steps,
        })?;
        (self.on_picture)(id.condition);
        Ok(())
    }

    fn take_task(&mut self, id: TaskId, event: TaskEvent) -> Result<(), BatchError> {
        let Some(&cell) = self.tasks.get(&id) else {
            return Ok(());
        };
        match event {
            TaskEvent::Convergence { distances, targets } => {
                if let Some(id) = self.page.picture(cell).filter(|_| !targets.is_empty()) {
                    let path = self.experiment.path_of(PictureFile::Targets, id);
                    self.folder.write(&path, &targets)?;
                }
                let so_far = self.cells.entry(cell).or_default();
                for (step, distance) in so_far.steps.iter_mut().zip(distances) {
                    step.distance = Some(distance);
                }
            }
            // Without its steps, where they had no room.
            TaskEvent::Done | TaskEvent::Failed { .. } => self.count(cell)?,
            _ => {}
        }
        Ok(())
    }
}

impl Host for BatchHost<'_> {
    fn emit(&mut self, event: JobEvent) {
        if let Err(error) = self.take(event) {
            self.error.get_or_insert(error);
        }
    }

    fn emit_task(&mut self, id: TaskId, event: TaskEvent) {
        if let Err(error) = self.take_task(id, event) {
            self.error.get_or_insert(error);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.error.is_some()
    }

    async fn pause(&self) {}

    fn milliseconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1000.0
    }

    fn take_strip(&mut self) -> Option<StripRequest> {
        self.strips.pop_front()
    }
}
