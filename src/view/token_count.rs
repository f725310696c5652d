//! What is said of a prompt's tokens and of its syntax.

use crate::protocol::engine::TokenCount;
use crate::recipe::Prompt;
use crate::recipe::prompt_syntax;
use crate::view::units;

/// The most names that a note repeats.
const MAXIMUM_NAMES: usize = 8;

/// The tokens of a prompt, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// How many there are.
    pub tokens: String,
    /// What of the prompt has no effect, with an ellipsis between its parts; empty where all has one.
    pub cut: String,
    /// Whether all of it would be read as a long prompt.
    pub offers_long: bool,
}

/// Words for a count. `is_long`: whether the prompt is read as a long one.
pub fn counted(count: &TokenCount, is_long: bool) -> Counted {
    let TokenCount {
        tokens: [first, second],
        room,
        chunks,
        most_chunks,
        cut,
    } = count;
    let tokens = if first == second {
        let tokens = units::count(*first as usize, "token", "tokens");
        format!("{tokens} in each text encoder")
    } else {
        format!("{first} and {second} tokens in the two text encoders")
    };
    let place = if *chunks > 1 {
        format!("in {chunks} chunks of {room}")
    } else {
        format!("of {room}")
    };
    let is_full = !cut.is_empty() && chunks == most_chunks;
    let most = if is_full { ", the most" } else { "" };
    Counted {
        tokens: format!("{tokens}, {place}{most}"),
        cut: cut.join(" … "),
        offers_long: !is_long && !is_full,
    }
}

/// A sentence about the prompts' syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The sentence.
    pub sentence: String,
    /// Whether another reading of the prompts would have the syntax mean something.
    pub offers_weights: bool,
}

/// What is to be said of the syntax in prompts, which are all read in the same way.
pub fn notes(prompts: &[Prompt]) -> Vec<Note> {
    let is_weighted = prompts.iter().any(|prompt| prompt.reading.weighted);
    let mut notes = Vec::new();
    let has_weights = |prompt: &Prompt| {
        let parts = prompt_syntax::weighted(&prompt.text);
        let mut pieces = parts.iter().flatten();
        parts.len() > 1 || pieces.any(|piece| piece.weight != 1.0)
    };
    if !is_weighted && prompts.iter().any(has_weights) {
        notes.push(Note {
            sentence: "Brackets, their numbers and BREAK are read as text.".to_owned(),
            offers_weights: true,
        });
    }
    let mut names: Vec<&str> = Vec::new();
    for prompt in prompts {
        for name in prompt_syntax::names(&prompt.text) {
            let name = prompt.text.get(name.place).unwrap_or_default();
            if !names.contains(&name) && names.len() < MAXIMUM_NAMES {
                names.push(name);
            }
        }
    }
    if !names.is_empty() {
        let names = names.join(", ");
        notes.push(Note {
            sentence: if is_weighted {
                format!("Without effect, since nothing is loaded by name here: {names}.")
            } else {
                format!("Nothing is loaded by name here, so that this is read as text: {names}.")
            },
            offers_weights: false,
        });
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(tokens: [u32; 2], chunks: u32, cut: &[&str]) -> TokenCount {
        TokenCount {
            tokens,
            room: 75,
            chunks,
            most_chunks: 8,
            cut: cut.iter().copied().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn tokens_of_each_encoder_and_what_is_cut_are_said() {
        for (count, is_long, tokens, cut, offers_long) in [
            (
                count([1, 1], 1, &[]),
                false,
                "1 token in each text encoder, of 75",
                "",
                true,
            ),
            (
                count([40, 80], 2, &[]),
                true,
                "40 and 80 tokens in the two text encoders, in 2 chunks of 75",
                "",
                false,
            ),
            (
                count([85, 85], 1, &[", a boat"]),
                false,
                "85 tokens in each text encoder, of 75",
                ", a boat",
                true,
            ),
            (
                count([700, 700], 8, &["b", "c"]),
                true,
                "700 tokens in each text encoder, in 8 chunks of 75, the most",
                "b … c",
                false,
            ),
        ] {
            let expected = Counted {
                tokens: tokens.to_owned(),
                cut: cut.to_owned(),
                offers_long,
            };
            assert_eq!(counted(&count, is_long), expected);
        }
    }

    #[test]
    fn syntax_without_effect_is_said_and_what_would_give_it_one() {
        let note = |text: &str, weighted| {
            let mut prompt = Prompt::plain(text);
            prompt.reading.weighted = weighted;
            let notes = notes(&[prompt, Prompt::plain("")]);
            notes
                .into_iter()
                .map(|note| (note.sentence, note.offers_weights))
                .collect::<Vec<_>>()
        };
        let text = "(cat:1.2) <lora:a:1>, embedding:b <lora:a:1>";
        let as_text = "Brackets, their numbers and BREAK are read as text.".to_owned();
        let names = "<lora:a:1>, embedding:b.";
        assert_eq!(
            note(text, false),
            [
                (as_text, true),
                (
                    format!(
                        "Nothing is loaded by name here, so that this is read as text: {names}"
                    ),
                    false
                )
            ]
        );
        let without = format!("Without effect, since nothing is loaded by name here: {names}");
        assert_eq!(note(text, true), [(without, false)]);
        assert_eq!(note("a cat: 3, \\(b\\)", false), []);
    }
}
