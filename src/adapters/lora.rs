//! LoRA: a layer's change as the product of two narrow matrices.

#![expect(
    clippy::indexing_slicing,
    reason = "shapes were looked at when the branch was made"
)]

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::AdapterError;
use super::names::{self, ALPHA, Layers, PREFIX, Part, WEIGHT};
use crate::weights::format::encoding::Encoding;
use crate::weights::format::tensor::StoredTensor;

/// Under which diffusers writes PEFT's configuration into a file's header.
const METADATA_KEY: &str = "lora_adapter_metadata";

/// An adapter on a base model, whose tensors it takes one by one: [`Adapter::merge`] for each (or
/// [`Adapter::take_whole`] and [`Adapter::take_branch`], where the change stays beside the weight),
/// then [`Adapter::finish`], which refuses to leave a part of it out.
///
/// For a layer `down_blocks.1.attentions.0.proj_in` the tensors are
///
/// - down: `[rank, input]`, or `[rank, input, kernel height, kernel width]`,
/// - up: `[output, rank]`, or `[output, rank, 1, 1]`,
/// - alpha: one number; absent: the rank.
///
/// Their names are those of diffusers and PEFT (`….lora_A.weight`, `….lora_B.weight`, also with
/// `.default` in between; `….lora.down.weight`, `….lora.up.weight`; `….processor.to_q_lora.down.weight`
/// of old), with or without `unet.` before the layer, or those of kohya's scripts
/// (`….lora_down.weight`, `….lora_up.weight`, with `lora_unet_` before the layer and underscores for
/// its dots, in diffusers' names or the original code's); `….alpha` in all of them.
///
/// A tensor of any other name is a whole one: it takes the place of the base's of that name, or is
/// added to the model, as the projection of the embedded guidance is by LCM
/// (`time_embedding.cond_proj.weight`).
#[derive(Debug)]
pub struct Adapter {
    /// By the name of the tensor that they change.
    branches: BTreeMap<String, LowRankBranch>,
    whole: BTreeMap<String, StoredTensor>,
}

