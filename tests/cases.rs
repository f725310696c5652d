//! Small inputs after public reports of people who do this job: a test for each, named after its folder in
//! `tests/cases`, which holds the input and the right value. The inputs are made up; none holds anybody's
//! data or wording. Each stands for its kind.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

use std::collections::BTreeMap;

use firststep::adapters::{Adapter, AdapterError, write_alphas};
use firststep::weights::download::plan::{CommitEncoder, plan};
use firststep::weights::format::encoding::Encoding;
use firststep::weights::format::kind::{FileKind, misfit};
use firststep::weights::format::rules::EncodingRule;
use firststep::weights::format::safetensors::{self, Header};
use firststep::weights::format::tensor::StoredTensor;
use firststep::weights::manifest::hub::{self, ModelAddress};
use firststep::weights::manifest::{HubRepository, Manifest, ManifestFile, without_secrets};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");
const BASE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/parity/values/models/tiny/unet/diffusion_pytorch_model.safetensors"
);

fn bytes(path: &str) -> Vec<u8> {
    std::fs::read(path).expect(path)
}

/// A file of a case: `01-hub-page-address/texts.json`.
fn case(file: &str) -> String {
    format!("{CASES}/{file}")
}

fn header(file: &str) -> Header {
    Header::parse(file, &bytes(&case(file))).unwrap_or_else(|error| panic!("{error}"))
}

fn tensors(path: &str) -> Vec<StoredTensor> {
    safetensors::read(path, &bytes(path)).unwrap_or_else(|error| panic!("{error}"))
}

/// What an adapter's file changes of a base of zeros, as the page puts it on: with its header.
fn changes(file: &str) -> Result<(BTreeMap<String, Vec<f32>>, Adapter), AdapterError> {
    let base = tensors(BASE);
    let names = base.iter().map(|tensor| tensor.name.as_str());
    let mut own = tensors(&case(file));
    write_alphas(&mut own, &header(file).metadata)?;
    let mut adapter = Adapter::new(own, names)?;
    let mut changed = BTreeMap::new();
    for tensor in &base {
        let zeros = vec![0.0; tensor.shape.iter().product()];
        let values = adapter.merge(&tensor.name, &tensor.shape, zeros)?;
        if values.iter().any(|value| *value != 0.0) {
            changed.insert(tensor.name.clone(), values);
        }
    }
    Ok((changed, adapter))
}

/// The largest error of a product of as few factors as these inputs have, in f32.
const TOLERANCE: f32 = 1e-6;

fn assert_changes(file: &str, expected: &str) {
    let (changed, adapter) = changes(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let left = adapter.finish().expect("nothing is left over");
    assert!(left.is_empty(), "{file}: {left:?}");
    let expected = tensors(&case(expected));
    let names: Vec<_> = changed.keys().collect();
    assert_eq!(names.len(), expected.len(), "{file}: {names:?}");
    for tensor in expected {
        let values = tensor.to_f32().expect("values");
        let pairs = changed[&tensor.name].iter().zip(&values);
        let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest < TOLERANCE, "{file}: {} by {largest}", tensor.name);
    }
}

#[test]
fn case_09_a_lora_with_text_encoders_changes_the_unet_and_says_what_it_leaves_out() {
    let file = "09-lora-with-text-encoders/lora.safetensors";
    assert_changes(file, "09-lora-with-text-encoders/expected.safetensors");
    let (_, adapter) = changes(file).expect("it fits");
    let left_out = adapter.left_out();
    assert_eq!(left_out.text_encoder, 6);
    let sentence = left_out.sentence().expect("something is left out");
    assert!(sentence.contains("text encoders (6 tensors)"), "{sentence}");
    let alone = "09-lora-with-text-encoders/text-encoders-only.safetensors";
    let error = changes(alone).expect_err("nothing to put on").to_string();
    assert!(error.contains("text encoder"), "{error}");
}

#[test]
fn case_21_an_alpha_in_the_header_alone_counts() {
    assert_changes(
        "21-alpha-in-header/pytorch_lora_weights.safetensors",
        "21-alpha-in-header/expected.safetensors",
    );
}

