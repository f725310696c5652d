//! The course of an experiment: which grid is drawn next, and what becomes of the engine's events. Pure, so
//! that a pause and a reload have native tests; `page::experiments::runner` orders and keeps.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::experiments::ExperimentId;
use crate::picture::image::Image;
use crate::protocol::engine::{Extent, JobEvent};
use crate::recipe::experiment::{Experiment, Page, PictureId, Study};
use crate::recipe::{CellAddress, Recipe};
use crate::results::{PictureRecord, RowRecord, STRUCTURAL, StepRecord};

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Measure what is missing between the pictures of these rows.
    Measure(Vec<(u32, u32)>),
    /// Draw a part of a grid.
    Draw(Box<Recipe>, Extent),
    /// Nothing: all pictures are there, and measured.
    Finished,
    /// Nothing: the grid that was just drawn has no more pictures than before.
    Stuck,
}

/// What an event of the engine gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Produced {
    /// A picture to be kept.
    Picture(Box<Drawn>),
    /// The steps of a finished cell are to be measured first: [`Run::measured`].
    Unmeasured(CellAddress),
    /// Distances to be kept.
    Row(Box<RowRecord>),
}

/// A finished picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// What is known of it.
    pub record: PictureRecord,
    /// The picture.
    pub image: Image,
    /// Its last latent, as a file of NumPy's.
    pub latent: Vec<u8>,
    /// The targets of its steps, as [`TaskEvent::Convergence`](crate::protocol::engine::TaskEvent::Convergence)
    /// has them.
    pub targets: Vec<u8>,
}

/// An experiment under way.
#[derive(Clone, Debug)]
pub struct Run {
    /// The number by which it is kept.
    pub id: ExperimentId,
    /// What is drawn.
    pub experiment: Experiment,
    pages: Vec<Page>,
    /// Pages from the first on that are complete.
    complete: usize,
    done: BTreeSet<PictureId>,
    /// Rows with pictures since they were measured.
    unmeasured: BTreeSet<(u32, u32)>,
    /// The page that is being drawn, and how many pictures there were before.
    ordered: Option<usize>,
    drawn_before: Option<(usize, usize)>,
    /// The steps of the cells that were begun.
    steps: BTreeMap<(u32, u32), Vec<StepRecord>>,
    /// Finished cells whose steps are being measured.
    finished: BTreeMap<(u32, u32), Drawn>,
}

impl Run {
    /// The run of an experiment of which some pictures are there.
    pub fn new(id: ExperimentId, experiment: Experiment, done: Vec<PictureId>) -> Self {
        Run {
            id,
            pages: experiment.pages(),
            complete: 0,
            experiment,
            // A crash may have come before they were measured; that they were is seen at once.
            unmeasured: done.iter().map(|it| (it.prompt, it.condition)).collect(),
            done: done.into_iter().collect(),
            ordered: None,
            drawn_before: None,
            steps: BTreeMap::new(),
            finished: BTreeMap::new(),
        }
    }

    /// Pictures that are there, and all.
    pub fn progress(&self) -> (u64, u64) {
        (self.done.len() as u64, self.experiment.passes().pictures)
    }

    /// Whether a grid is being drawn.
    pub fn is_drawing(&self) -> bool {
        self.ordered.is_some()
    }

    /// What is to be done, while no grid is being drawn and nothing measured.
    pub fn what_next(&mut self) -> Next {
        if !self.unmeasured.is_empty() {
            let rows = std::mem::take(&mut self.unmeasured);
            return Next::Measure(rows.into_iter().collect());
        }
        let is_missing = |(_, picture): &(CellAddress, PictureId)| !self.done.contains(picture);
        let left = self.pages.iter().skip(self.complete);
        let is_complete = |page: &&Page| !page.cells().any(|it| is_missing(&it));
        self.complete += left.take_while(is_complete).count();
        let Some(page) = self.pages.get(self.complete) else {
            return Next::Finished;
        };
        let now = (page.number, self.done.len());
        if self.drawn_before.replace(now) == Some(now) {
            return Next::Stuck;
        }
        let missing: Vec<CellAddress> = page
            .cells()
            .filter(is_missing)
            .map(|(cell, _)| cell)
            .collect();
        let all = page.cells().count();
        self.ordered = Some(page.number);
        self.steps.clear();
        self.finished.clear();
        Next::Draw(
            Box::new(page.recipe.clone()),
            Extent {
                cells: (missing.len() < all).then_some(missing),
                is_of_experiment: true,
                ..Extent::default()
            },
        )
    }

    fn page(&self) -> Option<&Page> {
        self.pages.get(self.ordered?)
    }

    /// Whether a grid with this recipe is the one that is being drawn.
    pub fn is_own(&self, recipe: &Recipe) -> bool {
        self.page().is_some_and(|page| page.recipe == *recipe)
    }

