//! The arrival of a file in the store: its parts come from a
//! [`transfer`](crate::weights::download::network::transfer), are hashed in order, encoded, and
//! committed by the [`plan`](crate::weights::download::plan).

use std::ops::Range;
use std::rc::Rc;

use super::error::SourceError;
use super::ordered_bytes::OrderedBytes;
use super::transfer::{Control, FileOrigin, Report, Transfer, TransferError};
use super::writing::Writing;
use crate::weights::download::plan::{
    Commit, CommitEncoder, FileProgress, Lengths, RunningHash, plan,
};
use crate::weights::format::rules::EncodingRule;
use crate::weights::format::safetensors::{Header, SafetensorsError};
use crate::weights::manifest::ManifestFile;
use crate::weights::manifest::verify::{self, FileVerifier, VerifyError};
use crate::weights::stored::store::{FileRecord, Store, StoreError, TensorOutline};

/// The number of starts after which a file is given up.
const STARTS: u32 = 4;
/// Bytes of the longest file that is held in memory whole: a tokenizer's, or a gzipped file of a pack.
const LONGEST_WHOLE: u64 = 64 * 1024 * 1024;

/// Why a file can't be loaded into the store.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ArrivalError {
    /// The visitor paused the load.
    #[error("Loading was paused.")]
    Paused,
    /// The host doesn't send the file.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store can't take the file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file is not a sound safetensors file.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
    /// The file's length or hash is not what its host or the manifest says.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The file had to be started over too often. Holds the last reason, a sentence.
    #[error("{0} That has happened {STARTS} times now: try again later.")]
    Unsteady(String),
    /// The file would have to be held in memory whole and is too long for that.
    #[error(
        "The file {file} is packed and longer than {} MiB, which is too much to unpack in one piece. \
         Pack it in smaller parts.",
        LONGEST_WHOLE / 1024 / 1024
    )]
    TooLong {
        /// The file.
        file: String,
    },
}

/// Receives the progress of a file's arrival.
pub trait ArrivalObserver {
    /// `received` bytes of the file are here.
    fn progress(&self, received: u64);
    /// The state of the file's transfer.
    fn report(&self, report: Report);
    /// The file's hash was wrong, so the file is loaded once more to find the wrong bytes.
    fn second_reading_begins(&self);
    /// A sentence about a mishap that the arrival has recovered from.
    fn notice(&self, message: String);
}

/// A file to load into the store.
pub struct Arrival {
    /// The file; its size has to be known.
    pub file: ManifestFile,
    /// Where its bytes are.
    pub origin: FileOrigin,
    /// The rules for the encodings in the store; empty: tensors stay in the file's own encodings.
    pub rules: Vec<EncodingRule>,
}

impl Arrival {
    fn name(&self) -> &str {
        &self.file.path
    }

    fn lengths(&self) -> Lengths {
        Lengths::of(self.file.size)
    }

    /// The bytes of a range of the file, requested in parts.
    fn parts(&self, transfer: &Rc<Transfer>, range: Range<u64>) -> OrderedBytes {
        OrderedBytes::parts(transfer, range, self.lengths().part)
    }

