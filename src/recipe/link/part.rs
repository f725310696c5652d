//! One `name=value` of a link, and the values that stand beside the recipe's parameters.

use std::fmt::Display;
use std::str::FromStr;

use super::encoding::percent_decode;
use super::error::LinkError;
use super::names;
use crate::recipe::adapters::STRENGTH;
use crate::recipe::bounds::{Bounds, GUIDANCE_SCALE, MAXIMUM_ROWS, STEPS};
use crate::recipe::device::DevicePreference;
use crate::recipe::digest::{self, StepDigest};
use crate::recipe::excerpt::excerpt;
use crate::recipe::pair_address::is_on_own_host;
use crate::recipe::parameters::{PARAMETERS, Parameter, ReadError, place, without_negative_zero};
use crate::recipe::partial::PartialRecipe;
use crate::recipe::{Axis, Recipe};

/// A part of a link, decoded.
pub struct Part {
    /// What the value is of.
    pub name: String,
    /// What the link says of it.
    pub value: String,
}

impl Part {
    /// Decodes a part of a hash.
    pub fn decode(part: &str) -> Result<Part, LinkError> {
        let (name, value) = match part.split_once('=') {
            Some(both) => both,
            None if part == names::STATS => (part, ""),
            None => {
                return Err(LinkError::NoValue {
                    part: excerpt(part),
                });
            }
        };
        let decode = |text: &str| {
            percent_decode(text).ok_or_else(|| LinkError::Encoding {
                part: excerpt(part),
            })
        };
        Ok(Part {
            name: decode(name)?,
            value: decode(value)?,
        })
    }

    /// Reads the value into its place, which has to be empty.
    pub fn store<T>(
        &self,
        place: &mut Option<T>,
        read: impl FnOnce(&Self) -> Result<T, LinkError>,
    ) -> Result<(), LinkError> {
        if place.is_some() {
            return Err(self.given_twice());
        }
        *place = Some(read(self)?);
        Ok(())
    }

    /// Reads the value of a parameter, which the recipe has to lack.
    pub fn store_in(
        &self,
        recipe: &mut PartialRecipe,
        parameter: &'static Parameter,
    ) -> Result<(), LinkError> {
        if recipe.has(parameter) {
            return Err(self.given_twice());
        }
        recipe
            .read(parameter, &self.value)
            .map_err(|error| self.unreadable(parameter, error))
    }

    /// A further prompt, bounded as the recipe's own is.
    pub fn prompt(&self) -> Result<String, LinkError> {
        let recipe = self.alone(&PARAMETERS[place::PROMPT])?;
        Ok(recipe.prompt)
    }

    /// An axis that has a word.
    pub fn axis(&self) -> Result<Axis, LinkError> {
        let recipe = self.alone(&PARAMETERS[place::AXIS])?;
        Ok(recipe.axis)
    }

    /// A recipe with the value of a parameter and nothing else.
    fn alone(&self, parameter: &Parameter) -> Result<Recipe, LinkError> {
        let mut recipe = Recipe::default();
        match parameter.read(&self.value, &mut recipe) {
            Ok(()) => Ok(recipe),
            Err(error) => Err(self.unreadable(parameter, error)),
        }
    }

    /// A row of the hybrid for each k.
    pub fn k_values(&self) -> Result<Axis, LinkError> {
        self.list(STEPS).map(Axis::K)
    }

    /// A row of the hybrid for each base guidance scale.
    pub fn base_guidance_values(&self) -> Result<Axis, LinkError> {
        let scales = self.list(GUIDANCE_SCALE)?;
        Ok(Axis::BaseGuidance(
            scales.into_iter().map(without_negative_zero).collect(),
        ))
    }

    /// Rows for each strength of the first adapter.
    pub fn adapter_strengths(&self) -> Result<Axis, LinkError> {
        let strengths = self.list(STRENGTH)?;
        Ok(Axis::AdapterStrength(
            strengths.into_iter().map(without_negative_zero).collect(),
        ))
    }

    /// A number for each of so many rows.
    fn list<T>(&self, bounds: Bounds<T>) -> Result<Vec<T>, LinkError>
    where
        T: FromStr + PartialOrd,
        Bounds<T>: Display,
    {
        let values = self.value.split(',').count();
        if values > MAXIMUM_ROWS {
            return Err(LinkError::TooManyValues {
                name: self.name.clone(),
                values,
            });
        }
        let numbers: Option<Vec<T>> = self
            .value
            .split(',')
            .map(|value| bounds.parse(value))
            .collect();
        numbers.ok_or_else(|| self.bad_value(values_of_list(bounds)))
    }

    /// Where the models shall run.
    pub fn device(&self) -> Result<DevicePreference, LinkError> {
        DevicePreference::from_key(&self.value).ok_or_else(|| self.bad_value(values_of_device()))
    }

    /// The manifest's address.
    pub fn pair(&self) -> Result<String, LinkError> {
        if !is_on_own_host(&self.value) {
            return Err(self.bad_value(values_of_pair()));
        }
        Ok(self.value.clone())
    }

    /// That the page shows what the engine measures, which takes no value.
    pub fn stats(&self) -> Result<bool, LinkError> {
        if !self.value.is_empty() {
            return Err(self.bad_value(values_of_stats()));
        }
        Ok(true)
    }

    /// The digests of the first cell's steps.
    pub fn digests(&self) -> Result<Vec<StepDigest>, LinkError> {
        digest::from_text(&self.value).ok_or_else(|| self.bad_value(values_of_digest()))
    }

    fn given_twice(&self) -> LinkError {
        LinkError::GivenTwice {
            name: self.name.clone(),
        }
    }

    fn unreadable(&self, parameter: &Parameter, error: ReadError) -> LinkError {
        match error {
            ReadError::NoValue => self.bad_value(parameter.values()),
            ReadError::PromptTooLong { characters } => LinkError::PromptTooLong {
                name: self.name.clone(),
                characters,
            },
        }
    }

    fn bad_value(&self, expected: String) -> LinkError {
        LinkError::BadValue {
            name: self.name.clone(),
            value: excerpt(&self.value),
            expected,
        }
    }

    /// The error where this part says again what rows differ in, after a part of another name.
    pub fn second_axis(&self, first: &str) -> LinkError {
        LinkError::SecondAxis {
            first: first.to_owned(),
            second: excerpt(&self.name),
        }
    }
}

/// Which lists are read, in words that follow "it has to be".
pub fn values_of_list<T>(bounds: Bounds<T>) -> String
where
    Bounds<T>: Display,
{
    format!("a comma list, each {bounds}")
}

/// Which devices are read, in words that follow "it has to be".
pub fn values_of_device() -> String {
    let [first @ .., last] = DevicePreference::ALL.map(DevicePreference::key);
    format!("{} or {last}", first.join(", "))
}

/// Which addresses of pairs are read, in words that follow "it has to be".
pub fn values_of_pair() -> String {
    "the address of a manifest relative to this page, such as pairs/emoji/manifest.json".to_owned()
}

/// How the wish for measurements is read, in words that follow "it has to be".
pub fn values_of_stats() -> String {
    "without a value".to_owned()
}

/// Which digests are read, in words that follow "it has to be".
pub fn values_of_digest() -> String {
    format!(
        "four letters, digits, hyphens or underscores for each of 1 to {} steps",
        digest::MAXIMUM_DIGESTS
    )
}
