//! A file's way from its host into the store: parts from the [`transfer`](crate::weights::download::network::transfer), hashed in
//! order, encoded and committed as the [`arrival`](crate::weights::download::plan) says.

use std::ops::Range;
use std::rc::Rc;

use super::ordered_bytes::Bytes;
use super::source::SourceError;
use super::transfer::{Control, Report, Transfer, TransferError};
use super::writing::Writing;
use crate::weights::download::plan::{
    Commit, CommitEncoder, FileProgress, Lengths, RunningHash, plan,
};
use crate::weights::format::rules::EncodingRule;
use crate::weights::format::safetensors::{Header, SafetensorsError};
use crate::weights::manifest::ManifestFile;
use crate::weights::manifest::verify::{self, FileVerifier, VerifyError};
use crate::weights::stored::store::{FileRecord, Store, StoreError};

/// How often a file is begun anew before it is given up.
const STARTS: u32 = 4;
/// The longest file that is taken as a whole: a tokenizer's, or a gzipped part of a pack.
const LONGEST_WHOLE: u64 = 64 * 1024 * 1024;

/// Why a file can't be brought.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ArriveError {
    /// The visitor asked to stop.
    #[error("Loading was paused.")]
    Paused,
    /// Its host won't give it.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It can't be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not a sound safetensors file.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
    /// It is not what its host or the manifest says.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// It was begun anew again and again.
    #[error("{0} That has happened {STARTS} times now: try again later.")]
    Unsteady(String),
    /// A file that would have to be held in memory whole.
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

/// Who is told how a file arrives.
pub trait ArrivalObserver {
    /// `received` bytes of the file have come.
    fn progress(&self, received: u64);
    /// What the network does.
    fn report(&self, report: Report);
    /// The file is read once more.
    fn searches(&self);
    /// A mishap that the arrival has recovered from: a sentence.
    fn notice(&self, message: String);
}

/// A file to bring.
pub struct Arrival {
    /// The file; its size is known.
    pub file: ManifestFile,
    /// Where it is.
    pub address: String,
    /// How its tensors are stored; empty: as they are.
    pub rules: Vec<EncodingRule>,
}

impl Arrival {
    fn name(&self) -> &str {
        &self.file.path
    }

    fn lengths(&self) -> Lengths {
        Lengths::of(self.file.size)
    }

    /// The bytes of a range of the file, by parts.
    fn parts(&self, transfer: &Rc<Transfer>, range: Range<u64>) -> Bytes {
        Bytes::parts(transfer, range, self.lengths().part)
    }