    /// Takes an event of the grid that is being drawn.
    pub fn take(&mut self, event: &JobEvent) -> Option<Produced> {
        match event {
            JobEvent::Step {
                cell,
                step,
                timestep,
                model,
                digest,
                ..
            } => {
                let steps = self.steps.entry((cell.row, cell.column)).or_default();
                // A cell that starts over takes its steps again.
                steps.truncate(step.saturating_sub(1) as usize);
                steps.push(StepRecord {
                    model: *model,
                    timestep: *timestep,
                    digest: *digest,
                    distance: None,
                });
                None
            }
            JobEvent::Image {
                cell,
                image,
                milliseconds,
                latent,
            } => {
                let id = self.page()?.picture(*cell)?;
                let place = (cell.row, cell.column);
                let record = PictureRecord {
                    id,
                    seed: self.experiment.seed_of(id.image),
                    file: None,
                    milliseconds: *milliseconds,
                    steps: self.steps.remove(&place).unwrap_or_default(),
                };
                let drawn = Drawn {
                    record,
                    image: image.clone(),
                    latent: latent.clone(),
                    targets: Vec::new(),
                };
                if self.experiment.study.measures_steps() {
                    self.finished.insert(place, drawn);
                    return Some(Produced::Unmeasured(*cell));
                }
                Some(self.produce(drawn))
            }
            JobEvent::Diversity { row, distances, .. } => {
                let page = self.page()?;
                let condition = *page.conditions.get(*row as usize)?;
                let mut distances = distances.in_order();
                for column in &mut distances.columns {
                    *column = column.saturating_add(page.first_image);
                }
                Some(Produced::Row(Box::new(RowRecord {
                    prompt: page.prompt,
                    condition,
                    measure: STRUCTURAL.to_owned(),
                    distances,
                })))
            }
            JobEvent::Done => {
                self.interrupted();
                None
            }
            _ => None,
        }
    }

    /// The targets of a finished cell's steps have come, with their distances to its image.
    pub fn measured(
        &mut self,
        cell: CellAddress,
        distances: &[f64],
        targets: Vec<u8>,
    ) -> Option<Produced> {
        let mut drawn = self.finished.remove(&(cell.row, cell.column))?;
        for (step, distance) in drawn.record.steps.iter_mut().zip(distances) {
            step.distance = Some(*distance);
        }
        drawn.targets = targets;
        Some(self.produce(drawn))
    }

    fn produce(&mut self, drawn: Drawn) -> Produced {
        let PictureId {
            prompt, condition, ..
        } = drawn.record.id;
        self.done.insert(drawn.record.id);
        self.unmeasured.insert((prompt, condition));
        if matches!(self.experiment.study, Study::Transfer(_)) {
            // Those that are compared with it are to be measured anew.
            let all = 0..self.experiment.conditions().len() as u32;
            self.unmeasured
                .extend(all.map(|condition| (prompt, condition)));
        }
        Produced::Picture(Box::new(drawn))
    }

    /// The grid is not drawn any further; what it lacks is drawn anew.
    pub fn interrupted(&mut self) {
        self.ordered = None;
        self.steps.clear();
    }

    /// The visitor goes on after something went wrong.
    pub fn goes_on(&mut self) {
        self.interrupted();
        self.finished.clear();
        self.drawn_before = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Diversity, RowDistances};
    use crate::protocol::engine::Latent;
    use crate::recipe::Mode;
    use crate::recipe::digest::StepDigest;
    use crate::sampler::ModelRole;

    fn experiment(study: Study, images: u32) -> Experiment {
        Experiment {
            study,
            pair: "pairs/emoji/manifest.json".into(),
            prompts: vec!["a".into(), "b".into()],
            images,
            settings: Recipe {
                modes: vec![Mode::Distilled, Mode::Hybrid],
                seed: 7,
                k: 1,
                hybrid_base_steps: 1,
                distilled_steps: 2,
                ..Recipe::default()
            },
        }
    }

    fn image() -> Image {
        Image {
            width: 1,
            height: 1,
            rgba: vec![0; 4],
        }
    }

    fn step(cell: CellAddress, step: u32) -> JobEvent {
        JobEvent::Step {
            cell,
            step,
            steps: 2,
            timestep: 999.0,
            model: ModelRole::Distilled,
            preview: image(),
            digest: StepDigest([step as u8; 3]),
            milliseconds: 5.0,
            latent: Latent::of(&[]),
        }
    }

    fn drawn(cell: CellAddress) -> JobEvent {
        JobEvent::Image {
            cell,
            image: image(),
            milliseconds: 12.0,
            latent: vec![7],
        }
    }

    /// Draws what is ordered, up to so many pictures.
    fn draw(run: &mut Run, next: &Next, most: usize) -> Vec<PictureRecord> {
        let Next::Draw(recipe, extent) = next else {
            panic!("{next:?}")
        };
        assert!(run.is_own(recipe));
        let cells = (0..recipe.rows().len() as u32)
            .flat_map(|row| (0..recipe.seed_count).map(move |column| CellAddress { row, column }));
        let mut records = Vec::new();
        for cell in cells.filter(|it| extent.includes(*it)).take(most) {
            assert_eq!(run.take(&step(cell, 1)), None);
            assert_eq!(run.take(&step(cell, 2)), None);
            match run.take(&drawn(cell)) {
                Some(Produced::Picture(drawn)) => {
                    assert_eq!(drawn.latent, [7]);
                    records.push(drawn.record);
                }
                other => panic!("{other:?}"),
            }
        }
        records
    }

