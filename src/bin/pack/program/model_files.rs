//! Reads the tensors of a model's folder one by one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use firststep::adapters::{write_alphas, write_configured_alphas};
use firststep::weights::format::encoding::Encoding;
use firststep::weights::format::safetensors::{ENDING, Header, MAXIMUM_HEADER_LENGTH, TensorEntry};
use firststep::weights::format::tensor::StoredTensor;
use firststep::weights::manifest::weight_files::{OWN_PRECISION_FIRST, weight_files};

use super::files::{read_json, unreadable};

/// A tensor of a model.
pub enum Source {
    /// A tensor in a safetensors file.
    File { path: PathBuf, entry: TensorEntry },
    /// A tensor in memory.
    Tensor(StoredTensor),
}

impl Source {
    /// The tensor's name in the model.
    pub fn name(&self) -> &str {
        match self {
            Source::File { entry, .. } => &entry.name,
            Source::Tensor(tensor) => &tensor.name,
        }
    }

    /// The tensor's shape, as its file has it.
    pub fn shape(&self) -> &[usize] {
        match self {
            Source::File { entry, .. } => &entry.shape,
            Source::Tensor(tensor) => &tensor.shape,
        }
    }

    /// The encoding of the tensor's values.
    pub fn encoding(&self) -> Encoding {
        match self {
            Source::File { entry, .. } => entry.encoding,
            Source::Tensor(tensor) => tensor.encoding,
        }
    }

    /// Reads the tensor's values.
    pub fn read(&self) -> Result<StoredTensor, String> {
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
        entry
            .clone()
            .tensor(bytes)
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// The metadata and the tensors of a safetensors file; only the header is read.
pub fn open_file(path: &Path) -> Result<(BTreeMap<String, String>, Vec<Source>), String> {
    let name = path.display().to_string();
    let read = || {
        let mut file = File::open(path)?;
        let mut bytes = Vec::new();
        file.by_ref().take(8).read_to_end(&mut bytes)?;
        // A header over the limit isn't read: `Header::parse` refuses its length.
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

/// diffusers' and PEFT's names for a LoRA file.
const ADAPTER_FILES: [&str; 2] = [
    "pytorch_lora_weights.safetensors",
    "adapter_model.safetensors",
];
/// PEFT's name for the configuration beside its file.
const ADAPTER_CONFIG: &str = "adapter_config.json";

/// The LoRA file in a folder, where it holds one.
pub fn adapter_file(folder: &Path) -> Option<PathBuf> {
    let mut paths = ADAPTER_FILES.iter().map(|name| folder.join(name));
    paths.find(|path| path.exists())
}

/// The tensors of a LoRA file, with the alpha that only its header or the configuration beside it may have.
pub fn read_adapter(path: &Path) -> Result<Vec<StoredTensor>, String> {
    let (metadata, tensors) = open_file(path)?;
    let mut tensors = tensors
        .iter()
        .map(Source::read)
        .collect::<Result<Vec<_>, String>>()?;
    write_alphas(&mut tensors, &metadata)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let config = path.with_file_name(ADAPTER_CONFIG);
    if config.exists() {
        write_configured_alphas(&mut tensors, &read_json(&config)?)
            .map_err(|error| format!("{}: {error}", config.display()))?;
    }
    Ok(tensors)
}

/// The safetensors files of a model's folder: diffusers' single file or its shards, in the model's own
/// precision or else in `fp16`, or else the folder's only safetensors file.
pub fn weight_paths(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(ENDING))
        .collect();
    names.sort();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut found = weight_files(&names, OWN_PRECISION_FIRST);
    if found.is_empty() {
        found = match names.as_slice() {
            [name] => vec![name],
            [] => {
                return Err(format!(
                    "{} holds no weights: diffusion_pytorch_model.safetensors, model.safetensors or \
                     a single file of another name is expected there.",
                    folder.display()
                ));
            }
            [first, second, ..] => {
                return Err(format!(
                    "{} holds several safetensors files, such as {first} and {second}, which are not \
                     all the parts of one model as diffusers names them: leave one there, or get the \
                     missing parts.",
                    folder.display()
                ));
            }
        };
    }
    Ok(found.into_iter().map(|name| folder.join(name)).collect())
}
