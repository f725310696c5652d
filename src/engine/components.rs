//! Reads a component's files to the device, in a pair and in a network that measures pictures.

use std::pin::pin;

use burn::tensor::Device;
use futures::{StreamExt, stream};

use super::error::EngineError;
use super::pair_files::PairFiles;
use crate::adapters::{Adapter, write_alphas, write_configured_alphas};
use crate::models::{ClipTokenizer, ModelError, TokenizerConfig, Weights};
use crate::weights::format::tensor::StoredTensor;
use crate::weights::format::tokenizer_json::{TOKENIZER_FILE, vocabulary_and_merges};
use crate::weights::manifest::{Component, Manifest};

/// Tensors that are read at once, ahead of the one that goes to the device: a store answers several
/// requests faster together than one after the other.
const READ_AHEAD: usize = 4;

/// Bytes of a component's tensors as they are stored.
pub(super) async fn stored_length(
    component: &Component,
    files: &impl PairFiles,
) -> Result<u64, EngineError> {
    let mut length = 0;
    for file in &component.files {
        length += files.stored_length(&file.id).await?;
    }
    Ok(length)
}

/// Reads a component's tensors to the device one after the other, so that the host's memory never has
/// more than a few of them at once.
pub(super) async fn load_weights(
    name: &str,
    component: &Component,
    device: &Device,
    expanded_limit: u64,
    files: &impl PairFiles,
    wanted: impl Fn(&str) -> bool,
) -> Result<Weights, EngineError> {
    let mut weights = Weights::new(name, device, expanded_limit);
    let tensors = tensors_of(component, files).await?;
    let wanted = tensors
        .iter()
        .filter(|(_, tensor)| wanted(own_name(component, tensor)));
    let reads = stream::iter(wanted)
        .map(|(id, tensor)| read_tensor(component, files, id, tensor))
        .buffered(READ_AHEAD);
    let mut reads = pin!(reads);
    while let Some(tensor) = reads.next().await {
        weights.insert(tensor?)?;
    }
    if weights.is_requantized() {
        files.note_requantized();
    }
    Ok(weights)
}

/// Applies an adapter to a base's weights: merges it into weights that are expanded, and puts it beside
/// held ones as low-rank branches.
pub(super) async fn adapt(
    weights: &mut Weights,
    component: &Component,
    files: &impl PairFiles,
) -> Result<(), EngineError> {
    let mut tensors = Vec::new();
    for (id, tensor) in tensors_of(component, files).await? {
        tensors.push(read_tensor(component, files, id, &tensor).await?);
    }
    for file in &component.files {
        write_alphas(&mut tensors, &files.metadata(&file.id).await?)?;
    }
    if let Some(config) = &component.adapter_config {
        write_configured_alphas(&mut tensors, config)?;
    }
    let mut adapter = Adapter::new(tensors, weights.shapes().map(|(name, _)| name))?;
    if let Some(strength) = component.strength {
        adapter.scale(strength);
    }
    let changed: Vec<(String, Vec<usize>)> = weights
        .shapes()
        .filter(|(name, _)| adapter.changes(name))
        .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
        .collect();
    for (name, shape) in changed {
        if weights.is_held() {
            if let Some(tensor) = adapter.take_whole(&name, &shape)? {
                weights.insert(tensor)?;
            }
            if let Some(branch) = adapter.take_branch(&name, &shape)? {
                weights.insert_branch(name, branch.down, branch.up, branch.scale, None)?;
            }
        } else {
            weights.change(&name, |values| adapter.merge(&name, &shape, values))?;
        }
    }
    for tensor in adapter.finish()? {
        weights.insert(tensor)?;
    }
    Ok(())
}

/// A tensor's name in its component, without the component's prefix in a shared file.
pub(super) fn own_name<'a>(component: &Component, stored: &'a str) -> &'a str {
    stored.strip_prefix(&component.prefix).unwrap_or(stored)
}

pub(super) async fn read_tensor(
    component: &Component,
    files: &impl PairFiles,
    id: &str,
    stored: &str,
) -> Result<StoredTensor, EngineError> {
    let mut tensor = files.tensor(id, stored).await?;
    tensor.name = own_name(component, stored).to_owned();
    Ok(tensor)
}

/// A component's tensors, each with its file's id and its name in that file. Tensors of other
/// components in the same file are left out.
pub(super) async fn tensors_of<'a>(
    component: &'a Component,
    files: &impl PairFiles,
) -> Result<Vec<(&'a str, String)>, EngineError> {
    let mut tensors = Vec::new();
    for file in &component.files {
        let names = files.tensor_names(&file.id).await?.into_iter();
        let own = names.filter(|name| name.starts_with(&component.prefix));
        tensors.extend(own.map(|name| (file.id.as_str(), name)));
    }
    Ok(tensors)
}

/// Both tokenizers of a pair.
///
/// # Errors
/// Their files are not there, or not what their configs say.
pub async fn load_tokenizers(
    manifest: &Manifest,
    files: &impl PairFiles,
) -> Result<[ClipTokenizer; 2], EngineError> {
    let components = &manifest.components;
    Ok([
        load_tokenizer(&components.tokenizer, files).await?,
        load_tokenizer(&components.tokenizer_2, files).await?,
    ])
}

pub(super) async fn load_tokenizer(
    component: &Component,
    files: &impl PairFiles,
) -> Result<ClipTokenizer, EngineError> {
    let find = |wanted: &str| component.files.iter().find(|file| file.name() == wanted);
    let text = async |wanted: &'static str| {
        let file = find(wanted).ok_or(EngineError::MissingFile { file: wanted })?;
        let bytes = files.blob(&file.id).await?;
        Ok::<_, EngineError>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (vocabulary, merges) = if find("vocab.json").is_none() && find(TOKENIZER_FILE).is_some() {
        let read = vocabulary_and_merges(&text(TOKENIZER_FILE).await?);
        let read = read.map_err(|reason| ModelError::Tokenizer { reason })?;
        (read.vocabulary, read.merges)
    } else {
        (text("vocab.json").await?, text("merges.txt").await?)
    };
    let config = TokenizerConfig::from_json(&component.config)?;
    Ok(ClipTokenizer::new(&config, &vocabulary, &merges)?)
}
