//! Packs pairs: writes the weights of each component, and the manifests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use firststep::adapters::{Adapter, AdapterError, LeftOut};
use firststep::sampler::PairSchedulers;
use firststep::vocabulary::Vocabulary;
use firststep::weights::format::rules::{EncodingRule, target_encoding};
use firststep::weights::format::tensor::StoredTensor;
use firststep::weights::format::tokenizer_json::{
    TOKENIZER_FILE, VocabularyAndMerges, vocabulary_and_merges,
};
use firststep::weights::manifest::pack::{
    MAXIMUM_SHARD_LENGTH, PackedFile, PairDescription, QuantizationError, encode_tensor, pack_blob,
    pack_shard, shards,
};
use firststep::weights::manifest::{
    AdapterBase, Component, Components, FamilyMember, MANIFEST_FORMAT, Manifest, ManifestFile,
    Schedulers,
};
use serde_json::Value;

use super::files::{read_bytes, read_description, read_json, read_python_json, write};
use super::model_files::{Source, adapter_file, open_file, read_adapter, weight_paths};

/// The folder of the base model.
const BASE: &str = "unet";
/// Of each tokenizer: its folder, and that of the text encoder behind it.
const TOKENIZERS: [(&str, &str); 2] = [
    ("tokenizer", "text_encoder"),
    ("tokenizer_2", "text_encoder_2"),
];

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
        // The page makes the same checks at every visit. It also tells the files apart, which are then counted.
        let manifest = Manifest::parse(&text).map_err(|error| error.to_string())?;
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
        let [(tokenizer, encoder), (tokenizer_2, encoder_2)] = TOKENIZERS;
        let components = Components {
            unet: self.model(BASE, description)?,
            unet_distilled: Component {
                strength: description.strength,
                ..self.model(&description.distilled_unet(), description)?
            },
            text_encoder: self.model("text_encoder", description)?,
            text_encoder_2: self.model("text_encoder_2", description)?,
            vae: self.model("vae", description)?,
            tiny_decoder,
            tokenizer: self.tokenizer(tokenizer, encoder)?,
            tokenizer_2: self.tokenizer(tokenizer_2, encoder_2)?,
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
            image_sides: description.image_sides,
            force_zeros_for_empty_prompt: description.force_zeros_for_empty_prompt,
            components,
            schedulers,
            defaults: description.defaults.clone(),
            vocabulary: self.vocabulary.clone(),
            family: family.to_vec(),
            adapters: description.adapters.clone(),
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
            adapter_file(&distilled).is_some(),
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
        let (tensors, adapter_on) = if let Some(file) = adapter_file(&path) {
            let tensors = self
                .checked_adapter(read_adapter(&file)?, &config)
                .map_err(|error| format!("{}: {error}", file.display()))?;
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
            adapter_config: None,
            strength: None,
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

    /// Checks that the adapter fits tensors of the base's names and shapes, as it has to on the page. What
    /// the page would leave out is not packed, and said.
    fn checked_adapter(
        &self,
        mut tensors: Vec<StoredTensor>,
        config: &Value,
    ) -> Result<Vec<StoredTensor>, String> {
        let base = self.models.get(BASE);
        let shapes = || base.iter().flat_map(|base| &base.shapes);
        let names = shapes().map(|(name, _)| name.as_str());
        let fit = || {
            let mut adapter = Adapter::new(tensors.clone(), names)?;
            for (name, shape) in shapes() {
                adapter.merge(name, shape, vec![0.0; shape.iter().product()])?;
            }
            let left_out = adapter.left_out();
            Ok((left_out, adapter.finish()?))
        };
        let (left_out, added) = fit().map_err(|error: AdapterError| error.to_string())?;
        if let Some(tensor) = added.first()
            && config["time_cond_proj_dim"].is_null()
        {
            return Err(format!(
                "The adapter adds {} to the UNet, for which the config beside it has no \
                 time_cond_proj_dim: put the config of the distilled model there.",
                tensor.name
            ));
        }
        if let Some(sentence) = left_out.sentence() {
            println!("{sentence}");
        }
        tensors
            .retain(|tensor| LeftOut::of([tensor.name.as_str()].into_iter()) == LeftOut::default());
        Ok(tensors)
    }

    fn tokenizer(&mut self, component: &str, encoder: &str) -> Result<Component, String> {
        let folder = self.folder(component);
        let mut config = read_json(&folder.join("tokenizer_config.json"))?;
        // transformers 5 writes a number that stands for no limit.
        let positions = read_json(&self.folder(encoder).join("config.json"))?;
        let positions = &positions["max_position_embeddings"];
        if let (Some(length), Some(limit)) =
            (config["model_max_length"].as_f64(), positions.as_f64())
            && length > limit
        {
            config["model_max_length"] = positions.clone();
        }
        let combined = folder.join(TOKENIZER_FILE);
        let texts = if combined.exists() && !folder.join("vocab.json").exists() {
            let text = String::from_utf8_lossy(&read_bytes(&combined)?).into_owned();
            let VocabularyAndMerges { vocabulary, merges } = vocabulary_and_merges(&text)
                .map_err(|reason| format!("{} can't be used: {reason}.", combined.display()))?;
            [vocabulary.into_bytes(), merges.into_bytes()]
        } else {
            [
                read_bytes(&folder.join("vocab.json"))?,
                read_bytes(&folder.join("merges.txt"))?,
            ]
        };
        let files = ["vocab.json", "merges.txt"]
            .into_iter()
            .zip(texts)
            .map(|(name, bytes)| self.store(pack_blob(&format!("{component}/{name}"), bytes)))
            .collect::<Result<Vec<_>, String>>()?;
        Ok(Component {
            config,
            files,
            adapter_on: None,
            adapter_config: None,
            strength: None,
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
