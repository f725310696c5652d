//! `tokenizer.json`, which transformers 5 saves in the place of `vocab.json` and `merges.txt`.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

/// The file's name.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// The texts of `vocab.json` and `merges.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VocabularyAndMerges {
    /// A JSON object of tokens and their numbers, the special ones among them.
    pub vocabulary: String,
    /// A line for each merge, the two parts with a blank in between.
    pub merges: String,
}

#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: BTreeMap<String, u32>,
    merges: Vec<Merge>,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

/// A merge as older and newer versions of the library write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Joined(String),
    Parts(String, String),
}

/// What a `tokenizer.json` holds of CLIP's byte-pair encoding.
///
/// # Errors
/// A clause that says why it can't be read: it is not the JSON of such a tokenizer.
pub fn vocabulary_and_merges(text: &str) -> Result<VocabularyAndMerges, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if let Some(kind) = file.model.kind.filter(|kind| kind != "BPE") {
        return Err(format!("its model is {kind}, and CLIP's is BPE"));
    }
    let mut vocabulary = file.model.vocab;
    for token in file.added_tokens {
        vocabulary.entry(token.content).or_insert(token.id);
    }
    let mut merges = String::from("#version: 0.2\n");
    for merge in file.model.merges {
        // Writing to a String doesn't fail.
        let _ = match merge {
            Merge::Joined(line) => writeln!(merges, "{line}"),
            Merge::Parts(left, right) => writeln!(merges, "{left} {right}"),
        };
    }
    Ok(VocabularyAndMerges {
        vocabulary: serde_json::to_string(&vocabulary).map_err(|error| error.to_string())?,
        merges,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_merge_and_added_tokens_are_read() {
        for merges in [r#"["a b</w>"]"#, r#"[["a", "b</w>"]]"#] {
            let text = format!(
                r#"{{"model": {{"type": "BPE", "vocab": {{"a": 0}}, "merges": {merges}}},
                    "added_tokens": [{{"id": 1, "content": "<end>"}}, {{"id": 9, "content": "a"}}]}}"#
            );
            let read = vocabulary_and_merges(&text);
            assert_eq!(
                read,
                Ok(VocabularyAndMerges {
                    vocabulary: r#"{"<end>":1,"a":0}"#.into(),
                    merges: "#version: 0.2\na b</w>\n".into(),
                })
            );
        }
        let other = r#"{"model": {"type": "Unigram", "vocab": {}, "merges": []}}"#;
        assert!(vocabulary_and_merges(other).is_err_and(|reason| reason.contains("Unigram")));
        assert!(vocabulary_and_merges("{}").is_err());
    }
}
