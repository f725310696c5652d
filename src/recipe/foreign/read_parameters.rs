//! What could be read of a picture of another program.

use crate::recipe::PromptReading;
use crate::recipe::excerpt::excerpt;
use crate::sampler::SchedulerChoice;

/// The programs that are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Program {
    /// AUTOMATIC1111's web UI, Forge, SD.Next and all that write its text: that is how it is known, so
    /// that its own name can't be told.
    #[default]
    WebUi,
    /// ComfyUI.
    ComfyUi,
    /// InvokeAI.
    InvokeAi,
    /// Fooocus.
    Fooocus,
    /// NovelAI.
    NovelAi,
    /// SwarmUI.
    SwarmUi,
    /// Civitai's own generator.
    Civitai,
}

impl Program {
    /// Whose the picture is, in words that follow "The picture is".
    pub fn owner(self) -> &'static str {
        match self {
            Program::WebUi => "another program's",
            Program::ComfyUi => "ComfyUI's",
            Program::InvokeAi => "InvokeAI's",
            Program::Fooocus => "Fooocus's",
            Program::NovelAi => "NovelAI's",
            Program::SwarmUi => "SwarmUI's",
            Program::Civitai => "Civitai's",
        }
    }

    /// What the program reads in its prompts in a way of its own, where the prompt has any of it.
    pub fn own_syntax(self, prompt: &str) -> Option<&'static str> {
        let has = |marks: &[&str]| marks.iter().any(|mark| prompt.contains(mark));
        match self {
            Program::NovelAi if has(&["{", "[", "::"]) => {
                Some("the weights in its prompt ({ }, [ ] and ::), which are read as text")
            }
            Program::InvokeAi if has(&["++", "--", ")1.", ")0.", ")+", ")-"]) => Some(
                "the weights in its prompt (+, − and numbers behind brackets), which are read as text",
            ),
            _ => None,
        }
    }
}

/// What a picture says, by whatever program it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadParameters {
    /// Who says it.
    pub program: Program,
    /// How its prompts are read.
    pub reading: PromptReading,
    /// What to draw, as long as the text has it: the page's own bound is yet to be applied.
    pub prompt: String,
    /// What to keep away from.
    pub negative_prompt: String,
    /// Seed; other programs' may have more than 32 bits.
    pub seed: Option<u64>,
    /// Sampling steps.
    pub steps: Option<u32>,
    /// Guidance scale.
    pub guidance: Option<f32>,
    /// The sampler.
    pub sampler: Option<ReadSampler>,
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// What the picture has beside all this and is not drawn here, each in words that follow "Left out:".
    pub left_out: Vec<String>,
}

/// A sampler as a program names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSampler {
    /// Its name.
    pub name: String,
    /// The spacing of its noise levels; empty where its name says it, or nothing does.
    pub schedule: String,
}

impl ReadSampler {
    /// A sampler of this name, with what is said of its noise levels beside; none without a name.
    pub fn of(name: &str, schedule: Option<&str>) -> Option<ReadSampler> {
        let name = name.trim();
        (!name.is_empty()).then(|| ReadSampler {
            name: excerpt(name),
            schedule: excerpt(schedule.unwrap_or_default().trim()),
        })
    }

    /// The scheduler that computes the same.
    pub fn scheduler(&self) -> Option<SchedulerChoice> {
        let plain = |text: &str| -> String {
            let text = text.to_lowercase().replace("++", "pp");
            let text = text.strip_prefix("k_").unwrap_or(&text).to_owned();
            text.chars().filter(|it| it.is_alphanumeric()).collect()
        };
        let (name, schedule) = (plain(&self.name), plain(&self.schedule));
        let of_name = name.strip_suffix("karras");
        // InvokeAI's names end with a letter.
        let of_name =
            of_name.or_else(|| name.strip_suffix('k').filter(|it| it.starts_with("dpmpp")));
        let solver = of_name.unwrap_or(&name);
        // The web UI's automatic choice.
        let is_automatic = schedule == "automatic" && solver.starts_with("dpmpp2m");
        let is_karras = of_name.is_some() || schedule == "karras" || is_automatic;
        let is_known = ["", "automatic", "normal", "karras", "native"];
        if !is_known.contains(&schedule.as_str()) {
            return None;
        }
        Some(match (solver, is_karras) {
            ("dpmpp2m", false) => SchedulerChoice::DpmSolver,
            ("dpmpp2m", true) => SchedulerChoice::DpmSolverKarras,
            ("dpmpp2msde" | "dpmpp2msdegpu", false) => SchedulerChoice::DpmSolverSde,
            ("dpmpp2msde" | "dpmpp2msdegpu", true) => SchedulerChoice::DpmSolverSdeKarras,
            (_, true) => return None,
            ("euler", _) => SchedulerChoice::EulerDiscrete,
            ("eulera" | "eulerancestral", _) => SchedulerChoice::EulerAncestral,
            ("ddim", _) => SchedulerChoice::Ddim,
            ("lcm", _) => SchedulerChoice::Lcm,
            ("unipc", _) => SchedulerChoice::UniPc,
            ("heun", _) => SchedulerChoice::Heun,
            ("tcd", _) => SchedulerChoice::Tcd,
            _ => return None,
        })
    }
}

