//! Every model against diffusers: random ones of the real SDXL's layout, and the bundled pair.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use firststep::engine::Pair;
use firststep::models::{
    AutoencoderConfig, AutoencoderKlDecoder, AutoencoderKlEncoder, ClipTextConfig, ClipTextModel,
    Conditioning, ModelError, TinyDecoder, TinyDecoderConfig, UNet2DConditionConfig,
    UNet2DConditionModel, guidance_embedding, layout_of,
};
use firststep::recipe::Prompt;
use firststep::sampler::ModelRole;
use firststep::weights::format::encoding::Encoding;
use firststep::weights::format::tensor::StoredTensor;

use crate::support::{BundledPair, Reference, assert_close, block_on, json, to_vec};

/// Relative to the largest value. Both sides compute in f32 and sum in another order; what a swapped
/// axis or a wrong epsilon does is larger by far.
const TOLERANCE: f32 = 1e-4;

fn unet_config() -> UNet2DConditionConfig {
    UNet2DConditionConfig::from_json(&json("models/tiny/unet/config.json")).expect("a config")
}

fn unet_weights() -> Reference {
    Reference::read("models/tiny/unet/diffusion_pytorch_model.safetensors")
}

fn time_ids(values: &Reference) -> Vec<[f32; 6]> {
    let ids = values.floats("time_ids");
    ids.chunks(6)
        .map(|row| row.try_into().expect("six numbers"))
        .collect()
}

fn conditioning(values: &Reference, guidance: Option<Tensor<2>>) -> Conditioning {
    Conditioning {
        context: values.tensor("encoder_hidden_states"),
        pooled: values.tensor("text_embeds"),
        time_ids: time_ids(values),
        guidance,
    }
}

#[test]
fn a_unet_of_the_real_layout_predicts_what_diffusers_does() {
    let weights = unet_weights().weights("unet");
    let unet = UNet2DConditionModel::load(unet_config(), weights).expect("the tensors fit");
    let values = Reference::read("models/tiny/unet/values.safetensors");
    let sample = unet.forward(
        values.tensor("latent"),
        values.floats("timestep")[0],
        &unet.prepare(&conditioning(&values, None)),
    );
    assert_close("unet", &to_vec(sample), &values.floats("sample"), TOLERANCE);
}

#[test]
fn a_full_lcm_unet_takes_its_guidance_as_an_input() {
    let config = json("models/tiny/unet_lcm/config.json");
    let config = UNet2DConditionConfig::from_json(&config).expect("a config");
    let mut weights = unet_weights().weights("unet");
    let path = "models/tiny/unet_lcm/diffusion_pytorch_model.safetensors";
    let name = "time_embedding.cond_proj.weight";
    let added = Reference::read(path);
    weights.insert(added.get(name).clone()).expect(name);
    let unet = UNet2DConditionModel::load(config, weights).expect("the tensors fit");
    let inputs = Reference::read("models/tiny/unet/values.safetensors");
    let values = Reference::read("models/tiny/unet_lcm/values.safetensors");
    let sample = unet.forward(
        inputs.tensor("latent"),
        inputs.floats("timestep")[0],
        &unet.prepare(&conditioning(&inputs, Some(values.tensor("timestep_cond")))),
    );
    assert_close(
        "lcm unet",
        &to_vec(sample),
        &values.floats("sample"),
        TOLERANCE,
    );
}

#[test]
fn a_guidance_scale_is_embedded_as_diffusers_does() {
    let values = Reference::read("models/tiny/unet_lcm/values.safetensors");
    let embeddings: Vec<f32> = values
        .floats("guidance_scales")
        .iter()
        .flat_map(|&scale| guidance_embedding(scale, 32))
        .collect();
    // The sine of angles up to 7000, which f32 holds to 0.0005.
    let expected = values.floats("guidance_embeddings");
    assert_close("guidance embedding", &embeddings, &expected, 1e-3);
}

#[test]
fn text_encoders_give_the_hidden_states_and_the_pooled_text_of_transformers() {
    for component in ["text_encoder", "text_encoder_2"] {
        let folder = format!("models/tiny/{component}");
        let config = ClipTextConfig::from_json(&json(&format!("{folder}/config.json")));
        let weights = Reference::read(&format!("{folder}/model.safetensors")).weights(component);
        let encoder = ClipTextModel::load(config.expect("a config"), weights).expect("they fit");
        let values = Reference::read(&format!("{folder}/values.safetensors"));
        let encodings: Vec<_> = values
            .rows_of_ids("input_ids")
            .iter()
            .map(|ids| encoder.encode(ids))
            .collect();
        let (penultimate, pooled): (Vec<_>, Vec<_>) = encodings
            .into_iter()
            .map(|encoding| (to_vec(encoding.penultimate), to_vec(encoding.pooled)))
            .unzip();
        let expected = values.floats("penultimate");
        assert_close(component, &penultimate.concat(), &expected, TOLERANCE);
        if component == "text_encoder_2" {
            let expected = values.floats("text_embeds");
            assert_close("pooled", &pooled.concat(), &expected, TOLERANCE);
        }
    }
}

