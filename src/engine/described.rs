//! The facts about a pair that the page shows, of its manifest alone.

use super::error::EngineError;
use super::plan::schedulers_of;
use crate::models::UNet2DConditionConfig;
use crate::protocol::engine::{AdapterChoice, OwnScheduler, PairChoice, PairInfo};
use crate::recipe::size::ImageSizes;
use crate::recipe::{Mode, Recipe};
use crate::sampler::{SchedulerChoice, SchedulerConfig};
use crate::weights::manifest::Manifest;

fn own_scheduler(config: &SchedulerConfig) -> OwnScheduler {
    OwnScheduler {
        choice: SchedulerChoice::of(config),
        label: config.label(),
    }
}

/// The sizes of pictures that a pair draws.
pub fn image_sizes(manifest: &Manifest) -> ImageSizes {
    ImageSizes {
        own: manifest.image_size.into(),
        sides: manifest.image_sides(),
    }
}

/// The facts about a pair that the page shows, and the recipe that it starts with.
///
/// # Errors
/// One of the schedulers' configs, or the distilled UNet's, has an option that isn't supported.
pub fn describe(manifest: &Manifest) -> Result<PairInfo, EngineError> {
    let defaults = &manifest.defaults;
    let own = schedulers_of(manifest)?;
    let distilled_unet =
        UNet2DConditionConfig::from_json(&manifest.components.unet_distilled.config)?;
    Ok(PairInfo {
        name: manifest.name.clone(),
        description: manifest.description.clone(),
        licence: manifest.licence.name.clone(),
        attribution: manifest.attribution.clone(),
        sizes: image_sizes(manifest),
        example_prompts: defaults.example_prompts.clone(),
        vocabulary: manifest.vocabulary.clone(),
        recipe: Recipe {
            prompt: defaults.prompt.clone(),
            seed: defaults.seed,
            seed_count: defaults.seed_count,
            modes: first_modes(&defaults.modes),
            k: defaults.k,
            hybrid_base_guidance: defaults.hybrid_base_guidance,
            hybrid_base_steps: defaults.hybrid_base_steps,
            base_steps: defaults.base_steps,
            base_guidance: defaults.base_guidance,
            distilled_steps: defaults.distilled_steps,
            distilled_guidance: defaults.distilled_guidance,
            ..Recipe::default()
        },
        base_scheduler: own_scheduler(&own.base),
        distilled_scheduler: own_scheduler(&own.distilled),
        scheduler_notices: own.notices(),
        embeds_distilled_guidance: distilled_unet.time_cond_proj_dim.is_some(),
        adapters: manifest
            .adapters
            .iter()
            .map(|adapter| AdapterChoice {
                path: adapter.path.clone(),
                title: adapter.title.clone(),
                description: adapter.description.clone(),
                prompt: adapter.prompt.clone(),
                strength: adapter.strength,
            })
            .collect(),
        family: manifest
            .family
            .iter()
            .map(|member| PairChoice {
                name: member.name.clone(),
                manifest: member.manifest.clone(),
            })
            .collect(),
    })
}

/// The rows that the page starts with, by their keys in a manifest: the known ones, in the grid's order.
fn first_modes(keys: &[String]) -> Vec<Mode> {
    let named = |mode: &Mode| keys.iter().any(|key| key == mode.key());
    let modes: Vec<Mode> = Mode::ALL.into_iter().filter(named).collect();
    if modes.is_empty() {
        vec![Mode::Distilled, Mode::Hybrid, Mode::SkipFirstStep]
    } else {
        modes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_may_name_the_rows_to_begin_with() {
        let named =
            |keys: &[&str]| first_modes(&keys.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(
            named(&["hybrid", "base", "a later one"]),
            [Mode::Base, Mode::Hybrid]
        );
        assert_eq!(named(&["a later one"]), named(&[]));
        assert!(!named(&[]).contains(&Mode::Base));
    }
}
