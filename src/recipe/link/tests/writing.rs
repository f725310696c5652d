//! The address of the page, which says what differs from defaults.

use super::defaults;
use crate::recipe::device::DevicePreference;
use crate::recipe::link::Link;
use crate::recipe::random::Random;
use crate::recipe::{Axis, Mode, Recipe};
use crate::sampler::SchedulerChoice;

#[test]
fn a_link_of_the_controls_brings_them_back() {
    let recipe = Recipe {
        prompt: "50% off & “zwölf” = 12 #1, +1/2 🍎\nnext line".into(),
        negative_prompt: "a+b c".into(),
        seed: u32::MAX,
        seed_count: 16,
        modes: Mode::OF_THE_PAPER.to_vec(),
        k: 3,
        hybrid_base_guidance: 0.1,
        hybrid_base_steps: 25,
        base_steps: 100,
        base_guidance: 7.5,
        base_scheduler: SchedulerChoice::from_key("euler-ancestral"),
        distilled_steps: 5,
        distilled_guidance: 1.0e-3,
        distilled_scheduler: SchedulerChoice::from_key("ddim"),
        ..Recipe::default()
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
    special.base_scheduler = SchedulerChoice::from_key("euler");
    special.negative_prompt = "text".into();
    let link = Link::of(&defaults(), &special, DevicePreference::Automatic, None);
    let (read, errors) = Link::parse(&link.to_string());
    assert_eq!(errors, []);
    assert_eq!(read.applied_to(&special), defaults());
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
