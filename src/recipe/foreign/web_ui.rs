//! The text of AUTOMATIC1111's web UI and of all that write the same form, see
//! [`generation_parameters`](crate::recipe::generation_parameters). Extensions add fields of any content,
//! and lines before and after.

use super::read_parameters::{ReadParameters, ReadSampler, number, seed, size};
use crate::recipe::PromptReading;
use crate::recipe::generation_parameters::{
    FIRST_FIELD, LONG_PROMPTS, MODE, NEGATIVE_PROMPT, WEIGHTED_PROMPT,
};
use crate::recipe::parameters::ON;

/// Fields that make a line one of fields rather than a prompt's: the web UI's own rule.
const MINIMUM_FIELDS: usize = 3;

/// The most names of a field that are repeated to the visitor.
const MAXIMUM_NAMES: usize = 8;

/// Fields of what is not drawn here, and what it is. The field's name begins so.
const LEFT_OUT: [(&str, &str); 5] = [
    ("Hires upscale", "its second pass at a higher resolution"),
    ("ADetailer model", "what ADetailer drew anew"),
    ("Refiner", "its refiner"),
    ("ControlNet 0", "its ControlNet"),
    ("Mask blur", "the picture that it was drawn over"),
];

impl ReadParameters {
    /// Reads a text as far as it goes. A text without any field is a prompt.
    pub fn parse(text: &str) -> ReadParameters {
        let lines: Vec<&str> = text.trim().split('\n').map(str::trim).collect();
        let fields_at = first_of_fields(&lines);
        let mut parameters = ReadParameters {
            // What programs with this text have always.
            reading: PromptReading {
                long: true,
                weighted: true,
            },
            ..ReadParameters::default()
        };
        let mut is_negative = false;
        for line in lines.iter().take(fields_at.unwrap_or(lines.len())) {
            let mut line = *line;
            if let Some(negative) = line.strip_prefix(NEGATIVE_PROMPT) {
                is_negative = true;
                line = negative.trim();
            }
            let prompt = if is_negative {
                &mut parameters.negative_prompt
            } else {
                &mut parameters.prompt
            };
            if !prompt.is_empty() {
                prompt.push('\n');
            }
            prompt.push_str(line);
        }
        // A field without quotes may have line breaks, and the others follow behind them.
        let rest = fields_at.and_then(|at| lines.get(at..));
        parameters.take_fields(&rest.unwrap_or_default().join("\n"));
        parameters
    }

    /// Whether one of the prompts loads a LoRA by its name.
    fn names(&self, lora: &str) -> bool {
        let tag = format!("<lora:{lora}:");
        [&self.prompt, &self.negative_prompt]
            .into_iter()
            .any(|prompt| prompt.contains(&tag))
    }

    /// Takes what is drawn here of the fields. The first one of a name counts: extensions add theirs at
    /// the end.
    fn take_fields(&mut self, text: &str) {
        let mut seen = Vec::new();
        let (mut sampler, mut schedule) = (String::new(), None);
        for (key, value) in fields(text) {
            if seen.contains(&key) {
                continue;
            }
            // Where a line ends behind it, its last field has no comma.
            let first = value.lines().next().unwrap_or_default().trim();
            match key {
                "Steps" => self.steps = first.parse().ok(),
                "Seed" => self.seed = seed(first),
                "CFG scale" | "CFG Scale" | "Guidance scale" => self.guidance = number(first),
                "Size" => self.size = size(first),
                "Sampler" => sampler = first.to_owned(),
                "Schedule type" => schedule = Some(first.to_owned()),
                // This page's own text: its prompts are read as its fields say.
                MODE => self.reading = PromptReading::default(),
                LONG_PROMPTS => self.reading.long = first == ON,
                WEIGHTED_PROMPT => self.reading.weighted = first == ON,
                "TI hashes" => {
                    let names = value.split(',').filter_map(|pair| pair.split(':').next());
                    let names: Vec<&str> = names.map(str::trim).take(MAXIMUM_NAMES).collect();
                    self.left_out
                        .push(format!("its embeddings ({})", names.join(", ")));
                }
                "Lora hashes" => {
                    // Those that the prompt names are said with it.
                    let names = value.split(',').filter_map(|pair| pair.split(':').next());
                    let names: Vec<&str> = names
                        .map(|name| name.trim().trim_matches('"'))
                        .filter(|name| !name.is_empty() && !self.names(name))
                        .take(MAXIMUM_NAMES)
                        .collect();
                    if !names.is_empty() {
                        self.left_out.push(of_loras(&names));
                    }
                }
                _ => {
                    let mut left_out = LEFT_OUT.iter();
                    if let Some((_, words)) = left_out.find(|(start, _)| key == *start) {
                        self.left_out.push((*words).to_owned());
                    }
                }
            }
            seen.push(key);
        }
        self.sampler = ReadSampler::of(&sampler, schedule.as_deref());
    }
}

