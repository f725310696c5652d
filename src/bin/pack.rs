//! `pack`: makes a pack for a static host from a pair of models in diffusers' layout, or from several
//! pairs that share a base model.
//!
//! Usage: `pack <models> <output> --pair <pair.json> [--pair <relative.json> …] [--vocabulary
//! <vocabulary.json>]`
//!
//! `<models>` holds the folders `unet`, `unet_distilled`, `text_encoder`, `text_encoder_2`, `vae`,
//! `tokenizer`, `tokenizer_2`, `scheduler` and `scheduler_distilled`, and may hold `tiny_decoder`.
//! `<pair.json>` describes the pair and says which tensors are quantized how
//! (`firststep::weights::manifest::pack::PairDescription`). `<output>` gets the weights and `manifest.json`.
//!
//! A relative has the same base and another distilled model: with `"distilled": "lightning"` in its
//! description, that is in `unet_lightning` and `scheduler_lightning`, and its manifest is
//! `lightning.json`. The distilled folder holds a whole UNet, or a LoRA on `unet` as diffusers
//! saves it (`pytorch_lora_weights.safetensors`) beside the resulting UNet's `config.json`. Files
//! that are the same are written once, and each manifest names all pairs of the call.
//!
//! A model's weights are diffusers' files, also in the variant `fp16`, or the only safetensors file of
//! another name in its folder. They are read tensor by tensor, so that a pair of any size can be
//! packed in little memory.
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
    use std::fs::{self, File};
    use std::io::{self, Read, Seek, SeekFrom};
    use std::path::{Path, PathBuf};

    use firststep::adapters::{Adapter, AdapterError, write_alphas};
    use firststep::vocabulary::Vocabulary;
    use firststep::weights::format::encoding::Encoding;
    use firststep::weights::format::rules::{EncodingRule, target_encoding};
    use firststep::weights::format::safetensors::{Header, MAXIMUM_HEADER_LENGTH, TensorEntry};
    use firststep::weights::format::tensor::StoredTensor;
    use firststep::weights::manifest::pack::{
        MAXIMUM_SHARD_LENGTH, PackedFile, PairDescription, QuantizationError, encode_tensor,
        pack_blob, pack_shard, shards,
    };
    use firststep::weights::manifest::{
        AdapterBase, Component, Components, FamilyMember, MANIFEST_FORMAT, Manifest, ManifestFile,
        Schedulers,
    };
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
                licences_to_accept: description.licences_to_accept.clone(),
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
            let (tensors, adapter_on) = if adapter_file.exists() {
                let tensors = read_adapter(&adapter_file)?;
                self.check_adapter(&tensors)
                    .map_err(|error| format!("{}: {error}", adapter_file.display()))?;
                let tensors = tensors.into_iter().map(Source::Tensor).collect();
                (tensors, Some(AdapterBase::Unet))
            } else {
                let mut tensors = Vec::new();
                for path in weight_files(&path)? {
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
            // The pack is the same however the source was split into files.
            tensors.sort_by(|a, b| a.name().cmp(b.name()));
            let lengths: Vec<usize> = tensors
                .iter()
                .map(|tensor| {
                    let from = tensor.encoding();
                    let (to, _) = target_encoding(rules, tensor.name(), tensor.shape(), from);
                    // One whose length can't be told is refused when it is encoded.
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

        /// Writes a file; one that is there already, from the other tokenizer, is named again.
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

    /// A tensor of a model.
    enum Source {
        /// It lies in a safetensors file.
        File { path: PathBuf, entry: TensorEntry },
        /// It is in memory.
        Tensor(StoredTensor),
    }

    impl Source {
        fn name(&self) -> &str {
            match self {
                Source::File { entry, .. } => &entry.name,
                Source::Tensor(tensor) => &tensor.name,
            }
        }

        fn shape(&self) -> &[usize] {
            match self {
                Source::File { entry, .. } => &entry.shape,
                Source::Tensor(tensor) => &tensor.shape,
            }
        }

        fn encoding(&self) -> Encoding {
            match self {
                Source::File { entry, .. } => entry.encoding,
                Source::Tensor(tensor) => tensor.encoding,
            }
        }

        fn read(&self) -> Result<StoredTensor, String> {
            let (path, entry) = match self {
                Source::File { path, entry } => (path, entry),
                Source::Tensor(tensor) => return Ok(tensor.clone()),
            };
            let mut bytes = Vec::new();
            File::open(path)
                .and_then(|mut file| {
                    file.seek(SeekFrom::Start(entry.range.start))?;
                    file.take(entry.range.end - entry.range.start)
                        .read_to_end(&mut bytes)
                })
                .map_err(|error| unreadable(path, &error))?;
            StoredTensor::new(
                entry.name.clone(),
                entry.encoding,
                entry.shape.clone(),
                bytes,
            )
            .map_err(|error| format!("{}: {error}", path.display()))
        }
    }

    /// The metadata and the tensors of a safetensors file, of which the header alone is read.
    fn open_file(path: &Path) -> Result<(BTreeMap<String, String>, Vec<Source>), String> {
        let name = path.display().to_string();
        let read = || {
            let mut file = File::open(path)?;
            let mut bytes = Vec::new();
            file.by_ref().take(8).read_to_end(&mut bytes)?;
            // A header over the limit is refused by what was read before it.
            if let Ok(length) = <[u8; 8]>::try_from(bytes.as_slice())
                && u64::from_le_bytes(length) <= MAXIMUM_HEADER_LENGTH
            {
                file.by_ref()
                    .take(u64::from_le_bytes(length))
                    .read_to_end(&mut bytes)?;
            }
            Ok((bytes, file.metadata()?.len()))
        };
        let (bytes, length) = read().map_err(|error: io::Error| unreadable(path, &error))?;
        let header = Header::parse(&name, &bytes)
            .and_then(|header| header.check_length(&name, length).map(|()| header))
            .map_err(|error| error.to_string())?;
        let tensors = header
            .tensors
            .into_iter()
            .map(|entry| Source::File {
                path: path.into(),
                entry,
            })
            .collect();
        Ok((header.metadata, tensors))
    }

    /// The tensors of a LoRA file, with the alpha that may stand in its header alone.
    fn read_adapter(path: &Path) -> Result<Vec<StoredTensor>, String> {
        let (metadata, tensors) = open_file(path)?;
        let mut tensors = tensors
            .iter()
            .map(Source::read)
            .collect::<Result<Vec<_>, String>>()?;
        write_alphas(&mut tensors, &metadata)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(tensors)
    }

    /// The safetensors files of a model's folder: diffusers' single file or the shards of an index, in
    /// the plain variant or else in `fp16`, or else the only safetensors file that is there.
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
        let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|it| it == "safetensors"))
            .collect();
        match files.len() {
            1 => Ok(files),
            0 => Err(format!(
                "{} holds no weights: diffusion_pytorch_model.safetensors, model.safetensors or a \
                 single file of another name is expected there.",
                folder.display()
            )),
            _ => {
                files.sort();
                Err(format!(
                    "{} holds several safetensors files, such as {} and {}, and no index that says \
                     which belong together: leave one there.",
                    folder.display(),
                    files[0].display(),
                    files[1].display()
                ))
            }
        }
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
        fs::read(path).map_err(|error| unreadable(path, &error))
    }

    fn unreadable(path: &Path, error: &io::Error) -> String {
        format!("{} can't be read: {error}.", path.display())
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
