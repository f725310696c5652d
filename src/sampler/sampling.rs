//! One image on its way through a plan.

use std::sync::Arc;

use super::noise::TorchGenerator;
use super::plan::{ModelRole, Plan, relative_change};
use super::scheduler::Memory;

/// The state of one image between two model passes: a latent, its position in the plan, what the
/// scheduler remembers, and the generator that its noise comes from.
///
/// A step is a step of its scheduler. Heun's takes two model passes; its Diffusion Target is that of the
/// first, which is made of the latent before the step. A scheduler that remembers earlier steps starts
/// afresh where another scheduler or another model takes over, as a new scheduler of diffusers does.
///
/// A clone is a snapshot: it goes on, or forks, from where it was taken, with the same noise.
#[derive(Clone, Debug)]
pub struct Sampling {
    plan: Arc<Plan>,
    position: usize,
    latent: Vec<f32>,
    memory: Memory,
    generator: TorchGenerator,
    leaving: Leaving,
}

/// Whether an image goes on by another plan than it began with.
#[derive(Clone, Debug)]
enum Leaving {
    /// Its plan has no exits.
    Never,
    /// It may yet; with the Diffusion Target of its last step.
    Undecided(Option<Vec<f32>>),
    /// It has, by the exit of this number.
    By(usize),
}

impl Leaving {
    fn of(plan: &Plan) -> Leaving {
        if plan.has_exits() {
            Leaving::Undecided(None)
        } else {
            Leaving::Never
        }
    }
}

/// A model pass that a sampling waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCall {
    /// The model to run.
    pub model: ModelRole,
    /// The timestep to condition it on.
    pub timestep: f32,
    /// The model's input: the latent, scaled as the scheduler wants it.
    pub sample: Vec<f32>,
    /// The guidance scale: where [`super::is_guided`] holds, a second pass without the prompt is
    /// needed, and [`super::combine`] makes one output of the two.
    pub guidance_scale: f32,
}

/// What a step brought.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutcome {
    /// The noisy latent as the model was given it, at the step's timestep.
    pub sample: Vec<f32>,
    /// The original sample that the model aims at: the Diffusion Target, as a latent.
    pub predicted_original: Vec<f32>,
    /// The timestep that the model was given.
    pub timestep: f32,
    /// The model that took the step.
    pub model: ModelRole,
    /// Steps done, from 1.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
}

impl Sampling {
    /// An image before its first step: noise of `torch.manual_seed(seed)` times the first
    /// scheduler's `init_noise_sigma`. Step noise continues the same generator, as in diffusers'
    /// pipelines.
    ///
    /// `len` is the number of elements of the latent, `channels * height * width`.
    pub fn new(plan: Arc<Plan>, len: usize, seed: u64) -> Sampling {
        let mut generator = TorchGenerator::new(seed);
        let sigma = plan.scheduler(&plan.steps()[0]).init_noise_sigma();
        let latent = generator
            .randn(len)
            .into_iter()
            .map(|value| value * sigma)
            .collect();
        Sampling {
            leaving: Leaving::of(&plan),
            plan,
            position: 0,
            latent,
            memory: Memory::default(),
            generator,
        }
    }

    /// An image after its first `position` steps, of which only [`Sampling::state`] was kept: the
    /// generator draws again what those steps have drawn. `len` and `seed` are those of
    /// [`Sampling::new`]. None where the plan has fewer steps or the state another length.
    pub fn resume(
        plan: Arc<Plan>,
        len: usize,
        seed: u64,
        position: usize,
        mut state: Vec<f32>,
    ) -> Option<Sampling> {
        let (plan, leaving) = take_leaving(plan, len, position, &mut state)?;
        let done = plan.steps().get(..position)?;
        if state.len() != len.checked_mul(1 + plan.remembers_at(position))? {
            return None;
        }
        let memory = Memory::from_values(&state[len..], len);
        state.truncate(len);
        let noisy = done
            .iter()
            .filter(|step| plan.scheduler(step).needs_noise(step.index))
            .count();
        let mut generator = TorchGenerator::new(seed);
        // The noise that the image started from, and each step's.
        for _ in 0..=noisy {
            generator.randn(len);
        }
        Some(Sampling {
            plan,
            position,
            latent: state,
            memory,
            generator,
            leaving,
        })
    }

