//! The worker as the job loop's [`Host`]: posts the events, knows whether the job was cancelled, and
//! reports how much of the pair's files has been read.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use gloo_timers::future::TimeoutFuture;

use super::meter::Meter;
use crate::browser::globals::worker_scope::WorkerScope;
use crate::engine::error::EngineError;
use crate::engine::host::{Host, StripRequest};
use crate::engine::pair_files::PairFiles;
use crate::models::ClipTokenizer;
use crate::protocol::allowance::Allowance;
use crate::protocol::engine::{Event, JobEvent, JobId, LoadingFrom, TaskEvent, TaskId};
use crate::protocol::stats::Phase;
use crate::weights::download::network::source::SourceError;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::stored::files::{Files, FilesError};

/// The least time between two events about the bytes read so far.
const READING_MILLISECONDS: f64 = 200.0;

/// What the visitor is told where weights are in an earlier version's order.
const REQUANTIZED: &str = "These models are stored in the order of an earlier version of the page, so \
    their convolutions are converted each time they are loaded, with a small loss. Delete the pair in \
    Models and load it again to be rid of both; a pack has to be made anew.";

/// The job's number while none runs. The page counts from 1, so no request cancels this one.
const NO_JOB: JobId = 0;

/// The content of messages that take effect while a job runs.
#[derive(Default)]
pub(super) struct Shared {
    /// Jobs that the page has cancelled and that have not ended.
    pub cancelled: RefCell<BTreeSet<JobId>>,
    /// Strips to decode, in the order in which they were requested.
    pub strips: RefCell<VecDeque<StripRequest>>,
    /// Whether a network that measures an experiment's pictures is to stop.
    pub stops_measuring: Cell<bool>,
    /// The pair's tokenizers; none until they have been read.
    pub tokenizers: RefCell<Option<Arc<[ClipTokenizer; 2]>>>,
}

impl Shared {
    /// Has the tokens of prompts counted with these from now on, and tells the page so.
    pub fn count_with(&self, tokenizers: &Arc<[ClipTokenizer; 2]>, scope: &WorkerScope<Event>) {
        let known = self.tokenizers.replace(Some(tokenizers.clone()));
        if !known.is_some_and(|known| Arc::ptr_eq(&known, tokenizers)) {
            scope.post(Event::CountsTokens);
        }
    }
}

/// The worker as the job loop sees it.
pub(super) struct WorkerHost<'a> {
    scope: &'a WorkerScope<Event>,
    shared: &'a Shared,
    /// The running job; [`NO_JOB`] between two jobs.
    job: JobId,
    /// None where nothing is measured.
    meter: Option<Rc<Meter>>,
}

impl<'a> WorkerHost<'a> {
    pub fn new(
        scope: &'a WorkerScope<Event>,
        shared: &'a Shared,
        job: JobId,
        meter: Option<Rc<Meter>>,
    ) -> Self {
        WorkerHost {
            scope,
            shared,
            job,
            meter,
        }
    }

    pub fn without_job(
        scope: &'a WorkerScope<Event>,
        shared: &'a Shared,
        meter: Option<Rc<Meter>>,
    ) -> Self {
        WorkerHost::new(scope, shared, NO_JOB, meter)
    }

    pub fn next_strip(&self) -> Option<StripRequest> {
        self.shared.strips.borrow_mut().pop_front()
    }

    /// Posts an event of the running job.
    pub fn post(&self, event: JobEvent) {
        let job = self.job;
        self.scope.post(Event::Job { job, event });
    }

    /// Tells the page what the job uses of the device.
    pub fn allow(&self, allowance: Allowance) {
        self.scope.post(Event::Allowance(allowance));
    }

    /// Counts the tokens of prompts with these from now on.
    pub fn count_with(&self, tokenizers: &Arc<[ClipTokenizer; 2]>) {
        self.shared.count_with(tokenizers, self.scope);
    }

    /// The pair's tokenizers, where they have been read.
    pub fn tokenizers(&self) -> Option<Arc<[ClipTokenizer; 2]>> {
        self.shared.tokenizers.borrow().clone()
    }

    /// Posts a sentence for the visitor.
    pub fn notice(&self, message: &str) {
        let message = message.into();
        self.scope.post(Event::Notice { message });
    }
}

