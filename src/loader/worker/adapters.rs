//! Adapters that the visitor brings: they are stored like weights, known by their content, and belong to no
//! pair.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::added::Found;
use super::catalogue::Pairs;
use super::error::LibraryError;
use super::{Failure, Loader, started};
use crate::adapters::{Facts, TensorFacts};
use crate::browser::opened_file::OpenedFile;
use crate::protocol::loader::{AdapterEntry, AdapterSource};
use crate::weights::adapter_file::adapter_id;
use crate::weights::download::network::disk::DiskFile;
use crate::weights::download::network::source;
use crate::weights::format::kind::FileKind;
use crate::weights::format::safetensors::{Header, TensorEntry};
use crate::weights::format::sha256::hexadecimal;
use crate::weights::format::torch_file::{
    BEGINNING_LENGTH, Reading, Step, TorchTensor, is_torch_file,
};
use crate::weights::manifest::hub::ModelAddress;
use crate::weights::stored::store::{AdapterRecord, FileRecord, Store, TensorOutline};

/// Bytes that are hashed at once.
const SLICE_LENGTH: u64 = 8 << 20;
/// Bytes of tensors that are written at once.
const BATCH_LENGTH: usize = 32 << 20;

impl Loader {
    pub(super) async fn add_adapter(
        &self,
        source: AdapterSource,
    ) -> Result<AdapterEntry, LibraryError> {
        let (file, store) = {
            let mut pairs = self.pairs.lock().await;
            let pairs = started(&mut pairs).await.map_err(of_start)?;
            (pairs.adapter_file(source).await?, pairs.store.clone())
        };
        store_adapter(&store, &file).await
    }

    pub(super) async fn delete_adapter(&self, hash: &str) -> Result<(), LibraryError> {
        let mut pairs = self.pairs.lock().await;
        let pairs = started(&mut pairs).await.map_err(of_start)?;
        Ok(pairs.store.remove_file(&adapter_id(hash)).await?)
    }
}

/// There is no other failure where the store isn't open.
fn of_start(failure: Failure) -> LibraryError {
    match failure {
        Failure::Library(error) => error,
        _ => LibraryError::NothingOpened,
    }
}

impl Pairs {
    /// The file of an adapter, to be read by slices.
    async fn adapter_file(&mut self, source: AdapterSource) -> Result<DiskFile, LibraryError> {
        match source {
            AdapterSource::Disk(OpenedFile {
                path, size, file, ..
            }) => Ok(DiskFile {
                name: path,
                size,
                file,
            }),
            AdapterSource::Bundled(path, name) => {
                let url = self.url(&path)?;
                Ok(source::fetch_blob(&name, &url).await?)
            }
            AdapterSource::Typed(text) => {
                self.read_own().await?;
                let address = ModelAddress::parse_for(&text, self.hub())?;
                let file = match self.find(address).await? {
                    Found::File(file) => *file,
                    Found::Model(model) => match self.only_file(&model).await? {
                        Some(file) => file,
                        None => {
                            return Err(LibraryError::NoAdapter {
                                file: text,
                                kind: "a whole model, or nothing that is read here",
                            });
                        }
                    },
                };
                // Before the first byte of its weights.
                described(file.entry.name(), &file.header)?;
                let url = self.file_address("", &file.entry)?;
                Ok(source::fetch_blob(file.entry.name(), &url).await?)
            }
        }
    }
}

/// The header of an adapter's file, or of the safetensors file that one of torch's is stored as.
struct Opened {
    bytes: Vec<u8>,
    header: Header,
    /// The tensors of a file of torch's by their names.
    torch: BTreeMap<String, TorchTensor>,
}

impl Opened {
    async fn read(file: &DiskFile) -> Result<Self, LibraryError> {
        let beginning = file.slice(0..file.size.min(BEGINNING_LENGTH)).await?;
        if !is_torch_file(&beginning) {
            let bytes = file.header().await?;
            let header = Header::parse(&file.name, &bytes)?;
            header.check_length(&file.name, file.size)?;
            return Ok(Opened {
                bytes,
                header,
                torch: BTreeMap::new(),
            });
        }
        let mut reading = Reading::new(&file.name, file.size);
        let saved = loop {
            let bytes = file.slice(reading.range()).await?;
            match reading.take(&bytes)? {
                Step::Read(next) => reading = next,
                Step::Done(saved) => break saved,
            }
        };
        let parts = saved.to_safetensors(&file.name)?;
        let tensors = parts.tensors.into_iter();
        Ok(Opened {
            header: Header::parse(&file.name, &parts.header)?,
            bytes: parts.header,
            torch: tensors
                .map(|tensor| (tensor.name.clone(), tensor))
                .collect(),
        })
    }

