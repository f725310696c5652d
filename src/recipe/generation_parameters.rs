//! The `parameters` text that AUTOMATIC1111's web UI puts into its pictures, and that Civitai and
//! many other programs read: prompt, negative prompt, and a line of `key: value` fields.
//!
//! The form follows `create_infotext` and `parse_generation_parameters` of that web UI. It can't
//! hold every prompt: one with a line that begins with `Negative prompt:` reads back as two, and
//! lines lose the blanks at their ends. The recipe beside it in a picture is exact.

use std::fmt::{self, Display};

use super::adapters;
use super::parameters::ON;
use super::{CellAddress, Mode, Recipe};
use crate::sampler::{ModelRole, SchedulerChoice};

/// What begins the negative prompt.
pub(super) const NEGATIVE_PROMPT: &str = "Negative prompt:";
/// What begins the line of fields in texts of all programs.
pub(super) const FIRST_FIELD: &str = "Steps:";

/// The field that only this page's text has.
pub(super) const MODE: &str = "Firststep mode";
/// The field of [`Recipe::long_prompts`], where that is on.
pub(super) const LONG_PROMPTS: &str = "Firststep long prompts";
/// The field of [`Recipe::adapters`], as links spell them.
const ADAPTERS: &str = "Firststep adapters";
/// The field of [`Recipe::weighted_prompt`], where that is on.
pub(super) const WEIGHTED_PROMPT: &str = "Firststep weighted prompt";

/// What one picture was made with; its [`Display`] is the text.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationParameters {
    /// What to draw.
    pub prompt: String,
    /// What to keep away from; left out of the text where it is empty.
    pub negative_prompt: String,
    /// Sampling steps.
    pub steps: u32,
    /// The sampler by the web UI's name, such as `LCM`, `DDIM`, `Euler a` or `DPM++ 2M Karras`.
    pub sampler: String,
    /// Guidance scale; the web UI calls it `CFG scale`.
    pub guidance_scale: f32,
    /// Seed of the initial noise.
    pub seed: u32,
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The checkpoint's name.
    pub model: String,
    /// Further fields, in their order. A key is at least two letters, digits, blanks, hyphens or
    /// slashes.
    pub further: Vec<(&'static str, String)>,
}

