//! What a graph says of its picture: a sampler is looked for, and its inputs are followed to texts and
//! numbers.
//!
//! Nodes are known by their inputs' names rather than by their class, so that those of extensions that
//! keep to the usual names are read as well.

use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::Value;

use super::graph::{Graph, Input, Node};
use crate::recipe::PromptReading;
use crate::recipe::bounds::MAXIMUM_PROMPT_CHARACTERS;
use crate::recipe::foreign::read_parameters::{Program, ReadParameters, ReadSampler, number, seed};
use crate::recipe::foreign::web_ui::of_loras;

/// The most nodes that are visited on the way to the settings: graphs of other programs may go in
/// circles.
const MOST_VISITS: usize = 4096;
/// The most nodes one behind the other.
const MOST_DEPTH: usize = 64;
/// The most characters of a text: more than a prompt may have, so that its end is missed.
const LONGEST_TEXT: usize = MAXIMUM_PROMPT_CHARACTERS + 1;
/// The most samplers that are looked at.
const MOST_SAMPLERS: usize = 32;

const SEED: [&str; 2] = ["seed", "noise_seed"];
const STEPS: [&str; 1] = ["steps"];
const GUIDANCE: [&str; 1] = ["cfg"];
/// Inputs that lead from a sampler to the latent that it begins with.
const LATENT: [&str; 5] = ["latent_image", "samples", "latent", "optional_latent", ""];
const WIDTH: [&str; 2] = ["width", "empty_latent_width"];
const HEIGHT: [&str; 2] = ["height", "empty_latent_height"];
/// Inputs of nodes that hold a number, or pass one on.
const NUMBER: [&str; 12] = [
    "value",
    "seed",
    "noise_seed",
    "steps",
    "cfg",
    "int",
    "float",
    "number",
    "Value",
    "a",
    "any",
    "",
];
/// Inputs of nodes that hold a text, or pass one on; those first that a node has filled in itself.
const TEXT: [&str; 13] = [
    "populated_text",
    "text",
    "string",
    "value",
    "prompt",
    "wildcard_text",
    "Text",
    "String",
    "source",
    "any",
    "input",
    "anything",
    "",
];
/// Inputs of nodes that join texts, in their order.
const JOINED: [&str; 15] = [
    "text_a", "text_b", "text_c", "text_d", "string_a", "string_b", "string1", "string2", "text1",
    "text2", "text_1", "text_2", "string_1", "string_2", "text_b_1",
];
/// Inputs that lead from a conditioning to the one that it was made of.
const CONDITIONING: [&str; 8] = [
    "conditioning",
    "conditioning_1",
    "conditioning_to",
    "conditioning1",
    "cond",
    "value",
    "any",
    "",
];

/// The most LoRAs that are named.
const MOST_LORAS: usize = 8;

/// Which of a sampler's two prompts is looked for.
#[derive(Clone, Copy)]
enum Role {
    Positive,
    Negative,
}

impl Role {
    fn key(self) -> &'static str {
        match self {
            Role::Positive => "positive",
            Role::Negative => "negative",
        }
    }
}

/// What a graph says of its picture, as far as its nodes are known.
pub fn read(graph: &Graph) -> ReadParameters {
    let reader = Reader {
        graph,
        visits: Cell::new(0),
    };
    reader.read()
}

/// Follows inputs through a graph.
struct Reader<'a> {
    graph: &'a Graph,
    visits: Cell<usize>,
}

impl<'a> Reader<'a> {
    fn read(&self) -> ReadParameters {
        let mut read = ReadParameters {
            program: Program::ComfyUi,
            reading: PromptReading {
                long: true,
                weighted: true,
            },
            ..ReadParameters::default()
        };
        let samplers: Vec<(&str, &Node)> = self
            .graph
            .nodes()
            .filter(|(_, node)| is_sampler(node))
            .take(MOST_SAMPLERS)
            .collect();
        // Passes that begin with another one's latent or picture draw it in more detail.
        let is_first = |(name, _): &&(&str, &Node)| !self.follows_a_sampler(name);
        let Some((_, sampler)) = samplers.iter().find(is_first).or(samplers.first()) else {
            read.left_out.push(
                "its workflow, which has no sampler that is known here (KSampler, SamplerCustom and \
                 those with their inputs)"
                    .to_owned(),
            );
            return read;
        };
        if samplers.len() > 1 {
            read.left_out
                .push("all passes of its workflow but the first".to_owned());
        }
        let guider = self.behind(sampler, "guider").unwrap_or(sampler);
        let noise = self.behind(sampler, "noise").unwrap_or(sampler);
        let mut notes = Vec::new();
        read.prompt = self
            .prompt(guider, Role::Positive, &mut notes)
            .unwrap_or_default();
        read.negative_prompt = self
            .prompt(guider, Role::Negative, &mut notes)
            .unwrap_or_default();
        read.seed = self.number_of(noise, &SEED).as_deref().and_then(seed);
        read.steps = self.steps(sampler);
        read.guidance = self
            .number_of(guider, &GUIDANCE)
            .as_deref()
            .and_then(number);
        read.sampler = self.sampler(sampler);
        read.size = self.size(sampler, &mut notes);
        let loras = self.loras();
        if !loras.is_empty() {
            read.left_out.push(of_loras(&loras));
        }
        for note in notes {
            if !read.left_out.iter().any(|known| known == note) {
                read.left_out.push(note.to_owned());
            }
        }
        read
    }