    /// Loads what the store lacks of the file. The future must be awaited to its end: IndexedDB would
    /// call back into what is no longer there.
    ///
    /// # Errors
    /// Everything that [`ArrivalError`] lists. Committed bytes stay in the store.
    pub async fn run<O: ArrivalObserver + 'static>(
        &self,
        store: &Rc<Store>,
        control: &Rc<Control>,
        observer: &Rc<O>,
    ) -> Result<(), ArrivalError> {
        let id = &self.file.id;
        if store.is_complete(id).await? {
            return Ok(());
        }
        let mut progress = store.progress(id).await?.unwrap_or_default();
        if progress.size != self.file.size {
            progress = self.no_progress();
        }
        let mut starts = 0;
        // A host that twice sends the whole file for a part doesn't support parts.
        let mut wholes = 0;
        loop {
            let transfer = self.transfer(&progress, control, observer);
            let outcome = self
                .advance(store, &mut progress, &transfer, wholes > 1, observer)
                .await;
            transfer.give_up();
            if transfer.was_sent_whole() {
                wholes += 1;
            }
            let reason = match outcome {
                Ok(()) => return Ok(()),
                Err(Interruption::Error(error)) => return Err(error),
                Err(Interruption::StartOver(reason)) => reason,
            };
            starts += 1;
            if starts >= STARTS {
                return Err(ArrivalError::Unsteady(reason));
            }
            observer.notice(reason);
            store.remove_file(id).await?;
            progress = self.no_progress();
        }
    }

    fn no_progress(&self) -> FileProgress {
        FileProgress {
            size: self.file.size,
            ..FileProgress::default()
        }
    }

    fn transfer<O: ArrivalObserver + 'static>(
        &self,
        progress: &FileProgress,
        control: &Rc<Control>,
        observer: &Rc<O>,
    ) -> Rc<Transfer> {
        let report = {
            let observer = observer.clone();
            Rc::new(move |report| observer.report(report))
        };
        Rc::new(Transfer::new(
            self.name(),
            self.origin.clone(),
            self.file.size,
            progress.validator.clone(),
            control.clone(),
            report,
        ))
    }

    async fn advance<O: ArrivalObserver + 'static>(
        &self,
        store: &Rc<Store>,
        progress: &mut FileProgress,
        transfer: &Rc<Transfer>,
        in_one_body: bool,
        observer: &Rc<O>,
    ) -> Result<(), Interruption> {
        if self.file.compression.is_some() || !self.file.holds_tensors() {
            return self.load_whole(store, progress, transfer, observer).await;
        }
        if !progress.damaged.is_empty() {
            return self.repair(store, progress, transfer, observer).await;
        }
        loop {
            let commits = self
                .stream(store, progress, transfer, in_one_body, observer)
                .await?;
            let hash = progress.hash().map(RunningHash::finish).unwrap_or_default();
            if self.file.sha256.is_empty() || hash == self.file.sha256 {
                return Ok(self.complete(store, progress, &commits).await?);
            }
            if progress.is_second_reading() {
                store.remove_file(&self.file.id).await?;
                let path = self.name().to_owned();
                return Err(ArrivalError::from(VerifyError::Hash { path }).into());
            }
            observer.second_reading_begins();
            observer.notice(format!(
                "{} arrived with other bytes than its published SHA-256 says, so it is read once \
                 more to find where; only what differs is stored anew.",
                self.name()
            ));
            *progress = std::mem::take(progress).begin_second_reading();
            store.commit(&self.file.id, None, &[], progress).await?;
        }
    }

    async fn complete(
        &self,
        store: &Store,
        progress: &FileProgress,
        commits: &[Commit],
    ) -> Result<(), StoreError> {
        let tensors = || commits.iter().flat_map(|commit| &commit.tensors);
        let record = FileRecord {
            tensors: Some(tensors().map(|tensor| tensor.name.clone()).collect()),
            outlines: tensors()
                .map(|tensor| TensorOutline {
                    encoding: tensor.to,
                    shape: tensor.shape.clone(),
                })
                .collect(),
            stored: progress.stored,
            progress: Some(FileProgress {
                first_reading: Vec::new(),
                is_found: false,
                damaged: Vec::new(),
                ..progress.clone()
            }),
            adapter: None,
        };
        store.complete(&self.file.id, &record).await
    }

    /// Loads a file without tensors, or a compressed one, as a whole.
    async fn load_whole<O: ArrivalObserver + 'static>(
        &self,
        store: &Store,
        progress: &mut FileProgress,
        transfer: &Rc<Transfer>,
        observer: &Rc<O>,
    ) -> Result<(), Interruption> {
        if self.file.size > LONGEST_WHOLE {
            let file = self.name().to_owned();
            return Err(ArrivalError::TooLong { file }.into());
        }
        let id = &self.file.id;
        // A small file is fetched again sooner than its parts are stored.
        let stores_parts = self.file.size > self.lengths().chunk;
        let mut has_failed = false;
        loop {
            let mut verifier = FileVerifier::new(&self.file);
            let mut bytes = self.stored_parts(store, progress).await?;
            verifier.update(&bytes).map_err(ArrivalError::from)?;
            let mut parts = self.parts(transfer, progress.position..self.file.size);
            while let Some(part) = parts.next(0, self.file.size).await? {
                verifier.update(&part).map_err(ArrivalError::from)?;
                let offset = bytes.len() as u64;
                bytes.extend_from_slice(&part);
                observer.progress(bytes.len() as u64);
                if stores_parts {
                    progress.position = bytes.len() as u64;
                    progress.stored = progress.position;
                    progress.validator = transfer.validator();
                    store.put_part(id, offset, &part, progress).await?;
                }
            }
            let verified = if self.file.is_proven() {
                verifier.finish()
            } else {
                Ok(())
            };
            match verified {
                Ok(()) => {
                    let content = verify::split(&self.file, bytes).map_err(ArrivalError::from)?;
                    return Ok(store.put_file(&self.file.id, &content).await?);
                }
                Err(error) if has_failed => return Err(ArrivalError::from(error).into()),
                Err(_) => {
                    has_failed = true;
                    store.remove_file(id).await?;
                    *progress = self.no_progress();
                    observer.notice(format!(
                        "{} arrived with other bytes than its SHA-256 says; nothing of it was \
                         stored, and it is loaded once more.",
                        self.name()
                    ));
                }
            }
        }
    }

    /// The bytes of a file that arrives as a whole, as far as an earlier load has stored them. Where a
    /// part of them can't be read, the load begins anew.
    async fn stored_parts(
        &self,
        store: &Store,
        progress: &mut FileProgress,
    ) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < progress.position {
            match store.read_part(&self.file.id, bytes.len() as u64).await {
                Ok(part) if !part.is_empty() => bytes.extend(part),
                _ => {
                    store.remove_file(&self.file.id).await?;
                    *progress = self.no_progress();
                    return Ok(Vec::new());
                }
            }
        }
        Ok(bytes)
    }

    /// Loads and commits what is missing of a safetensors file; returns all of its commits.
    async fn stream<O: ArrivalObserver + 'static>(
        &self,
        store: &Rc<Store>,
        progress: &mut FileProgress,
        transfer: &Rc<Transfer>,
        in_one_body: bool,
        observer: &Rc<O>,
    ) -> Result<Vec<Commit>, Interruption> {
        let mut bytes = if in_one_body {
            OrderedBytes::Whole(Box::new(transfer.clone().whole().await?))
        } else {
            self.parts(transfer, progress.position..self.file.size)
        };
        let mut carry = Vec::new();
        let header_bytes = if progress.position > 0 {
            let header = store.read_blob(&self.file.id).await;
            header.map_err(|_| self.cannot_resume())?
        } else {
            carry = self.beginning_of_file(&mut bytes).await?;
            let end = self.header_end(&carry)?;
            carry[..end.min(carry.len())].to_vec()
        };
        let commits = self.commits(&header_bytes)?;
        let mut hash = progress.hash().ok_or_else(|| self.cannot_resume())?;
        let mut writing: Option<Writing> = None;
        for commit in &commits[progress.states.len().min(commits.len())..] {
            let mut encoder =
                CommitEncoder::new(self.name(), commit).map_err(ArrivalError::from)?;
            let mut left = commit.length();
            // The first commit has no tensors: the header itself is what it stores.
            let header = commit.tensors.is_empty().then_some(&header_bytes);
            while left > 0 {
                if carry.is_empty() {
                    carry = self
                        .next_bytes(&mut bytes, commit, progress.position, &mut writing)
                        .await?;
                }
                let taken = left.min(carry.len() as u64) as usize;
                hash.update(&carry[..taken]);
                encoder.push(&carry[..taken]).map_err(ArrivalError::from)?;
                carry.drain(..taken);
                left -= taken as u64;
                let received = commit.range.end - left + carry.len() as u64 + transfer.arrived();
                observer.progress(received.min(self.file.size));
            }
            let state = hash.state();
            let writes = progress.needs_writing(&state);
            if progress.is_first_difference(&state) {
                progress.is_found = true;
                observer.notice(format!(
                    "The wrong bytes of {} were found: they lie between {} and {}. They have been \
                     loaded again.",
                    self.name(),
                    commit.range.start,
                    commit.range.end
                ));
            }
            let records = if writes { encoder.finish() } else { Vec::new() };
            let before = progress.position;
            progress.states.push(state);
            progress.position = commit.range.end;
            progress.validator = transfer.validator();
            progress.stored = stored_length(&commits[..progress.states.len()]);
            if let Some(mut writing) = writing.take() {
                writing.wait().await?;
            }
            writing = Some(Writing::begin(
                store.clone(),
                self.file.id.clone(),
                header.filter(|_| writes).cloned(),
                records,
                progress.clone(),
                before,
            ));
        }
        if let Some(mut writing) = writing {
            writing.wait().await?;
        }
        Ok(commits)
    }

    /// More bytes of a commit. `position` is the end of the commit before it, which may still be
    /// being written.
    async fn next_bytes(
        &self,
        bytes: &mut OrderedBytes,
        commit: &Commit,
        position: u64,
        writing: &mut Option<Writing>,
    ) -> Result<Vec<u8>, Interruption> {
        loop {
            let committed = match writing {
                Some(writing) => writing.committed()?,
                None => position,
            };
            let window = self.lengths().chunk.max(commit.length());
            if let Some(next) = bytes.next(committed, window).await? {
                return Ok(next);
            }
            match writing {
                Some(writing) if !bytes.is_at_end() && committed < position => {
                    writing.wait().await?;
                }
                _ => {
                    return Err(ArrivalError::from(VerifyError::Truncated {
                        path: self.name().to_owned(),
                        expected: self.file.size,
                        found: committed,
                    })
                    .into());
                }
            }
        }
    }

    /// Loads the commits again whose records were damaged after the file was complete.
    async fn repair<O: ArrivalObserver + 'static>(
        &self,
        store: &Rc<Store>,
        progress: &mut FileProgress,
        transfer: &Rc<Transfer>,
        observer: &Rc<O>,
    ) -> Result<(), Interruption> {
        let header = store.read_blob(&self.file.id).await;
        let commits = self.commits(&header.map_err(|_| self.cannot_resume())?)?;
        for (index, commit) in commits.iter().enumerate() {
            let is_damaged = |name: &String| commit.tensors.iter().any(|it| it.name == *name);
            if !progress.damaged.iter().any(is_damaged) {
                continue;
            }
            let before = match index.checked_sub(1) {
                None => Some(RunningHash::new()),
                Some(index) => progress.states.get(index).and_then(RunningHash::resume),
            };
            let mut hash = before.ok_or_else(|| self.cannot_resume())?;
            let mut encoder =
                CommitEncoder::new(self.name(), commit).map_err(ArrivalError::from)?;
            let mut parts = self.parts(transfer, commit.range.clone());
            while let Some(part) = parts.next(commit.range.start, commit.length()).await? {
                hash.update(&part);
                encoder.push(&part).map_err(ArrivalError::from)?;
            }
            if progress.states.get(index) != Some(&hash.state()) {
                return Err(self.cannot_resume());
            }
            progress.damaged.retain(|name| !is_damaged(name));
            store
                .commit(&self.file.id, None, &encoder.finish(), progress)
                .await?;
            observer.notice(format!(
                "A damaged record of {} was found in this browser's store; bytes {} to {} were \
                 loaded again.",
                self.name(),
                commit.range.start,
                commit.range.end
            ));
        }
        Ok(self.complete(store, progress, &commits).await?)
    }

    /// The file's first bytes, with the whole header in them.
    async fn beginning_of_file(&self, bytes: &mut OrderedBytes) -> Result<Vec<u8>, Interruption> {
        let mut beginning = Vec::new();
        loop {
            let end = Header::end(self.name(), &beginning).map_err(ArrivalError::from)?;
            match end {
                Some(end) if end > self.file.size => return Err(self.cut_off(end).into()),
                Some(end) if end <= beginning.len() as u64 => return Ok(beginning),
                _ => {}
            }
            // A header longer than a chunk is one commit, so all of it may be requested.
            let window = self.lengths().chunk.max(end.unwrap_or(0));
            let next = bytes.next(0, window).await?;
            let next = next.ok_or_else(|| self.cut_off(end.unwrap_or(self.file.size + 1)))?;
            beginning.extend(next);
        }
    }

    fn cut_off(&self, expected: u64) -> ArrivalError {
        ArrivalError::from(SafetensorsError::Truncated {
            file: self.name().into(),
            expected,
            found: self.file.size,
        })
    }

    fn header_end(&self, bytes: &[u8]) -> Result<usize, Interruption> {
        let end = Header::end(self.name(), bytes).map_err(ArrivalError::from)?;
        Ok(end.ok_or_else(|| self.cut_off(self.file.size + 1))? as usize)
    }

    fn commits(&self, header: &[u8]) -> Result<Vec<Commit>, Interruption> {
        let header = Header::parse(self.name(), header).map_err(ArrivalError::from)?;
        if header.file_length != self.file.size {
            let (expected, found) = (header.file_length, self.file.size);
            let file = self.name().to_owned();
            let error = if found > expected {
                SafetensorsError::Surplus {
                    file,
                    surplus: found - expected,
                }
            } else {
                SafetensorsError::Truncated {
                    file,
                    expected,
                    found,
                }
            };
            return Err(ArrivalError::from(error).into());
        }
        let commits = plan(self.name(), &header, &self.rules);
        Ok(commits.map_err(ArrivalError::from)?)
    }

    fn cannot_resume(&self) -> Interruption {
        Interruption::StartOver(format!(
            "What was stored of {} can't be gone on with, so it is loaded from its beginning.",
            self.name()
        ))
    }
}

/// Why an attempt at an arrival ended.
enum Interruption {
    Error(ArrivalError),
    /// The file has to be loaded from its beginning. Holds a sentence with the reason.
    StartOver(String),
}

impl<E: Into<ArrivalError>> From<E> for Interruption {
    fn from(error: E) -> Self {
        Interruption::Error(error.into())
    }
}

impl From<TransferError> for Interruption {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Paused => Interruption::Error(ArrivalError::Paused),
            TransferError::StartOver(reason) => Interruption::StartOver(reason),
            TransferError::Source(error) => Interruption::Error(error.into()),
        }
    }
}

/// Bytes that the records of these commits take in the store.
fn stored_length(commits: &[Commit]) -> u64 {
    commits
        .iter()
        .flat_map(|commit| &commit.tensors)
        .filter_map(|tensor| tensor.to.byte_length(&tensor.shape))
        .fold(0, |sum, length| sum + length as u64)
}
