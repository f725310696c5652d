//! Distilled models that no pair of the page's own has, by their names: what they are sampled with.

use serde_json::{Value, json};

use crate::weights::manifest::hub::steps_in_name;

/// What a distilled model is sampled with.
#[derive(Clone, Debug, PartialEq)]
pub struct Distillation {
    /// The sampler's steps.
    pub steps: u32,
    /// The guidance scale; 0 where guidance is distilled into the model.
    pub guidance: f32,
    /// The scheduler's config, as diffusers spells it.
    pub scheduler: Value,
}

/// Steps of a model whose name has no number of them.
const USUAL_STEPS: u32 = 4;
/// The middle of the range of guidance scales for models that keep guidance.
const KEPT_GUIDANCE: f32 = 5.0;

/// What a model of this name is sampled with, as its authors say; none of an unknown name.
///
/// Hyper-SD (Ren and others, 2024) takes DDIM with trailing timesteps without guidance, those with CFG in their
/// names with scales from 5 to 8, and the model of one step TCD. Trajectory consistency distillation (Zheng
/// and others, 2024) has its own scheduler. Phased consistency models (Wang and others, 2024) take DDIM with
/// trailing timesteps that ends at the first of the training's noise levels.
pub fn distillation(name: &str) -> Option<Distillation> {
    let name = name.to_ascii_lowercase();
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    let is_hyper =
        name.contains("hyper-sd") || name.contains("hypersd") || name.contains("hyper_sd");
    let is_any = |wanted: &str| words.clone().any(|word| word == wanted);
    let named_steps = steps_in_name(&name);
    let steps = named_steps.unwrap_or(USUAL_STEPS);
    let (class, guidance) = if is_hyper && named_steps == Some(1) {
        ("TCDScheduler", 0.0)
    } else if is_hyper && is_any("cfg") {
        ("DDIMScheduler", KEPT_GUIDANCE)
    } else if is_hyper {
        ("DDIMScheduler", 0.0)
    } else if is_any("tcd") {
        ("TCDScheduler", 0.0)
    } else if name.contains("pcm") && name.contains("normalcfg") {
        ("DDIMScheduler", KEPT_GUIDANCE)
    } else if name.contains("pcm") && name.contains("sdxl") {
        ("DDIMScheduler", 0.0)
    } else {
        return None;
    };
    let mut scheduler = json!({
        "_class_name": class,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "prediction_type": "epsilon",
        "clip_sample": false,
        "set_alpha_to_one": false,
        "steps_offset": 1,
    });
    // TCD takes its timesteps from those of its training.
    if class == "DDIMScheduler"
        && let Some(fields) = scheduler.as_object_mut()
    {
        fields.insert("timestep_spacing".to_owned(), "trailing".into());
    }
    Some(Distillation {
        steps,
        guidance,
        scheduler,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::SchedulerConfig;

    #[test]
    fn distilled_models_are_sampled_as_their_authors_say() {
        let cases = [
            (
                "Hyper-SDXL-4steps-lora.safetensors",
                "DDIMScheduler",
                4,
                0.0,
            ),
            (
                "Hyper-SDXL-8steps-CFG-lora.safetensors",
                "DDIMScheduler",
                8,
                5.0,
            ),
            ("Hyper-SDXL-1step-lora.safetensors", "TCDScheduler", 1, 0.0),
            ("h1t/TCD-SDXL-LoRA", "TCDScheduler", 4, 0.0),
            (
                "pcm_sdxl_normalcfg_8step_converted.safetensors",
                "DDIMScheduler",
                8,
                5.0,
            ),
            (
                "pcm_sdxl_smallcfg_2step_converted.safetensors",
                "DDIMScheduler",
                2,
                0.0,
            ),
        ];
        for (name, class, steps, guidance) in cases {
            let own = distillation(name).expect(name);
            assert_eq!(own.scheduler["_class_name"], class, "{name}");
            assert_eq!((own.steps, own.guidance), (steps, guidance), "{name}");
            SchedulerConfig::from_json(&own.scheduler).expect(name);
        }
        for name in ["hyperrealism-xl.safetensors", "ink.safetensors", "epcml"] {
            assert_eq!(distillation(name), None, "{name}");
        }
    }
}
