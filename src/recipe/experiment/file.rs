//! An experiment as a file.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bounds::EXPERIMENT_VERSION;
use super::definition::Experiment;
use super::error::ExperimentError;
use super::study::Study;
use crate::recipe::Recipe;
use crate::recipe::excerpt::excerpt;

/// An experiment as it stands in a file. What its settings don't say is as the pair has it, so that one
/// who writes it by hand says only what matters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentFile {
    version: u32,
    study: Study,
    /// Address of the pair's manifest, relative to the page.
    pub pair: String,
    prompts: Vec<String>,
    images: u32,
    /// Fields of [`Recipe`].
    #[serde(default)]
    settings: Map<String, Value>,
}

/// What experiments of all versions have.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl ExperimentFile {
    /// Reads an experiment, whoever wrote it.
    ///
    /// # Errors
    /// Another version, whatever else the text has then, or another form.
    pub fn from_json(text: &str) -> Result<ExperimentFile, ExperimentError> {
        let Versioned { version } =
            serde_json::from_str(text).map_err(|error| unreadable(&error))?;
        if version != EXPERIMENT_VERSION {
            return Err(ExperimentError::Version {
                version: version.to_string(),
            });
        }
        serde_json::from_str(text).map_err(|error| unreadable(&error))
    }

    /// The experiment, with what the file doesn't say from a pair's defaults.
    ///
    /// # Errors
    /// A setting of another form, or an experiment that can't be run.
    pub fn with_defaults(self, defaults: &Recipe) -> Result<Experiment, ExperimentError> {
        let mut settings = serde_json::to_value(defaults).map_err(|error| unreadable(&error))?;
        if let Value::Object(fields) = &mut settings {
            if let Some(name) = self.settings.keys().find(|it| !is_setting(fields, it)) {
                return Err(ExperimentError::UnknownSetting {
                    name: excerpt(name),
                });
            }
            fields.extend(self.settings);
        }
        let experiment = Experiment {
            study: self.study,
            pair: self.pair,
            prompts: self.prompts,
            images: self.images,
            settings: serde_json::from_value(settings).map_err(|error| unreadable(&error))?,
        };
        experiment.validate()?;
        Ok(experiment)
    }
}

impl Experiment {
    /// The experiment with all of its settings, to be kept or sent: the same experiment gives the same
    /// text.
    ///
    /// # Errors
    /// [`ExperimentError::Unreadable`], where it has no JSON.
    pub fn to_json(&self) -> Result<String, ExperimentError> {
        serde_json::to_string_pretty(&self.to_file()?).map_err(|error| unreadable(&error))
    }

    /// As [`Experiment::to_json`], as a part of another file.
    ///
    /// # Errors
    /// As [`Experiment::to_json`].
    pub fn to_file(&self) -> Result<ExperimentFile, ExperimentError> {
        let settings =
            match serde_json::to_value(&self.settings).map_err(|error| unreadable(&error))? {
                Value::Object(fields) => fields,
                _ => Map::new(),
            };
        Ok(ExperimentFile {
            version: EXPERIMENT_VERSION,
            study: self.study.clone(),
            pair: self.pair.clone(),
            prompts: self.prompts.clone(),
            images: self.images,
            settings,
        })
    }

    /// Reads an experiment that says all of its settings.
    ///
    /// # Errors
    /// As [`ExperimentFile::from_json`] and [`ExperimentFile::with_defaults`].
    pub fn from_json(text: &str) -> Result<Experiment, ExperimentError> {
        ExperimentFile::from_json(text)?.with_defaults(&Recipe::default())
    }
}

/// Fields that a recipe leaves out when they are empty.
const OPTIONAL: [&str; 6] = [
    "long_prompts",
    "weighted_prompt",
    "size",
    "adaptive_k",
    "adaptive_threshold",
    "adapters",
];

fn is_setting(fields: &Map<String, Value>, name: &str) -> bool {
    fields.contains_key(name) || OPTIONAL.contains(&name)
}

fn unreadable(error: &serde_json::Error) -> ExperimentError {
    ExperimentError::Unreadable {
        // It may repeat a word of the text, which may be of any length.
        reason: excerpt(&error.to_string()),
    }
}
