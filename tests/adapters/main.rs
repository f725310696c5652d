//! Adapters' files by the model that they are for: every spelling of a text encoder's layers, what doesn't fit,
//! and in `facts` what a header tells. The tensors are invented; their values and products are exact in every dtype.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

mod facts;

use std::collections::BTreeMap;

use firststep::adapters::{
    Adapter, AdapterError, AdapterKind, Facts, Model, Split, TensorFacts, split,
    write_configured_alphas,
};
use firststep::weights::format::encoding::Encoding;
use firststep::weights::format::safetensors;
use firststep::weights::format::tensor::StoredTensor;
use serde_json::json;

const RANK: usize = 2;
const ALPHA: f32 = 1.0;

/// Tensors of one of the tiny models.
fn base(component: &str) -> Vec<StoredTensor> {
    let path = format!(
        "{}/tests/parity/values/models/tiny/{component}.safetensors",
        env!("CARGO_MANIFEST_DIR")
    );
    let bytes = std::fs::read(&path).expect(&path);
    safetensors::read(&path, &bytes).expect(&path)
}

fn unet() -> Vec<StoredTensor> {
    base("unet/diffusion_pytorch_model")
}

/// Eighths from −6 to 6.
fn values(count: usize, start: usize) -> Vec<f32> {
    let value = |index| ((index * 7 + start) % 13) as f32 - 6.0;
    (0..count).map(|index| value(index) / 8.0).collect()
}

fn tensor(name: &str, shape: &[usize], encoding: Encoding) -> StoredTensor {
    let values = values(shape.iter().product(), name.len());
    StoredTensor::encode(name, shape, &values, encoding, 0.0).expect(name)
}

fn number(name: &str, value: f32) -> StoredTensor {
    StoredTensor::encode(name, &[], &[value], Encoding::F32, 0.0).expect(name)
}

/// A layer's branch for weights of this shape, its parts named by what follows the layer.
fn branch(
    layer: &str,
    [down, up]: [&str; 2],
    shape: &[usize],
    encoding: Encoding,
) -> Vec<StoredTensor> {
    let [output, input @ ..] = shape else {
        panic!("{layer} has no shape")
    };
    let ones = vec![1; input.len() - 1];
    vec![
        tensor(
            &format!("{layer}{down}"),
            &[&[RANK][..], input].concat(),
            encoding,
        ),
        tensor(
            &format!("{layer}{up}"),
            &[&[*output, RANK][..], &ones].concat(),
            encoding,
        ),
        number(&format!("{layer}.alpha"), ALPHA),
    ]
}

/// What a branch changes of its layer, after the formula: `strength · (alpha / rank) · up · down`.
fn change(branch: &[StoredTensor], strength: f32) -> Vec<f32> {
    let [down, up, _] = branch else {
        panic!("no branch")
    };
    let (down, up) = (down.to_f32().expect("down"), up.to_f32().expect("up"));
    let columns = down.len() / RANK;
    let row = |factors: &[f32]| -> Vec<f32> {
        let sum = |column| {
            let products = (0..RANK).zip(factors).map(|(rank, factor)| {
                factor * down.get(rank * columns + column).expect("a column")
            });
            strength * ALPHA / RANK as f32 * products.sum::<f32>()
        };
        (0..columns).map(sum).collect()
    };
    up.chunks_exact(RANK).flat_map(row).collect()
}

fn on(base: &[StoredTensor], tensors: Vec<StoredTensor>) -> Result<Adapter, AdapterError> {
    let adapter = Adapter::new(tensors, base.iter().map(|tensor| tensor.name.as_str()))?;
    let shapes = base.iter();
    adapter.check(shapes.map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice())))?;
    Ok(adapter)
}