    /// What it takes to resume the image after its last step: the latent, and behind it what the
    /// scheduler remembers. Of a plan with exits also the last target, as long as none was taken, and the
    /// number of the exit, from 1, or 0.
    pub fn state(&self) -> Vec<f32> {
        let latent = self.latent.iter().copied();
        let mut state: Vec<f32> = latent.chain(self.memory.values()).collect();
        match &self.leaving {
            Leaving::Never => {}
            Leaving::Undecided(target) => {
                state.extend(target.iter().flatten());
                state.push(0.0);
            }
            Leaving::By(exit) => state.push((exit + 1) as f32),
        }
        state
    }

    /// The model pass that the image needs next; none once it is done.
    pub fn next(&self) -> Option<ModelCall> {
        let step = self.plan.steps().get(self.position)?;
        let scheduler = self.plan.scheduler(step);
        let evaluation = scheduler.evaluation(step.index, &self.latent, &self.memory);
        Some(ModelCall {
            model: step.model,
            timestep: evaluation.timestep,
            sample: evaluation.sample,
            guidance_scale: step.guidance_scale,
        })
    }

    /// Takes the step, with the model's output after guidance, in the latent's shape; none where the
    /// step needs another model pass first.
    ///
    /// # Panics
    /// If the image is done: [`Sampling::next`] tells.
    pub fn advance(&mut self, model_output: &[f32]) -> Option<StepOutcome> {
        let plan = self.plan.clone();
        let step = plan.steps()[self.position];
        let scheduler = plan.scheduler(&step);
        let output = scheduler.step(
            step.index,
            model_output,
            &self.latent,
            &mut self.memory,
            &mut self.generator,
        )?;
        let given = scheduler.evaluation(step.index, &self.latent, &Memory::default());
        self.leave_if_settled(&output.predicted_original);
        self.latent = self.plan.hand_over(self.position, output.previous_sample);
        self.position += 1;
        if self.plan.starts_at(self.position) {
            self.memory = Memory::default();
        }
        Some(StepOutcome {
            sample: given.sample,
            predicted_original: output.predicted_original,
            timestep: given.timestep,
            model: step.model,
            step: self.position,
            steps: self.plan.steps().len(),
        })
    }

    /// Goes on by another plan, if the step that is being taken ends at an exit and has hardly changed
    /// the target.
    fn leave_if_settled(&mut self, target: &[f32]) {
        let Leaving::Undecided(before) = &mut self.leaving else {
            return;
        };
        let change = before.replace(target.to_vec());
        let change = change.map(|before| relative_change(&before, target));
        let exit = change.and_then(|change| self.plan.exit_at(self.position + 1, change));
        if let Some(exit) = exit
            && let Some(plan) = self.plan.behind(exit)
        {
            self.plan = plan;
            self.leaving = Leaving::By(exit);
        }
    }

    /// Whether no step is left.
    pub fn is_done(&self) -> bool {
        self.position >= self.plan.steps().len()
    }

    /// The latent as the next step's scheduler keeps it; the result once the image is done.
    pub fn latent(&self) -> &[f32] {
        &self.latent
    }

    /// Steps of the plan, done or not.
    pub fn steps(&self) -> usize {
        self.plan.steps().len()
    }

    /// Steps done.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Steps done, whether the next has taken the first of two model passes, and by which exit the image
    /// has left the plan. Images of one plan that are equally far need the same pass.
    pub fn progress(&self) -> (usize, bool, Option<usize>) {
        let exit = match self.leaving {
            Leaving::By(exit) => Some(exit),
            Leaving::Never | Leaving::Undecided(_) => None,
        };
        (self.position, self.memory.is_within_step(), exit)
    }
}

