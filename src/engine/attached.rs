//! The adapters of a recipe beside the weights of a pair's UNets and text encoders: each layer that one of
//! them changes gets a low-rank branch, whose strength is set before each pass.
//!
//! Adapters are files of the store like weights, and known by their content. Which of them there are
//! decides how the models are built; how strongly they act does not.

use super::error::EngineError;
use super::pair_files::PairFiles;
use crate::adapters::{Adapter, Model, split, write_alphas};
use crate::kernels::Strengths;
use crate::models::Weights;
use crate::recipe::Row;
use crate::recipe::adapters::AdapterUse;
use crate::sampler::ModelRole;
use crate::weights::adapter_file::adapter_id;

/// The adapters that a pair's models are built with, and how strongly they act.
#[derive(Default)]
pub(super) struct Attached {
    /// In the recipe's order; their strengths there don't count.
    pub adapters: Vec<AdapterUse>,
    /// Which of them have layers for text encoders.
    pub has_text: Vec<bool>,
    /// Whether text encoders could not be read with them.
    pub is_broken: bool,
    pub base: Strengths,
    pub distilled: Strengths,
}

impl Attached {
    /// Whether these are the files that the models are built with.
    pub fn are(&self, adapters: &[AdapterUse]) -> bool {
        let own = self.adapters.iter().map(|adapter| &adapter.hash);
        !self.is_broken && own.eq(adapters.iter().map(|adapter| &adapter.hash))
    }

    pub fn strengths(&self, role: ModelRole) -> &Strengths {
        match role {
            ModelRole::Base => &self.base,
            ModelRole::Distilled => &self.distilled,
        }
    }

    /// Puts the adapters beside the weights of a UNet.
    ///
    /// # Errors
    /// A file is not there, or is none of an adapter on this model.
    pub async fn put_beside(
        &mut self,
        weights: &mut Weights,
        role: ModelRole,
        files: &impl PairFiles,
    ) -> Result<(), EngineError> {
        self.put_all(weights, Model::UNet, files).await?;
        let strengths = weights.strengths().clone();
        match role {
            ModelRole::Base => self.base = strengths,
            ModelRole::Distilled => self.distilled = strengths,
        }
        Ok(())
    }

    /// Puts the adapters beside the weights of a text encoder, counted from 0.
    ///
    /// # Errors
    /// As [`Attached::put_beside`].
    pub async fn put_beside_encoder(
        &self,
        weights: &mut Weights,
        index: usize,
        files: &impl PairFiles,
    ) -> Result<(), EngineError> {
        let model = if index == 0 {
            Model::TextEncoder
        } else {
            Model::TextEncoder2
        };
        self.put_all(weights, model, files).await
    }

    async fn put_all(
        &self,
        weights: &mut Weights,
        model: Model,
        files: &impl PairFiles,
    ) -> Result<(), EngineError> {
        for (index, adapter) in self.adapters.iter().enumerate() {
            let has_text = self.has_text.get(index).copied().unwrap_or(false);
            if model == Model::UNet || has_text {
                put_one_beside(weights, model, index, adapter, files).await?;
            }
        }
        Ok(())
    }

    /// How strongly a row's adapters act on the text encoders for one of the UNets, as
    /// [`AdaptedPrompt::strengths`](super::prompt::AdaptedPrompt::strengths). Prompts are encoded once: schedules don't count here.
    pub fn text_strengths(&self, row: &Row, role: ModelRole) -> Vec<u32> {
        let strengths: Vec<f32> = row
            .adapters
            .iter()
            .zip(&self.has_text)
            .map(|(adapter, has_text)| {
                if *has_text && adapter.acts_on.includes(role) {
                    adapter.strength
                } else {
                    0.0
                }
            })
            .collect();
        if strengths.iter().all(|&strength| strength == 0.0) {
            return Vec::new();
        }
        strengths.into_iter().map(f32::to_bits).collect()
    }
}

async fn put_one_beside(
    weights: &mut Weights,
    model: Model,
    index: usize,
    used: &AdapterUse,
    files: &impl PairFiles,
) -> Result<(), EngineError> {
    let id = adapter_id(&used.hash);
    let names = names_of(used, files).await?;
    let mut tensors = Vec::with_capacity(names.len());
    for name in names {
        tensors.push(files.tensor(&id, &name).await?);
    }
    write_alphas(&mut tensors, &files.metadata(&id).await?)?;
    let of_adapter = |error| EngineError::OfAdapter {
        name: used.name.clone(),
        error: Box::new(error),
    };
    let split = split(tensors).map_err(of_adapter)?;
    let own = match model {
        Model::UNet => split.unet,
        Model::TextEncoder => split.text_encoder,
        Model::TextEncoder2 => split.text_encoder_2,
    };
    if own.is_empty() {
        return Ok(());
    }
    let names = weights.shapes().map(|(name, _)| name);
    let mut adapter = Adapter::new(own, names).map_err(of_adapter)?;
    adapter.check(weights.shapes()).map_err(of_adapter)?;
    let changed: Vec<(String, Vec<usize>)> = weights
        .shapes()
        .filter(|(name, _)| adapter.changes(name))
        .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
        .collect();
    for (name, shape) in changed {
        if adapter
            .take_whole(&name, &shape)
            .map_err(of_adapter)?
            .is_some()
        {
            return Err(replaces(used, name));
        }
        if let Some(branch) = adapter.take_branch(&name, &shape).map_err(of_adapter)? {
            weights.insert_branch(name, branch.down, branch.up, branch.scale, Some(index))?;
        }
    }
    match adapter.finish().map_err(of_adapter)?.into_iter().next() {
        None => Ok(()),
        Some(tensor) => Err(replaces(used, tensor.name)),
    }
}

/// The names of the tensors in an adapter's file.
pub(super) async fn names_of(
    used: &AdapterUse,
    files: &impl PairFiles,
) -> Result<Vec<String>, EngineError> {
    let names = files.tensor_names(&adapter_id(&used.hash)).await;
    names.map_err(|_| EngineError::NoAdapter {
        name: used.name.clone(),
        hash: used.hash.chars().take(8).collect(),
    })
}

fn replaces(used: &AdapterUse, tensor: String) -> EngineError {
    EngineError::Replaces {
        name: used.name.clone(),
        tensor,
    }
}
