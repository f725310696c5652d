//! LoRA and its relatives: a layer's change as the product of two narrow matrices.

use std::collections::{BTreeMap, BTreeSet};

use super::branch::{LowRankBranch, Parts};
use super::error::{AdapterError, LISTED};
use super::lycoris;
use super::model::{Encoder, Model, Owner, owner};
use super::names::{self, Layers, Part, WEIGHT};
use crate::weights::format::tensor::StoredTensor;

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
/// `.default` or another adapter's name in between; `….lora.down.weight`, `….lora.up.weight`;
/// `….processor.to_q_lora.down.weight` of old), with or without `unet.` or `base_model.model.` before the
/// layer, or those of kohya's scripts (`….lora_down.weight`, `….lora_up.weight`, with `lora_unet_` before
/// the layer and underscores for its dots, in diffusers' names or the original code's; the latter also with
/// their dots); `….alpha` in all of them. LyCORIS' LoCon with a core (`….lora_mid.weight`), LoHa
/// (`….hada_…`) and LoKr (`….lokr_…`) become branches of the same change.
///
/// The base is a UNet or a text encoder, which the names of its tensors tell. A text encoder's layers are
/// called `text_model.encoder.layers.0.self_attn.q_proj` (or the same without `text_model.`, as
/// transformers 5 saves some), with `text_encoder.`, `text_encoder_2.`, `lora_te1_` and so on before them:
/// [`split`](super::split()) has them by encoder.
///
/// A tensor of any other name is a whole one: it takes the place of the base's of that name, or is
/// added to the model, as the projection of the embedded guidance is by LCM
/// (`time_embedding.cond_proj.weight`). On a UNet, what is for a text encoder is left out, as embeddings
/// always are: [`Adapter::left_out`].
#[derive(Debug)]
pub struct Adapter {
    /// By the name of the tensor that they change.
    branches: BTreeMap<String, LowRankBranch>,
    whole: BTreeMap<String, StoredTensor>,
    left_out: LeftOut,
    model: Model,
    /// Whether its names don't say which text encoder they are for.
    is_unnamed: bool,
    /// How many layers it changes.
    count: usize,
}

/// Tensors of an adapter's file that are not for the UNet, so that nothing is done with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Tensors for text encoders.
    pub text_encoder: usize,
    /// Tensors of embeddings, which a prompt would name.
    pub embeddings: usize,
}

impl LeftOut {
    /// What these tensors of a file's are, by their names.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        names.fold(Self::default(), |mut left_out, name| {
            match owner(name) {
                Owner::TextEncoder(..) => left_out.text_encoder += 1,
                Owner::Embedding => left_out.embeddings += 1,
                Owner::UNet => {}
            }
            left_out
        })
    }

    /// A sentence about it; none where nothing is left out.
    pub fn sentence(&self) -> Option<String> {
        let what = match (self.text_encoder, self.embeddings) {
            (0, 0) => return None,
            (count, 0) => format!("its layers for text encoders ({count} tensors) are"),
            (0, count) => format!("the embeddings in its file ({count} tensors) are"),
            (layers, embeddings) => format!(
                "its layers for text encoders ({layers} tensors) and the embeddings in its file \
                 ({embeddings}) are"
            ),
        };
        let more = match self.text_encoder {
            0 => "",
            _ => " On the shelf of adapters it is put on the text encoders too.",
        };
        Some(format!(
            "As a distilled model the adapter is put on the UNet alone: {what} left out.{more}"
        ))
    }
}