impl std::fmt::Display for ReadSampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.schedule.as_str() {
            "" => f.write_str(&self.name),
            schedule => write!(f, "{} ({schedule})", self.name),
        }
    }
}

/// The seed of a text: a whole number, be it negative. torch counts those down from 2⁶⁴; but −1 is the word
/// of most programs for any seed, which says nothing of the picture's.
pub(super) fn seed(text: &str) -> Option<u64> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let negative = text.parse::<i64>().ok().filter(|seed| *seed != -1);
        negative.map(i64::cast_unsigned)
    })
}

/// The finite number of a text.
pub(super) fn number(text: &str) -> Option<f32> {
    text.trim()
        .parse()
        .ok()
        .filter(|number: &f32| number.is_finite())
}

/// The width and height in a text, such as `832x1216`, `(1024, 1024)` or `1024 × 1024`.
pub(super) fn size(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text
        .split(|character: char| !character.is_ascii_digit())
        .filter(|part| !part.is_empty());
    let (width, height) = (numbers.next()?, numbers.next()?);
    let is_apart = |between: &str| {
        let between = between.trim();
        matches!(between, "x" | "X" | "×" | "," | "*")
    };
    let (_, rest) = text.split_once(width)?;
    let (between, _) = rest.split_once(height)?;
    let size = (width.parse().ok()?, height.parse().ok()?);
    (numbers.next().is_none() && is_apart(between)).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_of_any_spelling_are_found() {
        let found = |name: &str, schedule: &str| {
            ReadSampler::of(name, Some(schedule)).and_then(|it| it.scheduler())
        };
        let karras = Some(SchedulerChoice::DpmSolverKarras);
        for (name, schedule) in [
            ("DPM++ 2M Karras", ""),
            ("DPM++ 2M", "Karras"),
            ("DPM++ 2M", "Automatic"),
            ("dpmpp_2m", "karras"),
            ("dpmpp_2m_k", ""),
            ("k_dpmpp_2m", "karras"),
        ] {
            assert_eq!(found(name, schedule), karras, "{name}, {schedule}");
        }
        assert_eq!(found("DPM++ 2M", ""), Some(SchedulerChoice::DpmSolver));
        let sde = Some(SchedulerChoice::DpmSolverSdeKarras);
        assert_eq!(found("dpmpp_2m_sde_gpu", "karras"), sde);
        for name in ["Euler a", "euler_ancestral", "k_euler_ancestral"] {
            let ancestral = Some(SchedulerChoice::EulerAncestral);
            assert_eq!(found(name, "normal"), ancestral, "{name}");
        }
        for (name, schedule) in [
            ("Euler", "Karras"),
            ("euler", "exponential"),
            ("DPM++ 3M SDE", ""),
            ("Restart", ""),
            ("k", ""),
            ("", ""),
        ] {
            assert_eq!(found(name, schedule), None, "{name}, {schedule}");
        }
    }

    #[test]
    fn numbers_of_any_spelling_are_read() {
        assert_eq!(seed(" 18446744073709551611 "), Some(u64::MAX - 4));
        assert_eq!(seed("-5"), Some(u64::MAX - 4));
        assert_eq!(seed("99999999999999999999"), None);
        assert_eq!(number("7.5"), Some(7.5));
        assert_eq!(number("nan").or(number("1e999")), None);
        for text in ["832x1216", "(832, 1216)", "832 × 1216"] {
            assert_eq!(size(text), Some((832, 1216)), "{text}");
        }
        for text in ["64xx64", "832", "1x2x3", "-1 2", "a5b6", "99999999999x1"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