/// Every change of a base of zeros.
fn changes(base: &[StoredTensor], mut adapter: Adapter) -> BTreeMap<String, Vec<f32>> {
    let mut changed = BTreeMap::new();
    for tensor in base {
        let zeros = vec![0.0; tensor.shape.iter().product()];
        let values = adapter
            .merge(&tensor.name, &tensor.shape, zeros)
            .expect("it fits");
        if values.iter().any(|value| *value != 0.0) {
            changed.insert(tensor.name.clone(), values);
        }
    }
    assert!(adapter.finish().expect("nothing is left over").is_empty());
    changed
}

fn refusal(result: Result<impl std::fmt::Debug, AdapterError>) -> String {
    let sentence = result.expect_err("it should be refused").to_string();
    assert!(
        sentence.starts_with("The adapter") && sentence.ends_with('.'),
        "{sentence}"
    );
    sentence
}

const KOHYA: [&str; 2] = [".lora_down.weight", ".lora_up.weight"];
const PEFT: [&str; 2] = [".lora_A.weight", ".lora_B.weight"];
const PEFT_NAMED: [&str; 2] = [".lora_A.default.weight", ".lora_B.default.weight"];
const DIFFUSERS: [&str; 2] = [".lora.down.weight", ".lora.up.weight"];
const DIFFUSERS_LINEAR: [&str; 2] = [
    ".lora_linear_layer.down.weight",
    ".lora_linear_layer.up.weight",
];
const DIFFUSERS_OLD: [&str; 2] = ["_lora.down.weight", "_lora.up.weight"];

/// Layers of a text encoder.
const TEXT_LAYERS: [&str; 4] = [
    "text_model.encoder.layers.1.self_attn.q_proj",
    "text_model.encoder.layers.1.self_attn.out_proj",
    "text_model.encoder.layers.0.mlp.fc1",
    "text_model.encoder.layers.0.mlp.fc2",
];

/// How files spell the layers of the first text encoder and of the second.
const FIRST: [(&str, [&str; 2]); 14] = [
    ("lora_te1_", KOHYA),
    ("lora_te_", KOHYA),
    ("lora_te1.", KOHYA),
    ("lycoris_te1_", KOHYA),
    ("lycoris_", KOHYA),
    ("text_encoder.", PEFT),
    ("text_encoder.", PEFT_NAMED),
    ("text_encoder.", DIFFUSERS),
    ("text_encoder.", DIFFUSERS_LINEAR),
    ("text_encoders.clip_l.transformer.", KOHYA),
    ("clip_l.", KOHYA),
    ("conditioner.embedders.0.transformer.", KOHYA),
    ("base_model.model.", PEFT),
    ("", PEFT),
];
const SECOND: [(&str, [&str; 2]); 9] = [
    ("lora_te2_", KOHYA),
    ("lora_te2.", KOHYA),
    ("lycoris_te2_", KOHYA),
    ("text_encoder_2.", PEFT),
    ("text_encoder_2.", PEFT_NAMED),
    ("text_encoder_2.", DIFFUSERS),
    ("text_encoder_2.", DIFFUSERS_LINEAR),
    ("text_encoders.clip_g.transformer.", KOHYA),
    ("clip_g.", KOHYA),
];

/// An adapter of the four layers, and what it changes.
fn text_adapter(
    base: &[StoredTensor],
    prefix: &str,
    parts: [&str; 2],
) -> (Vec<StoredTensor>, BTreeMap<String, Vec<f32>>) {
    let (mut tensors, mut expected) = (Vec::new(), BTreeMap::new());
    for layer in TEXT_LAYERS {
        let weight = format!("{layer}.weight");
        let own = base
            .iter()
            .find(|tensor| tensor.name == weight)
            .expect(&weight);
        let layer = if prefix.ends_with('_') {
            layer.replace('.', "_")
        } else {
            layer.to_owned()
        };
        let branch = branch(
            &format!("{prefix}{layer}"),
            parts,
            &own.shape,
            Encoding::F16,
        );
        expected.insert(weight, change(&branch, 1.0));
        tensors.extend(branch);
    }
    (tensors, expected)
}

