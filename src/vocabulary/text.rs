//! Words, their forms and how near they are to each other.

use std::ops::Range;

/// Where the words of a text are: letters, digits, and whatever else is no space and no
/// punctuation, such as an emoji. Hyphens and apostrophes between them belong to the word.
pub fn words(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    for (start, character) in text.char_indices() {
        if !is_of_a_word(character) {
            continue;
        }
        let end = start + character.len_utf8();
        match words.last_mut() {
            Some(word) if joins(&text[word.end..start]) => word.end = end,
            _ => words.push(start..end),
        }
    }
    words
}

/// Whether a character is part of a word.
pub fn is_of_a_word(character: char) -> bool {
    // Signs of Latin-1, the general punctuation but for what joins emojis, and that of East Asia.
    let is_punctuation = matches!(character, '\u{80}'..='\u{bf}' | '\u{2000}'..='\u{200c}'
        | '\u{200e}'..='\u{206f}' | '\u{3000}'..='\u{303f}');
    character.is_alphanumeric()
        || !(character.is_ascii() || character.is_whitespace() || is_punctuation)
}

/// Whether two parts of a word may have this between them.
fn joins(between: &str) -> bool {
    matches!(between, "" | "-" | "'" | "’")
}

/// A text as it is compared: in lower case, with straight apostrophes and single spaces. A space at
/// the end stays: "fire " is about to become two words.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.trim_start().chars() {
        if character.is_whitespace() {
            if !folded.ends_with(' ') {
                folded.push(' ');
            }
        } else if character == '’' {
            folded.push('\'');
        } else {
            folded.extend(character.to_lowercase());
        }
    }
    folded
}

/// The forms in which a folded word is compared: itself, and what it may be the plural or the
/// possessive of. A form that is no word, as "fac" of "faces", does no harm: it only ever meets its
/// like.
pub fn forms(word: &str) -> Vec<String> {
    let word = word.strip_suffix("'s").unwrap_or(word);
    let mut forms = vec![word.to_owned()];
    // "bus" is no plural, and neither is "glass".
    if word.chars().count() > 3 && word.ends_with('s') && !word.ends_with("ss") {
        if let Some(stem) = word.strip_suffix("ies") {
            forms.push(format!("{stem}y"));
        }
        forms.extend(word.strip_suffix("es").map(str::to_owned));
        forms.extend(word.strip_suffix('s').map(str::to_owned));
    }
    forms
}

/// How many letters have to be put in, left out, replaced or exchanged with their neighbour to make
/// one word of the other (the optimal string alignment distance).
pub fn distance(first: &[char], second: &[char]) -> usize {
    // Distances of the first word's beginnings of `row − 1`, `row` and `row + 1` letters to each
    // beginning of the second.
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=second.len()).collect();
    for (row, &letter) in first.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, &other) in second.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut least = replaced.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && letter == second[column - 1] && other == first[row - 1] {
                let exchanged: usize = before[column - 1];
                least = least.min(exchanged + 1);
            }
            next.push(least);
        }
        before = last;
        last = next;
    }
    last[second.len()]
}

/// The place in bytes of a place in UTF-16 units, in which the browser counts; the end of the text
/// where it has fewer.
pub fn to_byte_index(text: &str, units: usize) -> usize {
    let mut counted = 0;
    for (index, character) in text.char_indices() {
        if counted >= units {
            return index;
        }
        counted += character.len_utf16();
    }
    text.len()
}

/// The place in UTF-16 units of a place in bytes; the end of the text where that is no place
/// between two characters.
pub fn to_utf16_index(text: &str, bytes: usize) -> usize {
    text.get(..bytes).unwrap_or(text).encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(text: &str) -> Vec<&str> {
        words(text).into_iter().map(|word| &text[word]).collect()
    }

    #[test]
    fn punctuation_parts_words_but_hyphens_and_apostrophes() {
        assert_eq!(
            words_of("A T-Rex's “egg” (3d), on-\n a-- 'b'…"),
            ["A", "T-Rex's", "egg", "3d", "on", "a", "b"]
        );
        assert_eq!(words_of("crème bru\u{302}lée"), ["crème", "bru\u{302}lée"]);
        // One emoji of three characters.
        assert_eq!(words_of("🐶, 👩\u{200d}🚒!"), ["🐶", "👩\u{200d}🚒"]);
        assert_eq!(words_of(" ,.-!"), [""; 0]);
    }

    #[test]
    fn case_spaces_and_apostrophes_fold() {
        assert_eq!(fold("  Fire \n Engine "), "fire engine ");
        assert_eq!(fold("Dog’s"), "dog's");
    }

    #[test]
    fn plurals_meet_their_singular() {
        for (plural, singular) in [
            ("dogs", "dog"),
            ("faces", "face"),
            ("foxes", "fox"),
            ("buses", "bus"),
            ("cherries", "cherry"),
            ("pies", "pie"),
            ("dog's", "dog"),
        ] {
            assert!(forms(plural).contains(&singular.to_owned()), "{plural}");
        }
        for word in ["bus", "glass", "dog"] {
            assert_eq!(forms(word), [word]);
        }
    }

    #[test]
    fn distances_are_those_of_the_textbook() {
        for (first, second, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("elefant", "elephant", 2),
            ("hosre", "horse", 1),
            ("ca", "abc", 3),
            ("dog", "dog", 0),
        ] {
            let [a, b]: [Vec<char>; 2] = [first, second].map(|word| word.chars().collect());
            assert_eq!(distance(&a, &b), expected, "{first} {second}");
            assert_eq!(distance(&b, &a), expected, "{second} {first}");
        }
    }

    #[test]
    fn places_are_counted_both_ways() {
        // One, two, three and four bytes; one, one, one and two units.
        let text = "aä…🐶b";
        for (bytes, units) in [(0, 0), (1, 1), (3, 2), (6, 3), (10, 5), (11, 6)] {
            assert_eq!(to_byte_index(text, units), bytes);
            assert_eq!(to_utf16_index(text, bytes), units);
        }
        assert_eq!(to_byte_index(text, 99), text.len());
        assert_eq!(to_utf16_index(text, 2), 6, "no place between characters");
    }
}
