//! Experiments as grids, files and links.

use std::collections::BTreeMap;

use super::prompts::{of_csv, of_lines};
use super::{Experiment, ExperimentError, ExperimentFile, PictureId, Study, is_link};
use crate::recipe::adapters::AdapterUse;
use crate::recipe::random::Random;
use crate::recipe::validate::RecipeError;
use crate::recipe::{Axis, Mode, Recipe, Variant};

fn settings() -> Recipe {
    Recipe {
        modes: vec![Mode::Base, Mode::Distilled, Mode::Hybrid],
        seed: u32::MAX - 3,
        seed_count: 1,
        k: 1,
        hybrid_base_steps: 1,
        base_steps: 25,
        base_guidance: 7.5,
        distilled_steps: 4,
        ..Recipe::default()
    }
}

fn experiment(study: Study) -> Experiment {
    Experiment {
        study,
        pair: "pairs/emoji/manifest.json".into(),
        prompts: vec!["a dog".into(), "a \"cat\" & 100 % é".into()],
        images: 35,
        settings: settings(),
    }
}

fn studies() -> Vec<Experiment> {
    let mut transfer = experiment(Study::Transfer(vec![-1.0, 1.0, 2.5]));
    transfer.settings.adapters = vec![AdapterUse::new(&"a".repeat(64), "ink")];
    vec![
        experiment(Study::Diversity),
        experiment(Study::Convergence),
        experiment(Study::Time),
        experiment(Study::K(vec![1, 2, 3, 4])),
        experiment(Study::BaseGuidance(
            (0..11).map(|it| it as f32 / 2.0).collect(),
        )),
        experiment(Study::BaseSteps(vec![1, 2, 6])),
        experiment(Study::Adaptive(vec![0.25, 0.5])),
        transfer,
    ]
}

#[test]
fn grids_have_each_picture_once_under_its_condition() {
    for experiment in studies() {
        assert_eq!(experiment.validate(), Ok(()), "{experiment:?}");
        let conditions = experiment.conditions();
        let mut drawn = BTreeMap::new();
        for (number, page) in experiment.pages().into_iter().enumerate() {
            assert_eq!(page.number, number);
            assert_eq!(page.recipe.validate(), Ok(()), "{page:?}");
            let rows = page.recipe.rows();
            for (cell, picture) in page.cells() {
                let row = &rows[cell.row as usize];
                let condition = conditions[picture.condition as usize];
                assert_eq!(row.mode, condition.mode);
                assert_eq!(row.prompt, experiment.prompts[picture.prompt as usize]);
                let seed = page.recipe.seed_of(cell.column);
                assert_eq!(seed, experiment.seed_of(picture.image));
                let value = match row.variant {
                    Variant::K(k) => Some(f64::from(k)),
                    Variant::BaseGuidance(number) | Variant::AdapterStrength(number) => {
                        Some(f64::from(number))
                    }
                    Variant::Only if row.mode == Mode::Adaptive => {
                        Some(f64::from(page.recipe.adaptive_threshold))
                    }
                    Variant::Only if condition.key().contains("-s") => {
                        Some(f64::from(page.recipe.hybrid_base_steps))
                    }
                    Variant::Only | Variant::Prompt(_) => None,
                };
                assert_eq!(value, condition.value(), "{}", condition.key());
                assert_eq!(drawn.insert(picture, ()), None, "{picture:?}");
            }
        }
        let all = 2 * conditions.len() * 35;
        assert_eq!(drawn.len(), all, "{:?}", experiment.study);
        assert_eq!(experiment.passes().pictures, all as u64);
    }
}

#[test]
fn the_first_images_of_all_prompts_come_first() {
    let pages = experiment(Study::Diversity).pages();
    let order: Vec<_> = pages.iter().map(|it| (it.first_image, it.prompt)).collect();
    assert_eq!(order, [(0, 0), (0, 1), (16, 0), (16, 1), (32, 0), (32, 1)]);
    let last = pages.last().expect("pages");
    assert_eq!(last.recipe.seed_count, 3);
    let outside = crate::recipe::CellAddress { row: 0, column: 3 };
    assert_eq!(last.picture(outside), None);
    let first = PictureId::default();
    assert!(pages[0].cells().any(|(_, picture)| picture == first));
}

