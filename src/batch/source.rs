//! What is to be run: an experiment's file, a `run.json`, a saved recipe, a picture with its recipe, or a
//! link to an experiment or a grid.

use std::fs;
use std::path::Path;

use super::error::BatchError;
use crate::picture::find_recipe::{FoundRecipe, find_recipe};
use crate::recipe::Recipe;
use crate::recipe::experiment::{Experiment, ExperimentFile, is_link};
use crate::recipe::link::Link;
use crate::recipe::saved_recipe::SavedRecipe;
use crate::results::manifest::RunManifest;

/// The pair that a link means which names none.
const OWN_PAIR: &str = "pairs/emoji/manifest.json";

/// What is to be run. Its pair's defaults may still be missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// An experiment with all of its settings.
    Whole(Box<Experiment>),
    /// An experiment whose file leaves settings to its pair.
    File(ExperimentFile),
    /// A grid, with all of its settings.
    Recipe(Box<SavedRecipe>),
    /// A grid's link, which leaves settings to its pair.
    Link(Box<Link>),
}

impl Source {
    /// Reads a file of this path, or a link.
    ///
    /// # Errors
    /// It is nothing of the kind, or can't be run.
    pub fn read(text: &str) -> Result<Source, BatchError> {
        let path = Path::new(text);
        if path.is_file() {
            let bytes = fs::read(path).map_err(|error| BatchError::reading(path, &error))?;
            return Source::of_file(text, &bytes);
        }
        // Of an address what follows its hash.
        let hash = text.split_once('#').map_or(text, |(_, hash)| hash);
        if is_link(hash) {
            let experiment = Experiment::from_link(hash)?;
            return Ok(Source::Whole(Box::new(experiment)));
        }
        let (link, errors) = Link::parse(hash);
        match errors.into_iter().next() {
            _ if !hash.contains('=') && looks_like_a_path(text) => {
                Err(BatchError::NoFile { path: path.into() })
            }
            _ if !hash.contains('=') => Err(no_source(text)),
            Some(error) => Err(crate::recipe::experiment::ExperimentError::from(error).into()),
            None => Ok(Source::Link(Box::new(link))),
        }
    }

    fn of_file(name: &str, bytes: &[u8]) -> Result<Source, BatchError> {
        if let Ok(FoundRecipe::Recipe(recipe)) = find_recipe(bytes) {
            let saved = SavedRecipe::from_json(&recipe)?;
            return Ok(Source::Recipe(Box::new(saved)));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| no_source(name))?;
        let value: serde_json::Value = serde_json::from_str(text).map_err(|_| no_source(name))?;
        let has = |field: &str| value.get(field).is_some();
        if has("results_version") {
            let experiment = RunManifest::from_json(text)?.experiment()?;
            Ok(Source::Whole(Box::new(experiment)))
        } else if has("study") {
            Ok(Source::File(ExperimentFile::from_json(text)?))
        } else if has("recipe") {
            let saved = SavedRecipe::from_json(text)?;
            Ok(Source::Recipe(Box::new(saved)))
        } else {
            Err(no_source(name))
        }
    }

    /// The address of its pair's manifest, relative to the page.
    pub fn pair(&self) -> &str {
        match self {
            Source::Whole(experiment) => &experiment.pair,
            Source::File(file) => &file.pair,
            Source::Recipe(saved) => &saved.pair,
            Source::Link(link) => link.pair.as_deref().unwrap_or(OWN_PAIR),
        }
    }

    /// The experiment, with what it leaves to its pair from these defaults.
    ///
    /// # Errors
    /// It can't be run.
    pub fn experiment(self, defaults: &Recipe) -> Result<Experiment, BatchError> {
        let pair = self.pair().to_owned();
        let experiment = match self {
            Source::Whole(experiment) => *experiment,
            Source::File(file) => file.with_defaults(defaults)?,
            Source::Recipe(saved) => Experiment::of_recipe(&pair, &saved.recipe),
            Source::Link(link) => Experiment::of_recipe(&pair, &link.applied_to(defaults)),
        };
        experiment.validate()?;
        Ok(experiment)
    }
}

/// Whether a text is rather a file's path than a link.
fn looks_like_a_path(text: &str) -> bool {
    !text.contains("://") && Path::new(text).extension().is_some()
}

fn no_source(text: &str) -> BatchError {
    BatchError::NoSource {
        text: text.chars().take(80).collect(),
    }
}
