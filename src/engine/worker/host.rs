//! The worker as a job sees it: where its events go, whether it was cancelled, and how far the
//! reading of its files is.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};

use gloo_timers::future::TimeoutFuture;

use crate::browser::globals::worker_scope::WorkerScope;
use crate::engine::error::EngineError;
use crate::engine::generate::{Host, StripRequest};
use crate::engine::pair::PairFiles;
use crate::protocol::engine::{Event, JobEvent, JobId, LoadingFrom, TaskEvent, TaskId};
use crate::weights::download::network::source::SourceError;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::stored::files::{Files, FilesError};

/// The least time between two reports of how far the reading of a pair is.
const READING_MILLISECONDS: f64 = 200.0;

/// The number of no job: the page counts from 1, so nothing cancels what is done between two jobs.
const NO_JOB: JobId = 0;

/// What messages bring while a job runs.
#[derive(Default)]
pub(super) struct Shared {
    /// Jobs that are to end.
    pub cancelled: RefCell<BTreeSet<JobId>>,
    /// Strips that are wanted, the first one first.
    pub strips: RefCell<VecDeque<StripRequest>>,
}

/// The worker as the job loop sees it.
pub(super) struct WorkerHost<'a> {
    scope: &'a WorkerScope<Event>,
    shared: &'a Shared,
    /// The running job; [`NO_JOB`] between two jobs.
    job: JobId,
}

impl<'a> WorkerHost<'a> {
    pub fn new(scope: &'a WorkerScope<Event>, shared: &'a Shared, job: JobId) -> Self {
        WorkerHost { scope, shared, job }
    }

    pub fn without_job(scope: &'a WorkerScope<Event>, shared: &'a Shared) -> Self {
        WorkerHost::new(scope, shared, NO_JOB)
    }

    pub fn next_strip(&self) -> Option<StripRequest> {
        self.shared.strips.borrow_mut().pop_front()
    }

    /// Tells the page what becomes of the running job.
    pub fn post(&self, event: JobEvent) {
        let job = self.job;
        self.scope.post(Event::Job { job, event });
    }

    /// Tells the visitor something.
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
}

/// How far a job's reading is.
pub(super) struct Reading {
    /// Bytes of all that is to be read.
    total: u64,
    received: Cell<u64>,
    /// When the page was told last, in milliseconds.
    told: Cell<f64>,
}

impl Reading {
    /// Nothing of so many bytes has been read.
    pub fn of(total: u64) -> Self {
        Reading {
            total,
            received: Cell::new(0),
            told: Cell::new(0.0),
        }
    }
}

/// The files as one job reads them: cancelling the job ends the reading.
pub(super) struct JobFiles<'a> {
    pub files: &'a Files,
    pub host: &'a WorkerHost<'a>,
    pub reading: &'a Reading,
}

impl JobFiles<'_> {
    /// Tells the page now and then, and at the end.
    fn note(&self, bytes: usize) {
        let Reading {
            total,
            received,
            told,
        } = self.reading;
        received.set((received.get() + bytes as u64).min(*total));
        let now = self.host.milliseconds();
        if received.get() == *total || now - told.get() >= READING_MILLISECONDS {
            told.set(now);
            self.host.post(JobEvent::Loading {
                received: received.get(),
                total: *total,
                from: LoadingFrom::Store,
            });
        }
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
        self.note(tensor.bytes.len());
        Ok(tensor)
    }

    async fn blob(&self, id: &str) -> Result<Vec<u8>, EngineError> {
        let bytes = self.files.read_blob(id).await?;
        self.note(bytes.len());
        Ok(bytes)
    }
}
