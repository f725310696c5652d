//! Long and weighted prompts against the weighting and the chunks written out in torch, by random text
//! encoders and by the bundled pair's own.

use std::fs;

use burn::tensor::Tensor;
use firststep::engine::{Pair, count, encode, tokenized, tokenized_by_both};
use firststep::models::{ClipTextConfig, ClipTextModel, ClipTokenizer, TokenizerConfig};
use firststep::recipe::{Prompt, PromptReading};
use serde_json::{Value, json as literal};

use crate::support::{
    BundledPair, Reference, assert_close, block_on, json, repository, to_vec, values,
};

/// Relative to the largest value: both sides compute in f32 and sum in another order.
const TOLERANCE: f32 = 1e-4;
/// Every so manieth token is in the values.
const STRIDE: usize = 3;

/// The tokenizers and text encoders of the values' folder.
struct Tiny {
    tokenizers: [ClipTokenizer; 2],
    encoders: [ClipTextModel; 2],
}

impl Tiny {
    fn read() -> Self {
        let tokenizer = |padding: &str| {
            let config = literal!({
                "bos_token": "<|startoftext|>",
                "eos_token": "<|endoftext|>",
                "pad_token": padding,
                "unk_token": "<|endoftext|>",
                "model_max_length": 77,
            });
            let config = TokenizerConfig::from_json(&config).expect("a config");
            let text =
                |name: &str| fs::read_to_string(values("prompts").join(name)).expect("a file");
            ClipTokenizer::new(&config, &text("vocab.json"), &text("merges.txt")).expect("bytes")
        };
        let encoder = |component: &str| {
            let folder = format!("models/tiny/{component}");
            let config = ClipTextConfig::from_json(&json(&format!("{folder}/config.json")));
            let file = Reference::read(&format!("{folder}/model.safetensors"));
            ClipTextModel::load(config.expect("a config"), file.weights(component)).expect("fits")
        };
        Tiny {
            tokenizers: [tokenizer("<|endoftext|>"), tokenizer("!")],
            encoders: [encoder("text_encoder"), encoder("text_encoder_2")],
        }
    }

    /// The joined hidden states and the pooled text, as a pair puts them together.
    fn encode(&self, prompt: &Prompt) -> (Tensor<3>, Tensor<2>) {
        let both = tokenized_by_both(&self.tokenizers, prompt).expect("tokens");
        let [first, second] = [0, 1].map(|index| {
            encode(&self.encoders[index], &both[index].chunks).expect("at least a chunk")
        });
        let states = vec![first.penultimate, second.penultimate];
        (Tensor::cat(states, 2), second.pooled)
    }
}

fn prompt_of(case: &Value) -> Prompt {
    let is = |name: &str| case[name].as_bool().expect("a choice");
    Prompt {
        text: case["prompt"].as_str().expect("a text").to_owned(),
        reading: PromptReading {
            long: is("long"),
            weighted: is("weighted"),
        },
    }
}

#[test]
fn long_and_weighted_prompts_are_encoded_as_torch_writes_them_out() {
    let tiny = Tiny::read();
    let pair = emoji();
    let reference = Reference::read("prompts/values.safetensors");
    let list = json("prompts/cases.json");
    let cases = list["cases"].as_array().expect("cases");
    assert!(cases.len() >= 14, "cases are gone");
    for (index, case) in cases.iter().enumerate() {
        let prompt = prompt_of(case);
        let (context, pooled) = if case["pair"] == "tiny" {
            tiny.encode(&prompt)
        } else {
            let conditioning = pair
                .encode_prompt(&prompt.clone().into())
                .expect("a prompt");
            (conditioning.context, conditioning.pooled)
        };
        let [_, tokens, width] = context.dims();
        let chunks = case["ids"][0].as_array().expect("chunks").len();
        assert_eq!(tokens, 77 * chunks, "{}", prompt.text);
        let rows: Vec<f32> = to_vec(context)
            .chunks(width)
            .step_by(STRIDE)
            .flatten()
            .copied()
            .collect();
        let name = format!("{index}.context");
        assert_close(&name, &rows, &reference.floats(&name), TOLERANCE);
        let name = format!("{index}.pooled");
        assert_close(&name, &to_vec(pooled), &reference.floats(&name), TOLERANCE);
    }
}

