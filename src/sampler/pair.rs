//! The schedulers of two models that draw together.

use serde_json::Value;

use super::scheduler::{Scheduler, SchedulerConfig, SchedulerError, Timesteps};

/// The schedulers that a pair brings for its models.
#[derive(Clone, Debug, PartialEq)]
pub struct PairSchedulers {
    /// Of the base model.
    pub base: SchedulerConfig,
    /// Of the distilled model.
    pub distilled: SchedulerConfig,
}

impl PairSchedulers {
    /// Reads both models' `scheduler_config.json`. A distilled model that is an adapter on the base takes
    /// over what the base's weights know of the noise, and what their output means.
    ///
    /// # Errors
    /// As [`SchedulerConfig::from_json`].
    pub fn from_json(
        base: &Value,
        distilled: &Value,
        distilled_is_adapter: bool,
    ) -> Result<PairSchedulers, SchedulerError> {
        let base = SchedulerConfig::from_json(base)?;
        let distilled = SchedulerConfig::from_json(distilled)?;
        let distilled = if distilled_is_adapter {
            distilled.for_model_of(&base)
        } else {
            distilled
        };
        Ok(PairSchedulers { base, distilled })
    }

    /// Checks that both can take the steps that the pair begins with; `distilled_timesteps` are the
    /// distilled model's own, if it has any.
    ///
    /// # Errors
    /// As [`Scheduler::new`].
    pub fn check(
        &self,
        base_steps: u32,
        distilled_steps: u32,
        distilled_timesteps: &[u32],
    ) -> Result<(), SchedulerError> {
        Scheduler::new(&self.base, &Timesteps::Steps(base_steps))?;
        let timesteps = Timesteps::of_distilled(distilled_timesteps, distilled_steps);
        Scheduler::new(&self.distilled, &timesteps)?;
        Ok(())
    }

    /// Sentences for whoever draws with the pair: which of its models is not sampled with the scheduler
    /// that it names.
    pub fn notices(&self) -> Vec<String> {
        let notices = [
            self.base.notice("The base model"),
            self.distilled.notice("The distilled model"),
        ];
        notices.into_iter().flatten().collect()
    }
}
