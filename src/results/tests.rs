//! Records as tables and figures.

use std::collections::BTreeMap;

use super::manifest::{RESULTS_VERSION, RunDevice, RunManifest};
use super::npy::{self, NpyError};
use super::table::decimal;
use super::*;
use crate::metrics::{Estimate, PairwiseDistances, RowDistances};
use crate::picture::image::Image;
use crate::recipe::digest::StepDigest;
use crate::recipe::experiment::{Experiment, PictureId, Study};
use crate::recipe::random::Random;
use crate::recipe::{Mode, Recipe};
use crate::sampler::{ModelRole, TorchGenerator};

fn experiment(study: Study, prompts: usize, images: u32) -> Experiment {
    Experiment {
        study,
        pair: "pairs/emoji/manifest.json".into(),
        prompts: (0..prompts).map(|it| format!("prompt, {it}")).collect(),
        images,
        settings: Recipe {
            modes: vec![Mode::Base, Mode::Distilled, Mode::Hybrid],
            seed: 5,
            seed_count: 1,
            k: 1,
            hybrid_base_steps: 1,
            base_steps: 4,
            base_guidance: 2.0,
            distilled_steps: 2,
            ..Recipe::default()
        },
    }
}

/// Results in which the pictures are points on a line, those of condition c within c + 1.
fn results(experiment: &Experiment) -> Results {
    let manifest = RunManifest {
        results_version: RESULTS_VERSION,
        program: "firststep 0".into(),
        experiment: experiment.to_file().expect("a file"),
        pair_name: "Emoji".into(),
        image_size: [64, 64],
        files: Vec::new(),
        schedulers: BTreeMap::new(),
        scheduler_configurations: BTreeMap::new(),
        device: RunDevice {
            kind: "cpu".into(),
            name: "test".into(),
            batch: 1,
            limits: BTreeMap::new(),
        },
        measures: BTreeMap::from([(STRUCTURAL.into(), "made up".into())]),
    };
    let mut random = Random(4);
    let (mut pictures, mut rows) = (Vec::new(), Vec::new());
    for prompt in 0..experiment.prompts.len() as u32 {
        for condition in 0..experiment.conditions().len() as u32 {
            let mut places: Vec<f64> = Vec::new();
            let mut distances = PairwiseDistances::default();
            for image in 0..experiment.images {
                let place = f64::from(condition + 1) * random.below(1024) as f64 / 1024.0;
                distances
                    .push(|other| Ok::<_, ()>((places[other] - place).abs()))
                    .expect("distances");
                places.push(place);
                let steps = if condition == 0 { 4 } else { 2 };
                pictures.push(PictureRecord {
                    id: PictureId {
                        prompt,
                        condition,
                        image,
                    },
                    seed: experiment.seed_of(image),
                    file: None,
                    milliseconds: 1000.0 * f64::from(condition + 1),
                    steps: (0..steps)
                        .map(|step| StepRecord {
                            model: ModelRole::Base,
                            timestep: 999.0,
                            digest: StepDigest([1, 2, 3]),
                            distance: Some(0.75 * (1.0 - f64::from(step + 1) / f64::from(steps))),
                        })
                        .collect(),
                });
            }
            rows.push(RowRecord {
                prompt,
                condition,
                measure: STRUCTURAL.into(),
                distances: RowDistances {
                    columns: (0..experiment.images).collect(),
                    distances: distances.all().to_vec(),
                },
            });
        }
    }
    Results {
        manifest,
        pictures,
        rows,
        changes: Vec::new(),
        scores: Vec::new(),
        targets: Vec::new(),
    }
}

