//! A vocabulary made ready for being asked at every key, and the words that it lacks.

use std::collections::BTreeSet;
use std::ops::Range;

use super::entries::Vocabulary;
use super::text::{distance, fold, forms, words};

/// The most words that are named as near to one that the pair never saw.
const MAXIMUM_NEAR_WORDS: usize = 3;

/// A vocabulary with what is looked up in it, folded once.
#[derive(Clone, Debug)]
pub struct Lookup {
    vocabulary: Vocabulary,
    /// The names of each thing, in the vocabulary's order, the listed one first.
    pub(super) things: Vec<Vec<Name>>,
    pub(super) styles: Vec<Name>,
    pub(super) backgrounds: Vec<Name>,
    pub(super) fillers: BTreeSet<String>,
    /// Words of the longest name.
    pub(super) longest: usize,
    /// Every word of every list, in all of its forms.
    known: BTreeSet<String>,
    /// Words of things, styles and backgrounds: what an unknown word may have been meant to be.
    meant: BTreeSet<String>,
}

/// A name and how it is compared.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// As the vocabulary has it.
    pub text: String,
    pub folded: String,
    /// Where the words after the first begin in `folded`, those behind a hyphen included.
    pub later_words: Vec<usize>,
}

impl Name {
    pub fn new(text: &str) -> Self {
        let folded = fold(text);
        let mut later_words = Vec::new();
        let mut in_word = true;
        for (index, character) in folded.char_indices() {
            let is_letter = character.is_alphanumeric();
            if is_letter && !in_word {
                later_words.push(index);
            }
            in_word = is_letter || character == '\'';
        }
        Name {
            text: text.into(),
            folded,
            later_words,
        }
    }
}

/// A word of a prompt that the pair never saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// As it stands in the prompt.
    pub word: String,
    /// Where it stands, in bytes.
    pub place: Range<usize>,
}

impl UnknownWord {
    /// The prompt with another word in its place; unchanged where the word is no longer there.
    pub fn replaced(&self, prompt: &str, by: &str) -> String {
        let mut text = prompt.to_owned();
        if prompt.get(self.place.clone()) == Some(self.word.as_str()) {
            text.replace_range(self.place.clone(), by);
        }
        text
    }
}

/// Lookups of the same vocabulary are the same.
impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        self.vocabulary == other.vocabulary
    }
}

impl Lookup {
    /// Folds the names of a vocabulary.
    pub fn new(vocabulary: Vocabulary) -> Self {
        let names = |texts: &[String]| -> Vec<Name> {
            let names = texts.iter().map(|text| Name::new(text));
            names.collect()
        };
        let things: Vec<_> = vocabulary
            .things()
            .map(|thing| names(thing.names()))
            .collect();
        let styles = names(&vocabulary.styles);
        let backgrounds = names(&vocabulary.backgrounds);

        let mut meant = BTreeSet::new();
        let mut longest = 0;
        let drawn = things.iter().flatten().chain(&styles).chain(&backgrounds);
        for name in drawn {
            let words = words(&name.folded);
            longest = longest.max(words.len());
            meant.extend(words.into_iter().map(|word| name.folded[word].to_owned()));
        }
        let mut fillers = BTreeSet::new();
        for filler in &vocabulary.fillers {
            let folded = fold(filler);
            fillers.extend(
                words(&folded)
                    .into_iter()
                    .map(|word| folded[word].to_owned()),
            );
        }
        let known = meant
            .iter()
            .chain(&fillers)
            .flat_map(|word| parts(word).chain([word.as_str()]))
            .flat_map(forms)
            .collect();
        // "face with tears" doesn't make "with" a word that one may have meant.
        meant.retain(|word| !fillers.contains(word));
        Lookup {
            vocabulary,
            things,
            styles,
            backgrounds,
            fillers,
            longest,
            known,
            meant,
        }
    }

    /// The vocabulary that is looked up.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The words of a prompt that are in no name, style, background or filler, each once. Case
    /// doesn't matter, nor whether a word is singular or plural; of words with hyphens it is enough
    /// that their parts are known. A word that ends at `caret`, in bytes, is still being typed and
    /// left out.
    pub fn unknown_words(&self, prompt: &str, caret: Option<usize>) -> Vec<UnknownWord> {
        let mut seen = BTreeSet::new();
        words(prompt)
            .into_iter()
            .filter(|place| caret != Some(place.end))
            .filter_map(|place| {
                let word = &prompt[place.clone()];
                let folded = fold(word);
                let is_new = !self.knows(&folded) && seen.insert(folded);
                is_new.then(|| UnknownWord {
                    word: word.to_owned(),
                    place,
                })
            })
            .collect()
    }

