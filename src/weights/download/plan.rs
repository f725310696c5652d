//! How a safetensors file becomes records of the store: which bytes make which record, which records
//! are written together, and which hashes prove them.
//!
//! # Commits and chunks
//! A file's bytes are taken in order. A *commit* is a run of whole tensors, of [`Lengths::commit`]
//! bytes or one tensor that is longer; its records and the file's [`FileProgress`] are written in one
//! transaction, so that the store is consistent whenever the browser ends. The bytes that are
//! requested and not yet committed never exceed a *chunk*: [`Lengths::chunk`], or one tensor that is
//! longer. A load that is cut off fetches at most a chunk twice.
//!
//! # Proof
//! The hash is one SHA-256 over the whole file, the one that hubs publish. Its state after every
//! commit is stored, 105 bytes each. A resumed load goes on hashing from the last state and reads
//! nothing again. Once the whole file's hash is right, each state proves the bytes between the state
//! before it and itself: a commit whose record was damaged later is fetched alone, hashed from the
//! state before it, and has to end in the state after it ([`FileProgress::states`] stay with the
//! completed file).
//!
//! A wrong byte shows in the hash of the whole file, which doesn't say where the byte is. The file is
//! then loaded a second time. As long as the states of this *second reading* equal those of the first
//! one, the bytes are the same and nothing is written; the first commit with another state had the
//! wrong byte, and is named. Files of a pack are no longer than a commit or two, so for them the
//! commit is most of the file.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

use crate::weights::format::checkpoint::Form;
use crate::weights::format::dtype::ForeignDtype;
use crate::weights::format::encoder::TensorEncoder;
use crate::weights::format::encoding::Encoding;
use crate::weights::format::names::StoredName;
use crate::weights::format::order::Order;
use crate::weights::format::rules::{EncodingRule, target_encoding};
use crate::weights::format::safetensors::{Header, SafetensorsError, TensorEntry};
use crate::weights::format::sha256::hexadecimal;
use crate::weights::format::tensor::StoredTensor;

/// Lengths of the pieces in which a file is loaded. They grow with the file, so that a load that is
/// cut off loses a small share of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// The most bytes that are requested and not yet committed, unless one tensor is longer.
    pub chunk: u64,
    /// The most bytes of tensors that are written in one transaction, unless one tensor is longer:
    /// half a chunk, so that one half arrives while the other is written.
    pub commit: u64,
    /// Bytes of one request; several are made at once.
    pub part: u64,
}

impl Lengths {
    /// The lengths for a file of `size` bytes.
    pub fn of(size: u64) -> Self {
        let chunk = (size / 16).clamp(1 << 20, 32 << 20);
        Lengths {
            chunk,
            commit: chunk / 2,
            part: (chunk / 8).max(256 << 10),
        }
    }
}

/// A tensor of the file that becomes a record.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrivingTensor {
    /// Its name in the store, diffusers' own.
    pub name: String,
    /// Its shape in the store.
    pub shape: Vec<usize>,
    /// The encoding of its bytes in the file, once they are converted.
    pub from: Encoding,
    /// What its bytes in the file are converted from; none: they are as [`Self::from`] says.
    pub converted_from: Option<ForeignDtype>,
    /// The order of its values in the file.
    pub order: Order,
    /// The encoding of its record in the store.
    pub to: Encoding,
    /// Its bytes, counted from the beginning of the file.
    pub range: Range<u64>,
    /// Whether the file has the matrix transposed.
    pub is_transposed: bool,
}

/// Bytes of the file whose records are written in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// The bytes; they begin where those of the commit before end.
    pub range: Range<u64>,
    /// The tensors in `range`, in the order of their bytes; none in the first commit, which is the
    /// header.
    pub tensors: Vec<ArrivingTensor>,
}