impl Adapter {
    /// Sorts an adapter's tensors; `base` has the names of the base's.
    ///
    /// # Errors
    /// There is no LoRA among the tensors, a layer's parts don't make one, or a layer is one of a
    /// text encoder or, in kohya's spelling, none that the base has.
    pub fn new<'a>(
        tensors: Vec<StoredTensor>,
        base: impl Iterator<Item = &'a str>,
    ) -> Result<Self, AdapterError> {
        let of_text_encoders = |tensor: &&StoredTensor| names::is_of_text_encoder(&tensor.name);
        if let Some(tensor) = tensors.iter().find(of_text_encoders) {
            return Err(AdapterError::TextEncoder {
                name: tensor.name.clone(),
                count: tensors.iter().filter(of_text_encoders).count(),
            });
        }
        let base = Layers::new(base);
        let mut layers: BTreeMap<String, Parts> = BTreeMap::new();
        let mut whole = BTreeMap::new();
        let mut unknown = Vec::new();
        for mut tensor in tensors {
            match names::split(&tensor.name) {
                Some((layer, part)) => match base.resolve(layer) {
                    Some(layer) => {
                        layers.entry(layer).or_default().insert(part, tensor);
                    }
                    None => unknown.push(tensor.name),
                },
                None => {
                    let name = tensor.name.strip_prefix(PREFIX).unwrap_or(&tensor.name);
                    let name = name.to_owned();
                    tensor.name.clone_from(&name);
                    whole.insert(name, tensor);
                }
            }
        }
        if let Some(name) = unknown.first() {
            return Err(AdapterError::MissingInBase {
                name: name.clone(),
                count: unknown.len(),
            });
        }
        if layers.is_empty() {
            return Err(AdapterError::NoBranch);
        }
        let branches = layers
            .into_iter()
            .map(|(layer, parts)| {
                let branch = LowRankBranch::new(&layer, parts)?;
                Ok((layer + WEIGHT, branch))
            })
            .collect::<Result<_, AdapterError>>()?;
        Ok(Adapter { branches, whole })
    }

    /// Whether the adapter changes the base's tensor of that name.
    pub fn changes(&self, name: &str) -> bool {
        self.branches.contains_key(name) || self.whole.contains_key(name)
    }

    /// Takes out the tensor that replaces the base's tensor of that name and shape.
    ///
    /// # Errors
    /// The adapter has it in another shape.
    pub fn take_whole(
        &mut self,
        name: &str,
        shape: &[usize],
    ) -> Result<Option<StoredTensor>, AdapterError> {
        let tensor = self.whole.remove(name);
        if let Some(tensor) = &tensor {
            check_shape(name, &tensor.shape, shape)?;
        }
        Ok(tensor)
    }

    /// Takes out the branch that changes the base's tensor of that name and shape.
    ///
    /// # Errors
    /// The branch is for another shape.
    pub fn take_branch(
        &mut self,
        name: &str,
        shape: &[usize],
    ) -> Result<Option<LowRankBranch>, AdapterError> {
        let branch = self.branches.remove(name);
        if let Some(branch) = &branch {
            check_shape(name, &branch.weight_shape(), shape)?;
        }
        Ok(branch)
    }

    /// The values of the base's tensor `name` with the adapter on: `W + (alpha / rank) · B · A`.
    /// `values` holds the product of `shape` numbers in row-major order, and so does the result; of
    /// outlines, neither has any. A tensor that the adapter doesn't touch stays as it is.
    ///
    /// # Errors
    /// The adapter has the tensor in another shape, or a tensor of the adapter can't be read.
    pub fn merge(
        &mut self,
        name: &str,
        shape: &[usize],
        mut values: Vec<f32>,
    ) -> Result<Vec<f32>, AdapterError> {
        if let Some(tensor) = self.take_whole(name, shape)?.filter(|it| !it.is_outline()) {
            values = tensor.to_f32()?;
        }
        if let Some(branch) = self.take_branch(name, shape)? {
            branch.add_to(&mut values)?;
        }
        Ok(values)
    }

    /// What the adapter adds to the model, once every tensor of the base has been merged.
    ///
    /// # Errors
    /// The adapter changes a tensor that the base didn't have.
    pub fn finish(self) -> Result<Vec<StoredTensor>, AdapterError> {
        match self.branches.first_key_value() {
            None => Ok(self.whole.into_values().collect()),
            Some((name, _)) => Err(AdapterError::MissingInBase {
                name: name.clone(),
                count: self.branches.len(),
            }),
        }
    }
}

/// What a file holds of a layer's branch.
type Parts = BTreeMap<Part, StoredTensor>;

/// A layer's change: `scale · up · down`.
#[derive(Debug)]
pub struct LowRankBranch {
    /// `[rank, input, …]`.
    pub down: StoredTensor,
    /// `[output, rank, …]`.
    pub up: StoredTensor,
    /// `alpha / rank`.
    pub scale: f32,
}

impl LowRankBranch {
    fn new(module: &str, mut parts: Parts) -> Result<Self, AdapterError> {
        let mut take = |part, missing| {
            parts.remove(&part).ok_or_else(|| AdapterError::Incomplete {
                module: module.to_owned(),
                missing,
            })
        };
        let down = take(Part::Down, "down projection (lora_A, lora_down)")?;
        let up = take(Part::Up, "up projection (lora_B, lora_up)")?;
        let (rank, up_rank) = match (down.shape.as_slice(), up.shape.as_slice()) {
            ([rank, _, ..], [_, up_rank, kernel @ ..])
                if down.element_count() > 0 && kernel.iter().all(|&size| size == 1) =>
            {
                (*rank, *up_rank)
            }
            _ => {
                return Err(AdapterError::Parts {
                    module: module.to_owned(),
                    down: down.shape,
                    up: up.shape,
                });
            }
        };
        if rank != up_rank {
            return Err(AdapterError::Rank {
                module: module.to_owned(),
                down: rank,
                up: up_rank,
            });
        }
        let alpha = match parts.remove(&Part::Alpha) {
            None => rank as f32,
            Some(alpha) if alpha.is_outline() => rank as f32,
            Some(alpha) => match alpha.to_f32()?.as_slice() {
                [alpha] if alpha.is_finite() => *alpha,
                _ => {
                    return Err(AdapterError::Alpha {
                        module: module.to_owned(),
                    });
                }
            },
        };
        Ok(LowRankBranch {
            scale: alpha / rank as f32,
            down,
            up,
        })
    }

