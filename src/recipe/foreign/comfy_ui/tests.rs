//! Graphs as ComfyUI and its usual extensions write them.

use serde_json::{Value, json};

use super::graph::Graph;
use super::{graph_of_workflow, read};
use crate::recipe::foreign::read_parameters::ReadParameters;
use crate::recipe::random::Random;

fn of_prompt(graph: &Value) -> ReadParameters {
    read(&Graph::of_prompt(&graph.to_string()).unwrap())
}

fn of_workflow(workflow: &Value) -> ReadParameters {
    read(&graph_of_workflow(&workflow.to_string()).unwrap())
}

/// The settings without what is left out.
fn settings(read: &ReadParameters) -> (&str, &str, Option<u64>, Option<u32>, Option<f32>) {
    let ReadParameters {
        prompt,
        negative_prompt,
        ..
    } = read;
    (
        prompt,
        negative_prompt,
        read.seed,
        read.steps,
        read.guidance,
    )
}

#[test]
fn a_second_pass_is_left_out_and_said() {
    let graph = json!({
        "3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 10, "cfg": 3, "denoise": 0.5,
            "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["9", 0]}},
        "9": {"class_type": "LatentUpscale", "inputs": {"samples": ["10", 0], "width": 2048, "height": 2048}},
        "10": {"class_type": "KSamplerAdvanced", "inputs": {"noise_seed": 965400086123_u64, "steps": 25,
            "cfg": 6.5, "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 832, "height": 1216}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": " a (cat:1.2) ", "clip": ["4", 1]}},
        "7": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["6", 0]}}
    });
    let read = of_prompt(&graph);
    assert_eq!(
        settings(&read),
        (
            "a (cat:1.2)",
            "",
            Some(965_400_086_123),
            Some(25),
            Some(6.5)
        )
    );
    assert_eq!(read.size, Some((832, 1216)));
    assert_eq!(read.left_out, ["all passes of its workflow but the first"]);
}

#[test]
fn a_custom_sampler_has_its_settings_in_other_nodes() {
    let graph = json!({
        "1": {"class_type": "SamplerCustomAdvanced", "inputs": {"noise": ["2", 0], "guider": ["3", 0],
            "sampler": ["4", 0], "sigmas": ["12", 0], "latent_image": ["6", 0]}},
        "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": ["7", 0]}},
        "7": {"class_type": "PrimitiveInt", "inputs": {"value": 11}},
        "3": {"class_type": "CFGGuider", "inputs": {"cfg": 4, "positive": ["8", 0], "negative": ["9", 0]}},
        "12": {"class_type": "SplitSigmas", "inputs": {"sigmas": ["5", 0], "step": 3}},
        "5": {"class_type": "KarrasScheduler", "inputs": {"steps": 20}},
        "6": {"class_type": "VAEEncode", "inputs": {"pixels": ["20", 0]}},
        "8": {"class_type": "CLIPTextEncodeSDXL", "inputs": {"text_g": ["10", 0], "text_l": "other"}},
        "9": {"class_type": "ConditioningConcat", "inputs": {"conditioning_to": ["13", 0],
            "conditioning_from": ["14", 0]}},
        "10": {"class_type": "StringConcatenate", "inputs": {"string_a": "storm", "string_b": ["11", 0],
            "delimiter": "; "}},
        "11": {"class_type": "PrimitiveStringMultiline", "inputs": {"value": "sea"}},
        "13": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry"}},
        "14": {"class_type": "CLIPTextEncode", "inputs": {"text": "text"}}
    });
    let read = of_prompt(&graph);
    assert_eq!(
        settings(&read),
        (
            "storm; sea",
            "blurry BREAK text",
            Some(11),
            Some(20),
            Some(4.0)
        )
    );
    assert_eq!(read.size, None);
    assert_eq!(
        read.left_out,
        [
            "the other prompt of its first text encoder (text_l)",
            "the picture that it was drawn over"
        ]
    );
}

/// rgthree's seed, Impact's wildcards, Efficiency's loader and a ControlNet.
#[test]
fn nodes_of_extensions_are_known_by_their_inputs() {
    let graph = json!({
        "1": {"class_type": "KSampler (Efficient)", "inputs": {"seed": ["2", 0], "steps": 30, "cfg": 7,
            "positive": ["3", 0], "negative": ["3", 1], "latent_image": ["4", 3]}},
        "2": {"class_type": "Seed (rgthree)", "inputs": {"seed": "18446744073709551611"}},
        "3": {"class_type": "ControlNetApplyAdvanced", "inputs": {"positive": ["4", 1],
            "negative": ["4", 2], "strength": 1.0}},
        "4": {"class_type": "Efficient Loader", "inputs": {"positive": ["5", 0], "negative": "bad",
            "empty_latent_width": 1024, "empty_latent_height": 768}},
        "5": {"class_type": "ImpactWildcardProcessor", "inputs": {"wildcard_text": "a {cat|dog}",
            "populated_text": "a dog", "mode": true}}
    });
    let read = of_prompt(&graph);
    assert_eq!(
        settings(&read),
        ("a dog", "bad", Some(u64::MAX - 4), Some(30), Some(7.0))
    );
    assert_eq!(read.size, Some((1024, 768)));
}