/// The plan by which an image goes on, taken off the end of its state.
fn take_leaving(
    plan: Arc<Plan>,
    len: usize,
    position: usize,
    state: &mut Vec<f32>,
) -> Option<(Arc<Plan>, Leaving)> {
    if !plan.has_exits() {
        return Some((plan, Leaving::Never));
    }
    let exit = state.pop()?;
    if exit > 0.0 {
        let exit = exit as usize - 1;
        return Some((plan.behind(exit)?, Leaving::By(exit)));
    }
    let start = state.len().checked_sub(len);
    let target = (position > 0).then(|| Some(state.split_off(start?)));
    let target = match target {
        Some(target) => Some(target?),
        None => None,
    };
    Some((plan, Leaving::Undecided(target)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sampler::{Scheduler, SchedulerConfig, Timesteps};

    fn scheduler(steps: u32) -> Scheduler {
        let config = json!({
            "_class_name": "DDIMScheduler",
            "num_train_timesteps": 1000,
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "prediction_type": "epsilon",
            "steps_offset": 1,
            "clip_sample": false,
            "set_alpha_to_one": false,
            "timestep_spacing": "trailing",
        });
        let config = SchedulerConfig::from_json(&config).expect("a config");
        Scheduler::new(&config, &Timesteps::Steps(steps)).expect("a scheduler")
    }

    fn number(case: &Value, name: &str) -> f64 {
        case[name].as_f64().expect(name)
    }

    /// The plan of a case of adaptive.json.
    fn plan(case: &Value) -> Arc<Plan> {
        let own = number(case, "base_steps") as u32;
        let base = (own > 0).then(|| scheduler(own));
        let largest_k = number(case, "largest_k") as usize;
        let threshold = number(case, "threshold") as f32;
        let plan = Plan::adaptive(base.as_ref(), &scheduler(6), largest_k, threshold, 0.0, 0.0);
        Arc::new(plan.expect("a plan"))
    }

    /// Takes the steps that are left, with models that return a part of the sample.
    fn finish(
        sampling: &mut Sampling,
        case: &Value,
        after_step: &mut dyn FnMut(&Sampling),
    ) -> usize {
        let mut of_base = 0;
        while let Some(call) = sampling.next() {
            let is_base = call.model == ModelRole::Base;
            of_base += usize::from(is_base);
            let factor = case["factors"][usize::from(!is_base)]
                .as_f64()
                .expect("a factor") as f32;
            let output: Vec<f32> = call.sample.iter().map(|it| it * factor).collect();
            let outcome = sampling.advance(&output).expect("a step of one pass");
            assert!(outcome.step <= outcome.steps);
            after_step(sampling);
        }
        of_base
    }

    #[test]
    fn the_adaptive_switch_is_diffusers_steps_up_to_where_the_target_has_settled() {
        let reference = include_str!("../../tests/parity/values/adaptive.json");
        let cases: Vec<Value> = serde_json::from_str(reference).expect("JSON");
        for case in &cases {
            let latent: Vec<f64> = case["latent"]
                .as_array()
                .expect("a latent")
                .iter()
                .map(|it| it.as_f64().expect("a number"))
                .collect();
            let plan = plan(case);
            let mut sampling = Sampling::new(plan.clone(), latent.len(), 7);
            let mut states = Vec::new();
            let taken = finish(&mut sampling, case, &mut |it| {
                states.push((it.position(), it.state()));
            });
            let expected = number(case, "base_taken") as usize;
            assert_eq!(taken, expected, "{}", case["threshold"]);
            for (ours, theirs) in sampling.latent().iter().zip(&latent) {
                assert!(
                    (f64::from(*ours) - theirs).abs() < 1e-4,
                    "{ours}, not {theirs}"
                );
            }
            assert!(sampling.is_done() && sampling.position() == sampling.steps());
            // Whoever knows the state after any step goes on the same way.
            for (position, state) in states {
                let resumed = Sampling::resume(plan.clone(), latent.len(), 7, position, state);
                let mut resumed = resumed.expect("the state fits");
                finish(&mut resumed, case, &mut |_| {});
                assert_eq!(resumed.latent(), sampling.latent(), "from {position}");
            }
            let short = vec![0.0; latent.len() - 1];
            assert!(Sampling::resume(plan, latent.len(), 7, 1, short).is_none());
        }
    }
}
