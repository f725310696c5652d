//! What is read of a `scheduler_config.json`, and what is refused.

use firststep::sampler::{
    Scheduler, SchedulerChoice, SchedulerClass, SchedulerConfig, SchedulerError, Timesteps,
};
use serde_json::{Value, json};

use super::{config, sdxl, steps};

#[test]
fn classes_have_one_name_of_each_kind() {
    for class in SchedulerClass::ALL {
        assert_eq!(
            serde_json::to_value(class).expect("a class serializes"),
            json!(class.class_name())
        );
    }
    for choice in SchedulerChoice::ALL {
        assert_eq!(SchedulerChoice::from_key(choice.key()), Some(choice));
        let config = choice.config(&sdxl("DDIMScheduler", json!({})));
        assert_eq!(SchedulerChoice::of(&config), choice);
        assert_eq!(config.label(), choice.label());
    }
    assert_eq!(SchedulerChoice::from_key("DDIM"), None);
    // Recipes that were saved before there were others.
    for (choice, class) in SchedulerChoice::ALL
        .into_iter()
        .zip(SchedulerClass::ALL)
        .take(4)
    {
        assert_eq!(
            serde_json::to_value(choice).expect("it serializes"),
            json!(class.class_name())
        );
    }
}

#[test]
fn configurations_survive_serde() {
    let original = sdxl("LCMScheduler", json!({"prediction_type": "v_prediction"}));
    let text = serde_json::to_string(&original).expect("a configuration serializes");
    let read: SchedulerConfig = serde_json::from_str(&text).expect("it reads back");
    assert_eq!(read, original);
    let error = serde_json::from_str::<SchedulerConfig>(r#"{"_class_name": "RePaintScheduler"}"#)
        .expect_err("the class is unknown");
    assert!(error.to_string().contains("RePaintScheduler"), "{error}");
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
        message(json!({"_class_name": "RePaintScheduler"})),
        "The scheduler's configuration has _class_name \"RePaintScheduler\", which is not known here; \
         known are DDIMScheduler, EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, \
         LCMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler, \
         HeunDiscreteScheduler, TCDScheduler."
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
        message(json!({"use_flow_sigmas": true})),
        "The scheduler's configuration sets use_flow_sigmas to true, which is not implemented \
         here; only false is."
    );
    let named = [
        ("_class_name", json!(null)),
        ("_class_name", json!(7)),
        ("prediction_type", json!("flow_prediction")),
        ("timestep_spacing", json!("trailling")),
        ("thresholding", json!(true)),
        ("rescale_betas_zero_snr", json!("yes")),
        ("use_karras_sigmas", json!(1)),
        ("use_dynamic_shifting", json!(true)),
        ("solver_p", json!({})),
        ("trained_betas", json!(vec![0.1; 1000])),
        ("interpolation_type", json!("cubic")),
        ("final_sigmas_type", json!("sigma_max")),
        ("timestep_type", json!("whole")),
        ("sigma_min", json!(0)),
        ("solver_order", json!(4)),
        ("solver_type", json!("bh3")),
        ("algorithm_type", json!("ddpm")),
        ("disable_corrector", json!([-1])),
        ("lambda_min_clipped", json!("-inf")),
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
        assert!(message.ends_with('.') && message.len() < 300, "{message}");
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
        let maximum = match class {
            SchedulerClass::Lcm | SchedulerClass::Tcd => 50,
            // Theirs count one more, which is taken at 0.
            SchedulerClass::DpmSolverMultistep | SchedulerClass::UniPcMultistep => 999,
            _ => 1000,
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
