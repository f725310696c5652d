//! Stacked adapters on a UNet of the real layout, with strengths and schedules: those of PEFT, of kohya's
//! spelling and of a Concept Slider's own network, against diffusers and PEFT.

use std::collections::BTreeMap;

use firststep::adapters::{Adapter, write_alphas};
use firststep::models::{Conditioning, UNet2DConditionConfig, UNet2DConditionModel, Weights};
use firststep::recipe::adapters::AdapterUse;
use firststep::sampler::ModelRole;
use firststep::weights::format::safetensors::{self, Header};
use firststep::weights::format::tensor::StoredTensor;
use firststep::weights::format::torch_file;
use serde::Deserialize;

use crate::support::{Reference, assert_close, json, to_vec, values};

/// Of the largest value: what the adapters' issue asks for.
const TOLERANCE: f32 = 1e-4;
/// Of a slider at three and four times its strength, whose attention is nearly saturated: torch's own values in
/// f32 are 1.3e-4 away from those in double precision.
const SATURATED_TOLERANCE: f32 = 2e-3;
const FILES: [&str; 3] = ["peft", "kohya", "slider"];

#[derive(Deserialize)]
struct Cases {
    scheduler: Schedule,
    timesteps: Vec<usize>,
    outputs: Vec<Case>,
    runs: Vec<Case>,
}

#[derive(Deserialize)]
struct Schedule {
    beta_start: f64,
    beta_end: f64,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    adapters: Vec<Used>,
}

#[derive(Deserialize)]
struct Used {
    file: String,
    strength: f32,
    from_timestep: Option<u32>,
    /// Counted from 0.
    steps: Option<Vec<u32>>,
}

impl Case {
    fn tolerance(&self) -> f32 {
        let is_saturated = |used: &Used| used.file == "slider" && used.strength.abs() > 2.0;
        if self.adapters.iter().any(is_saturated) {
            SATURATED_TOLERANCE
        } else {
            TOLERANCE
        }
    }
}

fn read(name: &str) -> (Vec<StoredTensor>, BTreeMap<String, String>) {
    let bytes = std::fs::read(values(&format!("adapters/{name}.safetensors"))).expect(name);
    let header = Header::parse(name, &bytes).expect(name);
    (
        safetensors::read(name, &bytes).expect(name),
        header.metadata,
    )
}

fn cases() -> Cases {
    serde_json::from_value(json("adapters/cases.json")).expect("the cases")
}

/// The UNet with all three adapters beside its weights.
fn weights() -> Weights {
    let file = Reference::read("models/tiny/unet/diffusion_pytorch_model.safetensors");
    let mut weights = file.weights("unet");
    for (index, name) in FILES.into_iter().enumerate() {
        let (mut tensors, metadata) = read(name);
        write_alphas(&mut tensors, &metadata).expect(name);
        let names = weights.shapes().map(|(name, _)| name);
        let mut adapter = Adapter::new(tensors, names).expect(name);
        adapter.check(weights.shapes()).expect(name);
        let shapes: Vec<(String, Vec<usize>)> = weights
            .shapes()
            .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
            .collect();
        for (layer, shape) in shapes {
            if let Some(branch) = adapter.take_branch(&layer, &shape).expect(&layer) {
                weights
                    .insert_branch(layer, branch.down, branch.up, branch.scale, Some(index))
                    .expect(name);
            }
        }
        assert!(adapter.finish().expect(name).is_empty());
    }
    weights
}

/// Each file's strength in a step, counted from 1, at a timestep.
fn strengths(case: &Case, step: u32, timestep: f32) -> Vec<f32> {
    let of = |file: &str| {
        let used = case.adapters.iter().find(|used| used.file == file);
        used.map_or(0.0, |used| {
            let mut adapter = AdapterUse::new("", file);
            adapter.strength = used.strength;
            adapter.from_timestep = used.from_timestep.unwrap_or(1000);
            let steps = used.steps.clone().unwrap_or_default();
            adapter.steps = steps.into_iter().map(|step| step + 1).collect();
            adapter.strength_at(ModelRole::Base, step, timestep)
        })
    };
    FILES.map(of).to_vec()
}

