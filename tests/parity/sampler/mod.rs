//! The sampler against torch and diffusers: noise, schedulers, and whole runs of the plans, on the
//! values that `tools/reference/sampler.py` writes.

mod cases;
mod configurations;
mod plans;
mod solvers;

use std::sync::Arc;

use firststep::sampler::{
    self, LatentScale, Memory, ModelRole, Plan, Sampling, Scheduler, SchedulerClass,
    SchedulerConfig, StepOutput, Timesteps, TorchGenerator,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Relative to the larger of 1 and the value. Both sides calculate in single precision, and an
/// estimate at the noisiest timestep multiplies the rounding of its sample by 15; what a mistake in
/// a coefficient does is larger by far.
const TRAJECTORY_TOLERANCE: f32 = 1e-5;

/// Absolute. torch takes logarithm, sine and cosine in single precision, by approximations that
/// depend on the processor's vector instructions; the largest difference that was measured is
/// 4.8e-7, one unit in the last place of values above 4.
const NOISE_TOLERANCE: f32 = 1e-6;

#[derive(Deserialize)]
struct Reference {
    noise: Vec<Noise>,
    successive_noise: Vec<SuccessiveNoise>,
    trajectories: Vec<Trajectory>,
    from_config: Vec<FromConfig>,
    hybrids: Vec<Hybrid>,
    skips: Vec<Skip>,
}

#[derive(Deserialize)]
struct Noise {
    seed: u64,
    len: usize,
    values: Option<Vec<f32>>,
    head: Option<Vec<f32>>,
    tail: Option<Vec<f32>>,
    weighted_sum: Option<f64>,
}

#[derive(Deserialize)]
struct SuccessiveNoise {
    seed: u64,
    draws: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Steps {
    Count(u32),
    Explicit(Vec<u32>),
}

impl From<&Steps> for Timesteps {
    fn from(steps: &Steps) -> Timesteps {
        match steps {
            Steps::Count(count) => Timesteps::Steps(*count),
            Steps::Explicit(timesteps) => Timesteps::Explicit(timesteps.clone()),
        }
    }
}

#[derive(Deserialize)]
struct Trajectory {
    name: String,
    config: Value,
    steps: Steps,
    seed: u64,
    init_noise_sigma: f32,
    timesteps: Vec<f32>,
    initial: Vec<f32>,
    stored: Vec<StoredStep>,
}

#[derive(Deserialize)]
struct StoredStep {
    index: usize,
    /// Stored where it differs from the sample.
    model_input: Option<Vec<f32>>,
    previous_sample: Vec<f32>,
    predicted_original: Vec<f32>,
}

#[derive(Deserialize)]
struct FromConfig {
    config: Value,
    class: SchedulerClass,
    timesteps: Vec<f32>,
    init_noise_sigma: f32,
    last_alpha_cumprod: f32,
}

#[derive(Deserialize)]
struct Outcome {
    model: ModelRole,
    timestep: f32,
    predicted_original: Vec<f32>,
}

#[derive(Deserialize)]
struct Hybrid {
    name: String,
    base: Option<(Value, Steps)>,
    distilled: (Value, Steps),
    k: usize,
    base_guidance: f32,
    distilled_guidance: f32,
    seed: u64,
    base_end: usize,
    outcomes: Vec<Outcome>,
    result: Vec<f32>,
}

#[derive(Deserialize)]
struct Skip {
    name: String,
    distilled: (Value, Steps),
    seed: u64,
    outcomes: Vec<Outcome>,
    result: Vec<f32>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../values/sampler.json"))
        .expect("the reference values parse")
}

fn config(value: &Value) -> SchedulerConfig {
    SchedulerConfig::from_json(value).expect("the configuration is valid")
}

fn scheduler((value, steps): &(Value, Steps)) -> Scheduler {
    Scheduler::new(&config(value), &steps.into()).expect("the scheduler is valid")
}

/// The largest difference, relative to the larger of 1 and the expected value.
fn difference(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len());
    actual
        .iter()
        .zip(expected)
        .map(|(actual, expected)| {
            let difference = (actual - expected).abs() / expected.abs().max(1.0);
            if difference.is_nan() {
                f32::INFINITY
            } else {
                difference
            }
        })
        .fold(0.0, f32::max)
}

#[track_caller]
fn assert_close(name: &str, what: &str, actual: &[f32], expected: &[f32]) {
    let difference = difference(actual, expected);
    assert!(
        difference <= TRAJECTORY_TOLERANCE,
        "{name}: {what} differs by {difference:e}, more than {TRAJECTORY_TOLERANCE:e}"
    );
}

/// The function that stands in for the models, the same as in the reference script.
fn model(sample: &[f32], timestep: f32, phase: f32) -> Vec<f32> {
    let shift = timestep / 300.0 + phase;
    sample
        .iter()
        .map(|value| 0.6 * (0.7 * value + shift).sin() + 0.3 * value)
        .collect()
}

#[test]
fn noise_is_torchs() {
    let reference = reference();
    let mut seeds: Vec<u64> = reference.noise.iter().map(|noise| noise.seed).collect();
    seeds.dedup();
    assert_eq!(seeds.len(), 20);
    let mut largest = 0.0_f32;
    for noise in &reference.noise {
        let actual = TorchGenerator::new(noise.seed).randn(noise.len);
        assert_eq!(actual.len(), noise.len);
        let mut compare = |actual: &[f32], expected: &Option<Vec<f32>>| {
            let Some(expected) = expected else { return };
            assert_eq!(actual.len(), expected.len());
            for (actual, expected) in actual.iter().zip(expected) {
                let difference = (actual - expected).abs();
                largest = largest.max(difference);
                assert!(
                    difference <= NOISE_TOLERANCE,
                    "seed {}, {} values: {actual} instead of {expected}",
                    noise.seed,
                    noise.len
                );
            }
        };
        compare(&actual, &noise.values);
        let edge = noise.head.as_ref().map_or(0, Vec::len);
        compare(&actual[..edge], &noise.head);
        compare(&actual[noise.len - edge..], &noise.tail);
        if let Some(expected) = noise.weighted_sum {
            let weighted_sum: f64 = actual
                .iter()
                .zip(1..)
                .map(|(value, place)| f64::from(*value) * f64::from(place) / noise.len as f64)
                .sum();
            // Rounding errors are of either sign; what is left of them is far below their sum.
            let tolerance = f64::from(NOISE_TOLERANCE) * (noise.len as f64).sqrt();
            assert!(
                (weighted_sum - expected).abs() <= tolerance,
                "seed {}, {} values: they add up to {weighted_sum} instead of {expected}",
                noise.seed,
                noise.len
            );
        }
    }
    println!("noise differs by at most {largest:e}");
}

#[test]
fn noise_goes_on_where_it_stopped() {
    for case in reference().successive_noise {
        let mut generator = TorchGenerator::new(case.seed);
        for (number, expected) in case.draws.iter().enumerate() {
            let actual = generator.randn(expected.len());
            for (actual, expected) in actual.iter().zip(expected) {
                assert!(
                    (actual - expected).abs() <= NOISE_TOLERANCE,
                    "seed {}, draw {number}: {actual} instead of {expected}",
                    case.seed
                );
            }
        }
    }
}

/// A step with the stand-in model: the input of its first pass, and what it makes of the sample.
fn step(
    scheduler: &Scheduler,
    index: usize,
    sample: &[f32],
    memory: &mut Memory,
    generator: &mut TorchGenerator,
) -> (Vec<f32>, StepOutput) {
    let mut first = None;
    loop {
        let call = scheduler.evaluation(index, sample, memory);
        let output = model(&call.sample, call.timestep, 0.0);
        first.get_or_insert(call.sample);
        if let Some(output) = scheduler.step(index, &output, sample, memory, generator) {
            return (first.expect("there was a pass"), output);
        }
    }
}

#[test]
fn trajectories_are_diffusers() {
    let mut largest = (0.0, String::new());
    for case in reference().trajectories {
        let name = &case.name;
        let scheduler = Scheduler::new(&config(&case.config), &(&case.steps).into())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        if case
            .timesteps
            .iter()
            .all(|timestep| timestep.fract() == 0.0)
        {
            assert_eq!(scheduler.timesteps(), case.timesteps, "{name}: timesteps");
        } else {
            // What lies between two may round the other way.
            assert_close(name, "timesteps", scheduler.timesteps(), &case.timesteps);
        }
        assert_close(
            name,
            "init_noise_sigma",
            &[scheduler.init_noise_sigma()],
            &[case.init_noise_sigma],
        );
        let mut generator = TorchGenerator::new(case.seed);
        let mut sample: Vec<f32> = generator
            .randn(case.initial.len())
            .into_iter()
            .map(|value| value * scheduler.init_noise_sigma())
            .collect();
        assert_close(name, "the initial latent", &sample, &case.initial);
        let mut stored = case.stored.iter().peekable();
        let mut memory = Memory::default();
        for index in 0..scheduler.timesteps().len() {
            let before = generator.clone();
            let (input, output) = step(&scheduler, index, &sample, &mut memory, &mut generator);
            assert_eq!(
                scheduler.needs_noise(index),
                generator != before,
                "{name}: step {index} draws noise"
            );
            if let Some(expected) = stored.next_if(|stored| stored.index == index) {
                let expected_input = expected.model_input.as_ref().unwrap_or(&sample);
                let pairs = [
                    ("model input", &input, expected_input),
                    (
                        "previous sample",
                        &output.previous_sample,
                        &expected.previous_sample,
                    ),
                    (
                        "predicted original",
                        &output.predicted_original,
                        &expected.predicted_original,
                    ),
                ];
                for (what, actual, expected) in pairs {
                    let what = format!("{what} of step {index}");
                    assert_close(name, &what, actual, expected);
                    let difference = difference(actual, expected);
                    if difference > largest.0 {
                        largest = (difference, format!("{name}, {what}"));
                    }
                }
            }
            sample = output.previous_sample;
        }
        assert!(stored.peek().is_none(), "{name}: every stored step is seen");
    }
    println!(
        "trajectories differ by at most {:e} ({})",
        largest.0, largest.1
    );
}

#[test]
fn another_class_takes_a_configuration_as_diffusers_does() {
    for case in reference().from_config {
        let name = format!("{} as {:?}", case.config, case.class);
        let config = config(&case.config).with_class(case.class);
        let scheduler = Scheduler::new(&config, &Timesteps::Steps(5)).expect("5 steps are allowed");
        // An interpolated timestep may round the other way.
        assert_close(&name, "timesteps", scheduler.timesteps(), &case.timesteps);
        assert_close(
            &name,
            "init_noise_sigma",
            &[scheduler.init_noise_sigma()],
            &[case.init_noise_sigma],
        );
        let last = Scheduler::new(
            &config,
            &Timesteps::Explicit(vec![config.num_train_timesteps() - 1]),
        )
        .expect("the last timestep is allowed");
        let alpha_bar = last.noise_level(0).sqrt_alpha_bar.powi(2);
        let relative = (alpha_bar / case.last_alpha_cumprod - 1.0).abs();
        assert!(relative <= TRAJECTORY_TOLERANCE, "{name}: {relative:e}");
    }
}

fn sdxl(class: &str, changes: Value) -> SchedulerConfig {
    let mut value = json!({
        "_class_name": class,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": false,
        "set_alpha_to_one": false,
        "steps_offset": 1,
        "timestep_spacing": "leading",
    });
    if let (Some(value), Some(changes)) = (value.as_object_mut(), changes.as_object()) {
        value.extend(changes.clone());
    }
    config(&value)
}

fn steps(config: &SchedulerConfig, count: u32) -> Scheduler {
    Scheduler::new(config, &Timesteps::Steps(count)).expect("the number of steps is allowed")
}

/// A run of a plan with the stand-in model; returns the result.
fn finish(mut sampling: Sampling) -> Vec<f32> {
    while let Some(call) = sampling.next() {
        sampling.advance(&model(&call.sample, call.timestep, 0.0));
    }
    sampling.latent().to_vec()
}

#[test]
fn explicit_timesteps_equal_the_same_ones_by_number() {
    let trailing = sdxl("DDIMScheduler", json!({"timestep_spacing": "trailing"}));
    for class in SchedulerClass::ALL {
        let config = trailing.with_class(class);
        let by_number = steps(&config, 5);
        let explicit = by_number.timesteps().iter().map(|step| *step as u32);
        let explicit = Scheduler::new(&config, &Timesteps::Explicit(explicit.collect()))
            .expect("a scheduler's own timesteps are allowed");
        let run = |scheduler| finish(Sampling::new(Arc::new(Plan::base(scheduler, 0.0)), 36, 1));
        assert_eq!(run(by_number), run(explicit), "{:?}", config.class());
    }
}

#[test]
fn a_model_may_predict_the_sample_under_every_scheduler() {
    // diffusers has no such prediction for Euler ancestral; a model that predicts the sample is
    // equivalent to one that predicts the noise in it.
    for class in SchedulerClass::ALL {
        let epsilon = sdxl("DDIMScheduler", json!({})).with_class(class);
        let sample = sdxl("DDIMScheduler", json!({"prediction_type": "sample"})).with_class(class);
        let of_noise = steps(&epsilon, 4);
        let of_sample = steps(&sample, 4);
        let latent = TorchGenerator::new(1).randn(36);
        let output = model(&latent, 0.0, 0.0);
        let take = |scheduler: &Scheduler, output: &[f32]| {
            let mut generator = TorchGenerator::new(2);
            let mut memory = Memory::default();
            // The last step: Heun's then takes one pass as well.
            scheduler
                .step(3, output, &latent, &mut memory, &mut generator)
                .expect("one pass is enough")
        };
        let expected = take(&of_noise, &output);
        let actual = take(&of_sample, &expected.predicted_original);
        assert_close(
            class.label(),
            "the previous sample",
            &actual.previous_sample,
            &expected.previous_sample,
        );
    }
}

#[test]
fn both_scales_name_the_same_noise_level() {
    // A timestep is as noisy for one scheduler as for another; 1e-6 is a few roundings.
    let timesteps = Timesteps::Explicit(vec![999, 500, 1]);
    let level = |class, index| {
        let config = sdxl("DDIMScheduler", json!({})).with_class(class);
        Scheduler::new(&config, &timesteps)
            .expect("the timesteps are allowed")
            .noise_level(index)
    };
    for index in 0..3 {
        let preserving = level(SchedulerClass::Ddim, index);
        let exploding = level(SchedulerClass::EulerDiscrete, index);
        assert_eq!(preserving.scale, LatentScale::VariancePreserving);
        assert_eq!(exploding.scale, LatentScale::VarianceExploding);
        assert!((preserving.sqrt_alpha_bar - exploding.sqrt_alpha_bar).abs() < 1e-6);
        let noise = preserving.sqrt_one_minus_alpha_bar - exploding.sqrt_one_minus_alpha_bar;
        assert!(noise.abs() < 1e-6);
    }
}

#[test]
fn guidance_acts_above_one_alone() {
    for (scale, guided) in [(0.0, false), (1.0, false), (1.001, true), (7.5, true)] {
        assert_eq!(sampler::is_guided(scale), guided, "{scale}");
    }
    assert_eq!(sampler::combine(&[1.0, -2.0], &[2.0, 0.0], 3.0), [4.0, 4.0]);
}
