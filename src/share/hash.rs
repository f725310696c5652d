//! The part of the page's address after `#`, as `prompt=red+apple&seed=3`: every control by name.
//!
//! A parameter that is absent keeps the pair's default, so a link holds only what differs from it.
//! A parameter that can't be read is reported and left out; the rest of the link still counts.
//!
//! | parameter | what |
//! |---|---|
//! | `prompt`, `negative-prompt` | text |
//! | `seed`, `seed-count` | first seed and number of columns |
//! | `modes` | comma list of `base`, `distilled`, `hybrid`, `skip` |
//! | `k`, `base-guidance`, `hybrid-base-steps` | the hybrid's |
//! | `base-steps`, `guidance`, `base-scheduler` | the base model's row |
//! | `distilled-steps`, `distilled-guidance`, `distilled-scheduler` | the distilled model's |
//! | `device` | `automatic`, `webgpu` or `cpu` |
//! | `pair` | the manifest's address, relative to the page |

use std::fmt::{self, Display, Write};
use std::str::FromStr;

use crate::engine::protocol::DevicePreference;
use crate::engine::recipe::{
    MAXIMUM_GUIDANCE_SCALE, MAXIMUM_PROMPT_CHARACTERS, MAXIMUM_SEED_COUNT, MAXIMUM_STEPS, Mode,
    Recipe,
};
use crate::sampler::SchedulerClass;

/// The numbers that a parameter takes, its ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds<T> {
    /// The smallest.
    pub minimum: T,
    /// The largest.
    pub maximum: T,
}

impl<T: FromStr + PartialOrd> Bounds<T> {
    /// The number that a text spells, if it is one within the bounds. NaN never is.
    pub fn parse(&self, text: &str) -> Option<T> {
        let number = text.trim().parse().ok()?;
        (self.minimum <= number && number <= self.maximum).then_some(number)
    }
}

impl Display for Bounds<u32> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a whole number from {} to {}",
            self.minimum, self.maximum
        )
    }
}

impl Display for Bounds<f32> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a number from {} to {}",
            self.minimum, self.maximum
        )
    }
}

/// Seeds: torch uses the low 32 bits alone.
pub const SEED: Bounds<u32> = Bounds {
    minimum: 0,
    maximum: u32::MAX,
};
/// Columns of the grid.
pub const SEED_COUNT: Bounds<u32> = Bounds {
    minimum: 1,
    maximum: MAXIMUM_SEED_COUNT,
};
/// Steps of the base or the distilled model, and k.
pub const STEPS: Bounds<u32> = Bounds {
    minimum: 1,
    maximum: MAXIMUM_STEPS,
};
/// Base steps in place of each replaced step of the distilled model.
pub const HYBRID_BASE_STEPS: Bounds<u32> = Bounds {
    minimum: 1,
    maximum: 25,
};
/// Guidance scales.
pub const GUIDANCE_SCALE: Bounds<f32> = Bounds {
    minimum: 0.0,
    maximum: MAXIMUM_GUIDANCE_SCALE,
};

/// The word for a scheduler parameter's "the pair's own".
const OWN_SCHEDULER: &str = "pair";

/// The word of a [`DevicePreference`] in links.
pub fn device_key(device: DevicePreference) -> &'static str {
    match device {
        DevicePreference::Automatic => "automatic",
        DevicePreference::WebGpu => "webgpu",
        DevicePreference::Cpu => "cpu",
    }
}

/// The address of a file that is named relative to another one's address, as a manifest names those
/// of its pair's family.
pub fn beside(address: &str, path: &str) -> String {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    match address[..end].rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{path}"),
        None => path.to_owned(),
    }
}

