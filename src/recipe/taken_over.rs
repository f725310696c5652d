//! What of another program's picture goes into the controls.

use super::bounds::{MAXIMUM_PROMPT_CHARACTERS, SEED, STEPS};
use super::generation_parameters::ReadParameters;

/// What is taken over, each none where it is to stay as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// What to draw.
    pub prompt: Option<String>,
    /// What to keep away from; empty where a picture with a prompt has none.
    pub negative_prompt: Option<String>,
    /// The first column's seed.
    pub seed: Option<u32>,
    /// Steps of the base model: another program's picture is of one model.
    pub base_steps: Option<u32>,
    /// What was taken over and what was not, for the visitor.
    pub sentence: String,
}

impl TakenOver {
    /// What can be taken over of such a text.
    pub fn of(read: &ReadParameters) -> TakenOver {
        let mut taken = Vec::new();
        let mut left_out = Vec::new();
        let mut text = |text: &str, name: &'static str| {
            let cut: String = text.chars().take(MAXIMUM_PROMPT_CHARACTERS).collect();
            if cut.len() < text.len() {
                taken.push(format!(
                    "the first {MAXIMUM_PROMPT_CHARACTERS} characters of its {name}"
                ));
            } else if !text.is_empty() {
                taken.push(format!("its {name}"));
            }
            cut
        };
        let prompt = text(&read.prompt, "prompt");
        let negative_prompt = text(&read.negative_prompt, "negative prompt");
        let has_prompt = !prompt.is_empty() || !negative_prompt.is_empty();

        let seed = read.seed.and_then(|seed| u32::try_from(seed).ok());
        match (read.seed, seed) {
            (_, Some(seed)) => taken.push(format!("its seed {seed}")),
            (Some(seed), None) => left_out.push(format!(
                "its seed {seed}, since seeds here are at most {}",
                SEED.maximum
            )),
            (None, None) => {}
        }
        let base_steps = read.steps.filter(|steps| STEPS.contain(steps));
        match (read.steps, base_steps) {
            (_, Some(steps)) => taken.push(format!("its {steps} steps for the base model")),
            (Some(steps), None) => left_out.push(format!(
                "its {steps} steps, since {} are the most here",
                STEPS.maximum
            )),
            (None, None) => {}
        }

        let mut sentence = if taken.is_empty() {
            "The picture is another program's, and nothing of its settings could be taken over."
                .to_owned()
        } else {
            format!(
                "The picture is another program's. Taken over: {}; all other settings stay as they \
                 were.",
                taken.join(", ")
            )
        };
        if !left_out.is_empty() {
            sentence.push_str(&format!(" Left out: {}.", left_out.join("; ")));
        }
        TakenOver {
            prompt: has_prompt.then_some(prompt),
            negative_prompt: has_prompt.then_some(negative_prompt),
            seed,
            base_steps,
            sentence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_bounds_is_taken_over_and_said() {
        let read = ReadParameters {
            prompt: "a cat".into(),
            negative_prompt: "a dog".into(),
            seed: Some(7),
            steps: Some(20),
            size: Some((512, 512)),
        };
        let taken = TakenOver::of(&read);
        assert_eq!(
            taken,
            TakenOver {
                prompt: Some("a cat".into()),
                negative_prompt: Some("a dog".into()),
                seed: Some(7),
                base_steps: Some(20),
                sentence: "The picture is another program's. Taken over: its prompt, its negative \
                           prompt, its seed 7, its 20 steps for the base model; all other settings \
                           stay as they were."
                    .into(),
            }
        );
    }

    #[test]
    fn what_is_out_of_bounds_is_left_out_and_said() {
        let read = ReadParameters {
            prompt: "é".repeat(MAXIMUM_PROMPT_CHARACTERS + 1),
            seed: Some(u64::from(u32::MAX) + 1),
            steps: Some(101),
            ..ReadParameters::default()
        };
        let taken = TakenOver::of(&read);
        let prompt = taken.prompt.unwrap_or_default();
        assert_eq!(prompt.chars().count(), MAXIMUM_PROMPT_CHARACTERS);
        assert_eq!(taken.negative_prompt, Some(String::new()));
        assert_eq!((taken.seed, taken.base_steps), (None, None));
        for words in [
            "the first 2000 characters of its prompt",
            "its seed 4294967296, since",
            "its 101 steps, since 100",
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
        assert_eq!(taken.seed, Some(0));
        let nothing = TakenOver::of(&ReadParameters::default());
        assert!(nothing.sentence.contains("nothing"));
    }
}
