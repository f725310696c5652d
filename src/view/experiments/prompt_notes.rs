//! What is to be known of an experiment's prompts before hours are spent on them.

use crate::protocol::engine::TokenCount;
use crate::recipe::Prompt;
use crate::recipe::excerpt::excerpt;
use crate::view::token_count::notes;
use crate::view::unknown_words::unknown_words;
use crate::vocabulary::Lookup;

/// Sentences about what no text encoder reads, about syntax, and about words that the pair never saw. `counts`
/// has the tokens of each prompt, or nothing while they are not counted.
pub fn prompt_notes(
    prompts: &[Prompt],
    counts: &[TokenCount],
    lookup: Option<&Lookup>,
) -> Vec<String> {
    let mut found = Vec::new();
    let cut: Vec<_> = prompts
        .iter()
        .zip(counts)
        .filter(|(_, count)| !count.cut.is_empty())
        .collect();
    if let Some((prompt, count)) = cut.first() {
        let offer = if prompt.reading.long {
            ""
        } else {
            " Have the form of the pictures read what exceeds it in further chunks, or shorten them."
        };
        let what = match cut.len() {
            1 => "A prompt is".to_owned(),
            many => format!("{many} prompts are"),
        };
        found.push(format!(
            "{what} longer than the text encoders read. Without effect, of “{}”: “{}”.{offer}",
            excerpt(&prompt.text),
            excerpt(&count.cut.join(" … "))
        ));
    }
    found.extend(notes(prompts).into_iter().map(|note| {
        let offer = if note.offers_weights {
            " Have the form of the pictures read them as weights, if that is meant."
        } else {
            ""
        };
        format!("{}{offer}", note.sentence)
    }));
    let mut unknown: Vec<String> = Vec::new();
    for prompt in prompts {
        for word in lookup
            .into_iter()
            .flat_map(|it| it.unknown_words(&prompt.text, None))
        {
            if !unknown.contains(&word.word) {
                unknown.push(word.word);
            }
        }
    }
    found.push(unknown_words(&unknown));
    found.retain(|it| !it.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::PromptReading;

    fn count(cut: &[&str]) -> TokenCount {
        TokenCount {
            tokens: [80, 80],
            room: 75,
            chunks: 1,
            most_chunks: 8,
            cut: cut.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_cut_or_means_nothing_is_said_once() {
        let prompts = ["a (red:1.5) heart", "a dog", "a cat"].map(Prompt::plain);
        assert!(prompt_notes(&prompts[1..], &[count(&[]), count(&[])], None).is_empty());
        let found = prompt_notes(
            &prompts,
            &[count(&[]), count(&["dog"]), count(&["cat"])],
            None,
        );
        assert_eq!(
            found,
            [
                "2 prompts are longer than the text encoders read. Without effect, of “a dog”: “dog”. Have the \
                 form of the pictures read what exceeds it in further chunks, or shorten them.",
                "Brackets, their numbers and BREAK are read as text. Have the form of the pictures read them as \
                 weights, if that is meant.",
            ]
        );
        let mut long = Prompt::plain("a dog");
        long.reading = PromptReading {
            long: true,
            ..PromptReading::default()
        };
        let [only] = prompt_notes(&[long], &[count(&["dog"])], None)
            .try_into()
            .expect("a note");
        assert!(only.ends_with("“dog”."), "{only}");
    }
}
