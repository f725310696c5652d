//! An experiment as grids.

use serde::{Deserialize, Serialize};

use super::condition::{Condition, Setting};
use super::definition::{Experiment, with_none};
use super::study::Study;
use crate::recipe::bounds::{MAXIMUM_ROWS, SEED_COUNT};
use crate::recipe::parameters::in_order;
use crate::recipe::{Axis, CellAddress, Mode, Recipe};
use crate::sampler::is_guided;

/// A picture of an experiment.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct PictureId {
    /// Index into [`Experiment::prompts`].
    pub prompt: u32,
    /// Index into [`Experiment::conditions`].
    pub condition: u32,
    /// The image, counted from 0; see [`Experiment::seed_of`].
    pub image: u32,
}

/// A grid of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The page's number, counted from 0.
    pub number: usize,
    /// Index into [`Experiment::prompts`].
    pub prompt: u32,
    /// The image of the first column, counted from 0.
    pub first_image: u32,
    /// Index into [`Experiment::conditions`] of each of the recipe's rows.
    pub conditions: Vec<u32>,
    /// What is drawn.
    pub recipe: Recipe,
}

impl Page {
    /// The picture of a cell; none where the grid has no such cell.
    pub fn picture(&self, cell: CellAddress) -> Option<PictureId> {
        let condition = *self.conditions.get(cell.row as usize)?;
        (cell.column < self.recipe.seed_count).then(|| PictureId {
            prompt: self.prompt,
            condition,
            image: self.first_image.saturating_add(cell.column),
        })
    }

    /// Every cell with its picture, row by row.
    pub fn cells(&self) -> impl Iterator<Item = (CellAddress, PictureId)> {
        let rows = 0..self.conditions.len() as u32;
        rows.flat_map(|row| {
            (0..self.recipe.seed_count).map(move |column| CellAddress { row, column })
        })
        .filter_map(|cell| Some((cell, self.picture(cell)?)))
    }
}

/// What an experiment takes, to be told beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    /// Pictures in all.
    pub pictures: u64,
    /// Passes of the base model. A guided step takes two.
    pub base: u64,
    /// Passes of the distilled model.
    pub distilled: u64,
}

/// A file that is kept of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFile {
    /// The picture, as PNG.
    Picture,
    /// Its last latent, as a file of NumPy's.
    Latent,
    /// The Diffusion Targets of its steps and the picture, below each other, as PNG.
    Targets,
}

impl Experiment {
    /// The path of a picture's file below the folder of a run, and in the ZIP of an experiment.
    pub fn path_of(&self, file: PictureFile, picture: PictureId) -> String {
        let name = self.file_name_of(picture);
        match file {
            PictureFile::Picture => format!("pictures/{name}.png"),
            PictureFile::Latent => format!("latents/{name}.npy"),
            PictureFile::Targets => format!("targets/{name}.png"),
        }
    }

    /// The name of a picture's files without its ending, such as `hybrid/03-17`: the prompt counted from 1,
    /// and the seed.
    fn file_name_of(&self, picture: PictureId) -> String {
        let conditions = self.conditions();
        let condition = conditions.get(picture.condition as usize);
        let condition = condition.map(|it| it.key()).unwrap_or_default();
        let digits = self.prompts.len().to_string().len().max(2);
        format!(
            "{condition}/{:0digits$}-{}",
            picture.prompt + 1,
            self.seed_of(picture.image)
        )
    }

    /// The grids of the experiment, each within the bounds of a grid: the first images of every prompt
    /// come first, so that what is there early is of all prompts.
    pub fn pages(&self) -> Vec<Page> {
        let conditions = self.conditions();
        let layouts = self.layouts();
        let firsts = (0..self.images).step_by(SEED_COUNT.maximum as usize);
        let mut pages = Vec::new();
        for first_image in firsts {
            for (prompt, text) in (0..).zip(&self.prompts) {
                for layout in &layouts {
                    let recipe = Recipe {
                        prompt: text.clone(),
                        seed: self.seed_of(first_image),
                        seed_count: (self.images - first_image).min(SEED_COUNT.maximum),
                        ..layout.clone()
                    };
                    pages.push(Page {
                        number: pages.len(),
                        prompt,
                        first_image,
                        conditions: places(&conditions, &recipe),
                        recipe,
                    });
                }
            }
        }
        pages
    }

