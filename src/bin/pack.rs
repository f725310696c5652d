//! `pack`: makes a pack for a static host from a pair of models in diffusers' layout.
//!
//! Usage: `pack <models> <output> --pair <pair.json>`
//!
//! `<models>` holds the folders `unet`, `unet_distilled`, `text_encoder`, `text_encoder_2`, `vae`,
//! `tokenizer`, `tokenizer_2`, `scheduler` and `scheduler_distilled`, and may hold `tiny_decoder`.
//! `<pair.json>` describes the pair and says which tensors are quantized how
//! (`firststep::weights::pack::PairDescription`). `<output>` gets the weights and `manifest.json`.

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
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use firststep::weights::manifest::{
        Component, Components, MANIFEST_FORMAT, Manifest, Schedulers,
    };
    use firststep::weights::pack::{
        MAXIMUM_SHARD_LENGTH, PackedFile, PairDescription, encode_component, pack_blob,
        pack_tensors,
    };
    use firststep::weights::{ManifestFile, StoredTensor, safetensors};
    use serde_json::Value;

    const USAGE: &str = "Usage: pack <models> <output> --pair <pair.json>\n\
        <models> is a folder in diffusers' layout with unet, unet_distilled, text_encoder, \
        text_encoder_2, vae, tokenizer, tokenizer_2, scheduler and scheduler_distilled.";

    struct Arguments {
        models: PathBuf,
        output: PathBuf,
        pair: PathBuf,
    }

    /// Packs the pair that the arguments name; an error is a sentence.
    pub fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
        let arguments = parse(arguments)?;
        let description: PairDescription = serde_json::from_value(read_json(&arguments.pair)?)
            .map_err(|error| format!("{} can't be used: {error}.", arguments.pair.display()))?;
        let mut packer = Packer {
            arguments,
            description,
            written: Vec::new(),
        };
        let manifest = packer.manifest()?;
        let text = serde_json::to_string_pretty(&manifest)
            .map_err(|error| format!("The manifest can't be written: {error}."))?
            + "\n";
        // What the page will check at every visit is checked once here.
        Manifest::parse(&text).map_err(|error| error.to_string())?;
        let path = packer.arguments.output.join("manifest.json");
        write(&path, text.as_bytes())?;
        println!(
            "{} files, {} bytes to transfer with the manifest",
            manifest.files().len() + 1,
            manifest.download_size() + text.len() as u64
        );
        Ok(())
    }

    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut folders = Vec::new();
        let mut pair = None;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--pair" => pair = arguments.next(),
                option if option.starts_with('-') => return Err(USAGE.into()),
                _ => folders.push(PathBuf::from(argument)),
            }
        }
        match (<[PathBuf; 2]>::try_from(folders), pair) {
            (Ok([models, output]), Some(pair)) => Ok(Arguments {
                models,
                output,
                pair: pair.into(),
            }),
            _ => Err(USAGE.into()),
        }
    }

    struct Packer {
        arguments: Arguments,
        description: PairDescription,
        written: Vec<ManifestFile>,
    }

    impl Packer {
        fn manifest(&mut self) -> Result<Manifest, String> {
            let tiny_decoder = if self.folder("tiny_decoder").exists() {
                Some(self.model("tiny_decoder")?)
            } else {
                None
            };
            let components = Components {
                unet: self.model("unet")?,
                unet_distilled: self.model("unet_distilled")?,
                text_encoder: self.model("text_encoder")?,
                text_encoder_2: self.model("text_encoder_2")?,
                vae: self.model("vae")?,
                tiny_decoder,
                tokenizer: self.tokenizer("tokenizer")?,
                tokenizer_2: self.tokenizer("tokenizer_2")?,
            };
            let scheduler =
                |name: &str| read_json(&self.folder(name).join("scheduler_config.json"));
            let description = &self.description;
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
                    distilled: scheduler("scheduler_distilled")?,
                },
                defaults: description.defaults.clone(),
            })
        }

        fn folder(&self, component: &str) -> PathBuf {
            self.arguments.models.join(component)
        }

        fn model(&mut self, component: &str) -> Result<Component, String> {
            let folder = self.folder(component);
            let config = read_json(&folder.join("config.json"))?;
            let mut tensors: Vec<StoredTensor> = Vec::new();
            for path in weight_files(&folder)? {
                let name = path.display().to_string();
                let read = safetensors::read(&name, &read_bytes(&path)?);
                tensors.extend(read.map_err(|error| error.to_string())?);
            }
            // The pack is the same however the source was split into files.
            tensors.sort_by(|a, b| a.name.cmp(&b.name));
            let rules = self
                .description
                .encodings
                .get(component)
                .map_or(&[][..], Vec::as_slice);
            let (encoded, error) =
                encode_component(&tensors, rules).map_err(|error| error.to_string())?;
            let files = pack_tensors(component, &encoded, MAXIMUM_SHARD_LENGTH)
                .map_err(|error| error.to_string())?;
            println!(
                "{component}: {} of {} values quantized, relative error {:.5}, {} bytes",
                error.quantized,
                error.values,
                error.relative(),
                files.iter().map(|file| file.entry.size).sum::<u64>()
            );
            self.component(config, files)
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
            })
        }
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
