//! The part of the page's address after `#`, as `prompt=red+apple&seed=3`: every control by name.
//!
//! There are two kinds of links, of the same parameters:
//!
//! - The address of the page follows its controls and can be typed: it says what differs from the
//!   pair's defaults, and what is absent keeps them ([`Link::of`]).
//! - A link to share is complete: it says its version and every parameter, so that it means the same
//!   when the defaults have changed, and ends with a checksum ([`Link::complete`]). The same recipe
//!   gives the same text.
//!
//! A parameter that can't be read is reported and left out; the rest of the link still counts. But
//! nothing counts of a link whose version is unknown or whose checksum doesn't fit: half of a recipe
//! that somebody shared would be another recipe.
//!
//! | parameter | what |
//! |---|---|
//! | `v` | [`LINK_VERSION`], in complete links |
//! | `prompt`, `negative-prompt` | text |
//! | `prompt-2` to `prompt-8` | further prompts, each with rows of its own |
//! | `seed`, `seed-count` | first seed and number of columns |
//! | `modes` | comma list of `base`, `distilled`, `hybrid`, `skip` |
//! | `k-values`, `base-guidance-values` | comma list: a row of the hybrid for each |
//! | `axis` | `modes`: rows differ in their mode alone, against a default that says otherwise; a link with a version that names no axis means this |
//! | `k`, `base-guidance`, `hybrid-base-steps` | the hybrid's |
//! | `base-steps`, `guidance`, `base-scheduler` | the base model's row |
//! | `distilled-steps`, `distilled-guidance`, `distilled-scheduler` | the distilled model's |
//! | `device` | `automatic`, `webgpu` or `cpu` |
//! | `pair` | the manifest's address, relative to the page |
//! | `digest` | the first cell's steps, to compare by: [`digest::to_text`] |
//! | `sum` | checksum of all before it, at the end of complete links |
//!
//! `k-values`, `base-guidance-values`, further prompts and `axis` exclude each other. The checksum is
//! FNV-1a in 32 bits as eight hexadecimal digits: it notices every change of one character, and all
//! but one in four billion of the others. (Base 64 would be shorter, but programs that look for
//! links in a text leave an underscore at their end out.) It is made of the text in the encoding of
//! [`Link`]'s `Display`, so that a program that encodes more or fewer characters on a link's way does
//! no harm.

use std::fmt::{self, Display, Write};
use std::str::FromStr;

use super::bounds::{Bounds, GUIDANCE_SCALE, HYBRID_BASE_STEPS, SEED, SEED_COUNT, STEPS};
use super::device::{DevicePreference, device_key};
use super::digest::{self, StepDigest};
use super::pair_address::is_on_own_host;
use super::{Axis, MAXIMUM_PROMPT_CHARACTERS, MAXIMUM_ROWS, Mode, Recipe};
use crate::sampler::SchedulerClass;

/// Raised when a link comes to mean something else.
pub const LINK_VERSION: u32 = 1;
/// The longest hash that is read, in bytes: nine prompts of the longest kind, each character of four
/// bytes and each byte as `%F0`, take 216,000, and digests of as many steps as an image can have
/// 10,000.
pub const MAXIMUM_HASH_BYTES: usize = 1 << 18;
/// The most errors of one link: nobody reads more sentences.
const MAXIMUM_ERRORS: usize = 16;
/// The most characters of a link's part that a sentence repeats.
const EXCERPT_CHARACTERS: usize = 80;

/// The word for a scheduler parameter's "the pair's own".
const OWN_SCHEDULER: &str = "pair";
/// The word for [`Axis::Modes`].
const NO_AXIS: &str = "modes";
/// What begins the names of further prompts, before their number.
const FURTHER_PROMPT: &str = "prompt-";
/// The number of the first further prompt: [`Recipe::prompt`] is the first of all.
const FIRST_FURTHER_PROMPT: usize = 2;

/// The beginning of a text from outside, short enough for a sentence.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
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
    /// [`Recipe::axis`].
    pub axis: Option<Axis>,
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
    /// The digests of the first cell's steps, from the first; empty where the link has none.
    pub digests: Vec<StepDigest>,
    /// Whether the link says its version, as those to share do; it is written with a checksum then.
    pub is_versioned: bool,
}

