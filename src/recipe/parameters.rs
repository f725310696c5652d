//! Every parameter of a recipe, once: links, saved recipes, the form's controls and the engine's
//! check of a recipe all read [`PARAMETERS`].
//!
//! A new parameter is an entry here and a field of [`Recipe`]. It is then in links, is checked, and
//! goes through the form unchanged; a control of its own is a row in `page::form`.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "constants: a place that is not there does not compile"
)]

use super::adapters::{self, AdapterUse, MAXIMUM_ADAPTERS};
use super::bounds::{
    ADAPTIVE_K, Bounds, GUIDANCE_SCALE, HYBRID_BASE_STEPS, MAXIMUM_PROMPT_CHARACTERS, SEED,
    SEED_COUNT, STEPS, THRESHOLD,
};
use super::size::{ImageSize, LONGEST_SIDE, SHORTEST_SIDE, SIDE_STEP};
use super::{Axis, Mode, Recipe};
use crate::sampler::SchedulerChoice;

/// The word for a scheduler that is the pair's own.
pub const OWN_SCHEDULER: &str = "pair";
/// The word for a size that is the pair's own.
pub const OWN_SIZE: &str = "pair";
/// The word for [`Axis::Modes`].
const NO_AXIS: &str = "modes";
/// The word for a choice that is made.
pub const ON: &str = "on";
/// The word for a choice that is not made.
pub const OFF: &str = "off";

/// A parameter of a recipe.
pub struct Parameter {
    /// Its name in links, and the `id` and `data-testid` of its control.
    pub name: &'static str,
    /// What it is called in errors, as the beginning of a sentence.
    pub subject: &'static str,
    /// Whether complete links leave it out where it is as in [`Recipe::default`]: for what most
    /// recipes don't have. Every parameter that is younger than version 1 of links has to be
    /// optional, so that older links still say all of a recipe.
    pub is_optional: bool,
    /// Which values it takes, and where a recipe keeps them.
    pub kind: Kind,
}

/// The type of a parameter's values.
pub enum Kind {
    /// A text of up to [`MAXIMUM_PROMPT_CHARACTERS`].
    Prompt(Field<String>),
    /// A whole number within bounds.
    Whole(Field<u32>, Bounds<u32>),
    /// A number within bounds.
    Number(Field<f32>, Bounds<f32>),
    /// One or more modes.
    Modes(Field<Vec<Mode>>),
    /// What rows differ in. [`Axis::Modes`] alone has a word; the values of other axes have names
    /// of their own in links, and fields of their own in the form.
    Axis(Field<Axis>),
    /// A scheduler, or the pair's own.
    Scheduler(Field<Option<SchedulerChoice>>),
    /// A choice that is on or off.
    Switch(Field<bool>),
    /// The size of pictures, or the pair's own.
    Size(Field<Option<ImageSize>>),
    /// Files that change the models.
    Adapters(Field<Vec<AdapterUse>>),
}

/// Where a recipe keeps a value.
pub struct Field<T: 'static> {
    /// Reads it.
    pub get: fn(&Recipe) -> &T,
    /// Its place, to be written.
    pub get_mut: fn(&mut Recipe) -> &mut T,
}

macro_rules! field {
    ($name:ident) => {
        Field {
            get: |recipe| &recipe.$name,
            get_mut: |recipe| &mut recipe.$name,
        }
    };
}

