//! The program `pack`: it packs a pair and its relative into one folder, and refuses unsound input.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use firststep::weights::format::encoder::TensorEncoder;
use firststep::weights::format::encoding::Encoding;
use firststep::weights::format::rules::{EncodingRule, target_encoding};
use firststep::weights::format::safetensors;
use firststep::weights::format::sha256::sha256;
use firststep::weights::format::tensor::StoredTensor;
use firststep::weights::manifest::verify::{FileContent, split};
use firststep::weights::manifest::{AdapterBase, Manifest, ManifestFile, PerceptualManifest};
use serde_json::{Value, json};

const TINY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/parity/values/models/tiny"
);
const UNET_FILE: &str = "diffusion_pytorch_model.safetensors";
const ADAPTER: &str = "unet_lcm/pytorch_lora_weights.safetensors";

/// A folder with models in diffusers' layout: the tiny ones of the parity tests, and a LoRA.
struct Workshop(PathBuf);

impl Workshop {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("a folder of an earlier run");
        }
        let workshop = Workshop(folder);
        for (from, to) in [
            ("unet", "unet"),
            ("unet", "unet_distilled"),
            ("text_encoder", "text_encoder"),
            ("text_encoder_2", "text_encoder_2"),
            ("vae", "vae"),
        ] {
            for file in fs::read_dir(format!("{TINY}/{from}")).expect(from) {
                let file = file.expect(from);
                let name = file.file_name().into_string().expect("a name");
                if name != "values.safetensors" {
                    let bytes = fs::read(file.path()).expect(&name);
                    workshop.write(&format!("models/{to}/{name}"), &bytes);
                }
            }
        }
        for tokenizer in ["tokenizer", "tokenizer_2"] {
            for name in ["tokenizer_config.json", "vocab.json", "merges.txt"] {
                workshop.write(&format!("models/{tokenizer}/{name}"), b"{}");
            }
        }
        for (scheduler, class) in [
            ("scheduler", "DDIMScheduler"),
            ("scheduler_distilled", "EulerDiscreteScheduler"),
            ("scheduler_lcm", "LCMScheduler"),
        ] {
            let config = json!({"_class_name": class}).to_string();
            let path = format!("models/{scheduler}/scheduler_config.json");
            workshop.write(&path, config.as_bytes());
        }
        let config = fs::read(format!("{TINY}/unet_lcm/config.json")).expect("a config");
        let mut config: Value = serde_json::from_slice(&config).expect("a config");
        config["_name_or_path"] = "/home/somebody/unet".into();
        workshop.write("models/unet_lcm/config.json", config.to_string().as_bytes());
        workshop.write_adapter("conv_in");

        let mut pair: Value = serde_json::from_str(include_str!("../tools/train/emoji-pair.json"))
            .expect("a description");
        pair["encodings"] = json!({"unet": [{"tensors": "*.weight", "encoding": "q8"}]});
        pair["name"] = "Pair".into();
        workshop.write("pair.json", pair.to_string().as_bytes());
        pair["name"] = "Relative".into();
        pair["distilled"] = "lcm".into();
        pair.as_object_mut().expect("an object").remove("encodings");
        workshop.write("lcm.json", pair.to_string().as_bytes());
        workshop
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.join(path);
        let folder = path.parent().expect("a folder");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }

    /// Writes a LoRA on a convolution of the UNet, with the embedded guidance's projection.
    fn write_adapter(&self, layer: &str) {
        let tensor = |name: &str, shape: &[usize]| {
            let values = vec![0.25; shape.iter().product()];
            StoredTensor::encode(name, shape, &values, Encoding::F32, 0.0).expect(name)
        };
        let tensors = [
            tensor(&format!("unet.{layer}.lora_A.weight"), &[2, 4, 3, 3]),
            tensor(&format!("unet.{layer}.lora_B.weight"), &[12, 2, 1, 1]),
            tensor("unet.time_embedding.cond_proj.weight", &[12, 32]),
        ];
        let bytes = safetensors::write("lora", &tensors).expect("a file");
        self.write(&format!("models/{ADAPTER}"), &bytes);
    }

    fn pack(&self, pairs: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
        command.args([self.0.join("models"), self.0.join("pack")]);
        for pair in pairs {
            command.arg("--pair").arg(self.0.join(pair));
        }
        command.output().expect("pack runs")
    }

    /// The sentence with which packing fails.
    fn refusal(&self, pairs: &[&str]) -> String {
        let output = self.pack(pairs);
        assert!(!output.status.success(), "it should be refused");
        let sentence = String::from_utf8(output.stderr).expect("text");
        assert!(sentence.trim_end().ends_with('.'), "{sentence}");
        sentence
    }

    /// The tensors of a file of the pack.
    fn tensors(&self, file: &ManifestFile) -> Vec<StoredTensor> {
        let bytes = fs::read(self.0.join("pack").join(&file.path)).expect(&file.path);
        match split(file, bytes).expect(&file.path) {
            FileContent::Tensors(tensors) => tensors,
            FileContent::Blob(_) => panic!("{} has no tensors", file.path),
        }
    }

    fn manifest(&self, name: &str) -> Manifest {
        let text = fs::read_to_string(self.0.join("pack").join(name)).expect(name);
        Manifest::parse(&text).expect(name)
    }
}

