//! The manifests of the real SDXL pairs in `public/pairs`: the page can read each of them and plan its
//! steps, the timesteps are those that the model was distilled at, and the tensors are stored as
//! `docs/formats.md` says.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;

use firststep::adapters::kohya_layout;
use firststep::engine::{describe, plan_for};
use firststep::loader::preflight::device_memory;
use firststep::models::{
    AutoencoderConfig, ClipTextConfig, TinyDecoderConfig, TokenizerConfig, UNet2DConditionConfig,
    layout_of,
};
use firststep::recipe::Mode;
use firststep::sampler::ModelRole;
use firststep::weights::footprint::is_table;
use firststep::weights::format::encoding::Encoding;
use firststep::weights::format::layout::Layout;
use firststep::weights::format::rules::target_encoding;
use firststep::weights::format::sha256::sha256;
use firststep::weights::manifest::verify::{MAXIMUM_UNPACKED_LENGTH, gunzip};
use firststep::weights::manifest::{Component, Manifest, ManifestFile};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

/// The use of a distilled model, as its authors describe it.
struct Expected {
    id: &'static str,
    timesteps: [f32; 4],
    guidance: f32,
    embeds_guidance: bool,
    size: u32,
}

const fn expected(id: &'static str, timesteps: [f32; 4], guidance: f32) -> Expected {
    Expected {
        id,
        timesteps,
        guidance,
        embeds_guidance: false,
        size: 1024,
    }
}

/// Every quarter, from the noisiest timestep.
const QUARTERS: [f32; 4] = [999.0, 749.0, 499.0, 249.0];
/// Four of the 50 timesteps that LCM is distilled at.
const LCM: [f32; 4] = [999.0, 759.0, 499.0, 259.0];

const PAIRS: [Expected; 7] = [
    expected("sdxl-dmd2", QUARTERS, 0.0),
    expected("sdxl-dmd2-lora", QUARTERS, 0.0),
    expected("sdxl-lightning", QUARTERS, 0.0),
    expected("sdxl-lightning-lora", QUARTERS, 0.0),
    Expected {
        embeds_guidance: true,
        ..expected("sdxl-lcm", LCM, 8.0)
    },
    expected("sdxl-lcm-lora", LCM, 1.0),
    Expected {
        size: 512,
        ..expected("sdxl-turbo", QUARTERS, 0.0)
    },
];

