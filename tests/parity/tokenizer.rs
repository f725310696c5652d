//! Token ids against transformers, on prompts that are hard to cut.

use firststep::models::{ClipTokenizer, TokenizerConfig};

use crate::support::{BundledPair, block_on, json};
use firststep::engine::PairFiles;

#[test]
fn both_tokenizers_give_the_ids_of_transformers() {
    let bundled = BundledPair::read();
    let components = &bundled.manifest.components;
    let reference = json("tokenizer.json");
    let cases = reference["cases"].as_array().expect("cases");
    assert!(cases.len() >= 20, "the list of hard cases is gone");
    for (key, component, padding) in [
        ("tokenizer", &components.tokenizer, 49407),
        ("tokenizer_2", &components.tokenizer_2, 0),
    ] {
        let text = |name: &str| {
            let file = component.files.iter().find(|file| file.name() == name);
            let blob = block_on(bundled.blob(&file.expect(name).sha256)).expect(name);
            String::from_utf8(blob).expect(name)
        };
        let config = TokenizerConfig::from_json(&component.config).expect("a config");
        let tokenizer = ClipTokenizer::new(&config, &text("vocab.json"), &text("merges.txt"))
            .expect("CLIP's files");
        for case in cases {
            let prompt = case["text"].as_str().expect("a text");
            let mut expected: Vec<u32> = case[key]
                .as_array()
                .expect("ids")
                .iter()
                .map(|id| id.as_u64().expect("an id") as u32)
                .collect();
            // The values leave out the padding, which is the same for all.
            expected.resize(77, padding);
            let ids = tokenizer.encode(prompt).expect("a prompt");
            assert_eq!(ids, expected, "{key} of {prompt:?}");
        }
    }
}