#[test]
fn case_25_a_dora_is_refused_by_its_name() {
    for file in ["25-dora/kohya.safetensors", "25-dora/peft.safetensors"] {
        let error = changes(file).expect_err(file).to_string();
        assert!(error.contains("DoRA"), "{file}: {error}");
    }
}

#[test]
fn case_26_lycoris_is_computed() {
    for kind in ["locon-tucker", "loha", "lokr"] {
        assert_changes(
            &format!("26-lycoris/{kind}.safetensors"),
            &format!("26-lycoris/{kind}-expected.safetensors"),
        );
    }
}

#[test]
fn case_35_other_spellings_still_work() {
    assert_changes(
        "35-spellings-that-work/lora.safetensors",
        "35-spellings-that-work/expected.safetensors",
    );
}

#[test]
fn case_02_a_web_page_and_a_pointer_are_called_by_their_names() {
    let refusal = |file: &str| {
        let file = format!("02-blob-page/{file}");
        let error = Header::parse(&file, &bytes(&case(&file)));
        error.expect_err("no safetensors file").to_string()
    };
    let page = refusal("x.safetensors");
    assert!(page.contains("web page"), "{page}");
    let pointer = refusal("lfs-pointer.safetensors");
    assert!(pointer.contains("Git LFS pointer"), "{pointer}");
}

#[test]
fn case_18_tensors_that_nothing_uses_are_not_judged() {
    for (file, unused) in [
        ("i32-num-updates", "model_ema.num_updates"),
        ("f64-betas", "betas"),
        ("i64-timestep", "global_step"),
        (
            "i64-odd-position-ids",
            "conditioner.embedders.1.transformer.text_model.embeddings.position_ids",
        ),
    ] {
        let header = header(&format!("18-unused-dtypes/{file}.safetensors"));
        assert!(header.unused.iter().any(|name| name == unused), "{file}");
        let is_stored = |name: &str| header.tensors.iter().any(|tensor| tensor.name == name);
        assert!(is_stored("model.diffusion_model.input_blocks.0.0.weight"));
        assert!(!is_stored("denoiser.sigmas"), "{file}");
    }
}

#[test]
fn case_18_an_alpha_may_be_an_integer() {
    let integer = "18-unused-dtypes/lora-alpha-i64.safetensors";
    let name = "lora_unet_input_blocks_0_0.alpha";
    let own = tensors(&case(integer));
    let alpha = own.iter().find(|tensor| tensor.name == name).expect(name);
    let same = tensors(&case("35-spellings-that-work/lora.safetensors"));
    let float = same.iter().find(|tensor| tensor.name == name).expect(name);
    assert_eq!(alpha.to_f32(), float.to_f32());
}

#[test]
fn case_18_weights_in_fp8_are_read() {
    let name = "model.diffusion_model.label_emb.0.0.weight";
    let tensors = tensors(&case("18-unused-dtypes/fp8.safetensors"));
    let tensor = tensors
        .iter()
        .find(|tensor| tensor.name == name)
        .expect(name);
    let values = tensor.to_f32().expect("values");
    assert_eq!(values.len(), 48 * 88);
    assert!(values.iter().all(|value| value.abs() <= 448.0));
    assert!(values.iter().any(|value| *value != 0.0));
}

#[test]
fn case_36_headers_as_they_occur() {
    for (file, count) in [
        ("padded.safetensors", 1),
        ("empty-and-scalar.safetensors", 3),
        ("no-tensors.safetensors", 0),
    ] {
        let tensors = tensors(&case(&format!("36-headers/{file}")));
        assert_eq!(tensors.len(), count, "{file}");
    }
    for file in ["metadata-null.safetensors", "metadata-number.safetensors"] {
        let path = case(&format!("36-headers/{file}"));
        let error = Header::parse(file, &bytes(&path)).expect_err(file);
        assert!(error.to_string().contains("__metadata__"), "{error}");
    }
}

