//! The adapters of a recipe: which files change the models, how strongly, which of them and when.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use super::bounds::{Bounds, STEPS};
use crate::sampler::ModelRole;

/// The most adapters of one recipe.
pub const MAXIMUM_ADAPTERS: usize = 8;
/// Strengths: those of Concept Sliders; 1 is what an adapter was trained for.
pub const STRENGTH: Bounds<f32> = Bounds {
    minimum: -5.0,
    maximum: 5.0,
};
/// The timestep from which on an adapter acts, counted down: at 1000 it acts in every step.
pub const FROM_TIMESTEP: Bounds<u32> = Bounds {
    minimum: 0,
    maximum: 1000,
};
/// The longest name of an adapter, in characters.
const MAXIMUM_NAME: usize = 80;
/// Letters of a hash.
const HASH_LENGTH: usize = 64;
/// What stands between two adapters of a text.
const BETWEEN_ADAPTERS: char = ';';
/// What stands between two parts of one.
const BETWEEN_PARTS: char = ':';
/// What stands between two steps.
const BETWEEN_STEPS: char = ',';
/// The word for all steps.
const ALL_STEPS: &str = "all";

/// On which of a pair's models an adapter acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActsOn {
    /// On the base and the distilled model.
    #[default]
    Both,
    /// On the base model alone.
    Base,
    /// On the distilled model alone.
    Distilled,
}

impl ActsOn {
    /// Every choice, in the order in which they are offered.
    pub const ALL: [ActsOn; 3] = [ActsOn::Both, ActsOn::Base, ActsOn::Distilled];

    /// Its spelling in links.
    pub fn key(self) -> &'static str {
        match self {
            ActsOn::Both => "both",
            ActsOn::Base => "base",
            ActsOn::Distilled => "distilled",
        }
    }

    /// The choice of a [`ActsOn::key`].
    pub fn from_key(key: &str) -> Option<ActsOn> {
        ActsOn::ALL.into_iter().find(|choice| choice.key() == key)
    }

    /// Whether a model is among them.
    pub fn includes(self, role: ModelRole) -> bool {
        match self {
            ActsOn::Both => true,
            ActsOn::Base => role == ModelRole::Base,
            ActsOn::Distilled => role == ModelRole::Distilled,
        }
    }
}

/// An adapter as a recipe has it. Its file is known by its content, wherever it is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdapterUse {
    /// SHA-256 of the file in lower-case hexadecimal digits.
    pub hash: String,
    /// What the file is called, for whoever lacks it.
    pub name: String,
    /// What its change is multiplied by.
    pub strength: f32,
    /// The models that it acts on.
    #[serde(default)]
    pub acts_on: ActsOn,
    /// It acts in steps at this timestep and below: see [`FROM_TIMESTEP`].
    pub from_timestep: u32,
    /// The steps of an image in which it acts, counted from 1; empty: all of them.
    #[serde(default)]
    pub steps: Vec<u32>,
}

impl AdapterUse {
    /// An adapter that acts on both models in every step with the strength that it was trained for.
    pub fn new(hash: &str, name: &str) -> Self {
        AdapterUse {
            hash: hash.to_owned(),
            name: plain_name(name),
            strength: 1.0,
            acts_on: ActsOn::Both,
            from_timestep: FROM_TIMESTEP.maximum,
            steps: Vec::new(),
        }
    }

    /// How strongly it acts on a model in a step, counted from 1, at a timestep.
    pub fn strength_at(&self, role: ModelRole, step: u32, timestep: f32) -> f32 {
        let is_now = timestep <= self.from_timestep as f32
            && (self.steps.is_empty() || self.steps.contains(&step));
        if is_now && self.acts_on.includes(role) {
            self.strength
        } else {
            0.0
        }
    }

    /// Reads [`AdapterUse`]'s text.
    fn parse(text: &str) -> Option<AdapterUse> {
        let mut parts = text.splitn(6, BETWEEN_PARTS);
        let hash = parts.next()?.trim();
        let strength = STRENGTH.parse(parts.next()?)?;
        let acts_on = ActsOn::from_key(parts.next()?.trim())?;
        let from_timestep = FROM_TIMESTEP.parse(parts.next()?)?;
        let steps = match parts.next()?.trim() {
            ALL_STEPS => Vec::new(),
            steps => steps
                .split(BETWEEN_STEPS)
                .map(|step| STEPS.parse(step))
                .collect::<Option<_>>()?,
        };
        let adapter = AdapterUse {
            hash: hash.to_owned(),
            name: parts.next()?.to_owned(),
            // No −0, which would be spelled otherwise and means the same.
            strength: strength + 0.0,
            acts_on,
            from_timestep,
            steps,
        };
        adapter.is_sound().then_some(adapter)
    }

