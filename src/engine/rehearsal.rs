//! The launches of a pair's jobs without computing, so that the programs for them are compiled before the
//! first picture needs them: the job loop's own passes over the models, once each.
//!
//! A pair of [outlines](OutlineFiles) has the shapes and forms of all weights and none of their bytes, so
//! that the launches are known while the weights are still being read.

use std::collections::{BTreeMap, BTreeSet};

use super::error::EngineError;
use super::generate::{batches, samples_of, together_of};
use super::pair::Pair;
use super::pair_files::PairFiles;
use super::pass::{Negative, PreparedPrompt, Prompt, latents, launch, takes_two_passes};
use super::plan::plan_for;
use super::prompt::{AdaptedPrompt, is_any_guided};
use crate::kernels::Rehearsal;
use crate::protocol::engine::Extent;
use crate::recipe::Recipe;
use crate::recipe::adapters::AdapterUse;
use crate::sampler::{ModelCall, ModelRole};
use crate::weights::adapter_file::adapter_id;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::manifest::Manifest;

/// A pair's files without the bytes of their tensors.
pub struct OutlineFiles<'a, Source> {
    files: &'a Source,
    /// By the file's id.
    tensors: BTreeMap<String, Vec<StoredTensor>>,
}

impl<'a, Source: PairFiles> OutlineFiles<'a, Source> {
    /// Those of a pair and of adapters beside it; none where a tensor's outline is known only when it is
    /// read.
    ///
    /// # Errors
    /// The files can't be read.
    pub async fn of(
        manifest: &Manifest,
        adapters: &[AdapterUse],
        files: &'a Source,
    ) -> Result<Option<Self>, EngineError> {
        let of_pair = manifest.files().into_iter();
        let of_pair = of_pair.filter(|file| file.holds_tensors());
        let mut ids: Vec<String> = of_pair.map(|file| file.id.clone()).collect();
        ids.extend(adapters.iter().map(|adapter| adapter_id(&adapter.hash)));
        let mut tensors = BTreeMap::new();
        for id in ids {
            let Some(outlines) = files.outlines(&id).await? else {
                return Ok(None);
            };
            tensors.insert(id, outlines);
        }
        Ok(Some(Self { files, tensors }))
    }

    fn tensors(&self, id: &str) -> &[StoredTensor] {
        self.tensors.get(id).map_or(&[], Vec::as_slice)
    }
}

impl<Source: PairFiles> PairFiles for OutlineFiles<'_, Source> {
    async fn tensor_names(&self, id: &str) -> Result<Vec<String>, EngineError> {
        let tensors = self.tensors(id).iter();
        Ok(tensors.map(|tensor| tensor.name.clone()).collect())
    }

    async fn tensor(&self, id: &str, name: &str) -> Result<StoredTensor, EngineError> {
        let mut tensors = self.tensors(id).iter();
        let tensor = tensors.find(|tensor| tensor.name == name);
        tensor.cloned().ok_or(EngineError::NotLoaded)
    }

    async fn metadata(&self, id: &str) -> Result<BTreeMap<String, String>, EngineError> {
        self.files.metadata(id).await
    }

    async fn stored_length(&self, id: &str) -> Result<u64, EngineError> {
        self.files.stored_length(id).await
    }

    async fn blob(&self, id: &str) -> Result<Vec<u8>, EngineError> {
        self.files.blob(id).await
    }
}

/// What was rehearsed of a pair. Launches of other sizes need no other programs.
#[derive(Default)]
pub struct Rehearsed {
    /// Shapes of latents that were decoded.
    decoded: BTreeSet<[usize; 4]>,
    passes: BTreeSet<Pass>,
}

/// A pass of a UNet, of those that need different programs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pass {
    model: ModelRole,
    is_guided: bool,
    are_several: bool,
    /// The hashes of the recipe's adapters, and which of them act.
    adapters: Vec<(String, bool)>,
}

/// What a pass is launched with.
struct Launch {
    calls: Vec<ModelCall>,
    strengths: Vec<f32>,
    prompt: AdaptedPrompt,
}

