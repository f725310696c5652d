//! The fields of an experiment's form, and the experiment that they spell.

use std::fmt::Display;
use std::str::FromStr;

use crate::recipe::adapters::STRENGTH;
use crate::recipe::bounds::{Bounds, GUIDANCE_SCALE, SEED, STEPS, THRESHOLD};
use crate::recipe::experiment::{Experiment, ExperimentError, IMAGES, Study, prompts};
use crate::recipe::validate::RecipeError;
use crate::recipe::{Axis, Mode, Recipe};

/// What the fields hold.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentInput {
    /// One of [`Study::KEYS`].
    pub study: String,
    /// Numbers with commas between them; they count where the study has values.
    pub values: String,
    /// A prompt per line.
    pub prompts: String,
    /// Images of each prompt.
    pub images: String,
    /// The first seed.
    pub seed: String,
    /// What is compared.
    pub modes: Vec<Mode>,
}

/// Why the fields spell no experiment.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InputError {
    /// A value that is none.
    #[error("Each value has to be {expected}, with commas between them; “{text}” isn't.")]
    Value {
        /// What was typed.
        text: String,
        /// What it has to be.
        expected: String,
    },
    /// No number of images.
    #[error("Images per prompt has to be {IMAGES}.")]
    Images,
    /// No seed.
    #[error("The experiment's first seed has to be {SEED}.")]
    Seed,
    /// A study of an adapter without one.
    #[error(
        "This kind compares an adapter's strengths: add an adapter in the form of the pictures first."
    )]
    NoAdapter,
    /// A value with which a grid can't be drawn.
    #[error("{0}")]
    Swept(ExperimentError),
    /// What they spell can't be run.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
}

impl InputError {
    /// The `data-testid` of the field to mend.
    pub fn field(&self) -> &'static str {
        match self {
            InputError::Value { .. } | InputError::Swept(_) => field::VALUES,
            InputError::Images => field::IMAGES,
            InputError::Seed => field::SEED,
            InputError::NoAdapter => field::STUDY,
            InputError::Experiment(error) => match error {
                ExperimentError::NoPrompt
                | ExperimentError::TooManyPrompts { .. }
                | ExperimentError::RepeatedPrompt { .. }
                | ExperimentError::Recipe(RecipeError::PromptTooLong { .. }) => field::PROMPTS,
                ExperimentError::ValueCount { .. }
                | ExperimentError::RepeatedValue { .. }
                | ExperimentError::NoThreshold => field::VALUES,
                ExperimentError::Recipe(RecipeError::NoMode | RecipeError::NoHybrid) => {
                    field::MODES
                }
                ExperimentError::Images { .. } => field::IMAGES,
                _ => field::STUDY,
            },
        }
    }
}

/// The `data-testid`s of the fields.
pub mod field {
    /// The kind of the experiment.
    pub const STUDY: &str = "experiment-study";
    /// The values of the setting.
    pub const VALUES: &str = "experiment-values";
    /// The prompts.
    pub const PROMPTS: &str = "experiment-prompts";
    /// Images per prompt.
    pub const IMAGES: &str = "experiment-images";
    /// The first seed.
    pub const SEED: &str = "experiment-seed";
    /// The modes.
    pub const MODES: &str = "experiment-modes";
}

impl ExperimentInput {
    /// The fields of an experiment.
    pub fn of(experiment: &Experiment) -> Self {
        ExperimentInput {
            study: experiment.study.key().to_owned(),
            values: match &experiment.study {
                Study::Diversity | Study::Convergence | Study::Time => String::new(),
                Study::BaseGuidance(values) | Study::Transfer(values) | Study::Adaptive(values) => {
                    list(values)
                }
                Study::K(values) | Study::BaseSteps(values) => list(values),
            },
            prompts: experiment.prompts.join("\n"),
            images: experiment.images.to_string(),
            seed: experiment.settings.seed.to_string(),
            modes: experiment.settings.modes.clone(),
        }
    }

