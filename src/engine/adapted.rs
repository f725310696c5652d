//! A pair with the adapters of a recipe on its models.

use super::attached::{Attached, names_of};
use super::error::EngineError;
use super::pair::Pair;
use super::pair_files::PairFiles;
use super::prompt::{AdaptedPrompt, prompts_of};
use crate::adapters::LeftOut;
use crate::recipe::adapters::AdapterUse;
use crate::recipe::{Prompt, Recipe, Row};
use crate::sampler::ModelRole;

impl Pair {
    /// Has the models built with these adapters from now on: UNets that were built with other ones leave,
    /// and text encoders are read again where one of them has layers for these.
    ///
    /// # Errors
    /// The file of an adapter is not there, or doesn't fit a text encoder.
    pub async fn attach(
        &mut self,
        adapters: &[AdapterUse],
        files: &impl PairFiles,
    ) -> Result<(), EngineError> {
        if self.attached.are(adapters) {
            self.attached.adapters = adapters.to_vec();
            return Ok(());
        }
        let mut has_text = Vec::new();
        for adapter in adapters {
            let names = names_of(adapter, files).await?;
            let left_out = LeftOut::of(names.iter().map(String::as_str));
            has_text.push(left_out.text_encoder > 0);
        }
        self.drop_unet(ModelRole::Base);
        self.drop_unet(ModelRole::Distilled);
        let had_text = self.attached.has_text.contains(&true);
        let renews = had_text || self.attached.is_broken || has_text.contains(&true);
        self.attached = Attached {
            adapters: adapters.to_vec(),
            has_text,
            is_broken: renews,
            ..Attached::default()
        };
        if renews {
            self.renew_text_encoders(files).await?;
            self.attached.is_broken = false;
        }
        Ok(())
    }

    /// A text of a row for one of the UNets, as the attached adapters have the text encoders read it.
    pub fn adapted(&self, prompt: Prompt, row: &Row, role: ModelRole) -> AdaptedPrompt {
        AdaptedPrompt {
            prompt,
            strengths: self.attached.text_strengths(row, role),
        }
    }

    /// All that the text encoders are asked for in a recipe's grid: see [`prompts_of`], with each of the
    /// rows' strengths.
    pub fn adapted_prompts(&self, recipe: &Recipe) -> Vec<AdaptedPrompt> {
        let prompts = prompts_of(recipe);
        let mut adapted = Vec::new();
        for row in recipe.rows() {
            for role in [ModelRole::Base, ModelRole::Distilled] {
                for prompt in &prompts {
                    let one = self.adapted(prompt.clone(), &row, role);
                    if !adapted.contains(&one) {
                        adapted.push(one);
                    }
                }
            }
        }
        adapted
    }

    /// Sets how strongly the attached adapters act on a UNet from its next pass on, in their order.
    pub fn set_strengths(&self, role: ModelRole, strengths: &[f32]) {
        self.attached.strengths(role).set(strengths);
    }
}