#[test]
fn a_workflow_alone_is_followed_through_reroutes_and_primitives() {
    let workflow = json!({
        "nodes": [
            {"id": 3, "type": "KSampler", "mode": 0, "widgets_values": [5, "randomize", 25, 6.0, "euler", "normal", 1],
             "inputs": [{"name": "model", "link": 1}, {"name": "positive", "link": 2},
                {"name": "negative", "link": 3}, {"name": "latent_image", "link": 4},
                {"name": "seed", "link": 5, "widget": {"name": "seed"}}]},
            {"id": 9, "type": "KSampler", "mode": 4, "widgets_values": [1, "fixed", 2, 3]},
            {"id": 4, "type": "Reroute", "inputs": [{"name": "", "link": 6}]},
            {"id": 5, "type": "CLIPTextEncode", "inputs": [{"name": "clip", "link": 7}], "widgets_values": ["storm"]},
            {"id": 6, "type": "CLIPTextEncode", "inputs": [{"name": "text", "link": 8}], "widgets_values": ["old"]},
            {"id": 7, "type": "EmptyLatentImage", "widgets_values": [1216, 832, 1]},
            {"id": 8, "type": "PrimitiveNode", "widgets_values": [965400086123_u64, "fixed"]},
            {"id": 10, "type": "String Literal", "widgets_values": ["blurry"]},
            {"id": 11, "type": "Note"}
        ],
        "links": [[2, 4, 0, 3, 1, "CONDITIONING"], [3, 6, 0, 3, 2, "CONDITIONING"],
            [4, 7, 0, 3, 3, "LATENT"], [5, 8, 0, 3, 4, "INT"], [6, 5, 0, 4, 0, "*"],
            {"id": 8, "origin_id": 10, "origin_slot": 0, "target_id": 6, "target_slot": 1}]
    });
    let read = of_workflow(&workflow);
    assert_eq!(
        settings(&read),
        (
            "storm",
            "blurry",
            Some(965_400_086_123),
            Some(25),
            Some(6.0)
        )
    );
    assert_eq!(read.size, Some((1216, 832)));
    assert!(read.left_out.is_empty(), "{:?}", read.left_out);
}

#[test]
fn a_graph_without_a_sampler_and_one_in_a_circle_end() {
    let read = of_prompt(&json!({"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}));
    assert!(
        read.left_out[0].contains("no sampler"),
        "{:?}",
        read.left_out
    );
    let circle = of_prompt(&json!({
        "1": {"class_type": "KSampler", "inputs": {"seed": ["2", 0], "steps": ["3", 0],
            "positive": ["4", 0], "negative": ["5", 0], "latent_image": ["1", 0]}},
        "2": {"class_type": "Int", "inputs": {"value": ["2", 0]}},
        "3": {"class_type": "Int", "inputs": {"value": ["2", 0]}},
        "4": {"class_type": "ConditioningConcat", "inputs": {"conditioning_to": ["4", 0], "conditioning_from": ["4", 0]}},
        "5": {"class_type": "CLIPTextEncode", "inputs": {"text": ["6", 0]}},
        "6": {"class_type": "Join", "inputs": {"text_a": ["6", 0], "text_b": ["6", 0], "text_c": ["6", 0]}}
    }));
    assert_eq!(settings(&circle), ("", "", None, None, None));
    assert_eq!(Graph::of_prompt("[]").or(Graph::of_prompt("{}")), None);
    assert_eq!(graph_of_workflow(r#"{"nodes": [], "links": []}"#), None);
}

/// Graphs of the usual nodes and inputs with whatever links and values.
#[test]
fn any_graph_is_read() {
    let classes = [
        "KSampler",
        "CLIPTextEncode",
        "ConditioningConcat",
        "ConditioningCombine",
        "CLIPTextEncodeSDXL",
        "Reroute",
    ];
    let names = [
        "positive",
        "negative",
        "seed",
        "steps",
        "sigmas",
        "guider",
        "noise",
        "text",
        "text_g",
        "text_l",
        "text_a",
        "text_b",
        "conditioning_to",
        "conditioning_from",
        "conditioning",
        "latent_image",
        "samples",
        "width",
        "height",
        "cfg",
        "value",
        "",
    ];
    let mut random = Random(21);
    for _ in 0..2000 {
        let mut nodes = serde_json::Map::new();
        for node in 0..1 + random.below(8) {
            let mut inputs = serde_json::Map::new();
            for _ in 0..random.below(8) {
                let value = match random.below(6) {
                    0 => json!("a"),
                    1 => json!(random.next()),
                    2 => json!(null),
                    _ => json!([random.below(9).to_string(), 0]),
                };
                inputs.insert(names[random.below(names.len())].to_owned(), value);
            }
            let class = classes[random.below(classes.len())];
            nodes.insert(
                node.to_string(),
                json!({"class_type": class, "inputs": inputs}),
            );
        }
        of_prompt(&Value::Object(nodes));
    }
}
