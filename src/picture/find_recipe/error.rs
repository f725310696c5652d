//! Why there is no recipe in a file.

use crate::picture::png_text::without_full_stop;

/// Why there is no recipe in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// It does not begin as a picture of a known format.
    #[error(
        "This file is no PNG, JPEG or WebP: drop a picture that was saved from this page, or another program's with its generation parameters."
    )]
    NotPicture,
    /// A ZIP.
    #[error(
        "This file is an archive (ZIP): take the files out of it, and open a picture, recipe.json or results.json."
    )]
    Archive,
    /// It ends before a picture's end.
    #[error("This picture ends too early: copy or download it again.")]
    CutOff,
    /// A checksum or a chunk is wrong.
    #[error("This picture is damaged ({reason}): copy or download it again.")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// Its texts are longer than any recipe.
    #[error(
        "This picture holds more text than a recipe can have, so nothing of it was read: drop a picture that was saved from this page."
    )]
    TooMuchText,
    /// It has texts, and none of them is known.
    #[error(
        "This picture has texts ({names}), but no settings in a form that is known here. Known are this page's own, AUTOMATIC1111's and its successors', ComfyUI's, InvokeAI's, Fooocus's, NovelAI's, SwarmUI's and Civitai's."
    )]
    UnknownForm {
        /// The texts' names in the file.
        names: String,
    },
    /// It is a picture without a recipe.
    #[error(
        "This picture holds no recipe. Programs and sites that convert a picture often drop it: use the file as it was saved."
    )]
    NoRecipe,
}

impl From<png::DecodingError> for FindError {
    fn from(error: png::DecodingError) -> Self {
        FindError::Damaged {
            reason: without_full_stop(&error),
        }
    }
}