#[test]
fn every_spelling_of_a_text_encoders_layers_is_put_on_its_encoder() {
    for (component, spellings, model) in [
        ("text_encoder/model", &FIRST[..], Model::TextEncoder),
        ("text_encoder_2/model", &SECOND[..], Model::TextEncoder2),
    ] {
        let base = base(component);
        for (prefix, parts) in spellings {
            let (tensors, expected) = text_adapter(&base, prefix, *parts);
            let file = split(tensors).expect(prefix);
            let (own, other) = match model {
                Model::TextEncoder => (file.text_encoder, file.text_encoder_2),
                _ => (file.text_encoder_2, file.text_encoder),
            };
            assert!(other.is_empty() && file.unet.is_empty(), "{prefix}");
            let adapter = on(&base, own).unwrap_or_else(|error| panic!("{prefix}: {error}"));
            assert_eq!(adapter.model(), model, "{prefix}");
            assert_eq!(changes(&base, adapter), expected, "{prefix}");
        }
    }
}

#[test]
fn the_attention_processors_of_old_are_put_on_todays_projections() {
    let base = base("text_encoder_2/model");
    let layer = "text_model.encoder.layers.1.self_attn";
    for (old, new) in [
        ("to_q", "q_proj"),
        ("to_v", "v_proj"),
        ("to_out", "out_proj"),
    ] {
        let name = format!("text_encoder_2.{layer}.{old}");
        let mut branch = branch(&name, DIFFUSERS_OLD, &[48, 48], Encoding::F16);
        let expected = change(&branch, 1.0);
        if let Some(alpha) = branch.last_mut() {
            alpha.name = format!("{name}.alpha");
        }
        let file = split(branch).expect(old);
        let changed = changes(&base, on(&base, file.text_encoder_2).expect(old));
        assert_eq!(
            changed,
            [(format!("{layer}.{new}.weight"), expected)].into()
        );
    }
}

#[test]
fn a_text_encoder_of_transformers_5_is_found_without_its_prefix() {
    let own = base("text_encoder/model");
    let (tensors, expected) = text_adapter(&own, "lora_te1_", KOHYA);
    let short = |name: &str| name.replace("text_model.", "");
    let renamed: Vec<StoredTensor> = own
        .into_iter()
        .map(|tensor| StoredTensor {
            name: short(&tensor.name),
            ..tensor
        })
        .collect();
    let changed = changes(&renamed, on(&renamed, tensors).expect("it fits"));
    let expected = expected
        .into_iter()
        .map(|(name, values)| (short(&name), values));
    assert_eq!(changed, expected.collect());
}

#[test]
fn a_file_is_split_by_its_models() {
    let (unet, first, second) = (
        unet(),
        base("text_encoder/model"),
        base("text_encoder_2/model"),
    );
    let (one, first_changes) = text_adapter(&first, "lora_te1_", KOHYA);
    let (two, second_changes) = text_adapter(&second, "lora_te2_", KOHYA);
    let name = "mid_block.attentions.0.proj_out";
    let of_unet = branch(
        "lora_unet_middle_block_1_proj_out",
        KOHYA,
        &[36, 36],
        Encoding::F16,
    );
    let unet_changes = [(format!("{name}.weight"), change(&of_unet, 1.0))].into();
    let embedding = tensor("bundle_emb.word.clip_l", &[1, 32], Encoding::F16);
    let tensors = [one, of_unet, vec![embedding], two].concat();
    let Split {
        unet: own,
        text_encoder,
        text_encoder_2,
        embeddings,
    } = split(tensors).expect("it fits");
    assert_eq!(embeddings, ["bundle_emb.word.clip_l"]);
    for (base, own, expected) in [
        (&unet, own, unet_changes),
        (&first, text_encoder, first_changes),
        (&second, text_encoder_2, second_changes),
    ] {
        assert_eq!(changes(base, on(base, own).expect("it fits")), expected);
    }
}