/// What a link says; none where it says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// [`Recipe::prompt`].
    pub prompt: Option<String>,
    /// [`Recipe::negative_prompt`].
    pub negative_prompt: Option<String>,
    /// [`Recipe::seed`].
    pub seed: Option<u32>,
    /// [`Recipe::seed_count`].
    pub seed_count: Option<u32>,
    /// [`Recipe::modes`], in the order of [`Mode::ALL`], each once.
    pub modes: Option<Vec<Mode>>,
    /// [`Recipe::k`].
    pub k: Option<u32>,
    /// [`Recipe::hybrid_base_guidance`], in links `base-guidance`.
    pub hybrid_base_guidance: Option<f32>,
    /// [`Recipe::hybrid_base_steps`].
    pub hybrid_base_steps: Option<u32>,
    /// [`Recipe::base_steps`].
    pub base_steps: Option<u32>,
    /// [`Recipe::base_guidance`], in links `guidance`.
    pub base_guidance: Option<f32>,
    /// [`Recipe::base_scheduler`]; the inner none is the pair's own.
    pub base_scheduler: Option<Option<SchedulerClass>>,
    /// [`Recipe::distilled_steps`].
    pub distilled_steps: Option<u32>,
    /// [`Recipe::distilled_guidance`].
    pub distilled_guidance: Option<f32>,
    /// [`Recipe::distilled_scheduler`]; the inner none is the pair's own.
    pub distilled_scheduler: Option<Option<SchedulerClass>>,
    /// Where the models shall run.
    pub device: Option<DevicePreference>,
    /// The manifest's address, relative to the page: a link can't name another host.
    pub pair: Option<String>,
}

impl Link {
    /// Reads a hash, with or without its `#`. What can't be read is left out of the link and
    /// reported, a sentence each.
    pub fn parse(hash: &str) -> (Link, Vec<LinkError>) {
        let mut link = Link::default();
        let mut errors = Vec::new();
        let hash = hash.strip_prefix('#').unwrap_or(hash);
        for part in hash.split('&').filter(|part| !part.is_empty()) {
            if let Err(error) = link.read(part) {
                errors.push(error);
            }
        }
        (link, errors)
    }

    /// The link of the controls: what differs from the pair's defaults, a device other than
    /// automatic, and a pair other than the page's own (which is none).
    pub fn of(
        recipe: &Recipe,
        defaults: &Recipe,
        device: DevicePreference,
        pair: Option<&str>,
    ) -> Link {
        fn changed<T: Clone + PartialEq>(value: &T, default: &T) -> Option<T> {
            (value != default).then(|| value.clone())
        }
        Link {
            prompt: changed(&recipe.prompt, &defaults.prompt),
            negative_prompt: changed(&recipe.negative_prompt, &defaults.negative_prompt),
            seed: changed(&recipe.seed, &defaults.seed),
            seed_count: changed(&recipe.seed_count, &defaults.seed_count),
            modes: changed(&recipe.modes, &defaults.modes),
            k: changed(&recipe.k, &defaults.k),
            hybrid_base_guidance: changed(
                &recipe.hybrid_base_guidance,
                &defaults.hybrid_base_guidance,
            ),
            hybrid_base_steps: changed(&recipe.hybrid_base_steps, &defaults.hybrid_base_steps),
            base_steps: changed(&recipe.base_steps, &defaults.base_steps),
            base_guidance: changed(&recipe.base_guidance, &defaults.base_guidance),
            base_scheduler: changed(&recipe.base_scheduler, &defaults.base_scheduler),
            distilled_steps: changed(&recipe.distilled_steps, &defaults.distilled_steps),
            distilled_guidance: changed(&recipe.distilled_guidance, &defaults.distilled_guidance),
            distilled_scheduler: changed(
                &recipe.distilled_scheduler,
                &defaults.distilled_scheduler,
            ),
            device: changed(&device, &DevicePreference::Automatic),
            pair: pair.map(str::to_owned),
        }
    }

