//! Adapters: LoRA merged as PEFT does, what is refused, and a pair whose distilled UNet is one.

use burn::tensor::{Device, Tensor};
use firststep::adapters::{Adapter, AdapterError, Model, write_alphas};
use firststep::engine::EngineError;
use firststep::engine::GridState;
use firststep::engine::{Host, StripRequest, generate};
use firststep::engine::{Pair, describe};
use firststep::models::Conditioning;
use firststep::picture::image::Image;
use firststep::protocol::engine::{Extent, JobEvent, TaskEvent, TaskId};
use firststep::recipe::Mode;
use firststep::sampler::ModelRole;
use firststep::weights::format::encoding::Encoding;
use firststep::weights::format::tensor::StoredTensor;
use firststep::weights::manifest::{AdapterBase, Component, ManifestFile};

use crate::support::{BundledPair, Reference, assert_close, block_on, to_vec};

/// Relative to the largest weight: both sides add up to four products in f32, in any order.
const TOLERANCE: f32 = 1e-6;

const COND_PROJ: &str = "time_embedding.cond_proj.weight";

fn tensor(name: &str, shape: &[usize], values: &[f32]) -> StoredTensor {
    StoredTensor::encode(name, shape, values, Encoding::F32, 0.0).expect(name)
}

/// The base with the adapter on: every tensor's name and values, and what the adapter adds.
fn merged(
    base: &[StoredTensor],
    adapter: Vec<StoredTensor>,
) -> Result<Vec<(String, Vec<f32>)>, AdapterError> {
    let names = base.iter().map(|tensor| tensor.name.as_str());
    let mut adapter = Adapter::new(adapter, names)?;
    let mut tensors = Vec::new();
    for tensor in base {
        let values = adapter.merge(&tensor.name, &tensor.shape, tensor.to_f32()?)?;
        tensors.push((tensor.name.clone(), values));
    }
    for tensor in adapter.finish()? {
        let values = tensor.to_f32()?;
        tensors.push((tensor.name, values));
    }
    Ok(tensors)
}

fn reference() -> (Vec<StoredTensor>, Vec<StoredTensor>, Vec<StoredTensor>) {
    let values = Reference::read("adapter.safetensors");
    let [base, adapter, merged] =
        ["base.", "adapter.", "merged."].map(|prefix| values.below(prefix));
    (base, adapter, merged)
}

fn assert_merges(base: &[StoredTensor], adapter: Vec<StoredTensor>, expected: &[StoredTensor]) {
    let merged = merged(base, adapter).expect("the adapter fits");
    assert_eq!(merged.len(), expected.len());
    for ((name, values), expected) in merged.iter().zip(expected) {
        assert_eq!(name, &expected.name);
        assert_close(name, values, &expected.to_f32().expect(name), TOLERANCE);
    }
}

#[test]
fn layers_are_merged_as_peft_does() {
    let (base, adapter, expected) = reference();
    let changed = base.iter().zip(&expected).filter(|(a, b)| a != b).count();
    assert_eq!(changed, 4, "the adapter changes four of the tensors");
    assert_merges(&base, adapter, &expected);
}

/// The adapter with its names spelled in another way.
fn respelled(adapter: &[StoredTensor], spell: impl Fn(&str) -> String) -> Vec<StoredTensor> {
    let respelled = adapter.iter().map(|tensor| StoredTensor {
        name: spell(&tensor.name),
        ..tensor.clone()
    });
    respelled.collect()
}

/// A tensor's name in kohya's spelling.
fn kohya(name: &str) -> String {
    let name = name.replace("unet.", "");
    let name = name
        .replace("lora_A", "lora_down")
        .replace("lora_B", "lora_up");
    let ending = [".lora_down.weight", ".lora_up.weight", ".alpha"]
        .into_iter()
        .find(|ending| name.ends_with(ending))
        .expect("a part");
    let layer = name.strip_suffix(ending).expect("a layer");
    format!("lora_unet_{}{ending}", layer.replace('.', "_"))
}

