//! The graph of a `workflow`: as it was edited, with links in a table of their own and values in lists
//! without names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::graph::{Graph, Input, Node, node_name, parse};

/// Modes of nodes that aren't run: never, and bypassed.
const NOT_RUN: [u64; 2] = [2, 4];

/// The names of a node's values, in their order. What follows a seed says how it changes.
const VALUES: [(&str, &[&str]); 19] = [
    (
        "KSampler",
        &[
            "seed",
            "",
            "steps",
            "cfg",
            "sampler_name",
            "scheduler",
            "denoise",
        ],
    ),
    (
        "KSamplerAdvanced",
        &[
            "add_noise",
            "noise_seed",
            "",
            "steps",
            "cfg",
            "sampler_name",
            "scheduler",
        ],
    ),
    ("KSamplerSelect", &["sampler_name"]),
    ("SamplerCustom", &["add_noise", "noise_seed", "", "cfg"]),
    ("RandomNoise", &["noise_seed"]),
    ("CFGGuider", &["cfg"]),
    ("BasicScheduler", &["scheduler", "steps", "denoise"]),
    ("KarrasScheduler", &["steps"]),
    ("ExponentialScheduler", &["steps"]),
    ("PolyexponentialScheduler", &["steps"]),
    ("SDTurboScheduler", &["steps", "denoise"]),
    (
        "AlignYourStepsScheduler",
        &["model_type", "steps", "denoise"],
    ),
    ("VPScheduler", &["steps"]),
    ("BetaSamplingScheduler", &["steps"]),
    ("CLIPTextEncode", &["text"]),
    (
        "CLIPTextEncodeSDXL",
        &[
            "width",
            "height",
            "crop_w",
            "crop_h",
            "target_width",
            "target_height",
            "text_g",
            "text_l",
        ],
    ),
    (
        "CLIPTextEncodeSDXLRefiner",
        &["ascore", "width", "height", "text"],
    ),
    ("EmptyLatentImage", &["width", "height", "batch_size"]),
    ("EmptySD3LatentImage", &["width", "height", "batch_size"]),
];

/// The graph of a workflow's text; none where the text is anything else.
pub fn graph_of_workflow(text: &str) -> Option<Graph> {
    let workflow = parse(text)?;
    let nodes = workflow.get("nodes")?.as_array()?;
    let links = workflow.get("links").and_then(Value::as_array);
    let sources: BTreeMap<String, String> = links.into_iter().flatten().filter_map(link).collect();
    let mut graph = Graph::default();
    let mut is_empty = true;
    for node in nodes {
        let (Some(name), Some(class)) = (
            node.get("id").and_then(node_name),
            node.get("type").and_then(Value::as_str),
        ) else {
            continue;
        };
        let mode = node.get("mode").and_then(Value::as_u64);
        if mode.is_some_and(|mode| NOT_RUN.contains(&mode)) {
            continue;
        }
        let mut inputs = values(class, node.get("widgets_values"));
        // A link to an input counts before the value that was in its place.
        inputs.extend(linked(node.get("inputs"), &sources));
        is_empty = false;
        graph.add(
            &name,
            Node {
                class: class.to_owned(),
                inputs,
            },
        );
    }
    (!is_empty).then_some(graph)
}

/// A link's number and the node that it comes from: `[number, node, …]`, or an object.
fn link(link: &Value) -> Option<(String, String)> {
    let part = |index: usize, name: &str| link.get(index).or_else(|| link.get(name));
    Some((
        node_name(part(0, "id")?)?,
        node_name(part(1, "origin_id")?)?,
    ))
}

fn values(class: &str, values: Option<&Value>) -> BTreeMap<String, Input> {
    let as_input = |value: &Value| Input::Value(value.clone());
    match values {
        Some(Value::Object(named)) => {
            let named = named.iter();
            named
                .map(|(name, value)| (name.clone(), as_input(value)))
                .collect()
        }
        Some(Value::Array(list)) => {
            let known = VALUES.iter().find(|(known, _)| *known == class);
            // Nodes that hold a text or a number have it first.
            let names = known.map_or(&["value"][..], |(_, names)| *names);
            let named = names.iter().zip(list);
            named
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, value)| ((*name).to_owned(), as_input(value)))
                .collect()
        }
        _ => BTreeMap::new(),
    }
}

/// The inputs that come from other nodes.
fn linked(inputs: Option<&Value>, sources: &BTreeMap<String, String>) -> BTreeMap<String, Input> {
    let inputs = inputs.and_then(Value::as_array);
    let inputs = inputs.into_iter().flatten().filter_map(|input| {
        let number = node_name(input.get("link")?)?;
        // A reroute's input has no name.
        let name = input
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Some((name.to_owned(), Input::Node(sources.get(&number)?.clone())))
    });
    inputs.collect()
}
