//! What of another program's picture goes into the controls.

use super::PromptReading;
use super::bounds::{GUIDANCE_SCALE, MAXIMUM_PROMPT_CHARACTERS, STEPS};
use super::foreign::read_parameters::{ReadParameters, ReadSampler};
use super::prompt_syntax;
use super::size::{ImageSize, ImageSizes};
use crate::sampler::SchedulerChoice;

/// The most names without effect that are repeated to the visitor.
const MAXIMUM_NAMES: usize = 8;

/// What is taken over, each none where it is to stay as it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TakenOver {
    /// What to draw.
    pub prompt: Option<String>,
    /// What to keep away from; empty where a picture with a prompt has none.
    pub negative_prompt: Option<String>,
    /// How the program has read both.
    pub reading: Option<PromptReading>,
    /// The first column's seed.
    pub seed: Option<u32>,
    /// Steps of the base model: another program's picture is of one model.
    pub base_steps: Option<u32>,
    /// Guidance scale of the base model.
    pub base_guidance: Option<f32>,
    /// Scheduler of the base model.
    pub base_scheduler: Option<SchedulerChoice>,
    /// The size, where these models draw it: see [`TakenOver::where_drawn_are`].
    pub size: Option<ImageSize>,
    /// What was taken over and what was not, for the visitor.
    pub sentence: String,
}

impl TakenOver {
    /// What can be taken over of what a picture says.
    pub fn of(read: &ReadParameters) -> TakenOver {
        let mut words = Words::default();
        let prompt = words.text(&read.prompt, "prompt");
        let negative_prompt = words.text(&read.negative_prompt, "negative prompt");
        let has_prompt = !prompt.is_empty() || !negative_prompt.is_empty();
        if !has_prompt {
            words.missing.push("its prompt");
        }

        // torch's generator on the CPU takes no more of a seed.
        let seed = read.seed.map(|seed| seed as u32);
        match (read.seed, seed) {
            (Some(whole), Some(seed)) if whole == u64::from(seed) => {
                words.taken.push(format!("its seed {seed}"));
            }
            (Some(whole), Some(seed)) => words.taken.push(format!(
                "its seed {whole} as {seed}, the low 32 bits that torch's generator uses of it"
            )),
            _ => words.missing.push("its seed"),
        }
        let base_steps = read.steps.filter(|steps| STEPS.contain(steps));
        match (read.steps, base_steps) {
            (_, Some(steps)) => words
                .taken
                .push(format!("its {steps} steps for the base model")),
            (Some(steps), None) => words.left_out.push(format!(
                "its {steps} steps, since from {} to {} are drawn here",
                STEPS.minimum, STEPS.maximum
            )),
            (None, None) => words.missing.push("its steps"),
        }
        let base_guidance = read.guidance.filter(|scale| GUIDANCE_SCALE.contain(scale));
        match (read.guidance, base_guidance) {
            (_, Some(scale)) => words
                .taken
                .push(format!("its guidance {scale} for the base model")),
            (Some(scale), None) => words.left_out.push(format!(
                "its guidance {scale}, since it has to be from {} to {} here",
                GUIDANCE_SCALE.minimum, GUIDANCE_SCALE.maximum
            )),
            (None, None) => words.missing.push("its guidance"),
        }
        let base_scheduler = read.sampler.as_ref().and_then(ReadSampler::scheduler);
        match (&read.sampler, base_scheduler) {
            (Some(sampler), Some(scheduler)) => words.taken.push(format!(
                "its sampler {sampler} as the base model's scheduler {}",
                scheduler.label()
            )),
            (Some(sampler), None) => words
                .left_out
                .push(format!("its sampler {sampler}, which is not computed here")),
            // The visitor's own scheduler stays, as the sentence says of all other settings.
            (None, _) => {}
        }
        words.left_out.extend(read.left_out.iter().cloned());
        let both = [&prompt, &negative_prompt];
        let own_syntax = both
            .into_iter()
            .find_map(|prompt| read.program.own_syntax(prompt));
        words.left_out.extend(own_syntax.map(str::to_owned));

        let mut sentence = words.sentence(read.program.owner());
        if read.reading.weighted {
            sentence.push_str(&of_syntax(both));
        }
        TakenOver {
            reading: has_prompt.then_some(read.reading),
            prompt: has_prompt.then_some(prompt),
            negative_prompt: has_prompt.then_some(negative_prompt),
            seed,
            base_steps,
            base_guidance,
            base_scheduler,
            size: None,
            sentence,
        }
    }