#[test]
fn every_spelling_is_merged_alike() {
    let (base, adapter, expected) = reference();
    assert_merges(&base, respelled(&adapter, kohya), &expected);
    for (down, up) in [
        ("lora_A.weight", "lora_B.weight"),
        ("lora_A.default.weight", "lora_B.default.weight"),
        ("lora.down.weight", "lora.up.weight"),
        ("lora_down.weight", "lora_up.weight"),
    ] {
        for prefix in ["unet.", ""] {
            let spell = |name: &str| {
                name.replace("unet.", prefix)
                    .replace("lora_A.weight", down)
                    .replace("lora_B.weight", up)
            };
            assert_merges(&base, respelled(&adapter, spell), &expected);
        }
    }
    let processor = |name: &str| {
        name.replace("attn.to_q.lora_A", "attn.processor.to_q_lora.down")
            .replace("attn.to_q.lora_B", "attn.processor.to_q_lora.up")
            .replace("attn.to_q.alpha", "attn.processor.to_q.alpha")
    };
    assert_merges(&base, respelled(&adapter, processor), &expected);
}

#[test]
fn the_original_codes_names_find_diffusers_layers() {
    let (base, adapter, expected) = reference();
    // Where the layers of the fixture could lie in SDXL's UNet, and what the original code calls
    // these places.
    let places = [
        (
            "attn.to_q",
            "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
            "input_blocks_4_1_transformer_blocks_0_attn1_to_q",
        ),
        (
            "attn.to_out",
            "mid_block.attentions.0.proj_out",
            "middle_block_1_proj_out",
        ),
        (
            "conv",
            "down_blocks.0.resnets.1.conv1",
            "input_blocks_2_0_in_layers_2",
        ),
        (
            "conv_shortcut",
            "up_blocks.2.resnets.0.conv_shortcut",
            "output_blocks_6_0_skip_connection",
        ),
    ];
    let move_to = |name: &str, place: fn(&(&str, &'static str, &'static str)) -> &'static str| {
        places
            .iter()
            .find_map(|it| {
                let ending = name
                    .strip_prefix(it.0)
                    .filter(|rest| rest.starts_with('.'))?;
                Some(format!("{}{ending}", place(it)))
            })
            .unwrap_or_else(|| name.to_owned())
    };
    let moved = |tensors: &[StoredTensor]| {
        let mut tensors = respelled(tensors, |name| move_to(name, |it| it.1));
        // By which the blocks' length is known.
        tensors.push(tensor("down_blocks.0.resnets.0.conv1.weight", &[1], &[0.0]));
        tensors
    };
    let original = respelled(&adapter, |name| {
        let name = move_to(&name.replace("unet.", ""), |it| it.2);
        let name = name.replace("lora_A", "lora_down");
        format!("lora_unet_{}", name.replace("lora_B", "lora_up"))
    });
    assert_merges(&moved(&base), original, &moved(&expected));
}

#[test]
fn layers_that_nothing_takes_are_named_as_the_file_does() {
    let layer = "lora_unet_down_blocks_7_attentions_0_proj_in";
    let name = format!("{layer}.lora_down.weight");
    let error = refusal(|adapter| adapter.push(tensor(&name, &[1, 1], &[0.0])));
    let expected = AdapterError::MissingInBase {
        model: Model::UNet,
        names: vec![layer.into()],
        count: 1,
        of: 5,
    };
    assert_eq!(error, expected);
    let (base, adapter, expected) = reference();
    for name in [
        "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
        "text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A.weight",
        "base_model.model.text_model.encoder.layers.0.mlp.fc1.lora_A.weight",
    ] {
        let text = tensor(name, &[1, 1], &[0.0]);
        let error = refusal(|adapter| *adapter = vec![text.clone()]);
        assert!(matches!(error, AdapterError::TextEncoder { .. }), "{error}");
        let mut both = adapter.clone();
        both.push(text);
        assert_merges(&base, both, &expected);
    }
}

#[test]
fn names_in_the_original_codes_dots_and_within_pefts_wrapper_are_merged_alike() {
    let (base, adapter, expected) = reference();
    for prefix in [
        "base_model.model.",
        "base_model.model.unet.",
        "diffusion_model.",
        "model.diffusion_model.",
        "lora_unet.",
    ] {
        let spell = |name: &str| name.replace("unet.", prefix);
        assert_merges(&base, respelled(&adapter, spell), &expected);
    }
    let named = |name: &str| {
        name.replace("lora_A.", "lora_A.my_style.")
            .replace("lora_B.", "lora_B.my_style.")
    };
    assert_merges(&base, respelled(&adapter, named), &expected);
}