#[test]
fn case_18_fp8_weights_arrive_as_they_are_read() {
    let file = "18-unused-dtypes/fp8.safetensors";
    let (header, bytes) = (header(file), bytes(&case(file)));
    let rules = [EncodingRule {
        tensors: "*".into(),
        encoding: Encoding::F32,
        minimum_step: 0.0,
    }];
    let read = tensors(&case(file));
    let mut arrived = 0;
    for commit in plan(file, &header, &rules).expect("a plan") {
        let mut encoder = CommitEncoder::new(file, &commit).expect("an encoder");
        let range = commit.range.start as usize..commit.range.end as usize;
        for piece in bytes[range].chunks(7) {
            encoder.push(piece).expect("sound values");
        }
        for record in encoder.finish() {
            arrived += 1;
            if record.name == "unet.add_embedding.linear_1.weight" {
                let name = "model.diffusion_model.label_emb.0.0.weight";
                let same = read.iter().find(|tensor| tensor.name == name).expect(name);
                assert_eq!(record.to_f32(), same.to_f32());
                assert_eq!(record.encoding, Encoding::F32);
            }
        }
    }
    assert!(arrived > 8, "{arrived} tensors");
}

fn json<T: serde::de::DeserializeOwned>(file: &str) -> T {
    serde_json::from_slice(&bytes(&case(file))).expect(file)
}

#[test]
fn case_01_a_hubs_page_is_its_repository() {
    let texts: Vec<[String; 3]> = json("01-hub-page-address/texts.json");
    for [text, repository, revision] in texts {
        let expected = ModelAddress::Base(HubRepository {
            repository,
            revision,
        });
        assert_eq!(ModelAddress::parse(&text), Ok(expected), "{text}");
    }
}

#[test]
fn case_02_a_files_page_leads_to_the_file() {
    let texts: Vec<[String; 2]> = json("02-blob-page/texts.json");
    for [text, url] in texts {
        let expected = url.split('?').next().unwrap_or(&url).to_owned();
        let address = ModelAddress::parse(&text);
        assert_eq!(address, Ok(ModelAddress::Checkpoint(expected)), "{text}");
    }
}

#[test]
fn case_11_a_file_may_have_any_name() {
    let template = bytes(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/public/pairs/sdxl-dmd2-lora.json"
    ));
    let names: Vec<String> = json("11-checkpoint-file-name/names.json");
    for name in names {
        let mut manifest: serde_json::Value = serde_json::from_slice(&template).expect("JSON");
        let file = ManifestFile {
            path: name.clone(),
            url: Some(format!("https://models.example/{name}")),
            ..ManifestFile::default()
        };
        let config = manifest["components"]["unet"]["config"].clone();
        hub::replace_component(&mut manifest, "unet", config, &[file], "unet.");
        let parsed = Manifest::parse(&manifest.to_string());
        assert!(parsed.is_ok(), "{name}: {parsed:?}");
    }
}

#[test]
fn case_13_the_distilled_model_of_a_repository_without_unet_is_found() {
    for (tree, path) in [
        (
            "tree-lightning.json",
            "sdxl_lightning_4step_lora.safetensors",
        ),
        ("tree-lcm-lora.json", "pytorch_lora_weights.safetensors"),
    ] {
        let text = bytes(&case(&format!("13-lora-repo-as-distilled/{tree}")));
        let text = String::from_utf8(text).expect("text");
        let files = hub::listing(tree, &text).expect("a listing");
        let found = hub::distilled_file(tree, &files).expect("one").expect(tree);
        assert_eq!((found.file.path.as_str(), found.is_adapter), (path, true));
    }
}

#[test]
fn case_14_civitais_addresses_are_files_and_tokens_are_kept_from_view() {
    let texts: Vec<String> = json("14-civitai-address/texts.json");
    for text in &texts {
        let address = ModelAddress::parse(text).expect(text);
        let ModelAddress::Checkpoint(url) = address else {
            panic!("{text} -> {address:?}");
        };
        let public = without_secrets(&url);
        for secret in ["0123456789abcdef", "feed"] {
            assert!(!public.contains(secret), "{public}");
        }
    }
    assert_eq!(
        without_secrets(&texts[0]),
        "https://civitai.com/api/download/models/128713?type=Model&format=SafeTensor&size=pruned&fp=fp16"
    );
}