    /// Whether all of it is within its bounds.
    pub(super) fn is_sound(&self) -> bool {
        is_hash(&self.hash)
            && STRENGTH.contain(&self.strength)
            && FROM_TIMESTEP.contain(&self.from_timestep)
            && self.steps.iter().all(|step| STEPS.contain(step))
            && self.steps.len() <= STEPS.maximum as usize
            && self.name == plain_name(&self.name)
    }
}

impl Display for AdapterUse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = if self.steps.is_empty() {
            ALL_STEPS.to_owned()
        } else {
            let steps: Vec<_> = self.steps.iter().map(ToString::to_string).collect();
            steps.join(&BETWEEN_STEPS.to_string())
        };
        let AdapterUse {
            hash,
            name,
            from_timestep,
            ..
        } = self;
        let (strength, acts_on) = (self.strength + 0.0, self.acts_on.key());
        write!(
            formatter,
            "{hash}{BETWEEN_PARTS}{strength}{BETWEEN_PARTS}{acts_on}{BETWEEN_PARTS}{from_timestep}\
             {BETWEEN_PARTS}{steps}{BETWEEN_PARTS}{name}"
        )
    }
}

/// The adapters that a text spells, one after the other; none where one of them can't be read, one file is
/// there twice or there are more than [`MAXIMUM_ADAPTERS`].
pub fn parse(text: &str) -> Option<Vec<AdapterUse>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    if text.split(BETWEEN_ADAPTERS).count() > MAXIMUM_ADAPTERS {
        return None;
    }
    let adapters: Vec<_> = text
        .split(BETWEEN_ADAPTERS)
        .map(AdapterUse::parse)
        .collect::<Option<_>>()?;
    are_sound(&adapters).then_some(adapters)
}

/// The text of adapters, which [`parse`] reads.
pub fn spell(adapters: &[AdapterUse]) -> String {
    let texts: Vec<_> = adapters.iter().map(ToString::to_string).collect();
    texts.join(&BETWEEN_ADAPTERS.to_string())
}

/// Whether a recipe can have these adapters.
pub(super) fn are_sound(adapters: &[AdapterUse]) -> bool {
    let is_first = |(index, adapter): (usize, &AdapterUse)| {
        adapters
            .iter()
            .take(index)
            .all(|earlier| earlier.hash != adapter.hash)
    };
    adapters.len() <= MAXIMUM_ADAPTERS
        && adapters.iter().all(AdapterUse::is_sound)
        && adapters.iter().enumerate().all(is_first)
}

fn is_hash(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == HASH_LENGTH && text.bytes().all(is_digit)
}

/// A name without what would end it in a text, and not too long.
pub fn plain_name(name: &str) -> String {
    name.chars()
        .filter(|letter| !letter.is_control() && *letter != BETWEEN_ADAPTERS)
        .take(MAXIMUM_NAME)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter() -> AdapterUse {
        AdapterUse {
            strength: -1.5,
            acts_on: ActsOn::Distilled,
            from_timestep: 700,
            steps: vec![1, 3],
            ..AdapterUse::new(&"0a".repeat(32), "smile: a slider; 2.pt\n")
        }
    }

    #[test]
    fn what_is_spelled_is_read() {
        let other = AdapterUse::new(&"f9".repeat(32), "");
        let adapters = vec![adapter(), other];
        let text = spell(&adapters);
        let hash = "0a".repeat(32);
        assert!(
            text.starts_with(&format!(
                "{hash}:-1.5:distilled:700:1,3:smile: a slider 2.pt;f9"
            )),
            "{text}"
        );
        assert_eq!(parse(&text), Some(adapters));
        assert_eq!(parse(""), Some(Vec::new()));
    }

    #[test]
    fn what_no_recipe_has_is_not_read() {
        let text = adapter().to_string();
        for (from, to) in [
            ("-1.5", "5.5"),
            ("-1.5", "NaN"),
            ("distilled", "none"),
            (":700", ":1001"),
            ("1,3", "0"),
            ("1,3", ""),
            ("0a0a", "0A0A"),
            ("0a0a", "0a"),
        ] {
            assert_eq!(parse(&text.replacen(from, to, 1)), None, "{from} → {to}");
        }
        assert_eq!(parse(&format!("{text};{text}")), None, "one file twice");
        assert_eq!(parse(&format!("{text};")), None);
    }

    #[test]
    fn an_adapter_acts_when_and_where_it_is_to() {
        let adapter = adapter();
        let at = |role, step, timestep| adapter.strength_at(role, step, timestep);
        assert_eq!(at(ModelRole::Distilled, 1, 700.0), -1.5);
        assert_eq!(at(ModelRole::Distilled, 1, 700.5), 0.0, "too early");
        assert_eq!(at(ModelRole::Distilled, 2, 500.0), 0.0, "another step");
        assert_eq!(at(ModelRole::Base, 1, 500.0), 0.0, "another model");
        let always = AdapterUse::new(&adapter.hash, "");
        assert_eq!(always.strength_at(ModelRole::Base, 9, 999.0), 1.0);
    }
}