    /// The recipes whose rows are all conditions, without prompt and seeds.
    fn layouts(&self) -> Vec<Recipe> {
        let with = |modes: Vec<Mode>, axis| Recipe {
            modes,
            axis,
            ..self.settings.clone()
        };
        let modes = in_order(&self.settings.modes);
        let others: Vec<Mode> = modes
            .iter()
            .copied()
            .filter(|mode| *mode != Mode::Hybrid)
            .collect();
        match &self.study {
            Study::Diversity | Study::Convergence | Study::Time => vec![with(modes, Axis::Modes)],
            Study::K(values) => sweep(&others, values, Axis::K, with),
            Study::BaseGuidance(scales) => sweep(&others, scales, Axis::BaseGuidance, with),
            Study::Adaptive(thresholds) => {
                let beside: Vec<Mode> = others
                    .iter()
                    .copied()
                    .filter(|mode| *mode != Mode::Adaptive)
                    .collect();
                let fixed: Vec<u32> = (1..=self.settings.distilled_steps).collect();
                let adaptive = thresholds.iter().map(|&threshold| Recipe {
                    adaptive_threshold: threshold,
                    ..with(vec![Mode::Adaptive], Axis::Modes)
                });
                let fixed = sweep(&beside, &fixed, Axis::K, with);
                fixed.into_iter().chain(adaptive).collect()
            }
            Study::BaseSteps(values) => {
                let beside = (!others.is_empty()).then(|| with(others, Axis::Modes));
                let of_steps = values.iter().map(|&steps| Recipe {
                    hybrid_base_steps: steps,
                    ..with(vec![Mode::Hybrid], Axis::Modes)
                });
                beside.into_iter().chain(of_steps).collect()
            }
            Study::Transfer(strengths) => {
                let together = (MAXIMUM_ROWS / modes.len().max(1)).max(1);
                with_none(strengths)
                    .chunks(together)
                    .map(|strengths| with(modes.clone(), Axis::AdapterStrength(strengths.to_vec())))
                    .collect()
            }
        }
    }

    /// Passes of both models, about: a hybrid with several base steps for each replaced one takes what
    /// its schedulers make of them, and Heun's takes two passes in a step.
    pub fn passes(&self) -> Passes {
        let each = u64::from(self.images) * self.prompts.len() as u64;
        let mut passes = Passes::default();
        for condition in self.conditions() {
            let (base, distilled) = self.passes_of(&condition);
            passes.pictures += each;
            passes.base += each * base;
            passes.distilled += each * distilled;
        }
        passes
    }

    /// Passes of the base and of the distilled model for a picture under a condition, about.
    pub fn passes_of(&self, condition: &Condition) -> (u64, u64) {
        let settings = &self.settings;
        let setting = condition.setting;
        let k = match setting {
            Setting::K(k) => k,
            // At most.
            _ if condition.mode == Mode::Adaptive => settings.largest_k(),
            _ => settings.k,
        };
        let base_steps = match setting {
            Setting::BaseSteps(steps) => steps,
            _ => settings.hybrid_base_steps,
        };
        let guidance = match setting {
            Setting::BaseGuidance(scale) => scale,
            _ => settings.hybrid_base_guidance,
        };
        let (base, of_base, distilled) = match condition.mode {
            Mode::Base => (settings.base_steps, settings.base_guidance, 0),
            Mode::Distilled => (0, 0.0, settings.distilled_steps),
            Mode::Hybrid | Mode::Adaptive => (
                k.saturating_mul(base_steps),
                guidance,
                settings.distilled_steps.saturating_sub(k),
            ),
            Mode::SkipFirstStep => (0, 0.0, settings.distilled_steps.saturating_sub(1)),
        };
        let twice = |scale| if is_guided(scale) { 2 } else { 1 };
        (
            u64::from(base) * twice(of_base),
            u64::from(distilled) * twice(settings.distilled_guidance),
        )
    }
}

/// Recipes whose hybrid rows have the values of an axis, the first of them with the other modes.
fn sweep<T: Clone>(
    others: &[Mode],
    values: &[T],
    axis: fn(Vec<T>) -> Axis,
    with: impl Fn(Vec<Mode>, Axis) -> Recipe,
) -> Vec<Recipe> {
    let (first, rest) = values.split_at(values.len().min(MAXIMUM_ROWS - others.len()));
    let beside = in_order(&[others, &[Mode::Hybrid]].concat());
    let first = with(beside, axis(first.to_vec()));
    let rest = rest
        .chunks(MAXIMUM_ROWS)
        .map(|values| with(vec![Mode::Hybrid], axis(values.to_vec())));
    std::iter::once(first).chain(rest).collect()
}

/// The conditions of a recipe's rows.
fn places(conditions: &[Condition], recipe: &Recipe) -> Vec<u32> {
    let place = |row| {
        let is_own = |condition: &Condition| condition.is_of(row, recipe);
        conditions.iter().position(is_own).unwrap_or_default() as u32
    };
    recipe.rows().iter().map(place).collect()
}