    /// Takes the picture's size over too, where the pair draws it, and says so or why not.
    #[must_use]
    pub fn where_drawn_are(mut self, read: &ReadParameters, sizes: ImageSizes) -> TakenOver {
        let Some((width, height)) = read.size else {
            return self;
        };
        let size = ImageSize::new(width, height);
        let sentence = if sizes.drawn(Some(size)).is_ok() {
            self.size = Some(size);
            format!(" Its size {size} is taken over.")
        } else {
            format!(" Its size {size} is left out, since these models draw {sizes}.")
        };
        self.sentence.push_str(&sentence);
        self
    }
}

/// Parts of the sentence.
#[derive(Default)]
struct Words {
    taken: Vec<String>,
    left_out: Vec<String>,
    /// What the picture doesn't say.
    missing: Vec<&'static str>,
}

impl Words {
    /// As much of a prompt as can be taken.
    fn text(&mut self, text: &str, name: &str) -> String {
        let cut: String = text.chars().take(MAXIMUM_PROMPT_CHARACTERS).collect();
        if cut.len() < text.len() {
            self.taken.push(format!(
                "the first {MAXIMUM_PROMPT_CHARACTERS} characters of its {name}"
            ));
        } else if !text.is_empty() {
            self.taken.push(format!("its {name}"));
        }
        cut
    }

    fn sentence(&self, owner: &str) -> String {
        let mut sentence = if self.taken.is_empty() {
            format!("The picture is {owner}, and nothing of its settings could be taken over.")
        } else {
            format!(
                "The picture is {owner}. Taken over: {}; all other settings stay as they were.",
                self.taken.join(", ")
            )
        };
        if !self.left_out.is_empty() {
            sentence.push_str(&format!(" Left out: {}.", self.left_out.join("; ")));
        }
        if !self.taken.is_empty() && !self.missing.is_empty() {
            sentence.push_str(&format!(" It doesn't say {}.", self.missing.join(", ")));
        }
        sentence
    }
}

