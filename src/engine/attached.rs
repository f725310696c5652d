//! The adapters of a recipe beside the weights of a pair's UNets: each layer that one of them changes gets
//! a low-rank branch, whose strength is set before each pass.
//!
//! Adapters are files of the store like weights, and known by their content. Which of them there are
//! decides how the models are built; how strongly they act does not.

use super::error::EngineError;
use super::pair::{Pair, PairFiles};
use crate::adapters::{Adapter, write_alphas};
use crate::kernels::Strengths;
use crate::models::Weights;
use crate::recipe::adapters::AdapterUse;
use crate::sampler::ModelRole;
use crate::weights::adapter_file::adapter_id;

/// The adapters that a pair's models are built with, and how strongly they act.
#[derive(Default)]
pub(super) struct Attached {
    /// In the recipe's order; their strengths there don't count.
    adapters: Vec<AdapterUse>,
    base: Strengths,
    distilled: Strengths,
}

impl Attached {
    /// Whether these are the files that the models are built with.
    fn are(&self, adapters: &[AdapterUse]) -> bool {
        let own = self.adapters.iter().map(|adapter| &adapter.hash);
        own.eq(adapters.iter().map(|adapter| &adapter.hash))
    }

    fn strengths(&self, role: ModelRole) -> &Strengths {
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
        for (index, adapter) in self.adapters.iter().enumerate() {
            put_one_beside(weights, index, adapter, files).await?;
        }
        let strengths = weights.strengths().clone();
        match role {
            ModelRole::Base => self.base = strengths,
            ModelRole::Distilled => self.distilled = strengths,
        }
        Ok(())
    }
}

async fn put_one_beside(
    weights: &mut Weights,
    index: usize,
    used: &AdapterUse,
    files: &impl PairFiles,
) -> Result<(), EngineError> {
    let id = adapter_id(&used.hash);
    let missing = |_| EngineError::NoAdapter {
        name: used.name.clone(),
        hash: used.hash.chars().take(8).collect(),
    };
    let names = files.tensor_names(&id).await.map_err(missing)?;
    let mut tensors = Vec::with_capacity(names.len());
    for name in names {
        tensors.push(files.tensor(&id, &name).await?);
    }
    write_alphas(&mut tensors, &files.metadata(&id).await?)?;
    let of_adapter = |error| EngineError::OfAdapter {
        name: used.name.clone(),
        error,
    };
    let names = weights.shapes().map(|(name, _)| name);
    let mut adapter = Adapter::new(tensors, names).map_err(of_adapter)?;
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

fn replaces(used: &AdapterUse, tensor: String) -> EngineError {
    EngineError::Replaces {
        name: used.name.clone(),
        tensor,
    }
}

impl Pair {
    /// Has the UNets built with these adapters from now on: those that were built with other ones leave.
    pub fn attach(&mut self, adapters: &[AdapterUse]) {
        if !self.attached.are(adapters) {
            self.drop_unet(ModelRole::Base);
            self.drop_unet(ModelRole::Distilled);
        }
        self.attached.adapters = adapters.to_vec();
    }

    /// Sets how strongly the attached adapters act on a UNet from its next pass on, in their order.
    pub fn set_strengths(&self, role: ModelRole, strengths: &[f32]) {
        self.attached.strengths(role).set(strengths);
    }
}
