//! A link as text.

use std::fmt::{self, Display};

use super::encoding::{checksum, push_name, push_parameter};
use super::{LINK_VERSION, Link, names};
use crate::recipe::device::DevicePreference;
use crate::recipe::parameters::{PARAMETERS, place, without_negative_zero};
use crate::recipe::{Axis, Recipe, digest};

impl Display for Link {
    /// The hash without its `#`; empty where the link says nothing. The order is always this one,
    /// and each value has one spelling.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hash = String::new();
        let mut push = |name: &str, value: &str| push_parameter(&mut hash, name, value);
        if self.is_versioned {
            push(names::VERSION, &LINK_VERSION.to_string());
        }
        if let Some(pair) = &self.pair {
            push(names::PAIR, pair);
        }
        let recipe = self.recipe.values();
        for (index, parameter) in PARAMETERS.iter().enumerate() {
            let is_left_out = self.is_versioned
                && parameter.is_optional
                && parameter.is_same(recipe, &Recipe::default());
            if self.recipe.has(parameter)
                && !is_left_out
                && let Some(value) = parameter.spell(recipe)
            {
                push(parameter.name, &value);
            }
            // The values of an axis stand under names of their own.
            match (index, &recipe.axis) {
                (place::PROMPT, Axis::Prompts(further)) => {
                    for (number, prompt) in (names::FIRST_FURTHER_PROMPT..).zip(further) {
                        push(&names::further_prompt(number), prompt);
                    }
                }
                (place::AXIS, Axis::K(values)) => push(names::K_VALUES, &comma_list(values)),
                (place::AXIS, Axis::BaseGuidance(values)) => {
                    let values = values.iter().copied().map(without_negative_zero);
                    push(names::BASE_GUIDANCE_VALUES, &comma_list(values));
                }
                (place::AXIS, Axis::AdapterStrength(values)) => {
                    let values = values.iter().copied().map(without_negative_zero);
                    push(names::ADAPTER_STRENGTHS, &comma_list(values));
                }
                _ => {}
            }
        }
        if let Some(device) = self.device.map(DevicePreference::key) {
            push(names::DEVICE, device);
        }
        if !self.digests.is_empty() {
            push(names::DIGEST, &digest::to_text(&self.digests));
        }
        if self.is_versioned {
            let sum = checksum(&hash);
            push_parameter(&mut hash, names::SUM, &sum);
        }
        if self.shows_stats {
            push_name(&mut hash, names::STATS);
        }
        formatter.write_str(&hash)
    }
}

fn comma_list(values: impl IntoIterator<Item = impl ToString>) -> String {
    let values: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
    values.join(",")
}
