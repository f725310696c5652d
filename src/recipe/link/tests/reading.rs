//! What is read, and what is said of the rest.

use super::{defaults, said};
use crate::recipe::bounds::MAXIMUM_PROMPT_CHARACTERS;
use crate::recipe::device::DevicePreference;
use crate::recipe::link::Link;
use crate::recipe::link::error::LinkError;
use crate::recipe::link::reading::{MAXIMUM_ERRORS, MAXIMUM_HASH_BYTES};
use crate::recipe::pair_address::is_on_own_host;
use crate::recipe::random::Random;
use crate::recipe::size::ImageSize;
use crate::recipe::{Axis, Mode, Recipe};
use crate::sampler::SchedulerChoice;

/// The sentences of a hash, all of which have to be about it.
fn sentences(hash: &str) -> Vec<String> {
    let (_, errors) = Link::parse(hash);
    errors.iter().map(LinkError::to_string).collect()
}

#[test]
fn every_parameter_sets_its_control() {
    let (link, errors) = Link::parse(
        "#prompt=a%20cat&negative-prompt=dog&long-prompts=on&weighted-prompt=on&size=1152x896&seed=7\
         &seed-count=2&modes=skip,base&k=2&base-guidance=1.5&guidance=3&hybrid-base-steps=6&adaptive-k=3\
         &adaptive-threshold=0.25&base-steps=12&distilled-steps=8\
         &distilled-guidance=2&base-scheduler=euler&distilled-scheduler=lcm&device=cpu\
         &pair=pairs/other/manifest.json",
    );
    assert_eq!(errors, []);
    assert_eq!(
        link.applied_to(&defaults()),
        Recipe {
            prompt: "a cat".into(),
            negative_prompt: "dog".into(),
            long_prompts: true,
            weighted_prompt: true,
            size: Some(ImageSize::new(1152, 896)),
            seed: 7,
            seed_count: 2,
            modes: vec![Mode::Base, Mode::SkipFirstStep],
            axis: Default::default(),
            k: 2,
            hybrid_base_guidance: 1.5,
            hybrid_base_steps: 6,
            adaptive_k: 3,
            adaptive_threshold: 0.25,
            base_steps: 12,
            base_guidance: 3.0,
            base_scheduler: SchedulerChoice::from_key("euler"),
            distilled_steps: 8,
            distilled_guidance: 2.0,
            distilled_scheduler: SchedulerChoice::from_key("lcm"),
            adapters: Vec::new(),
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
fn plus_is_a_space_and_encoded_plus_is_a_plus() {
    let (link, _) = Link::parse("#prompt=red+apple%2Bpear");
    let prompt = said(&link, "prompt", |recipe| recipe.prompt.clone());
    assert_eq!(prompt.as_deref(), Some("red apple+pear"));
}

#[test]
fn a_bad_part_is_reported_and_the_rest_counts() {
    let (link, errors) = Link::parse("#seed=many&prompt=%zz&colour=red&k=2&alone");
    assert_eq!(said(&link, "k", |recipe| recipe.k), Some(2));
    assert_eq!(said(&link, "seed", |recipe| recipe.seed), None);
    assert_eq!(said(&link, "prompt", |recipe| recipe.prompt.clone()), None);
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
        "base-scheduler=lms",
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
    assert_eq!(said(&link, "seed", |recipe| recipe.seed), Some(1));
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
    let prompt = said(&link, "prompt", |recipe| recipe.prompt.clone());
    assert_eq!(prompt, Some(longest));
    let negative_prompt = said(&link, "negative-prompt", |recipe| {
        recipe.negative_prompt.clone()
    });
    assert_eq!(negative_prompt, None);
    assert_eq!(
        errors,
        [LinkError::PromptTooLong {
            name: "negative-prompt".into(),
            characters: MAXIMUM_PROMPT_CHARACTERS + 1,
        }]
    );
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
    let axis = said(&read, "axis", |recipe| recipe.axis.clone());
    assert_eq!(axis, Some(Axis::Prompts(vec!["a".into()])));
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