#[test]
fn numbers_have_their_intervals_over_what_is_independent() {
    let results = results(&experiment(Study::Diversity, 6, 8));
    let one = diversity(&results, STRUCTURAL, 2, 1).expect("a row");
    let own = results.rows[2 * 3 + 1]
        .distances
        .diversity()
        .expect("a row");
    assert_eq!((one.mean, one.n), (own.mean, 8));
    let mean = average(&results, STRUCTURAL, 1).expect("six prompts");
    let of_prompts: Vec<f64> = (0..6)
        .map(|prompt| {
            diversity(&results, STRUCTURAL, prompt, 1)
                .expect("a row")
                .mean
        })
        .collect();
    assert_eq!(Some(mean), Estimate::of(&of_prompts));
    assert_eq!(mean.n, 6);
    let more = difference(&results, STRUCTURAL, 2, 0).expect("six prompts");
    assert_eq!(more.n, 6);
    let sum = average(&results, STRUCTURAL, 2).expect("six").mean;
    let less = average(&results, STRUCTURAL, 0).expect("six").mean;
    assert!((more.mean - (sum - less)).abs() < 1e-12);
    assert!(more.interval.is_some_and(|[low, _]| low > 0.0), "{more:?}");
    let (seconds, median) = time(&results, 1).expect("times");
    assert_eq!((seconds.mean, seconds.n, median), (2.0, 48, 2.0));
    assert_eq!(diversity(&results, "dreamsim", 2, 1), None);
}

#[test]
fn one_prompt_is_compared_by_its_seeds() {
    let results = results(&experiment(Study::Diversity, 1, 12));
    let more = difference(&results, STRUCTURAL, 2, 0).expect("a prompt");
    assert_eq!(more.n, 12);
    assert!(more.interval.is_some());
    let mean = average(&results, STRUCTURAL, 1);
    assert_eq!(mean, diversity(&results, STRUCTURAL, 0, 1));
}

#[test]
fn the_jackknife_of_many_images_covers_as_it_says() {
    // Points in the plane, whose distances have the mean √π.
    let truth = std::f64::consts::PI.sqrt();
    let mut generator = TorchGenerator::new(11);
    let (runs, images) = (2000, 32);
    let mut holds = 0;
    for _ in 0..runs {
        let points: Vec<[f64; 2]> = (0..images)
            .map(|_| {
                let values = generator.randn(2);
                [f64::from(values[0]), f64::from(values[1])]
            })
            .collect();
        let mut distances = PairwiseDistances::default();
        for [x, y] in &points {
            let to = |other: usize| {
                let [a, b]: [f64; 2] = points[other];
                Ok::<_, ()>((a - x).hypot(b - y))
            };
            distances.push(to).expect("distances");
        }
        let found = distances.diversity().expect("a row");
        let margin = found.margin.expect("enough");
        holds += usize::from((found.mean - truth).abs() <= margin);
    }
    let share = holds as f64 / f64::from(runs);
    assert!((0.93..=0.97).contains(&share), "{share}");
}

#[test]
fn curves_of_unlike_steps_have_one_axis() {
    let mut results = results(&experiment(Study::Convergence, 3, 4));
    let base = mean_curve(&results, STRUCTURAL, 0);
    let shares: Vec<f64> = base.iter().map(|it| it.share).collect();
    assert_eq!(shares, [0.25, 0.5, 0.75, 1.0]);
    assert!((base[0].distance.mean - 0.5625).abs() < 1e-12);
    assert_eq!(base[0].distance.n, 3);
    // From 0.5625 to 0.375 between a quarter and a half.
    assert!((share_until(&base, 0.46875).expect("it falls") - 0.375).abs() < 1e-12);
    assert_eq!(share_until(&base, -1.0), None);
    // A picture of two steps among those of four counts between its steps.
    for picture in &mut results.pictures {
        picture.id.condition = 0;
    }
    let mixed = mean_curve(&results, STRUCTURAL, 0);
    assert_eq!(mixed.len(), 4);
    assert!((mixed[2].distance.mean - 0.1875).abs() < 1e-12, "{mixed:?}");
}

