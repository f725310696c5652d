//! Some of a recipe's parameters, to be laid over another recipe.

use std::collections::BTreeSet;

use super::Recipe;
use super::parameters::{PARAMETERS, Parameter, ReadError};

/// A recipe in which parameters may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartialRecipe {
    /// What is missing is as in [`Recipe::default`].
    values: Recipe,
    /// Names of the parameters that are there.
    names: BTreeSet<&'static str>,
}

impl PartialRecipe {
    /// Every parameter of a recipe.
    pub fn whole(recipe: &Recipe) -> Self {
        let mut partial = PartialRecipe::default();
        for parameter in &PARAMETERS {
            partial.copy(parameter, recipe);
        }
        partial
    }

    /// The parameters in which a recipe differs from another one.
    pub fn difference(recipe: &Recipe, other: &Recipe) -> Self {
        let mut partial = PartialRecipe::default();
        for parameter in &PARAMETERS {
            if !parameter.is_same(recipe, other) {
                partial.copy(parameter, recipe);
            }
        }
        partial
    }

    /// Whether a parameter is there.
    pub fn has(&self, parameter: &Parameter) -> bool {
        self.names.contains(parameter.name)
    }

    /// The values of all parameters; those that are missing are as in [`Recipe::default`].
    pub fn values(&self) -> &Recipe {
        &self.values
    }

    /// Takes a parameter over from a recipe.
    pub fn copy(&mut self, parameter: &'static Parameter, from: &Recipe) {
        parameter.copy(from, &mut self.values);
        self.names.insert(parameter.name);
    }

    /// Takes the value of a parameter that a text spells.
    ///
    /// # Errors
    /// The text spells none, and nothing is taken.
    pub fn read(&mut self, parameter: &'static Parameter, text: &str) -> Result<(), ReadError> {
        parameter.read(text, &mut self.values)?;
        self.names.insert(parameter.name);
        Ok(())
    }

    /// The whole recipe, with what is missing from another one.
    pub fn applied_to(&self, other: &Recipe) -> Recipe {
        let mut recipe = other.clone();
        for parameter in &PARAMETERS {
            if self.has(parameter) {
                parameter.copy(&self.values, &mut recipe);
            }
        }
        recipe
    }
}
