//! The syntax of weighted prompts, as AUTOMATIC1111's web UI reads it and its successors do:
//! `(word)` is 1.1 times as strong and `[word]` a 1.1th, `(word:1.2)` is as strong as its number,
//! brackets nest, a backslash takes a bracket's meaning away, and `BREAK` begins a new chunk of tokens.
//!
//! The rules are those of the web UI's `parse_prompt_attention` and `extra_networks.parse_prompt`, with
//! two exceptions where that code drops what people mean: `BREAK` within brackets begins a chunk too, and
//! so does each of several in a row. Names of LoRAs and embeddings load nothing here and are left out.

use std::ops::Range;

/// What a round bracket multiplies by, and a square one divides by.
const BRACKET: f64 = 1.1;

/// The largest weight, and the largest below zero: nothing is drawn of more, and products of many
/// brackets stay finite.
const LARGEST_WEIGHT: f64 = 100.0;

/// The word that begins a new chunk.
const BREAK: &str = "BREAK";

/// What ComfyUI's names of embeddings begin with.
const EMBEDDING: &str = "embedding:";

/// A stretch of a prompt with one weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// What the text encoders read.
    pub text: String,
    /// What the states of its tokens are multiplied by.
    pub weight: f32,
    /// For each byte of the text its place in the prompt.
    places: Vec<usize>,
}

impl Piece {
    /// The bytes of the prompt that bytes of the text come from; empty for those outside of the text.
    pub fn in_prompt(&self, bytes: Range<usize>) -> Range<usize> {
        let place = |index: usize| self.places.get(index).copied();
        match (place(bytes.start), bytes.end.checked_sub(1).and_then(place)) {
            (Some(start), Some(last)) => start..last + 1,
            _ => 0..0,
        }
    }
}

/// The kind of a name that has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// `<lora:name:0.8>`, and the same with `lyco`, `hypernet` and whatever else other programs load so.
    Network,
    /// `embedding:name`.
    Embedding,
}

/// A name in a prompt of something that other programs load and this one doesn't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// What it would be.
    pub kind: NameKind,
    /// Where it stands, in bytes.
    pub place: Range<usize>,
}

/// The names of networks and embeddings in a prompt, in their order.
pub fn names(prompt: &str) -> Vec<Name> {
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(rest) = prompt.get(at..) {
        let Some(first) = rest.chars().next() else {
            break;
        };
        let before = prompt
            .get(..at)
            .and_then(|before| before.chars().next_back());
        let network = network_length(rest).map(|length| (NameKind::Network, length));
        let embedding = || {
            let begins = before.is_none_or(|before| !is_word(before));
            let length = embedding_length(rest).filter(|_| begins)?;
            Some((NameKind::Embedding, length))
        };
        match network.or_else(embedding) {
            Some((kind, length)) => {
                names.push(Name {
                    kind,
                    place: at..at + length,
                });
                at += length;
            }
            None => at += first.len_utf8(),
        }
    }
    names
}

/// Bytes of the `<kind:name>` that a text begins with.
fn network_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('<')?;
    let colon = inner.find(|character| !is_word(character))?;
    let name = inner
        .get(colon..)?
        .strip_prefix(':')
        .filter(|_| colon > 0)?;
    // A second "<" is no part of a name, and the search stays within one.
    let end = name.find(['>', '<'])?;
    (end > 0 && name.get(end..)?.starts_with('>')).then_some(colon + end + 3)
}