#[test]
fn case_28_shards_are_one_whole_set() {
    for (tree, expected) in [
        (
            "tree.json",
            ["-00001-of-00002.safetensors", "-00002-of-00002.safetensors"],
        ),
        (
            "tree-legacy-fp16.json",
            [
                "-00001-of-00002.fp16.safetensors",
                "-00002-of-00002.fp16.safetensors",
            ],
        ),
        (
            "tree-two-splits.json",
            ["-00001-of-00002.safetensors", "-00002-of-00002.safetensors"],
        ),
    ] {
        let text = bytes(&case(&format!("28-sharded-unet/{tree}")));
        let text = String::from_utf8(text).expect("text");
        let files = hub::listing(tree, &text).expect("a listing");
        let found = hub::weight_files(&files, "unet");
        let found: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
        let expected = expected.map(|end| format!("unet/diffusion_pytorch_model{end}"));
        assert_eq!(found, expected, "{tree}");
    }
}

#[test]
fn case_10_what_is_no_base_is_told_by_its_kind() {
    for (file, words) in [
        ("inpainting", "inpainting"),
        ("refiner", "refiner"),
        ("sd15", "Stable Diffusion 1.x"),
        ("unet-only-comfy", "a UNet alone"),
    ] {
        let header = header(&format!("10-not-a-base-checkpoint/{file}.safetensors"));
        let kind = FileKind::of(&header);
        let FileKind::Other(clause) = kind else {
            panic!("{file}: {kind:?}");
        };
        assert!(clause.contains(words), "{file}: {clause}");
    }
    // A base is one, and what lies beside it in the same folders is not taken for one.
    let base = header("18-unused-dtypes/i64-timestep.safetensors");
    assert_eq!(FileKind::of(&base), FileKind::Checkpoint);
    let lora = header("35-spellings-that-work/lora.safetensors");
    assert_eq!(FileKind::of(&lora), FileKind::Adapter);
    let unet = Header::parse("unet", &bytes(BASE)).expect("a UNet");
    assert_eq!(FileKind::of(&unet), FileKind::UNet);
}

#[test]
fn case_10_a_pruned_model_lacks_layers_of_its_config() {
    let config: serde_json::Value = serde_json::from_slice(&bytes(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/parity/values/models/tiny/unet/config.json"
    )))
    .expect("a config");
    let mut unet = Header::parse("unet", &bytes(BASE)).expect("a UNet");
    assert_eq!(misfit(&unet, &config), None);
    unet.tensors.retain(|tensor| {
        !tensor
            .name
            .starts_with("mid_block.attentions.0.transformer_blocks.1.")
    });
    unet.tensors.retain(|tensor| {
        !tensor
            .name
            .starts_with("mid_block.attentions.0.transformer_blocks.0.")
    });
    let misfit = misfit(&unet, &config).expect("layers are missing");
    assert!(misfit.contains("SSD-1B"), "{misfit}");
}

/// Relative to the largest weight: both sides add up to a few products of as many factors in f32, in any order.
const LYCORIS_TOLERANCE: f32 = 1e-5;

#[test]
fn case_26_every_factoring_is_merged_as_peft_does() {
    let values = tensors(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/parity/values/lycoris.safetensors"
    ));
    let mut kinds: Vec<&str> = values
        .iter()
        .filter_map(|tensor| Some(tensor.name.split_once('.')?.0))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    for kind in kinds {
        let below = |part: &str| -> Vec<StoredTensor> {
            let prefix = format!("{kind}.{part}.");
            let own = values.iter().filter_map(|tensor| {
                let name = tensor.name.strip_prefix(&prefix)?.to_owned();
                Some(StoredTensor {
                    name,
                    ..tensor.clone()
                })
            });
            own.collect()
        };
        let (base, merged) = (below("base"), below("merged"));
        let names = base.iter().map(|tensor| tensor.name.as_str());
        let mut adapter = Adapter::new(below("adapter"), names).expect(kind);
        for (tensor, expected) in base.iter().zip(&merged) {
            assert_eq!(tensor.name, expected.name);
            let own = tensor.to_f32().expect("values");
            let own = adapter.merge(&tensor.name, &tensor.shape, own).expect(kind);
            let expected = expected.to_f32().expect("values");
            let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
            let pairs = own.iter().zip(&expected);
            let most = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let name = &tensor.name;
            assert!(
                most <= LYCORIS_TOLERANCE * largest,
                "{kind} {name}: {most} of {largest}"
            );
        }
        assert!(adapter.finish().expect(kind).is_empty());
    }
}
