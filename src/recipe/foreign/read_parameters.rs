//! What could be read of a picture of another program.

use crate::recipe::PromptReading;

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
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// What the picture has beside all this and is not drawn here, each in words that follow "Left out:".
    pub left_out: Vec<String>,
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
