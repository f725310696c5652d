//! A safetensors file on its way into the store: which bytes make which record, what is written
//! together, and what proves it.
//!
//! # Commits and chunks
//! A file's bytes are taken in order. A *commit* is a run of whole tensors, of [`Lengths::commit`]
//! bytes or one tensor that is longer; its records and the file's [`FileProgress`] are written in one
//! transaction, so that the store is consistent whenever the browser ends. What has been asked of
//! the network and is not yet committed never exceeds a *chunk*: [`Lengths::chunk`], or one tensor
//! that is longer. That is the most that a load fetches twice when it is cut off.
//!
//! # Proof
//! The hash is one SHA-256 over the whole file, the one that hubs publish. Its state after every
//! commit is kept, 105 bytes each. So a resumed load goes on hashing where it was and reads nothing
//! again; and once the whole file's hash has come out right, each state proves the bytes between it
//! and the one before: a commit whose record was damaged later is fetched alone, hashed from the
//! state before it, and has to arrive at the state after it ([`FileProgress::states`] stay with the
//! completed file).
//!
//! A wrong byte shows in the file's last hash, which doesn't say where it is. The file is then read
//! once more: as long as the states come out as before, the bytes are the same and nothing is
//! written; the first commit that comes out otherwise is the wrong one, and is named. Files of a
//! pack are no longer than a commit or two, so that for them this is the part itself.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

use crate::weights::format::checkpoint::Form;
use crate::weights::format::encoder::TensorEncoder;
use crate::weights::format::encoding::Encoding;
use crate::weights::format::names::StoredName;
use crate::weights::format::rules::{EncodingRule, target_encoding};
use crate::weights::format::safetensors::{Header, SafetensorsError, TensorEntry};
use crate::weights::format::sha256::hexadecimal;
use crate::weights::format::tensor::StoredTensor;

/// In what pieces a file is loaded: large files in large ones, small files in small ones, so that
/// little of either is lost when a load is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// The most bytes that are asked for and not yet committed, unless one tensor is longer.
    pub chunk: u64,
    /// Bytes of tensors that are written in one transaction, unless one tensor is longer: half a
    /// chunk, so that one half arrives while the other is written.
    pub commit: u64,
    /// Bytes of one request: several are under way at once.
    pub part: u64,
}

impl Lengths {
    /// For a file of so many bytes.
    pub fn of(size: u64) -> Self {
        let chunk = (size / 16).clamp(1 << 20, 32 << 20);
        Lengths {
            chunk,
            commit: chunk / 2,
            part: (chunk / 8).max(256 << 10),
        }
    }
}

/// A tensor on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrivingTensor {
    /// Its name in the store.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// How its bytes arrive.
    pub from: Encoding,
    /// How it is stored.
    pub to: Encoding,
    /// Its bytes, counted from the beginning of the file.
    pub range: Range<u64>,
    /// Whether its rows are columns in the file.
    pub is_transposed: bool,
}

/// What is written together.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// The bytes, without a gap to those of the commit before.
    pub range: Range<u64>,
    /// The tensors in them, in the order of their bytes; none in the first commit, which is the
    /// header.
    pub tensors: Vec<ArrivingTensor>,
}

impl Commit {
    /// Number of bytes.
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
    // What follows the last tensor that is stored belongs to the hash all the same.
    if let Some(last) = commits.last_mut() {
        last.range.end = header.file_length;
    }
    Ok(commits)
}

/// The tensors that one of the file becomes: itself, or as many as its name stands for.
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
                range: start..start + length,
                is_transposed: form == Form::Transposed && shape.len() == 2,
                name,
                shape,
            }
        })
        .collect())
}

/// Takes a commit's bytes in order, and gives its records.
pub struct CommitEncoder {
    file: String,
    /// What is still to come; the first one is being encoded.
    waiting: std::vec::IntoIter<ArrivingTensor>,
    current: Option<(ArrivingTensor, TensorEncoder)>,
    /// Bytes of the current tensor that can't be encoded before all of them are there.
    columns: Vec<u8>,
    position: u64,
    records: Vec<StoredTensor>,
}

