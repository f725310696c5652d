//! An experiment as the part of the page's address after `#`: the study with its prompts, values and
//! number of images, a checksum of these, and the settings as a complete [`Link`].
//!
//! `experiment=k&experiment-images=32&experiment-values=1,2,4&experiment-prompt=red+apple&…
//! &experiment-sum=0123abcd&v=1&pair=…&prompt=…&sum=…`

use std::fmt::Display;
use std::str::FromStr;

use super::bounds::{IMAGES, MAXIMUM_LINK_BYTES, MAXIMUM_PROMPTS, MAXIMUM_VALUES};
use super::definition::Experiment;
use super::error::ExperimentError;
use super::study::Study;
use crate::recipe::device::DevicePreference;
use crate::recipe::excerpt::excerpt;
use crate::recipe::link::Link;
use crate::recipe::link::encoding::{checksum, percent_decode, push_parameter};
use crate::recipe::parameters::without_negative_zero;
use crate::recipe::{Axis, Recipe};

/// The study.
const EXPERIMENT: &str = "experiment";
/// Images of each prompt and condition.
const IMAGES_NAME: &str = "experiment-images";
/// The values of the setting.
const VALUES: &str = "experiment-values";
/// A prompt; it may come any number of times.
const PROMPT: &str = "experiment-prompt";
/// The checksum of all before it.
const SUM: &str = "experiment-sum";

/// Whether a hash is the link of an experiment, and not that of a grid.
pub fn is_link(hash: &str) -> bool {
    let hash = hash.strip_prefix('#').unwrap_or(hash);
    hash.strip_prefix(EXPERIMENT)
        .is_some_and(|rest| rest.starts_with('='))
}

impl Experiment {
    /// The hash without its `#`. The same experiment gives the same text.
    ///
    /// # Errors
    /// More prompts than a link can hold.
    pub fn to_link(&self) -> Result<String, ExperimentError> {
        let mut hash = String::new();
        push_parameter(&mut hash, EXPERIMENT, self.study.key());
        push_parameter(&mut hash, IMAGES_NAME, &self.images.to_string());
        let values = match &self.study {
            Study::Diversity | Study::Convergence | Study::Time => None,
            Study::BaseGuidance(values) | Study::Adaptive(values) | Study::Transfer(values) => {
                Some(list(values.iter().copied().map(without_negative_zero)))
            }
            Study::K(values) | Study::BaseSteps(values) => Some(list(values)),
        };
        if let Some(values) = values {
            push_parameter(&mut hash, VALUES, &values);
        }
        for prompt in &self.prompts {
            push_parameter(&mut hash, PROMPT, prompt);
        }
        let sum = checksum(&hash);
        push_parameter(&mut hash, SUM, &sum);
        let settings = Recipe {
            prompt: String::new(),
            seed_count: 1,
            axis: Axis::Modes,
            ..self.settings.clone()
        };
        let device = DevicePreference::Automatic;
        let settings = Link::complete(&settings, device, Some(&self.pair), &[]).to_string();
        let link = format!("{hash}&{settings}");
        if link.len() > MAXIMUM_LINK_BYTES {
            return Err(ExperimentError::TooLongForLink);
        }
        Ok(link)
    }

    /// Reads a hash, with or without its `#`. Nothing counts of one that was changed: part of an
    /// experiment would be another one.
    ///
    /// # Errors
    /// The hash is no link of an experiment, was changed or is of another version, or the experiment
    /// can't be run.
    pub fn from_link(hash: &str) -> Result<Experiment, ExperimentError> {
        let hash = hash.strip_prefix('#').unwrap_or(hash);
        if hash.len() > MAXIMUM_LINK_BYTES {
            return Err(ExperimentError::TooLongForLink);
        }
        let mut before = String::new();
        let mut parts = Parts::default();
        let mut rest = hash;
        loop {
            let (part, after) = rest.split_once('&').ok_or(ExperimentError::Damaged)?;
            rest = after;
            let (name, value) = part.split_once('=').ok_or(ExperimentError::Damaged)?;
            let value = percent_decode(value).ok_or(ExperimentError::Damaged)?;
            if name == SUM {
                if value != checksum(&before) {
                    return Err(ExperimentError::Damaged);
                }
                break;
            }
            push_parameter(&mut before, name, &value);
            parts.take(name, value)?;
        }
        let (link, errors) = Link::parse(rest);
        if let Some(error) = errors.into_iter().next() {
            return Err(error.into());
        }
        if !link.is_versioned {
            return Err(ExperimentError::Damaged);
        }
        let experiment = Experiment {
            study: parts.study()?,
            pair: link.pair.clone().ok_or(ExperimentError::Damaged)?,
            images: parts.images.ok_or(ExperimentError::Damaged)?,
            settings: link.applied_to(&Recipe::default()),
            prompts: parts.prompts,
        };
        experiment.validate()?;
        Ok(experiment)
    }
}

fn list(values: impl IntoIterator<Item = impl Display>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    values.join(",")
}

/// What stands before the checksum.
#[derive(Default)]
struct Parts {
    study: String,
    images: Option<u32>,
    values: String,
    prompts: Vec<String>,
}

impl Parts {
    fn take(&mut self, name: &str, value: String) -> Result<(), ExperimentError> {
        match name {
            EXPERIMENT => self.study = value,
            IMAGES_NAME => {
                let images = IMAGES.parse(&value);
                self.images = Some(images.ok_or_else(|| bad_value(name, &value))?);
            }
            VALUES => self.values = value,
            PROMPT if self.prompts.len() == MAXIMUM_PROMPTS => {
                return Err(ExperimentError::TooManyPrompts {
                    prompts: MAXIMUM_PROMPTS + 1,
                });
            }
            PROMPT => self.prompts.push(value),
            _ => return Err(bad_value(name, &value)),
        }
        Ok(())
    }

    fn study(&self) -> Result<Study, ExperimentError> {
        Ok(match self.study.as_str() {
            "diversity" => Study::Diversity,
            "convergence" => Study::Convergence,
            "time" => Study::Time,
            "base-guidance" => Study::BaseGuidance(self.values()?),
            "k" => Study::K(self.values()?),
            "base-steps" => Study::BaseSteps(self.values()?),
            "adaptive" => Study::Adaptive(self.values()?),
            "transfer" => Study::Transfer(self.values()?),
            other => {
                return Err(ExperimentError::UnknownStudy {
                    study: excerpt(other),
                });
            }
        })
    }

    fn values<T: FromStr>(&self) -> Result<Vec<T>, ExperimentError> {
        let values = self.values.split(',').count();
        if values > MAXIMUM_VALUES {
            return Err(ExperimentError::ValueCount { values });
        }
        let parsed = self
            .values
            .split(',')
            .map(|value| value.trim().parse().ok());
        let parsed: Option<Vec<T>> = parsed.collect();
        parsed.ok_or_else(|| bad_value(VALUES, &self.values))
    }
}

fn bad_value(name: &str, value: &str) -> ExperimentError {
    ExperimentError::BadValue {
        name: excerpt(name),
        value: excerpt(value),
    }
}
