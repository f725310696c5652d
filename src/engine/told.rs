//! What the models are told: the prompts of a grid as the text encoders read them, once each.

use std::collections::{HashMap, hash_map::Entry};

use super::error::EngineError;
use super::host::Host;
use super::pair::Pair;
use super::pass::{Negative, Prompt, read};
use super::prompt::AdaptedPrompt;
use crate::models::Conditioning;
use crate::protocol::stats::Phase;
use crate::recipe::{Mode, Recipe, Row};
use crate::sampler::ModelRole;

/// What the text encoders have made of the prompts of a grid, by the strengths of the adapters on them.
#[derive(Default)]
pub struct Told {
    positive: HashMap<AdaptedPrompt, Conditioning>,
    negative: HashMap<Vec<u32>, Negative>,
}

impl Told {
    /// Encodes what the models are told in a row, unless another row was told the same.
    /// # Errors
    /// The recipe doesn't fit the pair, or the device fails.
    pub async fn encode(
        &mut self,
        pair: &Pair,
        recipe: &Recipe,
        row: &Row,
        is_guided: bool,
        host: &mut impl Host,
    ) -> Result<(), EngineError> {
        for role in roles_of(row.mode) {
            let prompt = pair.adapted(recipe.read_prompt(&row.prompt), row, role);
            let strengths = prompt.strengths.clone();
            if let Entry::Vacant(entry) = self.positive.entry(prompt.clone()) {
                entry.insert(encode(pair, host, |pair| pair.encode_prompt(&prompt)).await?);
            }
            if is_guided && let Entry::Vacant(entry) = self.negative.entry(strengths) {
                let negative = prompt.with_text(recipe, &recipe.negative_prompt);
                let encoding = |pair: &Pair| pair.encode_negative_prompt(&negative);
                let conditioning = encode(pair, host, encoding).await?;
                entry.insert(Negative::of(pair, recipe, &prompt, conditioning)?);
            }
        }
        Ok(())
    }

    /// What tells rows apart that are told something else.
    pub fn key(pair: &Pair, recipe: &Recipe, row: &Row) -> Vec<AdaptedPrompt> {
        let prompt = recipe.read_prompt(&row.prompt);
        let roles = [ModelRole::Base, ModelRole::Distilled];
        roles
            .map(|role| pair.adapted(prompt.clone(), row, role))
            .into()
    }

    /// What a model is told in a row.
    /// # Errors
    /// The row was not encoded.
    pub fn of(
        &self,
        pair: &Pair,
        recipe: &Recipe,
        row: &Row,
        role: ModelRole,
    ) -> Result<Prompt<'_>, EngineError> {
        let prompt = pair.adapted(recipe.read_prompt(&row.prompt), row, role);
        Ok(Prompt {
            positive: self.positive.get(&prompt).ok_or(EngineError::NotLoaded)?,
            negative: self.negative.get(&prompt.strengths),
        })
    }
}

/// The models that take steps in a mode.
fn roles_of(mode: Mode) -> impl Iterator<Item = ModelRole> {
    let base = mode.needs_base().then_some(ModelRole::Base);
    let distilled = mode.needs_distilled().then_some(ModelRole::Distilled);
    base.into_iter().chain(distilled)
}

/// Encodes a prompt as `encoding` does.
async fn encode(
    pair: &Pair,
    host: &mut impl Host,
    encoding: impl FnOnce(&Pair) -> Result<Conditioning, EngineError>,
) -> Result<Conditioning, EngineError> {
    let start = host.milliseconds();
    let conditioning = encoding(pair)?;
    if host.measures() {
        // The device works through what it is given in order: what is read is the last of it.
        read(conditioning.pooled.clone()).await?;
        host.took(Phase::TextEncoding, host.milliseconds() - start);
    }
    Ok(conditioning)
}