#[test]
fn a_networks_curve_is_its_own_and_ends_where_distances_do() {
    let mut results = results(&experiment(Study::Convergence, 3, 4));
    for (prompt, distance) in (0..).zip([0.0, 0.1, 0.5]) {
        results.targets.push(TargetsRecord {
            id: PictureId {
                prompt,
                ..PictureId::default()
            },
            measure: "network".into(),
            distances: vec![distance, 0.0],
        });
    }
    let curve = mean_curve(&results, "network", 0);
    let shares: Vec<f64> = curve.iter().map(|it| it.share).collect();
    assert_eq!(shares, [0.5, 1.0]);
    let first = curve[0].distance;
    assert!((first.mean - 0.2).abs() < 1e-12);
    // Student's interval of these three begins below 0.
    let [low, high] = first.interval.expect("three prompts");
    assert!(low == 0.0 && high > 0.5, "{low} {high}");
    assert!(mean_curve(&results, "another", 0).is_empty());
}

#[test]
fn a_prompt_is_no_markdown() {
    let mut experiment = experiment(Study::Diversity, 1, 4);
    experiment.prompts[0] = "a <b>big</b> dog | *cat* _x86_64_ [here](https://example.com)".into();
    let report = report(&results(&experiment)).expect("a report");
    let text = markdown(&report, "figures");
    let written = r"| a &lt;b>big&lt;/b> dog \| \*cat\* \_x86_64\_ \[here\](https://example.com) |";
    assert!(text.contains(written), "{text}");
}

#[test]
fn a_report_has_the_studys_tables_and_figures() {
    let keys = |study: Study| {
        let experiment = experiment(study, 3, 5);
        let report = report(&results(&experiment)).expect("a report");
        for figure in &report.figures {
            let text = figure::svg(figure);
            assert!(!text.contains("NaN") && text.contains("</svg>"), "{text}");
            assert!(!figure.y.title.is_empty() && !figure.description.is_empty());
        }
        let text = markdown(&report, "figures");
        assert!(text.contains("](figures/diversity"), "{text}");
        let tables: Vec<String> = report.tables.into_iter().map(|it| it.key).collect();
        let figures: Vec<String> = report.figures.into_iter().map(|it| it.key).collect();
        (tables, figures)
    };
    let (tables, figures) = keys(Study::Diversity);
    let all = ["shares", "convergence", "diversity", "differences", "time"];
    assert_eq!(tables, all);
    assert_eq!(figures, ["convergence", "diversity", "time"]);
    let (_, figures) = keys(Study::K(vec![1, 2]));
    assert!(
        figures.contains(&"diversity-by-k".to_owned()),
        "{figures:?}"
    );
    let (tables, figures) = keys(Study::Adaptive(vec![0.5]));
    assert_eq!(tables.first().map(String::as_str), Some("switches"));
    assert!(figures.contains(&"diversity-by-base-steps-taken".to_owned()));
}

#[test]
fn a_table_is_read_back_by_programs() {
    let estimate = Estimate {
        mean: 0.25,
        interval: Some([-0.125, 0.625]),
        n: 3,
    };
    let table = Table {
        key: "t".into(),
        title: "T".into(),
        note: String::new(),
        columns: vec![
            Column::plain("prompt", "Prompt"),
            Column::estimate("base", "Base"),
            Column::plain("count", "n"),
        ],
        rows: vec![
            vec![
                Cell::Text("a \"red\", heart".into()),
                Cell::Estimate(estimate),
                Cell::Count(3),
            ],
            vec![Cell::Text("b".into()), Cell::Empty, Cell::Number(1.5)],
        ],
    };
    assert_eq!(
        table.csv(),
        "prompt,base,base_low,base_high,base_n,count\r\n\
         \"a \"\"red\"\", heart\",0.25,-0.125,0.625,3,3\r\nb,,,,,1.5\r\n"
    );
    assert_eq!(table.json()["rows"][0]["base"]["n"], 3);
    assert_eq!(table.json()["rows"][1]["base"], serde_json::Value::Null);
    assert_eq!(
        Cell::Estimate(estimate).text(),
        "0.250 (−0.125 to 0.625, n = 3)"
    );
    assert_eq!(decimal(-0.0001), "0.000");
}

/// Made-up results with distances that there can be.
fn possible_results(experiment: &Experiment) -> Results {
    let mut results = results(experiment);
    for row in &mut results.rows {
        for distance in &mut row.distances.distances {
            *distance /= 4.0;
        }
    }
    // As sums are rounded.
    results.rows[0].distances.distances[0] = -1e-16;
    results
}