#[test]
fn every_study_shows_the_other_modes_beside_the_hybrid() {
    let keys = |study| -> Vec<String> {
        let conditions = experiment(study).conditions();
        conditions.iter().map(super::Condition::key).collect()
    };
    assert_eq!(keys(Study::Diversity), ["base", "distilled", "hybrid"]);
    assert_eq!(
        keys(Study::K(vec![3, 1])),
        ["base", "distilled", "hybrid-k3", "hybrid-k1"]
    );
    let transfer = experiment(Study::Transfer(vec![1.0]));
    let conditions = transfer.conditions();
    let reference = transfer.reference_of(&conditions[3]);
    assert_eq!(conditions[3].key(), "distilled-a1");
    assert_eq!(reference, Some(2), "the same mode without the adapter");
    assert_eq!(transfer.reference_of(&conditions[2]), None);
    let diversity = experiment(Study::Diversity);
    let conditions = diversity.conditions();
    assert_eq!(diversity.reference_of(&conditions[0]), Some(1));
}

#[test]
fn passes_are_those_of_the_steps() {
    let mut one = experiment(Study::K(vec![2]));
    one.images = 1;
    one.prompts.truncate(1);
    one.settings.hybrid_base_guidance = 3.0;
    let passes = one.passes();
    // 25 guided steps of the base, two guided ones of the hybrid; four and two of the distilled model.
    assert_eq!((passes.base, passes.distilled), (54, 6));
}

#[test]
fn files_and_links_bring_the_experiment_back() {
    for mut experiment in studies() {
        let text = experiment.to_json().expect("JSON");
        assert_eq!(Experiment::from_json(&text).as_ref(), Ok(&experiment));
        let link = experiment.to_link().expect("a link");
        assert!(is_link(&link) && !is_link("prompt=experiment"));
        // A link leaves out what doesn't count.
        experiment.settings.prompt = String::new();
        experiment.settings.axis = Axis::Modes;
        let read = Experiment::from_link(&format!("#{link}"));
        assert_eq!(read.as_ref(), Ok(&experiment), "{link}");
    }
}