impl Rehearsed {
    /// Launches what a job launches and was not launched before. `begin` is called before launches and gives
    /// what is kept during them; `pause` lets messages through between them, and says whether to go on.
    ///
    /// # Errors
    /// The recipe doesn't fit the pair.
    pub async fn rehearse<Kept>(
        &mut self,
        pair: &Pair,
        recipe: &Recipe,
        extent: &Extent,
        begin: impl Fn() -> Kept,
        pause: impl AsyncFn() -> bool,
    ) -> Result<(), EngineError> {
        recipe.validate()?;
        let rows = recipe.rows();
        let latent: usize = pair.latent_shape().iter().product();
        let samples = samples_of(pair, recipe)?;
        let mut steps = BTreeMap::new();
        for cells in batches(recipe, &rows, extent, samples) {
            let Some(row) = cells.first().and_then(|cell| rows.get(cell.row as usize)) else {
                continue;
            };
            let plan = plan_for(row, recipe, pair.manifest())?;
            for (number, step) in plan.steps().iter().enumerate() {
                let is_guided = takes_two_passes(pair, step.model, step.guidance_scale)?;
                let passes = if is_guided { 2 } else { 1 };
                let most = together_of(cells.len(), samples, passes);
                let timestep = plan.timestep(number);
                let strengths = row.strengths(step.model, number as u32 + 1, timestep);
                let hashes = row.adapters.iter().map(|adapter| adapter.hash.clone());
                let act = strengths.iter().map(|&strength| strength != 0.0);
                let adapters: Vec<_> = hashes.zip(act).collect();
                // What is left of an odd number of cells goes alone.
                let alone = (most > 1 && cells.len() % 2 == 1).then_some(1);
                for together in alone.into_iter().chain([most]) {
                    let pass = Pass {
                        model: step.model,
                        is_guided,
                        are_several: together > 1,
                        adapters: adapters.clone(),
                    };
                    if !self.passes.contains(&pass) {
                        let call = ModelCall {
                            model: step.model,
                            timestep,
                            sample: vec![0.0; latent],
                            guidance_scale: step.guidance_scale,
                        };
                        let prompt = recipe.read_prompt(&row.prompt);
                        let launch = Launch {
                            calls: vec![call; together],
                            strengths: strengths.clone(),
                            prompt: pair.adapted(prompt, row, step.model),
                        };
                        steps.insert(pass, launch);
                    }
                }
            }
        }

        let shape = pair.latent_shape();
        if steps.is_empty() && self.decoded.contains(&shape) {
            return Ok(());
        }
        let launch_all = |launches: &mut (dyn FnMut() -> Result<(), EngineError> + Send)| {
            let _kept = begin();
            Rehearsal::new().launch(pair.device(), launches)
        };
        let is_any_guided = is_any_guided(recipe, &rows);
        // By the adapters that act on the text encoders.
        let mut told = BTreeMap::new();
        for (pass, step) in steps {
            let acting = step.prompt.acting();
            if !told.contains_key(&acting) {
                let (mut positive, mut negative) = (None, None);
                launch_all(&mut || {
                    let prompt = &step.prompt;
                    positive = Some(pair.encode_prompt(prompt)?);
                    if is_any_guided {
                        let text = prompt.with_text(recipe, &recipe.negative_prompt);
                        let conditioning = pair.encode_negative_prompt(&text)?;
                        negative = Some(Negative::of(pair, recipe, prompt, conditioning)?);
                    }
                    Ok(())
                })?;
                let Some(positive) = positive else { continue };
                told.insert(acting.clone(), (positive, negative));
            }
            let Some((positive, negative)) = told.get(&acting) else {
                continue;
            };
            if !pause().await {
                return Ok(());
            }
            launch_all(&mut || {
                let negative = negative.as_ref();
                let prompt = Prompt { positive, negative };
                let mut prepared = PreparedPrompt::default();
                launch(pair, &step.calls, &step.strengths, &mut prepared, &prompt).map(drop)
            })?;
            self.passes.insert(pass);
        }
        if !self.decoded.contains(&shape) {
            let latents = || latents(pair, vec![0.0; latent]);
            for decode in [Pair::decode_small, Pair::decode] {
                if !pause().await {
                    return Ok(());
                }
                launch_all(&mut || {
                    drop(decode(pair, latents()));
                    Ok(())
                })?;
            }
            self.decoded.insert(shape);
        }
        // What was allocated for it.
        pair.device().memory_cleanup();
        Ok(())
    }
}