#[test]
fn chunks_have_the_ids_and_weights_of_the_reference() {
    let tiny = Tiny::read();
    let pair = emoji();
    let list = json("prompts/cases.json");
    for case in list["cases"].as_array().expect("cases") {
        let prompt = prompt_of(case);
        let tokenizers = if case["pair"] == "tiny" {
            &tiny.tokenizers
        } else {
            pair.tokenizers().as_ref()
        };
        let both = tokenized_by_both(tokenizers, &prompt).expect("tokens");
        for (own, expected) in both.iter().zip(case["ids"].as_array().expect("both")) {
            let ids: Vec<&[u32]> = own.chunks.iter().map(|chunk| chunk.ids()).collect();
            assert_eq!(literal!(ids), *expected, "{}", prompt.text);
        }
        for (chunk, expected) in both[0]
            .chunks
            .iter()
            .zip(case["weights"].as_array().expect("one"))
        {
            let expected: Vec<f32> = expected
                .as_array()
                .expect("weights")
                .iter()
                .map(|weight| weight.as_f64().expect("a weight") as f32)
                .collect();
            assert_eq!(chunk.weights(), expected, "{}", prompt.text);
        }
    }
}

/// AUTOMATIC1111#12037, diffusers#447 and #4848: the end of a long prompt has no effect, and nobody is
/// told.
#[test]
fn case_03_over_77_tokens() {
    let text = fs::read_to_string(repository("tests/cases/03-over-77-tokens/prompt.txt"));
    let mut prompt = Prompt::plain(text.expect("the case").trim());
    let pair = emoji();
    let counted = count(pair.tokenizers(), &prompt).expect("tokens");
    assert_eq!((counted.tokens, counted.room), ([85, 85], 75));
    assert_eq!((counted.chunks, counted.most_chunks), (1, 8));
    let without_effect = ", masterpiece, in the foreground a small red boat";
    assert_eq!(counted.cut, [without_effect]);
    prompt.reading.long = true;
    let counted = count(pair.tokenizers(), &prompt).expect("tokens");
    assert_eq!((counted.tokens, counted.chunks), ([85, 85], 2));
    assert!(counted.cut.is_empty());
}

#[test]
fn what_no_encoder_reads_is_told_of_weighted_prompts_too() {
    let pair = emoji();
    let count = |text: &str, long| {
        let reading = PromptReading {
            long,
            weighted: true,
        };
        let text = text.to_owned();
        count(pair.tokenizers(), &Prompt { text, reading }).expect("tokens")
    };
    let cats = "cat ".repeat(74);
    // Each part is cut by itself, and brackets belong to what is cut.
    let counted = count(&format!("{cats} dog (red:1.2) bus BREAK {cats} a b"), false);
    assert_eq!(counted.cut, ["red:1.2) bus", "b"]);
    assert_eq!((counted.tokens[0], counted.chunks), (77 + 76, 2));
    // No more than the most chunks, whatever the choice.
    let counted = count(&"cat ".repeat(500).repeat(2), true);
    assert_eq!(counted.chunks, counted.most_chunks);
    assert_eq!(counted.cut, ["cat ".repeat(400).trim_end()]);
    let counted = count(&"a BREAK ".repeat(20), false);
    assert_eq!(counted.chunks, counted.most_chunks);
    assert_eq!(counted.cut.len(), 12);
    // One tokenizer alone cuts this one: "!!" is two tokens to the second.
    let counted = count(&"!! ".repeat(40), false);
    assert_eq!((counted.tokens, counted.cut.len()), ([40, 80], 0));
}

/// Without the choices the ids are those that transformers gives, whatever the text has of the syntax.
#[test]
fn a_plain_prompt_is_read_as_it_stands() {
    let pair = emoji();
    let text = r"((cat:1.2)) [dog] BREAK \( <lora:a:1>";
    for tokenizer in pair.tokenizers().iter() {
        let own = tokenized(tokenizer, &Prompt::plain(text)).expect("tokens");
        let expected = tokenizer.encode(text).expect("tokens");
        assert_eq!(own.chunks[0].ids(), expected);
        assert!(own.chunks[0].weights().iter().all(|weight| *weight == 1.0));
    }
}

fn emoji() -> Pair {
    let bundled = BundledPair::read();
    let manifest = bundled.manifest.clone();
    let device = burn::tensor::Device::flex();
    block_on(Pair::load(manifest, device, &bundled)).expect("the bundled pair")
}
