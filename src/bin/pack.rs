//! `pack`: makes a pack for a static host from a pair of models in diffusers' layout, or from several
//! pairs that share a base model.
//!
//! Usage: `pack <models> <output> --pair <pair.json> [--pair <relative.json> …] [--vocabulary
//! <vocabulary.json>]`
//!
//! `<models>` holds the folders `unet`, `unet_distilled`, `text_encoder`, `text_encoder_2`, `vae`,
//! `tokenizer`, `tokenizer_2`, `scheduler` and `scheduler_distilled`, and may hold `tiny_decoder`.
//! `<pair.json>` describes the pair and says which tensors are quantized how
//! (`firststep::weights::pack::PairDescription`). `<output>` gets the weights and `manifest.json`.
//!
//! A relative has the same base and another distilled model: with `"distilled": "lightning"` in its
//! description, that is in `unet_lightning` and `scheduler_lightning`, and its manifest is
//! `lightning.json`. The distilled folder holds a whole UNet, or a LoRA on `unet` as diffusers
//! saves it (`pytorch_lora_weights.safetensors`) beside the resulting UNet's `config.json`. Files
//! that are the same are written once, and each manifest names all pairs of the call.
//!
//! `<vocabulary.json>` lists what all of them were trained to draw
//! (`firststep::vocabulary::Vocabulary`), for the page's suggestions.

