//! Pictures and texts of other programs, made up after public reports, and what is taken over of each.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

use std::fs;
use std::path::Path;

use firststep::picture::find_recipe::{FoundRecipe, find_recipe};
use firststep::recipe::PromptReading;
use firststep::recipe::foreign::read_parameters::{Program, ReadParameters};
use firststep::recipe::taken_over::TakenOver;

const PROMPT: &str = "lighthouse on a cliff, storm, oil painting";

fn bytes(case: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    fs::read(path.join(case)).expect(case)
}

fn text(case: &str) -> ReadParameters {
    ReadParameters::parse(&String::from_utf8(bytes(case)).expect(case))
}

fn picture(case: &str) -> ReadParameters {
    match find_recipe(&bytes(case)) {
        Ok(FoundRecipe::Parameters(read)) => read,
        other => panic!("{case}: {other:?}"),
    }
}

/// Comfy-Org/ComfyUI#352, invoke-ai/InvokeAI#2386: seeds of 64 bits, of which torch uses the low 32.
#[test]
fn case_04_64_bit_seed() {
    let taken = TakenOver::of(&text("04-64-bit-seed/parameters.txt"));
    assert_eq!(taken.seed, Some(3_327_411_819));
    assert!(
        taken
            .sentence
            .contains("its seed 965400086123 as 3327411819, the low 32 bits"),
        "{}",
        taken.sentence
    );
}

/// easydiffusion#1435, damian0815/compel#22: weights, BREAK, LoRAs' and embeddings' names were taken over
/// as text without a word.
#[test]
fn case_08_a1111_syntax() {
    let read = text("08-a1111-syntax/parameters.txt");
    let taken = TakenOver::of(&read);
    let both = PromptReading {
        long: true,
        weighted: true,
    };
    assert_eq!(taken.reading, Some(both));
    assert_eq!((taken.seed, taken.base_steps), (Some(7), Some(25)));
    assert_eq!(taken.base_guidance, Some(6.0));
    assert_eq!(read.size, Some((832, 1216)));
    for words in [
        "Brackets, numbers and BREAK in its prompts mean what they mean there.",
        "Without effect, since nothing is loaded by name here: <lora:OilPaint_XL:0.8>, embedding:easyneg.",
    ] {
        assert!(taken.sentence.contains(words), "{}", taken.sentence);
    }
}

/// AUTOMATIC1111#12128: an extension's field with a line break.
#[test]
fn case_15_broken_fields_line() {
    for file in ["parameters.txt", "adetailer.txt", "civitai.txt"] {
        let read = text(&format!("15-broken-fields-line/{file}"));
        assert_eq!(read.prompt, PROMPT, "{file}");
        assert_eq!(read.negative_prompt, "blurry", "{file}");
        assert_eq!((read.seed, read.steps), (Some(11), Some(25)), "{file}");
        assert_eq!(
            (read.guidance, read.size),
            (Some(6.0), Some((1024, 1024))),
            "{file}"
        );
    }
}

/// Fooocus PR#1940, DiffusionToolkit#202, infinite-image-browsing#771, sd-prompt-reader#46,
/// Civitai-Helper#276: settings in a form of each program's own.
#[test]
fn case_20_other_metadata() {
    for (file, program, seed, steps, guidance, negative) in [
        ("fooocus-json.png", Program::Fooocus, 11, 30, 4.0, "blurry"),
        ("invokeai.png", Program::InvokeAi, 11, 30, 6.0, "blurry"),
        (
            "comfyui.png",
            Program::ComfyUi,
            965_400_086_123,
            25,
            6.0,
            "blurry",
        ),
        ("novelai.png", Program::NovelAi, 11, 28, 5.0, ""),
        ("civitai.jpeg", Program::WebUi, 11, 25, 6.0, "blurry"),
    ] {
        let read = picture(&format!("20-other-metadata/{file}"));
        assert_eq!(
            (read.program, read.prompt.as_str()),
            (program, PROMPT),
            "{file}"
        );
        assert_eq!(read.negative_prompt, negative, "{file}");
        assert_eq!((read.seed, read.steps), (Some(seed), Some(steps)), "{file}");
        assert_eq!(read.guidance, Some(guidance), "{file}");
        let sentence = TakenOver::of(&read).sentence;
        assert!(sentence.contains(program.owner()), "{sentence}");
        assert!(!sentence.contains("doesn't say"), "{sentence}");
    }
}