    /// The experiment of a pair, with settings for everything that has no field here.
    ///
    /// # Errors
    /// A field holds no value, or what the fields hold can't be run.
    pub fn experiment(&self, pair: &str, settings: &Recipe) -> Result<Experiment, InputError> {
        let experiment = Experiment {
            study: self.study(settings)?,
            pair: pair.to_owned(),
            prompts: prompts::of_lines(&self.prompts),
            images: IMAGES.parse(&self.images).ok_or(InputError::Images)?,
            settings: Recipe {
                prompt: String::new(),
                seed: SEED.parse(&self.seed).ok_or(InputError::Seed)?,
                seed_count: 1,
                axis: Axis::Modes,
                modes: self.modes.clone(),
                ..settings.clone()
            },
        };
        experiment.validate().map_err(|error| {
            let without_values = Experiment {
                study: Study::Diversity,
                ..experiment.clone()
            };
            let is_of_grid = matches!(
                error,
                ExperimentError::Recipe(RecipeError::OutOfBounds { .. })
            );
            if is_of_grid && without_values.validate().is_ok() {
                InputError::Swept(error)
            } else {
                error.into()
            }
        })?;
        Ok(experiment)
    }

    fn study(&self, settings: &Recipe) -> Result<Study, InputError> {
        Ok(match self.study.as_str() {
            "convergence" => Study::Convergence,
            "time" => Study::Time,
            "base-guidance" => Study::BaseGuidance(self.numbers(GUIDANCE_SCALE)?),
            "k" => Study::K(self.numbers(STEPS)?),
            "base-steps" => Study::BaseSteps(self.numbers(STEPS)?),
            "adaptive" => Study::Adaptive(self.numbers(THRESHOLD)?),
            "transfer" if settings.adapters.is_empty() => return Err(InputError::NoAdapter),
            "transfer" => Study::Transfer(self.numbers(STRENGTH)?),
            _ => Study::Diversity,
        })
    }

    fn numbers<T>(&self, bounds: Bounds<T>) -> Result<Vec<T>, InputError>
    where
        T: FromStr + PartialOrd,
        Bounds<T>: Display,
    {
        let parts = self.values.split([',', ';', ' ']).map(str::trim);
        parts
            .filter(|part| !part.is_empty())
            .map(|part| {
                bounds.parse(part).ok_or_else(|| InputError::Value {
                    text: part.chars().take(40).collect(),
                    expected: bounds.to_string(),
                })
            })
            .collect()
    }
}

/// What a study's field of values is called; none where the study has no values.
pub fn values_label(study: &str) -> Option<&'static str> {
    match study {
        "base-guidance" => Some("Values of base guidance"),
        "k" => Some("Values of k"),
        "base-steps" => Some("Base steps per replaced step"),
        "adaptive" => Some("Thresholds of the adaptive switch"),
        "transfer" => Some("Strengths of the first adapter"),
        _ => None,
    }
}

/// Values to begin with.
pub fn first_values(study: &str) -> &'static str {
    match study {
        "base-guidance" => "1, 2, 4, 7.5",
        "k" | "base-steps" => "1, 2, 3",
        "adaptive" => "0.25, 0.5, 0.75",
        "transfer" => "0.5, 1",
        _ => "",
    }
}

/// What a study shows, in a sentence.
pub fn words(study: &str) -> &'static str {
    match study {
        "convergence" => {
            "How far the picture that each step aims at is from the final one (Figure 5 of the paper)."
        }
        "time" => "How long a picture takes in each mode, without loading (Tables 2 and 4).",
        "base-guidance" => {
            "The diversity of the hybrid by the guidance of its base steps (Figure 7 a)."
        }
        "k" => "The diversity of the hybrid by the number of replaced steps (Figure 7 b).",
        "base-steps" => {
            "The diversity of the hybrid by the base steps in place of each replaced one (Figure 7 c)."
        }
        "adaptive" => {
            "A switch that leaves the base model once its target has settled, beside fixed k (the paper's future work)."
        }
        "transfer" => "What an adapter changes in each mode, by its strength (Table 1).",
        _ => "How far apart the pictures of one prompt are in each mode (Table 3).",
    }
}