#[test]
fn whole_tensors_are_added_or_take_the_bases_place() {
    let (base, mut adapter, _) = reference();
    adapter.push(tensor(&format!("unet.{COND_PROJ}"), &[2, 1], &[1.5, -2.0]));
    let norm: Vec<f32> = (0..12u8).map(f32::from).collect();
    adapter.push(tensor("norm.weight", &[12], &norm));
    let merged = merged(&base, adapter).expect("the adapter fits");
    let values = |name: &str| {
        let (_, values) = merged.iter().find(|(found, _)| found == name).expect(name);
        values.clone()
    };
    assert_eq!(values(COND_PROJ), [1.5, -2.0]);
    assert_eq!(values("norm.weight"), norm);
    assert_eq!(merged.len(), base.len() + 1);
}

#[test]
fn an_alpha_in_the_header_alone_counts() {
    let (base, adapter, _) = reference();
    let without_alpha: Vec<_> = adapter
        .into_iter()
        .filter(|tensor| !tensor.name.ends_with(".alpha"))
        .collect();
    let metadata = |json: &str| [("lora_adapter_metadata".to_owned(), json.to_owned())].into();
    // The rank of `attn.to_q` is 4: with an alpha of 8 each weight changes twice as much.
    let change = |json: Option<&str>| {
        let mut adapter = without_alpha.clone();
        if let Some(json) = json {
            write_alphas(&mut adapter, &metadata(json)).expect("a header");
        }
        let merged = merged(&base, adapter).expect("the adapter fits");
        let name = "attn.to_q.weight";
        let (_, after) = merged.iter().find(|(found, _)| found == name).expect(name);
        let before = base.iter().find(|tensor| tensor.name == name).expect(name);
        let before = before.to_f32().expect(name);
        let change: Vec<f32> = after.iter().zip(before).map(|(a, b)| a - b).collect();
        change
    };
    let single = change(None);
    let double: Vec<f32> = single.iter().map(|x| 2.0 * x).collect();
    // The change is what is left of a difference of larger numbers.
    for json in [
        r#"{"lora_alpha": 8, "r": 4, "use_dora": false, "alpha_pattern": {}}"#,
        r#"{"unet.lora_alpha": 8.0}"#,
        // By the root of the rank, which is 2.
        r#"{"lora_alpha": 4, "use_rslora": true}"#,
        r#"{"unet.lora_alpha": 1, "unet.alpha_pattern": {"conv": 1, "attn.to_q": 8}}"#,
        r#"{"unet.lora_alpha": 1, "unet.alpha_pattern": {"to_q": 8}}"#,
    ] {
        assert_close("change", &change(Some(json)), &double, 1e-5);
    }
    assert_eq!(change(Some("{}")), single);
    for json in [
        "no json",
        r#"{"lora_alpha": "8"}"#,
        r#"{"lora_alpha": 8, "fan_in_fan_out": true}"#,
        r#"{"unet.lora_alpha": 8, "unet.alpha_pattern": {".*conv": 1}}"#,
    ] {
        let error = write_alphas(&mut without_alpha.clone(), &metadata(json));
        let error = error.expect_err(json).to_string();
        assert!(error.contains("header") && error.ends_with('.'), "{error}");
    }
    let dora = metadata(r#"{"lora_alpha": 8, "use_dora": true}"#);
    let error = write_alphas(&mut without_alpha.clone(), &dora).expect_err("a DoRA");
    assert!(error.to_string().contains("DoRA"), "{error}");
}

/// What an adapter is refused with, as a sentence.
fn refusal(change: impl FnOnce(&mut Vec<StoredTensor>)) -> AdapterError {
    let (base, mut adapter, _) = reference();
    change(&mut adapter);
    let error = merged(&base, adapter).expect_err("it should be refused");
    let sentence = error.to_string();
    assert!(sentence.starts_with("The adapter"), "{sentence}");
    assert!(sentence.ends_with('.'), "{sentence}");
    error
}

fn index(adapter: &[StoredTensor], name: &str) -> usize {
    let position = adapter.iter().position(|tensor| tensor.name == name);
    position.expect(name)
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let other = |adapter: &mut Vec<StoredTensor>| {
        for tensor in adapter {
            tensor.name = tensor.name.replace("unet.attn", "unet.mid_block.attn");
        }
    };
    assert_eq!(
        refusal(other),
        AdapterError::MissingInBase {
            model: Model::UNet,
            names: vec![
                "unet.mid_block.attn.to_out".into(),
                "unet.mid_block.attn.to_q".into()
            ],
            count: 2,
            of: 4
        }
    );
    let wider = |adapter: &mut Vec<StoredTensor>| {
        let at = index(adapter, "unet.attn.to_q.lora_A.weight");
        adapter[at] = tensor("unet.attn.to_q.lora_A.weight", &[4, 16], &[0.0; 64]);
    };
    assert_eq!(
        refusal(wider),
        AdapterError::Shape {
            name: "attn.to_q.weight".into(),
            adapter: vec![8, 16],
            base: vec![8, 12]
        }
    );
    let norm = |adapter: &mut Vec<StoredTensor>| {
        adapter.push(tensor("norm.weight", &[13], &[0.0; 13]));
    };
    assert!(matches!(refusal(norm), AdapterError::Shape { .. }));
}

#[test]
fn half_a_branch_and_parts_that_do_not_fit_are_refused() {
    for (part, direction) in [("lora_A", "down"), ("lora_B", "up")] {
        let name = format!("unet.conv.{part}.weight");
        let error = refusal(|adapter| {
            adapter.remove(index(adapter, &name));
        });
        assert!(
            matches!(&error, AdapterError::Incomplete { module, missing }
                if module == "conv" && missing.starts_with(direction)),
            "{error}"
        );
    }
    let up_of = |shape: &'static [usize]| {
        refusal(move |adapter| {
            let name = "unet.conv.lora_B.weight";
            let at = index(adapter, name);
            adapter[at] = tensor(name, shape, &vec![0.0; shape.iter().product()]);
        })
    };
    let rank = AdapterError::Rank {
        module: "conv".into(),
        down: 2,
        up: 3,
    };
    assert_eq!(up_of(&[10, 3, 1, 1]), rank);
    for shape in [&[20][..], &[10, 2, 3, 3]] {
        let error = up_of(shape);
        assert!(matches!(error, AdapterError::Parts { .. }), "{error}");
    }
    let empty = refusal(|adapter| {
        for (name, shape) in [("lora_A", [0, 12]), ("lora_B", [8, 0])] {
            let name = format!("unet.attn.to_q.{name}.weight");
            let at = index(adapter, &name);
            adapter[at] = tensor(&name, &shape, &[]);
        }
    });
    assert!(matches!(empty, AdapterError::Parts { .. }), "{empty}");
    let alpha = refusal(|adapter| {
        let at = index(adapter, "unet.conv.alpha");
        adapter[at] = tensor("unet.conv.alpha", &[2], &[1.0, 1.0]);
    });
    assert!(matches!(alpha, AdapterError::Alpha { .. }), "{alpha}");
}

