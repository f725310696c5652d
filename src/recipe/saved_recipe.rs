//! The recipe as it is kept in pictures and in the history: with the pair that it is for, and with a
//! version.

use serde::{Deserialize, Serialize};

use super::excerpt::excerpt;
use super::pair_address::is_on_own_host;
use super::parameters::in_order;
use super::validate::RecipeError;
use super::{CellAddress, Recipe};

/// Raised when a recipe comes to mean something else.
pub const RECIPE_VERSION: u32 = 1;

/// A recipe with what it needs to be drawn again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// [`SavedRecipeError::Unwritable`], where the text can't be made.
    pub fn to_json(&self) -> Result<String, SavedRecipeError> {
        serde_json::to_string(self).map_err(|error| SavedRecipeError::Unwritable {
            reason: error.to_string(),
        })
    }

    /// Reads such a text, whoever wrote it: what comes out can be drawn, and loads nothing from
    /// another host.
    ///
    /// # Errors
    /// Another version, whatever else the text has then; another form; a recipe that can't be drawn;
    /// a pair on another host; a cell that the grid doesn't have.
    pub fn from_json(text: &str) -> Result<SavedRecipe, SavedRecipeError> {
        let unreadable = |error: serde_json::Error| SavedRecipeError::Unreadable {
            // It may repeat a word of the text, which may be of any length.
            reason: excerpt(&error.to_string()),
        };
        let Versioned { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version != RECIPE_VERSION {
            return Err(SavedRecipeError::Version { version });
        }
        let mut saved: SavedRecipe = serde_json::from_str(text).map_err(unreadable)?;
        saved.recipe.validate()?;
        // Rows come in this order whatever the list says; comparisons of recipes look at the list.
        saved.recipe.modes = in_order(&saved.recipe.modes);
        if !is_on_own_host(&saved.pair) {
            return Err(SavedRecipeError::Pair {
                pair: excerpt(&saved.pair),
            });
        }
        if let Some(cell) = saved.cell
            && !saved.recipe.has_cell(cell)
        {
            return Err(SavedRecipeError::Cell {
                row: u64::from(cell.row) + 1,
                column: u64::from(cell.column) + 1,
            });
        }
        Ok(saved)
    }
}

