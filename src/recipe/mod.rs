//! What a visitor asks for: everything that decides which pictures come out, and nothing else.

pub mod adapters;
pub mod bounds;
pub mod device;
pub mod digest;
pub mod excerpt;
pub mod experiment;
pub mod foreign;
pub mod generation_parameters;
pub mod link;
pub mod pair_address;
pub mod parameters;
pub mod partial;
pub mod prompt_syntax;
#[cfg(test)]
pub(crate) mod random;
pub mod saved_recipe;
pub mod size;
pub mod taken_over;
pub mod validate;

use std::ops::Not;

use serde::{Deserialize, Serialize};

use crate::sampler::{ModelRole, SchedulerChoice};
use adapters::AdapterUse;
use size::ImageSize;

/// Which model takes which steps of an image: the rows of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The base model takes every step.
    Base,
    /// The distilled model takes every step.
    Distilled,
    /// Diversity distillation: the base model takes the first k steps, the distilled model the rest.
    Hybrid,
    /// No base model: the distilled model starts at its second step.
    #[serde(rename = "skip")]
    SkipFirstStep,
    /// As the hybrid, but the base model hands over once the picture that it aims at has settled.
    Adaptive,
}

impl Mode {
    /// Every mode, in the order of the grid's rows.
    pub const ALL: [Mode; 5] = [
        Mode::Base,
        Mode::Distilled,
        Mode::Hybrid,
        Mode::SkipFirstStep,
        Mode::Adaptive,
    ];

    /// Those of the paper.
    pub const OF_THE_PAPER: [Mode; 4] = [
        Mode::Base,
        Mode::Distilled,
        Mode::Hybrid,
        Mode::SkipFirstStep,
    ];

    /// The mode's name in links, test handles and file names.
    pub fn key(self) -> &'static str {
        match self {
            Mode::Base => "base",
            Mode::Distilled => "distilled",
            Mode::Hybrid => "hybrid",
            Mode::SkipFirstStep => "skip",
            Mode::Adaptive => "adaptive",
        }
    }

    /// The mode's name for people, with a capital letter.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Base => "Base",
            Mode::Distilled => "Distilled",
            Mode::Hybrid => "Hybrid",
            Mode::SkipFirstStep => "Skip first step",
            Mode::Adaptive => "Adaptive",
        }
    }

    /// The mode of a [`Mode::key`].
    pub fn from_key(key: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.key() == key)
    }

    /// Whether the base UNet takes any step in this mode.
    pub fn needs_base(self) -> bool {
        matches!(self, Mode::Base | Mode::Hybrid | Mode::Adaptive)
    }

    /// Whether the distilled UNet takes any step in this mode.
    pub fn needs_distilled(self) -> bool {
        !matches!(self, Mode::Base)
    }
}

/// What the rows differ in beside the mode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Nothing: a row per mode.
    #[default]
    Modes,
    /// A row of [`Mode::Hybrid`] for each of these k, in place of [`Recipe::k`].
    K(Vec<u32>),
    /// A row of [`Mode::Hybrid`] for each of these guidance scales of the base model's steps, in
    /// place of [`Recipe::hybrid_base_guidance`].
    BaseGuidance(Vec<f32>),
    /// A row per mode for each of these strengths of the recipe's first adapter.
    AdapterStrength(Vec<f32>),
    /// A row per mode for [`Recipe::prompt`] and for each of these further prompts.
    Prompts(Vec<String>),
}

/// A row of the grid: a mode, and what it takes from the axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which model takes which steps.
    pub mode: Mode,
    /// What to draw.
    pub prompt: String,
    /// See [`Recipe::k`]; of [`Mode::Adaptive`] the largest.
    pub k: u32,
    /// See [`Recipe::hybrid_base_guidance`].
    pub hybrid_base_guidance: f32,
    /// See [`Recipe::adapters`].
    pub adapters: Vec<AdapterUse>,
    /// What sets the row apart from others of its mode.
    pub variant: Variant,
}

/// What sets a row apart from others of its mode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Variant {
    /// Nothing: it is the only one.
    Only,
    /// Its k.
    K(u32),
    /// Its guidance scale of the base model's steps.
    BaseGuidance(f32),
    /// The strength of its first adapter.
    AdapterStrength(f32),
    /// Its prompt, counted from 1.
    Prompt(u32),
}

impl Variant {
    /// Its name with that of its mode in test handles and file names, such as `hybrid` or `hybrid-k2`.
    pub fn key(self, mode: Mode) -> String {
        let mode = mode.key();
        match self {
            Variant::Only => mode.to_owned(),
            Variant::K(k) => format!("{mode}-k{k}"),
            Variant::BaseGuidance(scale) => format!("{mode}-g{scale}"),
            Variant::AdapterStrength(strength) => format!("{mode}-a{strength}"),
            Variant::Prompt(number) => format!("{mode}-p{number}"),
        }
    }

