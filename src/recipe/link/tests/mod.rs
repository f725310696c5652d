//! Links, read and written.

mod complete;
mod reading;
mod readme;
mod writing;

use super::Link;
use crate::recipe::device::DevicePreference;
use crate::recipe::digest::StepDigest;
use crate::recipe::parameters::Parameter;
use crate::recipe::random::Random;
use crate::recipe::{Mode, Recipe};

pub fn defaults() -> Recipe {
    Recipe {
        prompt: "red apple".into(),
        seed: 1,
        seed_count: 4,
        modes: vec![Mode::Distilled, Mode::Hybrid, Mode::SkipFirstStep],
        k: 1,
        hybrid_base_guidance: 0.0,
        hybrid_base_steps: 1,
        base_steps: 25,
        base_guidance: 5.0,
        distilled_steps: 4,
        distilled_guidance: 0.0,
        ..Recipe::default()
    }
}

/// A grid of four rows and eight columns with the numbers of the pair that comes with the page,
/// and the digests of 20 steps.
pub fn shared() -> Link {
    let recipe = Recipe {
        prompt: "image of a dog face".into(),
        modes: Mode::OF_THE_PAPER.to_vec(),
        seed_count: 8,
        ..defaults()
    };
    let mut random = Random(9);
    let digests: Vec<_> = (0..20)
        .map(|_| StepDigest(std::array::from_fn(|_| random.next() as u8)))
        .collect();
    Link::complete(&recipe, DevicePreference::Automatic, None, &digests)
}

/// A value of a link, if the link says that parameter.
pub fn said<T>(link: &Link, name: &str, value: impl Fn(&Recipe) -> T) -> Option<T> {
    let parameter = Parameter::of_name(name).unwrap();
    link.recipe
        .has(parameter)
        .then(|| value(link.recipe.values()))
}
