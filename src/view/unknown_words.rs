//! What is said of words that a pair never saw.

use crate::view::units;

/// The most words that are named.
pub const NAMED_WORDS: usize = 3;

/// What the pair never saw, in words; empty where it saw all of them.
pub fn unknown_words(words: &[String]) -> String {
    let mut parts: Vec<String> = words
        .iter()
        .take(NAMED_WORDS)
        .map(|word| format!("“{word}”"))
        .collect();
    if words.len() > NAMED_WORDS {
        let further = words.len() - NAMED_WORDS;
        parts.push(units::count(further, "more word", "more words"));
    }
    match parts.as_slice() {
        [] => String::new(),
        [word] => format!("This pair never saw {word}."),
        [words @ .., last] => format!("This pair never saw {} and {last}.", words.join(", ")),
    }
}
