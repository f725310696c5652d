//! Which model takes which step of an image.
//!
//! A run is nothing but a list of steps; base, distilled, hybrid and skip-first-step are ways to
//! make that list, and nothing that runs it knows their names.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::scheduler::{LatentScale, Scheduler};

/// The two models of a pair.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelRole {
    /// The model that the other one was distilled from: diverse, and slow.
    Base,
    /// The few-step model.
    Distilled,
}

/// One step of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlanStep {
    /// The model that takes it.
    pub model: ModelRole,
    /// The scheduler that takes it: a position in the plan's list.
    pub schedule: usize,
    /// The position in that scheduler's timesteps.
    pub index: usize,
    /// The guidance scale; see [`super::is_guided`].
    pub guidance_scale: f32,
}

/// The steps of an image and the schedulers that they refer to.
#[derive(Clone, Debug)]
pub struct Plan {
    schedulers: Vec<Scheduler>,
    steps: Vec<PlanStep>,
    exits: Vec<Exit>,
    threshold: f32,
}

/// A place at which an image may go on by another plan, if what it aims at has settled there.
#[derive(Clone, Debug)]
struct Exit {
    /// Steps that are done there: the other plan has the same ones.
    position: usize,
    plan: Arc<Plan>,
}

impl Plan {
    /// The base model takes every step.
    pub fn base(scheduler: Scheduler, guidance_scale: f32) -> Plan {
        let mut plan = Plan::empty(vec![scheduler]);
        plan.push(ModelRole::Base, 0, 0, None, guidance_scale);
        plan
    }

    /// The distilled model takes every step.
    pub fn distilled(scheduler: Scheduler, guidance_scale: f32) -> Plan {
        let mut plan = Plan::empty(vec![scheduler]);
        plan.push(ModelRole::Distilled, 0, 0, None, guidance_scale);
        plan
    }

    /// The distilled model starts at its second step, on fresh noise as if it were the first.
    ///
    /// # Errors
    /// A distilled model of one step, which leaves nothing to do.
    pub fn skip_first_step(distilled: Scheduler, guidance_scale: f32) -> Result<Plan, PlanError> {
        let steps = distilled.timesteps().len();
        if steps < 2 {
            return Err(PlanError::NothingLeft { steps });
        }
        let mut plan = Plan::empty(vec![distilled]);
        plan.push(ModelRole::Distilled, 0, 1, None, guidance_scale);
        Ok(plan)
    }

    /// Diversity distillation: the base model takes the place of the first `k` steps of the
    /// distilled one, which takes the rest.
    ///
    /// With a scheduler of its own the base model runs from its first step up to, and not
    /// including, the one whose timestep is nearest to that of the distilled model's step `k` (the
    /// earlier of two that are equally near); where the two models' timesteps aren't equally noisy, the
    /// one whose noise level is nearest, in logarithms. Without one it follows the distilled model's
    /// scheduler. If `k` is all of the distilled model's steps, the base model takes all of its own.
    ///
    /// # Errors
    /// A `k` that is 0 or more than the distilled model's steps, and a base scheduler that has so
    /// few steps that none would be left for the base model.
    pub fn hybrid(
        base: Option<Scheduler>,
        distilled: Scheduler,
        k: usize,
        base_guidance: f32,
        distilled_guidance: f32,
    ) -> Result<Plan, PlanError> {
        let steps = distilled.timesteps().len();
        if k == 0 || k > steps {
            return Err(PlanError::KOutOfBounds { k, steps });
        }
        let (schedulers, base_end) = match base {
            Some(base) => {
                let base_end = if k == steps {
                    base.timesteps().len()
                } else if base.shares_timesteps_with(&distilled) {
                    nearest(base.timesteps(), distilled.timesteps()[k])
                } else {
                    // The same timestep is another noise level for each of them.
                    let level = |scheduler: &Scheduler, index| scheduler.noise_level(index).log();
                    let levels: Vec<f32> = (0..base.timesteps().len())
                        .map(|index| level(&base, index))
                        .collect();
                    nearest(&levels, level(&distilled, k))
                };
                if base_end == 0 {
                    return Err(PlanError::NoBaseStep {
                        base_steps: base.timesteps().len(),
                    });
                }
                (vec![base, distilled], base_end)
            }
            None => (vec![distilled], k),
        };
        let distilled_schedule = schedulers.len() - 1;
        let mut plan = Plan::empty(schedulers);
        plan.push(ModelRole::Base, 0, 0, Some(base_end), base_guidance);
        plan.push(
            ModelRole::Distilled,
            distilled_schedule,
            k,
            None,
            distilled_guidance,
        );
        Ok(plan)
    }