/// The name of a study by its key.
pub fn study_name(key: &str) -> &'static str {
    match key {
        "convergence" => Study::Convergence.name(),
        "time" => Study::Time.name(),
        "base-guidance" => Study::BaseGuidance(Vec::new()).name(),
        "k" => Study::K(Vec::new()).name(),
        "base-steps" => Study::BaseSteps(Vec::new()).name(),
        "adaptive" => Study::Adaptive(Vec::new()).name(),
        "transfer" => Study::Transfer(Vec::new()).name(),
        _ => Study::Diversity.name(),
    }
}

fn list<T: Display>(values: &[T]) -> String {
    let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::adapters::AdapterUse;

    fn settings() -> Recipe {
        Recipe {
            prompt: "of the page".into(),
            modes: vec![Mode::Base],
            seed: 9,
            seed_count: 4,
            axis: Axis::K(vec![1]),
            k: 1,
            hybrid_base_steps: 1,
            base_steps: 25,
            base_guidance: 7.5,
            distilled_steps: 4,
            ..Recipe::default()
        }
    }

    fn input(study: &str) -> ExperimentInput {
        ExperimentInput {
            study: study.into(),
            values: if study == "adaptive" {
                "0.25, 0.5"
            } else {
                "1, 2"
            }
            .into(),
            prompts: "a dog\n\na cat".into(),
            images: "8".into(),
            seed: "3".into(),
            modes: vec![Mode::Distilled, Mode::Hybrid],
        }
    }

    #[test]
    fn the_fields_spell_each_study_and_come_back() {
        let mut settings = settings();
        settings.adapters = vec![AdapterUse::new(&"a".repeat(64), "ink")];
        for key in Study::KEYS {
            let pair = "pairs/emoji/manifest.json";
            let experiment = input(key).experiment(pair, &settings).expect(key);
            assert_eq!(experiment.study.key(), key);
            assert_eq!(study_name(key), experiment.study.name());
            assert_eq!(experiment.prompts, ["a dog", "a cat"]);
            assert_eq!((experiment.images, experiment.settings.seed), (8, 3));
            assert_eq!(experiment.settings.base_steps, 25);
            let again = ExperimentInput::of(&experiment).experiment(pair, &settings);
            assert_eq!(again.as_ref(), Ok(&experiment));
            // What a link says of it is the same.
            let link = experiment.to_link().expect("a link");
            assert_eq!(Experiment::from_link(&link), Ok(experiment));
            assert_eq!(values_label(key).is_some(), !first_values(key).is_empty());
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_its_field() {
        let error = |study: &str, change: fn(&mut ExperimentInput)| {
            let mut input = input(study);
            change(&mut input);
            let error = input.experiment("pairs/emoji/manifest.json", &settings());
            error.expect_err("it can't be run").field()
        };
        assert_eq!(error("k", |it| it.values = "1, two".into()), field::VALUES);
        assert_eq!(error("k", |it| it.values = String::new()), field::VALUES);
        assert_eq!(error("k", |it| it.values = "1, 9".into()), field::VALUES);
        assert_eq!(error("k", |it| it.modes = vec![Mode::Base]), field::MODES);
        assert_eq!(error("time", |it| it.images = "0".into()), field::IMAGES);
        assert_eq!(error("time", |it| it.seed = "-1".into()), field::SEED);
        assert_eq!(
            error("time", |it| it.prompts = " \n".into()),
            field::PROMPTS
        );
        assert_eq!(error("transfer", |_| {}), field::STUDY);
    }
}