/// What weighted prompts mean here, as far as these have any of it.
fn of_syntax(prompts: [&String; 2]) -> String {
    let mut sentence = String::new();
    let has_weights = prompts.iter().any(|prompt| {
        let parts = prompt_syntax::weighted(prompt);
        let weights = parts.iter().flatten().any(|piece| piece.weight != 1.0);
        parts.len() > 1 || weights
    });
    if has_weights {
        sentence.push_str(" Brackets, numbers and BREAK in its prompts mean what they mean there.");
    }
    let names: Vec<&str> = prompts
        .into_iter()
        .flat_map(|prompt| {
            let names = prompt_syntax::names(prompt).into_iter();
            names.filter_map(|name| prompt.get(name.place))
        })
        .take(MAXIMUM_NAMES)
        .collect();
    if !names.is_empty() {
        sentence.push_str(&format!(
            " Without effect, since nothing is loaded by name here: {}.",
            names.join(", ")
        ));
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::foreign::read_parameters::Program;

    #[test]
    fn what_is_within_bounds_is_taken_over_and_said() {
        let read = ReadParameters {
            prompt: "a cat".into(),
            negative_prompt: "a dog".into(),
            seed: Some(7),
            steps: Some(20),
            guidance: Some(6.5),
            sampler: ReadSampler::of("DPM++ 2M", Some("Karras")),
            size: Some((512, 512)),
            ..ReadParameters::default()
        };
        let taken = TakenOver::of(&read);
        assert_eq!(
            taken,
            TakenOver {
                prompt: Some("a cat".into()),
                negative_prompt: Some("a dog".into()),
                reading: Some(PromptReading::default()),
                seed: Some(7),
                base_steps: Some(20),
                base_guidance: Some(6.5),
                base_scheduler: Some(SchedulerChoice::DpmSolverKarras),
                size: None,
                sentence: "The picture is another program's. Taken over: its prompt, its negative \
                           prompt, its seed 7, its 20 steps for the base model, its guidance 6.5 \
                           for the base model, its sampler DPM++ 2M (Karras) as the base model's \
                           scheduler DPM++ 2M Karras; all other settings stay as they were."
                    .into(),
            }
        );
        let mut sizes = ImageSizes {
            own: ImageSize::new(64, 64),
            sides: None,
        };
        let other = taken.clone().where_drawn_are(&read, sizes);
        assert_eq!(other.size, None);
        let left_out = "Its size 512 × 512 is left out, since these models draw 64 × 64 alone.";
        assert!(other.sentence.ends_with(left_out), "{}", other.sentence);
        sizes.sides = Some((64, 512));
        let drawn = taken.where_drawn_are(&read, sizes);
        assert_eq!(drawn.size, Some(ImageSize::new(512, 512)));
        assert!(
            drawn
                .sentence
                .ends_with("Its size 512 × 512 is taken over.")
        );
    }

    #[test]
    fn what_is_out_of_bounds_is_left_out_and_said() {
        let read = ReadParameters {
            prompt: "é".repeat(MAXIMUM_PROMPT_CHARACTERS + 1),
            seed: Some(u64::MAX - 4),
            steps: Some(101),
            guidance: Some(30.0),
            ..ReadParameters::default()
        };
        let taken = TakenOver::of(&read);
        let prompt = taken.prompt.unwrap_or_default();
        assert_eq!(prompt.chars().count(), MAXIMUM_PROMPT_CHARACTERS);
        assert_eq!(taken.negative_prompt, Some(String::new()));
        // torch.manual_seed(2**64 - 5) gives the noise of 4294967291.
        assert_eq!((taken.seed, taken.base_steps), (Some(4_294_967_291), None));
        assert_eq!(taken.base_guidance, None);
        for words in [
            "the first 2000 characters of its prompt",
            "its seed 18446744073709551611 as 4294967291, the low 32 bits",
            "its 101 steps, since from 1 to 100",
            "its guidance 30, since it has to be from 0 to 20",
        ] {
            assert!(taken.sentence.contains(words), "{}", taken.sentence);
        }
    }

    #[test]
    fn fields_without_a_prompt_leave_the_visitors_own() {
        let read = ReadParameters {
            seed: Some(0),
            ..ReadParameters::default()
        };
        let taken = TakenOver::of(&read);
        assert_eq!((taken.prompt, taken.negative_prompt), (None, None));
        assert_eq!((taken.seed, taken.reading), (Some(0), None));
        let missing = "It doesn't say its prompt, its steps, its guidance.";
        assert!(taken.sentence.ends_with(missing), "{}", taken.sentence);
        let nothing = TakenOver::of(&ReadParameters::default());
        assert!(nothing.sentence.contains("nothing"));
    }

    #[test]
    fn a_programs_own_syntax_is_said() {
        let sentence = |program, prompt: &str| {
            let read = ReadParameters {
                program,
                prompt: prompt.to_owned(),
                ..ReadParameters::default()
            };
            TakenOver::of(&read).sentence
        };
        let novel_ai = sentence(Program::NovelAi, "{cat}, sea");
        assert!(
            novel_ai.starts_with("The picture is NovelAI's."),
            "{novel_ai}"
        );
        assert!(novel_ai.contains("Left out: the weights in its prompt"));
        assert!(sentence(Program::InvokeAi, "cat++").contains("Left out"));
        assert!(!sentence(Program::InvokeAi, "a cat").contains("Left out"));
    }
}