    /// Words of the vocabulary that an unknown one may have been meant to be, the nearest first:
    /// they begin with the same letter and differ in a letter, or two of a long word, or go on where
    /// the unknown one ends.
    pub fn near_words(&self, word: &str) -> Vec<&str> {
        let folded = fold(word);
        let letters: Vec<char> = folded.chars().collect();
        let allowed = match letters.len() {
            ..3 => return Vec::new(),
            3..7 => 1,
            _ => 2,
        };
        let mut near: Vec<(usize, &str)> = self
            .meant
            .iter()
            .filter(|other| other.chars().next() == letters.first().copied())
            .filter_map(|other| {
                let others: Vec<char> = other.chars().collect();
                if others.len().abs_diff(letters.len()) <= allowed {
                    let distance = distance(&letters, &others);
                    if distance <= allowed {
                        return Some((distance, other.as_str()));
                    }
                }
                // After those with a slip.
                other
                    .starts_with(&folded)
                    .then_some((allowed + 1, other.as_str()))
            })
            .collect();
        near.sort_unstable();
        near.truncate(MAXIMUM_NEAR_WORDS);
        near.into_iter().map(|(_, word)| word).collect()
    }

    /// Whether a folded word, or each of its parts, is in the vocabulary.
    fn knows(&self, folded: &str) -> bool {
        let is_known = |word: &str| forms(word).iter().any(|form| self.known.contains(form));
        is_known(folded) || parts(folded).all(is_known)
    }
}

/// What a word consists of: "heart" and "eyes" of "heart-eyes".
fn parts(word: &str) -> impl Iterator<Item = &str> {
    word.split('-').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::entries::tests::vocabulary;

    fn unknown(prompt: &str) -> Vec<String> {
        let unknown = Lookup::new(vocabulary()).unknown_words(prompt, None);
        unknown.into_iter().map(|unknown| unknown.word).collect()
    }

    #[test]
    fn names_styles_backgrounds_and_fillers_are_known() {
        for prompt in [
            "",
            "image of a dog face",
            "A Dog, and an ELEPHANT!",
            "puppy in fluent flat style on an orange background",
            "smiling face with heart-eyes",
            "eyes of joy",
            "a t-rex",
        ] {
            assert_eq!(unknown(prompt), [""; 0], "{prompt}");
        }
    }

    #[test]
    fn singular_and_plural_are_one_word() {
        for prompt in [
            "dogs", "whales", "buses", "kitties", "cherry", "tear", "dog's",
        ] {
            assert_eq!(unknown(prompt), [""; 0], "{prompt}");
        }
        assert_eq!(unknown("bu busy"), ["bu", "busy"]);
    }

    #[test]
    fn other_words_are_named_once_as_they_stand() {
        assert_eq!(
            unknown("A Submarine under a dog, submarine, 🐶"),
            ["Submarine", "under", "🐶"]
        );
        assert_eq!(unknown("dog-cat"), [""; 0]);
        assert_eq!(unknown("dog-castle"), ["dog-castle"]);
    }

    #[test]
    fn the_word_that_is_being_typed_is_left_out() {
        let lookup = Lookup::new(vocabulary());
        let prompt = "castle dog subm";
        for (typed, expected) in [
            (prompt, &["castle"][..]),
            ("castle", &["subm"]),
            ("castle dog", &["castle", "subm"]),
        ] {
            let unknown = lookup.unknown_words(prompt, Some(typed.len()));
            let words: Vec<_> = unknown
                .iter()
                .map(|unknown| unknown.word.as_str())
                .collect();
            assert_eq!(words, expected, "{typed}");
        }
    }

    #[test]
    fn slips_have_near_words() {
        let lookup = Lookup::new(vocabulary());
        assert_eq!(lookup.near_words("Elefant"), ["elephant"]);
        assert_eq!(lookup.near_words("enigne"), ["engine"]);
        assert_eq!(lookup.near_words("kiten"), ["kite", "kitten"]);
        assert_eq!(lookup.near_words("cag"), ["cat"]);
        assert_eq!(lookup.near_words("dino"), ["dinosaur"]);
        // Nothing like it; another first letter; too short to tell; near to a filler alone.
        for word in ["submarine", "xat", "do", "onn", ""] {
            assert_eq!(lookup.near_words(word), [""; 0], "{word}");
        }
    }

    #[test]
    fn an_unknown_word_can_be_replaced() {
        let lookup = Lookup::new(vocabulary());
        let prompt = "ä elefant and a dog";
        let unknown = lookup.unknown_words(prompt, None).remove(1);
        assert_eq!(unknown.replaced(prompt, "elephant"), "ä elephant and a dog");
        assert_eq!(unknown.replaced("a dog", "elephant"), "a dog");
        assert_eq!(unknown.replaced("ää elefant", "elephant"), "ää elefant");
    }
}