impl Link {
    /// Reads a hash, with or without its `#`. What can't be read is left out of the link and
    /// reported, a sentence each.
    pub fn parse(hash: &str) -> (Link, Vec<LinkError>) {
        let hash = hash.strip_prefix('#').unwrap_or(hash);
        if let Err(error) = check_whole(hash) {
            return (Link::default(), vec![error]);
        }
        let mut reading = Reading::default();
        let mut errors = Vec::new();
        for part in parts(hash) {
            if let Err(error) = reading.read(part) {
                errors.push(error);
            }
            if errors.len() == MAXIMUM_ERRORS {
                errors.push(LinkError::TooManyErrors);
                break;
            }
        }
        let (mut link, error) = reading.finish();
        errors.extend(error);
        if link.is_versioned {
            // Most recipes have neither: a link with a version that doesn't say them means none.
            link.negative_prompt.get_or_insert_default();
            link.axis.get_or_insert(Axis::Modes);
        }
        // What was left out has its sentence already.
        if link.is_versioned
            && errors.is_empty()
            && let Some(name) = link.first_missing()
        {
            errors.push(LinkError::Incomplete { name });
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
        Link::beside(recipe, Some(defaults), device, pair)
    }

    /// The link to share: the version, every number and text of the recipe, also those that its rows
    /// don't need, a device other than automatic, a pair other than the page's own (which is none),
    /// the digests of the first cell's steps as far as there are any, and a checksum.
    ///
    /// A recipe that [`Recipe::validate`] and the bounds here allow comes back whole from its text.
    pub fn complete(
        recipe: &Recipe,
        device: DevicePreference,
        pair: Option<&str>,
        digests: &[StepDigest],
    ) -> Link {
        Link {
            digests: digests.to_vec(),
            is_versioned: true,
            ..Link::beside(recipe, None, device, pair)
        }
    }

    /// What a link has to say of a recipe beside defaults; all of it, where there are none.
    fn beside(
        recipe: &Recipe,
        defaults: Option<&Recipe>,
        device: DevicePreference,
        pair: Option<&str>,
    ) -> Link {
        let said = Said { recipe, defaults };
        Link {
            prompt: said.where_changed(|recipe| &recipe.prompt),
            negative_prompt: said.where_changed(|recipe| &recipe.negative_prompt),
            seed: said.where_changed(|recipe| &recipe.seed),
            seed_count: said.where_changed(|recipe| &recipe.seed_count),
            modes: said.where_changed(|recipe| &recipe.modes),
            axis: said.where_changed(|recipe| &recipe.axis),
            k: said.where_changed(|recipe| &recipe.k),
            hybrid_base_guidance: said.where_changed(|recipe| &recipe.hybrid_base_guidance),
            hybrid_base_steps: said.where_changed(|recipe| &recipe.hybrid_base_steps),
            base_steps: said.where_changed(|recipe| &recipe.base_steps),
            base_guidance: said.where_changed(|recipe| &recipe.base_guidance),
            base_scheduler: said.where_changed(|recipe| &recipe.base_scheduler),
            distilled_steps: said.where_changed(|recipe| &recipe.distilled_steps),
            distilled_guidance: said.where_changed(|recipe| &recipe.distilled_guidance),
            distilled_scheduler: said.where_changed(|recipe| &recipe.distilled_scheduler),
            // No part of the recipe, and what their absence means never changes.
            device: (device != DevicePreference::Automatic).then_some(device),
            pair: pair.map(str::to_owned),
            digests: Vec::new(),
            is_versioned: false,
        }
    }

    /// Whether the link says its version and all of a recipe, so that no default counts.
    #[cfg(test)]
    fn is_complete(&self) -> bool {
        self.is_versioned && self.first_missing().is_none()
    }

    /// The first parameter of a recipe that the link doesn't say.
    fn first_missing(&self) -> Option<&'static str> {
        [
            ("prompt", self.prompt.is_some()),
            ("negative-prompt", self.negative_prompt.is_some()),
            ("seed", self.seed.is_some()),
            ("seed-count", self.seed_count.is_some()),
            ("modes", self.modes.is_some()),
            ("axis", self.axis.is_some()),
            ("k", self.k.is_some()),
            ("base-guidance", self.hybrid_base_guidance.is_some()),
            ("hybrid-base-steps", self.hybrid_base_steps.is_some()),
            ("base-steps", self.base_steps.is_some()),
            ("guidance", self.base_guidance.is_some()),
            ("base-scheduler", self.base_scheduler.is_some()),
            ("distilled-steps", self.distilled_steps.is_some()),
            ("distilled-guidance", self.distilled_guidance.is_some()),
            ("distilled-scheduler", self.distilled_scheduler.is_some()),
        ]
        .into_iter()
        .find_map(|(name, is_said)| (!is_said).then_some(name))
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
            axis: self.axis.clone().unwrap_or_else(|| defaults.axis.clone()),
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
}

/// A recipe, and the defaults that a link need not repeat.
struct Said<'a> {
    recipe: &'a Recipe,
    defaults: Option<&'a Recipe>,
}

impl Said<'_> {
    /// A part of the recipe, unless the defaults have the same.
    fn where_changed<T: Clone + PartialEq>(&self, part: impl Fn(&Recipe) -> &T) -> Option<T> {
        let value = part(self.recipe);
        let is_default = self
            .defaults
            .is_some_and(|defaults| part(defaults) == value);
        (!is_default).then(|| value.clone())
    }
}

/// The parts of a hash.
fn parts(hash: &str) -> impl Iterator<Item = &str> {
    hash.split('&').filter(|part| !part.is_empty())
}

/// A part's name and value, decoded.
fn name_and_value(part: &str) -> Result<(String, String), LinkError> {
    let (name, value) = part.split_once('=').ok_or_else(|| LinkError::NoValue {
        part: excerpt(part),
    })?;
    let decode = |text: &str| {
        percent_decode(text).ok_or_else(|| LinkError::Encoding {
            part: excerpt(part),
        })
    };
    Ok((decode(name)?, decode(value)?))
}

