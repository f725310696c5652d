//! Packs pairs: writes the weights of each component, and the manifests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use firststep::adapters::{Adapter, AdapterError};
use firststep::sampler::PairSchedulers;
use firststep::vocabulary::Vocabulary;
use firststep::weights::format::rules::{EncodingRule, target_encoding};
use firststep::weights::format::tensor::StoredTensor;
use firststep::weights::manifest::pack::{
    MAXIMUM_SHARD_LENGTH, PackedFile, PairDescription, QuantizationError, encode_tensor, pack_blob,
    pack_shard, shards,
};
use firststep::weights::manifest::{
    AdapterBase, Component, Components, FamilyMember, MANIFEST_FORMAT, Manifest, ManifestFile,
    Schedulers,
};

use super::files::{read_bytes, read_description, read_json, read_python_json, write};
use super::model_files::{Source, open_file, read_adapter, weight_paths};

/// The folder of the base model.
const BASE: &str = "unet";
/// diffusers' name for a LoRA file.
const ADAPTER_FILE: &str = "pytorch_lora_weights.safetensors";

/// The arguments of `pack` for packing pairs.
pub struct Arguments {
    /// The folder with the models' folders.
    pub models: PathBuf,
    /// The folder that gets the pack.
    pub output: PathBuf,
    /// The descriptions of the pairs, at least one.
    pub pairs: Vec<PathBuf>,
    /// The words that all of the pairs were trained on; none without `--vocabulary`.
    pub vocabulary: Option<PathBuf>,
}

/// Packs the pairs that the arguments name; an error is a sentence.
pub fn run(arguments: Arguments) -> Result<(), String> {
    let descriptions = arguments
        .pairs
        .iter()
        .map(|path| read_description(path))
        .collect::<Result<Vec<PairDescription>, String>>()?;
    let vocabulary = arguments.vocabulary.as_deref().map(read_description);
    let vocabulary: Option<Vocabulary> = vocabulary.transpose()?;
    let family = family(&descriptions)?;
    let mut packer = Packer {
        arguments,
        vocabulary,
        shared_encodings: descriptions[0].encodings.clone(),
        models: BTreeMap::new(),
        written: Vec::new(),
    };
    let mut manifest_lengths = 0;
    for description in &descriptions {
        let manifest = packer.manifest(description, &family)?;
        let text = serde_json::to_string_pretty(&manifest)
            .map_err(|error| format!("The manifest can't be written: {error}."))?
            + "\n";
        // The page makes the same checks at every visit.
        Manifest::parse(&text).map_err(|error| error.to_string())?;
        let name = description.manifest_name();
        write(&packer.arguments.output.join(&name), text.as_bytes())?;
        manifest_lengths += text.len() as u64;
        println!(
            "{name}: {} files, {} bytes to transfer with the manifest",
            manifest.files().len() + 1,
            manifest.download_size() + text.len() as u64
        );
    }
    let files: u64 = packer.written.iter().map(|file| file.size).sum();
    println!("{} bytes in all", files + manifest_lengths);
    Ok(())
}

/// The pairs as each manifest offers them; empty for a single pair, which is no choice.
fn family(descriptions: &[PairDescription]) -> Result<Vec<FamilyMember>, String> {
    let mut family: Vec<FamilyMember> = Vec::new();
    for description in descriptions {
        let manifest = description.manifest_name();
        if let Some(other) = family.iter().find(|other| other.manifest == manifest) {
            return Err(format!(
                "The pairs {} and {} would both be {manifest}: give one of them another \
                 \"distilled\".",
                other.name, description.name
            ));
        }
        family.push(FamilyMember {
            name: description.name.clone(),
            manifest,
        });
    }
    Ok(if family.len() > 1 { family } else { Vec::new() })
}

struct Packer {
    arguments: Arguments,
    /// The words for every pair's manifest.
    vocabulary: Option<Vocabulary>,
    /// The encodings of the first pair, which hold for shared models.
    shared_encodings: BTreeMap<String, Vec<EncodingRule>>,
    /// The packed models by their folders.
    models: BTreeMap<String, PackedModel>,
    written: Vec<ManifestFile>,
}

/// A model that has been packed, for the pairs that share it.
struct PackedModel {
    rules: Vec<EncodingRule>,
    component: Component,
    /// Names and shapes of the tensors.
    shapes: Vec<(String, Vec<usize>)>,
}

