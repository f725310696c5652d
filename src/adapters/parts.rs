//! An adapter's tensors by the model that they are for.

use super::error::{AdapterError, LISTED};
use super::model::{Encoder, Model, Owner, owner};
use super::names;
use crate::weights::format::kind::THIRD_ENCODER;
use crate::weights::format::tensor::StoredTensor;

/// In open_clip's names of a text encoder's layers.
const OPEN_CLIP: &str = "resblocks";

/// The tensors of one adapter's file. They keep the file's names: [`Adapter::new`](super::Adapter::new)
/// finds the layers of each model by them, and its errors name them as the visitor's file does.
#[derive(Debug, Default)]
pub struct Split {
    /// For the UNet. What is named as no model's is here, where it is refused unless a UNet has it.
    pub unet: Vec<StoredTensor>,
    /// For the first text encoder. What is named as a text encoder's without a number is here: Stable
    /// Diffusion 1.x has one alone. Where it is of another width,
    /// [`Adapter::check`](super::Adapter::check) says so.
    pub text_encoder: Vec<StoredTensor>,
    /// For the second text encoder.
    pub text_encoder_2: Vec<StoredTensor>,
    /// Names of the tensors of embeddings, which are no layers: a prompt would name them.
    pub embeddings: Vec<String>,
}

/// Sorts the tensors of an adapter's file by the model that they are for.
///
/// # Errors
/// There is no layer's branch among them, they are of a kind that isn't computed here
/// ([`AdapterError::Kind`]), for a text encoder that SDXL doesn't have ([`AdapterError::OtherBase`]), or in
/// open_clip's names ([`AdapterError::OpenClip`]).
pub fn split(tensors: Vec<StoredTensor>) -> Result<Split, AdapterError> {
    check_names(tensors.iter().map(|tensor| tensor.name.as_str()))?;
    let mut split = Split::default();
    for tensor in tensors {
        match model_of(&tensor.name) {
            Some(Model::UNet) => split.unet.push(tensor),
            Some(Model::TextEncoder) => split.text_encoder.push(tensor),
            Some(Model::TextEncoder2) => split.text_encoder_2.push(tensor),
            None => split.embeddings.push(tensor.name),
        }
    }
    Ok(split)
}

/// The model of SDXL that a tensor of that name is put on; none for an embedding, and for a text encoder that
/// SDXL doesn't have.
pub(super) fn model_of(name: &str) -> Option<Model> {
    match owner(name) {
        Owner::UNet => Some(Model::UNet),
        Owner::TextEncoder(encoder, _) => encoder.model(),
        Owner::Embedding => None,
    }
}

/// Refuses a file by the names of its tensors, as [`split`] does.
pub(super) fn check_names<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), AdapterError> {
    let kind = names
        .clone()
        .find_map(|name| Some((names::other_kind(name)?, name)));
    if let Some((kind, name)) = kind {
        let others = names.filter(|name| names::other_kind(name).is_some());
        return Err(AdapterError::Kind {
            kind,
            name: name.to_owned(),
            count: others.count(),
        });
    }
    let is_third = |name| matches!(owner(name), Owner::TextEncoder(Encoder::Third, _));
    if names.clone().any(is_third) {
        return Err(AdapterError::OtherBase {
            kind: THIRD_ENCODER,
        });
    }
    let open_clip: Vec<&str> = names
        .clone()
        .filter(
            |name| matches!(owner(name), Owner::TextEncoder(_, layer) if layer.contains(OPEN_CLIP)),
        )
        .collect();
    if !open_clip.is_empty() {
        return Err(AdapterError::OpenClip {
            count: open_clip.len(),
            names: open_clip
                .iter()
                .take(LISTED)
                .map(ToString::to_string)
                .collect(),
        });
    }
    let mut parts = names.filter(|name| owner(name) != Owner::Embedding);
    if parts.any(|name| names::split(name).is_some()) {
        Ok(())
    } else {
        Err(AdapterError::NoBranch)
    }
}