#[test]
fn a_file_without_lora_is_refused() {
    let none = refusal(Vec::clear);
    assert_eq!(none, AdapterError::NoBranch);
    let half = refusal(|adapter| {
        adapter.clear();
        adapter.push(tensor("lora_unet_conv.hada_w1_a", &[1, 1], &[0.0]));
    });
    assert!(matches!(half, AdapterError::Incomplete { .. }), "{half}");
}

/// The bundled pair with this adapter on its base in the distilled UNet's place.
fn adapted_pair(adapter: Vec<StoredTensor>, guidance: Option<usize>) -> Result<Pair, EngineError> {
    adapted_pair_within(None, adapter, guidance)
}

/// [`adapted_pair`] whose components stay as they are stored above that many bytes of `f32`.
fn adapted_pair_within(
    expanded_limit: Option<u64>,
    adapter: Vec<StoredTensor>,
    guidance: Option<usize>,
) -> Result<Pair, EngineError> {
    let mut bundled = BundledPair::read();
    bundled.manifest.expanded_limit = expanded_limit;
    bundled.adapt(adapter, guidance);
    load(&bundled)
}

fn load(bundled: &BundledPair) -> Result<Pair, EngineError> {
    block_on(async {
        let mut pair = Pair::load(bundled.manifest.clone(), Device::flex(), bundled).await?;
        pair.load_unets(&Mode::ALL, bundled).await?;
        Ok(pair)
    })
}

/// The id of the adapter's file.
fn adapter_id() -> String {
    "a".repeat(64)
}

