//! What the schedulers with a memory, or with two model passes a step, are to a plan: how far it is
//! remembered, and what an interrupted image resumes from.

use std::sync::Arc;

use firststep::sampler::{ModelRole, Plan, Sampling, SchedulerClass};
use serde_json::json;

use super::{finish, model, sdxl, steps};

const LEN: usize = 20;
const SEED: u64 = 3;

/// Takes one model pass.
fn pass(sampling: &mut Sampling) -> bool {
    let call = sampling.next().expect("there is a pass");
    sampling
        .advance(&model(&call.sample, call.timestep, 0.0))
        .is_some()
}

#[test]
fn an_image_resumes_exactly_from_every_step() {
    let trailing = sdxl(
        "DDIMScheduler",
        json!({"timestep_spacing": "trailing", "solver_order": 3}),
    );
    for class in SchedulerClass::ALL {
        let config = trailing.with_class(class);
        // The base model begins by a schedule of its own, or by the distilled model's.
        let plans = [
            Plan::base(steps(&config, 7), 0.0),
            Plan::skip_first_step(steps(&config, 5), 0.0).expect("steps are left"),
            Plan::hybrid(Some(steps(&config, 12)), steps(&config, 4), 2, 0.0, 0.0)
                .expect("it fits"),
            Plan::hybrid(None, steps(&config, 6), 3, 0.0, 0.0).expect("it fits"),
        ];
        for plan in plans.map(Arc::new) {
            let mut sampling = Sampling::new(plan.clone(), LEN, SEED);
            let whole = finish(sampling.clone());
            assert!(whole.iter().all(|value| value.is_finite()), "{class:?}");
            while !sampling.is_done() {
                let resumed = Sampling::resume(
                    plan.clone(),
                    LEN,
                    SEED,
                    sampling.position(),
                    sampling.state(),
                )
                .expect("the state is whole");
                assert_eq!(
                    finish(resumed),
                    whole,
                    "{class:?} after {}",
                    sampling.position()
                );
                while !pass(&mut sampling) {
                    // Within a step a copy goes on; what is kept of it begins with the step.
                    assert_eq!(finish(sampling.clone()), whole, "{class:?}");
                    assert_eq!(sampling.state().len(), LEN);
                }
            }
            let long = [sampling.state(), vec![0.0; LEN]].concat();
            assert!(Sampling::resume(plan, LEN, SEED, sampling.position(), long).is_none());
        }
    }
}

#[test]
fn heuns_step_takes_two_passes_and_its_last_one() {
    let heun = steps(&sdxl("HeunDiscreteScheduler", json!({})), 3);
    let mut sampling = Sampling::new(Arc::new(Plan::base(heun.clone(), 0.0)), LEN, SEED);
    let mut seen = Vec::new();
    while let Some(call) = sampling.next() {
        let outcome = sampling.advance(&model(&call.sample, call.timestep, 0.0));
        seen.push((
            call.timestep,
            outcome.map(|outcome| (outcome.step, outcome.timestep)),
        ));
    }
    let [first, second, third] = [667.0, 334.0, 1.0];
    assert_eq!(heun.timesteps(), [first, second, third]);
    assert_eq!(
        seen,
        [
            (first, None),
            (second, Some((1, first))),
            (second, None),
            (third, Some((2, second))),
            (third, Some((3, third))),
        ]
    );
}

#[test]
fn nothing_is_remembered_over_a_hand_over() {
    for class in [
        SchedulerClass::DpmSolverMultistep,
        SchedulerClass::UniPcMultistep,
    ] {
        let config =
            sdxl("DDIMScheduler", json!({"timestep_spacing": "trailing"})).with_class(class);
        let plan = Plan::hybrid(None, steps(&config, 6), 3, 0.0, 0.0).expect("it fits");
        let mut sampling = Sampling::new(Arc::new(plan), LEN, SEED);
        let mut lengths = Vec::new();
        while let Some(call) = sampling.next() {
            lengths.push((call.model, sampling.state().len() / LEN));
            pass(&mut sampling);
        }
        let starts: Vec<ModelRole> = lengths
            .iter()
            .filter(|(_, length)| *length == 1)
            .map(|(model, _)| *model)
            .collect();
        assert_eq!(
            starts,
            [ModelRole::Base, ModelRole::Distilled],
            "{class:?}: {lengths:?}"
        );
    }
}
