//! Links to share.

use super::{defaults, said, shared};
use crate::recipe::bounds::{MAXIMUM_PROMPT_CHARACTERS, MAXIMUM_ROWS};
use crate::recipe::device::DevicePreference;
use crate::recipe::digest::{self, StepDigest};
use crate::recipe::link::Link;
use crate::recipe::link::error::LinkError;
use crate::recipe::random::Random;
use crate::recipe::{Axis, Mode, Recipe};

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
    let prompt = said(&read, "prompt", |recipe| recipe.prompt.clone());
    assert_eq!(prompt.as_deref(), Some("a"));
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
fn asking_for_measurements_is_no_damage() {
    let text = shared().to_string();
    let asking = Link {
        shows_stats: true,
        ..shared()
    };
    for changed in [
        format!("{text}&stats"),
        format!("stats&{text}"),
        format!("{text}&stats=&stats"),
    ] {
        assert_eq!(Link::parse(&changed), (asking.clone(), vec![]), "{changed}");
    }
    assert_eq!(asking.to_string(), format!("{text}&stats"));
    let (read, errors) = Link::parse(&format!("{text}&stats=yes"));
    assert_eq!(read, shared());
    assert_eq!(
        errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["The link's stats is “yes”, but it has to be without a value, so it was left out."]
    );
}