#[test]
fn an_adapter_that_fits_in_part_is_refused_with_a_list() {
    let first = base("text_encoder/model");
    let layer = |index| format!("lora_te1_text_model_encoder_layers_{index}_mlp_fc1");
    let deep: Vec<_> = (0..12)
        .flat_map(|index| branch(&layer(index), KOHYA, &[128, 32], Encoding::F16))
        .collect();
    let held = first
        .iter()
        .filter(|it| it.name.ends_with("mlp.fc1.weight"))
        .count();
    let error = on(&first, deep).expect_err("the encoder is not so deep");
    assert_eq!(
        error,
        AdapterError::MissingInBase {
            model: Model::TextEncoder,
            names: (held..held + 3).map(layer).collect(),
            count: 12 - held,
            of: 12,
        }
    );
    let sentence = error.to_string();
    assert!(
        sentence.contains("first text encoder") && sentence.contains(&layer(held)),
        "{sentence}"
    );

    let unet = unet();
    let foreign = branch(
        "unet.down_blocks.9.attentions.0.proj_in",
        PEFT,
        &[8, 8],
        Encoding::F16,
    );
    let sentence = refusal(on(&unet, foreign));
    assert!(sentence.contains("none of its 1 layers"), "{sentence}");
    let other = branch(
        "lora_unet_mid_block_attentions_0_proj_in",
        KOHYA,
        &[8, 8],
        Encoding::F16,
    );
    let sentence = refusal(on(&first, other));
    assert!(sentence.contains("none of its 1 layers"), "{sentence}");
}

#[test]
fn other_widths_are_refused_with_a_list_and_the_reason() {
    let (first, second) = (base("text_encoder/model"), base("text_encoder_2/model"));
    // The layers of the other encoder are wider.
    for (prefix, is_unnamed) in [("lora_te_", true), ("lora_te1_", false)] {
        let (tensors, _) = text_adapter(&second, prefix, KOHYA);
        let file = split(tensors).expect("an adapter");
        let error = on(&first, file.text_encoder).expect_err("other widths");
        let sentence = error.to_string();
        assert!(
            matches!(
                error,
                AdapterError::Widths {
                    count: 4,
                    of: 4,
                    ..
                }
            ),
            "{sentence}"
        );
        assert_eq!(
            sentence.contains("Stable Diffusion 1.x"),
            is_unnamed,
            "{sentence}"
        );
        assert!(
            sentence.contains("text_model.encoder.layers.0.mlp.fc1.weight"),
            "{sentence}"
        );
    }
    let unet = unet();
    let narrow = branch(
        "lora_unet_mid_block_attentions_0_proj_in",
        KOHYA,
        &[36, 8],
        Encoding::F16,
    );
    let sentence = refusal(on(&unet, narrow));
    assert!(
        sentence.contains("UNet") && sentence.contains("[36, 8]"),
        "{sentence}"
    );
}

#[test]
fn what_is_not_read_is_refused_by_its_name() {
    let own = branch(
        "lora_unet_mid_block_attentions_0_proj_in",
        KOHYA,
        &[36, 36],
        Encoding::F16,
    );
    let with = |name: &str| {
        let mut tensors = own.clone();
        tensors.push(tensor(name, &[2, 8], Encoding::F16));
        let sentence = refusal(split(tensors.clone()));
        let header = Facts::of(tensors.iter().map(TensorFacts::from), &BTreeMap::new());
        assert_eq!(refusal(header), sentence, "the header alone tells it");
        sentence
    };
    for (name, word) in [
        (
            "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj.lora_down.weight",
            "open_clip",
        ),
        (
            "lora_te3_encoder_block_0_layer_0_SelfAttention_q.lora_down.weight",
            "third text encoder",
        ),
        (
            "lora_te1_text_model_encoder_layers_0_mlp_fc1.dora_scale",
            "DoRA",
        ),
        ("lora_unet_mid_block_attentions_0_proj_in.oft_blocks", "OFT"),
        (
            "lora_unet_mid_block_attentions_0_proj_in.a1.weight",
            "GLoRA",
        ),
    ] {
        let sentence = with(name);
        assert!(sentence.contains(word), "{sentence}");
    }
    let embedding = tensor("emb_params.word", &[1, 32], Encoding::F16);
    assert_eq!(
        split(vec![embedding]).expect_err("no layers"),
        AdapterError::NoBranch
    );
    let twice = branch(
        "unet.mid_block.attentions.0.proj_in",
        KOHYA,
        &[36, 36],
        Encoding::F16,
    );
    let sentence = refusal(on(&unet(), [own, twice].concat()));
    assert!(sentence.contains("two names"), "{sentence}");
}