#[cfg(target_family = "wasm")]
fn main() {}

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    match native::run(std::env::args().skip(1)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_family = "wasm"))]
mod native {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};

    use firststep::adapters::{Adapter, AdapterError, write_alphas};
    use firststep::vocabulary::Vocabulary;
    use firststep::weights::manifest::{
        AdapterBase, Component, Components, FamilyMember, MANIFEST_FORMAT, Manifest, Schedulers,
    };
    use firststep::weights::pack::{
        MAXIMUM_SHARD_LENGTH, PackedFile, PairDescription, encode_component, pack_blob,
        pack_tensors,
    };
    use firststep::weights::{EncodingRule, ManifestFile, StoredTensor, safetensors};
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    const USAGE: &str = "Usage: pack <models> <output> --pair <pair.json> [--pair <relative.json> …] \
        [--vocabulary <vocabulary.json>]\n\
        <models> is a folder in diffusers' layout with unet, unet_distilled, text_encoder, \
        text_encoder_2, vae, tokenizer, tokenizer_2, scheduler and scheduler_distilled. A relative \
        with \"distilled\": \"lightning\" takes unet_lightning and scheduler_lightning instead.";

    /// The folder of the base model.
    const BASE: &str = "unet";
    /// diffusers' name for a LoRA file.
    const ADAPTER_FILE: &str = "pytorch_lora_weights.safetensors";

    struct Arguments {
        models: PathBuf,
        output: PathBuf,
        /// At least one.
        pairs: Vec<PathBuf>,
        vocabulary: Option<PathBuf>,
    }

    /// Packs the pairs that the arguments name; an error is a sentence.
    pub fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
        let arguments = parse(arguments)?;
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
            // What the page will check at every visit is checked once here.
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

    /// The pairs as each manifest offers them; a single one is no choice.
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

    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut folders = Vec::new();
        let mut pairs = Vec::new();
        let mut vocabulary = None;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--pair" => pairs.push(PathBuf::from(arguments.next().ok_or(USAGE)?)),
                "--vocabulary" => {
                    vocabulary = Some(PathBuf::from(arguments.next().ok_or(USAGE)?));
                }
                option if option.starts_with('-') => return Err(USAGE.into()),
                _ => folders.push(PathBuf::from(argument)),
            }
        }
        match <[PathBuf; 2]>::try_from(folders) {
            Ok([models, output]) if !pairs.is_empty() => Ok(Arguments {
                models,
                output,
                pairs,
                vocabulary,
            }),
            _ => Err(USAGE.into()),
        }
    }

    struct Packer {
        arguments: Arguments,
        /// Of every pair.
        vocabulary: Option<Vocabulary>,
        /// The first pair's.
        shared_encodings: BTreeMap<String, Vec<EncodingRule>>,
        /// By folder.
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
            let scheduler =
                |name: &str| read_json(&self.folder(name).join("scheduler_config.json"));
            Ok(Manifest {
                format: MANIFEST_FORMAT,
                id: description.id.clone(),
                name: description.name.clone(),
                description: description.description.clone(),
                licence: description.licence.clone(),
                attribution: description.attribution.clone(),
                image_size: description.image_size,
                force_zeros_for_empty_prompt: description.force_zeros_for_empty_prompt,
                components,
                schedulers: Schedulers {
                    base: scheduler("scheduler")?,
                    distilled: scheduler(&description.distilled_scheduler())?,
                },
                defaults: description.defaults.clone(),
                vocabulary: self.vocabulary.clone(),
                family: family.to_vec(),
                expanded_limit: None,
            })
        }

        fn folder(&self, component: &str) -> PathBuf {
            self.arguments.models.join(component)
        }

        /// The model in a folder, packed at the first pair that has it.
        fn model(
            &mut self,
            folder: &str,
            description: &PairDescription,
        ) -> Result<Component, String> {
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
            // diffusers notes where the model was loaded from: a folder of whoever packs it.
            if let Some(config) = config.as_object_mut() {
                config.remove("_name_or_path");
            }
            let adapter_file = path.join(ADAPTER_FILE);
            let (mut tensors, adapter_on) = if adapter_file.exists() {
                (read_adapter(&adapter_file)?, Some(AdapterBase::Unet))
            } else {
                let mut tensors = Vec::new();
                for path in weight_files(&path)? {
                    tensors.extend(read_tensors(&path, &read_bytes(&path)?)?);
                }
                (tensors, None)
            };
            // The pack is the same however the source was split into files.
            tensors.sort_by(|a, b| a.name.cmp(&b.name));
            let (encoded, error) =
                encode_component(&tensors, &rules).map_err(|error| error.to_string())?;
            if adapter_on.is_some() {
                self.check_adapter(&encoded)
                    .map_err(|error| format!("{}: {error}", adapter_file.display()))?;
            }
            let files = pack_tensors(folder, &encoded, MAXIMUM_SHARD_LENGTH)
                .map_err(|error| error.to_string())?;
            println!(
                "{folder}: {} of {} values quantized, relative error {:.5}, {} bytes",
                error.quantized,
                error.values,
                error.relative(),
                files.iter().map(|file| file.entry.size).sum::<u64>()
            );
            let component = Component {
                adapter_on,
                ..self.component(config, files)?
            };
            let packed = PackedModel {
                rules,
                component: component.clone(),
                shapes: encoded.into_iter().map(|it| (it.name, it.shape)).collect(),
            };
            self.models.insert(folder.into(), packed);
            Ok(component)
        }

        /// Puts an adapter on tensors of the base's names and shapes, as the page will on the base.
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
                    Ok(pack_blob(&format!("{component}/{name}"), bytes))
                })
                .collect::<Result<Vec<_>, String>>()?;
            self.component(config, files)
        }

        /// Writes the files; one that is there already, from the other tokenizer, is named again.
        fn component(
            &mut self,
            config: Value,
            files: Vec<PackedFile>,
        ) -> Result<Component, String> {
            let mut entries = Vec::new();
            for file in files {
                let same = |written: &&ManifestFile| written.sha256 == file.entry.sha256;
                if let Some(written) = self.written.iter().find(same) {
                    entries.push(written.clone());
                } else {
                    write(&self.arguments.output.join(&file.entry.path), &file.bytes)?;
                    self.written.push(file.entry.clone());
                    entries.push(file.entry);
                }
            }
            Ok(Component {
                config,
                files: entries,
                adapter_on: None,
            })
        }
    }

    fn read_tensors(path: &Path, bytes: &[u8]) -> Result<Vec<StoredTensor>, String> {
        safetensors::read(&path.display().to_string(), bytes).map_err(|error| error.to_string())
    }

    /// The tensors of a LoRA file, with the alpha that may stand in its header alone.
    fn read_adapter(path: &Path) -> Result<Vec<StoredTensor>, String> {
        let bytes = read_bytes(path)?;
        let name = path.display().to_string();
        let header =
            safetensors::Header::parse(&name, &bytes).map_err(|error| error.to_string())?;
        let mut tensors = read_tensors(path, &bytes)?;
        write_alphas(&mut tensors, &header.metadata).map_err(|error| format!("{name}: {error}"))?;
        Ok(tensors)
    }

    /// The safetensors files of a model's folder: the single file or the shards of an index, in the
    /// plain variant or else in `fp16`.
    fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
        for variant in ["", ".fp16"] {
            for stem in ["diffusion_pytorch_model", "model"] {
                let single = folder.join(format!("{stem}{variant}.safetensors"));
                if single.exists() {
                    return Ok(vec![single]);
                }
                let index = folder.join(format!("{stem}.safetensors.index{variant}.json"));
                if index.exists() {
                    return shards_of(folder, &index);
                }
            }
        }
        Err(format!(
            "{} holds no weights: diffusion_pytorch_model.safetensors or model.safetensors is \
             expected there.",
            folder.display()
        ))
    }

    fn shards_of(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, String> {
        let json = read_json(index)?;
        let names: Option<BTreeSet<&str>> = json["weight_map"]
            .as_object()
            .and_then(|map| map.values().map(Value::as_str).collect());
        match names {
            Some(names) => Ok(names.into_iter().map(|name| folder.join(name)).collect()),
            None => Err(format!(
                "{} has no weight_map from tensors to files.",
                index.display()
            )),
        }
    }

    fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
        fs::read(path).map_err(|error| format!("{} can't be read: {error}.", path.display()))
    }

    /// A JSON file that says something about the pairs.
    fn read_description<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
        serde_json::from_value(read_json(path)?)
            .map_err(|error| format!("{} can't be used: {error}.", path.display()))
    }

    fn read_json(path: &Path) -> Result<Value, String> {
        serde_json::from_slice(&read_bytes(path)?)
            .map_err(|error| format!("{} is not JSON: {error}.", path.display()))
    }

    fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
        let written = match path.parent() {
            Some(folder) => fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)),
            None => fs::write(path, bytes),
        };
        written.map_err(|error| format!("{} can't be written: {error}.", path.display()))
    }
}