#[test]
fn a_relative_shares_the_files_and_brings_an_adapter() {
    let workshop = Workshop::new("relative");
    let output = workshop.pack(&["pair.json", "lcm.json"]);
    assert!(output.status.success(), "{output:?}");
    let [pair, relative] = ["manifest.json", "lcm.json"].map(|name| workshop.manifest(name));

    let members = [("Pair", "manifest.json"), ("Relative", "lcm.json")];
    for manifest in [&pair, &relative] {
        let family: Vec<_> = manifest
            .family
            .iter()
            .map(|member| (member.name.as_str(), member.manifest.as_str()))
            .collect();
        assert_eq!(family, members);
    }
    for ((name, one), (_, other)) in pair.components.iter().zip(relative.components.iter()) {
        if name != "unet_distilled" {
            assert_eq!(one, other, "{name}");
        }
    }
    assert_eq!(pair.components.unet_distilled.adapter_on, None);
    assert_eq!(relative.schedulers.base, pair.schedulers.base);
    assert_eq!(relative.schedulers.distilled["_class_name"], "LCMScheduler");

    let adapter = &relative.components.unet_distilled;
    assert_eq!(adapter.adapter_on, Some(AdapterBase::Unet));
    assert_eq!(adapter.config["time_cond_proj_dim"], 32);
    assert_eq!(
        adapter.config.get("_name_or_path"),
        None,
        "a folder of the packer's"
    );
    let [file] = adapter.files.as_slice() else {
        panic!("one file: {:?}", adapter.files);
    };
    assert_eq!(file.name(), "unet_lcm.safetensors");
    let new: Vec<_> = relative
        .files()
        .into_iter()
        .filter(|file| !pair.files().contains(file))
        .collect();
    assert_eq!(new, [file], "the adapter is all that the relative adds");
    let tensors = workshop.tensors(file);
    assert_eq!(tensors.len(), 3);
    assert!(tensors.iter().all(|it| it.encoding == Encoding::F16));
}