/// Every parameter, in the order of links.
pub static PARAMETERS: [Parameter; 21] = [
    Parameter {
        name: "prompt",
        subject: "The prompt",
        is_optional: false,
        kind: Kind::Prompt(field!(prompt)),
    },
    Parameter {
        name: "negative-prompt",
        subject: "The negative prompt",
        is_optional: true,
        kind: Kind::Prompt(field!(negative_prompt)),
    },
    Parameter {
        name: "long-prompts",
        subject: "The choice of long prompts",
        is_optional: true,
        kind: Kind::Switch(field!(long_prompts)),
    },
    Parameter {
        name: "weighted-prompt",
        subject: "The choice of a weighted prompt",
        is_optional: true,
        kind: Kind::Switch(field!(weighted_prompt)),
    },
    Parameter {
        name: "size",
        subject: "The size",
        is_optional: true,
        kind: Kind::Size(field!(size)),
    },
    Parameter {
        name: "seed",
        subject: "The seed",
        is_optional: false,
        kind: Kind::Whole(field!(seed), SEED),
    },
    Parameter {
        name: "seed-count",
        subject: "The number of seeds",
        is_optional: false,
        kind: Kind::Whole(field!(seed_count), SEED_COUNT),
    },
    Parameter {
        name: "modes",
        subject: "The list of modes",
        is_optional: false,
        kind: Kind::Modes(field!(modes)),
    },
    Parameter {
        name: "axis",
        subject: "What the rows differ in",
        is_optional: true,
        kind: Kind::Axis(field!(axis)),
    },
    Parameter {
        name: "k",
        subject: "k",
        is_optional: false,
        kind: Kind::Whole(field!(k), STEPS),
    },
    Parameter {
        name: "base-guidance",
        subject: "The hybrid's base guidance scale",
        is_optional: false,
        kind: Kind::Number(field!(hybrid_base_guidance), GUIDANCE_SCALE),
    },
    Parameter {
        name: "hybrid-base-steps",
        subject: "The number of base steps per replaced step",
        is_optional: false,
        kind: Kind::Whole(field!(hybrid_base_steps), HYBRID_BASE_STEPS),
    },
    Parameter {
        name: "adaptive-k",
        subject: "The adaptive switch's largest k",
        is_optional: true,
        kind: Kind::Whole(field!(adaptive_k), ADAPTIVE_K),
    },
    Parameter {
        name: "adaptive-threshold",
        subject: "The adaptive switch's threshold",
        is_optional: true,
        kind: Kind::Number(field!(adaptive_threshold), THRESHOLD),
    },
    Parameter {
        name: "base-steps",
        subject: "The number of base steps",
        is_optional: false,
        kind: Kind::Whole(field!(base_steps), STEPS),
    },
    Parameter {
        name: "guidance",
        subject: "The base guidance scale",
        is_optional: false,
        kind: Kind::Number(field!(base_guidance), GUIDANCE_SCALE),
    },
    Parameter {
        name: "base-scheduler",
        subject: "The base model's scheduler",
        is_optional: false,
        kind: Kind::Scheduler(field!(base_scheduler)),
    },
    Parameter {
        name: "distilled-steps",
        subject: "The number of distilled steps",
        is_optional: false,
        kind: Kind::Whole(field!(distilled_steps), STEPS),
    },
    Parameter {
        name: "distilled-guidance",
        subject: "The distilled guidance scale",
        is_optional: false,
        kind: Kind::Number(field!(distilled_guidance), GUIDANCE_SCALE),
    },
    Parameter {
        name: "distilled-scheduler",
        subject: "The distilled model's scheduler",
        is_optional: false,
        kind: Kind::Scheduler(field!(distilled_scheduler)),
    },
    Parameter {
        name: "adapters",
        subject: "The list of adapters",
        is_optional: true,
        kind: Kind::Adapters(field!(adapters)),
    },
];

/// Places in [`PARAMETERS`] of the parameters that code beside the table names: those with further
/// spellings in links, and those that the page fills by itself.
pub mod place {
    use super::place_of;