#[test]
fn a_vae_of_the_real_layout_encodes_and_decodes_like_diffusers() {
    let config = AutoencoderConfig::from_json(&json("models/tiny/vae/config.json"));
    let config = config.expect("a config");
    let file = Reference::read("models/tiny/vae/diffusion_pytorch_model.safetensors");
    let values = Reference::read("models/tiny/vae/values.safetensors");

    let weights = file.weights_where("vae", AutoencoderKlEncoder::owns);
    let encoder = AutoencoderKlEncoder::load(&config, weights).expect("the tensors fit");
    let moments = encoder.encode(values.tensor("image"));
    let mut halves = moments.chunk(2, 1).into_iter();
    let mut next = || to_vec(halves.next().expect("a half"));
    let (mean, logvar) = (next(), next());
    // diffusers clamps the logarithm of the variance; our moments are as the network gives them.
    let logvar: Vec<f32> = logvar.iter().map(|x| x.clamp(-30.0, 20.0)).collect();
    assert_close("mean", &mean, &values.floats("mean"), TOLERANCE);
    assert_close("logvar", &logvar, &values.floats("logvar"), TOLERANCE);

    // diffusers' decode leaves the scaling factor to its pipelines; ours takes the sampler's latent.
    let latent = values.tensor::<4>("latent") * config.scaling_factor;
    let weights = file.weights_where("vae", |name| !AutoencoderKlEncoder::owns(name));
    let decoder = AutoencoderKlDecoder::load(config, weights).expect("the tensors fit");
    let decoded = to_vec(decoder.decode(latent, usize::MAX));
    assert_close("decoded", &decoded, &values.floats("decoded"), TOLERANCE);
}

#[test]
fn the_tiny_decoder_decodes_like_diffusers() {
    let config = TinyDecoderConfig::from_json(&json("models/tiny/vae_tiny/config.json"));
    let weights = Reference::read("models/tiny/vae_tiny/diffusion_pytorch_model.safetensors");
    let decoder = TinyDecoder::load(&config.expect("a config"), weights.weights("tiny_decoder"))
        .expect("the tensors fit");
    let values = Reference::read("models/tiny/vae_tiny/values.safetensors");
    let decoded = to_vec(decoder.decode(values.tensor("latent"), usize::MAX));
    assert_close("decoded", &decoded, &values.floats("decoded"), TOLERANCE);
}

#[test]
fn the_bundled_pair_computes_what_diffusers_does() {
    let pair = bundled_pair(None);
    let bundled = pair.manifest().clone();

    let prompts = [
        "image of a dog face",
        "",
        "a red apple and a bus on a blue background in 3d style",
    ];
    let first = Reference::read("models/emoji/text_encoder.safetensors");
    let second = Reference::read("models/emoji/text_encoder_2.safetensors");
    let widths = [&first, &second].map(|values| values.shape("penultimate")[2]);
    let (mut contexts, mut pooled) = ([Vec::new(), Vec::new()], Vec::new());
    for prompt in prompts {
        let conditioning = pair
            .encode_prompt(&Prompt::plain(prompt).into())
            .expect("a prompt");
        let mut parts = conditioning
            .context
            .split_with_sizes(widths.to_vec(), 2)
            .into_iter();
        for context in &mut contexts {
            context.extend(to_vec(parts.next().expect("a part")));
        }
        pooled.extend(to_vec(conditioning.pooled));
    }
    let expected = first.floats("penultimate");
    assert_close("text_encoder", &contexts[0], &expected, TOLERANCE);
    let expected = second.floats("penultimate");
    assert_close("text_encoder_2", &contexts[1], &expected, TOLERANCE);
    let expected = second.floats("text_embeds");
    assert_close("pooled", &pooled, &expected, TOLERANCE);

    let values = Reference::read("models/emoji/unets.safetensors");
    let conditioning = conditioning(&values, None);
    for (role, name) in [
        (ModelRole::Base, "unet"),
        (ModelRole::Distilled, "unet_distilled"),
    ] {
        for timestep in [999, 259] {
            let unet = pair.unet(role).expect("loaded");
            let sample = unet.forward(
                values.tensor(&format!("latent.{timestep}")),
                timestep as f32,
                &unet.prepare(&conditioning),
            );
            let key = format!("{name}.{timestep}");
            assert_close(&key, &to_vec(sample), &values.floats(&key), TOLERANCE);
        }
    }

    let values = Reference::read("models/emoji/vae.safetensors");
    let factor = bundled.components.vae.config["scaling_factor"]
        .as_f64()
        .expect("a factor");
    let decoded = to_vec(pair.decode(values.tensor::<4>("latent") * factor));
    assert_close("decoded", &decoded, &values.floats("decoded"), TOLERANCE);
}

fn zeros(name: &str, shape: &[usize]) -> StoredTensor {
    let values = vec![0.0; shape.iter().product()];
    StoredTensor::encode(name, shape, &values, Encoding::F32, 0.0).expect(name)
}