/// LoRAs of a picture that no prompt names, in words that follow “Left out:”.
pub(super) fn of_loras(names: &[&str]) -> String {
    format!(
        "its LoRAs ({}), whose files can be brought under Adapters",
        names.join(", ")
    )
}

/// The line at which the fields begin; none where all of it is prompts.
fn first_of_fields(lines: &[&str]) -> Option<usize> {
    let has_fields = |line: &str| fields(line).len() >= MINIMUM_FIELDS;
    // Whatever an extension writes behind it, the web UI's own line begins so.
    let begins = |line: &&str| line.starts_with(FIRST_FIELD);
    let whole = lines
        .iter()
        .rposition(|line| begins(line) && has_fields(line));
    whole
        .or_else(|| lines.iter().rposition(begins))
        .or_else(|| {
            lines
                .len()
                .checked_sub(1)
                .filter(|&last| lines.get(last).is_some_and(|line| has_fields(line)))
        })
}

/// The fields of a line. The time grows with its length alone: the search for a closing quote ends
/// at the next field's opening one, which nothing before it can escape.
pub(in crate::recipe) fn fields(line: &str) -> Vec<(&str, String)> {
    let mut fields = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(':') {
        rest = after;
        if let Some(key) = key_at_end(before) {
            let (value, after) = value_at_start(after.trim_start());
            fields.push((key, value));
            rest = after;
        }
    }
    fields
}

/// The key that a text ends with: at least two characters, the first a letter, digit or underscore,
/// blanks, hyphens and slashes among the others.
fn key_at_end(text: &str) -> Option<&str> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let run = text
        .char_indices()
        .rev()
        .take_while(|(_, character)| is_word(*character) || " -/".contains(*character))
        .last()
        .map_or("", |(start, _)| &text[start..]);
    let key = run
        .trim_start_matches(|character| !is_word(character))
        .trim_end();
    (key.chars().nth(1).is_some()).then_some(key)
}

/// The value that a text begins with, and what follows the comma after it.
fn value_at_start(text: &str) -> (String, &str) {
    if let Some(end) = quoted_end(text)
        && (end == text.len() || text[end..].starts_with(','))
    {
        let value = &text[..end];
        let rest = text.get(end + 1..).unwrap_or_default();
        return (
            serde_json::from_str(value).unwrap_or_else(|_| value.to_owned()),
            rest,
        );
    }
    let (value, rest) = text.split_once(',').unwrap_or((text, ""));
    (value.trim_end().to_owned(), rest)
}

