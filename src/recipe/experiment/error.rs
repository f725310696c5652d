//! What is said of an experiment that can't be run or read.

use super::bounds::{
    EXPERIMENT_VERSION, IMAGES, MAXIMUM_LINK_BYTES, MAXIMUM_PROMPTS, MAXIMUM_VALUES,
};
use super::study::Study;
use crate::recipe::link::error::LinkError;
use crate::recipe::validate::RecipeError;

/// Why there is no such experiment.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ExperimentError {
    /// No prompt.
    #[error("The experiment has no prompt: give at least one, a line each.")]
    NoPrompt,
    /// More prompts than [`MAXIMUM_PROMPTS`].
    #[error("The experiment has {prompts} prompts; {MAXIMUM_PROMPTS} are the most.")]
    TooManyPrompts {
        /// Prompts of the experiment.
        prompts: usize,
    },
    /// A prompt that is there already.
    #[error("The prompt “{prompt}” is there twice: give each once.")]
    RepeatedPrompt {
        /// The prompt, shortened.
        prompt: String,
    },
    /// A number of images outside of [`IMAGES`].
    #[error(
        "The number of images for each prompt is {images}; it has to be between {} and {}.",
        IMAGES.minimum,
        IMAGES.maximum
    )]
    Images {
        /// Images of each prompt and condition.
        images: u32,
    },
    /// A setting without a value, or with too many.
    #[error("The experiment compares {values} values; it takes from 1 to {MAXIMUM_VALUES}.")]
    ValueCount {
        /// Values of the setting.
        values: usize,
    },
    /// A value that is there already.
    #[error("The value {value} is there twice: give each once.")]
    RepeatedValue {
        /// The value.
        value: String,
    },
    /// A threshold of the adaptive switch under which no change is.
    #[error("A threshold has to be above 0: give one such as 0.2, or leave it out.")]
    NoThreshold,
    /// A setting that recipes don't have.
    #[error(
        "There is no setting “{name}”: settings are called as in a saved recipe, such as distilled_steps or modes."
    )]
    UnknownSetting {
        /// Its name, shortened.
        name: String,
    },
    /// A recipe of one of its grids that can't be drawn.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The pair is on another host.
    #[error(
        "The experiment names the pair “{pair}”, which is not an address on this page's own host."
    )]
    PairElsewhere {
        /// The address.
        pair: String,
    },
    /// A version that is not known.
    #[error(
        "The experiment is of version {version}, and this release knows version {EXPERIMENT_VERSION} alone: get its newest release."
    )]
    Version {
        /// The version.
        version: String,
    },
    /// JSON of another form, or none.
    #[error("The experiment can't be read ({reason}): the file is damaged or was changed.")]
    Unreadable {
        /// Where it fails.
        reason: String,
    },
    /// A link that was changed on its way.
    #[error(
        "The link to the experiment was damaged or edited, so nothing of it was applied: ask for it again."
    )]
    Damaged,
    /// The part of the link that is a recipe.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A study that is not known.
    #[error("The experiment is a study of “{study}”, but it has to be one of {}.", Study::KEYS.join(", "))]
    UnknownStudy {
        /// The name.
        study: String,
    },
    /// A value of a link that is none.
    #[error("The link's {name} is “{value}”, which is no value of it: ask for the link again.")]
    BadValue {
        /// The name of the part.
        name: String,
        /// The value, shortened.
        value: String,
    },
    /// More than a link can hold.
    #[error(
        "The experiment is too long for a link, which holds {} kB: save it as a file.",
        MAXIMUM_LINK_BYTES / 1000
    )]
    TooLongForLink,
    /// A table without its column.
    #[error("The table has no column “{column}”; its columns are {columns}.")]
    NoColumn {
        /// The column that was asked for.
        column: String,
        /// Those that there are, shortened.
        columns: String,
    },
    /// A table of several columns of which none is known to hold prompts.
    #[error(
        "None of the table's columns is called prompt or caption: name the column of the prompts so in the \
         first line, which reads “{columns}”."
    )]
    NoPromptColumn {
        /// The first line's cells, shortened.
        columns: String,
    },
    /// A table that is no text.
    #[error(
        "The table can't be read: it is no text. Choose a text or CSV file (UTF-8) with a prompt in each line."
    )]
    NoText,
    /// A quotation in a table that doesn't end.
    #[error("The table can't be read: a quotation that begins in line {line} has no end.")]
    OpenQuotation {
        /// The line, counted from 1.
        line: usize,
    },
}