impl Host for WorkerHost<'_> {
    fn emit(&mut self, event: JobEvent) {
        self.post(event);
    }

    fn emit_task(&mut self, id: TaskId, event: TaskEvent) {
        self.scope.post(Event::Task { id, event });
    }

    fn is_cancelled(&self) -> bool {
        self.shared.cancelled.borrow().contains(&self.job)
    }

    async fn pause(&self) {
        TimeoutFuture::new(0).await;
    }

    fn milliseconds(&self) -> f64 {
        self.scope.milliseconds()
    }

    fn take_strip(&mut self) -> Option<StripRequest> {
        self.next_strip()
    }

    fn measures(&self) -> bool {
        self.meter.is_some()
    }

    fn took(&mut self, phase: Phase, milliseconds: f64) {
        if let Some(meter) = &self.meter {
            let measurement = meter.measure(phase, milliseconds);
            self.scope.post(Event::Measured(Box::new(measurement)));
        }
    }
}

/// The bytes that a job has read from the store, of all that it has to read.
pub(super) struct ReadingProgress {
    total: u64,
    received: Cell<u64>,
    /// The time of the last event, in milliseconds.
    reported_at: Cell<f64>,
}

impl ReadingProgress {
    /// None of `total` bytes has been read.
    pub fn of(total: u64) -> Self {
        ReadingProgress {
            total,
            received: Cell::new(0),
            reported_at: Cell::new(0.0),
        }
    }
}

/// A pair's files as one job reads them: a cancelled job reads no further tensor.
pub(super) struct JobFiles<'a> {
    pub files: &'a Files,
    pub host: &'a WorkerHost<'a>,
    pub reading: &'a ReadingProgress,
    /// Whether the visitor was told that weights were quantized anew.
    pub is_requantization_noted: Cell<bool>,
}

impl JobFiles<'_> {
    /// Adds bytes that were read, and posts the progress now and then and at the end.
    fn add(&self, bytes: usize) {
        let ReadingProgress {
            total,
            received,
            reported_at,
        } = self.reading;
        received.set((received.get() + bytes as u64).min(*total));
        let now = self.host.milliseconds();
        if received.get() == *total || now - reported_at.get() >= READING_MILLISECONDS {
            reported_at.set(now);
            self.host.post(JobEvent::Loading {
                received: received.get(),
                total: *total,
                from: LoadingFrom::Store,
            });
        }
    }
}

/// A pair's files as they are read outside of jobs.
pub(super) struct QuietFiles<'a>(pub &'a Files);

impl PairFiles for QuietFiles<'_> {
    async fn tensor_names(&self, id: &str) -> Result<Vec<String>, EngineError> {
        Ok(self.0.tensor_names(id).await?)
    }

    async fn tensor(&self, id: &str, name: &str) -> Result<StoredTensor, EngineError> {
        Ok(self.0.read_tensor(id, name).await?)
    }

    async fn metadata(&self, id: &str) -> Result<BTreeMap<String, String>, EngineError> {
        Ok(self.0.metadata(id).await?)
    }

    async fn blob(&self, id: &str) -> Result<Vec<u8>, EngineError> {
        Ok(self.0.read_blob(id).await?)
    }

    async fn stored_length(&self, id: &str) -> Result<u64, EngineError> {
        Ok(self.0.stored_size(id).await?)
    }
}

impl PairFiles for JobFiles<'_> {
    async fn tensor_names(&self, id: &str) -> Result<Vec<String>, EngineError> {
        Ok(self.files.tensor_names(id).await?)
    }

    async fn tensor(&self, id: &str, name: &str) -> Result<StoredTensor, EngineError> {
        if self.host.is_cancelled() {
            return Err(FilesError::from(SourceError::Cancelled).into());
        }
        let tensor = self.files.read_tensor(id, name).await?;
        self.add(tensor.bytes.len());
        Ok(tensor)
    }

    async fn blob(&self, id: &str) -> Result<Vec<u8>, EngineError> {
        let bytes = self.files.read_blob(id).await?;
        self.add(bytes.len());
        Ok(bytes)
    }

    async fn metadata(&self, id: &str) -> Result<BTreeMap<String, String>, EngineError> {
        Ok(self.files.metadata(id).await?)
    }

    async fn outlines(&self, id: &str) -> Result<Option<Vec<StoredTensor>>, EngineError> {
        Ok(self.files.outlines(id).await?)
    }

    async fn stored_length(&self, id: &str) -> Result<u64, EngineError> {
        Ok(self.files.stored_size(id).await?)
    }

    fn note_swap(&self, bytes: u64) {
        self.host.notice(&format!(
            "This device has no room for both models of the pair, so that one leaves it when only the \
             other is needed: a job that needs it again reads {} MB first.",
            bytes.div_ceil(1_000_000)
        ));
    }

    fn note_requantized(&self) {
        if !self.is_requantization_noted.replace(true) {
            self.host.notice(REQUANTIZED);
        }
    }
}
