//! How what is being typed may go on.

use std::collections::BTreeSet;
use std::ops::Range;

use super::lookup::{Lookup, Name};
use super::text::{fold, is_of_a_word, words};

/// The most suggestions at a time: what one takes in at a glance.
pub const MAXIMUM_SUGGESTIONS: usize = 8;

/// Letters from which on names are suggested: a single one fits too many.
const MINIMUM_LETTERS: usize = 2;

/// A way to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// What would stand in the prompt.
    pub text: String,
    /// The thing's listed name, where the text is another name of it.
    pub of: Option<String>,
    /// What the text would replace, in bytes of the prompt.
    place: Range<usize>,
}

impl Suggestion {
    /// The prompt with the suggestion taken, and where the caret stands then, in bytes.
    pub fn taken(&self, prompt: &str) -> (String, usize) {
        let mut text = prompt.to_owned();
        // Elsewhere than where it was made there is nothing to replace.
        if prompt.get(self.place.clone()).is_none() {
            return (text, prompt.len());
        }
        text.replace_range(self.place.clone(), &self.text);
        (text, self.place.start + self.text.len())
    }
}

/// What fits the end of a prompt from some word on.
#[derive(Default)]
struct Completions {
    /// Texts, and the listed name where the text is another one, the best first.
    found: Vec<(String, Option<String>)>,
    /// Whether what stands there is already a whole name.
    is_name: bool,
}

/// How well a name fits, the better the smaller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It begins with what is typed.
    Beginning,
    /// A later word of it does.
    LaterWord,
}

impl Lookup {
    /// What may be meant by the words before the caret, which is given in bytes: names that begin so,
    /// then names with a later word that begins so; behind `in` styles, and behind `on` or `on a`
    /// backgrounds. As many words before the caret as fit a name are taken together: `fire en` is
    /// the beginning of `fire engine`, and not some word followed by `en`. Nothing while the caret
    /// stands within a word.
    pub fn suggestions(&self, prompt: &str, caret: usize) -> Vec<Suggestion> {
        let Some((before, after)) = prompt.split_at_checked(caret) else {
            return Vec::new();
        };
        if after.starts_with(is_of_a_word) {
            return Vec::new();
        }
        let places = words(before);
        let folded: Vec<String> = places
            .iter()
            .map(|place| fold(&before[place.clone()]))
            .collect();
        // "style" and "background" come on top of a name's own words.
        let first = places.len().saturating_sub(self.longest + 1);
        for index in first..=places.len() {
            let start = match places.get(index) {
                Some(place) => place.start,
                // Behind a space the next word begins.
                None if before.ends_with(char::is_whitespace) => before.len(),
                None => break,
            };
            let typed = fold(&before[start..]);
            let completions = self.completions(&folded[..index], &typed);
            if completions.is_name || !completions.found.is_empty() {
                let suggestion = |(text, of)| Suggestion {
                    text,
                    of,
                    place: start..caret,
                };
                let found = completions.found.into_iter().take(MAXIMUM_SUGGESTIONS);
                return found.map(suggestion).collect();
            }
        }
        Vec::new()
    }

    /// What begins with a folded text, behind these folded words.
    fn completions(&self, preceding: &[String], typed: &str) -> Completions {
        let mut completions = Completions::default();
        let whole = typed.trim_end();
        for text in self.expected_behind(preceding) {
            let folded = fold(&text);
            if folded == whole {
                completions.is_name = true;
            } else if folded.starts_with(typed) {
                completions.found.push((text, None));
            }
        }

        if whole.chars().count() < MINIMUM_LETTERS || self.fillers.contains(whole) {
            return completions;
        }
        // "of joy" is the end of a name, and in most prompts the beginning of another one.
        let first_word = whole.split(' ').next().unwrap_or_default();
        let may_be_later = !self.fillers.contains(first_word);
        let fit = |name: &Name| {
            if name.folded == whole {
                None
            } else if name.folded.starts_with(typed) {
                Some(Fit::Beginning)
            } else {
                let is_later = |&start: &usize| name.folded[start..].starts_with(typed);
                (may_be_later && name.later_words.iter().any(is_later)).then_some(Fit::LaterWord)
            }
        };
        let mut fitting = Vec::new();
        for names in &self.things {
            completions.is_name |= names.iter().any(|name| name.folded == whole);
            let fits = names.iter().enumerate();
            let fits = fits.filter_map(|(index, name)| Some((fit(name)?, index > 0, index)));
            // A thing comes once, by the name that fits best.
            if let Some((fit, is_synonym, index)) = fits.min() {
                let of = is_synonym.then(|| names[0].text.clone());
                fitting.push((fit, is_synonym, names[index].text.clone(), of));
            }
        }
        // Stable: within each kind, the vocabulary's own order.
        fitting.sort_by_key(|&(fit, is_synonym, ..)| (fit, is_synonym));
        let mut seen = BTreeSet::new();
        fitting.retain(|(_, _, text, _)| seen.insert(text.clone()));
        let names = fitting.into_iter().map(|(_, _, text, of)| (text, of));
        completions.found.extend(names);
        completions
    }