    /// The recipe of this link on a pair with these defaults. Bounds that hold between parameters
    /// (k and the number of steps) are [`Recipe::validate`]'s.
    pub fn applied_to(&self, defaults: &Recipe) -> Recipe {
        let text = |value: &Option<String>, default: &String| {
            value.clone().unwrap_or_else(|| default.clone())
        };
        Recipe {
            prompt: text(&self.prompt, &defaults.prompt),
            negative_prompt: text(&self.negative_prompt, &defaults.negative_prompt),
            seed: self.seed.unwrap_or(defaults.seed),
            seed_count: self.seed_count.unwrap_or(defaults.seed_count),
            modes: self.modes.clone().unwrap_or_else(|| defaults.modes.clone()),
            axis: defaults.axis.clone(),
            k: self.k.unwrap_or(defaults.k),
            hybrid_base_guidance: self
                .hybrid_base_guidance
                .unwrap_or(defaults.hybrid_base_guidance),
            hybrid_base_steps: self.hybrid_base_steps.unwrap_or(defaults.hybrid_base_steps),
            base_steps: self.base_steps.unwrap_or(defaults.base_steps),
            base_guidance: self.base_guidance.unwrap_or(defaults.base_guidance),
            base_scheduler: self.base_scheduler.unwrap_or(defaults.base_scheduler),
            distilled_steps: self.distilled_steps.unwrap_or(defaults.distilled_steps),
            distilled_guidance: self
                .distilled_guidance
                .unwrap_or(defaults.distilled_guidance),
            distilled_scheduler: self
                .distilled_scheduler
                .unwrap_or(defaults.distilled_scheduler),
        }
    }

    /// Reads one `name=value`.
    fn read(&mut self, part: &str) -> Result<(), LinkError> {
        let (name, value) = part.split_once('=').ok_or_else(|| LinkError::NoValue {
            part: part.to_owned(),
        })?;
        let decode = |text: &str| {
            percent_decode(text).ok_or_else(|| LinkError::Encoding {
                part: part.to_owned(),
            })
        };
        let name = decode(name)?;
        let value = decode(value)?;
        let parameter = Parameter {
            name: &name,
            value: &value,
        };
        match name.as_str() {
            "prompt" => parameter.store(&mut self.prompt, Parameter::prompt),
            "negative-prompt" => parameter.store(&mut self.negative_prompt, Parameter::prompt),
            "seed" => parameter.store(&mut self.seed, |it| it.number(SEED)),
            "seed-count" => parameter.store(&mut self.seed_count, |it| it.number(SEED_COUNT)),
            "modes" => parameter.store(&mut self.modes, Parameter::modes),
            "k" => parameter.store(&mut self.k, |it| it.number(STEPS)),
            "base-guidance" => parameter.store(&mut self.hybrid_base_guidance, |it| {
                it.number(GUIDANCE_SCALE)
            }),
            "hybrid-base-steps" => parameter.store(&mut self.hybrid_base_steps, |it| {
                it.number(HYBRID_BASE_STEPS)
            }),
            "base-steps" => parameter.store(&mut self.base_steps, |it| it.number(STEPS)),
            "guidance" => parameter.store(&mut self.base_guidance, |it| it.number(GUIDANCE_SCALE)),
            "base-scheduler" => parameter.store(&mut self.base_scheduler, Parameter::scheduler),
            "distilled-steps" => parameter.store(&mut self.distilled_steps, |it| it.number(STEPS)),
            "distilled-guidance" => {
                parameter.store(&mut self.distilled_guidance, |it| it.number(GUIDANCE_SCALE))
            }
            "distilled-scheduler" => {
                parameter.store(&mut self.distilled_scheduler, Parameter::scheduler)
            }
            "device" => parameter.store(&mut self.device, Parameter::device),
            "pair" => parameter.store(&mut self.pair, Parameter::pair),
            _ => Err(LinkError::UnknownParameter { name }),
        }
    }
}

