//! `pack layout`: names and shapes of a model's tensors, for the scripts that write or measure such files.

use std::io::Read;

use firststep::adapters::kohya_layout;
use firststep::models::layout_of;
use firststep::weights::format::checkpoint::COMPONENTS;
use firststep::weights::format::layout::Layout;
use serde::Serialize;
use serde_json::Value;

use super::files::{read_json, unreadable};

/// The kind of file whose layout is printed.
pub enum Kind {
    /// The component's own file, with diffusers' names.
    Component,
    /// A LoRA of that rank on the component.
    Lora(usize),
    /// The component's part of a single-file checkpoint.
    Checkpoint,
}

/// The layout of the model whose config is in this file (`-`: the standard input), as JSON with a line
/// for each tensor.
pub fn run(config: &str, kind: &Kind) -> Result<String, String> {
    let config = read_config(config)?;
    let layout = layout_of(&config).map_err(|error| error.to_string())?;
    match *kind {
        Kind::Component => lines(layout.iter()),
        Kind::Lora(rank) => lines(kohya_layout(&layout, rank).iter()),
        Kind::Checkpoint => checkpoint(&config, &layout),
    }
}

fn read_config(path: &str) -> Result<Value, String> {
    if path != "-" {
        return read_json(path.as_ref());
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| unreadable("The standard input".as_ref(), &error))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("The standard input is not a config in JSON: {error}."))
}

fn checkpoint(config: &Value, layout: &Layout) -> Result<String, String> {
    let class = match &config["_class_name"] {
        Value::Null => &config["architectures"][0],
        class => class,
    };
    let name = match class.as_str() {
        Some("UNet2DConditionModel") => "unet",
        Some("AutoencoderKL") => "vae",
        Some("CLIPTextModel") => "text_encoder",
        Some("CLIPTextModelWithProjection") => "text_encoder_2",
        _ => "",
    };
    let component = COMPONENTS.iter().find(|component| component.name == name);
    let component =
        component.ok_or_else(|| format!("A single-file checkpoint holds no model of {class}."))?;
    lines(component.layout(layout).into_iter())
}

/// A JSON object with a line for each of its entries.
fn lines<K: Serialize, V: Serialize>(
    entries: impl Iterator<Item = (K, V)>,
) -> Result<String, String> {
    let lines = entries
        .map(|(name, entry)| {
            let (name, entry) = (
                serde_json::to_string(&name)?,
                serde_json::to_string(&entry)?,
            );
            Ok(format!("  {name}: {entry}"))
        })
        .collect::<Result<Vec<_>, serde_json::Error>>()
        .map_err(|error| format!("The layout can't be written: {error}."))?;
    Ok(format!("{{\n{}\n}}", lines.join(",\n")))
}
