//! Whole pictures by the engine's own job loop, against diffusers running the same plans. The
//! browser tests compare the same pictures with what the page's canvas shows.

use std::{collections::BTreeMap, fs::File};

use burn::tensor::Device;
use firststep::engine::EngineError;
use firststep::engine::GridState;
use firststep::engine::{Outcome, generate};
use firststep::engine::{Pair, describe, plan_for};
use firststep::picture::image::Image;
use firststep::protocol::engine::{Extent, JobEvent};
use firststep::recipe::link::Link;
use firststep::recipe::{CellAddress, Mode};
use firststep::sampler::ModelRole;
use serde::Deserialize;

use crate::support::{BundledPair, Recorder, block_on, repository};

/// Root mean square, of 255. Rounding to whole values alone makes up to 0.5; both sides compute in
/// f32 in another order, which the steps amplify a little at hard edges.
const TOLERANCE: f64 = 1.0;

#[derive(Deserialize)]
struct Reference {
    pictures: Vec<Picture>,
    /// Of other sizes than the pair's own.
    sizes: Vec<Picture>,
}

#[derive(Deserialize)]
struct Picture {
    file: String,
    mode: String,
    prompt: String,
    negative_prompt: String,
    seed: u32,
    /// Parameters of the page's address.
    options: BTreeMap<String, String>,
    /// The picture is the decoded Diffusion Target of this step, and not the image.
    step: Option<u32>,
}

fn load() -> (BundledPair, Pair) {
    load_relative("manifest.json")
}

fn load_relative(manifest: &str) -> (BundledPair, Pair) {
    let mut bundled = BundledPair::read_relative(manifest);
    // The pair has one size for visitors, and its networks draw any.
    bundled.manifest.image_sides = Some((64, 192));
    let pair = block_on(async {
        let mut pair = Pair::load(bundled.manifest.clone(), Device::flex(), &bundled).await?;
        pair.load_unets(&Mode::ALL, &bundled).await?;
        Ok::<_, EngineError>(pair)
    });
    (bundled, pair.expect("the bundled pair loads"))
}

fn root_mean_square_error(image: &Image, file: &str) -> f64 {
    let path = repository("tests/browser/reference").join(file);
    let file = std::io::BufReader::new(File::open(path).expect(file));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a PNG");
    assert_eq!((info.width, info.height), (image.width, image.height));
    let channels = info.color_type.samples();
    let colours = image.rgba.chunks(4).zip(pixels.chunks(channels));
    let squares: f64 = colours
        .flat_map(|(ours, theirs)| (0..3).map(move |i| f64::from(ours[i]) - f64::from(theirs[i])))
        .map(|difference| difference * difference)
        .sum();
    (squares / f64::from(3 * info.width * info.height)).sqrt()
}

#[test]
fn pictures_and_targets_are_those_of_diffusers() {
    let mut pairs: BTreeMap<String, (BundledPair, Pair)> = BTreeMap::new();
    let path = repository("tests/browser/reference/manifest.json");
    let text = std::fs::read_to_string(path).expect("the list of pictures");
    let reference: Reference = serde_json::from_str(&text).expect("the list of pictures");
    assert!(
        reference.pictures.len() >= 24,
        "reference pictures are gone"
    );
    assert_eq!(reference.sizes.len(), 3, "reference pictures are gone");
    let mut failures = Vec::new();
    for picture in reference.pictures.iter().chain(&reference.sizes) {
        let options: Vec<String> = picture
            .options
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let (link, errors) = Link::parse(&options.join("&"));
        assert!(errors.is_empty(), "{errors:?}");
        let manifest = link
            .pair
            .as_deref()
            .and_then(|pair| pair.rsplit('/').next());
        let manifest = manifest.unwrap_or("manifest.json");
        let (bundled, pair) = pairs
            .entry(manifest.to_owned())
            .or_insert_with(|| load_relative(manifest));
        let defaults = describe(&bundled.manifest).expect("a pair").recipe;
        let mut recipe = link.applied_to(&defaults);
        recipe.prompt.clone_from(&picture.prompt);
        recipe.negative_prompt.clone_from(&picture.negative_prompt);
        recipe.modes = vec![Mode::from_key(&picture.mode).expect("a mode")];
        recipe.seed = picture.seed;
        recipe.seed_count = 1;
        pair.draw_in(recipe.size).expect("a size of the pair");
        let mut recorder = Recorder::default();
        let outcome = block_on(generate(
            pair,
            &recipe,
            &Extent::default(),
            &mut GridState::default(),
            &mut recorder,
        ));
        assert_eq!(outcome.expect("a picture"), Outcome::Done);
        for event in &recorder.events {
            if let JobEvent::Step { cell, steps, .. } = event {
                assert_eq!(recorder.planned[cell.row as usize], *steps);
            }
        }
        let image = recorder.events.iter().find_map(|event| match event {
            JobEvent::Step { step, preview, .. } if Some(*step) == picture.step => Some(preview),
            JobEvent::Image { image, .. } if picture.step.is_none() => Some(image),
            _ => None,
        });
        let error = root_mean_square_error(image.expect("a picture"), &picture.file);
        println!("{}: {error:.2} of 255", picture.file);
        if error > TOLERANCE {
            failures.push((&picture.file, error));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn a_cancelled_job_ends_within_a_step_and_keeps_what_is_done() {
    let (bundled, pair) = load();
    let mut recipe = describe(&bundled.manifest).expect("a pair").recipe;
    recipe.modes = vec![Mode::SkipFirstStep];
    recipe.seed_count = 2;
    // The start, three steps and the image of the first seed, then the start and one step of the
    // second.
    let mut recorder = Recorder {
        cancel_after: Some(7),
        ..Recorder::default()
    };
    let outcome = block_on(generate(
        &pair,
        &recipe,
        &Extent::default(),
        &mut GridState::default(),
        &mut recorder,
    ));
    assert_eq!(outcome.expect("no failure"), Outcome::Cancelled);
    assert_eq!(recorder.events.len(), 7);
    assert!(matches!(
        recorder.events[4],
        JobEvent::Image {
            cell: CellAddress { row: 0, column: 0 },
            ..
        }
    ));
}

#[test]
fn turbos_base_model_takes_euler_steps_without_noise() {
    let mut manifest = BundledPair::read().manifest;
    manifest.schedulers.distilled["_class_name"] = "EulerAncestralDiscreteScheduler".into();
    manifest.schedulers.distilled["timestep_spacing"] = "trailing".into();
    manifest.defaults.distilled_timesteps.clear();
    let recipe = describe(&manifest).expect("a pair").recipe;
    let rows = recipe.rows();
    let hybrid = rows.iter().find(|row| row.mode == Mode::Hybrid);
    let plan = plan_for(hybrid.expect("a hybrid"), &recipe, &manifest).expect("a plan");
    let takers: Vec<_> = plan
        .steps()
        .iter()
        .map(|step| {
            let adds_noise = plan.scheduler(step).needs_noise(step.index);
            (step.model, adds_noise)
        })
        .collect();
    let distilled = (ModelRole::Distilled, true);
    assert_eq!(
        takers,
        [(ModelRole::Base, false), distilled, distilled, distilled]
    );
}

#[test]
fn a_pair_whose_parts_do_not_fit_is_refused() {
    let bundled = BundledPair::read();
    let mut manifest = bundled.manifest.clone();
    manifest.image_size = [66, 64];
    let error = block_on(Pair::load(manifest, Device::flex(), &bundled))
        .err()
        .expect("66 pixels are no whole number of latent pixels");
    assert!(error.to_string().contains("image size"), "{error}");
}