impl BundledPair {
    /// Puts an adapter on the base in the distilled UNet's place.
    fn adapt(&mut self, adapter: Vec<StoredTensor>, guidance: Option<usize>) {
        let bundled = self;

        let mut config = bundled.manifest.components.unet.config.clone();
        config["time_cond_proj_dim"] = guidance.into();
        let id = adapter_id();
        bundled.add_file(&id, adapter);
        bundled.manifest.components.unet_distilled = Component {
            config,
            files: vec![ManifestFile {
                path: "unet_lcm.safetensors".into(),
                size: 1,
                id,
                ..ManifestFile::default()
            }],
            adapter_on: Some(AdapterBase::Unet),
            ..bundled.manifest.components.unet.clone()
        };
    }
}

/// The case 21-alpha-in-header, from the file's header to the pair's predictions; and what else says how strong
/// an adapter is.
#[test]
fn the_strength_that_a_header_a_config_or_a_manifest_says_is_that_of_the_pair() {
    let twice = predictions(&adapted_pair(branch(0.5), None).expect("it fits"));
    let with = |limit, change: &dyn Fn(&mut BundledPair)| {
        let mut bundled = BundledPair::read();
        bundled.manifest.expanded_limit = limit;
        bundled.adapt(branch(0.25), None);
        change(&mut bundled);
        predictions(&load(&bundled).expect("it fits"))
    };
    let config = r#"{"unet.r": 1, "unet.lora_alpha": 2}"#;
    for limit in [None, Some(0)] {
        let header = with(limit, &|bundled| {
            let metadata = [("lora_adapter_metadata".to_owned(), config.to_owned())];
            bundled.metadata.insert(adapter_id(), metadata.into());
        });
        let beside = with(limit, &|bundled| {
            let config = serde_json::from_str(config).expect("JSON");
            bundled.manifest.components.unet_distilled.adapter_config = Some(config);
        });
        let strength = with(limit, &|bundled| {
            bundled.manifest.components.unet_distilled.strength = Some(2.0);
        });
        for [_, distilled] in [header, beside, strength] {
            assert_close("distilled", &distilled, &twice[1], 1e-4);
        }
    }
    let [_, once] = with(None, &|_| {});
    let pairs = once.iter().zip(&twice[1]);
    let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(
        difference > 1e-2,
        "the strength changes a lot: {difference}"
    );
}

/// A branch of rank 1 on the first convolution; `size` is what every factor of its B is.
fn branch(size: f32) -> Vec<StoredTensor> {
    vec![
        tensor("unet.conv_in.lora_A.weight", &[1, 4, 3, 3], &[0.1; 36]),
        tensor("unet.conv_in.lora_B.weight", &[64, 1, 1, 1], &[size; 64]),
    ]
}

pub fn predictions(pair: &Pair) -> [Vec<f32>; 2] {
    let values = Reference::read("models/emoji/unets.safetensors");
    let conditioning = Conditioning {
        context: values.tensor("encoder_hidden_states"),
        pooled: values.tensor("text_embeds"),
        time_ids: values
            .floats("time_ids")
            .chunks(6)
            .map(|row| row.try_into().expect("six numbers"))
            .collect(),
        guidance: None,
    };
    let latent: Tensor<4> = values.tensor("latent.999");
    [ModelRole::Base, ModelRole::Distilled].map(|role| {
        let unet = pair.unet(role).expect("loaded");
        to_vec(unet.forward(latent.clone(), 999.0, &unet.prepare(&conditioning)))
    })
}

#[test]
fn a_distilled_unet_can_be_an_adapter_on_the_base() {
    let pair = adapted_pair(branch(0.0), None).expect("it fits");
    let [base, distilled] = predictions(&pair);
    assert_eq!(base, distilled, "a branch of zeros changes nothing");
    let pair = adapted_pair(branch(0.5), None).expect("it fits");
    let [unchanged, distilled] = predictions(&pair);
    assert_eq!(base, unchanged, "the base itself stays as it is");
    assert_ne!(base, distilled);

    let mut other = branch(0.5);
    for tensor in &mut other {
        tensor.name = tensor.name.replace("conv_in", "conv_before");
    }
    let error = adapted_pair(other, None).err().expect("another model's");
    assert!(matches!(error, EngineError::Adapter(_)), "{error}");
}

