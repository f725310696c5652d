//! The sampler against torch and diffusers: noise, schedulers, and whole runs of the plans, on the
//! values that `tools/reference/sampler.py` writes.

use std::sync::Arc;

use firststep::sampler::{
    self, LatentScale, ModelRole, Plan, PlanError, Sampling, Scheduler, SchedulerClass,
    SchedulerConfig, SchedulerError, Timesteps, TorchGenerator,
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
    serde_json::from_str(include_str!("values/sampler.json")).expect("the reference values parse")
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

#[test]
fn trajectories_are_diffusers() {
    let mut largest = (0.0, String::new());
    for case in reference().trajectories {
        let name = &case.name;
        let scheduler = Scheduler::new(&config(&case.config), &(&case.steps).into())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(scheduler.timesteps(), case.timesteps, "{name}: timesteps");
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
        for (index, timestep) in scheduler.timesteps().iter().enumerate() {
            let input = scheduler.scale_model_input(index, &sample);
            let before = generator.clone();
            let model_output = model(&input, *timestep, 0.0);
            let output = scheduler.step(index, &model_output, &sample, &mut generator);
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

/// Runs a plan with the stand-in models and compares every step.
fn assert_run(name: &str, plan: Plan, seed: u64, outcomes: &[Outcome], result: &[f32]) {
    assert_eq!(plan.steps().len(), outcomes.len(), "{name}: steps");
    let mut sampling = Sampling::new(Arc::new(plan), result.len(), seed);
    for (number, expected) in outcomes.iter().enumerate() {
        assert_eq!(sampling.position(), number);
        let call = sampling
            .next()
            .unwrap_or_else(|| panic!("{name}: there is a step {number}"));
        assert_eq!(call.model, expected.model, "{name}: model of step {number}");
        assert_eq!(
            call.timestep, expected.timestep,
            "{name}: timestep of step {number}"
        );
        let phase = match call.model {
            ModelRole::Base => 0.0,
            ModelRole::Distilled => 0.5,
        };
        let conditional = model(&call.sample, call.timestep, phase);
        let output = if sampler::is_guided(call.guidance_scale) {
            let unconditional = model(&call.sample, call.timestep, phase - 0.4);
            sampler::combine(&unconditional, &conditional, call.guidance_scale)
        } else {
            conditional
        };
        let outcome = sampling.advance(&output);
        assert_eq!(outcome.step, number + 1);
        assert_eq!(outcome.steps, outcomes.len());
        assert_eq!(outcome.model, expected.model);
        assert_eq!(outcome.timestep, expected.timestep);
        assert_close(
            name,
            &format!("predicted original of step {number}"),
            &outcome.predicted_original,
            &expected.predicted_original,
        );
    }
    assert_eq!(sampling.next(), None, "{name}: the image is done");
    assert_close(name, "the result", sampling.latent(), result);
}

#[test]
fn hybrids_follow_the_papers_rule() {
    for case in reference().hybrids {
        let plan = Plan::hybrid(
            case.base.as_ref().map(scheduler),
            scheduler(&case.distilled),
            case.k,
            case.base_guidance,
            case.distilled_guidance,
        )
        .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let base_steps = plan
            .steps()
            .iter()
            .take_while(|step| step.model == ModelRole::Base)
            .count();
        assert_eq!(base_steps, case.base_end, "{}: base steps", case.name);
        for (number, step) in plan.steps().iter().enumerate() {
            let expected = match step.model {
                ModelRole::Base => (number, case.base_guidance),
                ModelRole::Distilled => (case.k + number - case.base_end, case.distilled_guidance),
            };
            assert_eq!((step.index, step.guidance_scale), expected, "{}", case.name);
        }
        assert_run(&case.name, plan, case.seed, &case.outcomes, &case.result);
    }
}

#[test]
fn skipping_the_first_step_starts_at_the_second_on_fresh_noise() {
    for case in reference().skips {
        let plan = Plan::skip_first_step(scheduler(&case.distilled), 0.0)
            .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(plan.steps()[0].index, 1);
        assert_run(&case.name, plan, case.seed, &case.outcomes, &case.result);
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
fn one_model_takes_every_step_of_the_plain_plans() {
    let scheduler = steps(&sdxl("LCMScheduler", json!({})), 4);
    let base = Plan::base(scheduler.clone(), 7.5);
    let distilled = Plan::distilled(scheduler.clone(), 0.0);
    for (plan, role, guidance_scale) in [
        (&base, ModelRole::Base, 7.5),
        (&distilled, ModelRole::Distilled, 0.0),
    ] {
        let timesteps: Vec<f32> = (0..plan.steps().len())
            .map(|number| plan.timestep(number))
            .collect();
        assert_eq!(timesteps, [999.0, 759.0, 499.0, 259.0]);
        assert!(
            plan.steps()
                .iter()
                .all(|step| step.model == role && step.guidance_scale == guidance_scale)
        );
    }
}

#[test]
fn the_base_model_of_twenty_steps_hands_over_at_the_nearest_timestep() {
    let base = steps(&sdxl("DDIMScheduler", json!({})), 20);
    let distilled = steps(&sdxl("LCMScheduler", json!({})), 4);
    assert_eq!(distilled.timesteps(), [999.0, 759.0, 499.0, 259.0]);
    // 751 is nearest to 759, and the fifth of 951, 901, 851, 801, 751; 501 to 499; 251 to 259.
    for (k, base_steps) in [(1, 4), (2, 9), (3, 14), (4, 20)] {
        let plan = Plan::hybrid(Some(base.clone()), distilled.clone(), k, 0.0, 0.0)
            .expect("k is within its bounds");
        let of_base = plan
            .steps()
            .iter()
            .filter(|step| step.model == ModelRole::Base)
            .count();
        assert_eq!(
            (of_base, plan.steps().len()),
            (base_steps, base_steps + 4 - k)
        );
    }
}

#[test]
fn a_snapshot_goes_on_with_the_same_noise() {
    let scheduler = steps(
        &sdxl(
            "EulerAncestralDiscreteScheduler",
            json!({"timestep_spacing": "trailing"}),
        ),
        4,
    );
    let plan = Arc::new(Plan::distilled(scheduler, 0.0));
    let mut sampling = Sampling::new(plan.clone(), 5, 9);
    let call = sampling.next().expect("there is a first step");
    sampling.advance(&model(&call.sample, call.timestep, 0.0));
    let snapshot = sampling.clone();
    assert_eq!(snapshot.position(), 1);
    let whole = finish(sampling);
    assert_eq!(finish(snapshot.clone()), whole);
    assert_ne!(snapshot.latent(), whole);
    // The latent alone tells as much: the noise before it is drawn again.
    let resume =
        |position, latent: &[f32]| Sampling::resume(plan.clone(), 5, 9, position, latent.to_vec());
    let resumed = resume(1, snapshot.latent()).expect("there is such a step");
    assert_eq!(finish(resumed), whole);
    assert!(resume(5, snapshot.latent()).is_none(), "of four steps");
    assert!(resume(1, &[0.0; 4]).is_none(), "of five numbers");
}

#[test]
fn k_has_bounds() {
    let lcm = || steps(&sdxl("LCMScheduler", json!({})), 4);
    for k in [0, 5] {
        let error = Plan::hybrid(None, lcm(), k, 0.0, 0.0).expect_err("k is out of bounds");
        assert_eq!(error, PlanError::KOutOfBounds { k, steps: 4 });
        assert_eq!(
            error.to_string(),
            format!(
                "k is {k}: the base model can replace from 1 to 4 of the distilled model's steps."
            )
        );
    }
    let short = steps(&sdxl("DDIMScheduler", json!({})), 1);
    assert_eq!(
        Plan::hybrid(Some(short), lcm(), 1, 0.0, 0.0).expect_err("no base step is left"),
        PlanError::NoBaseStep { base_steps: 1 }
    );
    let single = steps(&sdxl("LCMScheduler", json!({})), 1);
    assert_eq!(
        Plan::skip_first_step(single, 0.0).expect_err("no step is left"),
        PlanError::NothingLeft { steps: 1 }
    );
}

#[test]
fn explicit_timesteps_equal_the_same_ones_by_number() {
    let cases = [
        sdxl("DDIMScheduler", json!({})),
        sdxl(
            "EulerDiscreteScheduler",
            json!({"timestep_spacing": "trailing"}),
        ),
        sdxl(
            "EulerAncestralDiscreteScheduler",
            json!({"timestep_spacing": "trailing"}),
        ),
        sdxl("LCMScheduler", json!({})),
    ];
    for config in cases {
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
        let mut generator = TorchGenerator::new(2);
        let expected = of_noise.step(1, &output, &latent, &mut generator);
        let mut generator = TorchGenerator::new(2);
        let actual = of_sample.step(1, &expected.predicted_original, &latent, &mut generator);
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

#[test]
fn classes_have_one_name_of_each_kind() {
    for class in SchedulerClass::ALL {
        assert_eq!(SchedulerClass::from_key(class.key()), Some(class));
        assert_eq!(
            serde_json::to_value(class).expect("a class serializes"),
            json!(class.class_name())
        );
    }
    assert_eq!(SchedulerClass::from_key("DDIM"), None);
}

#[test]
fn configurations_survive_serde() {
    let original = sdxl("LCMScheduler", json!({"prediction_type": "v_prediction"}));
    let text = serde_json::to_string(&original).expect("a configuration serializes");
    let read: SchedulerConfig = serde_json::from_str(&text).expect("it reads back");
    assert_eq!(read, original);
    let error =
        serde_json::from_str::<SchedulerConfig>(r#"{"_class_name": "HeunDiscreteScheduler"}"#)
            .expect_err("the class is unknown");
    assert!(
        error.to_string().contains("HeunDiscreteScheduler"),
        "{error}"
    );
}

#[test]
fn a_bad_configuration_is_an_error_that_names_what_is_wrong() {
    let message = |changes: Value| {
        let mut value = json!({"_class_name": "DDIMScheduler"});
        if let (Some(value), Some(changes)) = (value.as_object_mut(), changes.as_object()) {
            value.extend(changes.clone());
        }
        SchedulerConfig::from_json(&value)
            .expect_err("the configuration is refused")
            .to_string()
    };
    assert_eq!(
        message(json!({"_class_name": "PNDMScheduler"})),
        "The scheduler's configuration has _class_name \"PNDMScheduler\", which is not known here; \
         known are DDIMScheduler, EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, \
         LCMScheduler."
    );
    assert_eq!(
        message(json!({"beta_schedule": "sigmoid"})),
        "The scheduler's configuration has beta_schedule \"sigmoid\", which is not known here; \
         known are linear, scaled_linear, squaredcos_cap_v2."
    );
    assert_eq!(
        message(json!({"num_train_timesteps": -5})),
        "The scheduler's configuration has num_train_timesteps -5; it has to be a whole number \
         from 1 to 10000."
    );
    assert_eq!(
        message(json!({"use_karras_sigmas": true})),
        "The scheduler's configuration sets use_karras_sigmas to true, which is not implemented \
         here; only false is."
    );
    let named = [
        ("_class_name", json!(null)),
        ("_class_name", json!(7)),
        ("prediction_type", json!("flow_prediction")),
        ("timestep_spacing", json!("trailling")),
        ("thresholding", json!(true)),
        ("rescale_betas_zero_snr", json!(true)),
        ("use_exponential_sigmas", json!(true)),
        ("use_beta_sigmas", json!(true)),
        ("trained_betas", json!(vec![0.1; 1000])),
        ("interpolation_type", json!("log_linear")),
        ("final_sigmas_type", json!("sigma_min")),
        ("timestep_type", json!("continuous")),
        ("num_train_timesteps", json!(1e12)),
        ("num_train_timesteps", json!("1000")),
        ("beta_start", json!(0)),
        ("beta_end", json!(1.5)),
        ("steps_offset", json!(0.5)),
        ("set_alpha_to_one", json!("yes")),
        ("clip_sample", json!(1)),
        ("clip_sample_range", json!(-1)),
        ("original_inference_steps", json!(0)),
        ("timestep_scaling", json!([])),
    ];
    for (name, value) in named {
        let message = message(json!({ name: value }));
        assert!(message.contains(name), "{name}: {message}");
        assert!(message.ends_with('.') && message.len() < 250, "{message}");
    }
    assert_eq!(
        SchedulerConfig::from_json(&json!([])),
        Err(SchedulerError::NotAnObject)
    );
    // What does nothing is no error, and neither is what no scheduler reads.
    config(&json!({
        "_class_name": "EulerDiscreteScheduler",
        "use_karras_sigmas": false,
        "trained_betas": null,
        "skip_prk_steps": true,
        "interpolation_type": "linear",
    }));
}

#[test]
fn timesteps_that_a_scheduler_cannot_take_are_an_error() {
    let message = |config: &SchedulerConfig, timesteps: Timesteps| {
        Scheduler::new(config, &timesteps)
            .expect_err("the timesteps are refused")
            .to_string()
    };
    for class in SchedulerClass::ALL {
        let config = sdxl("DDIMScheduler", json!({})).with_class(class);
        let maximum = if class == SchedulerClass::Lcm {
            50
        } else {
            1000
        };
        assert!(
            message(&config, Timesteps::Steps(0)).starts_with("The number of steps is 0;"),
            "{class:?}"
        );
        assert_eq!(
            message(&config, Timesteps::Steps(maximum + 1)),
            format!(
                "The number of steps is {}; this scheduler can make from 1 to {maximum}.",
                maximum + 1
            )
        );
        assert_eq!(
            message(&config, Timesteps::Explicit(vec![])),
            "The list of timesteps is empty; it needs at least one."
        );
        assert_eq!(
            message(&config, Timesteps::Explicit(vec![999, 250, 499])),
            "The timesteps have to go down, from the noisiest to the last, but 499 comes after 250."
        );
        assert_eq!(
            message(&config, Timesteps::Explicit(vec![1000, 499])),
            "The timestep 1000 is beyond those that the model was trained on, 0 to 999."
        );
    }
    // The offset moves the first of 1000 timesteps past the last one that was trained.
    let offset = sdxl("DDIMScheduler", json!({}));
    assert_eq!(
        message(&offset, Timesteps::Steps(1000)),
        "The timestep 1000 is beyond those that the model was trained on, 0 to 999."
    );
    let original = sdxl("LCMScheduler", json!({"original_inference_steps": 2000}));
    assert!(message(&original, Timesteps::Steps(4)).contains("original_inference_steps 2000"));
    for changes in [
        json!({"beta_start": 0.9, "beta_end": 0.99}),
        json!({"beta_start": 1e-12, "beta_schedule": "linear"}),
    ] {
        let message = message(&sdxl("DDIMScheduler", changes), Timesteps::Steps(4));
        assert!(message.contains("noise can't be computed"), "{message}");
    }
}

#[test]
fn trailing_spacing_keeps_the_number_of_steps_where_rounding_is_against_it() {
    // 1000 / 61 is rounded so that numpy counts 62 values down to 0; the last would be timestep -1.
    let config = sdxl("DDIMScheduler", json!({"timestep_spacing": "trailing"}));
    let scheduler = steps(&config, 61);
    assert_eq!(scheduler.timesteps().len(), 61);
    assert_eq!(scheduler.timesteps()[60], 15.0);
}