impl Adapter {
    /// Sorts an adapter's tensors; `base` has the names of the base's.
    ///
    /// # Errors
    /// There is no LoRA for the base among the tensors, a layer's parts don't make one, some layers are none
    /// that the base has, or the adapter is of a kind that isn't computed here.
    pub fn new<'a>(
        tensors: Vec<StoredTensor>,
        base: impl Iterator<Item = &'a str>,
    ) -> Result<Self, AdapterError> {
        let base = Layers::new(base);
        let names = || tensors.iter().map(|tensor| tensor.name.as_str());
        let left_out = LeftOut::of(names().filter(|name| !base.are_of(owner(name))));
        let model = base.model(names());
        let is_unnamed =
            names().any(|name| matches!(owner(name), Owner::TextEncoder(Encoder::Unnamed, _)));
        let mut layers: BTreeMap<String, Parts> = BTreeMap::new();
        let mut whole = BTreeMap::new();
        let mut unknown: Vec<String> = Vec::new();
        let mut others: Vec<(&'static str, String)> = Vec::new();
        let mut of_text_encoder = None;
        for mut tensor in tensors {
            match owner(&tensor.name) {
                Owner::Embedding => continue,
                own @ Owner::TextEncoder(..) if !base.are_of(own) => {
                    of_text_encoder = Some(tensor.name);
                    continue;
                }
                _ => {}
            }
            if let Some(kind) = names::other_kind(&tensor.name) {
                others.push((kind, tensor.name));
                continue;
            }
            match names::split(&tensor.name) {
                Some((layer, part)) => match base.resolve(layer) {
                    Some(layer) => {
                        let parts = layers.entry(layer.clone()).or_default();
                        if parts.insert(part, tensor).is_some() {
                            return Err(AdapterError::Twice { layer });
                        }
                    }
                    None => unknown.push(layer.to_owned()),
                },
                None => match base.whole(&tensor.name) {
                    Some(name) => {
                        tensor.name.clone_from(&name);
                        whole.insert(name, tensor);
                    }
                    None => unknown.push(tensor.name),
                },
            }
        }
        if let Some((kind, name)) = others.first() {
            return Err(AdapterError::Kind {
                kind,
                name: name.clone(),
                count: others.len(),
            });
        }
        if layers.is_empty()
            && let Some(name) = of_text_encoder
        {
            return Err(AdapterError::TextEncoder {
                name,
                count: left_out.text_encoder,
            });
        }
        if layers.is_empty() && unknown.is_empty() {
            return Err(AdapterError::NoBranch);
        }
        let mut found = BTreeSet::new();
        unknown.retain(|layer| found.insert(layer.clone()));
        let count = layers.len() + whole.len();
        if !unknown.is_empty() {
            return Err(AdapterError::MissingInBase {
                model,
                count: unknown.len(),
                of: count + unknown.len(),
                names: unknown.into_iter().take(LISTED).collect(),
            });
        }
        let branches = layers
            .into_iter()
            .map(|(layer, parts)| {
                let branch = branch_of(&layer, parts)?;
                Ok((layer + WEIGHT, branch))
            })
            .collect::<Result<_, AdapterError>>()?;
        Ok(Adapter {
            branches,
            whole,
            left_out,
            model,
            is_unnamed,
            count,
        })
    }

    /// Checks that the base, whose tensors have these names and shapes, takes every layer of the adapter:
    /// before any of it is computed, and with all layers that don't fit.
    ///
    /// # Errors
    /// [`AdapterError::Widths`].
    pub fn check<'a>(
        &self,
        base: impl Iterator<Item = (&'a str, &'a [usize])>,
    ) -> Result<(), AdapterError> {
        let misfits: Vec<(String, Vec<usize>, Vec<usize>)> = base
            .filter_map(|(name, shape)| {
                let replaced = self.whole.get(name);
                let own = match self.branches.get(name) {
                    Some(branch) => branch.misfit(shape),
                    None => replaced
                        .map(|tensor| tensor.shape.clone())
                        .filter(|own| own != shape),
                };
                Some((name.to_owned(), own?, shape.to_vec()))
            })
            .collect();
        let Some((_, own, shape)) = misfits.first() else {
            return Ok(());
        };
        Err(AdapterError::Widths {
            model: self.model,
            first: (own.clone(), shape.clone()),
            count: misfits.len(),
            of: self.count,
            is_unnamed: self.is_unnamed && self.model != Model::UNet,
            names: misfits
                .into_iter()
                .take(LISTED)
                .map(|(name, ..)| name)
                .collect(),
        })
    }

    /// The model of the pair that the adapter changes.
    pub fn model(&self) -> Model {
        self.model
    }

    /// Tensors of the file that nothing is done with.
    pub fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// Makes every branch this many times as strong; 1 is what the file says. Whole tensors stay.
    pub fn scale(&mut self, strength: f32) {
        for branch in self.branches.values_mut() {
            branch.scale *= strength;
        }
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

    /// Takes out the branch that changes the base's tensor of that name and shape. Its parts get that
    /// shape where they have the same numbers in one of fewer or more dimensions.
    ///
    /// # Errors
    /// The branch is for another shape.
    pub fn take_branch(
        &mut self,
        name: &str,
        shape: &[usize],
    ) -> Result<Option<LowRankBranch>, AdapterError> {
        match self.branches.remove(name) {
            None => Ok(None),
            Some(branch) => branch.for_weight(name, shape).map(Some),
        }
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
        if self.branches.is_empty() {
            return Ok(self.whole.into_values().collect());
        }
        Err(AdapterError::MissingInBase {
            model: self.model,
            count: self.branches.len(),
            of: self.count,
            names: self.branches.into_keys().take(LISTED).collect(),
        })
    }
}

/// The branch that a layer's parts make.
fn branch_of(module: &str, mut parts: Parts) -> Result<LowRankBranch, AdapterError> {
    let alpha = match parts.remove(&Part::Alpha) {
        None => None,
        Some(alpha) if alpha.is_outline() => None,
        Some(alpha) => match alpha.to_f32()?.as_slice() {
            [alpha] if alpha.is_finite() => Some(*alpha),
            _ => {
                return Err(AdapterError::Alpha {
                    module: module.to_owned(),
                });
            }
        },
    };
    if parts.keys().any(|part| matches!(part, Part::Hada(_))) {
        return lycoris::hadamard(module, parts, alpha);
    }
    if parts.keys().any(|part| matches!(part, Part::Kronecker(_))) {
        return lycoris::kronecker(module, parts, alpha);
    }
    let mid = parts.remove(&Part::Mid);
    let mut take = |part, missing| {
        parts.remove(&part).ok_or_else(|| AdapterError::Incomplete {
            module: module.to_owned(),
            missing,
        })
    };
    let mut down = take(Part::Down, "down projection (lora_A, lora_down)")?;
    let up = take(Part::Up, "up projection (lora_B, lora_up)")?;
    if let Some(mid) = mid {
        down = lycoris::with_core(module, &down, &mid)?;
    }
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
    Ok(LowRankBranch {
        scale: alpha.map_or(1.0, |alpha| alpha / rank as f32),
        down,
        up,
    })
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
