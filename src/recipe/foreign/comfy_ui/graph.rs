//! A graph of nodes, whose inputs are values or come from other nodes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

/// Where an input's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The name of the node that gives it.
    Node(String),
    /// The value itself.
    Value(Value),
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Its kind, such as `KSampler`.
    pub class: String,
    /// Its inputs by name.
    pub inputs: BTreeMap<String, Input>,
}

impl Node {
    /// The names of the nodes that it has inputs from.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.inputs.values().filter_map(|input| match input {
            Input::Node(name) => Some(name.as_str()),
            Input::Value(_) => None,
        })
    }

    /// The first of these inputs that there is.
    pub fn first_of(&self, names: &[&str]) -> Option<&Input> {
        names.iter().find_map(|name| self.inputs.get(*name))
    }
}

/// Nodes by name, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    nodes: BTreeMap<NodeName, Node>,
}

/// A node's name, by which numbers come in their order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct NodeName {
    number: Option<u64>,
    text: String,
}

impl NodeName {
    fn of(text: &str) -> Self {
        NodeName {
            number: text.parse().ok(),
            text: text.to_owned(),
        }
    }
}

impl Graph {
    /// The graph of a `prompt`: an object of nodes with `class_type` and `inputs`. None where the text is
    /// anything else.
    pub fn of_prompt(text: &str) -> Option<Graph> {
        let Value::Object(nodes) = parse(text)? else {
            return None;
        };
        let mut graph = Graph::default();
        for (name, node) in nodes {
            let Some(class) = node.get("class_type").and_then(Value::as_str) else {
                continue;
            };
            let inputs = node.get("inputs").and_then(Value::as_object);
            let inputs = inputs.into_iter().flatten().map(|(name, value)| {
                let input = source(value).map_or_else(|| Input::Value(value.clone()), Input::Node);
                (name.clone(), input)
            });
            graph.add(
                &name,
                Node {
                    class: class.to_owned(),
                    inputs: inputs.collect(),
                },
            );
        }
        (!graph.nodes.is_empty()).then_some(graph)
    }

    /// Adds a node.
    pub fn add(&mut self, name: &str, node: Node) {
        self.nodes.insert(NodeName::of(name), node);
    }

    /// The node of a name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(&NodeName::of(name))
    }

    /// All nodes with their names.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        let nodes = self.nodes.iter();
        nodes.map(|(name, node)| (name.text.as_str(), node))
    }
}

/// The node of a link: a list of its name and the number of its output.
fn source(value: &Value) -> Option<String> {
    match value.as_array()?.as_slice() {
        [name, slot] if slot.is_u64() => node_name(name),
        _ => None,
    }
}

/// A node's name, which is a number or a text.
pub fn node_name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// JSON as Python writes it, which knows numbers that are none.
pub fn parse(text: &str) -> Option<Value> {
    let value = serde_json::from_str(text);
    value
        .or_else(|_| serde_json::from_str(&without_odd_numbers(text)))
        .ok()
}

/// `NaN` and the infinities outside of strings as `null`.
fn without_odd_numbers(text: &str) -> Cow<'_, str> {
    const ODD: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !ODD.iter().any(|odd| text.contains(odd)) {
        return text.into();
    }
    let mut mended = String::with_capacity(text.len());
    let mut is_string = false;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let odd = ODD.into_iter().find(|odd| rest.starts_with(odd));
        let length = match (character, odd) {
            (_, Some(odd)) if !is_string => {
                mended.push_str("null");
                rest = rest.get(odd.len()..).unwrap_or_default();
                continue;
            }
            ('"', _) => {
                is_string = !is_string;
                1
            }
            // What is escaped ends no string.
            ('\\', _) => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            _ => character.len_utf8(),
        };
        mended.push_str(rest.get(..length).unwrap_or_default());
        rest = rest.get(length..).unwrap_or_default();
    }
    mended.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_are_pythons() {
        let text = r#"{"a": [NaN, -Infinity], "b": "NaN \" NaN", "c": Infinity}"#;
        let expected = serde_json::json!({"a": [null, null], "b": "NaN \" NaN", "c": null});
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse("NaN NaN \\"), None);
    }
}
