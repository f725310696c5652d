//! Packs a network that measures pictures: the weights of its image encoder, and its manifest.

use std::path::PathBuf;

use firststep::weights::manifest::PerceptualManifest;
use firststep::weights::manifest::pack::{
    MAXIMUM_SHARD_LENGTH, QuantizationError, encode_tensor, pack_shard, shards,
};

use super::files::{read_bytes, write};
use super::model_files::open_file;

/// The arguments of `pack perceptual`.
pub struct Arguments {
    /// The image encoder's weights, a safetensors file.
    pub weights: PathBuf,
    /// The manifest without files, and with the rules by which they are stored.
    pub description: PathBuf,
    /// The folder that gets the pack.
    pub output: PathBuf,
}

/// Packs the network that the arguments name; an error is a sentence.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let text = read_bytes(&arguments.description)?;
    let manifest = PerceptualManifest::parse(&String::from_utf8_lossy(&text));
    let mut manifest = manifest.map_err(|error| error.to_string())?;
    let encoder = &mut manifest.components.image_encoder;
    let rules = std::mem::take(&mut encoder.encodings);
    let (_, sources) = open_file(&arguments.weights)?;
    let mut error = QuantizationError::default();
    let mut tensors = Vec::new();
    for source in sources {
        let tensor = encode_tensor(&source.read()?, &rules, &mut error);
        tensors.push(tensor.map_err(|error| error.to_string())?);
    }
    let lengths: Vec<usize> = tensors.iter().map(|tensor| tensor.bytes.len()).collect();
    let shards = shards(&lengths, MAXIMUM_SHARD_LENGTH);
    let count = shards.len();
    for (index, range) in shards.into_iter().enumerate() {
        let part = tensors.get(range).unwrap_or_default();
        let file = pack_shard("image_encoder", index, count, part);
        let file = file.map_err(|error| error.to_string())?;
        write(&arguments.output.join(&file.entry.path), &file.bytes)?;
        println!("{}: {} bytes", file.entry.path, file.entry.size);
        encoder.files.push(file.entry);
    }
    println!(
        "{} of {} values quantized, relative error {:.2} %",
        error.quantized,
        error.values,
        100.0 * error.relative()
    );
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| format!("The manifest can't be written: {error}."))?
        + "\n";
    // Whoever reads it makes the same checks.
    PerceptualManifest::parse(&text).map_err(|error| error.to_string())?;
    write(&arguments.output.join("manifest.json"), text.as_bytes())
}
