//! Adapters that the visitor brings: they are stored like weights, known by their content, and belong to no
//! pair.

use sha2::{Digest, Sha256};

use super::added::Found;
use super::catalogue::Pairs;
use super::error::LibraryError;
use super::{Failure, Loader, started};
use crate::browser::opened_file::OpenedFile;
use crate::protocol::loader::{AdapterEntry, AdapterSource};
use crate::weights::adapter_file::adapter_id;
use crate::weights::download::network::disk::DiskFile;
use crate::weights::download::network::source;
use crate::weights::format::kind::FileKind;
use crate::weights::format::safetensors::Header;
use crate::weights::format::sha256::hexadecimal;
use crate::weights::manifest::hub::ModelAddress;
use crate::weights::stored::store::{AdapterRecord, FileRecord, Store};

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
            let pairs = started(&mut pairs).map_err(of_start)?;
            (pairs.adapter_file(source).await?, pairs.store.clone())
        };
        store_adapter(&store, &file).await
    }

    pub(super) async fn delete_adapter(&self, hash: &str) -> Result<(), LibraryError> {
        let mut pairs = self.pairs.lock().await;
        let pairs = started(&mut pairs).map_err(of_start)?;
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
                check(file.entry.name(), &file.header)?;
                let url = self.file_address("", &file.entry)?;
                Ok(source::fetch_blob(file.entry.name(), &url).await?)
            }
        }
    }
}

/// Whether the header is an adapter's.
fn check(name: &str, header: &Header) -> Result<(), LibraryError> {
    let kind = match FileKind::of(header) {
        FileKind::Adapter => return Ok(()),
        FileKind::Checkpoint => "a whole checkpoint",
        FileKind::UNet => "a whole UNet",
        FileKind::Other(kind) => kind,
    };
    Err(LibraryError::NoAdapter {
        file: name.to_owned(),
        kind,
    })
}

/// Reads an adapter's file and writes it to the store, its completion record last.
async fn store_adapter(store: &Store, file: &DiskFile) -> Result<AdapterEntry, LibraryError> {
    let bytes = file.header().await?;
    let header = Header::parse(&file.name, &bytes)?;
    header.check_length(&file.name, file.size)?;
    check(&file.name, &header)?;
    let hash = hash_of(file).await?;
    let id = adapter_id(&hash);
    let name = file
        .name
        .rsplit('/')
        .next()
        .unwrap_or(&file.name)
        .to_owned();
    if let Some(known) = store.file(&id).await? {
        return Ok(AdapterEntry {
            hash,
            name: known.adapter.map_or(name, |adapter| adapter.name),
            stored: known.stored,
        });
    }
    let names = header.tensors.iter().map(|it| it.name.clone()).collect();
    let mut stored = 0;
    let mut batch = Vec::new();
    let mut length = 0;
    for entry in header.tensors {
        let tensor = entry.clone().tensor(file.slice(entry.range).await?)?;
        length += tensor.bytes.len();
        stored += tensor.bytes.len() as u64;
        batch.push(tensor);
        if length >= BATCH_LENGTH {
            store.put_tensors(&id, &std::mem::take(&mut batch)).await?;
            length = 0;
        }
    }
    store.put_tensors(&id, &batch).await?;
    store.put_header(&id, &bytes).await?;
    let record = FileRecord {
        tensors: Some(names),
        stored,
        progress: None,
        adapter: Some(AdapterRecord {
            name: name.clone(),
            size: file.size,
            added: js_sys::Date::now(),
        }),
    };
    store.complete(&id, &record).await?;
    Ok(AdapterEntry { hash, name, stored })
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
