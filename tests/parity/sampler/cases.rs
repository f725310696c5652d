//! Configurations that people bring: each test is named after the case of a public report.

use firststep::sampler::{
    PredictionType, Scheduler, SchedulerClass, SchedulerConfig, SchedulerError, SigmaSpacing,
    Timesteps,
};
use serde_json::{Value, json};

use super::config;

/// A fine-tune's configuration, with what is its own.
fn fine_tune(class: &str, changes: Value) -> Value {
    let mut value = json!({
        "_class_name": class,
        "_diffusers_version": "0.30.0",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "steps_offset": 1,
        "timestep_spacing": "leading",
        "prediction_type": "epsilon",
    });
    if let (Some(value), Some(changes)) = (value.as_object_mut(), changes.as_object()) {
        value.extend(changes.clone());
    }
    value
}

#[test]
fn case_06_scheduler_class() {
    for (class, changes) in [
        (
            "DPMSolverMultistepScheduler",
            json!({"algorithm_type": "dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"}),
        ),
        ("UniPCMultistepScheduler", json!({"solver_type": "bh2"})),
        ("HeunDiscreteScheduler", json!({})),
        ("TCDScheduler", json!({"original_inference_steps": 50})),
    ] {
        let read = config(&fine_tune(class, changes));
        assert_eq!(read.class().class_name(), class);
        assert_eq!(read.substituted(), None);
    }
    for (class, changes) in [
        ("DDPMScheduler", json!({"variance_type": "fixed_small"})),
        (
            "DEISMultistepScheduler",
            json!({"algorithm_type": "deis", "solver_type": "logrho"}),
        ),
        ("DPMSolverSinglestepScheduler", json!({"solver_order": 2})),
        ("KDPM2AncestralDiscreteScheduler", json!({})),
        ("KDPM2DiscreteScheduler", json!({"use_karras_sigmas": true})),
        ("LMSDiscreteScheduler", json!({})),
        ("PNDMScheduler", json!({"skip_prk_steps": true})),
    ] {
        // As `EulerDiscreteScheduler.from_config`: `another_class_takes_a_configuration_as_diffusers_does`
        // has its timesteps.
        let read = config(&fine_tune(class, changes));
        assert_eq!(read.class(), SchedulerClass::EulerDiscrete, "{class}");
        assert_eq!(read.substituted(), Some(class));
        assert_eq!(read.steps_offset(), 1, "{class}");
        let is_karras = read.sigma_spacing() == Some(SigmaSpacing::Karras);
        assert_eq!(is_karras, class == "KDPM2DiscreteScheduler", "{class}");
    }
    let noise = json!({"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"});
    let noise = config(&fine_tune("DPMSolverMultistepScheduler", noise));
    assert_eq!(
        noise.substituted(),
        Some("DPMSolverMultistepScheduler without ++")
    );
    for other in [
        json!({"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_min": 0.002, "sigma_max": 80.0,
               "sigma_data": 0.5, "prediction_type": "epsilon"}),
        json!({"_class_name": "EDMEulerScheduler", "sigma_data": 0.5}),
        json!({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}),
    ] {
        let error = SchedulerConfig::from_json(&other).expect_err("the model is of another kind");
        assert!(
            matches!(error, SchedulerError::OtherModel { .. }),
            "{error}"
        );
    }
}

#[test]
fn case_07_scheduler_options() {
    // Their trajectories are among those of `trajectories_are_diffusers`.
    let euler = |changes| config(&fine_tune("EulerDiscreteScheduler", changes));
    let karras = euler(json!({"use_karras_sigmas": true}));
    assert_eq!(karras.sigma_spacing(), Some(SigmaSpacing::Karras));
    assert_eq!(karras.label(), "Euler Karras");
    let velocity = euler(json!({"prediction_type": "v_prediction"}));
    assert_eq!(velocity.prediction_type(), PredictionType::Velocity);
    let zero_snr = euler(
        json!({"timestep_spacing": "trailing", "prediction_type": "v_prediction",
                                "rescale_betas_zero_snr": true}),
    );
    let scheduler = Scheduler::new(&zero_snr, &Timesteps::Steps(20)).expect("20 steps are allowed");
    // The square root of 2^24: all but nothing is left of the sample.
    assert!((scheduler.init_noise_sigma() / 4096.0 - 1.0).abs() < 1e-6);
    for changes in [
        json!({"final_sigmas_type": "sigma_min"}),
        json!({"interpolation_type": "log_linear"}),
        json!({"timestep_spacing": "trailing", "rescale_betas_zero_snr": false,
               "final_sigmas_type": "zero", "timestep_type": "discrete", "sigma_min": null,
               "sigma_max": null, "use_karras_sigmas": false, "use_beta_sigmas": false,
               "use_exponential_sigmas": false}),
    ] {
        Scheduler::new(&euler(changes), &Timesteps::Steps(20)).expect("20 steps are allowed");
    }
}

#[test]
fn a_configuration_of_pythons_writer_is_read() {
    // DPM-Solver's own default is no JSON.
    let text = r#"{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity,
        "note \"NaN\"": "Infinity", "flow_shift": NaN}"#;
    let value = SchedulerConfig::parse_text(text).expect("it is read");
    assert_eq!(value["lambda_min_clipped"], Value::Null);
    assert_eq!(value["note \"NaN\""], json!("Infinity"));
    assert_eq!(config(&value).lambda_min_clipped(), None);
    assert!(SchedulerConfig::parse_text("<html>").is_err());
}

#[test]
fn what_would_draw_something_else_is_refused_with_its_reason() {
    let message = |class: &str, changes: Value, timesteps: Timesteps| {
        let read = SchedulerConfig::from_json(&fine_tune(class, changes));
        let made = read.and_then(|config| Scheduler::new(&config, &timesteps));
        made.expect_err("it is refused").to_string()
    };
    let zero_snr = json!({"rescale_betas_zero_snr": true, "timestep_spacing": "trailing"});
    for class in ["DDIMScheduler", "LCMScheduler", "TCDScheduler"] {
        let message = message(class, zero_snr.clone(), Timesteps::Steps(4));
        assert!(
            message.contains("nothing but noise is left at timestep 999"),
            "{message}"
        );
    }
    let continuous = json!({"timestep_type": "continuous", "prediction_type": "v_prediction"});
    for class in SchedulerClass::ALL {
        let name = class.class_name();
        if class != SchedulerClass::EulerDiscrete {
            let message = message(name, continuous.clone(), Timesteps::Steps(4));
            assert!(message.contains("Choose Euler"), "{name}: {message}");
        }
    }
    let karras = json!({"use_karras_sigmas": true});
    let explicit = message(
        "EulerDiscreteScheduler",
        karras,
        Timesteps::Explicit(vec![999, 499]),
    );
    assert!(explicit.contains("(Karras)"), "{explicit}");
    let both = json!({"use_karras_sigmas": true, "use_beta_sigmas": true});
    let both = message("EulerDiscreteScheduler", both, Timesteps::Steps(4));
    assert!(both.contains("more than one"), "{both}");
    for bounds in [
        json!({"sigma_min": 12.0, "sigma_max": 2.0}),
        json!({"sigma_min": 200.0, "use_karras_sigmas": true}),
    ] {
        let message = message("EulerDiscreteScheduler", bounds, Timesteps::Steps(4));
        assert!(message.contains("sigma_min has to be below"), "{message}");
    }
}