#[test]
fn a_preview_in_tiles_is_the_preview_in_one_piece() {
    let config = TinyDecoderConfig::from_json(&json("models/tiny/vae_tiny/config.json"));
    let weights = Reference::read("models/tiny/vae_tiny/diffusion_pytorch_model.safetensors");
    let decoder = TinyDecoder::load(&config.expect("a config"), weights.weights("tiny_decoder"))
        .expect("the tensors fit");
    let values: Vec<f32> = (0..4 * 70 * 40)
        .map(|index| (index as f32 * 0.37).sin())
        .collect();
    let data = burn::tensor::TensorData::new(values, [1, 4, 70, 40]);
    let latent = Tensor::<4>::from_data(data, &burn::tensor::Device::flex());
    let [whole, tiled] = [usize::MAX, 0].map(|map| to_vec(decoder.decode(latent.clone(), map)));
    let differences = whole.iter().zip(&tiled).map(|(a, b)| (a - b).abs());
    let mean = differences.sum::<f32>() / whole.len() as f32;
    println!("differ by {mean} on average");
    // A picture's values are from −1 to 1.
    assert!(mean > 0.0 && mean < 2.0 / 255.0, "{mean}");
}

/// The bundled pair whose components stay as they are stored above that many bytes of `f32`.
fn bundled_pair(expanded_limit: Option<u64>) -> Pair {
    let mut bundled = BundledPair::read();
    bundled.manifest.expanded_limit = expanded_limit;
    block_on(async {
        let device = burn::tensor::Device::flex();
        let mut pair = Pair::load(bundled.manifest.clone(), device, &bundled).await?;
        pair.load_unets(&firststep::recipe::Mode::ALL, &bundled)
            .await?;
        Ok::<_, firststep::engine::EngineError>(pair)
    })
    .expect("the bundled pair loads")
}

#[test]
fn a_pair_that_is_held_as_stored_computes_the_same_to_the_bit() {
    let values = Reference::read("models/emoji/unets.safetensors");
    let latent = || values.tensor::<4>("latent.999");
    let conditioning = conditioning(&values, None);
    let results = |pair: &Pair| {
        let prompt = pair
            .encode_prompt(&Prompt::plain("image of a dog face").into())
            .expect("a prompt");
        let unet = pair.unet(ModelRole::Base).expect("loaded");
        [
            to_vec(prompt.context),
            to_vec(unet.forward(latent(), 999.0, &unet.prepare(&conditioning))),
            to_vec(pair.decode(latent())),
        ]
    };
    let [expanded, held] = [None, Some(0)].map(|limit| results(&bundled_pair(limit)));
    // A weight that is expanded at use has the very values, and the same kernels follow.
    assert!(expanded == held);
}

#[test]
fn a_missing_an_extra_and_a_misshapen_tensor_are_errors_that_name_it() {
    let load = |weights| match UNet2DConditionModel::load(unet_config(), weights) {
        Ok(_) => panic!("the tensors don't fit"),
        Err(error) => error,
    };
    let name = "mid_block.attentions.0.transformer_blocks.1.attn2.to_k.weight";

    let mut weights = unet_weights().weights("unet");
    assert!(weights.take_layer(name, &[36, 64]).is_ok());
    assert_eq!(
        load(weights),
        ModelError::MissingTensor {
            component: "unet".into(),
            name: name.into()
        }
    );

    let mut weights = unet_weights().weights("unet");
    weights
        .insert(zeros("conv_in.extra", &[1]))
        .expect("it is whole");
    assert_eq!(
        load(weights),
        ModelError::UnexpectedTensor {
            component: "unet".into(),
            name: "conv_in.extra".into(),
            count: 1
        }
    );

    let mut weights = unet_weights().weights("unet");
    weights.insert(zeros(name, &[36, 32])).expect("it is whole");
    assert_eq!(
        load(weights),
        ModelError::Shape {
            component: "unet".into(),
            name: name.into(),
            expected: vec![36, 64],
            found: vec![36, 32]
        }
    );
}

/// The files are diffusers' and transformers' own, so that this holds the layout to theirs.
#[test]
fn a_layout_has_the_tensors_of_the_file_and_no_other() {
    for (folder, file) in [
        ("unet", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
        ("text_encoder_2", "model"),
        ("vae", "diffusion_pytorch_model"),
    ] {
        let folder = format!("models/tiny/{folder}");
        let layout = layout_of(&json(&format!("{folder}/config.json"))).expect("a config");
        let layout: BTreeMap<_, _> = layout.iter().collect();
        let file = Reference::read(&format!("{folder}/{file}.safetensors"));
        assert_eq!(layout, file.shapes(), "{folder}");
    }
}

#[test]
fn a_config_that_sdxl_does_not_have_is_refused_by_its_field() {
    let mut config = json("models/tiny/unet/config.json");
    config["addition_embed_type"] = "image".into();
    let error = UNet2DConditionConfig::from_json(&config).expect_err("not SDXL");
    let sentence = error.to_string();
    assert!(
        sentence.contains("addition_embed_type = \"image\""),
        "{sentence}"
    );
}
