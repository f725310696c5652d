//! A prompt as a thing, a style and a background: one of the three can be exchanged.

use super::lookup::{Lookup, Name};
use super::text::{fold, words};

/// What a prompt says at its end about style and background, and what it says before that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    thing: String,
    style: Option<String>,
    background: Option<String>,
}

/// What of a scene can be exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScenePart {
    /// What is drawn.
    Thing,
    /// `in … style`.
    Style,
    /// `on a … background`.
    Background,
}

impl Scene {
    /// The scene with this name in place of one of its parts.
    pub fn with(mut self, part: ScenePart, name: &str) -> Self {
        match part {
            ScenePart::Thing => self.thing = name.into(),
            ScenePart::Style => self.style = Some(name.into()),
            ScenePart::Background => self.background = Some(name.into()),
        }
        self
    }

    /// Whether a part of the scene is this name and nothing else.
    pub fn is(&self, part: ScenePart, name: &str) -> bool {
        match part {
            ScenePart::Thing => self.thing == name,
            ScenePart::Style => self.style.as_deref() == Some(name),
            ScenePart::Background => self.background.as_deref() == Some(name),
        }
    }

    /// The scene in words.
    pub fn prompt(&self) -> String {
        let mut parts = vec![self.thing.clone()];
        if let Some(style) = &self.style {
            parts.push(format!("in {style} style"));
        }
        if let Some(background) = &self.background {
            let article = if background.starts_with(['a', 'e', 'i', 'o', 'u']) {
                "an"
            } else {
                "a"
            };
            parts.push(format!("on {article} {background} background"));
        }
        parts.join(" ").trim_start().to_owned()
    }
}

impl Lookup {
    /// Reads `… in noto style on a white background`, in either order, also `… on white` and
    /// `…, white background`; all that comes before is the thing.
    pub fn scene(&self, prompt: &str) -> Scene {
        let mut scene = Scene::default();
        let mut rest = prompt.trim();
        loop {
            let style = self.style_at_the_end(rest);
            let background = self.background_at_the_end(rest);
            let start = match (style, background) {
                (Some((start, style)), _) if scene.style.is_none() => {
                    scene.style = Some(style.into());
                    start
                }
                (_, Some((start, background))) if scene.background.is_none() => {
                    scene.background = Some(background.into());
                    start
                }
                _ => break,
            };
            let separators = |character: char| character.is_whitespace() || character == ',';
            rest = rest[..start].trim_end_matches(separators);
        }
        scene.thing = rest.into();
        scene
    }

    /// Where `in … style` begins at the end of a text, and the style.
    fn style_at_the_end(&self, text: &str) -> Option<(usize, &str)> {
        let (starts, words) = starts_and_words(text);
        let [before @ .., last] = words.as_slice() else {
            return None;
        };
        if last != "style" {
            return None;
        }
        let (first, style) = name_at_the_end(before, &self.styles)?;
        let word = first.checked_sub(1)?;
        (words[word] == "in").then_some((starts[word], style))
    }

    /// Where `on a … background` begins at the end of a text, and the background.
    fn background_at_the_end(&self, text: &str) -> Option<(usize, &str)> {
        let (starts, words) = starts_and_words(text);
        let (before, has_word) = match words.as_slice() {
            [before @ .., last] if last == "background" => (before, true),
            words => (words, false),
        };
        let (first, background) = name_at_the_end(before, &self.backgrounds)?;
        let start = match before[..first] {
            [.., ref on, ref article] if on == "on" && ["a", "an"].contains(&article.as_str()) => {
                first - 2
            }
            [.., ref on] if on == "on" => first - 1,
            _ if has_word => first,
            // "orange" alone is something to eat.
            _ => return None,
        };
        Some((starts[start], background))
    }
}

/// Where the words of a text begin, and the words, folded.
fn starts_and_words(text: &str) -> (Vec<usize>, Vec<String>) {
    let places = words(text).into_iter();
    places
        .map(|place| (place.start, fold(&text[place])))
        .unzip()
}

/// The longest of the names that stands at the end of these words, and the index of its first word.
fn name_at_the_end<'a>(words: &[String], names: &'a [Name]) -> Option<(usize, &'a str)> {
    let longest = names.iter().map(|name| name.later_words.len() + 1).max()?;
    (words.len().saturating_sub(longest)..words.len()).find_map(|first| {
        let end = words[first..].join(" ");
        let name = names.iter().find(|name| name.folded == end)?;
        Some((first, name.text.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::entries::tests::vocabulary;

    #[test]
    fn a_thing_takes_the_place_of_another_and_keeps_its_scene() {
        let lookup = Lookup::new(vocabulary());
        for (prompt, expected) in [
            ("", "cat"),
            ("image of a dog", "cat"),
            ("a dog in noto style", "cat in noto style"),
            ("a dog on white", "cat on a white background"),
            ("a dog, Orange background.", "cat on an orange background"),
            (
                "dog on an orange background in Fluent flat style ",
                "cat in fluent flat style on an orange background",
            ),
            // No style and no background.
            ("a dog in a style", "cat"),
            ("an orange", "cat"),
        ] {
            let scene = lookup.scene(prompt).with(ScenePart::Thing, "cat");
            assert_eq!(scene.prompt(), expected, "{prompt}");
            assert_eq!(lookup.scene(expected), scene, "{prompt}");
        }
    }

    #[test]
    fn styles_and_backgrounds_are_put_once() {
        let lookup = Lookup::new(vocabulary());
        let mut prompt = "a dog".to_owned();
        for (part, name, expected) in [
            (ScenePart::Style, "3d", "a dog in 3d style"),
            (ScenePart::Style, "noto", "a dog in noto style"),
            (
                ScenePart::Background,
                "orange",
                "a dog in noto style on an orange background",
            ),
            (
                ScenePart::Background,
                "white",
                "a dog in noto style on a white background",
            ),
            (
                ScenePart::Style,
                "3d",
                "a dog in 3d style on a white background",
            ),
        ] {
            prompt = lookup.scene(&prompt).with(part, name).prompt();
            assert_eq!(prompt, expected);
            assert!(lookup.scene(&prompt).is(part, name), "{prompt}");
        }
        assert!(!lookup.scene(&prompt).is(ScenePart::Thing, "dog"));

        // A scene without a thing takes one.
        let scene = lookup.scene("").with(ScenePart::Style, "3d");
        assert_eq!(scene.prompt(), "in 3d style");
        let scene = lookup.scene("in 3d style").with(ScenePart::Thing, "dog");
        assert_eq!(scene.prompt(), "dog in 3d style");
        assert!(scene.is(ScenePart::Thing, "dog"));
    }
}