    /// [`Recipe::prompt`](super::Recipe::prompt).
    pub const PROMPT: usize = place_of("prompt");
    /// [`Recipe::negative_prompt`](super::Recipe::negative_prompt).
    pub const NEGATIVE_PROMPT: usize = place_of("negative-prompt");
    /// [`Recipe::long_prompts`](super::Recipe::long_prompts).
    pub const LONG_PROMPTS: usize = place_of("long-prompts");
    /// [`Recipe::weighted_prompt`](super::Recipe::weighted_prompt).
    pub const WEIGHTED_PROMPT: usize = place_of("weighted-prompt");
    /// [`Recipe::size`](super::Recipe::size).
    pub const SIZE: usize = place_of("size");
    /// [`Recipe::adapters`](super::Recipe::adapters).
    pub const ADAPTERS: usize = place_of("adapters");
    /// [`Recipe::seed`](super::Recipe::seed).
    pub const SEED: usize = place_of("seed");
    /// [`Recipe::seed_count`](super::Recipe::seed_count).
    pub const SEED_COUNT: usize = place_of("seed-count");
    /// [`Recipe::modes`](super::Recipe::modes).
    pub const MODES: usize = place_of("modes");
    /// [`Recipe::axis`](super::Recipe::axis).
    pub const AXIS: usize = place_of("axis");
    /// [`Recipe::k`](super::Recipe::k).
    pub const K: usize = place_of("k");
    /// [`Recipe::hybrid_base_guidance`](super::Recipe::hybrid_base_guidance).
    pub const HYBRID_BASE_GUIDANCE: usize = place_of("base-guidance");
    /// [`Recipe::adaptive_k`](super::Recipe::adaptive_k).
    pub const ADAPTIVE_K: usize = place_of("adaptive-k");
    /// [`Recipe::base_steps`](super::Recipe::base_steps).
    pub const BASE_STEPS: usize = place_of("base-steps");
    /// [`Recipe::base_guidance`](super::Recipe::base_guidance).
    pub const BASE_GUIDANCE: usize = place_of("guidance");
    /// [`Recipe::base_scheduler`](super::Recipe::base_scheduler).
    pub const BASE_SCHEDULER: usize = place_of("base-scheduler");
}

/// The place of a parameter in [`PARAMETERS`]. For constants: a name that the table lacks doesn't
/// compile there.
///
/// # Panics
/// Where it is called at run time with such a name.
pub const fn place_of(name: &str) -> usize {
    let mut place = 0;
    while place < PARAMETERS.len() {
        if is_same_text(PARAMETERS[place].name, name) {
            return place;
        }
        place += 1;
    }
    panic!("PARAMETERS has no parameter of this name")
}

/// `==` of texts, which constants can't use yet.
const fn is_same_text(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut index = 0;
    while index < one.len() && index < other.len() && one[index] == other[index] {
        index += 1;
    }
    index == one.len() && index == other.len()
}

/// Why a text is no value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// It is none of [`Parameter::values`].
    NoValue,
    /// It is a prompt over [`MAXIMUM_PROMPT_CHARACTERS`].
    PromptTooLong {
        /// The prompt's length.
        characters: usize,
    },
}

impl<T: Clone + PartialEq> Field<T> {
    /// The value of a recipe.
    pub fn of<'a>(&self, recipe: &'a Recipe) -> &'a T {
        (self.get)(recipe)
    }

    /// Gives a recipe another value.
    pub fn set(&self, recipe: &mut Recipe, value: T) {
        *(self.get_mut)(recipe) = value;
    }

    fn copy(&self, from: &Recipe, to: &mut Recipe) {
        self.set(to, self.of(from).clone());
    }

    fn is_same(&self, one: &Recipe, other: &Recipe) -> bool {
        self.of(one) == self.of(other)
    }
}