/// Where the quoted value ends that a text begins with, if it does so and the quote is closed.
fn quoted_end(text: &str) -> Option<usize> {
    let quoted = text.strip_prefix('"')?;
    let mut is_escaped = false;
    for (index, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            // Both quotes are one byte.
            b'"' => return Some(index + 2),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::random::Random;

    /// The example in the web UI's own description of its parser, shortened.
    #[test]
    fn a_text_of_the_web_ui_is_read() {
        let read = ReadParameters::parse(
            "girl with an artist's beret, desert scene, ((eyeshadow))\r\n\
             Negative prompt: ugly, [blurry]\r\nbad anatomy\r\n\
             Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 965400086123, Size: 512x768, \
             Model hash: 45dee52b, Lora hashes: \"a: 1, Seed: 3\", Version: v1.9.4",
        );
        assert_eq!(
            read,
            ReadParameters {
                prompt: "girl with an artist's beret, desert scene, ((eyeshadow))".into(),
                negative_prompt: "ugly, [blurry]\nbad anatomy".into(),
                seed: Some(965_400_086_123),
                steps: Some(20),
                guidance: Some(7.0),
                sampler: ReadSampler::of("Euler a", None),
                size: Some((512, 768)),
                left_out: vec![
                    "its LoRAs (a, Seed), whose files can be brought under Adapters".into()
                ],
                ..ReadParameters::parse("")
            }
        );
    }

    #[test]
    fn lines_after_the_fields_are_passed_over() {
        let read = ReadParameters::parse("apple\nSteps: 20, Seed: 3\nTemplate: a, b");
        assert_eq!((read.prompt.as_str(), read.seed), ("apple", Some(3)));
    }

    /// What stands in a prompt is no field, and what extensions write behind the fields changes none.
    #[test]
    fn the_web_uis_own_line_is_found_among_others() {
        let read = ReadParameters::parse(
            "Steps: stone, old\nNegative prompt: a\nSteps: 20, Seed: 3, Size: 8x8, Note: one\n\
             two: Steps: 5, Seed: 4, Hires upscale: 2, Lora hashes: \"oil: 1\", TI hashes: \"easy: 1, bad-hand: 2\"",
        );
        assert_eq!(read.prompt, "Steps: stone, old");
        assert_eq!(
            (read.negative_prompt.as_str(), read.steps, read.seed),
            ("a", Some(20), Some(3))
        );
        assert_eq!(
            read.left_out,
            [
                "its second pass at a higher resolution",
                "its LoRAs (oil), whose files can be brought under Adapters",
                "its embeddings (easy, bad-hand)"
            ]
        );
    }

    #[test]
    fn this_pages_own_text_says_how_its_prompts_are_read() {
        let reading = |text| ReadParameters::parse(text).reading;
        let own = "a (b)\nSteps: 4, Sampler: LCM, Seed: 7, Firststep mode: base";
        assert_eq!(reading(own), PromptReading::default());
        let weighted = format!("{own}, Firststep weighted prompt: on");
        let expected = PromptReading {
            long: false,
            weighted: true,
        };
        assert_eq!(reading(&weighted), expected);
    }

    #[test]
    fn a_prompt_alone_is_a_prompt() {
        for text in [
            "red apple",
            "style: ink, a cat: sitting",
            "a\n\nb",
            ":::,,,\"\\",
        ] {
            let read = ReadParameters::parse(text);
            assert_eq!(read.prompt, text);
            assert_eq!(read.seed.or(read.steps.map(u64::from)), None);
        }
    }

    #[test]
    fn numbers_that_are_none_are_left_out() {
        let read = ReadParameters::parse(
            "apple\nSteps: many, Sampler: \"open, Seed: 99999999999999999999, Size: 64xx64, CFG scale: 2",
        );
        assert_eq!(
            read,
            ReadParameters {
                prompt: "apple".into(),
                guidance: Some(2.0),
                sampler: ReadSampler::of("\"open", None),
                ..ReadParameters::parse("")
            }
        );
    }

    #[test]
    fn any_text_is_read() {
        let alphabet: Vec<char> = "aS:,x1 \n\"\\-/漢".chars().collect();
        let mut random = Random(3);
        for _ in 0..2000 {
            ReadParameters::parse(&random.text(&alphabet, 60));
        }
        // As long as a text can be: minutes, if it took time by the square of the length.
        for pattern in ["aa:\"\\\",", "aa:\"", "aa: ", ":,", "Steps:\n", "\\\""] {
            ReadParameters::parse(&pattern.repeat((1 << 20) / pattern.len()));
        }
    }
}
