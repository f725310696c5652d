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
