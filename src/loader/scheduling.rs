//! What a visitor's model says of its noise and of its output, before the first byte of its weights.

use serde_json::{Value, json};

use crate::sampler::{PairSchedulers, SchedulerError};
use crate::weights::format::safetensors::Header;
use crate::weights::manifest::Manifest;

/// Why a checkpoint can't be sampled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences name every field")]
pub enum MarksError {
    /// A model of another kind.
    #[error(
        "The checkpoint {file} is marked as trained with another formula for noise (EDM, by its \
         {mark}), which Firststep doesn't have, so it can't be drawn."
    )]
    Edm { file: String, mark: String },
    /// A word that is not among the known ones.
    #[error(
        "The checkpoint {file} says in its metadata that it predicts “{value}” ({key}); Firststep can \
         draw with models that predict the noise (epsilon) or the velocity (v)."
    )]
    Prediction {
        file: String,
        key: &'static str,
        value: String,
    },
}

/// What a single-file checkpoint says of itself: by tensors that are there for their names alone, and in
/// its header's metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Whether it predicts the velocity; none where it says nothing.
    pub predicts_velocity: Option<bool>,
    /// Whether it was trained with nothing but noise at the last timestep.
    pub zero_terminal_snr: bool,
}

impl Marks {
    /// Reads the marks that programs for such files write: the tensors `v_pred` and `ztsnr`, and the
    /// metadata of modelspec and of training scripts. A tensor counts more than metadata, which may be
    /// left from the model that this one was made of.
    ///
    /// # Errors
    /// The model is of another kind, or predicts something else.
    pub fn of(file: &str, header: &Header) -> Result<Marks, MarksError> {
        // Nothing uses the tensors that are marks.
        let names = || header.names();
        if let Some(mark) = names().find(|name| name.starts_with("edm_")) {
            return Err(MarksError::Edm {
                file: file.into(),
                mark: mark.into(),
            });
        }
        let has = |name: &str| names().any(|tensor| tensor == name);
        let is_true = |key: &str| {
            let value = header.metadata.get(key);
            value.is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
        };
        let mut predicts_velocity = has("v_pred").then_some(true);
        for key in ["modelspec.prediction_type", "modelspec.predict_key"] {
            let Some(value) = header.metadata.get(key).filter(|value| !value.is_empty()) else {
                continue;
            };
            let stated = match value.to_ascii_lowercase().as_str() {
                "epsilon" | "eps" => false,
                "v" | "v_prediction" | "v-prediction" | "vpred" | "v_pred" => true,
                _ if predicts_velocity.is_some() => continue,
                _ => {
                    return Err(MarksError::Prediction {
                        file: file.into(),
                        key,
                        value: value.chars().take(40).collect(),
                    });
                }
            };
            predicts_velocity.get_or_insert(stated);
        }
        if is_true("ss_v_parameterization") {
            predicts_velocity.get_or_insert(true);
        }
        Ok(Marks {
            predicts_velocity,
            zero_terminal_snr: has("ztsnr") || is_true("ss_zero_terminal_snr"),
        })
    }

    /// What the marks change, as a sentence for the visitor; none where they change nothing.
    pub fn sentence(self) -> Option<&'static str> {
        match (self.predicts_velocity, self.zero_terminal_snr) {
            (Some(true), true) => Some(
                "It is marked as predicting the velocity, with a zero terminal SNR, and is drawn so.",
            ),
            (Some(true), false) => {
                Some("It is marked as predicting the velocity, and is drawn so.")
            }
            (_, true) => Some("It is marked as trained with a zero terminal SNR, and is drawn so."),
            (_, false) => None,
        }
    }

    /// Writes the marks into a `scheduler_config.json`.
    ///
    /// With a zero terminal SNR a run begins at the last timestep, where it is zero: the way of spreading
    /// steps that the authors of the formula ask for (Lin and others, "Common Diffusion Noise Schedules and
    /// Sample Steps are Flawed").
    pub fn write_into(self, scheduler: &mut Value) {
        match self.predicts_velocity {
            Some(true) => scheduler["prediction_type"] = json!("v_prediction"),
            Some(false) => scheduler["prediction_type"] = json!("epsilon"),
            None => {}
        }
        if self.zero_terminal_snr {
            scheduler["rescale_betas_zero_snr"] = json!(true);
            scheduler["timestep_spacing"] = json!("trailing");
        }
    }
}

/// The schedulers of a manifest, each able to take the steps that the pair begins with.
///
/// # Errors
/// One of the models' configs can't be sampled by.
pub fn schedulers_of(manifest: &Manifest) -> Result<PairSchedulers, SchedulerError> {
    let schedulers = PairSchedulers::from_json(
        &manifest.schedulers.base,
        &manifest.schedulers.distilled,
        manifest.components.unet_distilled.adapter_on.is_some(),
    )?;
    let defaults = &manifest.defaults;
    schedulers.check(
        defaults.base_steps,
        defaults.distilled_steps,
        &defaults.distilled_timesteps,
    )?;
    Ok(schedulers)
}

/// Sentences about a pair's schedulers, for whoever is about to load it: which of its models is not sampled
/// with the scheduler that it names, or why one can't be.
pub fn notices(manifest: &Manifest) -> Vec<String> {
    match schedulers_of(manifest) {
        Ok(schedulers) => schedulers.notices(),
        Err(error) => vec![error.to_string()],
    }
}