    /// Shape of the weight that the branch changes: `[output, input, …]`.
    fn weight_shape(&self) -> Vec<usize> {
        [&self.up.shape[..1], &self.down.shape[1..]].concat()
    }

    /// Adds the change to a weight of that shape, row by row.
    fn add_to(&self, weight: &mut [f32]) -> Result<(), AdapterError> {
        if self.down.is_outline() {
            return Ok(());
        }
        let down = self.down.to_f32()?;
        let up = self.up.to_f32()?;
        let rank = self.down.shape[0];
        let columns = down.len() / rank;
        // Summed apart: the terms are far smaller than the weight and would be rounded to its steps.
        let mut change = vec![0.0; columns];
        for (row, factors) in weight.chunks_exact_mut(columns).zip(up.chunks_exact(rank)) {
            change.fill(0.0);
            for (&factor, direction) in factors.iter().zip(down.chunks_exact(columns)) {
                for (sum, &value) in change.iter_mut().zip(direction) {
                    *sum += factor * value;
                }
            }
            for (value, &change) in row.iter_mut().zip(&change) {
                *value += self.scale * change;
            }
        }
        Ok(())
    }
}

/// Adds a tensor `….alpha` for each layer that has none, where the file's header alone says the alpha,
/// as diffusers' `save_lora_adapter` writes it: a pack keeps the tensors and not that header.
///
/// # Errors
/// The header is malformed, or asks for more than `alpha / rank` as every layer's scale.
pub fn write_alphas(
    tensors: &mut Vec<StoredTensor>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), AdapterError> {
    let Some(json) = metadata.get(METADATA_KEY) else {
        return Ok(());
    };
    let failed = |reason: String| AdapterError::Metadata { reason };
    let config: Value = serde_json::from_str(json)
        .map_err(|error| failed(format!("{METADATA_KEY} is malformed: {error}")))?;
    // Pipelines write the same configuration with the prefix of their tensors.
    let option = |name: &str| match &config[name] {
        Value::Null => &config[format!("{PREFIX}{name}")],
        value => value,
    };
    for name in ["use_rslora", "use_dora", "alpha_pattern"] {
        let is_used = match option(name) {
            Value::Null | Value::Bool(false) => false,
            Value::Object(patterns) => !patterns.is_empty(),
            _ => true,
        };
        if is_used {
            return Err(failed(format!("it sets {name} = {}", option(name))));
        }
    }
    let alpha = match option("lora_alpha") {
        Value::Null => return Ok(()),
        value => value
            .as_f64()
            .ok_or_else(|| failed(format!("its lora_alpha is {value}")))?,
    };
    let missing: Vec<String> = tensors
        .iter()
        .filter_map(|tensor| match names::split(&tensor.name)? {
            (layer, Part::Down) => Some(layer.to_owned() + ALPHA),
            _ => None,
        })
        .filter(|name| !tensors.iter().any(|tensor| tensor.name == *name))
        .collect();
    for name in missing {
        let alpha = StoredTensor::encode(&name, &[], &[alpha as f32], Encoding::F32, 0.0)?;
        tensors.push(alpha);
    }
    Ok(())
}

fn check_shape(name: &str, adapter: &[usize], base: &[usize]) -> Result<(), AdapterError> {
    if adapter == base {
        Ok(())
    } else {
        Err(AdapterError::Shape {
            name: name.to_owned(),
            adapter: adapter.to_vec(),
            base: base.to_vec(),
        })
    }
}