    /// Adaptive diversity distillation: as [`Plan::hybrid`] with the largest k, but an image leaves the
    /// base model at an earlier hand-over, that of a smaller k, once its Diffusion Target has settled: once
    /// the last base step has changed it by less than `threshold`, as [`relative_change`] has it. Nothing
    /// is known of the change of a first step, so the base model takes two at least, unless that is more
    /// than the largest k allows.
    ///
    /// # Errors
    /// As [`Plan::hybrid`] with the largest k.
    pub fn adaptive(
        base: Option<&Scheduler>,
        distilled: &Scheduler,
        largest_k: usize,
        threshold: f32,
        base_guidance: f32,
        distilled_guidance: f32,
    ) -> Result<Plan, PlanError> {
        let hybrid = |k| {
            let (base, distilled) = (base.cloned(), distilled.clone());
            Plan::hybrid(base, distilled, k, base_guidance, distilled_guidance)
        };
        let mut plan = hybrid(largest_k)?;
        plan.threshold = threshold;
        for k in 1..largest_k {
            // Where the base model has too few steps for a hand-over, there is none.
            let Ok(earlier) = hybrid(k) else { continue };
            let position = earlier.base_steps();
            let last = plan.exits.last().map_or(0, |exit| exit.position);
            if position > last && position < plan.base_steps() {
                let plan_after = Arc::new(earlier);
                plan.exits.push(Exit {
                    position,
                    plan: plan_after,
                });
            }
        }
        Ok(plan)
    }

    fn base_steps(&self) -> usize {
        let is_base = |step: &&PlanStep| step.model == ModelRole::Base;
        self.steps.iter().take_while(is_base).count()
    }

    /// Whether images may go on by other plans.
    pub(super) fn has_exits(&self) -> bool {
        !self.exits.is_empty()
    }

    /// The number of the exit that an image takes after so many steps, if the last one has changed its
    /// target by this.
    pub(super) fn exit_at(&self, position: usize, change: f32) -> Option<usize> {
        let exit = self.exits.iter().position(|exit| exit.position == position);
        exit.filter(|_| change < self.threshold)
    }

    /// The plan behind an exit.
    pub(super) fn behind(&self, exit: usize) -> Option<Arc<Plan>> {
        self.exits.get(exit).map(|exit| exit.plan.clone())
    }

    /// The steps in their order; at least one.
    pub fn steps(&self) -> &[PlanStep] {
        &self.steps
    }

    /// The scheduler of a step.
    ///
    /// # Panics
    /// If the step is not one of this plan.
    pub fn scheduler(&self, step: &PlanStep) -> &Scheduler {
        &self.schedulers[step.schedule]
    }