impl Packer {
    fn manifest(
        &mut self,
        description: &PairDescription,
        family: &[FamilyMember],
    ) -> Result<Manifest, String> {
        // Before any weights: what can't be drawn is not worth packing.
        let schedulers = self.schedulers(description)?;
        self.check_empty_prompt(description)?;
        let tiny_decoder = if self.folder("tiny_decoder").exists() {
            Some(self.model("tiny_decoder", description)?)
        } else {
            None
        };
        let components = Components {
            unet: self.model(BASE, description)?,
            unet_distilled: self.model(&description.distilled_unet(), description)?,
            text_encoder: self.model("text_encoder", description)?,
            text_encoder_2: self.model("text_encoder_2", description)?,
            vae: self.model("vae", description)?,
            tiny_decoder,
            tokenizer: self.tokenizer("tokenizer")?,
            tokenizer_2: self.tokenizer("tokenizer_2")?,
        };
        Ok(Manifest {
            format: MANIFEST_FORMAT,
            id: description.id.clone(),
            name: description.name.clone(),
            description: description.description.clone(),
            licence: description.licence.clone(),
            licences_to_accept: description.licences_to_accept.clone(),
            attribution: description.attribution.clone(),
            image_size: description.image_size,
            force_zeros_for_empty_prompt: description.force_zeros_for_empty_prompt,
            components,
            schedulers,
            defaults: description.defaults.clone(),
            vocabulary: self.vocabulary.clone(),
            family: family.to_vec(),
            expanded_limit: None,
        })
    }

    /// The schedulers' configs, and what there is to say about them.
    fn schedulers(&self, description: &PairDescription) -> Result<Schedulers, String> {
        let read = |name: &str| read_python_json(&self.folder(name).join("scheduler_config.json"));
        let schedulers = Schedulers {
            base: read("scheduler")?,
            distilled: read(&description.distilled_scheduler())?,
        };
        let distilled = self.folder(&description.distilled_unet());
        let defaults = &description.defaults;
        let checked = PairSchedulers::from_json(
            &schedulers.base,
            &schedulers.distilled,
            distilled.join(ADAPTER_FILE).exists(),
        )
        .and_then(|checked| {
            checked.check(
                defaults.base_steps,
                defaults.distilled_steps,
                &defaults.distilled_timesteps,
            )?;
            Ok(checked)
        })
        .map_err(|error| format!("{}: {error}", description.name))?;
        for notice in checked.notices() {
            println!("{}: {notice}", description.name);
        }
        Ok(schedulers)
    }

    /// Checks that the description says of the empty prompt what the base's pipeline does, where that is
    /// there.
    fn check_empty_prompt(&self, description: &PairDescription) -> Result<(), String> {
        let path = self.arguments.models.join("model_index.json");
        if !path.exists() {
            return Ok(());
        }
        let stated = read_python_json(&path)?["force_zeros_for_empty_prompt"].as_bool();
        match stated {
            Some(stated) if stated != description.force_zeros_for_empty_prompt => Err(format!(
                "{} says that force_zeros_for_empty_prompt is {stated}, and the description of {} that it \
                 is {}: the pictures depend on it. Let both say the same.",
                path.display(),
                description.name,
                description.force_zeros_for_empty_prompt
            )),
            _ => Ok(()),
        }
    }

    fn folder(&self, component: &str) -> PathBuf {
        self.arguments.models.join(component)
    }