impl GenerationParameters {
    /// What the picture of a cell was made with, with the pair's own schedulers; none where the grid
    /// has no such cell.
    ///
    /// The text knows one model and one sampler: they are those of the last step. Where the base
    /// model begins, further fields say how.
    pub fn of(
        recipe: &Recipe,
        cell: CellAddress,
        base_scheduler: SchedulerChoice,
        distilled_scheduler: SchedulerChoice,
        image_size: (u32, u32),
        pair_name: &str,
    ) -> Option<GenerationParameters> {
        if !recipe.has_cell(cell) {
            return None;
        }
        let row = recipe.rows().into_iter().nth(cell.row as usize)?;
        let base = recipe.base_scheduler.unwrap_or(base_scheduler);
        let distilled = recipe.distilled_scheduler.unwrap_or(distilled_scheduler);
        let distilled_steps = recipe.distilled_steps;
        let (steps, last_model) = match row.mode {
            Mode::Base => (recipe.base_steps, ModelRole::Base),
            Mode::Distilled => (distilled_steps, ModelRole::Distilled),
            Mode::SkipFirstStep => (distilled_steps.saturating_sub(1), ModelRole::Distilled),
            Mode::Hybrid | Mode::Adaptive => {
                let replaced = row.k.saturating_mul(recipe.hybrid_base_steps);
                let left = distilled_steps.saturating_sub(row.k);
                let last_model = if left == 0 {
                    ModelRole::Base
                } else {
                    ModelRole::Distilled
                };
                (replaced.saturating_add(left), last_model)
            }
        };
        let (scheduler, guidance_scale) = match (row.mode, last_model) {
            (_, ModelRole::Distilled) => (distilled, recipe.distilled_guidance),
            (Mode::Hybrid | Mode::Adaptive, ModelRole::Base) => {
                // With one step for each that it replaces, the base model follows the distilled
                // one's schedule, but never adds noise.
                let scheduler = match (recipe.hybrid_base_steps, distilled) {
                    (1, SchedulerChoice::EulerAncestral) => SchedulerChoice::EulerDiscrete,
                    (1, SchedulerChoice::DpmSolverSde) => SchedulerChoice::DpmSolver,
                    (1, SchedulerChoice::DpmSolverSdeKarras) => SchedulerChoice::DpmSolverKarras,
                    (1, distilled) => distilled,
                    _ => base,
                };
                (scheduler, row.hybrid_base_guidance)
            }
            (_, ModelRole::Base) => (base, recipe.base_guidance),
        };
        let mut further = vec![(MODE, row.mode.key().to_owned())];
        for (name, is_on) in [
            (LONG_PROMPTS, recipe.long_prompts),
            (WEIGHTED_PROMPT, recipe.weighted_prompt),
        ] {
            if is_on {
                further.push((name, ON.to_owned()));
            }
        }
        if row.mode == Mode::Adaptive {
            further.push(("Firststep threshold", recipe.threshold().to_string()));
        }
        if matches!(row.mode, Mode::Hybrid | Mode::Adaptive) {
            // A key of one letter would be none.
            further.push(("Firststep k", row.k.to_string()));
            further.push(("Base guidance", row.hybrid_base_guidance.to_string()));
            further.push((
                "Base steps per replaced step",
                recipe.hybrid_base_steps.to_string(),
            ));
        }
        if !row.adapters.is_empty() {
            let hash = |hash: &str| hash.chars().take(HASH_DIGITS).collect::<String>();
            let adapters = row.adapters.iter();
            let hashes: Vec<String> = adapters
                .clone()
                .map(|adapter| {
                    format!("{}: {}", without_commas(&adapter.name), hash(&adapter.hash))
                })
                .collect();
            // Other programs have this field, and no strength in it.
            further.push(("Lora hashes", hashes.join(", ")));
            further.push((ADAPTERS, adapters::spell(&row.adapters)));
        }
        let (width, height) = image_size;
        Some(GenerationParameters {
            prompt: row.prompt,
            negative_prompt: recipe.negative_prompt.clone(),
            steps,
            sampler: sampler(scheduler).to_owned(),
            guidance_scale,
            seed: recipe.seed_of(cell.column),
            width,
            height,
            model: pair_name.to_owned(),
            further,
        })
    }
}

/// Digits of a hash that the web UI writes.
const HASH_DIGITS: usize = 12;

/// A name without what would end it in a list of names and hashes.
fn without_commas(name: &str) -> String {
    name.replace([',', ':'], " ")
}

/// The web UI's name of a scheduler.
fn sampler(choice: SchedulerChoice) -> &'static str {
    match choice {
        SchedulerChoice::EulerAncestral => "Euler a",
        choice => choice.label(),
    }
}

impl Display for GenerationParameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prompt = self.prompt.trim();
        if !prompt.is_empty() {
            writeln!(formatter, "{prompt}")?;
        }
        let negative_prompt = self.negative_prompt.trim();
        if !negative_prompt.is_empty() {
            writeln!(formatter, "{NEGATIVE_PROMPT} {negative_prompt}")?;
        }
        // Civitai knows the line by its beginning.
        write!(
            formatter,
            "{FIRST_FIELD} {}, Sampler: {}, CFG scale: {}, Seed: {}, Size: {}x{}, Model: {}",
            self.steps,
            quoted(&self.sampler),
            self.guidance_scale,
            self.seed,
            self.width,
            self.height,
            quoted(&self.model)
        )?;
        for (key, value) in &self.further {
            write!(formatter, ", {key}: {}", quoted(value))?;
        }
        Ok(())
    }
}

