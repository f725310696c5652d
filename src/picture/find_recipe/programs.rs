//! Which of a picture's texts are whose settings.

use super::texts::{COMMENT, DESCRIPTION, SOFTWARE, Texts, USER_COMMENT};
use crate::picture::png_text::PARAMETERS_KEY;
use crate::recipe::foreign::comfy_ui::graph::Graph;
use crate::recipe::foreign::read_parameters::{Program, ReadParameters};
use crate::recipe::foreign::{comfy_ui, plain_json};

/// ComfyUI's graph as it was run.
pub const PROMPT: &str = "prompt";
/// ComfyUI's graph as it was edited.
pub const WORKFLOW: &str = "workflow";
/// InvokeAI's settings.
pub const INVOKE_AI: &str = "invokeai_metadata";

/// What a picture's texts say of how another program has made it; none where none of them is known.
pub fn read(texts: &Texts) -> Option<ReadParameters> {
    let parameters = texts.get(PARAMETERS_KEY).and_then(of_parameters);
    let invoke_ai = || plain_json::read(Some(Program::InvokeAi), texts.get(INVOKE_AI)?);
    let novel_ai = || {
        let is_novel_ai = texts.get(SOFTWARE).is_some_and(|it| it.trim() == "NovelAI");
        of_novel_ai(texts.get(COMMENT)?, is_novel_ai)
    };
    let prompt = || Graph::of_prompt(texts.get(PROMPT)?);
    let workflow = || comfy_ui::graph_of_workflow(texts.get(WORKFLOW)?);
    let comfy_ui = || {
        prompt()
            .or_else(workflow)
            .map(|graph| comfy_ui::read(&graph))
    };
    let comments = || {
        let names = [USER_COMMENT, COMMENT, DESCRIPTION];
        names.iter().find_map(|name| of_comment(texts.get(name)?))
    };
    parameters
        .or_else(invoke_ai)
        .or_else(novel_ai)
        .or_else(comfy_ui)
        .or_else(comments)
}

/// A text that is meant as the web UI's; some programs put JSON of their own under its name.
fn of_parameters(text: &str) -> Option<ReadParameters> {
    if is_json(text) {
        return plain_json::read(None, text);
    }
    (!text.trim().is_empty()).then(|| ReadParameters::parse(text))
}

/// NovelAI's settings. In WebP they stand beside the program's name, in one text.
fn of_novel_ai(text: &str, is_novel_ai: bool) -> Option<ReadParameters> {
    plain_json::read(Some(Program::NovelAi), text).filter(|_| is_novel_ai)
}

/// A comment, which may be anything.
fn of_comment(text: &str) -> Option<ReadParameters> {
    if !is_json(text) {
        let read = ReadParameters::parse(text);
        return (read.steps.is_some() || read.seed.is_some()).then_some(read);
    }
    let inner: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let inner = inner.and_then(|it| Some(it.get(COMMENT)?.as_str()?.to_owned()));
    let graph = || Some(comfy_ui::read(&Graph::of_prompt(text)?));
    inner
        .and_then(|comment| of_novel_ai(&comment, true))
        .or_else(|| plain_json::read(None, text))
        .or_else(graph)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}