impl Parameter {
    /// The parameter of a [`Parameter::name`].
    pub fn of_name(name: &str) -> Option<&'static Parameter> {
        PARAMETERS.iter().find(|parameter| parameter.name == name)
    }

    /// Gives one recipe the value of another.
    pub fn copy(&self, from: &Recipe, to: &mut Recipe) {
        match &self.kind {
            Kind::Prompt(field) => field.copy(from, to),
            Kind::Whole(field, _) => field.copy(from, to),
            Kind::Number(field, _) => field.copy(from, to),
            Kind::Modes(field) => field.copy(from, to),
            Kind::Axis(field) => field.copy(from, to),
            Kind::Scheduler(field) => field.copy(from, to),
            Kind::Switch(field) => field.copy(from, to),
            Kind::Size(field) => field.copy(from, to),
            Kind::Adapters(field) => field.copy(from, to),
        }
    }

    /// Whether two recipes have the same value.
    pub fn is_same(&self, one: &Recipe, other: &Recipe) -> bool {
        match &self.kind {
            Kind::Prompt(field) => field.is_same(one, other),
            Kind::Whole(field, _) => field.is_same(one, other),
            Kind::Number(field, _) => field.is_same(one, other),
            Kind::Modes(field) => field.is_same(one, other),
            Kind::Axis(field) => field.is_same(one, other),
            Kind::Scheduler(field) => field.is_same(one, other),
            Kind::Switch(field) => field.is_same(one, other),
            Kind::Size(field) => field.is_same(one, other),
            Kind::Adapters(field) => field.is_same(one, other),
        }
    }

    /// Gives a recipe the value that a text spells.
    ///
    /// # Errors
    /// The text spells none, and the recipe stays as it is.
    pub fn read(&self, text: &str, recipe: &mut Recipe) -> Result<(), ReadError> {
        match &self.kind {
            Kind::Prompt(field) => {
                let characters = text.chars().count();
                if characters > MAXIMUM_PROMPT_CHARACTERS {
                    return Err(ReadError::PromptTooLong { characters });
                }
                field.set(recipe, text.to_owned());
            }
            Kind::Whole(field, bounds) => {
                field.set(recipe, bounds.parse(text).ok_or(ReadError::NoValue)?);
            }
            Kind::Number(field, bounds) => {
                let number = bounds.parse(text).ok_or(ReadError::NoValue)?;
                field.set(recipe, without_negative_zero(number));
            }
            Kind::Modes(field) => {
                let chosen: Option<Vec<Mode>> = text
                    .split(',')
                    .map(|key| Mode::from_key(key.trim()))
                    .collect();
                field.set(recipe, in_order(&chosen.ok_or(ReadError::NoValue)?));
            }
            Kind::Axis(field) if text == NO_AXIS => field.set(recipe, Axis::Modes),
            Kind::Axis(_) => return Err(ReadError::NoValue),
            Kind::Scheduler(field) if text == OWN_SCHEDULER => field.set(recipe, None),
            Kind::Scheduler(field) => {
                let class = SchedulerChoice::from_key(text).ok_or(ReadError::NoValue)?;
                field.set(recipe, Some(class));
            }
            Kind::Switch(field) => {
                let is_on = match text {
                    ON => true,
                    OFF => false,
                    _ => return Err(ReadError::NoValue),
                };
                field.set(recipe, is_on);
            }
            Kind::Adapters(field) => {
                field.set(recipe, adapters::parse(text).ok_or(ReadError::NoValue)?);
            }
            Kind::Size(field) if text == OWN_SIZE => field.set(recipe, None),
            Kind::Size(field) => {
                let size = ImageSize::parse(text).ok_or(ReadError::NoValue)?;
                field.set(recipe, Some(size));
            }
        }
        Ok(())
    }

    /// The text of a recipe's value, one spelling for each; none for an axis without a word.
    pub fn spell(&self, recipe: &Recipe) -> Option<String> {
        Some(match &self.kind {
            Kind::Prompt(field) => field.of(recipe).clone(),
            Kind::Whole(field, _) => field.of(recipe).to_string(),
            Kind::Number(field, _) => without_negative_zero(*field.of(recipe)).to_string(),
            Kind::Modes(field) => {
                let keys: Vec<_> = in_order(field.of(recipe))
                    .into_iter()
                    .map(Mode::key)
                    .collect();
                keys.join(",")
            }
            Kind::Axis(field) if *field.of(recipe) == Axis::Modes => NO_AXIS.to_owned(),
            Kind::Axis(_) => return None,
            Kind::Scheduler(field) => field
                .of(recipe)
                .map_or(OWN_SCHEDULER, SchedulerChoice::key)
                .to_owned(),
            Kind::Switch(field) => word_of(*field.of(recipe)).to_owned(),
            Kind::Adapters(field) => adapters::spell(field.of(recipe)),
            Kind::Size(field) => match field.of(recipe) {
                Some(size) => size.key(),
                None => OWN_SIZE.to_owned(),
            },
        })
    }

    /// Which texts are read, in words that follow "it has to be".
    pub fn values(&self) -> String {
        match &self.kind {
            Kind::Prompt(_) => format!("text of up to {MAXIMUM_PROMPT_CHARACTERS} characters"),
            Kind::Whole(_, bounds) => bounds.to_string(),
            Kind::Number(_, bounds) => bounds.to_string(),
            Kind::Modes(_) => {
                let [first @ .., last] = Mode::ALL.map(Mode::key);
                format!("a comma list of {} and {last}", first.join(", "))
            }
            Kind::Axis(_) => NO_AXIS.to_owned(),
            Kind::Scheduler(_) => {
                let classes = SchedulerChoice::ALL.map(SchedulerChoice::key);
                format!("one of {} and {OWN_SCHEDULER}", classes.join(", "))
            }
            Kind::Switch(_) => format!("{ON} or {OFF}"),
            Kind::Adapters(_) => format!(
                "a list of up to {MAXIMUM_ADAPTERS} files with semicolons between them, each \
                 SHA-256:strength:models:first timestep:steps:name"
            ),
            Kind::Size(_) => format!(
                "width and height, such as 1152x896, each a multiple of {SIDE_STEP} from \
                 {SHORTEST_SIDE} to {LONGEST_SIDE}, or {OWN_SIZE}"
            ),
        }
    }
}