/// Whether the hash is short enough to be read, of a version that is known, and as it was written.
fn check_whole(hash: &str) -> Result<(), LinkError> {
    if hash.len() > MAXIMUM_HASH_BYTES {
        return Err(LinkError::TooLong { bytes: hash.len() });
    }
    let mut unknown_version = None;
    let mut before = String::new();
    let mut has_sum = false;
    let mut is_sound = true;
    for part in parts(hash) {
        // What follows a checksum was not there when it was made.
        is_sound &= !has_sum;
        let read = name_and_value(part);
        match &read {
            Ok((name, value)) if name == "v" && *value != LINK_VERSION.to_string() => {
                unknown_version.get_or_insert_with(|| excerpt(value));
            }
            Ok((name, value)) if name == "sum" => {
                has_sum = true;
                is_sound &= *value == checksum(&before);
                continue;
            }
            _ => {}
        }
        match read {
            Ok((name, value)) => push_parameter(&mut before, &name, &value),
            Err(_) => before.push_str(part),
        }
    }
    match unknown_version {
        // Another version may have another checksum; but one that is no number is damage.
        Some(version) if is_sound || version.parse::<u64>().is_ok() => {
            Err(LinkError::Version { version })
        }
        _ if !is_sound => Err(LinkError::Damaged),
        _ => Ok(()),
    }
}

/// FNV-1a of Fowler, Noll and Vo in 32 bits. Each byte permutes the state, so texts that differ in
/// one byte never have the same sum.
fn checksum(text: &str) -> String {
    let sum = text.bytes().fold(0x811c_9dc5_u32, |sum, byte| {
        (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{sum:08x}")
}

/// The same number, but 0 for −0, which is spelled otherwise and means the same.
fn without_negative_zero(number: f32) -> f32 {
    number + 0.0
}

/// A link that is being read.
#[derive(Default)]
struct Reading {
    link: Link,
    /// What the link's axis comes from; the axis is none as long as this is.
    axis_parameter: Option<String>,
    /// The further prompts by their numbers, while the link's axis holds none of them.
    further_prompts: [Option<String>; MAXIMUM_ROWS + 1 - FIRST_FURTHER_PROMPT],
    digests: Option<Vec<StepDigest>>,
}

impl Reading {
    /// Reads one `name=value`.
    fn read(&mut self, part: &str) -> Result<(), LinkError> {
        let (name, value) = name_and_value(part)?;
        let parameter = Parameter {
            name: &name,
            value: &value,
        };
        let link = &mut self.link;
        match name.as_str() {
            // Both were checked before.
            "v" => {
                link.is_versioned = true;
                Ok(())
            }
            "sum" => Ok(()),
            "prompt" => parameter.store(&mut link.prompt, Parameter::prompt),
            "negative-prompt" => parameter.store(&mut link.negative_prompt, Parameter::prompt),
            "seed" => parameter.store(&mut link.seed, |it| it.number(SEED)),
            "seed-count" => parameter.store(&mut link.seed_count, |it| it.number(SEED_COUNT)),
            "modes" => parameter.store(&mut link.modes, Parameter::modes),
            "axis" => self.read_axis(parameter, Parameter::no_axis),
            "k-values" => self.read_axis(parameter, |it| it.list(STEPS).map(Axis::K)),
            "base-guidance-values" => self.read_axis(parameter, |it| {
                let scales = it.list(GUIDANCE_SCALE)?;
                Ok(Axis::BaseGuidance(
                    scales.into_iter().map(without_negative_zero).collect(),
                ))
            }),
            "k" => parameter.store(&mut link.k, |it| it.number(STEPS)),
            "base-guidance" => parameter.store(&mut link.hybrid_base_guidance, Parameter::scale),
            "hybrid-base-steps" => parameter.store(&mut link.hybrid_base_steps, |it| {
                it.number(HYBRID_BASE_STEPS)
            }),
            "base-steps" => parameter.store(&mut link.base_steps, |it| it.number(STEPS)),
            "guidance" => parameter.store(&mut link.base_guidance, Parameter::scale),
            "base-scheduler" => parameter.store(&mut link.base_scheduler, Parameter::scheduler),
            "distilled-steps" => parameter.store(&mut link.distilled_steps, |it| it.number(STEPS)),
            "distilled-guidance" => parameter.store(&mut link.distilled_guidance, Parameter::scale),
            "distilled-scheduler" => {
                parameter.store(&mut link.distilled_scheduler, Parameter::scheduler)
            }
            "device" => parameter.store(&mut link.device, Parameter::device),
            "pair" => parameter.store(&mut link.pair, Parameter::pair),
            "digest" => parameter.store(&mut self.digests, Parameter::digests),
            _ => match parameter.further_prompt_number() {
                Some(number) => self.read_further_prompt(number, parameter),
                None => Err(LinkError::UnknownParameter {
                    name: excerpt(&name),
                }),
            },
        }
    }

    /// Reads a parameter that sets the whole axis.
    fn read_axis<'a>(
        &mut self,
        parameter: Parameter<'a>,
        read: impl FnOnce(Parameter<'a>) -> Result<Axis, LinkError>,
    ) -> Result<(), LinkError> {
        match &self.axis_parameter {
            Some(first) if first != parameter.name => Err(parameter.second_axis(first)),
            _ => {
                parameter.store(&mut self.link.axis, read)?;
                self.axis_parameter = Some(parameter.name.to_owned());
                Ok(())
            }
        }
    }

    /// Reads the further prompt of a number, which is at least [`FIRST_FURTHER_PROMPT`].
    fn read_further_prompt(
        &mut self,
        number: usize,
        parameter: Parameter<'_>,
    ) -> Result<(), LinkError> {
        if let Some(first) = &self.axis_parameter
            && !matches!(self.link.axis, Some(Axis::Prompts(_)))
        {
            return Err(parameter.second_axis(first));
        }
        let place = number
            .checked_sub(FIRST_FURTHER_PROMPT)
            .and_then(|index| self.further_prompts.get_mut(index))
            .ok_or_else(|| LinkError::NoSuchRow {
                name: excerpt(parameter.name),
            })?;
        parameter.store(place, Parameter::prompt)?;
        if self.axis_parameter.is_none() {
            self.axis_parameter = Some(parameter.name.to_owned());
            self.link.axis = Some(Axis::Prompts(Vec::new()));
        }
        Ok(())
    }

    /// The link, once every part is read, and what is wrong with its parts as a whole.
    fn finish(self) -> (Link, Option<LinkError>) {
        let mut link = self.link;
        link.digests = self.digests.unwrap_or_default();
        let mut error = None;
        if let Some(Axis::Prompts(further)) = &mut link.axis {
            let mut places = self.further_prompts.into_iter();
            let mut number = FIRST_FURTHER_PROMPT;
            for prompt in places.by_ref().map_while(|place| place) {
                further.push(prompt);
                number += 1;
            }
            error =
                places
                    .position(|place| place.is_some())
                    .map(|passed| LinkError::PromptMissing {
                        missing: number,
                        next: number + 1 + passed,
                    });
            if further.is_empty() {
                link.axis = None;
            }
        }
        (link, error)
    }
}

impl Display for Link {
    /// The hash without its `#`; empty where the link says nothing. The order is always this one,
    /// and each value has one spelling.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let mut push = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                push_parameter(&mut text, name, &value);
            }
        };
        let whole = |value: Option<u32>| value.map(|value| value.to_string());
        let spelled = |value: f32| without_negative_zero(value).to_string();
        let scale = |value: Option<f32>| value.map(spelled);
        let scheduler = |choice: Option<Option<SchedulerClass>>| {
            choice.map(|class| class.map_or(OWN_SCHEDULER, SchedulerClass::key).to_owned())
        };

        push("v", self.is_versioned.then(|| LINK_VERSION.to_string()));
        push("pair", self.pair.clone());
        push("prompt", self.prompt.clone());
        if let Some(Axis::Prompts(further)) = &self.axis {
            for (number, prompt) in (FIRST_FURTHER_PROMPT..).zip(further) {
                push(&format!("{FURTHER_PROMPT}{number}"), Some(prompt.clone()));
            }
        }
        // What complete links leave out where there is none: see [`Link::parse`].
        let negative_prompt = self.negative_prompt.clone();
        push(
            "negative-prompt",
            negative_prompt.filter(|text| !self.is_versioned || !text.is_empty()),
        );
        push("seed", whole(self.seed));
        push("seed-count", whole(self.seed_count));
        push(
            "modes",
            self.modes.as_ref().map(|modes| {
                let in_order = Mode::ALL.iter().filter(|mode| modes.contains(mode));
                comma_list(in_order.map(|mode| mode.key()))
            }),
        );
        match &self.axis {
            Some(Axis::Modes) if self.is_versioned => {}
            Some(Axis::Modes) => push("axis", Some(NO_AXIS.to_owned())),
            Some(Axis::K(values)) => push("k-values", Some(comma_list(values))),
            Some(Axis::BaseGuidance(values)) => push(
                "base-guidance-values",
                Some(comma_list(values.iter().copied().map(spelled))),
            ),
            Some(Axis::Prompts(_)) | None => {}
        }
        push("k", whole(self.k));
        push("base-guidance", scale(self.hybrid_base_guidance));
        push("hybrid-base-steps", whole(self.hybrid_base_steps));
        push("base-steps", whole(self.base_steps));
        push("guidance", scale(self.base_guidance));
        push("base-scheduler", scheduler(self.base_scheduler));
        push("distilled-steps", whole(self.distilled_steps));
        push("distilled-guidance", scale(self.distilled_guidance));
        push("distilled-scheduler", scheduler(self.distilled_scheduler));
        push(
            "device",
            self.device.map(|device| device_key(device).to_owned()),
        );
        push(
            "digest",
            (!self.digests.is_empty()).then(|| digest::to_text(&self.digests)),
        );
        if self.is_versioned {
            let sum = checksum(&text);
            push_parameter(&mut text, "sum", &sum);
        }
        formatter.write_str(&text)
    }
}

