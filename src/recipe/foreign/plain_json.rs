//! Programs that write their settings as JSON with a field for each: InvokeAI, Fooocus, NovelAI, SwarmUI
//! and Civitai. They differ in the fields' names alone.

use serde_json::{Map, Value};

use super::read_parameters::{Program, ReadParameters, ReadSampler, number, seed, size};
use crate::recipe::PromptReading;

/// Names of fields, in lower case and without anything but letters.
const PROMPT: [&str; 3] = ["prompt", "positiveprompt", "positive"];
const NEGATIVE_PROMPT: [&str; 3] = ["negativeprompt", "uc", "negative"];
const SEED: [&str; 2] = ["seed", "noiseseed"];
const STEPS: [&str; 2] = ["steps", "numinferencesteps"];
const GUIDANCE: [&str; 4] = ["cfgscale", "guidancescale", "scale", "cfg"];
const SAMPLER: [&str; 2] = ["sampler", "samplername"];
/// InvokeAI's samplers, and beside a sampler the spacing of its noise levels.
const SCHEDULER: [&str; 2] = ["scheduler", "noiseschedule"];
const WIDTH: [&str; 1] = ["width"];
const HEIGHT: [&str; 1] = ["height"];
const SIZE: [&str; 2] = ["resolution", "size"];

/// Objects around the settings: SwarmUI's, and the text that Civitai puts beside a workflow.
const AROUND: [&str; 2] = ["sui_image_params", "extraMetadata"];

/// Fields of what is not drawn here, and what it is.
const LEFT_OUT: [(&str, &str); 6] = [
    ("styles", "its styles"),
    ("loras", "its LoRAs"),
    ("controlnets", "its ControlNets"),
    ("controlLayers", "its control layers"),
    ("refiner_model", "its refiner"),
    ("refinermodel", "its refiner"),
];

/// What the settings of a text say; none where it isn't JSON, or has no prompt.
pub fn read(program: Option<Program>, text: &str) -> Option<ReadParameters> {
    let mut settings = object(serde_json::from_str(text).ok()?)?;
    let known = program_of(&settings).or(program);
    for around in AROUND {
        if let Some(inner) = settings.remove(around).and_then(object) {
            settings = inner;
        }
    }
    let texts = |names: &[&str]| {
        let value = field(&settings, names)?;
        value.as_str().map(|text| text.trim().to_owned())
    };
    let prompt = texts(&PROMPT)?;
    let of = |names: &[&str]| field(&settings, names).and_then(spelled);
    let whole = |names: &[&str]| of(names).and_then(|text| text.parse().ok());
    let sides = || Some((whole(&WIDTH)?, whole(&HEIGHT)?));
    let has = |name: &str| match settings.get(name) {
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::String(text)) => !["", "[]", "None"].contains(&text.trim()),
        Some(Value::Null) | None => false,
        Some(_) => true,
    };
    let (sampler, scheduler) = (texts(&SAMPLER), texts(&SCHEDULER));
    let sampler = match (&sampler, &scheduler) {
        (None, Some(scheduler)) => ReadSampler::of(scheduler, None),
        (sampler, scheduler) => sampler
            .as_deref()
            .and_then(|sampler| ReadSampler::of(sampler, scheduler.as_deref())),
    };
    let left_out = LEFT_OUT.iter().filter(|(name, _)| has(name));
    let program = known.unwrap_or_default();
    Some(ReadParameters {
        program,
        reading: PromptReading {
            long: true,
            weighted: !matches!(program, Program::InvokeAi | Program::NovelAi),
        },
        prompt,
        negative_prompt: texts(&NEGATIVE_PROMPT).unwrap_or_default(),
        seed: of(&SEED).as_deref().and_then(seed),
        steps: whole(&STEPS),
        guidance: of(&GUIDANCE).as_deref().and_then(number),
        sampler,
        size: sides().or_else(|| of(&SIZE).as_deref().and_then(size)),
        left_out: left_out.map(|(_, words)| (*words).to_owned()).collect(),
    })
}

/// An object, or the one that a text spells.
fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object),
        Value::String(text) => match serde_json::from_str(&text).ok()? {
            Value::Object(object) => Some(object),
            _ => None,
        },
        _ => None,
    }
}

/// The program that names itself in its settings.
fn program_of(settings: &Map<String, Value>) -> Option<Program> {
    let text = |name: &str| settings.get(name).and_then(Value::as_str);
    let is_fooocus = text("metadata_scheme").is_some_and(|scheme| scheme == "fooocus")
        || text("version").is_some_and(|version| version.starts_with("Fooocus"));
    if settings.contains_key("sui_image_params") {
        Some(Program::SwarmUi)
    } else if settings.contains_key("extraMetadata") {
        Some(Program::Civitai)
    } else if is_fooocus {
        Some(Program::Fooocus)
    } else {
        None
    }
}

/// The value of the first of these names that there is.
fn field<'a>(settings: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    let letters = |key: &str| -> String {
        key.chars()
            .filter(char::is_ascii_alphabetic)
            .map(|letter| letter.to_ascii_lowercase())
            .collect()
    };
    names.iter().find_map(|name| {
        let mut fields = settings.iter();
        fields
            .find(|(key, _)| letters(key) == *name)
            .map(|(_, value)| value)
    })
}

/// A number, or a text, as text.
fn spelled(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swarm_and_civitai_keep_their_settings_one_level_down() {
        let swarm = r#"{"sui_image_params":{"prompt":"a","negativeprompt":"b","seed":5,"steps":20,
            "cfgscale":7.5,"width":832,"height":1216,"loras":["x"]},"sui_extra_data":{}}"#;
        let read_swarm = read(None, swarm).unwrap();
        assert_eq!(read_swarm.program, Program::SwarmUi);
        assert_eq!(read_swarm.negative_prompt, "b");
        assert_eq!((read_swarm.seed, read_swarm.steps), (Some(5), Some(20)));
        assert_eq!(read_swarm.guidance, Some(7.5));
        assert_eq!(read_swarm.size, Some((832, 1216)));
        assert_eq!(read_swarm.left_out, ["its LoRAs"]);

        let civitai = r#"{"6":{"class_type":"smZ CLIPTextEncode"},"extraMetadata":
            "{\"prompt\":\"a\",\"negativePrompt\":\"b\",\"steps\":30,\"cfgScale\":4,\"seed\":9}"}"#;
        let read_civitai = read(None, civitai).unwrap();
        assert_eq!(read_civitai.program, Program::Civitai);
        assert_eq!((read_civitai.seed, read_civitai.steps), (Some(9), Some(30)));
    }

    #[test]
    fn what_is_no_number_is_left_out_and_what_has_no_prompt_is_none() {
        let odd = r#"{"prompt":" a ","seed":1.5,"steps":"many","cfg_scale":null,"width":-1}"#;
        let read_odd = read(Some(Program::InvokeAi), odd).unwrap();
        assert_eq!(read_odd.prompt, "a");
        assert_eq!((read_odd.seed, read_odd.steps), (None, None));
        assert_eq!((read_odd.guidance, read_odd.size), (None, None));
        for text in ["", "[]", "7", "{", r#"{"prompt":7}"#, r#"{"seed":7}"#] {
            assert_eq!(read(None, text), None, "{text}");
        }
    }
}
