//! The recipe as it is kept in pictures and in the history: with the pair that it is for, and with a
//! version.

use serde::{Deserialize, Serialize};

use crate::engine::recipe::{CellAddress, Recipe, RecipeError};

/// Raised when a recipe comes to mean something else.
pub const RECIPE_VERSION: u32 = 1;

/// A recipe with what it needs to be drawn again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedRecipe {
    /// [`RECIPE_VERSION`] of the page that saved it.
    pub version: u32,
    /// Address of the pair's manifest, relative to the page.
    pub pair: String,
    /// Name of the pair.
    pub pair_name: String,
    /// What was drawn.
    pub recipe: Recipe,
    /// The cell that the picture is of; none for a picture of the whole grid.
    pub cell: Option<CellAddress>,
}

impl SavedRecipe {
    /// A recipe of this version.
    pub fn new(pair: &str, pair_name: &str, recipe: Recipe, cell: Option<CellAddress>) -> Self {
        SavedRecipe {
            version: RECIPE_VERSION,
            pair: pair.to_owned(),
            pair_name: pair_name.to_owned(),
            recipe,
            cell,
        }
    }

    /// The text that goes into files and into the history; the same recipe gives the same text.
    ///
    /// # Errors
    /// [`SavedRecipeError::Unwritable`], for numbers that JSON has no word for.
    pub fn to_json(&self) -> Result<String, SavedRecipeError> {
        serde_json::to_string(self).map_err(|error| SavedRecipeError::Unwritable {
            reason: error.to_string(),
        })
    }
}

/// Why a text is no recipe.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SavedRecipeError {
    /// Another version.
    #[error(
        "The recipe is of version {version}, and this page knows version {RECIPE_VERSION} alone. \
         Reload the page to get its newest release."
    )]
    Version {
        /// The recipe's version.
        version: u32,
    },
    /// JSON of another form, or none.
    #[error("The recipe can't be read ({reason}): the file is damaged or was changed.")]
    Unreadable {
        /// Where it fails.
        reason: String,
    },
    /// A number out of its bounds.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The pair is on another host.
    #[error("The recipe names the pair “{pair}”, which is not an address on this page's own host.")]
    Pair {
        /// The address.
        pair: String,
    },
    /// The recipe can't be written.
    #[error("The recipe can't be saved ({reason}).")]
    Unwritable {
        /// Why.
        reason: String,
    },
}