impl Display for Link {
    /// The hash without its `#`; empty where the link says nothing.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modes = self.modes.as_ref().map(|modes| {
            let keys: Vec<_> = modes.iter().map(|mode| mode.key()).collect();
            keys.join(",")
        });
        let scheduler = |choice: Option<Option<SchedulerClass>>| {
            choice.map(|class| class.map_or(OWN_SCHEDULER, SchedulerClass::key).to_owned())
        };
        let whole = |value: Option<u32>| value.map(|value| value.to_string());
        let scale = |value: Option<f32>| value.map(|value| value.to_string());
        let parameters = [
            ("pair", self.pair.clone()),
            ("prompt", self.prompt.clone()),
            ("negative-prompt", self.negative_prompt.clone()),
            ("seed", whole(self.seed)),
            ("seed-count", whole(self.seed_count)),
            ("modes", modes),
            ("k", whole(self.k)),
            ("base-guidance", scale(self.hybrid_base_guidance)),
            ("hybrid-base-steps", whole(self.hybrid_base_steps)),
            ("base-steps", whole(self.base_steps)),
            ("guidance", scale(self.base_guidance)),
            ("base-scheduler", scheduler(self.base_scheduler)),
            ("distilled-steps", whole(self.distilled_steps)),
            ("distilled-guidance", scale(self.distilled_guidance)),
            ("distilled-scheduler", scheduler(self.distilled_scheduler)),
            (
                "device",
                self.device.map(|device| device_key(device).to_owned()),
            ),
        ];
        let mut separator = "";
        for (name, value) in parameters {
            if let Some(value) = value {
                write!(formatter, "{separator}{name}={}", percent_encode(&value))?;
                separator = "&";
            }
        }
        Ok(())
    }
}

/// A parameter of a link, decoded.
#[derive(Clone, Copy)]
struct Parameter<'a> {
    name: &'a str,
    value: &'a str,
}

impl Parameter<'_> {
    /// Reads the value into its place, which has to be empty.
    fn store<T>(
        self,
        place: &mut Option<T>,
        read: impl FnOnce(Self) -> Result<T, LinkError>,
    ) -> Result<(), LinkError> {
        if place.is_some() {
            return Err(LinkError::GivenTwice {
                name: self.name.to_owned(),
            });
        }
        *place = Some(read(self)?);
        Ok(())
    }

    fn number<T>(self, bounds: Bounds<T>) -> Result<T, LinkError>
    where
        T: FromStr + PartialOrd,
        Bounds<T>: Display,
    {
        bounds
            .parse(self.value)
            .ok_or_else(|| self.bad_value(bounds.to_string()))
    }

    fn prompt(self) -> Result<String, LinkError> {
        let characters = self.value.chars().count();
        if characters > MAXIMUM_PROMPT_CHARACTERS {
            return Err(LinkError::PromptTooLong {
                name: self.name.to_owned(),
                characters,
            });
        }
        Ok(self.value.to_owned())
    }

    fn modes(self) -> Result<Vec<Mode>, LinkError> {
        let mut chosen = Vec::new();
        for key in self.value.split(',') {
            let mode = Mode::from_key(key.trim()).ok_or_else(|| {
                self.bad_value("a comma list of base, distilled, hybrid and skip".to_owned())
            })?;
            chosen.push(mode);
        }
        Ok(Mode::ALL
            .into_iter()
            .filter(|mode| chosen.contains(mode))
            .collect())
    }

    fn scheduler(self) -> Result<Option<SchedulerClass>, LinkError> {
        if self.value == OWN_SCHEDULER {
            return Ok(None);
        }
        SchedulerClass::from_key(self.value)
            .map(Some)
            .ok_or_else(|| {
                let keys: Vec<_> = SchedulerClass::ALL
                    .into_iter()
                    .map(SchedulerClass::key)
                    .collect();
                self.bad_value(format!("one of {} and {OWN_SCHEDULER}", keys.join(", ")))
            })
    }

    fn device(self) -> Result<DevicePreference, LinkError> {
        [
            DevicePreference::Automatic,
            DevicePreference::WebGpu,
            DevicePreference::Cpu,
        ]
        .into_iter()
        .find(|device| device_key(*device) == self.value)
        .ok_or_else(|| self.bad_value("automatic, webgpu or cpu".to_owned()))
    }

    /// An address on the page's own host. URL parsers drop tabs and line breaks and take `\` for
    /// `/`, so those can't be let through either.
    fn pair(self) -> Result<String, LinkError> {
        let names_host = self.value.starts_with('/')
            || self.value.contains([':', '\\'])
            || self.value.contains(char::is_whitespace)
            || self.value.contains(char::is_control);
        if self.value.is_empty() || names_host {
            return Err(self.bad_value(
                "the address of a manifest relative to this page, such as pairs/emoji/manifest.json"
                    .to_owned(),
            ));
        }
        Ok(self.value.to_owned())
    }

    fn bad_value(self, expected: String) -> LinkError {
        LinkError::BadValue {
            name: self.name.to_owned(),
            value: self.value.to_owned(),
            expected,
        }
    }
}