impl Commit {
    /// Bytes of the file in this commit, gaps between tensors included.
    pub fn length(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// A file's commits: the header's, then the tensors'.
///
/// # Errors
/// The header names tensors that can't be stored.
pub fn plan(
    file: &str,
    header: &Header,
    rules: &[EncodingRule],
) -> Result<Vec<Commit>, SafetensorsError> {
    let mut tensors = Vec::new();
    for entry in &header.tensors {
        tensors.extend(arriving(file, header, entry, rules)?);
    }
    tensors.sort_by_key(|tensor| tensor.range.start);
    let lengths = Lengths::of(header.file_length);
    let mut commits = vec![Commit {
        range: 0..header.data_start,
        tensors: Vec::new(),
    }];
    let mut open: Option<Commit> = None;
    for tensor in tensors {
        let end = tensor.range.end;
        let joins = open
            .as_ref()
            .is_some_and(|commit| end - commit.range.start <= lengths.commit);
        match &mut open {
            Some(commit) if joins => {
                commit.range.end = end;
                commit.tensors.push(tensor);
            }
            _ => {
                let start = match open.take() {
                    Some(commit) => {
                        let start = commit.range.end;
                        commits.push(commit);
                        start
                    }
                    None => header.data_start,
                };
                open = Some(Commit {
                    range: start..end,
                    tensors: vec![tensor],
                });
            }
        }
    }
    commits.extend(open);
    // Bytes behind the last stored tensor belong to the hash, too.
    if let Some(last) = commits.last_mut() {
        last.range.end = header.file_length;
    }
    Ok(commits)
}

/// The stored tensors that one tensor of the file becomes: several where a checkpoint joins layers
/// that diffusers has apart.
fn arriving(
    file: &str,
    header: &Header,
    entry: &TensorEntry,
    rules: &[EncodingRule],
) -> Result<Vec<ArrivingTensor>, SafetensorsError> {
    let names = header.naming.stored_names(&entry.name);
    let count = names.len() as u64;
    let rows = entry.shape.first().copied().unwrap_or(1);
    if count > 1 && !(rows as u64).is_multiple_of(count) {
        return Err(SafetensorsError::Entry {
            file: file.into(),
            tensor: entry.name.clone(),
            reason: format!("its {rows} rows are not those of {count} layers"),
        });
    }
    let length = (entry.range.end - entry.range.start) / count.max(1);
    Ok(names
        .into_iter()
        .zip(0u64..)
        .map(|(StoredName { name, form }, index)| {
            let mut shape = entry.shape.clone();
            match form {
                Form::Same => {}
                Form::Pointwise => {
                    if let [_, _, 1, 1] = shape[..] {
                        shape.truncate(2);
                    }
                }
                Form::Transposed => shape.reverse(),
            }
            if count > 1 {
                shape[0] = rows / count as usize;
            }
            let (to, _) = target_encoding(rules, &name, &shape, entry.encoding);
            let start = entry.range.start + index * length;
            ArrivingTensor {
                to: if rules.is_empty() { entry.encoding } else { to },
                from: entry.encoding,
                converted_from: entry.converted_from,
                order: entry.order,
                range: start..start + length,
                is_transposed: form == Form::Transposed && shape.len() == 2,
                name,
                shape,
            }
        })
        .collect())
}

/// Encodes a commit's bytes, which come in order, as its records.
pub struct CommitEncoder {
    file: String,
    /// The tensors behind the current one.
    waiting: std::vec::IntoIter<ArrivingTensor>,
    current: Option<(ArrivingTensor, TensorEncoder)>,
    /// The current tensor's bytes so far where it is transposed: it is encoded by rows, and the last
    /// value of its first row comes near the end.
    columns: Vec<u8>,
    /// The bytes of a value of the current tensor that is converted and has not arrived to its end.
    part: Vec<u8>,
    position: u64,
    records: Vec<StoredTensor>,
}

impl CommitEncoder {
    /// An encoder that has no bytes yet. `file` is the file's name in error sentences.
    ///
    /// # Errors
    /// The first tensor can't have the encoding that the plan gives it.
    pub fn new(file: &str, commit: &Commit) -> Result<Self, SafetensorsError> {
        let mut encoder = CommitEncoder {
            file: file.into(),
            waiting: commit.tensors.clone().into_iter(),
            current: None,
            columns: Vec::new(),
            part: Vec::new(),
            position: commit.range.start,
            records: Vec::with_capacity(commit.tensors.len()),
        };
        encoder.next_tensor()?;
        Ok(encoder)
    }

    /// Takes the commit's next bytes, any number of them.
    ///
    /// # Errors
    /// A value can't be encoded.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), SafetensorsError> {
        while let Some((tensor, encoder)) = &mut self.current {
            let gap = tensor.range.start.saturating_sub(self.position);
            let skipped = gap.min(bytes.len() as u64);
            let left = tensor.range.end - self.position - skipped;
            let taken = left.min(bytes.len() as u64 - skipped);
            let (skipped_end, taken_end) = (skipped as usize, (skipped + taken) as usize);
            let arrived = converted(
                tensor.converted_from,
                &mut self.part,
                &bytes[skipped_end..taken_end],
            );
            if tensor.is_transposed {
                self.columns.extend_from_slice(&arrived);
            } else {
                encoder
                    .push(&arrived)
                    .map_err(|error| tensor_error(&self.file, error))?;
            }
            self.position += skipped + taken;
            bytes = &bytes[taken_end..];
            if self.position < tensor.range.end {
                return Ok(());
            }
            self.end_tensor()?;
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// The records, once [`CommitEncoder::push`] has had all bytes.
    pub fn finish(self) -> Vec<StoredTensor> {
        self.records
    }

    fn end_tensor(&mut self) -> Result<(), SafetensorsError> {
        if let Some((tensor, mut encoder)) = self.current.take() {
            let columns = std::mem::take(&mut self.columns);
            self.part.clear();
            let record = if tensor.is_transposed {
                encoder
                    .push(&transposed(&columns, &tensor.shape))
                    .and_then(|()| encoder.finish())
            } else {
                encoder.finish()
            };
            self.records
                .push(record.map_err(|error| tensor_error(&self.file, error))?);
        }
        self.next_tensor()
    }

    fn next_tensor(&mut self) -> Result<(), SafetensorsError> {
        if let Some(tensor) = self.waiting.next() {
            let ArrivingTensor {
                from, order, to, ..
            } = tensor;
            let encoder = TensorEncoder::new(&tensor.name, &tensor.shape, from, order, to)
                .map_err(|error| tensor_error(&self.file, error))?;
            self.current = Some((tensor, encoder));
        }
        Ok(())
    }
}

/// Bytes of a file in the encoding that they are converted to. `part` keeps what is less than a value until
/// the rest of it has come.
fn converted<'a>(
    dtype: Option<ForeignDtype>,
    part: &mut Vec<u8>,
    bytes: &'a [u8],
) -> Cow<'a, [u8]> {
    let Some(dtype) = dtype else {
        return Cow::Borrowed(bytes);
    };
    part.extend_from_slice(bytes);
    let rest = part.split_off(part.len() / dtype.width() * dtype.width());
    let values = dtype.convert(part);
    *part = rest;
    Cow::Owned(values)
}

/// The values of a matrix in rows, from their bytes in columns.
///
/// # Shapes
/// `shape` is that of the result: rows, columns. Other shapes stay as they are.
fn transposed(columns: &[u8], shape: &[usize]) -> Vec<u8> {
    let (rows, length) = match *shape {
        [rows, length] if rows * length > 0 => (rows, length),
        _ => return columns.to_vec(),
    };
    let size = columns.len() / (rows * length);
    let mut bytes = Vec::with_capacity(columns.len());
    for row in 0..rows {
        for column in 0..length {
            let start = (column * rows + row) * size;
            bytes.extend_from_slice(&columns[start..start + size]);
        }
    }
    bytes
}

fn tensor_error(
    file: &str,
    error: crate::weights::format::tensor::TensorError,
) -> SafetensorsError {
    SafetensorsError::Tensor {
        file: file.into(),
        error,
    }
}

/// A SHA-256 whose computation can be stored and resumed.
#[derive(Clone, Default)]
pub struct RunningHash(Sha256);

/// The state of a [`RunningHash`], 105 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashState(#[serde(with = "serde_bytes")] Vec<u8>);

impl RunningHash {
    /// The hash before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hash in this state; none where the bytes are not those of a state.
    pub fn resume(state: &HashState) -> Option<Self> {
        let state = SerializedState::<Sha256>::try_from(state.0.as_slice()).ok()?;
        Sha256::deserialize(&state).ok().map(RunningHash)
    }