    /// What prompts say behind these folded words.
    fn expected_behind(&self, preceding: &[String]) -> Vec<String> {
        let mut last_words = preceding.iter().rev().map(String::as_str);
        let with = |names: &[Name], word: &str| -> Vec<String> {
            let texts = names.iter().map(|name| format!("{}{word}", name.text));
            texts.collect()
        };
        match (last_words.next(), last_words.next()) {
            (Some("in"), _) => with(&self.styles, " style"),
            (Some("on"), _) => with(&self.backgrounds, ""),
            (Some("a" | "an" | "the"), Some("on")) => with(&self.backgrounds, " background"),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::entries::tests::vocabulary;
    use crate::vocabulary::entries::{Group, Vocabulary};

    /// The suggestions for a prompt in which `|` marks the caret.
    fn suggest(prompt: &str) -> Vec<Suggestion> {
        let caret = prompt.find('|').unwrap();
        Lookup::new(vocabulary()).suggestions(&prompt.replace('|', ""), caret)
    }

    fn texts(prompt: &str) -> Vec<String> {
        let label = |suggestion: Suggestion| match suggestion.of {
            Some(of) => format!("{} ({of})", suggestion.text),
            None => suggestion.text,
        };
        suggest(prompt).into_iter().map(label).collect()
    }

    #[test]
    fn names_come_before_synonyms_and_beginnings_before_later_words() {
        assert_eq!(texts("kit|"), ["kite", "kitten (cat)"]);
        assert_eq!(
            texts("fac|"),
            [
                "face with tears of joy",
                "face in love (smiling face with heart-eyes)",
                "dog face",
                "cat face"
            ]
        );
        assert_eq!(texts("An ELE|"), ["elephant"]);
        assert_eq!(texts("ey|"), ["smiling face with heart-eyes"]);
    }

    #[test]
    fn several_words_are_taken_together() {
        assert_eq!(texts("a fire en|"), ["fire engine"]);
        assert_eq!(texts("a fire |"), ["fire engine"]);
        assert_eq!(texts("a cat and a dog f|"), ["dog face"]);
        assert_eq!(
            texts("smiling  face with heart-|"),
            ["smiling face with heart-eyes"]
        );
        assert_eq!(texts("dog, ki|"), ["kite", "kitten (cat)"]);
    }

    #[test]
    fn a_whole_name_is_not_suggested_again() {
        assert_eq!(texts("dog|"), ["dog face", "hot dog"]);
        // Nor is its last word taken for a name of its own.
        for prompt in ["hot dog|", "dog face|", "a dog face |", "whale|"] {
            assert_eq!(texts(prompt), [""; 0], "{prompt}");
        }
    }

    #[test]
    fn fillers_and_single_letters_suggest_nothing() {
        for prompt in ["|", "a|", "k|", "an|", "image of a |", "dog, |", "xyz|"] {
            assert_eq!(texts(prompt), [""; 0], "{prompt}");
        }
        // "of joy" ends a name, but here a new one begins.
        let taken = suggest("image of jo|")[0].taken("image of jo").0;
        assert_eq!(taken, "image of face with tears of joy");
    }

    #[test]
    fn styles_and_backgrounds_come_behind_their_words() {
        assert_eq!(
            texts("dog in |"),
            ["noto style", "3d style", "fluent flat style"]
        );
        assert_eq!(texts("dog in fluent f|"), ["fluent flat style"]);
        assert_eq!(texts("dog in noto |"), ["noto style"]);
        assert_eq!(texts("dog on |"), ["white", "orange"]);
        assert_eq!(texts("dog on a wh|"), ["white background", "whale"]);
        assert_eq!(
            texts("dog on an |"),
            ["white background", "orange background"]
        );
        assert_eq!(texts("dog on a white back|"), ["white background"]);
        assert_eq!(texts("dog on a white background|"), [""; 0]);
    }

    #[test]
    fn only_what_ends_at_the_caret_is_replaced() {
        let prompt = "ä KIT and a dog";
        let lookup = Lookup::new(vocabulary());
        let suggestion = &lookup.suggestions(prompt, "ä KIT".len())[1];
        let (text, caret) = suggestion.taken(prompt);
        assert_eq!(text, "ä kitten and a dog");
        assert_eq!(&text[..caret], "ä kitten");
        // A prompt that has become shorter since.
        assert_eq!(suggestion.taken("ä"), ("ä".to_owned(), 2));
    }

    #[test]
    fn within_a_word_nothing_is_suggested() {
        assert_eq!(texts("ki|te"), [""; 0]);
        let lookup = Lookup::new(vocabulary());
        // Within a character, and behind the end.
        assert_eq!(lookup.suggestions("äkit", 1), []);
        assert_eq!(lookup.suggestions("kit", 4), []);
    }

    #[test]
    fn there_are_no_more_than_fit_the_list() {
        let words: Vec<Vec<String>> = (0..20)
            .map(|number| vec![format!("star {number}")])
            .collect();
        let group = serde_json::json!({"name": "stars", "words": words});
        let many = Vocabulary {
            groups: vec![serde_json::from_value::<Group>(group).unwrap()],
            ..Vocabulary::default()
        };
        let found = Lookup::new(many).suggestions("sta", 3);
        assert_eq!(found.len(), MAXIMUM_SUGGESTIONS);
        assert_eq!(found[7].text, "star 7");
    }
}
