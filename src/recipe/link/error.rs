//! What is said of a link that can't be read.

use super::LINK_VERSION;
use super::names::FURTHER_PROMPT;
use crate::recipe::bounds::{MAXIMUM_PROMPT_CHARACTERS, MAXIMUM_ROWS};

/// Why a part of a link is left out, or all of it. A sentence repeats no more than the beginning of
/// a part.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LinkError {
    /// A hash that is longer than any that is written.
    #[error(
        "The link has {bytes} characters, more than any recipe takes, so nothing of it was applied: ask for the link again."
    )]
    TooLong {
        /// The length of the hash.
        bytes: usize,
    },
    /// A version other than [`LINK_VERSION`].
    #[error(
        "The link was made by a newer release of this page: it is of version “{version}”, and this page knows version {LINK_VERSION} alone, so nothing of it was applied. Reload the page to get its newest release."
    )]
    Version {
        /// The version, as it stands in the link.
        version: String,
    },
    /// A checksum that doesn't fit, or isn't at the end.
    #[error(
        "The link was damaged or edited: its checksum doesn't fit, so nothing of it was applied. Ask for the link again, or take “&sum=…” off its end to use it as it stands."
    )]
    Damaged,
    /// A link with a version that doesn't say all of a recipe. What it says counts.
    #[error(
        "The link was cut off or edited: it doesn't say its {name}. What it doesn't say is as this page has it; ask for the link again."
    )]
    Incomplete {
        /// The first parameter that is missing.
        name: &'static str,
    },
    /// So many errors that the parts after them were not read.
    #[error("Too many parts of the link can't be read, so the rest of it was left out.")]
    TooManyErrors,
    /// A list with more values than there can be rows.
    #[error(
        "The link's {name} has {values} values, but {MAXIMUM_ROWS} rows are the most, so it was left out."
    )]
    TooManyValues {
        /// The name of the part.
        name: String,
        /// Values of its list.
        values: usize,
    },
    /// A further prompt with a number above that of any row.
    #[error("The link sets {name}, but {MAXIMUM_ROWS} rows are the most, so it was left out.")]
    NoSuchRow {
        /// The name of the part.
        name: String,
    },
    /// Further prompts whose numbers leave one out.
    #[error(
        "The link sets {FURTHER_PROMPT}{next} but not {FURTHER_PROMPT}{missing}, so the prompts from {FURTHER_PROMPT}{next} on were left out."
    )]
    PromptMissing {
        /// The number that is left out.
        missing: usize,
        /// The number that comes after it.
        next: usize,
    },
    /// Rows that differ in two things.
    #[error(
        "The link sets {first} and {second}, but the rows can differ in one thing alone, so {second} was left out."
    )]
    SecondAxis {
        /// The parameter that counts.
        first: String,
        /// The parameter that comes after it.
        second: String,
    },
    /// A part without `=`.
    #[error("The link's part “{part}” has no value, so it was left out.")]
    NoValue {
        /// The part as it stands in the link.
        part: String,
    },
    /// A `%` that no two hexadecimal digits follow, or bytes that are no UTF-8.
    #[error("The link's part “{part}” is wrongly percent-encoded, so it was left out.")]
    Encoding {
        /// The part as it stands in the link.
        part: String,
    },
    /// A name that no control has.
    #[error("The link sets “{name}”, which this page doesn't know, so it was left out.")]
    UnknownParameter {
        /// The name of the part.
        name: String,
    },
    /// A parameter that comes again.
    #[error("The link sets {name} twice; the first value counts.")]
    GivenTwice {
        /// The name of the part.
        name: String,
    },
    /// A value that the parameter doesn't take.
    #[error("The link's {name} is “{value}”, but it has to be {expected}, so it was left out.")]
    BadValue {
        /// The name of the part.
        name: String,
        /// The value, decoded.
        value: String,
        /// What it has to be.
        expected: String,
    },
    /// A prompt over [`MAXIMUM_PROMPT_CHARACTERS`].
    #[error(
        "The link's {name} has {characters} characters, but {MAXIMUM_PROMPT_CHARACTERS} are the most, so it was left out."
    )]
    PromptTooLong {
        /// The name of the part.
        name: String,
        /// The prompt's length.
        characters: usize,
    },
}
