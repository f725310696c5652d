//! A link from text.

use super::encoding::{checksum, push_parameter};
use super::error::LinkError;
use super::part::Part;
use super::{LINK_VERSION, Link, names};
use crate::recipe::bounds::MAXIMUM_ROWS;
use crate::recipe::digest::StepDigest;
use crate::recipe::excerpt::excerpt;
use crate::recipe::parameters::{Kind, PARAMETERS, Parameter, place};
use crate::recipe::{Axis, Recipe};

/// The longest hash that is read, in bytes: nine prompts of the longest kind, each character of four
/// bytes and each byte as `%F0`, take 216,000, and digests of as many steps as an image can have
/// 10,000.
pub const MAXIMUM_HASH_BYTES: usize = 1 << 18;
/// The most errors of one link: nobody reads more sentences.
pub(super) const MAXIMUM_ERRORS: usize = 16;

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
            for parameter in &PARAMETERS {
                if parameter.is_optional && !link.recipe.has(parameter) {
                    link.recipe.copy(parameter, &Recipe::default());
                }
            }
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
}

/// The parts of a hash.
fn parts(hash: &str) -> impl Iterator<Item = &str> {
    hash.split('&').filter(|part| !part.is_empty())
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
    for text in parts(hash) {
        let part = Part::decode(text);
        // Whoever asks for measurements puts that on a link that somebody else has made.
        if part.as_ref().is_ok_and(|part| part.name == names::STATS) {
            continue;
        }
        // What follows a checksum was not there when it was made.
        is_sound &= !has_sum;
        let Ok(part) = part else {
            before.push_str(text);
            continue;
        };
        match part.name.as_str() {
            names::SUM => {
                has_sum = true;
                is_sound &= part.value == checksum(&before);
                continue;
            }
            names::VERSION if part.value != LINK_VERSION.to_string() => {
                unknown_version.get_or_insert_with(|| excerpt(&part.value));
            }
            _ => {}
        }
        push_parameter(&mut before, &part.name, &part.value);
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

/// A link that is being read.
#[derive(Default)]
struct Reading {
    /// Its axis and digests are yet missing.
    link: Link,
    /// What the rows differ in, and the name of the first part that says so.
    axis: Option<(String, Axis)>,
    /// The further prompts by their numbers, while the axis holds none of them.
    further_prompts: [Option<String>; MAXIMUM_ROWS + 1 - names::FIRST_FURTHER_PROMPT],
    digests: Option<Vec<StepDigest>>,
}

impl Reading {
    /// Reads one `name=value`.
    fn read(&mut self, part: &str) -> Result<(), LinkError> {
        let part = Part::decode(part)?;
        let link = &mut self.link;
        match part.name.as_str() {
            // Version and checksum have been compared before.
            names::VERSION => {
                link.is_versioned = true;
                return Ok(());
            }
            names::SUM => return Ok(()),
            names::K_VALUES => return self.read_axis(&part, Part::k_values),
            names::BASE_GUIDANCE_VALUES => {
                return self.read_axis(&part, Part::base_guidance_values);
            }
            names::ADAPTER_STRENGTHS => return self.read_axis(&part, Part::adapter_strengths),
            names::DEVICE => return part.store(&mut link.device, Part::device),
            names::PAIR => return part.store(&mut link.pair, Part::pair),
            names::DIGEST => return part.store(&mut self.digests, Part::digests),
            names::STATS => {
                // To ask twice is no contradiction.
                link.shows_stats = part.stats()?;
                return Ok(());
            }
            _ => {}
        }
        if let Some(number) = names::further_prompt_number(&part.name) {
            return self.read_further_prompt(number, &part);
        }
        match Parameter::of_name(&part.name) {
            Some(parameter) if matches!(parameter.kind, Kind::Axis(_)) => {
                self.read_axis(&part, Part::axis)
            }
            Some(parameter) => part.store_in(&mut link.recipe, parameter),
            None => Err(LinkError::UnknownParameter {
                name: excerpt(&part.name),
            }),
        }
    }

    /// Reads a part that sets the whole axis.
    fn read_axis(
        &mut self,
        part: &Part,
        read: impl FnOnce(&Part) -> Result<Axis, LinkError>,
    ) -> Result<(), LinkError> {
        match &self.axis {
            Some((first, _)) if *first != part.name => Err(part.second_axis(first)),
            _ => part.store(&mut self.axis, |part| Ok((part.name.clone(), read(part)?))),
        }
    }

    /// Reads the further prompt of a number, which is at least [`names::FIRST_FURTHER_PROMPT`].
    fn read_further_prompt(&mut self, number: usize, part: &Part) -> Result<(), LinkError> {
        if let Some((first, axis)) = &self.axis
            && !matches!(axis, Axis::Prompts(_))
        {
            return Err(part.second_axis(first));
        }
        let place = number
            .checked_sub(names::FIRST_FURTHER_PROMPT)
            .and_then(|index| self.further_prompts.get_mut(index))
            .ok_or_else(|| LinkError::NoSuchRow {
                name: excerpt(&part.name),
            })?;
        part.store(place, Part::prompt)?;
        self.axis
            .get_or_insert_with(|| (part.name.clone(), Axis::Prompts(Vec::new())));
        Ok(())
    }

    /// The link, once every part is read, and what is wrong with its parts as a whole.
    fn finish(self) -> (Link, Option<LinkError>) {
        let mut link = self.link;
        link.digests = self.digests.unwrap_or_default();
        let mut error = None;
        let axis = match self.axis {
            Some((_, Axis::Prompts(mut further))) => {
                let mut places = self.further_prompts.into_iter();
                let mut number = names::FIRST_FURTHER_PROMPT;
                for prompt in places.by_ref().map_while(|place| place) {
                    further.push(prompt);
                    number += 1;
                }
                let passed = places.position(|place| place.is_some());
                error = passed.map(|passed| LinkError::PromptMissing {
                    missing: number,
                    next: number + 1 + passed,
                });
                (!further.is_empty()).then_some(Axis::Prompts(further))
            }
            other => other.map(|(_, axis)| axis),
        };
        if let Some(axis) = axis {
            let recipe = Recipe {
                axis,
                ..Recipe::default()
            };
            link.recipe.copy(&PARAMETERS[place::AXIS], &recipe);
        }
        (link, error)
    }
}