/// Bytes of the `embedding:name` that a text begins with.
fn embedding_length(text: &str) -> Option<usize> {
    let name = text.strip_prefix(EMBEDDING)?;
    let ends = |character: char| character.is_whitespace() || ",:()[]<>\\".contains(character);
    let length = name.find(ends).unwrap_or(name.len());
    (length > 0).then_some(EMBEDDING.len() + length)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// A piece, or a `BREAK`.
enum Item {
    Piece {
        text: String,
        places: Vec<usize>,
        weight: f64,
    },
    Break,
}

/// The prompt as one piece: what it is without the syntax.
pub fn plain(prompt: &str) -> Vec<Vec<Piece>> {
    vec![vec![Piece {
        text: prompt.to_owned(),
        weight: 1.0,
        places: (0..prompt.len()).collect(),
    }]]
}

/// The pieces of a weighted prompt: a list for each part between two `BREAK`s, and at least one.
pub fn weighted(prompt: &str) -> Vec<Vec<Piece>> {
    let mut reader = Reader::default();
    let mut names = names(prompt).into_iter().peekable();
    let mut at = 0;
    while let Some(rest) = prompt.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(name) = names.next_if(|name| name.place.start == at) {
            at = name.place.end;
            continue;
        }
        at += match rest.as_bytes().first() {
            Some(b'\\') => match rest.as_bytes().get(1) {
                Some(escaped) if b"()[]\\".contains(escaped) => {
                    reader.push(rest.get(1..2).unwrap_or_default(), at + 1);
                    2
                }
                _ => 1,
            },
            Some(b'(') => {
                reader.round.push(reader.items.len());
                1
            }
            Some(b'[') => {
                reader.square.push(reader.items.len());
                1
            }
            Some(b')') => {
                match reader.round.pop() {
                    Some(from) => reader.multiply(from, BRACKET),
                    None => reader.push(")", at),
                }
                1
            }
            Some(b']') => {
                match reader.square.pop() {
                    Some(from) => reader.multiply(from, 1.0 / BRACKET),
                    None => reader.push("]", at),
                }
                1
            }
            Some(b':') => match weight(rest).filter(|_| !reader.round.is_empty()) {
                Some((weight, length)) => {
                    if let Some(from) = reader.round.pop() {
                        reader.multiply(from, weight);
                    }
                    length
                }
                None => {
                    reader.push(":", at);
                    1
                }
            },
            _ => {
                let end = rest.find(['\\', '(', ')', '[', ']', ':']);
                let name = names.peek().map(|name| name.place.start - at);
                let end = end.unwrap_or(rest.len()).min(name.unwrap_or(rest.len()));
                reader.push_words(rest.get(..end).unwrap_or_default(), at);
                end.max(1)
            }
        };
    }
    reader.end()
}

/// The number of a `: 1.2 )` that a text begins with, and its length with the bracket.
fn weight(text: &str) -> Option<(f64, usize)> {
    let number = text.strip_prefix(':')?.trim_start();
    let is_of_number = |character: char| character.is_ascii_digit() || "+-.".contains(character);
    let (number, after) = number.split_at(number.find(|it| !is_of_number(it))?);
    let after = after.trim_start().strip_prefix(')')?;
    Some((number.parse().ok()?, text.len() - after.len()))
}

/// A prompt that is being read.
#[derive(Default)]
struct Reader {
    items: Vec<Item>,
    /// For each open bracket the item that is its first.
    round: Vec<usize>,
    square: Vec<usize>,
}

impl Reader {
    /// Adds a text that stands at a place of the prompt.
    fn push(&mut self, text: &str, at: usize) {
        self.items.push(Item::Piece {
            text: text.to_owned(),
            places: (at..at + text.len()).collect(),
            weight: 1.0,
        });
    }

    /// Adds a text without brackets, in which `BREAK` may stand with the blanks around it.
    fn push_words(&mut self, text: &str, at: usize) {
        let mut from = 0;
        for (place, _) in text.match_indices(BREAK) {
            let end = place + BREAK.len();
            let before = text.get(..place).and_then(|it| it.chars().next_back());
            let after = text.get(end..).and_then(|it| it.chars().next());
            if place < from || [before, after].into_iter().flatten().any(is_word) {
                continue;
            }
            let words = text.get(from..place).unwrap_or_default().trim_end();
            self.push(words, at + from);
            self.items.push(Item::Break);
            let blanks = text
                .get(end..)
                .map_or(0, |rest| rest.len() - rest.trim_start().len());
            from = end + blanks;
        }
        self.push(text.get(from..).unwrap_or_default(), at + from);
    }