#[test]
fn a_single_pair_has_no_family() {
    let workshop = Workshop::new("single");
    let output = workshop.pack(&["pair.json"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(workshop.manifest("manifest.json").family, []);
}

#[test]
fn an_adapter_of_another_model_is_not_packed() {
    let workshop = Workshop::new("other-model");
    workshop.write_adapter("conv_before");
    let sentence = workshop.refusal(&["pair.json", "lcm.json"]);
    assert!(sentence.contains("unet.conv_before"), "{sentence}");
    assert!(sentence.contains(ADAPTER), "{sentence}");
}

#[test]
fn pairs_that_would_overwrite_each_other_are_refused() {
    let workshop = Workshop::new("overwriting");
    let sentence = workshop.refusal(&["pair.json", "pair.json"]);
    assert!(sentence.contains("manifest.json"), "{sentence}");

    let path = workshop.0.join("lcm.json");
    let text = fs::read_to_string(path).expect("a description");
    let mut relative: Value = serde_json::from_str(&text).expect("a description");
    relative["encodings"] = json!({"unet": [{"tensors": "*", "encoding": "f16"}]});
    workshop.write("lcm.json", relative.to_string().as_bytes());
    let sentence = workshop.refusal(&["pair.json", "lcm.json"]);
    assert!(sentence.contains("encodings for unet"), "{sentence}");
}

#[test]
fn tensors_are_packed_as_they_are_encoded_on_arrival() {
    let workshop = Workshop::new("arrival");
    let output = workshop.pack(&["pair.json"]);
    assert!(output.status.success(), "{output:?}");
    let manifest = workshop.manifest("manifest.json");
    let rules = json!([{"tensors": "*.weight", "encoding": "q8"}]);
    let rules: Vec<EncodingRule> = serde_json::from_value(rules).expect("rules");
    let source = fs::read(workshop.0.join(format!("models/unet/{UNET_FILE}"))).expect("a model");
    let source = safetensors::read(UNET_FILE, &source).expect("a model");
    let packed: Vec<StoredTensor> = manifest
        .components
        .unet
        .files
        .iter()
        .flat_map(|file| workshop.tensors(file))
        .collect();
    assert_eq!(packed.len(), source.len());
    assert!(packed.iter().any(|it| it.encoding == Encoding::Q8));
    for tensor in source {
        let from = tensor.encoding;
        let (to, _) = target_encoding(&rules, &tensor.name, &tensor.shape, from);
        let mut encoder = TensorEncoder::new(&tensor.name, &tensor.shape, from, tensor.order, to)
            .expect(&tensor.name);
        for piece in tensor.bytes.chunks(1000) {
            encoder.push(piece).expect(&tensor.name);
        }
        let arrived = encoder.finish().expect(&tensor.name);
        let stored = packed.iter().find(|it| it.name == tensor.name);
        assert_eq!(stored, Some(&arrived));
    }
}

#[test]
fn a_models_only_file_may_have_any_name() {
    let workshop = Workshop::new("any-name");
    let output = workshop.pack(&["pair.json"]);
    assert!(output.status.success(), "{output:?}");
    let expected = workshop.manifest("manifest.json");

    let folder = workshop.0.join("models/unet");
    let other = folder.join("another_name_fp16.safetensors");
    fs::rename(folder.join(UNET_FILE), &other).expect("a model");
    let output = workshop.pack(&["pair.json"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(workshop.manifest("manifest.json"), expected);

    fs::copy(&other, folder.join("second.safetensors")).expect("a copy");
    let sentence = workshop.refusal(&["pair.json"]);
    assert!(sentence.contains("second.safetensors"), "{sentence}");
    fs::remove_file(folder.join("second.safetensors")).expect("the copy");

    let bytes = fs::read(&other).expect("a model");
    fs::write(&other, &bytes[..bytes.len() - 1]).expect("a model");
    let sentence = workshop.refusal(&["pair.json"]);
    assert!(sentence.contains("cut off"), "{sentence}");
}

/// What `pack layout` prints, with the config on its standard input.
fn layout(config: &Value, options: &[&str]) -> Result<Value, String> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_pack"))
        .args(["layout", "-"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pack runs");
    let mut input = program.stdin.take().expect("a pipe");
    // It doesn't read where it refuses the options: what counts is how it ends.
    write!(input, "{config}").ok();
    drop(input);
    let output = program.wait_with_output().expect("pack ends");
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).expect("JSON"))
    } else {
        Err(String::from_utf8(output.stderr).expect("text"))
    }
}

#[test]
fn a_layout_is_printed_of_a_model_a_lora_on_it_and_its_part_of_a_checkpoint() {
    let config = fs::read_to_string(format!("{TINY}/unet/config.json")).expect("a config");
    let config: Value = serde_json::from_str(&config).expect("a config");
    let file = fs::read(format!("{TINY}/unet/{UNET_FILE}")).expect("a model");
    let tensors = safetensors::read(UNET_FILE, &file).expect("a model");
    let own = layout(&config, &[]).expect("a layout");
    assert_eq!(own.as_object().map(|it| it.len()), Some(tensors.len()));
    for tensor in &tensors {
        assert_eq!(own[&tensor.name], json!(tensor.shape), "{}", tensor.name);
    }

    let to_k = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k";
    let [output, input] = [0, 1].map(|axis| own[format!("{to_k}.weight")][axis].clone());
    let lora = layout(&config, &["--lora", "8"]).expect("a layout");
    let name = format!("lora_unet_{}", to_k.replace('.', "_"));
    assert_eq!(lora[format!("{name}.lora_down.weight")], json!([8, input]));
    assert_eq!(lora[format!("{name}.lora_up.weight")], json!([output, 8]));
    assert_eq!(lora[format!("{name}.alpha")], json!([]));
    assert!(
        lora.as_object()
            .is_some_and(|it| it.keys().all(|name| !name.contains("conv_in")))
    );

    let checkpoint = layout(&config, &["--checkpoint"]).expect("a layout");
    let entry = &checkpoint["model.diffusion_model.input_blocks.0.0.weight"];
    assert_eq!(entry["parts"], json!(["conv_in.weight"]));
    assert_eq!(entry["shape"], own["conv_in.weight"]);

    let sentence = layout(&json!({"_class_name": "FluxTransformer2DModel"}), &[]);
    let sentence = sentence.expect_err("another class");
    assert!(sentence.contains("FluxTransformer2DModel"), "{sentence}");
    let usage = layout(&config, &["--lora", "none"]).expect_err("no rank");
    assert!(usage.contains("pack layout"), "{usage}");
}

#[test]
fn a_model_in_shards_is_packed_as_the_whole_one() {
    let workshop = Workshop::new("shards");
    let output = workshop.pack(&["pair.json"]);
    assert!(output.status.success(), "{output:?}");
    let expected = workshop.manifest("manifest.json");

    let file = workshop.0.join(format!("models/unet/{UNET_FILE}"));
    let tensors = safetensors::read(UNET_FILE, &fs::read(&file).expect("a model"));
    let tensors = tensors.expect("a model");
    fs::remove_file(file).expect("a model");
    let shard = |index: usize| {
        format!("models/unet/diffusion_pytorch_model-0000{index}-of-00002.safetensors")
    };
    for (index, part) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
        let bytes = safetensors::write("shard", part).expect("a shard");
        workshop.write(&shard(index + 1), &bytes);
    }
    let output = workshop.pack(&["pair.json"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(workshop.manifest("manifest.json"), expected);

    fs::copy(
        workshop.0.join(shard(1)),
        workshop.0.join("models/unet/other.safetensors"),
    )
    .expect("a copy");
    fs::remove_file(workshop.0.join(shard(2))).expect("a shard");
    let sentence = workshop.refusal(&["pair.json"]);
    assert!(sentence.contains("missing parts"), "{sentence}");
}

#[test]
fn case_06_scheduler_class_is_looked_at_before_the_weights() {
    let workshop = Workshop::new("case-06");
    let scheduler = |text: &str| {
        let path = "models/scheduler/scheduler_config.json";
        workshop.write(path, text.as_bytes());
    };
    scheduler(r#"{"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_data": 0.5}"#);
    let sentence = workshop.refusal(&["pair.json"]);
    assert!(
        sentence.contains("EDMDPMSolverMultistepScheduler"),
        "{sentence}"
    );
    assert!(!workshop.0.join("pack").exists(), "nothing was packed");

    // As Python writes it.
    scheduler(r#"{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity}"#);
    let output = workshop.pack(&["pair.json"]);
    assert!(output.status.success(), "{output:?}");

    scheduler(r#"{"_class_name": "PNDMScheduler", "skip_prk_steps": true}"#);
    let output = workshop.pack(&["pair.json"]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    let expected = "Pair: The base model names PNDMScheduler, which Firststep doesn't have";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn an_empty_prompt_is_what_the_models_pipeline_makes_of_it() {
    let workshop = Workshop::new("empty-prompt");
    let index =
        r#"{"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": true}"#;
    workshop.write("models/model_index.json", index.as_bytes());
    let sentence = workshop.refusal(&["pair.json"]);
    assert!(
        sentence.contains("is true") && sentence.contains("it is false"),
        "{sentence}"
    );
}
/// A file of a case.
fn case(file: &str) -> Vec<u8> {
    let path = format!("{}/tests/cases/{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read(&path).expect(&path)
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn what_is_transferred_is_counted_with_every_file() {
    let workshop = Workshop::new("totals");
    let said = said(&workshop.pack(&["pair.json"]));
    let folder = workshop.0.join("pack");
    let length = |path: &str| fs::metadata(folder.join(path)).expect(path).len();
    let manifest = workshop.manifest("manifest.json");
    let files: Vec<&str> = manifest
        .files()
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    let bytes: u64 = files.iter().map(|path| length(path)).sum();
    let total = format!(
        "manifest.json: {} files, {} bytes to transfer with the manifest",
        files.len() + 1,
        bytes + length("manifest.json")
    );
    assert!(
        files.len() > 5 && said.contains(&total),
        "{total} in {said}"
    );
}

#[test]
fn case_27_a_tokenizer_in_one_file_is_packed() {
    let workshop = Workshop::new("tokenizer-json");
    for tokenizer in ["tokenizer", "tokenizer_2"] {
        for file in ["vocab.json", "merges.txt"] {
            let path = workshop.0.join(format!("models/{tokenizer}/{file}"));
            fs::remove_file(path).expect(file);
        }
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            let bytes = case(&format!("27-tokenizer-json-only/{file}"));
            workshop.write(&format!("models/{tokenizer}/{file}"), &bytes);
        }
    }
    said(&workshop.pack(&["pair.json"]));
    let tokenizer = workshop.manifest("manifest.json").components.tokenizer;
    let names: Vec<&str> = tokenizer.files.iter().map(ManifestFile::name).collect();
    assert_eq!(names, ["vocab.json", "merges.txt"]);
    // transformers 5 writes that there is no limit, and the text encoder has one.
    assert_eq!(tokenizer.config["model_max_length"], 77);
}

#[test]
fn case_25_a_dora_is_not_packed() {
    for file in ["kohya", "peft"] {
        let workshop = Workshop::new(&format!("dora-{file}"));
        let bytes = case(&format!("25-dora/{file}.safetensors"));
        workshop.write(&format!("models/{ADAPTER}"), &bytes);
        let sentence = workshop.refusal(&["pair.json", "lcm.json"]);
        assert!(sentence.contains("DoRA"), "{sentence}");
    }
}

#[test]
fn case_09_what_is_left_out_of_an_adapter_is_said_and_not_packed() {
    let workshop = Workshop::new("text-encoders");
    let bytes = case("09-lora-with-text-encoders/lora.safetensors");
    workshop.write(&format!("models/{ADAPTER}"), &bytes);
    let said = said(&workshop.pack(&["pair.json", "lcm.json"]));
    assert!(said.contains("text encoders (6 tensors)"), "{said}");
    let adapter = workshop.manifest("lcm.json").components.unet_distilled;
    let tensors: Vec<StoredTensor> = adapter
        .files
        .iter()
        .flat_map(|file| workshop.tensors(file))
        .collect();
    assert_eq!(tensors.len(), 12);
    assert!(
        tensors
            .iter()
            .all(|tensor| tensor.name.starts_with("lora_unet_"))
    );
}

#[test]
fn pefts_own_files_and_a_strength_are_packed() {
    let workshop = Workshop::new("peft");
    let folder = workshop.0.join("models/unet_lcm");
    fs::rename(
        folder.join("pytorch_lora_weights.safetensors"),
        folder.join("adapter_model.safetensors"),
    )
    .expect("the adapter");
    workshop.write(
        "models/unet_lcm/adapter_config.json",
        br#"{"peft_type": "LORA", "r": 2, "lora_alpha": 6}"#,
    );
    let text = fs::read_to_string(workshop.0.join("lcm.json")).expect("a description");
    let mut relative: Value = serde_json::from_str(&text).expect("a description");
    relative["strength"] = json!(0.5);
    workshop.write("lcm.json", relative.to_string().as_bytes());
    said(&workshop.pack(&["pair.json", "lcm.json"]));
    let adapter = workshop.manifest("lcm.json").components.unet_distilled;
    assert_eq!(adapter.strength, Some(0.5));
    let tensors: Vec<StoredTensor> = adapter
        .files
        .iter()
        .flat_map(|file| workshop.tensors(file))
        .collect();
    let alpha = tensors
        .iter()
        .find(|tensor| tensor.name.ends_with(".alpha"));
    assert_eq!(alpha.expect("an alpha").to_f32(), Ok(vec![6.0]));
}

#[test]
fn a_network_that_measures_pictures_is_packed_with_its_manifest() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("perceptual");
    fs::create_dir_all(&folder).expect("a folder");
    let values: Vec<f32> = (0..4096u16)
        .map(|index| f32::from(index) / 4096.0)
        .collect();
    let tensor = StoredTensor::encode("embedding.weight", &[64, 64], &values, Encoding::F32, 0.0);
    let bytes = safetensors::write("weights", &[tensor.expect("a tensor")]).expect("a file");
    fs::write(folder.join("weights.safetensors"), bytes).expect("a file");
    let mut description: Value =
        serde_json::from_str(include_str!("../public/perceptual/emoji/manifest.json"))
            .expect("a manifest");
    let encoder = &mut description["components"]["image_encoder"];
    encoder["files"] = json!([]);
    encoder["encodings"] = json!([{"tensors": "embedding.*", "encoding": "q8"}]);
    fs::write(folder.join("description.json"), description.to_string()).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.arg("perceptual");
    command.args(["weights.safetensors", "description.json", "pack"].map(|it| folder.join(it)));
    let output = command.output().expect("pack runs");
    assert!(output.status.success(), "{output:?}");

    let text = fs::read_to_string(folder.join("pack/manifest.json")).expect("a manifest");
    let manifest = PerceptualManifest::parse(&text).expect("a manifest");
    let [file] = manifest.files()[..] else {
        panic!("one file")
    };
    // What is packed is stored as it is.
    assert!(manifest.rules_of(file).is_empty());
    let bytes = fs::read(folder.join("pack").join(&file.path)).expect("a file");
    assert_eq!(
        (bytes.len() as u64, sha256(&bytes)),
        (file.size, file.sha256.clone())
    );
    let FileContent::Tensors(tensors) = split(file, bytes).expect("tensors") else {
        panic!("{} has no tensors", file.path)
    };
    assert_eq!(tensors[0].encoding, Encoding::Q8);
}