#[test]
fn a_changed_link_is_no_experiment() {
    let link = experiment(Study::K(vec![1, 2])).to_link().expect("a link");
    let mut random = Random(9);
    for _ in 0..300 {
        let mut bytes = link.clone().into_bytes();
        let place = random.below(bytes.len());
        bytes[place] = if bytes[place] == b'5' { b'6' } else { b'5' };
        let changed = String::from_utf8(bytes).expect("ASCII");
        assert!(Experiment::from_link(&changed).is_err(), "{changed}");
    }
    // As with every link, one without its last checksum counts as it stands: it lacks nothing else.
    let whole = link.rfind("&sum=").expect("a checksum");
    for end in (0..link.len()).filter(|end| !(whole..=whole + 1).contains(end)) {
        assert!(Experiment::from_link(&link[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_short_file_takes_the_rest_from_the_pair() {
    let text = r#"{"version":1,"study":{"k":[1,2]},"pair":"pairs/emoji/manifest.json",
        "prompts":["a dog"],"images":4,"settings":{"modes":["hybrid"],"seed":7}}"#;
    let file = ExperimentFile::from_json(text).expect("a file");
    let experiment = file.with_defaults(&settings()).expect("an experiment");
    assert_eq!(experiment.settings.seed, 7);
    assert_eq!(experiment.settings.modes, [Mode::Hybrid]);
    assert_eq!(experiment.settings.base_steps, 25);
    let other = text.replace("\"version\":1", "\"version\":2");
    assert!(matches!(
        ExperimentFile::from_json(&other),
        Err(ExperimentError::Version { .. })
    ));
    assert!(ExperimentFile::from_json(&text.replace("images", "pictures")).is_err());
}

#[test]
fn settings_are_those_of_a_recipe_and_no_others() {
    let mut full = experiment(Study::Diversity);
    full.settings.long_prompts = true;
    full.settings.weighted_prompt = true;
    full.settings.size = Some(crate::recipe::ImageSize::new(512, 512));
    full.settings.adaptive_k = 1;
    full.settings.adaptive_threshold = 0.25;
    let text = full.to_json().expect("JSON");
    let text = text.replacen("\"prompt\"", "\"adapters\": [], \"prompt\"", 1);
    let file = ExperimentFile::from_json(&text).expect("a file");
    assert!(!matches!(
        file.with_defaults(&Recipe::default()),
        Err(ExperimentError::UnknownSetting { .. })
    ));
    let misspelled = text.replace("\"distilled_steps\"", "\"distilled-steps\"");
    let file = ExperimentFile::from_json(&misspelled).expect("a file");
    let error = file
        .with_defaults(&settings())
        .expect_err("a misspelled name");
    assert!(error.to_string().contains("“distilled-steps”"), "{error}");
}

#[test]
fn what_cannot_be_run_is_a_sentence() {
    let error = |change: fn(&mut Experiment)| {
        let mut experiment = experiment(Study::K(vec![1, 2]));
        change(&mut experiment);
        experiment.validate().expect_err("a bound is broken")
    };
    assert_eq!(error(|it| it.prompts.clear()), ExperimentError::NoPrompt);
    let twice = error(|it| it.prompts.push("a dog".into()));
    assert!(matches!(twice, ExperimentError::RepeatedPrompt { .. }));
    let none = error(|it| it.images = 0);
    assert_eq!(none, ExperimentError::Images { images: 0 });
    let elsewhere = error(|it| it.pair = "https://example.org/m.json".into());
    assert!(matches!(elsewhere, ExperimentError::PairElsewhere { .. }));
    let too_large = error(|it| it.study = Study::K(vec![5]));
    assert!(matches!(
        too_large,
        ExperimentError::Recipe(RecipeError::OutOfBounds { .. })
    ));
    let repeated = error(|it| it.study = Study::K(vec![2, 2]));
    assert!(matches!(repeated, ExperimentError::RepeatedValue { .. }));
    let empty = error(|it| it.study = Study::BaseSteps(Vec::new()));
    assert_eq!(empty, ExperimentError::ValueCount { values: 0 });
    let without = error(|it| it.settings.modes = vec![Mode::Base]);
    assert_eq!(without, RecipeError::NoHybrid.into());
    let no_adapter = error(|it| it.study = Study::Transfer(vec![1.0]));
    assert_eq!(no_adapter, RecipeError::NoAdapter.into());
}

#[test]
fn prompts_come_from_lines_and_tables() {
    assert_eq!(of_lines(" a dog \n\n a cat\r\na dog\n"), ["a dog", "a cat"]);
    let table = "\u{feff}id,Prompt\r\n1,\"a \"\"red\"\" heart,\nplease\"\r\n2,a dog\r\n3,a dog";
    let prompts = of_csv(table, None).expect("a table");
    assert_eq!(prompts, ["a \"red\" heart,\nplease", "a dog"]);
    assert_eq!(
        of_csv(table, Some("id")).expect("a column"),
        ["1", "2", "3"]
    );
    let missing = of_csv(table, Some("caption")).expect_err("no such column");
    assert!(missing.to_string().contains("id, Prompt"), "{missing}");
    let list = of_csv("red heart\na dog; barking\n", None).expect("a list without a name");
    assert_eq!(list, ["red heart", "a dog; barking"]);
    let others = of_csv("nr;prompt\n1;a dog, barking\n", None).expect("semicolons");
    assert_eq!(others, ["a dog, barking"]);
    let unknown = of_csv("a,b\n1,2\n", None).expect_err("none of them is known");
    assert!(matches!(unknown, ExperimentError::NoPromptColumn { .. }));
    let binary = of_csv("\u{fffd}PNG\r\n\0\0", None).expect_err("no text");
    assert_eq!(binary, ExperimentError::NoText);
    let open = of_csv("prompt\n\"a dog", None).expect_err("an open quotation");
    assert_eq!(open, ExperimentError::OpenQuotation { line: 2 });
}

#[test]
fn a_grid_is_an_experiment_of_the_same_pictures() {
    let mut random = Random(12);
    let mut drawn = 0;
    for _ in 0..300 {
        let mut recipe = random.recipe();
        if let Axis::AdapterStrength(strengths) = &mut recipe.axis
            && !strengths.contains(&0.0)
        {
            // An experiment compares with it.
            strengths[0] = 0.0;
        }
        let experiment = Experiment::of_recipe("pairs/emoji/manifest.json", &recipe);
        let [page] = &experiment.pages()[..] else {
            // Several prompts are pages of their own.
            assert!(experiment.prompts.len() > 1 || matches!(recipe.axis, Axis::Prompts(_)));
            continue;
        };
        assert_eq!(page.recipe.rows().len(), recipe.rows().len(), "{recipe:?}");
        for row in page.recipe.rows() {
            assert!(recipe.rows().contains(&row), "{row:?}");
        }
        drawn += 1;
    }
    assert!(drawn > 200);
}