/// Why a part of a link is left out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LinkError {
    /// A part without `=`.
    #[error("The link's part “{part}” has no value, so it was left out.")]
    NoValue {
        /// The part as it stands in the link.
        part: String,
    },
    /// A `%` that no two hexadecimal digits follow, or bytes that are no UTF-8.
    #[error("The link's part “{part}” is wrongly percent-encoded, so it was left out.")]
    Encoding {
        /// The part as it stands in the link.
        part: String,
    },
    /// A name that no control has.
    #[error("The link sets “{name}”, which this page doesn't know, so it was left out.")]
    UnknownParameter {
        /// The name.
        name: String,
    },
    /// A parameter that comes again.
    #[error("The link sets {name} twice; the first value counts.")]
    GivenTwice {
        /// The parameter.
        name: String,
    },
    /// A value that the parameter doesn't take.
    #[error("The link's {name} is “{value}”, but it has to be {expected}, so it was left out.")]
    BadValue {
        /// The parameter.
        name: String,
        /// The value, decoded.
        value: String,
        /// What it has to be.
        expected: String,
    },
    /// A prompt over [`MAXIMUM_PROMPT_CHARACTERS`].
    #[error(
        "The link's {name} has {characters} characters, but {MAXIMUM_PROMPT_CHARACTERS} are the most, so it was left out."
    )]
    PromptTooLong {
        /// The parameter.
        name: String,
        /// How many it has.
        characters: usize,
    },
}

/// Undoes percent-encoding; none where it is broken. `+` is a space: both of the browser's
/// encoders (`encodeURIComponent` and `URLSearchParams`) write a plus sign as `%2B`.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let value = digit()? * 16 + digit()?;
                u8::try_from(value).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes all but what `encodeURIComponent` leaves as it is, the comma and the slash;