impl CommitEncoder {
    /// Nothing has arrived yet. `file` is the name in the sentences.
    ///
    /// # Errors
    /// The first tensor can't be stored as it is to be.
    pub fn new(file: &str, commit: &Commit) -> Result<Self, SafetensorsError> {
        let mut encoder = CommitEncoder {
            file: file.into(),
            waiting: commit.tensors.clone().into_iter(),
            current: None,
            columns: Vec::new(),
            position: commit.range.start,
            records: Vec::with_capacity(commit.tensors.len()),
        };
        encoder.next_tensor()?;
        Ok(encoder)
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// A value that can't be stored.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), SafetensorsError> {
        while let Some((tensor, encoder)) = &mut self.current {
            let gap = tensor.range.start.saturating_sub(self.position);
            let skipped = gap.min(bytes.len() as u64);
            let left = tensor.range.end - self.position - skipped;
            let taken = left.min(bytes.len() as u64 - skipped);
            let (skipped_end, taken_end) = (skipped as usize, (skipped + taken) as usize);
            let arrived = &bytes[skipped_end..taken_end];
            if tensor.is_transposed {
                self.columns.extend_from_slice(arrived);
            } else {
                encoder
                    .push(arrived)
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

    /// The records, once all bytes have come.
    pub fn finish(self) -> Vec<StoredTensor> {
        self.records
    }

    fn end_tensor(&mut self) -> Result<(), SafetensorsError> {
        if let Some((tensor, mut encoder)) = self.current.take() {
            let columns = std::mem::take(&mut self.columns);
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
            let encoder = TensorEncoder::new(&tensor.name, &tensor.shape, tensor.from, tensor.to)
                .map_err(|error| tensor_error(&self.file, error))?;
            self.current = Some((tensor, encoder));
        }
        Ok(())
    }
}

/// The values of a matrix that came column by column, row by row.
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

/// A SHA-256 that can be put down and taken up.
#[derive(Clone, Default)]
pub struct RunningHash(Sha256);

/// The state of a [`RunningHash`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashState(#[serde(with = "serde_bytes")] Vec<u8>);

impl RunningHash {
    /// Of no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from a state; none where it is not one.
    pub fn resume(state: &HashState) -> Option<Self> {
        let state = SerializedState::<Sha256>::try_from(state.0.as_slice()).ok()?;
        Sha256::deserialize(&state).ok().map(RunningHash)
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Where it is: equal for equal bytes so far, and for no others.
    pub fn state(&self) -> HashState {
        HashState(self.0.serialize().to_vec())
    }

    /// The hash of all bytes, in lower-case hexadecimal digits.
    pub fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

/// How far a file has come, as it is kept between two visits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileProgress {
    /// Bytes of the whole file.
    pub size: u64,
    /// The validator that the host gave with the first bytes; empty: none.
    pub validator: String,
    /// Bytes that are committed.
    pub position: u64,
    /// The hash's state after each commit so far.
    pub states: Vec<HashState>,
    /// Bytes of the records so far.
    pub stored: u64,
    /// The states of a first reading that didn't come out at the published hash: the file is read
    /// once more. Empty: it is not.
    pub doubted: Vec<HashState>,
    /// Whether the second reading has found where the first one differed.
    pub is_found: bool,
    /// Names of records that were damaged after the file was complete; the states prove what is
    /// loaded in their place.
    pub damaged: Vec<String>,
}

impl FileProgress {
    /// The hash as far as it is.
    pub fn hash(&self) -> Option<RunningHash> {
        match self.states.last() {
            None => Some(RunningHash::new()),
            Some(state) => RunningHash::resume(state),
        }
    }

    /// Whether the commit that has just ended in this state is the one that the first reading got
    /// otherwise.
    pub fn differs_first(&self, state: &HashState) -> bool {
        !self.is_found
            && self
                .doubted
                .get(self.states.len())
                .is_some_and(|doubted| doubted != state)
    }

    /// Whether the commit's records have to be written: in a second reading not before the place that
    /// differs.
    pub fn writes(&self, state: &HashState) -> bool {
        self.is_found
            || self
                .doubted
                .get(self.states.len())
                .is_none_or(|doubted| doubted != state)
    }

    /// Begins the second reading.
    pub fn doubt(self) -> FileProgress {
        FileProgress {
            size: self.size,
            validator: self.validator,
            stored: self.stored,
            doubted: self.states,
            ..FileProgress::default()
        }
    }

    /// Whether this is the second reading.
    pub fn is_second_reading(&self) -> bool {
        !self.doubted.is_empty()
    }
}