#[test]
fn outputs_and_scheduled_runs_are_those_of_diffusers_and_peft() {
    let cases = cases();
    let inputs = Reference::read("models/tiny/unet/values.safetensors");
    let expected = Reference::read("adapters/values.safetensors");
    let weights = weights();
    let acting = weights.strengths().clone();
    let config = UNet2DConditionConfig::from_json(&json("models/tiny/unet/config.json"));
    let unet = UNet2DConditionModel::load(config.expect("a config"), weights).expect("it fits");
    let time_ids = inputs.floats("time_ids");
    let conditioning = Conditioning {
        context: inputs.tensor("encoder_hidden_states"),
        pooled: inputs.tensor("text_embeds"),
        time_ids: time_ids
            .chunks(6)
            .map(|row| row.try_into().expect("six numbers"))
            .collect(),
        guidance: None,
    };
    let shape: [usize; 4] = inputs.shape("latent").try_into().expect("four dimensions");
    let predict = |latent: &[f32], timestep: f32, strengths: &[f32]| {
        acting.set(strengths);
        let data = burn::tensor::TensorData::new(latent.to_vec(), shape);
        let latent = burn::tensor::Tensor::from_data(data, &burn::tensor::Device::flex());
        to_vec(unet.forward(latent, timestep, &unet.prepare(&conditioning)))
    };
    let latent = inputs.floats("latent");
    for case in &cases.outputs {
        let strengths = strengths(case, 1, 0.0);
        let output = predict(&latent, inputs.floats("timestep")[0], &strengths);
        let expected = expected.floats(&case.name);
        assert_close(&case.name, &output, &expected, case.tolerance());
    }

    // DDIM without noise, its last step to the first timestep.
    let Schedule {
        beta_start,
        beta_end,
    } = cases.scheduler;
    let mut product = 1.0;
    let alphas: Vec<f64> = (0..1000)
        .map(|index| {
            let share = f64::from(index) / 999.0;
            let root = beta_start.sqrt() + share * (beta_end.sqrt() - beta_start.sqrt());
            product *= 1.0 - root * root;
            product
        })
        .collect();
    for case in &cases.runs {
        let mut latent = latent.clone();
        let mut reached = Vec::new();
        for (index, &timestep) in cases.timesteps.iter().enumerate() {
            let next = cases.timesteps.get(index + 1).copied().unwrap_or(0);
            let (alpha, alpha_next) = (alphas[timestep], alphas[next]);
            let strengths = strengths(case, index as u32 + 1, timestep as f32);
            let noise = predict(&latent, timestep as f32, &strengths);
            for (value, noise) in latent.iter_mut().zip(noise) {
                let noise = f64::from(noise);
                let original = (f64::from(*value) - (1.0 - alpha).sqrt() * noise) / alpha.sqrt();
                *value = (alpha_next.sqrt() * original + (1.0 - alpha_next).sqrt() * noise) as f32;
            }
            reached.extend_from_slice(&latent);
        }
        assert_close(
            &case.name,
            &reached,
            &expected.floats(&case.name),
            TOLERANCE,
        );
    }
}

#[test]
fn a_slider_of_torchs_is_the_same_as_safetensors() {
    let path = values("adapters/slider.pt");
    let bytes = std::fs::read(path).expect("slider.pt");
    let saved = torch_file::read("slider.pt", &bytes).expect("a file of torch's");
    let parts = saved.to_safetensors("slider.pt").expect("names");
    let mut file = parts.header;
    for tensor in parts.tensors {
        let range = tensor.range.start as usize..tensor.range.end as usize;
        file.extend(tensor.row_major(bytes[range].to_vec()).expect("values"));
    }
    let sorted = |mut tensors: Vec<StoredTensor>| {
        tensors.sort_by(|one, other| one.name.cmp(&other.name));
        tensors
    };
    let of_torch = safetensors::read("slider.pt", &file).expect("a safetensors file");
    assert_eq!(sorted(of_torch), sorted(read("slider").0));
}