    /// The files of the LoRAs that the workflow loads.
    fn loras(&self) -> Vec<&'a str> {
        let loaders = self.graph.nodes().filter(|(_, node)| {
            let class = node.class.to_ascii_lowercase();
            class.contains("lora")
        });
        let names = loaders.flat_map(|(_, node)| {
            node.inputs.iter().filter_map(|(name, input)| match input {
                Input::Value(Value::String(file)) if name.starts_with("lora") => {
                    Some(file.as_str()).filter(|file| !file.is_empty() && *file != "None")
                }
                _ => None,
            })
        });
        names.take(MOST_LORAS).collect()
    }

    /// The node of a name, as long as not too many were visited.
    fn visit(&self, name: &str) -> Option<&'a Node> {
        let visits = self.visits.get() + 1;
        self.visits.set(visits);
        self.graph.node(name).filter(|_| visits <= MOST_VISITS)
    }

    fn behind(&self, node: &Node, input: &str) -> Option<&'a Node> {
        match node.inputs.get(input)? {
            Input::Node(name) => self.visit(name),
            Input::Value(_) => None,
        }
    }

    /// Whether a node gets something that a sampler has made.
    fn follows_a_sampler(&self, name: &str) -> bool {
        let mut seen = BTreeSet::from([name]);
        let mut left = vec![name];
        while let Some(name) = left.pop() {
            let node = self.graph.node(name);
            for source in node.into_iter().flat_map(Node::sources) {
                if !seen.insert(source) {
                    continue;
                }
                if self.graph.node(source).is_some_and(is_sampler) {
                    return true;
                }
                left.push(source);
            }
        }
        false
    }

    /// One of the two prompts that a sampler or a guider is given.
    fn prompt(&self, node: &Node, role: Role, notes: &mut Vec<&'static str>) -> Option<String> {
        let names = match role {
            Role::Positive => &["positive", "conditioning", "cond1"][..],
            Role::Negative => &["negative"][..],
        };
        match node.first_of(names)? {
            Input::Node(name) => self.conditioning(name, role, notes, 0),
            // Nodes that do all in one.
            Input::Value(_) => self.text(node.first_of(names)?, 0),
        }
    }

    /// The text of a conditioning.
    fn conditioning(
        &self,
        name: &str,
        role: Role,
        notes: &mut Vec<&'static str>,
        depth: usize,
    ) -> Option<String> {
        let node = self.visit(name).filter(|_| depth < MOST_DEPTH)?;
        let class = node.class.as_str();
        if class == "ConditioningZeroOut" {
            return Some(String::new());
        }
        let mut of = |input: &str| match node.inputs.get(input)? {
            Input::Node(name) => self.conditioning(name, role, notes, depth + 1),
            Input::Value(_) => None,
        };
        if class == "ConditioningConcat" {
            // Joins the tokens, as a BREAK does.
            let (to, from) = (of("conditioning_to"), of("conditioning_from"));
            let both: Vec<String> = [to, from].into_iter().flatten().collect();
            return (!both.is_empty()).then(|| shortened(&both.join(" BREAK ")));
        }
        if class == "ConditioningCombine" || class == "ConditioningAverage" {
            notes.push("the second of the prompts that its workflow combines");
        }
        let text = |input: &Input| self.text(input, depth + 1);
        if let Some(global) = node.inputs.get("text_g") {
            let (global, local) = (text(global), node.inputs.get("text_l").and_then(text));
            let is_other = |local: &String| !local.is_empty() && Some(local) != global.as_ref();
            return match (global.as_ref(), local.clone().filter(is_other)) {
                (Some(text), Some(_)) if !text.is_empty() => {
                    notes.push("the other prompt of its first text encoder (text_l)");
                    global
                }
                _ => global.filter(|text| !text.is_empty()).or(local),
            };
        }
        // A node with both prompts passes on, or holds, the one that is asked for.
        if let Some(input) = node.inputs.get(role.key()) {
            return match input {
                Input::Node(name) => self
                    .conditioning(name, role, notes, depth + 1)
                    .or_else(|| text(input)),
                Input::Value(_) => text(input),
            };
        }
        if class.contains("TextEncode") || class.contains("Prompt") {
            return node.first_of(&TEXT).and_then(text);
        }
        CONDITIONING
            .iter()
            .find_map(|input| match node.inputs.get(*input)? {
                Input::Node(name) => self.conditioning(name, role, notes, depth + 1),
                Input::Value(_) => None,
            })
            .or_else(|| node.first_of(&TEXT).and_then(text))
    }

    /// The text of an input, wherever it comes from.
    fn text(&self, input: &Input, depth: usize) -> Option<String> {
        let name = match input {
            Input::Value(Value::String(text)) => return Some(shortened(text.trim())),
            Input::Value(_) => return None,
            Input::Node(name) => name,
        };
        let node = self.visit(name).filter(|_| depth < MOST_DEPTH)?;
        if let Some(text) = node.inputs.get("populated_text") {
            return self.text(text, depth + 1);
        }
        let parts = JOINED.iter().filter_map(|input| node.inputs.get(*input));
        let parts: Vec<String> = parts
            .filter_map(|input| self.text(input, depth + 1))
            .filter(|part| !part.is_empty())
            .collect();
        if !parts.is_empty() {
            let delimiter = match node.first_of(&["delimiter", "separator"]) {
                Some(Input::Value(Value::String(delimiter))) => delimiter.as_str(),
                _ => ", ",
            };
            return Some(shortened(&parts.join(&shortened(delimiter))));
        }
        self.text(node.first_of(&TEXT)?, depth + 1)
    }

    /// The number of the first of these inputs, as text.
    fn number_of(&self, node: &Node, names: &[&str]) -> Option<String> {
        let mut input = node.first_of(names)?;
        for _ in 0..MOST_DEPTH {
            match input {
                Input::Value(Value::Number(number)) => return Some(number.to_string()),
                Input::Value(Value::String(text)) => return Some(text.clone()),
                Input::Value(_) => return None,
                Input::Node(name) => {
                    let node = self.visit(name)?;
                    let own = names.iter().find_map(|name| node.inputs.get(*name));
                    input = own.or_else(|| node.first_of(&NUMBER))?;
                }
            }
        }
        None
    }

    fn steps(&self, sampler: &Node) -> Option<u32> {
        if let Some(steps) = self.number_of(sampler, &STEPS) {
            return steps.parse().ok();
        }
        let mut node = sampler;
        for _ in 0..MOST_DEPTH {
            node = self.behind(node, "sigmas")?;
            if let Some(steps) = self.number_of(node, &STEPS) {
                return steps.parse().ok();
            }
        }
        None
    }

    /// What the steps are computed with: the sampler's own name, or that of a node behind it.
    fn sampler(&self, sampler: &Node) -> Option<ReadSampler> {
        let own = |node: &Node, name: &str| self.number_of(node, &[name]);
        let name = own(sampler, "sampler_name").or_else(|| {
            let chosen = self.behind(sampler, "sampler")?;
            own(chosen, "sampler_name").or_else(|| {
                let class = chosen.class.strip_prefix("Sampler");
                class.map(str::to_owned)
            })
        })?;
        let schedule = own(sampler, "scheduler").or_else(|| {
            let sigmas = self.behind(sampler, "sigmas")?;
            own(sigmas, "scheduler").or_else(|| {
                let class = sigmas.class.strip_suffix("Scheduler");
                class.map(str::to_owned)
            })
        });
        ReadSampler::of(&name, schedule.as_deref())
    }

    fn size(&self, sampler: &Node, notes: &mut Vec<&'static str>) -> Option<(u32, u32)> {
        let side = |node: &Node, names: &[&str]| self.number_of(node, names)?.parse().ok();
        let mut node = sampler;
        for _ in 0..MOST_DEPTH {
            let Some(Input::Node(name)) = node.first_of(&LATENT) else {
                break;
            };
            node = self.visit(name)?;
            if node.inputs.contains_key("pixels") {
                notes.push("the picture that it was drawn over");
                return None;
            }
            if let (Some(width), Some(height)) = (side(node, &WIDTH), side(node, &HEIGHT)) {
                return Some((width, height));
            }
        }
        None
    }
}

/// As much of a text as may become a prompt: a text may be joined to itself again and again.
fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

/// Whether a node draws: it has a conditioning or a guider, and noise, steps or sigmas.
fn is_sampler(node: &Node) -> bool {
    let has = |name: &str| node.inputs.contains_key(name);
    (has("positive") || has("guider"))
        && (has("steps") || has("sigmas"))
        && (has("seed") || has("noise_seed") || has("noise"))
}
