//! What a JSON file that comes from the visitor's disk is: by what it holds, whatever its name.

use serde_json::{Map, Value};

use crate::recipe::excerpt::excerpt;
use crate::recipe::foreign::comfy_ui::{self, graph::Graph};
use crate::recipe::foreign::read_parameters::ReadParameters;
use crate::recipe::saved_recipe::{SavedRecipe, SavedRecipeError};

/// What a text can be opened as.
#[derive(Debug, PartialEq)]
pub enum OpenedText {
    /// A recipe of this page, as it lies in the ZIP of a grid.
    Recipe(Box<SavedRecipe>),
    /// A workflow of another program.
    Parameters(Box<ReadParameters>),
    /// An experiment, or results of one.
    Experiment,
    /// The manifest of a model pair.
    Manifest,
}

/// A text that can't be opened.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OpenedTextError {
    /// Nothing but blanks.
    #[error("“{name}” is empty.")]
    Empty {
        /// The file's name, shortened.
        name: String,
    },
    /// No JSON, or a part of it.
    #[error(
        "“{name}” can't be read: it is no JSON, or only a part of a file. Save it again, and open that."
    )]
    NoJson {
        /// The file's name, shortened.
        name: String,
    },
    /// A file of a model that is opened with its others.
    #[error(
        "“{name}” is {kind}, which is no model by itself: open the folder that it is from, or a .safetensors file."
    )]
    PartOfModel {
        /// The file's name, shortened.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// Numbers of a figure.
    #[error(
        "“{name}” has the numbers of a figure, which are not read back: open the picture or the recipe that they are from."
    )]
    Figure {
        /// The file's name, shortened.
        name: String,
    },
    /// Any other JSON.
    #[error(
        "“{name}” is neither a recipe nor an experiment or its results, nor the manifest of a model pair."
    )]
    Unknown {
        /// The file's name, shortened.
        name: String,
    },
    /// A recipe that can't be drawn.
    #[error(transparent)]
    Recipe(#[from] SavedRecipeError),
}

/// What a file's text is.
///
/// # Errors
/// It is nothing that the page opens.
pub fn opened_text(name: &str, text: &str) -> Result<OpenedText, OpenedTextError> {
    let name = excerpt(name);
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err(OpenedTextError::Empty { name });
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return Err(OpenedTextError::NoJson { name });
    };
    let Value::Object(fields) = value else {
        return Err(OpenedTextError::Unknown { name });
    };
    let has = |field: &str| fields.contains_key(field);
    if has("recipe") {
        let recipe = SavedRecipe::from_json(text)?;
        return Ok(OpenedText::Recipe(Box::new(recipe)));
    }
    let is_experiment = has("study") && has("prompts");
    if is_experiment || has("results_version") || is_around_results(&fields) {
        return Ok(OpenedText::Experiment);
    }
    if has("components") || has("format") {
        return Ok(OpenedText::Manifest);
    }
    if has("strips") && has("measure") {
        return Err(OpenedTextError::Figure { name });
    }
    if let Some(kind) = part_of_model(&fields) {
        return Err(OpenedTextError::PartOfModel { name, kind });
    }
    let graph = Graph::of_prompt(text).or_else(|| comfy_ui::graph_of_workflow(text));
    match graph {
        Some(graph) => {
            let read = comfy_ui::read(&graph);
            Ok(OpenedText::Parameters(Box::new(read)))
        }
        None => Err(OpenedTextError::Unknown { name }),
    }
}

/// Whether results lie around their manifest, as in a results file.
fn is_around_results(fields: &Map<String, Value>) -> bool {
    let manifest = fields.get("manifest");
    manifest.is_some_and(|it| it.get("results_version").is_some())
}

/// What a file of a model in diffusers' layout is.
fn part_of_model(fields: &Map<String, Value>) -> Option<&'static str> {
    let has = |field: &str| fields.contains_key(field);
    if has("model") && (has("added_tokens") || has("normalizer")) {
        Some("a tokenizer")
    } else if has("weight_map") {
        Some("an index of a model's files")
    } else if ["_class_name", "_diffusers_version", "architectures"]
        .into_iter()
        .any(has)
    {
        Some("the configuration of a part of a model")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::random::Random;

    #[test]
    fn a_file_is_what_it_holds() {
        let opened = |text: &str| opened_text("a.json", text);
        let recipe = Random(1).recipe();
        let saved = SavedRecipe::new("pairs/emoji/manifest.json", "Emoji", recipe, None);
        let json = saved.to_json().expect("a recipe is JSON");
        assert_eq!(opened(&json), Ok(OpenedText::Recipe(Box::new(saved))));
        for text in [
            r#"{"study": "k", "prompts": []}"#,
            r#"{"results_version": 1}"#,
            r#"{"manifest": {"results_version": 1}, "pictures": []}"#,
        ] {
            assert_eq!(opened(text), Ok(OpenedText::Experiment), "{text}");
        }
        assert_eq!(opened(r#"{"format": 2}"#), Ok(OpenedText::Manifest));
        let graph = r#"{"1": {"class_type": "KSampler", "inputs": {"seed": 5, "steps": 20, "cfg": 7,
            "sampler_name": "dpmpp_2m", "scheduler": "karras", "positive": ["2", 0]}},
            "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat"}}}"#;
        let Ok(OpenedText::Parameters(read)) = opened(graph) else {
            panic!("a workflow")
        };
        assert_eq!((read.prompt.as_str(), read.seed), ("a cat", Some(5)));
        assert!(read.sampler.is_some_and(|it| it.scheduler().is_some()));
    }

    #[test]
    fn what_is_none_of_them_is_told_apart() {
        let error = |text: &str| opened_text("a.json", text).expect_err(text);
        let name = || "a.json".to_owned();
        assert_eq!(error(" \n"), OpenedTextError::Empty { name: name() });
        assert_eq!(error("{\"a\": "), OpenedTextError::NoJson { name: name() });
        assert_eq!(error("[1]"), OpenedTextError::Unknown { name: name() });
        assert_eq!(
            error("{\"a\": 1}"),
            OpenedTextError::Unknown { name: name() }
        );
        let figure = error(r#"{"measure": "MS-SSIM", "strips": []}"#);
        assert_eq!(figure, OpenedTextError::Figure { name: name() });
        for text in [
            r#"{"model": {}, "added_tokens": []}"#,
            r#"{"_class_name": "UNet2DConditionModel"}"#,
            r#"{"weight_map": {}}"#,
        ] {
            let part = matches!(error(text), OpenedTextError::PartOfModel { .. });
            assert!(part, "{text}");
        }
        assert!(matches!(
            error(r#"{"recipe": 1}"#),
            OpenedTextError::Recipe(_)
        ));
    }
}