    /// The values of a tensor as a safetensors file has them.
    async fn values(&self, file: &DiskFile, entry: &TensorEntry) -> Result<Vec<u8>, LibraryError> {
        Ok(match self.torch.get(&entry.name) {
            Some(tensor) => tensor.row_major(file.slice(tensor.range.clone()).await?)?,
            None => file.slice(entry.range.clone()).await?,
        })
    }
}

/// What an adapter's header tells, in words; an error where it is none that can be put on SDXL.
fn described(name: &str, header: &Header) -> Result<String, LibraryError> {
    let kind = match FileKind::of(header) {
        FileKind::Adapter => None,
        FileKind::Checkpoint => Some("a whole checkpoint"),
        FileKind::UNet => Some("a whole UNet"),
        FileKind::Other(kind) => Some(kind),
    };
    if let Some(kind) = kind {
        return Err(LibraryError::NoAdapter {
            file: name.to_owned(),
            kind,
        });
    }
    let of_adapter = |error| LibraryError::Adapter {
        file: name.to_owned(),
        error,
    };
    let tensors = header.tensors.iter().map(TensorFacts::from);
    let facts = Facts::of(tensors, &header.metadata).map_err(of_adapter)?;
    facts.check_base().map_err(of_adapter)?;
    let mut words = vec![match facts.ranks {
        Some((least, most)) if least == most => format!("{} of rank {least}", facts.kind),
        Some((least, most)) => format!("{} of ranks {least} to {most}", facts.kind),
        None => facts.kind.to_string(),
    }];
    let layers = facts.layers.iter();
    let layers: Vec<_> = layers
        .map(|(model, count)| format!("{count} of the {model}"))
        .collect();
    words.push(format!("layers: {}", layers.join(", ")));
    words.extend(facts.title.map(|title| format!("“{title}”")));
    if !facts.trigger_words.is_empty() {
        words.push(format!("words: {}", facts.trigger_words.join(", ")));
    }
    Ok(words.join("; "))
}

/// Reads an adapter's file and writes it to the store, its completion record last.
async fn store_adapter(store: &Store, file: &DiskFile) -> Result<AdapterEntry, LibraryError> {
    let opened = Opened::read(file).await?;
    let description = described(&file.name, &opened.header)?;
    let hash = hash_of(file).await?;
    let id = adapter_id(&hash);
    let name = file
        .name
        .rsplit('/')
        .next()
        .unwrap_or(&file.name)
        .to_owned();
    if let Some(known) = store.file(&id).await? {
        let record = known.adapter.unwrap_or_default();
        return Ok(AdapterEntry {
            hash,
            name: record.name,
            description: record.description,
            stored: known.stored,
        });
    }
    let mut stored = 0;
    let mut batch = Vec::new();
    let mut outlines = Vec::new();
    let mut length = 0;
    for entry in &opened.header.tensors {
        let values = opened.values(file, entry).await?;
        let tensor = entry.clone().tensor(values)?;
        length += tensor.bytes.len();
        stored += tensor.bytes.len() as u64;
        outlines.push(TensorOutline::of(&tensor));
        batch.push(tensor);
        if length >= BATCH_LENGTH {
            store.put_tensors(&id, &std::mem::take(&mut batch)).await?;
            length = 0;
        }
    }
    store.put_tensors(&id, &batch).await?;
    store.put_header(&id, &opened.bytes).await?;
    let tensors = opened.header.tensors.into_iter();
    let record = FileRecord {
        tensors: Some(tensors.map(|entry| entry.name).collect()),
        outlines,
        stored,
        progress: None,
        adapter: Some(AdapterRecord {
            name: name.clone(),
            description: description.clone(),
            size: file.size,
            added: js_sys::Date::now(),
        }),
    };
    store.complete(&id, &record).await?;
    Ok(AdapterEntry {
        hash,
        name,
        description,
        stored,
    })
}

/// SHA-256 of a file in lower-case hexadecimal digits.
async fn hash_of(file: &DiskFile) -> Result<String, LibraryError> {
    let mut hasher = Sha256::new();
    let mut start = 0;
    while start < file.size {
        let end = (start + SLICE_LENGTH).min(file.size);
        hasher.update(file.slice(start..end).await?);
        start = end;
    }
    Ok(hexadecimal(&hasher.finalize()))
}