    /// Its name with that of its mode, for people.
    pub fn name(self, mode: Mode) -> String {
        let mode = mode.name();
        match self {
            Variant::Only => mode.to_owned(),
            Variant::K(k) => format!("{mode}, k = {k}"),
            Variant::BaseGuidance(scale) => format!("{mode}, base guidance {scale}"),
            Variant::AdapterStrength(strength) => format!("{mode}, strength {strength}"),
            Variant::Prompt(number) => format!("{mode}, prompt {number}"),
        }
    }
}

impl Row {
    /// The row's name in test handles and file names, such as `hybrid` or `hybrid-k2`.
    pub fn key(&self) -> String {
        self.variant.key(self.mode)
    }

    /// How strongly each of the recipe's adapters acts on a model in a step, counted from 1, at a timestep.
    pub fn strengths(&self, role: ModelRole, step: u32, timestep: f32) -> Vec<f32> {
        let adapters = self.adapters.iter();
        adapters
            .map(|adapter| adapter.strength_at(role, step, timestep))
            .collect()
    }
}

/// How the texts of prompts are read. With neither choice it is as diffusers reads them: the text as it
/// stands, cut where a text encoder's first chunk ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PromptReading {
    /// Whether what exceeds one chunk of 75 tokens is encoded in further ones, which are joined.
    pub long: bool,
    /// Whether brackets, weights and `BREAK` mean what other programs mean by them, see
    /// [`prompt_syntax`].
    pub weighted: bool,
}

/// The text of a prompt, and how it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Prompt {
    /// What somebody has typed.
    pub text: String,
    /// How it is read.
    pub reading: PromptReading,
}

impl Prompt {
    /// A text that is read as diffusers reads it.
    pub fn plain(text: &str) -> Self {
        Prompt {
            text: text.to_owned(),
            reading: PromptReading::default(),
        }
    }
}

/// The place of a cell in a recipe's grid, both counted from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct CellAddress {
    /// Index into [`Recipe::rows`].
    pub row: u32,
    /// The column; see [`Recipe::seed_of`].
    pub column: u32,
}

/// The whole recipe of a grid: a row per mode and what the axis makes of it, a column per seed.
///
/// [`parameters::PARAMETERS`] has an entry for each field. The default of a recipe is empty and can't
/// be drawn; it is what a recipe is read into.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// What to draw.
    pub prompt: String,
    /// What to keep away from; it acts only where classifier-free guidance does (scale above 1).
    pub negative_prompt: String,
    /// Whether prompts may be longer than a text encoder reads at once: see [`PromptReading::long`].
    #[serde(default, skip_serializing_if = "Not::not")]
    pub long_prompts: bool,
    /// Whether prompts have a syntax: see [`PromptReading::weighted`].
    #[serde(default, skip_serializing_if = "Not::not")]
    pub weighted_prompt: bool,
    /// Width and height of a picture; none means the pair's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<ImageSize>,
    /// The first column's seed; the others count up from it. A seed here is a seed of
    /// `torch.manual_seed`, which uses its low 32 bits alone.
    pub seed: u32,
    /// Number of columns.
    pub seed_count: u32,
    /// The modes of the rows, at least one, in the order of [`Mode::ALL`].
    pub modes: Vec<Mode>,
    /// What the rows differ in beside the mode.
    pub axis: Axis,
    /// How many of the distilled model's steps the base model takes in [`Mode::Hybrid`].
    pub k: u32,
    /// Guidance scale of the base model's steps in [`Mode::Hybrid`] and [`Mode::Adaptive`]; at most 1
    /// means one conditional pass per step. The paper's best is 0.
    pub hybrid_base_guidance: f32,
    /// Steps that the base model makes in place of each replaced step of the distilled model in
    /// [`Mode::Hybrid`] and [`Mode::Adaptive`]; with 1 the base model follows the distilled model's own schedule.
    pub hybrid_base_steps: u32,
    /// The most of the distilled model's steps that the base model takes in [`Mode::Adaptive`]; 0 means
    /// all of them.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub adaptive_k: u32,
    /// The relative change of the Diffusion Target's latent in a base step below which the base model
    /// hands over in [`Mode::Adaptive`]; 0 means [`ADAPTIVE_THRESHOLD`](bounds::ADAPTIVE_THRESHOLD).
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub adaptive_threshold: f32,
    /// Steps of [`Mode::Base`].
    pub base_steps: u32,
    /// Guidance scale of [`Mode::Base`].
    pub base_guidance: f32,
    /// Scheduler of the base model; none means the pair's own.
    pub base_scheduler: Option<SchedulerChoice>,
    /// Steps of the distilled model.
    pub distilled_steps: u32,
    /// Guidance scale of the distilled model's steps.
    pub distilled_guidance: f32,
    /// Scheduler of the distilled model; none means the pair's own.
    pub distilled_scheduler: Option<SchedulerChoice>,
    /// What changes the models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<AdapterUse>,
}