    /// Brings the file, or what is missing of it, unless it is there. The future must be awaited to
    /// its end.
    ///
    /// # Errors
    /// Everything that [`ArriveError`] lists. What is committed stays.
    pub async fn run<O: ArrivalObserver + 'static>(
        &self,
        store: &Rc<Store>,
        control: &Rc<Control>,
        observer: &Rc<O>,
    ) -> Result<(), ArriveError> {
        let id = &self.file.id;
        if store.is_complete(id).await? {
            return Ok(());
        }
        let mut progress = store.progress(id).await?.unwrap_or_default();
        if progress.size != self.file.size {
            progress = self.beginning();
        }
        let mut starts = 0;
        // A host that sends the whole file for a part twice doesn't know parts.
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
                return Err(ArriveError::Unsteady(reason));
            }
            observer.notice(reason);
            store.remove_file(id).await?;
            progress = self.beginning();
        }
    }

    fn beginning(&self) -> FileProgress {
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
            self.address.clone(),
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
            return self.take_whole(store, transfer, observer).await;
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
                return Err(ArriveError::from(VerifyError::Hash { path }).into());
            }
            observer.searches();
            observer.notice(format!(
                "{} arrived with other bytes than its published SHA-256 says, so it is read once \
                 more to find where; only what differs is stored anew.",
                self.name()
            ));
            *progress = std::mem::take(progress).doubt();
            store.commit(&self.file.id, None, &[], progress).await?;
        }
    }

    async fn complete(
        &self,
        store: &Store,
        progress: &FileProgress,
        commits: &[Commit],
    ) -> Result<(), StoreError> {
        let tensors = commits.iter().flat_map(|commit| &commit.tensors);
        let record = FileRecord {
            tensors: Some(tensors.map(|tensor| tensor.name.clone()).collect()),
            stored: progress.stored,
            progress: Some(FileProgress {
                doubted: Vec::new(),
                is_found: false,
                damaged: Vec::new(),
                ..progress.clone()
            }),
        };
        store.complete(&self.file.id, &record).await
    }

    /// A file without tensors, or a packed one.
    async fn take_whole<O: ArrivalObserver + 'static>(
        &self,
        store: &Store,
        transfer: &Rc<Transfer>,
        observer: &Rc<O>,
    ) -> Result<(), Interruption> {
        if self.file.size > LONGEST_WHOLE {
            let file = self.name().to_owned();
            return Err(ArriveError::TooLong { file }.into());
        }
        let mut has_failed = false;
        loop {
            let mut verifier = FileVerifier::new(&self.file);
            let mut bytes = Vec::new();
            let mut parts = self.parts(transfer, 0..self.file.size);
            while let Some(part) = parts.next(0, self.file.size).await? {
                verifier.update(&part).map_err(ArriveError::from)?;
                bytes.extend_from_slice(&part);
                observer.progress(bytes.len() as u64);
            }
            let verified = if self.file.is_proven() {
                verifier.finish()
            } else {
                Ok(())
            };
            match verified {
                Ok(()) => {
                    let content = verify::split(&self.file, bytes).map_err(ArriveError::from)?;
                    return Ok(store.put_file(&self.file.id, &content).await?);
                }
                Err(error) if has_failed => return Err(ArriveError::from(error).into()),
                Err(_) => {
                    has_failed = true;
                    observer.notice(format!(
                        "{} arrived with other bytes than its SHA-256 says; nothing of it was \
                         stored, and it is loaded once more.",
                        self.name()
                    ));
                }
            }
        }
    }

    /// Brings what is missing of a safetensors file; its commits.
    async fn stream<O: ArrivalObserver + 'static>(
        &self,
        store: &Rc<Store>,
        progress: &mut FileProgress,
        transfer: &Rc<Transfer>,
        in_one_body: bool,
        observer: &Rc<O>,
    ) -> Result<Vec<Commit>, Interruption> {
        let mut bytes = if in_one_body {
            Bytes::Whole(Box::new(transfer.clone().whole().await?))
        } else {
            self.parts(transfer, progress.position..self.file.size)
        };
        let mut carry = Vec::new();
        let header_bytes = if progress.position > 0 {
            let header = store.read_blob(&self.file.id).await;
            header.map_err(|_| self.lost())?
        } else {
            carry = self.beginning_of_file(&mut bytes).await?;
            let end = self.header_end(&carry)?;
            carry[..end.min(carry.len())].to_vec()
        };
        let commits = self.commits(&header_bytes)?;
        let mut hash = progress.hash().ok_or_else(|| self.lost())?;
        let mut writing: Option<Writing> = None;
        for commit in &commits[progress.states.len().min(commits.len())..] {
            let mut encoder = CommitEncoder::new(self.name(), commit).map_err(ArriveError::from)?;
            let mut left = commit.length();
            // The header is as it has come, and goes into the store with its own commit.
            let header = commit.tensors.is_empty().then_some(&header_bytes);
            while left > 0 {
                if carry.is_empty() {
                    carry = self
                        .next_bytes(&mut bytes, commit, progress.position, &mut writing)
                        .await?;
                }
                let taken = left.min(carry.len() as u64) as usize;
                hash.update(&carry[..taken]);
                encoder.push(&carry[..taken]).map_err(ArriveError::from)?;
                carry.drain(..taken);
                left -= taken as u64;
                let received = commit.range.end - left + carry.len() as u64 + transfer.arrived();
                observer.progress(received.min(self.file.size));
            }
            let state = hash.state();
            let writes = progress.writes(&state);
            if progress.differs_first(&state) {
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

    /// More bytes of a commit. `position` is where the commit before it ends, which may still be
    /// being written.
    async fn next_bytes(
        &self,
        bytes: &mut Bytes,
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
                    return Err(ArriveError::from(VerifyError::Truncated {
                        path: self.name().to_owned(),
                        expected: self.file.size,
                        found: committed,
                    })
                    .into());
                }
            }
        }
    }

    /// Loads again the commits of records that were damaged after the file was complete.
    async fn repair<O: ArrivalObserver + 'static>(
        &self,
        store: &Rc<Store>,
        progress: &mut FileProgress,
        transfer: &Rc<Transfer>,
        observer: &Rc<O>,
    ) -> Result<(), Interruption> {
        let header = store.read_blob(&self.file.id).await;
        let commits = self.commits(&header.map_err(|_| self.lost())?)?;
        for (index, commit) in commits.iter().enumerate() {
            let is_damaged = |name: &String| commit.tensors.iter().any(|it| it.name == *name);
            if !progress.damaged.iter().any(is_damaged) {
                continue;
            }
            let before = match index.checked_sub(1) {
                None => Some(RunningHash::new()),
                Some(index) => progress.states.get(index).and_then(RunningHash::resume),
            };
            let mut hash = before.ok_or_else(|| self.lost())?;
            let mut encoder = CommitEncoder::new(self.name(), commit).map_err(ArriveError::from)?;
            let mut parts = self.parts(transfer, commit.range.clone());
            while let Some(part) = parts.next(commit.range.start, commit.length()).await? {
                hash.update(&part);
                encoder.push(&part).map_err(ArriveError::from)?;
            }
            if progress.states.get(index) != Some(&hash.state()) {
                return Err(self.lost());
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

    /// The file's first bytes, with all of its header in them.
    async fn beginning_of_file(&self, bytes: &mut Bytes) -> Result<Vec<u8>, Interruption> {
        let mut beginning = Vec::new();
        loop {
            let end = Header::end(self.name(), &beginning).map_err(ArriveError::from)?;
            match end {
                Some(end) if end > self.file.size => return Err(self.cut_off(end).into()),
                Some(end) if end <= beginning.len() as u64 => return Ok(beginning),
                _ => {}
            }
            // A header longer than a chunk is one commit, and may be asked for as such.
            let window = self.lengths().chunk.max(end.unwrap_or(0));
            let next = bytes.next(0, window).await?;
            let next = next.ok_or_else(|| self.cut_off(end.unwrap_or(self.file.size + 1)))?;
            beginning.extend(next);
        }
    }

    fn cut_off(&self, expected: u64) -> ArriveError {
        ArriveError::from(SafetensorsError::Truncated {
            file: self.name().into(),
            expected,
            found: self.file.size,
        })
    }

    fn header_end(&self, bytes: &[u8]) -> Result<usize, Interruption> {
        let end = Header::end(self.name(), bytes).map_err(ArriveError::from)?;
        Ok(end.ok_or_else(|| self.cut_off(self.file.size + 1))? as usize)
    }

    fn commits(&self, header: &[u8]) -> Result<Vec<Commit>, Interruption> {
        let header = Header::parse(self.name(), header).map_err(ArriveError::from)?;
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
            return Err(ArriveError::from(error).into());
        }
        let commits = plan(self.name(), &header, &self.rules);
        Ok(commits.map_err(ArriveError::from)?)
    }

    fn lost(&self) -> Interruption {
        Interruption::StartOver(format!(
            "What was stored of {} can't be gone on with, so it is loaded from its beginning.",
            self.name()
        ))
    }
}

/// Why an arrival doesn't go on.
enum Interruption {
    Error(ArriveError),
    /// A sentence why.
    StartOver(String),
}

impl<E: Into<ArriveError>> From<E> for Interruption {
    fn from(error: E) -> Self {
        Interruption::Error(error.into())
    }
}

impl From<TransferError> for Interruption {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Paused => Interruption::Error(ArriveError::Paused),
            TransferError::StartOver(reason) => Interruption::StartOver(reason),
            TransferError::Source(error) => Interruption::Error(error.into()),
        }
    }
}

/// Bytes of the records that these commits become.
fn stored_length(commits: &[Commit]) -> u64 {
    commits
        .iter()
        .flat_map(|commit| &commit.tensors)
        .filter_map(|tensor| tensor.to.byte_length(&tensor.shape))
        .fold(0, |sum, length| sum + length as u64)
}