/// Branches of rank 3 on layers of every kind: convolutions that keep, halve and double the size,
/// one of a single pixel, and linear layers with and without a bias.
pub fn branches_of_all_kinds(unet: &[StoredTensor]) -> Vec<StoredTensor> {
    const RANK: usize = 3;
    let layers = [
        "conv_in",
        "down_blocks.0.downsamplers.0.conv",
        "up_blocks.0.upsamplers.0.conv",
        "up_blocks.0.resnets.0.conv_shortcut",
        "mid_block.resnets.0.time_emb_proj",
        "mid_block.attentions.0.transformer_blocks.0.attn1.to_q",
        "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj",
    ];
    let mut adapter = Vec::new();
    for (place, layer) in layers.into_iter().enumerate() {
        let weight = format!("{layer}.weight");
        let weight = unet.iter().find(|tensor| tensor.name == weight);
        let shape = &weight.expect(layer).shape;
        let mut down = shape.clone();
        down[0] = RANK;
        let mut up = vec![1; shape.len()];
        up[..2].copy_from_slice(&[shape[0], RANK]);
        let kohya = format!("lora_unet_{}", layer.replace('.', "_"));
        for (part, shape) in [("lora_down", down), ("lora_up", up)] {
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|index: usize| ((index * 7 + place) as f32).sin() * 0.3)
                .collect();
            adapter.push(tensor(&format!("{kohya}.{part}.weight"), &shape, &values));
        }
        adapter.push(tensor(&format!("{kohya}.alpha"), &[], &[1.5]));
    }
    adapter
}

#[test]
fn a_branch_beside_a_held_layer_does_what_merging_does() {
    let base = BundledPair::read().tensors_of("unet");
    let predict =
        |limit, adapter| predictions(&adapted_pair_within(limit, adapter, None).expect("it fits"));
    let [base_merged, merged] = predict(None, branches_of_all_kinds(&base));
    let [base_beside, beside] = predict(Some(0), branches_of_all_kinds(&base));
    assert!(
        base_merged == base_beside,
        "the base shares its weights unchanged"
    );
    // Both sum the same products in f32, in another order.
    assert_close("branch", &beside, &merged, 1e-4);
    let difference = |(a, b): (&f32, &f32)| (a - b).abs();
    let change = merged.iter().zip(&base_merged).map(difference);
    assert!(
        change.fold(0.0, f32::max) > 0.1,
        "the adapter changes a lot"
    );
}

/// Draws and keeps the last image.
#[derive(Default)]
struct LastImage(Option<Image>);

impl Host for LastImage {
    fn emit(&mut self, event: JobEvent) {
        if let JobEvent::Image { image, .. } = event {
            self.0 = Some(image);
        }
    }

    fn emit_task(&mut self, _: TaskId, _: TaskEvent) {}

    fn is_cancelled(&self) -> bool {
        false
    }

    async fn pause(&self) {}

    fn milliseconds(&self) -> f64 {
        0.0
    }

    fn take_strip(&mut self) -> Option<StripRequest> {
        None
    }
}

#[test]
fn a_distilled_model_with_embedded_guidance_takes_it_from_the_recipe() {
    let mut adapter = branch(0.0);
    let projection: Vec<f32> = (0..64 * 32u16).map(|i| f32::from(i % 7) - 3.0).collect();
    adapter.push(tensor(COND_PROJ, &[64, 32], &projection));
    let pair = adapted_pair(adapter, Some(32)).expect("it fits");
    let info = describe(pair.manifest()).expect("a pair");
    assert!(info.embeds_distilled_guidance);
    let mut recipe = info.recipe;
    recipe.modes = vec![Mode::Distilled];
    recipe.distilled_steps = 1;
    recipe.seed_count = 1;
    let mut draw = |guidance: f32, negative_prompt: &str| {
        recipe.distilled_guidance = guidance;
        recipe.negative_prompt = negative_prompt.into();
        let mut host = LastImage::default();
        block_on(generate(
            &pair,
            &recipe,
            &Extent::default(),
            &mut GridState::default(),
            &mut host,
        ))
        .expect("an image");
        host.0.expect("an image")
    };
    let image = draw(8.0, "");
    assert!(image != draw(2.0, ""), "the model is told the scale");
    assert!(
        image == draw(8.0, "red"),
        "there is no second pass, for which a negative prompt would matter"
    );
}