/// The word of a choice.
pub fn word_of(is_on: bool) -> &'static str {
    if is_on { ON } else { OFF }
}

/// The same number, but 0 for −0, which is spelled otherwise and means the same.
pub fn without_negative_zero(number: f32) -> f32 {
    number + 0.0
}

/// The modes of a list in the order of the grid's rows, each once.
pub fn in_order(chosen: &[Mode]) -> Vec<Mode> {
    Mode::ALL
        .into_iter()
        .filter(|mode| chosen.contains(mode))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::random::Random;

    #[test]
    fn the_table_has_every_field_of_a_recipe() {
        let mut random = Random(3);
        for _ in 0..100 {
            let recipe = random.recipe();
            let mut copy = Recipe::default();
            for parameter in &PARAMETERS {
                parameter.copy(&recipe, &mut copy);
                assert!(parameter.is_same(&recipe, &copy), "{}", parameter.name);
            }
            assert_eq!(copy, recipe);
        }
    }

    #[test]
    fn what_is_spelled_is_read() {
        let mut random = Random(4);
        for _ in 0..300 {
            let recipe = random.recipe();
            let mut read = Recipe {
                // Most axes are spelled by their values, under names of their own.
                axis: recipe.axis.clone(),
                ..Recipe::default()
            };
            for parameter in &PARAMETERS {
                if let Some(text) = parameter.spell(&recipe) {
                    assert_eq!(parameter.read(&text, &mut read), Ok(()), "{text}");
                }
            }
            assert_eq!(read, recipe);
        }
    }

    #[test]
    fn what_is_no_value_changes_nothing() {
        let recipe = Random(5).recipe();
        let mut read = recipe.clone();
        for parameter in &PARAMETERS {
            let is_prompt = matches!(parameter.kind, Kind::Prompt(_));
            if !is_prompt {
                assert_eq!(parameter.read("many", &mut read), Err(ReadError::NoValue));
            }
        }
        assert_eq!(read, recipe);
    }

    #[test]
    fn every_name_is_there_once_and_needs_no_encoding() {
        for (index, parameter) in PARAMETERS.iter().enumerate() {
            assert_eq!(place_of(parameter.name), index);
            let is_plain = |letter: char| letter.is_ascii_lowercase() || letter == '-';
            assert!(parameter.name.chars().all(is_plain), "{}", parameter.name);
        }
    }
}