/// Whether a number is its type's 0.
fn is_nothing<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

impl Recipe {
    /// How all prompts of the recipe are read.
    pub fn prompt_reading(&self) -> PromptReading {
        PromptReading {
            long: self.long_prompts,
            weighted: self.weighted_prompt,
        }
    }

    /// One of the recipe's prompts, as the recipe has it read.
    pub fn read_prompt(&self, text: &str) -> Prompt {
        Prompt {
            text: text.to_owned(),
            reading: self.prompt_reading(),
        }
    }

    /// The seed of a column, counting up from the first and starting over after the largest.
    pub fn seed_of(&self, column: u32) -> u32 {
        self.seed.wrapping_add(column)
    }

    /// The grid's rows, from the top: those of one prompt together, in the order of [`Mode::ALL`].
    pub fn rows(&self) -> Vec<Row> {
        let row = |mode, prompt: &String, variant| Row {
            mode,
            prompt: prompt.clone(),
            k: match variant {
                Variant::K(k) => k,
                _ if mode == Mode::Adaptive => self.largest_k(),
                _ => self.k,
            },
            hybrid_base_guidance: match variant {
                Variant::BaseGuidance(scale) => scale,
                _ => self.hybrid_base_guidance,
            },
            adapters: self.adapters_of(variant),
            variant,
        };
        let modes = Mode::ALL
            .into_iter()
            .filter(|mode| self.modes.contains(mode));
        let variants = |mode| -> Vec<Variant> {
            match (&self.axis, mode) {
                (Axis::K(values), Mode::Hybrid) => values.iter().copied().map(Variant::K).collect(),
                (Axis::BaseGuidance(values), Mode::Hybrid) => {
                    values.iter().copied().map(Variant::BaseGuidance).collect()
                }
                (Axis::AdapterStrength(values), _) => {
                    let values = values.iter().copied();
                    values.map(Variant::AdapterStrength).collect()
                }
                _ => vec![Variant::Only],
            }
        };
        match &self.axis {
            Axis::Prompts(further) => [&self.prompt]
                .into_iter()
                .chain(further)
                .zip(1..)
                .flat_map(|(prompt, number)| {
                    modes
                        .clone()
                        .map(move |mode| row(mode, prompt, Variant::Prompt(number)))
                })
                .collect(),
            _ => modes
                .flat_map(|mode| {
                    variants(mode)
                        .into_iter()
                        .map(move |variant| row(mode, &self.prompt, variant))
                })
                .collect(),
        }
    }

    /// The most steps of the distilled model that the base model takes in [`Mode::Adaptive`].
    pub fn largest_k(&self) -> u32 {
        match self.adaptive_k {
            0 => self.distilled_steps,
            k => k,
        }
    }

    /// The threshold of [`Mode::Adaptive`]; see [`Recipe::adaptive_threshold`].
    pub fn threshold(&self) -> f32 {
        if self.adaptive_threshold == 0.0 {
            bounds::ADAPTIVE_THRESHOLD
        } else {
            self.adaptive_threshold
        }
    }

    fn adapters_of(&self, variant: Variant) -> Vec<AdapterUse> {
        let mut adapters = self.adapters.clone();
        if let (Variant::AdapterStrength(strength), Some(first)) = (variant, adapters.first_mut()) {
            first.strength = strength;
        }
        adapters
    }

    /// The number of [`Recipe::rows`], without their prompts in memory: a recipe from outside may
    /// have any number.
    fn row_count(&self) -> usize {
        let modes = Mode::ALL
            .into_iter()
            .filter(|mode| self.modes.contains(mode))
            .count();
        let hybrids = usize::from(self.modes.contains(&Mode::Hybrid));
        match &self.axis {
            Axis::Modes => modes,
            Axis::K(values) => modes - hybrids + hybrids * values.len(),
            Axis::BaseGuidance(values) => modes - hybrids + hybrids * values.len(),
            Axis::AdapterStrength(values) => modes * values.len(),
            Axis::Prompts(further) => modes * (1 + further.len()),
        }
    }

    /// Whether the grid has a cell.
    pub fn has_cell(&self, cell: CellAddress) -> bool {
        (cell.row as usize) < self.row_count() && cell.column < self.seed_count
    }
}
