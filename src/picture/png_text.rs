//! What a PNG's text chunks are known by, and how long they may be: for the side that writes them and
//! the side that reads them.

/// The keyword of our recipe's text chunk.
pub const RECIPE_KEY: &str = "firststep:recipe";
/// The keyword of the text that other programs read.
pub const PARAMETERS_KEY: &str = "parameters";
/// The longest recipe or `parameters` text that is written or read, in bytes of UTF-8; a recipe
/// with the longest prompts takes some 20 kB.
pub const MAXIMUM_TEXT_BYTES: usize = 1 << 20;
/// The message of another crate, to stand within a sentence.
pub(super) fn without_full_stop(error: &impl ToString) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}
