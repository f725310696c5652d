//! The plan of an image's steps, from the recipe's choices and the pair's own schedulers.

use super::error::EngineError;
use crate::recipe::{Mode, Recipe, Row};
use crate::sampler::{PairSchedulers, Plan, Scheduler, SchedulerError, Timesteps};
use crate::weights::manifest::Manifest;

/// The schedulers that a pair brings for its models.
///
/// # Errors
/// One of the manifest's configs has an option that isn't supported.
pub fn schedulers_of(manifest: &Manifest) -> Result<PairSchedulers, SchedulerError> {
    let is_adapter = manifest.components.unet_distilled.adapter_on.is_some();
    let schedulers = &manifest.schedulers;
    PairSchedulers::from_json(&schedulers.base, &schedulers.distilled, is_adapter)
}

/// The plan of one row's steps: the recipe's choices, and the pair's defaults where it has none.
///
/// # Errors
/// A scheduler's config has an option that isn't supported, or k doesn't fit the steps.
pub fn plan_for(row: &Row, recipe: &Recipe, manifest: &Manifest) -> Result<Plan, EngineError> {
    let own = schedulers_of(manifest)?;
    let base_config = match recipe.base_scheduler {
        Some(choice) => choice.config(&own.base),
        None => own.base.clone(),
    };
    let base = |steps| Scheduler::new(&base_config, &Timesteps::Steps(steps));
    if row.mode == Mode::Base {
        return Ok(Plan::base(base(recipe.base_steps)?, recipe.base_guidance));
    }

    let distilled_config = match recipe.distilled_scheduler {
        Some(choice) => choice.config(&own.distilled),
        None => own.distilled.clone(),
    };
    let own_timesteps = &manifest.defaults.distilled_timesteps;
    // The timesteps that a model was distilled at belong to its own scheduler and step count.
    let is_own_class = distilled_config.class() == own.distilled.class();
    let spreads_otherwise =
        recipe.distilled_scheduler.is_some() && distilled_config.sigma_spacing().is_some();
    let timesteps = if is_own_class && !spreads_otherwise {
        Timesteps::of_distilled(own_timesteps, recipe.distilled_steps)
    } else {
        Timesteps::Steps(recipe.distilled_steps)
    };
    let distilled = Scheduler::new(&distilled_config, &timesteps)?;
    let guidance = recipe.distilled_guidance;
    Ok(match row.mode {
        Mode::Base | Mode::Distilled => Plan::distilled(distilled, guidance),
        Mode::SkipFirstStep => Plan::skip_first_step(distilled, guidance)?,
        Mode::Hybrid | Mode::Adaptive => {
            let base = match recipe.hybrid_base_steps {
                1 => {
                    // The base model's steps add no noise: in place of Turbo's ancestral scheduler it
                    // has plain Euler on the same timesteps, as in the paper's code.
                    let quiet = distilled_config.without_step_noise();
                    let is_same = quiet == distilled_config && quiet.is_for_model_of(&own.base);
                    let of_base = quiet.for_model_of(&own.base);
                    let of_base = (!is_same).then(|| Scheduler::new(&of_base, &timesteps));
                    of_base.transpose()?
                }
                replaced => Some(base(replaced * recipe.distilled_steps)?),
            };
            if row.mode == Mode::Adaptive {
                return Ok(Plan::adaptive(
                    base.as_ref(),
                    &distilled,
                    row.k as usize,
                    recipe.threshold(),
                    row.hybrid_base_guidance,
                    guidance,
                )?);
            }
            Plan::hybrid(
                base,
                distilled,
                row.k as usize,
                row.hybrid_base_guidance,
                guidance,
            )?
        }
    })
}