/// A value as it is, or as a JSON string where a reader would take it apart. The web UI quotes for
/// comma, colon and newline alone; blanks at the ends and a leading quote would be lost too.
fn quoted(value: &str) -> String {
    if value.contains([',', ':', '\n']) || value.starts_with('"') || value.trim() != value {
        serde_json::Value::from(value).to_string()
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Axis;
    use crate::recipe::foreign::read_parameters::{ReadParameters, ReadSampler};
    use crate::recipe::foreign::web_ui::fields;
    use crate::recipe::random::Random;

    fn parameters() -> GenerationParameters {
        GenerationParameters {
            prompt: "a red apple, (shiny:1.2)\non a table".into(),
            negative_prompt: "worm, text: none".into(),
            steps: 4,
            sampler: "LCM".into(),
            guidance_scale: 1.0,
            seed: 7,
            width: 64,
            height: 48,
            model: "emoji".into(),
            further: vec![],
        }
    }

    fn of(recipe: &Recipe, row: u32, column: u32) -> Option<GenerationParameters> {
        GenerationParameters::of(
            recipe,
            CellAddress { row, column },
            SchedulerChoice::EulerDiscrete,
            SchedulerChoice::Lcm,
            (64, 48),
            "Emoji",
        )
    }

    fn recipe() -> Recipe {
        Recipe {
            prompt: "apple".into(),
            negative_prompt: "worm".into(),
            seed: u32::MAX,
            seed_count: 2,
            modes: Mode::OF_THE_PAPER.to_vec(),
            k: 1,
            hybrid_base_guidance: 0.5,
            hybrid_base_steps: 6,
            base_steps: 25,
            base_guidance: 5.0,
            distilled_steps: 4,
            distilled_guidance: 0.0,
            ..Recipe::default()
        }
    }

    #[test]
    fn each_mode_has_its_steps_and_its_sampler() {
        let texts = [0, 1, 2, 3].map(|row| of(&recipe(), row, 1).unwrap().to_string());
        let fields = texts
            .each_ref()
            .map(|text| text.strip_prefix("apple\nNegative prompt: worm\n").unwrap());
        assert_eq!(
            fields,
            [
                "Steps: 25, Sampler: Euler, CFG scale: 5, Seed: 0, Size: 64x48, Model: Emoji, \
                 Firststep mode: base",
                "Steps: 4, Sampler: LCM, CFG scale: 0, Seed: 0, Size: 64x48, Model: Emoji, \
                 Firststep mode: distilled",
                "Steps: 9, Sampler: LCM, CFG scale: 0, Seed: 0, Size: 64x48, Model: Emoji, \
                 Firststep mode: hybrid, Firststep k: 1, Base guidance: 0.5, \
                 Base steps per replaced step: 6",
                "Steps: 3, Sampler: LCM, CFG scale: 0, Seed: 0, Size: 64x48, Model: Emoji, \
                 Firststep mode: skip",
            ]
        );
    }

    #[test]
    fn a_hybrid_without_the_distilled_model_ends_with_the_base_models_sampler() {
        let mut recipe = recipe();
        recipe.axis = Axis::K(vec![2, 4]);
        recipe.modes = vec![Mode::Hybrid];
        recipe.distilled_scheduler = Some(SchedulerChoice::EulerAncestral);
        recipe.base_scheduler = Some(SchedulerChoice::Ddim);
        for (base_steps, row, steps, sampler, guidance_scale) in [
            (6, 0, 14, "Euler a", 0.0),
            (6, 1, 24, "DDIM", 0.5),
            (1, 0, 4, "Euler a", 0.0),
            (1, 1, 4, "Euler", 0.5),
        ] {
            recipe.hybrid_base_steps = base_steps;
            let parameters = of(&recipe, row, 0).unwrap();
            assert_eq!(
                (parameters.steps, parameters.sampler.as_str()),
                (steps, sampler)
            );
            assert_eq!(parameters.guidance_scale, guidance_scale);
        }
    }

    #[test]
    fn the_row_has_its_own_prompt() {
        let mut recipe = recipe();
        recipe.modes.truncate(2);
        recipe.axis = Axis::Prompts(vec!["pear".into()]);
        let prompts = [0, 1, 2, 3].map(|row| of(&recipe, row, 0).unwrap().prompt);
        assert_eq!(prompts, ["apple", "apple", "pear", "pear"]);
    }

    #[test]
    fn a_cell_outside_of_the_grid_has_no_parameters() {
        for (row, column) in [(4, 0), (0, 2), (u32::MAX, u32::MAX)] {
            assert_eq!(of(&recipe(), row, column), None);
        }
    }

    #[test]
    fn the_text_of_any_cell_is_read_again() {
        let mut random = Random(8);
        for _ in 0..300 {
            let recipe = random.recipe();
            for row in 0..recipe.rows().len() as u32 {
                let parameters = of(&recipe, row, 0).unwrap();
                // Prompts may hold what the form can't.
                let text = GenerationParameters {
                    prompt: "apple".into(),
                    negative_prompt: String::new(),
                    ..parameters.clone()
                }
                .to_string();
                let read = ReadParameters::parse(&text);
                assert_eq!(read.prompt, "apple");
                assert_eq!(read.seed, Some(u64::from(recipe.seed)));
                assert_eq!(read.steps, Some(parameters.steps));
                let line = text.lines().last().unwrap();
                assert_eq!(fields(line).len(), 6 + parameters.further.len());
            }
        }
    }

    #[test]
    fn the_text_has_the_form_of_the_web_ui() {
        let mut parameters = parameters();
        parameters.guidance_scale = 7.5;
        parameters.model = "emoji: small".into();
        parameters.further = vec![("Version", "v1 \"a\", b".into()), ("RNG", "CPU".into())];
        assert_eq!(
            parameters.to_string(),
            "a red apple, (shiny:1.2)\non a table\nNegative prompt: worm, text: none\n\
             Steps: 4, Sampler: LCM, CFG scale: 7.5, Seed: 7, Size: 64x48, \
             Model: \"emoji: small\", Version: \"v1 \\\"a\\\", b\", RNG: CPU"
        );
    }

    #[test]
    fn empty_prompts_leave_no_line() {
        let mut parameters = parameters();
        parameters.prompt = " \n".into();
        parameters.negative_prompt.clear();
        assert_eq!(
            parameters.to_string(),
            "Steps: 4, Sampler: LCM, CFG scale: 1, Seed: 7, Size: 64x48, Model: emoji"
        );
        assert_eq!(
            ReadParameters::parse(&parameters.to_string()),
            ReadParameters {
                seed: Some(7),
                steps: Some(4),
                guidance: Some(1.0),
                sampler: ReadSampler::of("LCM", None),
                size: Some((64, 48)),
                ..ReadParameters::parse("")
            }
        );
    }

    #[test]
    fn values_survive_quoting() {
        let alphabet: Vec<char> = "ab ,:\n\"\\/é漢🍎".chars().collect();
        let mut random = Random(1);
        for _ in 0..2000 {
            let values = [random.text(&alphabet, 8), random.text(&alphabet, 8)];
            let line = format!(
                "Steps: 1, One: {}, Two: {}",
                quoted(&values[0]),
                quoted(&values[1])
            );
            assert!(!line.contains('\n'), "{line}");
            let read = fields(&line);
            assert_eq!(
                read,
                [
                    ("Steps", "1".to_owned()),
                    ("One", values[0].clone()),
                    ("Two", values[1].clone())
                ],
                "{line}"
            );
        }
    }

    #[test]
    fn whole_texts_survive() {
        // No colon, which could make a prompt's line one of fields or the negative prompt's.
        let alphabet: Vec<char> = "abc, ()\n\"\\é漢🍎".chars().collect();
        let mut random = Random(2);
        let trimmed = |text: &str| {
            let lines: Vec<&str> = text.trim().split('\n').map(str::trim).collect();
            lines.join("\n")
        };
        for seed in 0..1000 {
            let mut written = parameters();
            written.prompt = trimmed(&random.text(&alphabet, 30));
            written.negative_prompt = trimmed(&random.text(&alphabet, 30));
            written.seed = seed;
            written.model = random.text(&alphabet, 10);
            assert_eq!(
                ReadParameters::parse(&written.to_string()),
                ReadParameters {
                    prompt: written.prompt,
                    negative_prompt: written.negative_prompt,
                    seed: Some(u64::from(seed)),
                    steps: Some(4),
                    guidance: Some(1.0),
                    sampler: ReadSampler::of("LCM", None),
                    size: Some((64, 48)),
                    ..ReadParameters::parse("")
                }
            );
        }
    }
}
