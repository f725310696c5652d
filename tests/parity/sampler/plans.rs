//! Whole runs of the plans: which model takes which step, and how a latent is handed over.

use std::sync::Arc;

use firststep::sampler::{self, ModelRole, Plan, PlanError, Sampling};
use serde_json::json;

use super::{Outcome, assert_close, finish, model, reference, scheduler, sdxl, steps};

/// Runs a plan with the stand-in models and compares every step.
fn assert_run(name: &str, plan: Plan, seed: u64, outcomes: &[Outcome], result: &[f32]) {
    assert_eq!(plan.steps().len(), outcomes.len(), "{name}: steps");
    let mut sampling = Sampling::new(Arc::new(plan), result.len(), seed);
    for (number, expected) in outcomes.iter().enumerate() {
        assert_eq!(sampling.position(), number);
        let mut given = None;
        let outcome = loop {
            let call = sampling
                .next()
                .unwrap_or_else(|| panic!("{name}: there is a step {number}"));
            assert_eq!(call.model, expected.model, "{name}: model of step {number}");
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
            given.get_or_insert(call.sample);
            if let Some(outcome) = sampling.advance(&output) {
                break outcome;
            }
        };
        assert_eq!(outcome.step, number + 1);
        assert_eq!(outcome.steps, outcomes.len());
        assert_eq!(outcome.model, expected.model);
        assert_eq!(Some(&outcome.sample), given.as_ref());
        assert_close(
            name,
            &format!("timestep of step {number}"),
            &[outcome.timestep],
            &[expected.timestep],
        );
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
    assert_eq!(snapshot.state(), snapshot.latent());
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