/// Appends `name=value` to a hash.
fn push_parameter(hash: &mut String, name: &str, value: &str) {
    if !hash.is_empty() {
        hash.push('&');
    }
    percent_encode(name, hash);
    hash.push('=');
    percent_encode(value, hash);
}

fn comma_list(values: impl IntoIterator<Item = impl ToString>) -> String {
    let values: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
    values.join(",")
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

    fn scale(self) -> Result<f32, LinkError> {
        self.number(GUIDANCE_SCALE).map(without_negative_zero)
    }

    /// A number for each of so many rows.
    fn list<T>(self, bounds: Bounds<T>) -> Result<Vec<T>, LinkError>
    where
        T: FromStr + PartialOrd,
        Bounds<T>: Display,
    {
        let values = self.value.split(',').count();
        if values > MAXIMUM_ROWS {
            return Err(LinkError::TooManyValues {
                name: self.name.to_owned(),
                values,
            });
        }
        let numbers: Option<Vec<T>> = self
            .value
            .split(',')
            .map(|value| bounds.parse(value))
            .collect();
        numbers.ok_or_else(|| self.bad_value(format!("a comma list, each {bounds}")))
    }

    fn no_axis(self) -> Result<Axis, LinkError> {
        if self.value == NO_AXIS {
            Ok(Axis::Modes)
        } else {
            Err(self.bad_value(NO_AXIS.to_owned()))
        }
    }

    /// The number in the name of a further prompt; none for any other name.
    fn further_prompt_number(self) -> Option<usize> {
        let digits = self.name.strip_prefix(FURTHER_PROMPT)?;
        let number: usize = digits.parse().ok()?;
        // One spelling: no sign, no zeros before it.
        (number >= FIRST_FURTHER_PROMPT && number.to_string() == digits).then_some(number)
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

    fn pair(self) -> Result<String, LinkError> {
        if !is_on_own_host(self.value) {
            return Err(self.bad_value(
                "the address of a manifest relative to this page, such as pairs/emoji/manifest.json"
                    .to_owned(),
            ));
        }
        Ok(self.value.to_owned())
    }

    fn digests(self) -> Result<Vec<StepDigest>, LinkError> {
        digest::from_text(self.value).ok_or_else(|| {
            self.bad_value(format!(
                "four letters, digits, hyphens or underscores for each of 1 to {} steps",
                digest::MAXIMUM_DIGESTS
            ))
        })
    }

    fn bad_value(self, expected: String) -> LinkError {
        LinkError::BadValue {
            name: self.name.to_owned(),
            value: excerpt(self.value),
            expected,
        }
    }

    fn second_axis(self, first: &str) -> LinkError {
        LinkError::SecondAxis {
            first: first.to_owned(),
            second: excerpt(self.name),
        }
    }
}

/// Why a part of a link is left out, or all of it. Parts that are repeated are shortened.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LinkError {
    /// A hash over [`MAXIMUM_HASH_BYTES`].
    #[error(
        "The link has {bytes} characters, more than any recipe takes, so nothing of it was applied: ask for the link again."
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A version other than [`LINK_VERSION`].
    #[error(
        "The link was made by a newer release of this page: it is of version “{version}”, and this page knows version {LINK_VERSION} alone, so nothing of it was applied. Reload the page to get its newest release."
    )]
    Version {
        /// The version, as it stands in the link.
        version: String,
    },
    /// A checksum that doesn't fit, or isn't at the end.
    #[error(
        "The link was damaged or edited: its checksum doesn't fit, so nothing of it was applied. Ask for the link again, or take “&sum=…” off its end to use it as it stands."
    )]
    Damaged,
    /// A link with a version that doesn't say all of a recipe. What it says counts.
    #[error(
        "The link was cut off or edited: it doesn't say its {name}. What it doesn't say is as this page has it; ask for the link again."
    )]
    Incomplete {
        /// The first parameter that is missing.
        name: &'static str,
    },
    /// So many errors that the parts after them were not read.
    #[error("Too many parts of the link can't be read, so the rest of it was left out.")]
    TooManyErrors,
    /// A list with more values than there can be rows.
    #[error(
        "The link's {name} has {values} values, but {MAXIMUM_ROWS} rows are the most, so it was left out."
    )]
    TooManyValues {
        /// The parameter.
        name: String,
        /// How many it has.
        values: usize,
    },
    /// A further prompt with a number above that of any row.
    #[error("The link sets {name}, but {MAXIMUM_ROWS} rows are the most, so it was left out.")]
    NoSuchRow {
        /// The parameter.
        name: String,
    },
    /// Further prompts whose numbers leave one out.
    #[error(
        "The link sets {FURTHER_PROMPT}{next} but not {FURTHER_PROMPT}{missing}, so the prompts from {FURTHER_PROMPT}{next} on were left out."
    )]
    PromptMissing {
        /// The number that is left out.
        missing: usize,
        /// The number that comes after it.
        next: usize,
    },
    /// Rows that differ in two things.
    #[error(
        "The link sets {first} and {second}, but the rows can differ in one thing alone, so {second} was left out."
    )]
    SecondAxis {
        /// The parameter that counts.
        first: String,
        /// The parameter that comes after it.
        second: String,
    },
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
fn percent_encode(text: &str, encoded: &mut String) {
    encoded.reserve(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'(),/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::random::Random;

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

    /// A grid of four rows and eight columns with the numbers of the pair that comes with the page,
    /// and the digests of 20 steps.
    fn shared() -> Link {
        let recipe = Recipe {
            prompt: "image of a dog face".into(),
            modes: Mode::ALL.to_vec(),
            seed_count: 8,
            ..defaults()
        };
        let mut random = Random(9);
        let digests: Vec<_> = (0..20)
            .map(|_| StepDigest(std::array::from_fn(|_| random.next() as u8)))
            .collect();
        Link::complete(&recipe, DevicePreference::Automatic, None, &digests)
    }

    #[test]
    fn a_shared_grid_is_short_and_says_everything() {
        let text = shared().to_string();
        // Another pair of the family, and a digest per step of its base row.
        let longest = Link {
            pair: Some("pairs/emoji/lightning.json".into()),
            digests: vec![StepDigest([7; 3]); 25],
            ..shared()
        };
        let longest = longest.to_string();
        assert!(longest.len() < 400, "{}: {longest}", longest.len());
        // The text itself, since links are kept for years.
        assert_eq!(
            text.replace(&digest::to_text(&shared().digests), "…"),
            "v=1&prompt=image%20of%20a%20dog%20face&seed=1&seed-count=8\
             &modes=base,distilled,hybrid,skip&k=1&base-guidance=0&hybrid-base-steps=1\
             &base-steps=25&guidance=5&base-scheduler=pair&distilled-steps=4\
             &distilled-guidance=0&distilled-scheduler=pair&digest=…&sum=ec8eaee6"
        );
    }

    #[test]
    fn the_checksum_is_fnv_1a() {
        // The authors' own test vectors.
        for (text, sum) in [("", "811c9dc5"), ("a", "e40c292c"), ("foobar", "bf9cf968")] {
            assert_eq!(checksum(text), sum);
        }
    }

    #[test]
    fn any_recipe_comes_back_from_its_complete_link() {
        let mut random = Random(10);
        for _ in 0..1000 {
            let recipe = random.recipe();
            let device = [
                DevicePreference::Automatic,
                DevicePreference::WebGpu,
                DevicePreference::Cpu,
            ][random.below(3)];
            let pair = [None, Some("pairs/ä&c/manifest.json")][random.below(2)];
            let digests: Vec<_> = (0..random.below(30))
                .map(|_| StepDigest(std::array::from_fn(|_| random.next() as u8)))
                .collect();
            let link = Link::complete(&recipe, device, pair, &digests);
            assert!(link.is_complete());
            let text = link.to_string();
            assert!(
                text.is_ascii() && !text.contains(['#', ' ', '"', '<', '`']),
                "{text}"
            );
            let (read, errors) = Link::parse(&text);
            assert_eq!(errors, [], "{text}");
            assert_eq!(read, link, "{text}");
            assert_eq!(read.to_string(), text);
            // Whatever the defaults of the pair are by then.
            for other in [defaults(), random.recipe()] {
                assert_eq!(read.applied_to(&other), recipe, "{text}");
            }
            let again = Link::complete(
                &read.applied_to(&defaults()),
                read.device.unwrap_or_default(),
                read.pair.as_deref(),
                &read.digests,
            );
            assert_eq!(again.to_string(), text);
        }
    }

    #[test]
    fn any_recipe_comes_back_from_the_pages_address() {
        let mut random = Random(11);
        for _ in 0..1000 {
            let (recipe, defaults) = (random.recipe(), random.recipe());
            let text = Link::of(&recipe, &defaults, DevicePreference::Automatic, None).to_string();
            assert!(!text.contains("v=1") && !text.contains("sum="), "{text}");
            let (read, errors) = Link::parse(&text);
            assert_eq!(errors, [], "{text}");
            assert!(!read.is_complete());
            assert_eq!(read.applied_to(&defaults), recipe, "{text}");
        }
    }

    #[test]
    fn the_longest_recipe_fits() {
        let prompt = "\u{10ffff}".repeat(MAXIMUM_PROMPT_CHARACTERS);
        let recipe = Recipe {
            prompt: prompt.clone(),
            negative_prompt: prompt.clone(),
            modes: vec![Mode::Distilled],
            axis: Axis::Prompts(vec![prompt; MAXIMUM_ROWS - 1]),
            ..defaults()
        };
        let digests = vec![StepDigest([255; 3]); digest::MAXIMUM_DIGESTS];
        let link = Link::complete(&recipe, DevicePreference::Automatic, None, &digests);
        assert_eq!(Link::parse(&link.to_string()), (link, vec![]));
    }

    #[test]
    fn a_number_has_one_spelling() {
        let (read, errors) = Link::parse(
            "k=%2002&guidance=1.50&base-guidance=-0&distilled-guidance=1e-1&seed=+7\
             &modes=skip,base,skip",
        );
        assert_eq!(errors, []);
        assert_eq!(
            read.to_string(),
            "seed=7&modes=base,skip&k=2&base-guidance=0&guidance=1.5&distilled-guidance=0.1"
        );
        let negative_zero = Recipe {
            base_guidance: -0.0,
            axis: Axis::BaseGuidance(vec![-0.0, 2.5]),
            ..defaults()
        };
        let link = Link::complete(&negative_zero, DevicePreference::Automatic, None, &[]);
        assert!(!link.to_string().contains("-0"), "{link}");
        let (read, _) = Link::parse("base-guidance-values=-0,1");
        assert_eq!(read.to_string(), "base-guidance-values=0,1");
    }

    #[test]
    fn any_damaged_character_is_noticed() {
        let recipe = Recipe {
            prompt: "50% “größer” & 🍎, done".into(),
            axis: Axis::BaseGuidance(vec![0.0, 2.5]),
            ..defaults()
        };
        let prompts = Recipe {
            modes: vec![Mode::Hybrid],
            axis: Axis::Prompts(vec!["pear".into(), String::new()]),
            ..recipe.clone()
        };
        let pair = Some("pairs/emoji/lcm.json");
        let links = [
            shared(),
            Link::complete(&recipe, DevicePreference::Cpu, pair, &[StepDigest([1; 3])]),
            Link::complete(&prompts, DevicePreference::Automatic, None, &[]),
        ];
        for link in links {
            let text = link.to_string();
            let end = text.rfind('&').unwrap();
            for index in 0..text.len() {
                for other in (0..0x80).map(char::from).chain(['é', '🍎']) {
                    if text[index..].starts_with(other) {
                        continue;
                    }
                    let changed = format!("{}{other}{}", &text[..index], &text[index + 1..]);
                    let (read, errors) = Link::parse(&changed);
                    // Small letters in a percent-encoding are the same text.
                    assert!(!errors.is_empty() || read == link, "{changed}");
                    // Without the checksum's name, or the separator before it, the link is one that
                    // somebody has edited.
                    let has_sum = index < end || index > end + "&sum".len();
                    assert!(!has_sum || read == link || read == Link::default());
                }
            }
        }
    }

    #[test]
    fn a_link_that_was_cut_off_is_noticed() {
        let link = shared();
        let text = link.to_string();
        for end in 1..text.len() {
            let (read, errors) = Link::parse(&text[..end]);
            let is_whole =
                read.is_complete() && read.applied_to(&defaults()) == link.applied_to(&defaults());
            assert!(!errors.is_empty() || is_whole, "{}", &text[..end]);
        }
        let (read, errors) = Link::parse("v=1&prompt=a");
        assert_eq!(read.prompt.as_deref(), Some("a"));
        assert_eq!(errors, [LinkError::Incomplete { name: "seed" }]);
    }

    #[test]
    fn encoding_more_or_less_is_no_damage() {
        let recipe = Recipe {
            prompt: "(apple), it's fine~ /".into(),
            ..defaults()
        };
        let link = Link::complete(&recipe, DevicePreference::Automatic, None, &[]);
        let text = link.to_string();
        for changed in [
            text.replace(',', "%2C"),
            text.replace('(', "%28").replace('\'', "%27"),
            text.replace("%20", "+"),
            text.replace("%20", " "),
            format!("#{text}&"),
        ] {
            assert_ne!(changed, text);
            assert_eq!(Link::parse(&changed), (link.clone(), vec![]), "{changed}");
        }
    }

    #[test]
    fn nothing_of_a_damaged_or_newer_link_counts() {
        let text = shared().to_string();
        let (without_sum, _) = text.rsplit_once('&').unwrap();
        let (read, errors) = Link::parse(without_sum);
        assert_eq!((read, errors), (shared(), vec![]));

        for damaged in [
            text.replace("seed=1", "seed=2"),
            text.replace("v=1&", ""),
            text.replace("v=1&", "v=1"),
            format!("{text}&seed=2"),
            format!("{text}&{text}"),
            "sum=".into(),
            "sum=00000000&seed=2".into(),
        ] {
            assert_eq!(
                Link::parse(&damaged),
                (Link::default(), vec![LinkError::Damaged]),
                "{damaged}"
            );
        }
        for version in ["0", "2", "18446744073709551615"] {
            let expected = LinkError::Version {
                version: version.into(),
            };
            for newer in [
                format!("v={version}&seed=2"),
                format!("seed=2&further=1&v={version}"),
                format!("v=1&seed=2&v={version}"),
                text.replace("v=1&", &format!("v={version}&")),
            ] {
                assert_eq!(
                    Link::parse(&newer),
                    (Link::default(), vec![expected.clone()]),
                    "{newer}"
                );
            }
            assert!(expected.to_string().contains("made by a newer release"));
        }
        let (read, errors) = Link::parse("v=one&seed=2");
        assert_eq!((read, errors.len()), (Link::default(), 1));
    }

    #[test]
    fn the_axis_is_read() {
        for (hash, axis) in [
            ("axis=modes", Axis::Modes),
            ("k-values=3,1,2", Axis::K(vec![3, 1, 2])),
            (
                "base-guidance-values=0,2.5",
                Axis::BaseGuidance(vec![0.0, 2.5]),
            ),
            (
                "prompt-3=&prompt-2=a,+b",
                Axis::Prompts(vec!["a, b".into(), String::new()]),
            ),
        ] {
            let (link, errors) = Link::parse(hash);
            assert_eq!(errors, [], "{hash}");
            assert_eq!(link.applied_to(&defaults()).axis, axis);
            let recipe = link.applied_to(&defaults());
            let other = Recipe {
                axis: Axis::K(vec![1]),
                ..defaults()
            };
            let written = Link::of(&recipe, &other, DevicePreference::Automatic, None).to_string();
            let (read, errors) = Link::parse(&written);
            assert_eq!((read.applied_to(&other), errors), (recipe, vec![]));
        }
    }

    #[test]
    fn rows_that_can_not_be_are_reported() {
        let (link, _) = Link::parse("k-values=1,2");
        for (hash, sentence, expected) in [
            (
                "k-values=1,2&base-guidance-values=0",
                "The link sets k-values and base-guidance-values, but the rows can differ in one \
                 thing alone, so base-guidance-values was left out.",
                &link,
            ),
            (
                "k-values=1,2&prompt-2=a",
                "The link sets k-values and prompt-2, but the rows can differ in one thing alone, \
                 so prompt-2 was left out.",
                &link,
            ),
            (
                "k-values=1,2&k-values=3",
                "The link sets k-values twice; the first value counts.",
                &link,
            ),
            (
                "k-values=1,2,3,4,5,6,7,8,9",
                "The link's k-values has 9 values, but 8 rows are the most, so it was left out.",
                &Link::default(),
            ),
            (
                "k-values=1,101",
                "The link's k-values is “1,101”, but it has to be a comma list, each a whole \
                 number from 1 to 100, so it was left out.",
                &Link::default(),
            ),
            (
                "axis=k",
                "The link's axis is “k”, but it has to be modes, so it was left out.",
                &Link::default(),
            ),
            (
                "prompt-9=a",
                "The link sets prompt-9, but 8 rows are the most, so it was left out.",
                &Link::default(),
            ),
            (
                "prompt-3=a",
                "The link sets prompt-3 but not prompt-2, so the prompts from prompt-3 on were \
                 left out.",
                &Link::default(),
            ),
        ] {
            let (read, errors) = Link::parse(hash);
            let sentences: Vec<_> = errors.iter().map(LinkError::to_string).collect();
            assert_eq!(sentences, [sentence]);
            assert_eq!(&read, expected, "{hash}");
        }
        for hash in [
            "k-values=",
            "base-guidance-values=1,,2",
            "base-guidance-values=NaN",
            "prompt-1=a",
            "prompt-02=a",
            "prompt-+2=a",
            "prompt-=a",
            "prompt-99999999999999999999999=a",
            "digest=",
            "digest=AAA",
            "digest=AA%3D%3D",
        ] {
            let (read, errors) = Link::parse(hash);
            assert_eq!((read, errors.len()), (Link::default(), 1), "{hash}");
        }
        let (read, errors) = Link::parse("prompt-2=a&prompt-4=c&prompt-5=d");
        assert_eq!(read.axis, Some(Axis::Prompts(vec!["a".into()])));
        assert_eq!(
            errors,
            [LinkError::PromptMissing {
                missing: 3,
                next: 4
            }]
        );
        // More rows than there can be, though each list is short enough.
        let (read, errors) =
            Link::parse("modes=base,distilled,hybrid&prompt-2=a&prompt-3=b&prompt-4=c");
        assert_eq!(errors, []);
        assert!(read.applied_to(&defaults()).validate().is_err());
    }

    #[test]
    fn a_hash_and_its_sentences_are_bounded() {
        let (read, errors) = Link::parse(&"a".repeat(MAXIMUM_HASH_BYTES + 1));
        assert_eq!(
            (read, errors),
            (
                Link::default(),
                vec![LinkError::TooLong {
                    bytes: MAXIMUM_HASH_BYTES + 1
                }]
            )
        );
        for pattern in [
            "a&",
            "a=&",
            "prompt-9=&",
            "modes=base&",
            "v=1&",
            "k=%&",
            "&",
            "🍎=1&",
        ] {
            let (_, errors) = Link::parse(&pattern.repeat(MAXIMUM_HASH_BYTES / pattern.len()));
            assert!(errors.len() <= MAXIMUM_ERRORS + 1, "{pattern}");
        }
        for hash in [
            "{}",
            "{}=1",
            "pair=:{}",
            "v={}",
            "k={}",
            "k-values={}",
            "modes={}",
        ] {
            let hash = hash.replace("{}", &"漢".repeat(50_000));
            let (read, errors) = Link::parse(&hash);
            assert_eq!((read, errors.len()), (Link::default(), 1));
            assert!(errors[0].to_string().chars().count() < 400);
        }
    }

    #[test]
    fn any_hash_is_read() {
        let names = [
            "v",
            "sum",
            "prompt",
            "prompt-2",
            "prompt-3",
            "prompt-8",
            "negative-prompt",
            "seed",
            "seed-count",
            "modes",
            "axis",
            "k-values",
            "base-guidance-values",
            "k",
            "base-guidance",
            "hybrid-base-steps",
            "guidance",
            "base-scheduler",
            "distilled-steps",
            "device",
            "pair",
            "digest",
        ];
        let values = [
            "1",
            "2",
            "0",
            "-0",
            "1,2",
            "0,2.5",
            "hybrid",
            "base,hybrid,skip",
            "modes",
            "ddim",
            "pair",
            "cpu",
            "AAAA",
            "811c9dc5",
            "%F0%9F",
            "NaN",
            "1e40",
            "",
        ];
        let alphabet: Vec<char> = "v1&&==%%2FfF+#,-.aé漢🍎\0 \n".chars().collect();
        let mut random = Random(12);
        let mut recipes = 0;
        for _ in 0..20_000 {
            let mut hash = random.text(&alphabet, 12);
            for _ in 0..random.below(6) {
                let value = match random.below(4) {
                    0 => random.text(&alphabet, 6),
                    _ => values[random.below(values.len())].to_owned(),
                };
                hash += &format!("&{}={value}", names[random.below(names.len())]);
            }
            let (link, errors) = Link::parse(&hash);
            for error in errors {
                assert!(error.to_string().ends_with('.'), "{error}");
            }
            assert!(link.pair.as_deref().is_none_or(is_on_own_host));
            // What was read is written and read again as it is.
            let (read, errors) = Link::parse(&link.to_string());
            assert_eq!(read, link, "{hash}");
            let is_incomplete = link.is_versioned && !link.is_complete();
            assert_eq!(errors.len(), usize::from(is_incomplete), "{hash}");
            match link.applied_to(&defaults()).validate() {
                Ok(()) => recipes += 1,
                Err(error) => assert!(error.to_string().ends_with('.'), "{error}"),
            }
        }
        assert!((5_000..20_000).contains(&recipes), "{recipes}");
    }
}
