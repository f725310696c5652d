//! A recipe's adapters beside the weights of both UNets: several at once, with strengths and schedules.
//! That a single one is computed as PEFT does is tested in `adapter`.

use burn::tensor::Device;
use firststep::adapters::Adapter;
use firststep::engine::{EngineError, GridState, Pair, describe, generate};
use firststep::protocol::engine::{Extent, JobEvent};
use firststep::recipe::adapters::{ActsOn, AdapterUse};
use firststep::recipe::{Mode, Recipe};
use firststep::sampler::ModelRole;
use firststep::weights::adapter_file::adapter_id;
use firststep::weights::format::encoding::Encoding;
use firststep::weights::format::tensor::StoredTensor;

use crate::adapter::{branches_of_all_kinds, predictions};
use crate::support::{BundledPair, Recorder, assert_close, block_on, to_vec};

/// Of the largest value: W x + B A x against (W + B A) x in f32, through a whole UNet.
const TOLERANCE: f32 = 1e-4;
const NAMES: [&str; 3] = ["one", "two", "three"];

/// Three adapters on the same layers: the values of each are its own.
fn adapters(bundled: &mut BundledPair) -> Vec<AdapterUse> {
    let base = bundled.tensors_of("unet");
    let adapter = |(index, name): (usize, &str)| {
        let hash = format!("{index:064x}");
        let factor = 1.0 - 0.3 * index as f32;
        let tensors = branches_of_all_kinds(&base).into_iter().map(|tensor| {
            let is_up = tensor.name.ends_with("lora_up.weight");
            let values = tensor.to_f32().expect("f32").into_iter();
            let values: Vec<f32> = values
                .map(|value| if is_up { value * factor } else { value })
                .collect();
            StoredTensor::encode(&tensor.name, &tensor.shape, &values, Encoding::F32, 0.0)
                .expect("f32")
        });
        bundled.add_file(&adapter_id(&hash), tensors.collect());
        AdapterUse::new(&hash, name)
    };
    NAMES.into_iter().enumerate().map(adapter).collect()
}

fn load(bundled: &BundledPair, adapters: &[AdapterUse]) -> Result<Pair, EngineError> {
    block_on(async {
        let mut pair = Pair::load(bundled.manifest.clone(), Device::flex(), bundled).await?;
        pair.attach(adapters, bundled).await?;
        pair.load_unets(&Mode::ALL, bundled).await?;
        Ok(pair)
    })
}

/// The predictions of both models with these strengths.
fn with(pair: &Pair, strengths: &[f32]) -> [Vec<f32>; 2] {
    for role in [ModelRole::Base, ModelRole::Distilled] {
        pair.set_strengths(role, strengths);
    }
    predictions(pair)
}

/// Merges an adapter's tensors into a component's.
fn merge(pair: &mut BundledPair, component: &str, adapter: Vec<StoredTensor>, strength: f32) {
    let mut tensors = pair.tensors_of(component);
    let names: Vec<String> = tensors.iter().map(|it| it.name.clone()).collect();
    let mut adapter = Adapter::new(adapter, names.iter().map(String::as_str)).expect("it fits");
    adapter.scale(strength);
    for tensor in &mut tensors {
        let values = tensor.to_f32().expect("values");
        let values = adapter.merge(&tensor.name, &tensor.shape, values);
        let shape = tensor.shape.clone();
        let encoded = StoredTensor::encode(
            &tensor.name,
            &shape,
            &values.expect("it fits"),
            Encoding::F32,
            0.0,
        );
        *tensor = encoded.expect("f32");
    }
    pair.replace(component, tensors);
}

#[test]
fn stacked_adapters_are_their_sum_and_strength_nothing_is_none() {
    let mut bundled = BundledPair::read();
    let plain = predictions(&load(&bundled, &[]).expect("a pair"));
    let uses = adapters(&mut bundled);
    let pair = load(&bundled, &uses).expect("they fit");
    assert_eq!(with(&pair, &[0.0; 3]), plain, "bit by bit");

    for strengths in [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.5, -2.0, 3.0]] {
        // The same changes merged into the weights of both models.
        let mut merged = BundledPair::read();
        for component in ["unet", "unet_distilled"] {
            for (used, strength) in uses.iter().zip(strengths) {
                let adapter = bundled.tensors_below(&adapter_id(&used.hash));
                merge(&mut merged, component, adapter, strength);
            }
        }
        let expected = predictions(&load(&merged, &[]).expect("a pair"));
        let found = with(&pair, &strengths);
        for ((found, expected), plain) in found.iter().zip(&expected).zip(&plain) {
            assert_close(&format!("{strengths:?}"), found, expected, TOLERANCE);
            assert_ne!(found, plain);
        }
    }
}