    /// The model in a folder, packed at the first pair that has it.
    fn model(&mut self, folder: &str, description: &PairDescription) -> Result<Component, String> {
        let rules = description
            .encodings
            .get(folder)
            .or_else(|| self.shared_encodings.get(folder))
            .cloned()
            .unwrap_or_default();
        if let Some(packed) = self.models.get(folder) {
            if packed.rules == rules {
                return Ok(packed.component.clone());
            }
            return Err(format!(
                "The pair {} has other encodings for {folder} than a pair before it, with which \
                 it shares the files: leave them out of its description.",
                description.name
            ));
        }
        let path = self.folder(folder);
        let mut config = read_json(&path.join("config.json"))?;
        // diffusers writes into a config where the model was loaded from: a folder of whoever packs it.
        if let Some(config) = config.as_object_mut() {
            config.remove("_name_or_path");
        }
        let adapter_file = path.join(ADAPTER_FILE);
        let (tensors, adapter_on) = if adapter_file.exists() {
            let tensors = read_adapter(&adapter_file)?;
            self.check_adapter(&tensors)
                .map_err(|error| format!("{}: {error}", adapter_file.display()))?;
            let tensors = tensors.into_iter().map(Source::Tensor).collect();
            (tensors, Some(AdapterBase::Unet))
        } else {
            let mut tensors = Vec::new();
            for path in weight_paths(&path)? {
                tensors.extend(open_file(&path)?.1);
            }
            (tensors, None)
        };
        let shapes = tensors
            .iter()
            .map(|tensor| (tensor.name().to_owned(), tensor.shape().to_vec()))
            .collect();
        let component = Component {
            config,
            files: self.weights(folder, tensors, &rules)?,
            adapter_on,
            encodings: Vec::new(),
            prefix: String::new(),
        };
        let packed = PackedModel {
            rules,
            component: component.clone(),
            shapes,
        };
        self.models.insert(folder.into(), packed);
        Ok(component)
    }

    /// Encodes a model's tensors one after the other and writes them into files. Never more of
    /// them are in memory than one file holds.
    fn weights(
        &mut self,
        folder: &str,
        mut tensors: Vec<Source>,
        rules: &[EncodingRule],
    ) -> Result<Vec<ManifestFile>, String> {
        // Sorted, so that the pack doesn't depend on how the source was split into files.
        tensors.sort_by(|a, b| a.name().cmp(b.name()));
        let lengths: Vec<usize> = tensors
            .iter()
            .map(|tensor| {
                let from = tensor.encoding();
                let (to, _) = target_encoding(rules, tensor.name(), tensor.shape(), from);
                // A tensor whose length overflows is refused when it is encoded.
                to.byte_length(tensor.shape()).unwrap_or(0)
            })
            .collect();
        let shards = shards(&lengths, MAXIMUM_SHARD_LENGTH);
        let mut error = QuantizationError::default();
        let mut files = Vec::new();
        for (index, shard) in shards.iter().enumerate() {
            let encoded = tensors[shard.clone()]
                .iter()
                .map(|tensor| {
                    encode_tensor(&tensor.read()?, rules, &mut error)
                        .map_err(|error| error.to_string())
                })
                .collect::<Result<Vec<StoredTensor>, String>>()?;
            let file = pack_shard(folder, index, shards.len(), &encoded)
                .map_err(|error| error.to_string())?;
            files.push(self.store(file)?);
        }
        println!(
            "{folder}: {} of {} values quantized, relative error {:.5}, {} bytes",
            error.quantized,
            error.values,
            error.relative(),
            files.iter().map(|file| file.size).sum::<u64>()
        );
        Ok(files)
    }

    /// Checks that the adapter fits tensors of the base's names and shapes, as it has to on the page.
    fn check_adapter(&self, tensors: &[StoredTensor]) -> Result<(), AdapterError> {
        let base = self.models.get(BASE);
        let shapes = || base.iter().flat_map(|base| &base.shapes);
        let names = shapes().map(|(name, _)| name.as_str());
        let mut adapter = Adapter::new(tensors.to_vec(), names)?;
        for (name, shape) in shapes() {
            adapter.merge(name, shape, vec![0.0; shape.iter().product()])?;
        }
        adapter.finish().map(drop)
    }

    fn tokenizer(&mut self, component: &str) -> Result<Component, String> {
        let folder = self.folder(component);
        let config = read_json(&folder.join("tokenizer_config.json"))?;
        let files = ["vocab.json", "merges.txt"]
            .into_iter()
            .map(|name| {
                let bytes = read_bytes(&folder.join(name))?;
                self.store(pack_blob(&format!("{component}/{name}"), bytes))
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(Component {
            config,
            files,
            adapter_on: None,
            encodings: Vec::new(),
            prefix: String::new(),
        })
    }

    /// Writes a file, unless it is there already from the other tokenizer; returns its entry.
    fn store(&mut self, file: PackedFile) -> Result<ManifestFile, String> {
        let same = |written: &&ManifestFile| written.sha256 == file.entry.sha256;
        if let Some(written) = self.written.iter().find(same) {
            return Ok(written.clone());
        }
        write(&self.arguments.output.join(&file.entry.path), &file.bytes)?;
        self.written.push(file.entry.clone());
        Ok(file.entry)
    }
}