#[test]
fn results_come_back_and_run_again() {
    let experiment = experiment(Study::K(vec![1, 2]), 2, 3);
    let results = possible_results(&experiment);
    let text = results.to_json().expect("JSON");
    assert_eq!(Results::from_json(&text).as_ref(), Ok(&results));
    let manifest = results.manifest.to_json().expect("JSON");
    let manifest = RunManifest::from_json(&manifest).expect("a manifest");
    assert_eq!(manifest.experiment().expect("it runs"), experiment);
    assert!(manifest.belongs_with(&results.manifest));
    assert!(Results::from_json("{}").is_err());
}

#[test]
fn results_with_numbers_that_none_can_have_are_damaged() {
    type Change = fn(&mut Results);
    let changes: [(&str, Change); 7] = [
        ("rows", |it| it.rows[0].distances.distances[0] = 1e300),
        ("rows", |it| it.rows[0].distances.distances[0] = -0.5),
        ("rows", |it| it.rows[0].distances.distances.clear()),
        ("rows", |it| it.rows[0].distances.columns[1] = 0),
        ("rows", |it| it.rows[0].condition = 99),
        ("pictures", |it| it.pictures[0].id.prompt = 99),
        ("pictures", |it| it.pictures.push(it.pictures[0].clone())),
    ];
    for (part, change) in changes {
        let mut changed = possible_results(&experiment(Study::K(vec![1, 2]), 2, 3));
        change(&mut changed);
        let text = changed.to_json().expect("JSON");
        let error = Results::from_json(&text).expect_err(part).to_string();
        assert!(error.contains("damaged") && error.contains(part), "{error}");
    }
}

#[test]
fn pictures_are_measured_row_by_row() {
    let mut random = Random(6);
    let mut picture = || {
        let mut rgba = random.bytes(16 * 16 * 4);
        rgba.iter_mut().skip(3).step_by(4).for_each(|it| *it = 255);
        Image {
            width: 16,
            height: 16,
            rgba,
        }
    };
    let row: Vec<(u32, Image)> = [4, 7, 9].map(|image| (image, picture())).into();
    let found = row_distances(&row).expect("distances");
    assert_eq!(found.columns, [4, 7, 9]);
    assert_eq!(found.distances.len(), 3);
    // Those that are known are taken over, in the pictures' order.
    let known = RowDistances {
        columns: vec![9, 4],
        distances: vec![7.5],
    };
    let completed = completed_row(&known, &row).expect("distances");
    assert_eq!(completed.between(4, 9), Some(7.5));
    assert_eq!(completed.between(4, 7), found.between(4, 7));
    let (images, changes) = change_distances(&row, &row[1..]).expect("distances");
    assert_eq!(images, [7, 9]);
    assert_eq!(changes, [0.0, 0.0]);
}

#[test]
fn arrays_are_numpys() {
    let bytes = npy::write(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, -0.5]);
    assert_eq!((bytes.len() - 24) % 64, 0, "the data is aligned");
    let array = npy::read(&bytes).expect("an array");
    assert_eq!(array.shape, [2, 3]);
    assert_eq!(array.values, [1.0, 2.0, 3.0, 4.0, 5.0, -0.5]);
    assert_eq!(npy::read(&bytes[..bytes.len() - 1]), Err(NpyError::NotNpy));
    assert_eq!(npy::read(b"PK"), Err(NpyError::NotNpy));
    let integers = String::from_utf8_lossy(&bytes[..128]).replace("<f4", "<i8");
    let mut integer_bytes = bytes.clone();
    let place = integers.find("<i8").expect("it was replaced");
    // The first byte is one that text has not.
    let shift = integers.len() - 128;
    integer_bytes[place - shift..place - shift + 3].copy_from_slice(b"<i8");
    assert!(matches!(
        npy::read(&integer_bytes),
        Err(NpyError::Kind { .. })
    ));
    let whole = npy::write(&[4], &[0.0; 4]);
    assert!(String::from_utf8_lossy(&whole).contains("'shape': (4,), }"));
}
