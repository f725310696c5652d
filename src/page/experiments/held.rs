//! What the form holds.

use std::sync::Arc;

use leptos::prelude::*;

use super::runner::Experiments;
use crate::page::form::controls::Controls;
use crate::recipe::experiment::{Experiment, prompts};
use crate::recipe::{Mode, Recipe};
use crate::view::experiments::input::{ExperimentInput, field};
use crate::view::wrong_field::WrongField;

/// What the form holds; it stays while the view is closed.
#[derive(Clone, Copy)]
pub struct ExperimentForm {
    pub study: RwSignal<String>,
    pub values: RwSignal<String>,
    pub prompts: RwSignal<String>,
    pub images: RwSignal<String>,
    pub seed: RwSignal<String>,
    pub modes: RwSignal<Vec<Mode>>,
    /// Settings and pair of an experiment that was opened; none: those of the page.
    pub opened: RwSignal<Option<Arc<Experiment>>>,
    /// What kept the experiment from beginning, until it is mended.
    pub wrong: RwSignal<Option<WrongField>>,
}

impl ExperimentForm {
    /// The form of sample diversity in three modes.
    pub fn new() -> Self {
        ExperimentForm {
            study: RwSignal::new("diversity".to_owned()),
            values: RwSignal::default(),
            prompts: RwSignal::default(),
            images: RwSignal::new("8".to_owned()),
            seed: RwSignal::new("1".to_owned()),
            modes: RwSignal::new(vec![Mode::Base, Mode::Distilled, Mode::Hybrid]),
            opened: RwSignal::new(None),
            wrong: RwSignal::new(None),
        }
    }

    /// Takes over an experiment, with its settings and its pair.
    pub fn fill(&self, experiment: Arc<Experiment>) {
        let input = ExperimentInput::of(&experiment);
        self.study.set(input.study);
        self.values.set(input.values);
        self.prompts.set(input.prompts);
        self.images.set(input.images);
        self.seed.set(input.seed);
        self.modes.set(input.modes);
        self.opened.set(Some(experiment));
        self.wrong.set(None);
    }

    /// Takes the prompts of a table; a sentence where it has none, and the form stays as it is.
    pub fn take_table(&self, text: &str) -> Result<(), String> {
        let found = prompts::of_csv(text, None).map_err(|error| error.to_string())?;
        if found.is_empty() {
            return Err(
                "The table has no prompt in it: a prompt is in a line of its own.".to_owned(),
            );
        }
        // A prompt is a line of the field.
        let lines: Vec<String> = found
            .iter()
            .map(|prompt| prompt.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        self.prompts.set(lines.join("\n"));
        Ok(())
    }

    /// What the form spells; follows all of its fields.
    pub fn experiment(
        &self,
        experiments: Experiments,
        controls: Controls,
    ) -> Result<Experiment, WrongField> {
        let input = ExperimentInput {
            study: self.study.get(),
            values: self.values.get(),
            prompts: self.prompts.get(),
            images: self.images.get(),
            seed: self.seed.get(),
            modes: self.modes.get(),
        };
        let (pair, settings): (String, Recipe) = match self.opened.get() {
            Some(opened) => (opened.pair.clone(), opened.settings.clone()),
            None => {
                let settings = controls.recipe().map_err(|error| WrongField {
                    field: field::STUDY.to_owned(),
                    sentence: format!("The form of the pictures: {error}"),
                })?;
                (experiments.engine.pair_address.get(), settings)
            }
        };
        input
            .experiment(&pair, &settings)
            .map_err(|error| WrongField {
                field: error.field().to_owned(),
                sentence: error.to_string(),
            })
    }
}