#[test]
fn an_adapter_acts_on_its_models_in_its_steps() {
    let mut bundled = BundledPair::read();
    let uses = adapters(&mut bundled);
    let [one, ..] = uses.as_slice() else {
        panic!("three adapters");
    };
    let mut pair = load(&bundled, &[]).expect("a pair");
    let recipe = Recipe {
        modes: vec![Mode::Hybrid],
        seed_count: 1,
        distilled_steps: 2,
        ..describe(&bundled.manifest).expect("a pair").recipe
    };
    let mut draw = |adapters: Vec<AdapterUse>| {
        let recipe = Recipe {
            adapters,
            ..recipe.clone()
        };
        let mut recorder = Recorder::default();
        block_on(async {
            pair.attach(&recipe.adapters, &bundled).await?;
            pair.load_unets(&recipe.modes, &bundled).await?;
            let (extent, mut grid) = (Extent::default(), GridState::default());
            generate(&pair, &recipe, &extent, &mut grid, &mut recorder).await
        })
        .expect("a picture");
        let steps = recorder.events.into_iter().filter_map(|event| match event {
            JobEvent::Step { digest, .. } => Some(digest),
            _ => None,
        });
        steps.collect::<Vec<_>>()
    };
    let plain = draw(Vec::new());
    assert_eq!(plain.len(), 2, "a step of each model");
    let never = AdapterUse {
        steps: vec![3],
        ..one.clone()
    };
    assert_eq!(draw(vec![never]), plain);
    // The base model takes the first step, the distilled model the second.
    let first = draw(vec![AdapterUse {
        acts_on: ActsOn::Base,
        ..one.clone()
    }]);
    assert_ne!(first[0], plain[0]);
    let in_first = AdapterUse {
        steps: vec![1],
        ..one.clone()
    };
    assert_eq!(draw(vec![in_first]), first);
    let second = draw(vec![AdapterUse {
        acts_on: ActsOn::Distilled,
        ..one.clone()
    }]);
    assert_eq!(second[0], plain[0], "the first step is the base's");
    assert_ne!(second[1], plain[1]);
    let late = AdapterUse {
        from_timestep: 998,
        ..one.clone()
    };
    assert_eq!(draw(vec![late]), second, "the first step is at 999");
}

/// Rank 2 on a layer of each text encoder, in kohya's spelling.
fn of_text_encoders(bundled: &BundledPair) -> [Vec<StoredTensor>; 2] {
    [("te1", "text_encoder"), ("te2", "text_encoder_2")].map(|(encoder, component)| {
        // One of the two has its names without "text_model.", as newer versions of transformers write them.
        let layer = "encoder.layers.0.self_attn.v_proj";
        let weight = bundled.tensors_of(component).into_iter();
        let shape = weight
            .filter(|tensor| tensor.name.ends_with(&format!("{layer}.weight")))
            .map(|tensor| tensor.shape)
            .next()
            .expect(component);
        let part = |part: &str, shape: [usize; 2]| {
            let layer = layer.replace('.', "_");
            let name = format!("lora_{encoder}_text_model_{layer}.{part}.weight");
            let count = shape[0] * shape[1];
            let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.7).sin() * 0.3).collect();
            StoredTensor::encode(&name, &shape, &values, Encoding::F32, 0.0).expect("f32")
        };
        vec![
            part("lora_down", [2, shape[1]]),
            part("lora_up", [shape[0], 2]),
        ]
    })
}

#[test]
fn layers_of_text_encoders_act_on_what_the_models_are_told() {
    let mut bundled = BundledPair::read();
    let of_encoders = of_text_encoders(&bundled);
    let used = AdapterUse::new(&"e".repeat(64), "words");
    let recipe = Recipe {
        prompt: "a red heart".into(),
        adapters: vec![AdapterUse {
            strength: -1.5,
            acts_on: ActsOn::Base,
            ..used.clone()
        }],
        modes: vec![Mode::Hybrid],
        seed_count: 1,
        ..describe(&bundled.manifest).expect("a pair").recipe
    };
    let rows = recipe.rows();
    let told = |pair: &Pair, role| {
        let prompt = recipe.read_prompt(&recipe.prompt);
        let told = pair.encode_prompt(&pair.adapted(prompt, &rows[0], role));
        let told = told.expect("a prompt");
        [to_vec(told.context), to_vec(told.pooled)].concat()
    };
    let plain = load(&bundled, &[]).expect("a pair");
    let plain = told(&plain, ModelRole::Base);
    let mut merged = BundledPair::read();
    for (component, adapter) in ["text_encoder", "text_encoder_2"].iter().zip(&of_encoders) {
        merge(&mut merged, component, adapter.clone(), -1.5);
    }
    let expected = told(&load(&merged, &[]).expect("a pair"), ModelRole::Base);

    bundled.add_file(&adapter_id(&used.hash), of_encoders.concat());
    let mut pair = load(&bundled, &recipe.adapters).expect("it fits");
    let found = told(&pair, ModelRole::Base);
    assert_close("text", &found, &expected, TOLERANCE);
    assert_ne!(found, plain);
    assert_eq!(
        told(&pair, ModelRole::Distilled),
        plain,
        "it acts on the base alone"
    );
    // Those that stay are read again once the adapter is gone.
    block_on(pair.attach(&[], &bundled)).expect("no adapter");
    assert_eq!(told(&pair, ModelRole::Base), plain);
}

#[test]
fn an_adapter_that_is_not_there_or_does_not_fit_is_a_sentence() {
    let mut bundled = BundledPair::read();
    let hash = "f".repeat(64);
    let other = StoredTensor::encode(
        "unet.conv_other.lora_A.weight",
        &[1, 1],
        &[0.0],
        Encoding::F32,
        0.0,
    );
    bundled.add_file(&adapter_id(&hash), vec![other.expect("f32")]);
    let error = load(&bundled, &[AdapterUse::new(&hash, "another model's")]);
    let error = error.err().expect("it doesn't fit").to_string();
    assert!(
        error.contains("“another model's” can't be put on these models"),
        "{error}"
    );
}