    fn multiply(&mut self, from: usize, factor: f64) {
        for item in self.items.iter_mut().skip(from) {
            if let Item::Piece { weight, .. } = item {
                *weight = (*weight * factor).clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT);
            }
        }
    }

    /// Closes all brackets. Neighbours of the same weight become one piece, so that a word that a
    /// bracket without meaning stands in stays a word.
    fn end(mut self) -> Vec<Vec<Piece>> {
        while let Some(from) = self.round.pop() {
            self.multiply(from, BRACKET);
        }
        while let Some(from) = self.square.pop() {
            self.multiply(from, 1.0 / BRACKET);
        }
        let mut sections: Vec<Vec<Piece>> = vec![Vec::new()];
        for item in self.items {
            let Item::Piece {
                text,
                places,
                weight,
            } = item
            else {
                sections.push(Vec::new());
                continue;
            };
            let weight = weight as f32;
            if let Some(section) = sections.last_mut() {
                match section.last_mut().filter(|last| last.weight == weight) {
                    Some(last) => {
                        last.text.push_str(&text);
                        last.places.extend(places);
                    }
                    None => section.push(Piece {
                        text,
                        weight,
                        places,
                    }),
                }
            }
        }
        sections
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::random::Random;

    /// The pieces as `text*weight`, parts between `BREAK`s apart.
    fn read(prompt: &str) -> String {
        let parts = weighted(prompt).into_iter().map(|part| {
            let pieces = part.iter().filter(|piece| !piece.text.is_empty());
            let pieces: Vec<String> = pieces
                .map(|piece| format!("{}*{:.4}", piece.text, piece.weight))
                .collect();
            pieces.join(" + ")
        });
        parts.collect::<Vec<_>>().join(" | ")
    }

    /// The examples in the web UI's own description of its parser, and what it drops.
    #[test]
    fn brackets_are_read_as_the_web_ui_reads_them() {
        for (prompt, expected) in [
            ("normal text", "normal text*1.0000"),
            (
                "an (important) word",
                "an *1.0000 + important*1.1000 +  word*1.0000",
            ),
            ("(unbalanced", "unbalanced*1.1000"),
            (r"\(literal\]", "(literal]*1.0000"),
            ("(unnecessary)(parens)", "unnecessaryparens*1.1000"),
            (
                "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
                "a *1.0000 + house*1.5730 +  *1.1000 + on*1.0000 +  a *1.1000 + hill*0.5500 + , sun, *1.1000 + sky*1.4641 + .*1.1000",
            ),
            ("((text))", "text*1.2100"),
            ("[fog]", "fog*0.9091"),
            ("(a : 1.5 )", "a *1.5000"),
            ("(a:-1)", "a*-1.0000"),
            ("(a:+.5)", "a*0.5000"),
            ("a:1.2)", "a:1.2)*1.0000"),
            ("(a:1.2.3)", "a:1.2.3*1.1000"),
            ("style: ink] x", "style: ink] x*1.0000"),
            (r"back\slash \\ two", r"backslash \ two*1.0000"),
            ("", ""),
        ] {
            assert_eq!(read(prompt), expected, "{prompt}");
        }
    }

    #[test]
    fn break_begins_a_part_wherever_it_stands() {
        for (prompt, expected) in [
            ("storm BREAK warm light", "storm*1.0000 | warm light*1.0000"),
            ("a BREAK BREAK b", "a*1.0000 |  | b*1.0000"),
            ("(a BREAK b:1.2)", "a*1.2000 | b*1.2000"),
            ("BREAKFAST aBREAK break", "BREAKFAST aBREAK break*1.0000"),
            ("a BREAK", "a*1.0000 | "),
        ] {
            assert_eq!(read(prompt), expected, "{prompt}");
        }
    }

    #[test]
    fn names_are_left_out_and_listed() {
        let prompt =
            "(a:1.2) <lora:Oil_XL:0.8>, embedding:easyneg, (embedding:bad/hand:1.3) <3 <a b>";
        let listed: Vec<&str> = names(prompt)
            .into_iter()
            .map(|name| &prompt[name.place])
            .collect();
        assert_eq!(
            listed,
            [
                "<lora:Oil_XL:0.8>",
                "embedding:easyneg",
                "embedding:bad/hand"
            ]
        );
        assert_eq!(read(prompt), "a*1.2000 +  , ,  <3 <a b>*1.0000");
        assert!(names("myembedding:a <lora:> <:a> <lora:a").is_empty());
    }

    #[test]
    fn places_lead_back_to_the_prompt() {
        let prompt = r"é \(b\) (<lora:x:1> 漢:2) BREAK  end";
        for piece in weighted(prompt).concat() {
            for (at, character) in piece.text.char_indices() {
                let place = piece.in_prompt(at..at + character.len_utf8());
                assert_eq!(prompt[place].chars().next(), Some(character));
            }
        }
        assert_eq!(plain("é")[0][0].in_prompt(0..2), 0..2);
        assert_eq!(plain("")[0][0].in_prompt(0..1), 0..0);
    }

    #[test]
    fn any_prompt_is_read_with_finite_weights() {
        let alphabet: Vec<char> = "a(([[)]:1.\\ <>é漢🍎BREAK".chars().collect();
        let mut random = Random(11);
        for _ in 0..20_000 {
            let prompt = random.text(&alphabet, 60);
            for piece in weighted(&prompt).concat() {
                assert!(piece.weight.abs() <= LARGEST_WEIGHT as f32, "{prompt}");
                assert_eq!(piece.text.len(), piece.places.len());
            }
        }
        // As long as a prompt can be.
        for pattern in ["(", "[", "(a:9)", "((a:9)", "<a:", "BREAK ", "embedding:"] {
            weighted(&pattern.repeat(2000 / pattern.len()));
        }
    }
}
