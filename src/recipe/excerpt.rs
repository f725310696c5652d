//! Texts from outside in sentences.

/// The most characters of such a text that a sentence repeats.
const EXCERPT_CHARACTERS: usize = 80;

/// The beginning of a text from outside, short enough for a sentence.
pub fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
