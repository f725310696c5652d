//! Finds the recipe, or another program's settings, in a picture that a visitor gives.

mod error;
mod exif;
#[cfg(test)]
mod fuzz;
mod jpeg;
mod png;
mod programs;
#[cfg(test)]
mod tests;
mod texts;
mod webp;

pub use error::FindError;
use png::PngTexts;

use crate::recipe::foreign::read_parameters::ReadParameters;

/// What a picture says of how it was made.
#[derive(Clone, Debug, PartialEq)]
pub enum FoundRecipe {
    /// Our recipe: the text that [`super::png_file::encode`] was given, as long as nobody changed it. Whether it is
    /// JSON, and a recipe, is yet to be seen.
    Recipe(String),
    /// Another program's settings.
    Parameters(ReadParameters),
}

/// Looks for a recipe in a file that a visitor dropped: a PNG, a JPEG or a WebP.
///
/// # Errors
/// When the file is none of these, ends too early, is damaged, holds too much text, or no recipe.
pub fn find_recipe(file: &[u8]) -> Result<FoundRecipe, FindError> {
    let (texts, is_damaged) = if file.starts_with(&png::SIGNATURE) {
        match png::texts(file)? {
            PngTexts::Recipe(recipe) => return Ok(FoundRecipe::Recipe(recipe)),
            PngTexts::Others { texts, is_damaged } => (texts, is_damaged),
        }
    } else if file.starts_with(&jpeg::SIGNATURE) {
        (jpeg::texts(file)?, false)
    } else if webp::is_webp(file) {
        (webp::texts(file)?, false)
    } else {
        return Err(if file.starts_with(b"PK\x03\x04") {
            FindError::Archive
        } else {
            FindError::NotPicture
        });
    };
    if let Some(read) = programs::read(&texts) {
        return Ok(FoundRecipe::Parameters(read));
    }
    let names = texts.names().join(", ");
    Err(if is_damaged {
        FindError::Damaged {
            reason: "one of its texts can't be read".into(),
        }
    } else if names.is_empty() {
        FindError::NoRecipe
    } else {
        FindError::UnknownForm { names }
    })
}