    /// Hashes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The state after the bytes so far: two states are equal only where the bytes are.
    pub fn state(&self) -> HashState {
        HashState(self.0.serialize().to_vec())
    }

    /// The hash of all bytes, in lower-case hexadecimal digits.
    pub fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

/// The progress of a file's arrival, as the store has it between two visits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileProgress {
    /// Bytes of the whole file.
    pub size: u64,
    /// The validator (`ETag`) that the host sent with the first bytes; empty where it sent none.
    pub validator: String,
    /// Committed bytes of the file: the offset at which the load goes on.
    pub position: u64,
    /// The hash's state after each commit so far.
    pub states: Vec<HashState>,
    /// Bytes that the records so far take in the store.
    pub stored: u64,
    /// In a second reading, the states of the first one, which ended in another hash than the
    /// published one; empty in a first reading. The stored name is that of earlier versions.
    #[serde(rename = "doubted")]
    pub first_reading: Vec<HashState>,
    /// Whether the second reading has found the commit in which the first one was wrong.
    pub is_found: bool,
    /// Names of records that were damaged after the file was complete; the states prove the bytes
    /// that are loaded in their place.
    pub damaged: Vec<String>,
}

impl FileProgress {
    /// The hash of the committed bytes; none where its stored state can't be read.
    pub fn hash(&self) -> Option<RunningHash> {
        match self.states.last() {
            None => Some(RunningHash::new()),
            Some(state) => RunningHash::resume(state),
        }
    }

    /// Whether the commit that has just ended in this state is the first one that differs from the
    /// first reading.
    pub fn is_first_difference(&self, state: &HashState) -> bool {
        !self.is_found
            && self
                .first_reading
                .get(self.states.len())
                .is_some_and(|first| first != state)
    }

    /// Whether the records of the commit that has just ended in this state have to be written. In a
    /// second reading the commits before the one that differs are in the store already.
    pub fn needs_writing(&self, state: &HashState) -> bool {
        self.is_found
            || self
                .first_reading
                .get(self.states.len())
                .is_none_or(|first| first != state)
    }

    /// The progress of a second reading that has no bytes yet; the states so far become those of the
    /// first reading.
    pub fn begin_second_reading(self) -> FileProgress {
        FileProgress {
            size: self.size,
            validator: self.validator,
            stored: self.stored,
            first_reading: self.states,
            ..FileProgress::default()
        }
    }

    /// Whether the file is loaded a second time, to find its wrong bytes.
    pub fn is_second_reading(&self) -> bool {
        !self.first_reading.is_empty()
    }
}
