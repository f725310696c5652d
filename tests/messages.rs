//! Every message of an error has its case in `messages.txt`, with how to provoke it, and is a sentence.
//!
//! A message is found in the source, where it stands above its variant: a new one without its case fails
//! here, and so does a case whose message is gone.

#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it should be"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What begins a message in the source.
const ATTRIBUTE: &str = "#[error(";
/// What the errors of a file end at: those of its tests are shown to nobody.
const TESTS: &str = "#[cfg(test)]\nmod tests {";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    entries
        .map(|entry| entry.expect("the folder can be read").path())
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => rust_files(&path),
            Some(extension) if extension == "rs" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

/// The text of the string literal that a source begins with, and what follows it. A line that is continued
/// is one line.
fn literal(source: &str) -> Option<(String, &str)> {
    let mut characters = source.trim_start().strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match characters.next()? {
            '"' => return Some((text, characters.as_str())),
            '\\' => match characters.next()? {
                '\n' => characters = characters.as_str().trim_start().chars(),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

/// The last type that a source declares.
fn last_type(source: &str) -> &str {
    let declared = ["enum ", "struct "].into_iter().filter_map(|word| {
        let place = source.rfind(word)?;
        Some((place, word.len()))
    });
    let (place, length) = declared.max().expect("a type before its variants");
    name(&source[place + length..])
}

/// The name that a source begins with.
fn name(source: &str) -> &str {
    let end = source.find(|character: char| !character.is_alphanumeric());
    &source[..end.unwrap_or(source.len())]
}

/// The messages of all errors, by `Type::Variant`, or by the type where it is one message.
fn messages() -> BTreeMap<String, String> {
    let mut messages = BTreeMap::new();
    for file in rust_files(&root().join("src")) {
        let source = fs::read_to_string(&file).expect("the file is text");
        let source = source.split(TESTS).next().expect("a first part");
        for (place, _) in source.match_indices(ATTRIBUTE) {
            // A transparent error has the message of what it holds.
            let Some((text, rest)) = literal(&source[place + ATTRIBUTE.len()..]) else {
                continue;
            };
            let rest = rest.split_once(")]").expect("the attribute's end").1;
            let declaration = rest
                .lines()
                .map(str::trim)
                .find(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("//"))
                .expect("what the message is of");
            let key = match declaration.split_once("struct ") {
                Some((_, of)) => name(of).to_owned(),
                None => format!("{}::{}", last_type(&source[..place]), name(declaration)),
            };
            let before = messages.insert(key.clone(), text);
            assert_eq!(before, None, "{key} has two messages");
        }
    }
    messages
}

/// The listed cases: the key, whether it is a part of other messages, and how to provoke it.
fn cases() -> Vec<(String, bool, String)> {
    let list = fs::read_to_string(root().join("tests/messages.txt")).expect("the list");
    list.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let (key, case) = line.split_once(" | ").expect("a bar between key and case");
            let part = key.strip_prefix("+ ");
            (
                part.unwrap_or(key).to_owned(),
                part.is_some(),
                case.to_owned(),
            )
        })
        .collect()
}

#[test]
fn every_message_has_its_case_and_every_case_its_message() {
    let messages = messages();
    let cases = cases();
    let missing: Vec<&String> = messages
        .keys()
        .filter(|key| !cases.iter().any(|(listed, ..)| listed == *key))
        .collect();
    assert!(missing.is_empty(), "add to tests/messages.txt: {missing:?}");
    let gone: Vec<&String> = cases
        .iter()
        .map(|(key, ..)| key)
        .filter(|key| !messages.contains_key(*key))
        .collect();
    assert!(gone.is_empty(), "take off tests/messages.txt: {gone:?}");
    for (key, _, case) in &cases {
        assert!(case.ends_with('.'), "{key} has no case");
    }
}

#[test]
fn every_message_is_a_sentence() {
    let messages = messages();
    for (key, is_part, _) in cases() {
        let Some(message) = messages.get(&key).filter(|_| !is_part) else {
            continue;
        };
        let begins =
            message.starts_with(|first: char| first.is_uppercase() || "“{".contains(first));
        // What ends with a value ends with another message.
        let ends = message.ends_with('.') || message.ends_with('}');
        assert!(begins && ends, "{key} is no sentence: {message}");
    }
}