/// What recipes of all versions have.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
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
    /// The picture is of no cell of the grid.
    #[error(
        "The recipe is of the picture in row {row} and column {column}, which its grid doesn't have: the file is damaged or was changed."
    )]
    Cell {
        /// The row, counted from 1.
        row: u64,
        /// The column, counted from 1.
        column: u64,
    },
    /// The recipe can't be written.
    #[error("The recipe can't be saved ({reason}).")]
    Unwritable {
        /// Why.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::recipe::Mode;
    use crate::recipe::random::Random;

    /// A saved recipe as JSON, to be changed.
    fn value() -> Value {
        let mut recipe = Random(1).recipe();
        recipe.modes = vec![Mode::Distilled, Mode::Hybrid];
        recipe.axis = Default::default();
        recipe.seed_count = 3;
        recipe.distilled_steps = 4;
        recipe.k = 2;
        let cell = CellAddress { row: 1, column: 2 };
        let saved = SavedRecipe::new("pairs/emoji/manifest.json", "Emoji", recipe, Some(cell));
        serde_json::to_value(saved).unwrap()
    }

    fn read(value: &Value) -> Result<SavedRecipe, SavedRecipeError> {
        SavedRecipe::from_json(&value.to_string())
    }

    /// What is said of a recipe with another value at a path.
    fn error_with(path: &str, replacement: Value) -> SavedRecipeError {
        let mut value = value();
        *value.pointer_mut(path).unwrap() = replacement;
        read(&value).unwrap_err()
    }

    #[test]
    fn every_recipe_comes_back() {
        let mut random = Random(2);
        for _ in 0..1000 {
            let recipe = random.recipe();
            let cell = (random.below(2) == 0).then(|| CellAddress {
                row: random.below(recipe.rows().len()) as u32,
                column: random.below(recipe.seed_count as usize) as u32,
            });
            let past_the_end = CellAddress {
                row: recipe.rows().len() as u32,
                column: 0,
            };
            assert!(!recipe.has_cell(past_the_end), "{recipe:?}");
            let saved = SavedRecipe::new("pairs/é/manifest.json", "Emoji “2”\n", recipe, cell);
            let text = saved.to_json().unwrap();
            assert_eq!(SavedRecipe::from_json(&text).as_ref(), Ok(&saved), "{text}");
            assert_eq!(saved.clone().to_json().unwrap(), text);
        }
    }

    #[test]
    fn another_version_is_told_whatever_its_form() {
        for text in [
            r#"{"version":2}"#,
            r#"{"recipe":{"prompt":["a","b"]},"further":null,"version":2}"#,
        ] {
            assert_eq!(
                SavedRecipe::from_json(text),
                Err(SavedRecipeError::Version { version: 2 })
            );
        }
        assert_eq!(
            error_with("/version", json!(0)),
            SavedRecipeError::Version { version: 0 }
        );
    }

    #[test]
    fn another_form_is_unreadable() {
        for text in [
            "",
            "null",
            "[]",
            "apple",
            r#"{"version":1}"#,
            r#"{"version":"1"}"#,
            "{",
        ] {
            let error = SavedRecipe::from_json(text).unwrap_err();
            assert!(
                matches!(error, SavedRecipeError::Unreadable { .. }),
                "{text}"
            );
        }
        for (path, replacement) in [
            ("/recipe/seed", json!(-1)),
            ("/recipe/seed", json!(4_294_967_296_u64)),
            ("/recipe/modes/0", json!("fast")),
            ("/recipe/base_guidance", json!(null)),
            ("/recipe/axis", json!({"sampler": [1]})),
            ("/cell/row", json!(0.5)),
            ("/pair", json!(7)),
        ] {
            let error = error_with(path, replacement);
            assert!(
                matches!(error, SavedRecipeError::Unreadable { .. }),
                "{path}"
            );
        }
        let mut further = value();
        further["run"] = json!(true);
        assert!(read(&further).is_err());
        let long = error_with("/recipe/modes/0", json!("漢".repeat(100_000)));
        assert!(long.to_string().chars().count() < 300);
    }

    #[test]
    fn numbers_have_their_bounds_whether_or_not_a_row_needs_them() {
        for (path, replacement) in [
            ("/recipe/seed_count", json!(17)),
            ("/recipe/base_steps", json!(0)),
            ("/recipe/base_guidance", json!(-0.5)),
            ("/recipe/distilled_guidance", json!(1e300)),
            ("/recipe/prompt", json!("a".repeat(2001))),
            ("/recipe/modes", json!([])),
            ("/recipe/axis", json!({"k": []})),
            ("/recipe/axis", json!({"k": vec![1; 400_000]})),
            ("/recipe/axis", json!({"prompts": vec![""; 300_000]})),
        ] {
            let error = error_with(path, replacement);
            assert!(
                matches!(error, SavedRecipeError::Recipe(_)),
                "{path}: {error}"
            );
        }
        let mut without_hybrid = value();
        without_hybrid["recipe"]["modes"] = json!(["distilled"]);
        without_hybrid["cell"] = json!(null);
        assert!(read(&without_hybrid).is_ok());
        for (name, number) in [
            ("k", json!(0)),
            ("k", json!(101)),
            ("hybrid_base_steps", json!(26)),
            ("hybrid_base_guidance", json!(20.5)),
        ] {
            let mut changed = without_hybrid.clone();
            changed["recipe"][name] = number;
            let error = read(&changed).unwrap_err();
            assert!(
                matches!(error, SavedRecipeError::Recipe(_)),
                "{name}: {error}"
            );
        }
    }

    #[test]
    fn modes_come_in_their_order() {
        let mut value = value();
        value["recipe"]["modes"] = json!(["hybrid", "distilled", "hybrid"]);
        assert_eq!(
            read(&value).unwrap().recipe.modes,
            [Mode::Distilled, Mode::Hybrid]
        );
    }

    #[test]
    fn the_pair_is_on_the_pages_host() {
        for pair in [
            "",
            "//example.org/m.json",
            "https://example.org/m.json",
            "\\\\a",
            "/\t/a",
        ] {
            assert_eq!(
                error_with("/pair", json!(pair)),
                SavedRecipeError::Pair { pair: pair.into() }
            );
        }
    }

    #[test]
    fn the_cell_is_in_the_grid() {
        for (path, row, column) in [("/cell/row", 3, 3), ("/cell/column", 2, 4)] {
            let index = if path == "/cell/row" {
                row - 1
            } else {
                column - 1
            };
            assert_eq!(
                error_with(path, json!(index)),
                SavedRecipeError::Cell { row, column }
            );
        }
        let last = error_with("/cell/column", json!(u32::MAX));
        assert!(last.to_string().contains("column 4294967296"), "{last}");
    }
}