    #[test]
    fn all_grids_are_drawn_and_measured_one_after_the_other() {
        let mut run = Run::new(1, experiment(Study::Diversity, 18), Vec::new());
        let mut seeds = BTreeSet::new();
        let mut measured = Vec::new();
        for _ in 0..4 {
            let next = run.what_next();
            for record in draw(&mut run, &next, usize::MAX) {
                assert_eq!(record.steps.len(), 2);
                assert_eq!(record.seed, 7 + record.id.image);
                assert!(seeds.insert((record.id.prompt, record.id.condition, record.seed)));
            }
            run.take(&JobEvent::Done);
            assert!(!run.is_drawing());
            match run.what_next() {
                Next::Measure(rows) => measured.push(rows),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(run.what_next(), Next::Finished);
        assert_eq!(seeds.len(), 2 * 2 * 18);
        assert_eq!(run.progress(), (72, 72));
        assert_eq!(measured[0], [(0, 0), (0, 1)]);
        assert_eq!(
            measured[3],
            [(1, 0), (1, 1)],
            "the rest of the second prompt"
        );
    }

    #[test]
    fn after_a_reload_only_what_is_missing_is_drawn() {
        let mut run = Run::new(1, experiment(Study::Diversity, 3), Vec::new());
        let next = run.what_next();
        let before = draw(&mut run, &next, 4);
        let kept = before.iter().map(|it| it.id).collect();
        let mut run = Run::new(1, experiment(Study::Diversity, 3), kept);
        assert_eq!(run.progress(), (4, 12));
        assert_eq!(run.what_next(), Next::Measure(vec![(0, 0), (0, 1)]));
        let next = run.what_next();
        let after = draw(&mut run, &next, usize::MAX);
        let images: Vec<u32> = after.iter().map(|it| it.id.image).collect();
        assert_eq!(images, [1, 2], "of the hybrid's row");
        run.take(&JobEvent::Done);
        assert!(matches!(run.what_next(), Next::Measure(_)));
        match run.what_next() {
            Next::Draw(recipe, extent) => {
                assert_eq!((recipe.prompt.as_str(), extent.cells), ("b", None));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn steps_are_measured_before_a_picture_counts() {
        let mut run = Run::new(1, experiment(Study::Convergence, 1), Vec::new());
        assert!(matches!(run.what_next(), Next::Draw(..)));
        let cell = CellAddress::default();
        run.take(&step(cell, 1));
        run.take(&step(cell, 2));
        assert_eq!(run.take(&drawn(cell)), Some(Produced::Unmeasured(cell)));
        assert_eq!(run.progress().0, 0);
        let Some(Produced::Picture(drawn)) = run.measured(cell, &[0.5, 0.25], vec![9]) else {
            panic!("a picture")
        };
        assert_eq!(drawn.targets, [9]);
        let record = drawn.record;
        let distances: Vec<_> = record.steps.iter().map(|it| it.distance).collect();
        assert_eq!(distances, [Some(0.5), Some(0.25)]);
        assert_eq!(run.progress().0, 1);
        assert_eq!(run.measured(cell, &[0.5], Vec::new()), None);
    }

    #[test]
    fn a_rows_columns_become_images() {
        let mut run = Run::new(1, experiment(Study::Diversity, 18), Vec::new());
        for _ in 0..2 {
            let next = run.what_next();
            draw(&mut run, &next, usize::MAX);
            run.take(&JobEvent::Done);
            assert!(matches!(run.what_next(), Next::Measure(_)));
        }
        assert!(matches!(run.what_next(), Next::Draw(..)));
        let event = JobEvent::Diversity {
            row: 1,
            diversity: Diversity {
                mean: 0.5,
                margin: None,
                pictures: 2,
            },
            distances: RowDistances {
                columns: vec![1, 0],
                distances: vec![0.5],
            },
        };
        let Some(Produced::Row(row)) = run.take(&event) else {
            panic!("a row")
        };
        assert_eq!((row.prompt, row.condition), (0, 1));
        assert_eq!(row.distances.columns, [16, 17]);
    }

    #[test]
    fn a_grid_that_gives_nothing_is_not_drawn_for_ever() {
        let mut run = Run::new(1, experiment(Study::Diversity, 2), Vec::new());
        assert!(matches!(run.what_next(), Next::Draw(..)));
        run.take(&JobEvent::Done);
        assert_eq!(run.what_next(), Next::Stuck);
        run.goes_on();
        assert!(matches!(run.what_next(), Next::Draw(..)));
    }
}