/// Whether an empty prompt becomes zeros, by the text of a model's `model_index.json`; true, as in
/// diffusers' pipeline, where it doesn't say.
pub fn forces_zeros(model_index: &Value) -> bool {
    model_index["force_zeros_for_empty_prompt"]
        .as_bool()
        .unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::PredictionType;

    /// The header of a checkpoint with a weight, these empty tensors and this metadata.
    fn header(tensors: &[&str], metadata: &Value) -> Header {
        let mut entries = json!({
            "__metadata__": metadata,
            "model.diffusion_model.out.2.bias": {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]},
        });
        for tensor in tensors {
            entries[tensor] = json!({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]});
        }
        let json = entries.to_string();
        let bytes = [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat();
        Header::parse("a checkpoint", &bytes).expect("the header is sound")
    }

    fn marks(tensors: &[&str], metadata: &Value) -> Result<Marks, MarksError> {
        Marks::of("mix.safetensors", &header(tensors, metadata))
    }

    fn manifest(change: impl FnOnce(&mut Value)) -> Manifest {
        let text = include_str!("../../public/pairs/sdxl-dmd2-lora.json");
        let mut json: Value = serde_json::from_str(text).expect("the manifest is JSON");
        change(&mut json);
        Manifest::parse(&json.to_string()).expect("the manifest is sound")
    }

    #[test]
    fn a_checkpoint_says_what_it_predicts() {
        let velocity = |tensors: &[&str], metadata: &Value| {
            marks(tensors, metadata).map(|it| it.predicts_velocity)
        };
        assert_eq!(marks(&[], &json!({})), Ok(Marks::default()));
        assert_eq!(
            marks(&["v_pred", "ztsnr"], &json!({})),
            Ok(Marks {
                predicts_velocity: Some(true),
                zero_terminal_snr: true
            })
        );
        for (metadata, expected) in [
            (json!({"modelspec.prediction_type": "v"}), true),
            (json!({"modelspec.predict_key": "v"}), true),
            (json!({"modelspec.prediction_type": "epsilon"}), false),
            (json!({"modelspec.predict_key": "epsilon"}), false),
            (json!({"ss_v_parameterization": "True"}), true),
        ] {
            assert_eq!(velocity(&[], &metadata), Ok(Some(expected)), "{metadata}");
            // Metadata of the model that a mix was made of.
            assert_eq!(velocity(&["v_pred"], &metadata), Ok(Some(true)));
        }
        let trained = marks(&[], &json!({"ss_zero_terminal_snr": "True"}));
        assert!(trained.is_ok_and(|it| it.zero_terminal_snr && it.predicts_velocity.is_none()));
    }

    #[test]
    fn a_checkpoint_of_another_kind_is_refused_by_its_mark() {
        for mark in ["edm_mean", "edm_std", "edm_vpred.sigma_max"] {
            let error = marks(&["v_pred", mark], &json!({})).expect_err("it is refused");
            assert!(error.to_string().contains(mark), "{error}");
        }
        let flow = marks(&[], &json!({"modelspec.prediction_type": "rectified flow"}));
        let flow = flow.expect_err("it is refused").to_string();
        assert!(
            flow.contains("“rectified flow” (modelspec.prediction_type)"),
            "{flow}"
        );
    }

    #[test]
    fn a_lora_on_a_model_with_marks_is_drawn_by_them() {
        let marked = Marks {
            predicts_velocity: Some(true),
            zero_terminal_snr: true,
        };
        let own = schedulers_of(&manifest(|_| {})).expect("the pair is sound");
        assert_eq!(own.distilled.prediction_type(), PredictionType::Epsilon);
        let manifest = manifest(|json| marked.write_into(&mut json["schedulers"]["base"]));
        let schedulers = schedulers_of(&manifest).expect("both can be drawn");
        for config in [&schedulers.base, &schedulers.distilled] {
            assert_eq!(config.prediction_type(), PredictionType::Velocity);
            assert!(config.rescale_betas_zero_snr());
        }
        assert_eq!(schedulers.notices(), [""; 0]);
        assert!(
            marked
                .sentence()
                .is_some_and(|it| it.contains("velocity, with a zero"))
        );
        assert_eq!(Marks::default().sentence(), None);
    }

    #[test]
    fn a_pair_is_refused_or_explained_before_its_weights() {
        let of = |config: Value| manifest(|json| json["schedulers"]["base"] = config);
        let named = of(json!({"_class_name": "PNDMScheduler", "beta_schedule": "scaled_linear"}));
        assert_eq!(
            notices(&named),
            [
                "The base model names PNDMScheduler, which Firststep doesn't have: it is drawn with Euler on \
              the same noise schedule."
            ]
        );
        let edm = of(json!({"_class_name": "EDMEulerScheduler", "sigma_data": 0.5}));
        let error = schedulers_of(&edm).expect_err("it is refused").to_string();
        assert!(
            error.contains("EDMEulerScheduler") && error.contains("can't be drawn"),
            "{error}"
        );
        assert_eq!(notices(&edm), [error]);
        // Nothing but noise at the adapter's first timestep, and noise is what it predicts.
        let noise =
            of(json!({"_class_name": "EulerDiscreteScheduler", "rescale_betas_zero_snr": true}));
        assert!(schedulers_of(&noise).is_err());
    }

    #[test]
    fn an_empty_prompt_is_what_the_pipeline_makes_of_it() {
        assert!(forces_zeros(&json!({})));
        assert!(!forces_zeros(
            &json!({"force_zeros_for_empty_prompt": false})
        ));
    }
}