#[test]
fn each_models_alpha_is_that_of_its_own_configuration() {
    let layers = [
        ("unet.mid_block.attentions.0.proj_in", 4.0),
        ("text_encoder.text_model.encoder.layers.0.mlp.fc1", 6.0),
        ("text_encoder_2.text_model.encoder.layers.0.mlp.fc1", 8.0),
        ("text_encoder_2.text_model.encoder.layers.0.mlp.fc2", 2.0),
    ];
    let mut tensors = Vec::new();
    for (layer, _) in layers {
        tensors.extend(
            branch(layer, PEFT, &[8, 8], Encoding::F16)
                .into_iter()
                .take(2),
        );
    }
    let config = json!({
        "unet.lora_alpha": 4, "text_encoder.lora_alpha": 6,
        "text_encoder_2.lora_alpha": 2, "text_encoder_2.alpha_pattern": {"mlp.fc1": 8},
    });
    write_configured_alphas(&mut tensors, &config).expect("a configuration");
    for (layer, alpha) in layers {
        let name = format!("{layer}.alpha");
        let found = tensors
            .iter()
            .find(|tensor| tensor.name == name)
            .expect(&name);
        assert_eq!(found.to_f32().expect(&name), [alpha], "{name}");
    }
}

/// As the Concept Sliders' own LoRANetwork names and stores it with `noxattn` and convolutions: all in bf16,
/// kernels as they are, an alpha of 1 for each.
#[test]
fn a_concept_slider_is_read_at_any_strength() {
    let unet = unet();
    let layers = [
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
        "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "down_blocks.0.resnets.0.conv1",
        "down_blocks.0.resnets.0.time_emb_proj",
        "down_blocks.0.downsamplers.0.conv",
        "up_blocks.0.upsamplers.0.conv",
        "up_blocks.0.resnets.0.conv_shortcut",
    ];
    let (mut tensors, mut branches) = (Vec::new(), Vec::new());
    for layer in layers {
        let name = format!("{layer}.weight");
        let shape = &unet
            .iter()
            .find(|tensor| tensor.name == name)
            .expect(&name)
            .shape;
        let own = format!("lora_unet_{}", layer.replace('.', "_"));
        let mut branch = branch(&own, KOHYA, shape, Encoding::BF16);
        let alpha =
            StoredTensor::encode(&format!("{own}.alpha"), &[], &[ALPHA], Encoding::BF16, 0.0);
        branch.pop();
        branch.push(alpha.expect("an alpha"));
        tensors.extend(branch.clone());
        branches.push((name, branch));
    }
    let facts =
        Facts::of(tensors.iter().map(TensorFacts::from), &BTreeMap::new()).expect("a slider");
    assert_eq!(
        (facts.kind, facts.ranks, facts.alphas),
        (AdapterKind::LoCon, Some((2, 2)), 7)
    );
    assert_eq!(facts.layers, [(Model::UNet, 7)].into());
    assert_eq!(facts.dtypes, [Encoding::BF16]);
    for strength in [1.0, -2.0, 5.0] {
        let file = split(tensors.clone()).expect("a slider");
        assert!(file.text_encoder.is_empty() && file.text_encoder_2.is_empty());
        let mut adapter = on(&unet, file.unet).expect("it fits");
        adapter.scale(strength);
        let expected = branches
            .iter()
            .map(|(name, branch)| (name.clone(), change(branch, strength)));
        assert_eq!(changes(&unet, adapter), expected.collect());
    }
}