    /// The timestep that the model is given at the start of a step, counted from 0.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn timestep(&self, step_number: usize) -> f32 {
        let step = &self.steps[step_number];
        self.scheduler(step).timesteps()[step.index]
    }

    /// Whether a scheduler or a model takes its first step at `step_number`, so that nothing is
    /// remembered of the steps before; true also after the last one.
    pub(super) fn starts_at(&self, step_number: usize) -> bool {
        let by = |number: usize| {
            let step = self.steps.get(number)?;
            Some((step.schedule, step.model))
        };
        match step_number.checked_sub(1) {
            Some(before) => by(before) != by(step_number),
            None => true,
        }
    }

    /// How many arrays of the latent's length are remembered before step `step_number`.
    pub(super) fn remembers_at(&self, step_number: usize) -> usize {
        if self.starts_at(step_number) {
            return 0;
        }
        let start = (0..step_number)
            .rev()
            .find(|number| self.starts_at(*number))
            .unwrap_or(0);
        self.steps.get(step_number).map_or(0, |step| {
            self.scheduler(step).remembers_after(step_number - start)
        })
    }

    /// A latent after step `step_number`, in the scale that the next step's scheduler keeps.
    ///
    /// Nothing changes within one scheduler, nor between two that keep the same scale: those hand
    /// over as the paper's code does. Between a variance-preserving latent and a
    /// variance-exploding one (`exploding = preserving / sqrt(alpha_bar)`) the level is that of the
    /// Euler side, so what crosses over is exactly the model's input: the sending model would be
    /// given it next, and the receiving one is.
    pub(super) fn hand_over(&self, step_number: usize, latent: Vec<f32>) -> Vec<f32> {
        let Some(next) = self.steps.get(step_number + 1) else {
            return latent;
        };
        let step = &self.steps[step_number];
        if step.schedule == next.schedule {
            return latent;
        }
        let sent = self.scheduler(step).noise_level(step.index + 1);
        let received = self.scheduler(next).noise_level(next.index);
        let factor = match (sent.scale, received.scale) {
            (LatentScale::VariancePreserving, LatentScale::VarianceExploding) => {
                1.0 / received.sqrt_alpha_bar
            }
            (LatentScale::VarianceExploding, LatentScale::VariancePreserving) => {
                sent.sqrt_alpha_bar
            }
            (LatentScale::VariancePreserving, LatentScale::VariancePreserving)
            | (LatentScale::VarianceExploding, LatentScale::VarianceExploding) => return latent,
        };
        latent.into_iter().map(|value| value * factor).collect()
    }

    fn empty(schedulers: Vec<Scheduler>) -> Plan {
        Plan {
            schedulers,
            steps: Vec::new(),
            exits: Vec::new(),
            threshold: 0.0,
        }
    }

    /// Appends a scheduler's steps from `start` up to, and not including, `end` (none: its last).
    fn push(
        &mut self,
        model: ModelRole,
        schedule: usize,
        start: usize,
        end: Option<usize>,
        guidance_scale: f32,
    ) {
        let end = end.unwrap_or(self.schedulers[schedule].timesteps().len());
        self.steps.extend((start..end).map(|index| PlanStep {
            model,
            schedule,
            index,
            guidance_scale,
        }));
    }
}

/// By how much of its length a Diffusion Target has changed: |x̃₀ − x̃₀′| / |x̃₀| with x̃₀′ of the step
/// before.
pub fn relative_change(before: &[f32], target: &[f32]) -> f32 {
    let length = |values: &mut dyn Iterator<Item = f32>| -> f64 {
        values
            .map(|it| f64::from(it) * f64::from(it))
            .sum::<f64>()
            .sqrt()
    };
    let apart = length(&mut target.iter().zip(before).map(|(a, b)| a - b));
    (apart / length(&mut target.iter().copied())) as f32
}

/// The position of the value nearest to `target`, the first of equally near ones.
fn nearest(values: &[f32], target: f32) -> usize {
    let distance = |index: usize| (values[index] - target).abs();
    (0..values.len()).fold(0, |best, index| {
        if distance(index) < distance(best) {
            index
        } else {
            best
        }
    })
}

/// Why there is no such plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The base model can't replace so many steps.
    #[error(
        "k is {k}: the base model can replace from 1 to {steps} of the distilled model's steps."
    )]
    KOutOfBounds {
        /// The number that was asked for.
        k: usize,
        /// The distilled model's steps.
        steps: usize,
    },
    /// The base scheduler's first timestep is already the nearest to where it has to stop.
    #[error(
        "With {base_steps} base steps in all, none comes before the point where the distilled \
         model takes over: raise the number of base steps or k."
    )]
    NoBaseStep {
        /// Steps of the base scheduler.
        base_steps: usize,
    },
    /// Nothing is left after the first step.
    #[error(
        "Skip-first-step leaves out the first of the distilled model's steps, so it needs at \
         least 2; there is {steps}."
    )]
    NothingLeft {
        /// The distilled model's steps.
        steps: usize,
    },
}