/// a fragment may hold those two, and they keep lists and addresses readable.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'(),/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Recipe {
        Recipe {
            prompt: "red apple".into(),
            negative_prompt: String::new(),
            seed: 1,
            seed_count: 4,
            modes: vec![Mode::Distilled, Mode::Hybrid, Mode::SkipFirstStep],
            axis: Default::default(),
            k: 1,
            hybrid_base_guidance: 0.0,
            hybrid_base_steps: 1,
            base_steps: 25,
            base_guidance: 5.0,
            base_scheduler: None,
            distilled_steps: 4,
            distilled_guidance: 0.0,
            distilled_scheduler: None,
        }
    }

    /// The sentences of a hash, all of which have to be about it.
    fn sentences(hash: &str) -> Vec<String> {
        let (_, errors) = Link::parse(hash);
        errors.iter().map(LinkError::to_string).collect()
    }

    #[test]
    fn a_familys_addresses_are_relative_to_the_manifest() {
        for (address, expected) in [
            ("pairs/emoji/manifest.json", "pairs/emoji/lcm.json"),
            ("pairs/emoji/manifest.json?from=a/b", "pairs/emoji/lcm.json"),
            ("manifest.json", "lcm.json"),
        ] {
            assert_eq!(beside(address, "lcm.json"), expected);
        }
    }

    #[test]
    fn every_parameter_sets_its_control() {
        let (link, errors) = Link::parse(
            "#prompt=a%20cat&negative-prompt=dog&seed=7&seed-count=2&modes=skip,base&k=2\
             &base-guidance=1.5&guidance=3&hybrid-base-steps=6&base-steps=12&distilled-steps=8\
             &distilled-guidance=2&base-scheduler=euler&distilled-scheduler=lcm&device=cpu\
             &pair=pairs/other/manifest.json",
        );
        assert_eq!(errors, []);
        assert_eq!(
            link.applied_to(&defaults()),
            Recipe {
                prompt: "a cat".into(),
                negative_prompt: "dog".into(),
                seed: 7,
                seed_count: 2,
                modes: vec![Mode::Base, Mode::SkipFirstStep],
                axis: Default::default(),
                k: 2,
                hybrid_base_guidance: 1.5,
                hybrid_base_steps: 6,
                base_steps: 12,
                base_guidance: 3.0,
                base_scheduler: SchedulerClass::from_key("euler"),
                distilled_steps: 8,
                distilled_guidance: 2.0,
                distilled_scheduler: SchedulerClass::from_key("lcm"),
            }
        );
        assert_eq!(link.device, Some(DevicePreference::Cpu));
        assert_eq!(link.pair.as_deref(), Some("pairs/other/manifest.json"));
    }

    #[test]
    fn absent_parameters_keep_the_defaults() {
        for hash in ["", "#", "#&&"] {
            let (link, errors) = Link::parse(hash);
            assert_eq!(errors, [], "{hash:?}");
            assert_eq!(link.applied_to(&defaults()), defaults(), "{hash:?}");
        }
        assert_eq!(
            Link::of(&defaults(), &defaults(), DevicePreference::Automatic, None).to_string(),
            ""
        );
    }

    #[test]
    fn a_link_of_the_controls_brings_them_back() {
        let recipe = Recipe {
            prompt: "50% off & “zwölf” = 12 #1, +1/2 🍎\nnext line".into(),
            negative_prompt: "a+b c".into(),
            seed: u32::MAX,
            seed_count: 16,
            modes: Mode::ALL.to_vec(),
            axis: Default::default(),
            k: 3,
            hybrid_base_guidance: 0.1,
            hybrid_base_steps: 25,
            base_steps: 100,
            base_guidance: 7.5,
            base_scheduler: SchedulerClass::from_key("euler-ancestral"),
            distilled_steps: 5,
            distilled_guidance: 1.0e-3,
            distilled_scheduler: SchedulerClass::from_key("ddim"),
        };
        let pair = Some("pairs/other/manifest.json");
        let link = Link::of(&recipe, &defaults(), DevicePreference::WebGpu, pair);
        let hash = link.to_string();
        assert!(
            hash.is_ascii() && !hash.contains(['#', ' ', '\n']),
            "{hash}"
        );
        let (read, errors) = Link::parse(&hash);
        assert_eq!(errors, []);
        assert_eq!(read, link);
        assert_eq!(read.applied_to(&defaults()), recipe);
    }

    #[test]
    fn a_link_can_take_back_what_the_defaults_set() {
        let mut special = defaults();
        special.base_scheduler = SchedulerClass::from_key("euler");
        special.negative_prompt = "text".into();
        let link = Link::of(&defaults(), &special, DevicePreference::Automatic, None);
        let (read, errors) = Link::parse(&link.to_string());
        assert_eq!(errors, []);
        assert_eq!(read.applied_to(&special), defaults());
    }

    #[test]
    fn plus_is_a_space_and_encoded_plus_is_a_plus() {
        let (link, _) = Link::parse("#prompt=red+apple%2Bpear");
        assert_eq!(link.prompt.as_deref(), Some("red apple+pear"));
    }

    #[test]
    fn a_bad_part_is_reported_and_the_rest_counts() {
        let (link, errors) = Link::parse("#seed=many&prompt=%zz&colour=red&k=2&alone");
        assert_eq!(link.k, Some(2));
        assert_eq!((link.seed, link.prompt.as_ref()), (None, None));
        let sentences: Vec<_> = errors.iter().map(LinkError::to_string).collect();
        assert_eq!(
            sentences,
            [
                "The link's seed is “many”, but it has to be a whole number from 0 to 4294967295, \
                 so it was left out.",
                "The link's part “prompt=%zz” is wrongly percent-encoded, so it was left out.",
                "The link sets “colour”, which this page doesn't know, so it was left out.",
                "The link's part “alone” has no value, so it was left out.",
            ]
        );
    }

    #[test]
    fn numbers_outside_of_their_bounds_are_refused() {
        for hash in [
            "seed=-1",
            "seed=4294967296",
            "seed=1.5",
            "seed=",
            "seed-count=0",
            "seed-count=17",
            "k=0",
            "base-steps=101",
            "distilled-steps=0",
            "hybrid-base-steps=26",
            "guidance=-0.5",
            "guidance=20.01",
            "base-guidance=NaN",
            "distilled-guidance=inf",
        ] {
            let (link, errors) = Link::parse(hash);
            assert_eq!(link, Link::default(), "{hash}");
            assert!(
                matches!(errors.as_slice(), [LinkError::BadValue { .. }]),
                "{hash}: {errors:?}"
            );
        }
    }

    #[test]
    fn unknown_words_are_refused() {
        for hash in [
            "modes=",
            "modes=hybrid,fast",
            "base-scheduler=heun",
            "distilled-scheduler=DDIM",
            "device=gpu",
        ] {
            let (link, errors) = Link::parse(hash);
            assert_eq!(link, Link::default(), "{hash}");
            assert_eq!(errors.len(), 1, "{hash}");
        }
    }

    #[test]
    fn a_link_names_no_host() {
        for pair in [
            "",
            "https%3A%2F%2Fexample.org%2Fmanifest.json",
            "//example.org/manifest.json",
            "/%09/example.org/manifest.json",
            "%09//example.org/manifest.json",
            "%5C%5Cexample.org%5Cmanifest.json",
            "javascript:alert(1)",
        ] {
            let (link, errors) = Link::parse(&format!("pair={pair}"));
            assert_eq!(link.pair, None, "{pair}");
            assert_eq!(errors.len(), 1, "{pair}");
        }
    }

    #[test]
    fn broken_encoding_is_refused() {
        for value in ["%", "%4", "%g0", "%+1", "%ff", "%c3%28", "%F0%9F"] {
            assert_eq!(sentences(&format!("prompt={value}")).len(), 1, "{value}");
        }
        // A character that the browser left as it is, even behind a percent sign.
        assert_eq!(sentences("prompt=%ä").len(), 1);
        assert_eq!(sentences("prompt=ä"), [""; 0]);
    }

    #[test]
    fn the_first_of_two_values_counts() {
        let (link, errors) = Link::parse("seed=1&seed=2");
        assert_eq!(link.seed, Some(1));
        assert_eq!(
            errors,
            [LinkError::GivenTwice {
                name: "seed".into()
            }]
        );
    }

    #[test]
    fn a_prompt_over_the_limit_is_refused() {
        let longest = "ä".repeat(MAXIMUM_PROMPT_CHARACTERS);
        let (link, errors) = Link::parse(&format!("prompt={longest}&negative-prompt={longest}a"));
        assert_eq!(link.prompt, Some(longest));
        assert_eq!(link.negative_prompt, None);
        assert_eq!(
            errors,
            [LinkError::PromptTooLong {
                name: "negative-prompt".into(),
                characters: MAXIMUM_PROMPT_CHARACTERS + 1,
            }]
        );
    }
}