fn read(path: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("public/pairs");
    fs::read(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn manifest(path: &str) -> Manifest {
    let text = String::from_utf8(read(path)).expect(path);
    Manifest::parse(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_mode_has_the_plan_that_the_model_was_distilled_for() {
    for pair in PAIRS {
        let id = pair.id;
        let manifest = manifest(&format!("{id}.json"));
        assert_eq!(manifest.id, id);
        let info = describe(&manifest).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(info.sizes.own, [pair.size, pair.size].into(), "{id}");
        assert_eq!(info.sizes.sides, Some((512, 2048)), "{id}");
        assert_eq!(info.embeds_distilled_guidance, pair.embeds_guidance, "{id}");

        let mut recipe = info.recipe;
        recipe.modes = Mode::OF_THE_PAPER.to_vec();
        for row in recipe.rows() {
            let plan = plan_for(&row, &recipe, &manifest)
                .unwrap_or_else(|error| panic!("{id}, {:?}: {error}", row.mode));
            let steps = plan.steps();
            let timesteps: Vec<f32> = (0..steps.len()).map(|step| plan.timestep(step)).collect();
            match row.mode {
                // diffusers' timesteps of SDXL: leading, moved up by one.
                Mode::Base => {
                    assert_eq!(timesteps.len(), 25, "{id}");
                    assert_eq!((timesteps[0], timesteps[24]), (961.0, 1.0), "{id}");
                }
                Mode::SkipFirstStep => assert_eq!(timesteps, pair.timesteps[1..], "{id}"),
                Mode::Distilled | Mode::Hybrid | Mode::Adaptive => {
                    assert_eq!(timesteps, pair.timesteps, "{id}")
                }
            }
            for (number, step) in steps.iter().enumerate() {
                let (model, guidance) = match row.mode {
                    Mode::Base => (ModelRole::Base, recipe.base_guidance),
                    // The paper's best: one conditional pass of the base model.
                    Mode::Hybrid if number == 0 => (ModelRole::Base, 0.0),
                    _ => (ModelRole::Distilled, pair.guidance),
                };
                assert_eq!((step.model, step.guidance_scale), (model, guidance), "{id}");
            }
        }
    }
}

/// The engine would find a misfit only once all files are there, gigabytes too late.
#[test]
fn the_models_can_be_built_and_fit_each_other() {
    for pair in PAIRS {
        let id = pair.id;
        let components = manifest(&format!("{id}.json")).components;
        let text = |component: &Component| ClipTextConfig::from_json(&component.config).expect(id);
        let [first, second] = [&components.text_encoder, &components.text_encoder_2].map(text);
        let vae = AutoencoderConfig::from_json(&components.vae.config).expect(id);
        for component in [&components.unet, &components.unet_distilled] {
            let unet = UNet2DConditionConfig::from_json(&component.config).expect(id);
            let context = first.hidden_size + second.hidden_size;
            assert_eq!(unet.cross_attention_dim, context, "{id}");
            assert_eq!(unet.pooled_dim(), Some(second.pooled_size()), "{id}");
            assert_eq!(unet.in_channels, vae.latent_channels, "{id}");
        }
        assert_eq!(pair.size % vae.downscale_factor(), 0, "{id}");
        let tiny_decoder = components.tiny_decoder.expect(id);
        let tiny_decoder = TinyDecoderConfig::from_json(&tiny_decoder.config).expect(id);
        assert_eq!(tiny_decoder.latent_channels, vae.latent_channels, "{id}");
        for component in [&components.tokenizer, &components.tokenizer_2] {
            let tokenizer = TokenizerConfig::from_json(&component.config).expect(id);
            assert_eq!(tokenizer.model_max_length, first.max_position_embeddings);
        }
    }
}

#[test]
fn pairs_differ_in_nothing_but_their_distilled_model() {
    let manifests = PAIRS.map(|pair| manifest(&format!("{}.json", pair.id)));
    let shared = |manifest: &Manifest| -> Vec<String> {
        manifest
            .components
            .iter()
            .filter(|(name, _)| *name != "unet_distilled")
            .flat_map(|(_, component)| component.files.iter().map(|file| file.id.clone()))
            .collect()
    };
    let distilled: BTreeSet<&str> = manifests
        .iter()
        .map(|manifest| manifest.components.unet_distilled.files[0].id.as_str())
        .collect();
    assert_eq!(distilled.len(), manifests.len());
    for manifest in &manifests {
        assert_eq!(shared(manifest), shared(&manifests[0]), "{}", manifest.id);
    }
    // The vocabulary is the bundled one; every other file has to come from the hub.
    for file in manifests[0].files() {
        match &file.hub {
            Some(hub) => assert_eq!(hub.revision.len(), 40, "{}", file.path),
            None => assert_eq!(sha256(&read(&file.path)), file.sha256, "{}", file.path),
        }
    }
}

#[test]
fn tensors_are_stored_as_the_documentation_says() {
    let manifest = manifest("sdxl-lcm.json");
    let components = &manifest.components;
    let check = |component: &Component, name: &str, shape: &[usize], encoding| {
        let (stored, _) = target_encoding(&component.encodings, name, shape, Encoding::F16);
        assert_eq!(stored, encoding, "{name}");
    };
    let attention = "down_blocks.2.attentions.0.transformer_blocks.3";
    let resnet = "up_blocks.0.resnets.2";
    for unet in [&components.unet, &components.unet_distilled] {
        let check = |name: &str, shape: &[usize], encoding| check(unet, name, shape, encoding);
        let linear = [1280, 1280];
        for name in ["to_q", "to_k", "to_v", "to_out.0"] {
            let name = format!("{attention}.attn2.{name}.weight");
            check(&name, &linear, Encoding::Q4);
        }
        let feed_forward = format!("{attention}.ff.net.0.proj.weight");
        check(&feed_forward, &[10240, 1280], Encoding::Q4);
        check(
            "mid_block.attentions.0.proj_in.weight",
            &linear,
            Encoding::Q8,
        );
        check(
            &format!("{resnet}.time_emb_proj.weight"),
            &linear,
            Encoding::Q8,
        );
        check(
            &format!("{resnet}.conv1.weight"),
            &[1280, 1920, 3, 3],
            Encoding::Q8,
        );
        check(
            &format!("{resnet}.conv_shortcut.weight"),
            &[1280, 1920, 1, 1],
            Encoding::Q8,
        );
        check(
            "down_blocks.0.downsamplers.0.conv.weight",
            &[320, 320, 3, 3],
            Encoding::Q8,
        );
        check("conv_in.weight", &[320, 4, 3, 3], Encoding::F16);
        check("conv_out.weight", &[4, 320, 3, 3], Encoding::F16);
        check(
            "time_embedding.linear_1.weight",
            &[1280, 320],
            Encoding::F16,
        );
        check(
            "time_embedding.cond_proj.weight",
            &[320, 256],
            Encoding::F16,
        );
        check(
            "add_embedding.linear_1.weight",
            &[1280, 2816],
            Encoding::F16,
        );
        check(
            &format!("{attention}.attn1.to_out.0.bias"),
            &[1280],
            Encoding::F16,
        );
        check(&format!("{attention}.norm1.weight"), &[1280], Encoding::F16);
    }
    for encoder in [&components.text_encoder, &components.text_encoder_2] {
        let check = |name: &str, shape: &[usize], encoding| check(encoder, name, shape, encoding);
        let layer = "text_model.encoder.layers.0";
        check(
            &format!("{layer}.self_attn.q_proj.weight"),
            &[768, 768],
            Encoding::Q8,
        );
        check(
            &format!("{layer}.mlp.fc2.weight"),
            &[768, 3072],
            Encoding::Q8,
        );
        let embeddings = "text_model.embeddings";
        check(
            &format!("{embeddings}.token_embedding.weight"),
            &[49408, 768],
            Encoding::Q8,
        );
        check(
            &format!("{embeddings}.position_embedding.weight"),
            &[77, 768],
            Encoding::F16,
        );
        check(
            &format!("{layer}.layer_norm1.weight"),
            &[768],
            Encoding::F16,
        );
    }
    let projection = [1280, 1280];
    check(
        &components.text_encoder_2,
        "text_projection.weight",
        &projection,
        Encoding::Q8,
    );
    let kernel = [512, 512, 3, 3];
    check(
        &components.vae,
        "decoder.mid_block.resnets.0.conv1.weight",
        &kernel,
        Encoding::F16,
    );
}

/// Rank of the published distillation LoRAs.
const LORA_RANK: usize = 64;

/// Bytes of a description in the header of LCM's LoRA, which no layout has.
const LCM_LORA_DESCRIPTION: u64 = 600;

/// Bytes of the file that the package safetensors writes of a layout in one dtype, with `metadata` in
/// its header: the header's length in 8 bytes, the header up to a multiple of 8, and the values.
fn file_size(layout: &Layout, encoding: Encoding, metadata: &[(&str, &str)]) -> u64 {
    let dtype = match encoding {
        Encoding::F32 => Dtype::F32,
        _ => Dtype::F16,
    };
    let mut end = 0;
    let tensors = layout.iter().map(|(name, shape)| {
        let begin = end;
        end += encoding.byte_length(shape).expect(name);
        let info = TensorInfo {
            dtype,
            shape: shape.to_vec(),
            data_offsets: (begin, end),
        };
        (name.to_owned(), info)
    });
    let tensors = tensors.collect();
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let metadata = (!metadata.is_empty()).then_some(metadata);
    let header = Metadata::new(metadata, tensors).expect("a sound header");
    let header = serde_json::to_vec(&header).expect("a header").len();
    (8 + header.next_multiple_of(8) + end) as u64
}

/// By its layout, the bytes of a hub's file and those of its tensors in the store.
fn sizes_by_layout(component: &Component, file: &ManifestFile) -> (u64, u64) {
    let path = &file.path;
    let layout = layout_of(&component.config).unwrap_or_else(|error| panic!("{path}: {error}"));
    let layout = match component.adapter_on {
        Some(_) => kohya_layout(&layout, LORA_RANK),
        None => layout,
    };
    let repository = &file.hub.as_ref().expect(path).repository;
    let encoding = match repository.as_str() {
        "madebyollin/sdxl-vae-fp16-fix" | "madebyollin/taesdxl" => Encoding::F32,
        _ => Encoding::F16,
    };
    let metadata: &[_] = match repository.as_str() {
        "tianweiy/DMD2" | "ByteDance/SDXL-Lightning" => &[],
        _ => &[("format", "pt")],
    };
    let description = match repository.as_str() {
        "latent-consistency/lcm-lora-sdxl" => LCM_LORA_DESCRIPTION,
        _ => 0,
    };
    let stored = layout.iter().map(|(name, shape)| {
        let (stored, _) = target_encoding(&component.encodings, name, shape, encoding);
        stored.byte_length(shape).expect(name) as u64
    });
    let size = file_size(&layout, encoding, metadata) + description;
    (size, stored.sum())
}

/// The engine asks for the tensors of the layouts, and the sizes are the hub's. That both agree to the
/// byte shows that the models are built of these very files.
#[test]
fn the_sizes_are_those_of_the_layouts() {
    let mut compared = BTreeSet::new();
    for pair in PAIRS {
        let manifest = manifest(&format!("{}.json", pair.id));
        for (name, component) in manifest.components.iter() {
            for file in component.files.iter().filter(|file| file.hub.is_some()) {
                let (size, stored) = sizes_by_layout(component, file);
                assert_eq!(file.stored_size, Some(stored), "{}, {name}", pair.id);
                // No public source tells the size of LCM's UNet: the loader asks the hub.
                if file.size == 0 {
                    assert_eq!((pair.id, name), ("sdxl-lcm", "unet_distilled"));
                } else {
                    assert_eq!(file.size, size, "{}, {name}", pair.id);
                    compared.insert(file.id.clone());
                }
            }
        }
    }
    // The base's UNet and five parts beside it, and six distilled models.
    assert_eq!(compared.len(), 11);
}

/// Bytes that a component's tensors take on a graphics card, one by one.
fn counted(component: &Component, wanted: impl Fn(&str) -> bool) -> u64 {
    let layout = layout_of(&component.config).expect("a layout");
    let tensors = layout
        .iter()
        .filter(|(name, _)| wanted(name) && !is_table(name));
    tensors
        .map(|(name, shape)| {
            let (stored, _) = target_encoding(&component.encodings, name, shape, Encoding::F16);
            // Vectors are there as `f32`; a matrix of few values as it is stored, like any other.
            let encoding = if shape.len() < 2 {
                Encoding::F32
            } else {
                stored
            };
            encoding.byte_length(shape).expect(name) as u64
        })
        .sum()
}

#[test]
fn the_pre_flight_counts_the_weights_of_the_layouts() {
    let manifest = manifest("sdxl-dmd2.json");
    let components = &manifest.components;
    let encoder = |name: &str| name.starts_with("encoder.") || name.starts_with("quant_conv.");
    let tiny = components.tiny_decoder.as_ref().expect("it has one");
    let exact = [
        counted(&components.unet, |_| true),
        counted(&components.unet_distilled, |_| true),
        counted(&components.vae, |name| !encoder(name)),
        counted(tiny, |name| name.starts_with("decoder.")),
    ];
    let memory = device_memory(&manifest, manifest.image_size, true);
    let close = |found: u64, exact: u64| (found as f64 / exact as f64 - 1.0).abs() < 0.005;
    let sum = exact.iter().sum();
    assert!(close(memory.weights, sum), "{memory:?}, {sum} of {exact:?}");
    let exact = counted(&components.text_encoder_2, |_| true);
    assert!(close(memory.text_encoder, exact), "{memory:?}, {exact}");
}

/// Bytes of a bundled file in the store, which holds it unpacked.
fn unpacked_size(folder: &str, file: &ManifestFile) -> u64 {
    let bytes = read(&format!("{folder}{}", file.path));
    match file.compression {
        Some(_) => {
            let bytes = gunzip(&file.path, &bytes, MAXIMUM_UNPACKED_LENGTH);
            bytes.expect(&file.path).len() as u64
        }
        None => bytes.len() as u64,
    }
}

#[derive(Deserialize)]
struct Index {
    pairs: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    manifest: String,
    name: String,
    bundled: bool,
    licence: String,
    image_size: [u32; 2],
    steps: u32,
    download_size: u64,
    stored_size: u64,
}

#[test]
fn the_list_of_pairs_says_what_the_manifests_say() {
    let index: Index = serde_json::from_slice(&read("index.json")).expect("a list");
    let listed: Vec<&str> = index.pairs.iter().map(|it| it.manifest.as_str()).collect();
    for pair in PAIRS {
        assert!(
            listed.contains(&format!("{}.json", pair.id).as_str()),
            "{}",
            pair.id
        );
    }
    // The pairs that need no download come first.
    assert!(index.pairs.is_sorted_by_key(|entry| !entry.bundled));
    for entry in &index.pairs {
        let path = &entry.manifest;
        let manifest = manifest(path);
        assert_eq!(entry.name, manifest.name, "{path}");
        assert_eq!(entry.licence, manifest.licence.name, "{path}");
        assert_eq!(entry.image_size, manifest.image_size, "{path}");
        assert_eq!(entry.steps, manifest.defaults.distilled_steps, "{path}");
        let folder = path.rfind('/').map_or("", |slash| &path[..=slash]);
        let (mut download_size, mut stored_size) = (0, 0);
        for file in manifest.files() {
            let (size, stored) = match &file.hub {
                Some(_) => {
                    let mut components = manifest.components.iter().map(|(_, it)| it);
                    let component = components.find(|it| it.files.contains(file));
                    sizes_by_layout(component.expect(path), file)
                }
                None => (file.size, unpacked_size(folder, file)),
            };
            download_size += size;
            stored_size += stored;
        }
        assert_eq!(entry.download_size, download_size, "{path}");
        assert_eq!(entry.stored_size, stored_size, "{path}");
        if manifest.is_resolved() {
            assert_eq!(entry.download_size, manifest.download_size(), "{path}");
        }
        // Files of other hosts are fetched only under licences that the visitor has accepted.
        assert_eq!(
            entry.bundled,
            manifest.licences_to_accept.is_empty(),
            "{path}"
        );
    }
}
