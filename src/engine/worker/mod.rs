//! The engine in a dedicated Web Worker: messages in, events out, one job at a time.

mod device;
mod host;
mod started;
mod tasks;

use std::cell::RefCell;
use std::rc::Rc;

use futures::{StreamExt, channel::mpsc};

use super::error::EngineError;
use super::generate::{Outcome, StripRequest};
use crate::browser::globals::worker_scope::WorkerScope;
use crate::protocol::engine::{
    Event, Extent, JobEvent, JobId, PROTOCOL_VERSION, Request, Task, TaskEvent,
};
use crate::recipe::Recipe;
use host::{Shared, WorkerHost};
use started::{PairAddress, Run, StartedEngine};
use tasks::Runs;

/// What the worker's loop wakes up for.
enum Incoming {
    Request(Request),
    /// There may be a strip to decode, if no job has come by it yet.
    Strip,
}

/// Starts the engine; it lives as long as its worker.
pub fn run() {
    let (sender, incoming) = mpsc::unbounded();
    let shared = Rc::<Shared>::default();
    let runs = Rc::<Runs>::default();
    // The loop begins with the first message, which brings the scope along.
    let starting = RefCell::new(Some(incoming));
    WorkerScope::open(
        PROTOCOL_VERSION,
        move |scope: &WorkerScope<Event>, request| {
            if let Some(incoming) = starting.borrow_mut().take() {
                let worker = Worker {
                    scope: scope.clone(),
                    shared: shared.clone(),
                    runs: runs.clone(),
                    engine: None,
                };
                wasm_bindgen_futures::spawn_local(worker.serve(incoming));
            }
            let incoming = match request {
                // At once, and not in the order of the queue: the job that it ends is running.
                Request::Cancel { job } => {
                    shared.cancelled.borrow_mut().insert(job);
                    return;
                }
                Request::Task { id, task } => match task {
                    Task::Strip {
                        recipe,
                        cell,
                        view,
                        skip,
                    } => {
                        shared.strips.borrow_mut().push_back(StripRequest {
                            task: id,
                            recipe,
                            cell,
                            view,
                            skip,
                        });
                        Incoming::Strip
                    }
                    Task::File(request) => return tasks::encode(scope.clone(), id, *request),
                    Task::History(request) => {
                        return tasks::change_history(scope.clone(), runs.clone(), id, request);
                    }
                },
                request => Incoming::Request(request),
            };
            // The receiver lives as long as the worker.
            let _ = sender.unbounded_send(incoming);
        },
    );
}

struct Worker {
    scope: WorkerScope<Event>,
    shared: Rc<Shared>,
    runs: Rc<Runs>,
    /// None until the page has started it, and after a start that failed.
    engine: Option<StartedEngine>,
}

impl Worker {
    /// Takes the requests one after the other: a job that comes while another runs waits here.
    async fn serve(mut self, mut incoming: mpsc::UnboundedReceiver<Incoming>) {
        while let Some(incoming) = incoming.next().await {
            match incoming {
                Incoming::Strip => self.decode_strips().await,
                Incoming::Request(Request::Start {
                    device,
                    manifest_url,
                    pair_address,
                }) => {
                    let address = PairAddress {
                        manifest_url,
                        on_page: pair_address,
                    };
                    let started = match self.engine.take() {
                        Some(running) if running.preference() == device => {
                            running.change_pair(&self.scope, address).await
                        }
                        _ => StartedEngine::start(&self.scope, device, address).await,
                    };
                    match started {
                        Ok(started) => self.engine = Some(started),
                        Err(error) => self.scope.stop(error.to_string()),
                    }
                }
                Incoming::Request(Request::HoldWeights) => {
                    if let Some(engine) = &mut self.engine {
                        engine.hold_weights();
                    }
                }
                Incoming::Request(Request::Generate {
                    job,
                    recipe,
                    extent,
                }) => self.generate(job, &recipe, &extent).await,
                // These don't come by the queue.
                Incoming::Request(Request::Cancel { .. } | Request::Task { .. }) => {}
            }
        }
    }

    async fn generate(&mut self, job: JobId, recipe: &Recipe, extent: &Extent) {
        let mut host = WorkerHost::new(&self.scope, &self.shared, job);
        let outcome = match &mut self.engine {
            Some(engine) => engine.run(recipe, extent, &mut host).await,
            None => Err(EngineError::NotStarted),
        };
        self.shared.cancelled.borrow_mut().remove(&job);
        let event = match outcome {
            Ok(Run::LacksWeights) => JobEvent::LacksWeights,
            Ok(Run::Ended(Outcome::Done)) => JobEvent::Done,
            Ok(Run::Ended(Outcome::Cancelled)) => JobEvent::Cancelled,
            // A device that has failed once fails for good: the page starts a new worker.
            Err(error @ EngineError::Device { .. }) => return self.scope.stop(error.to_string()),
            Err(error) => JobEvent::Failed {
                message: error.to_string(),
            },
        };
        let has_ended = matches!(event, JobEvent::Done | JobEvent::Cancelled);
        self.scope.post(Event::Job { job, event });
        if has_ended
            && let Some(engine) = &self.engine
            && let Some(entry) = engine.history_entry(recipe)
        {
            let (scope, runs) = (self.scope.clone(), self.runs.clone());
            tasks::remember(scope, runs, entry, engine.stores_nothing());
        }
    }

    /// Decodes the strips that are wanted between two jobs.
    async fn decode_strips(&self) {
        let mut host = WorkerHost::without_job(&self.scope, &self.shared);
        while let Some(request) = host.next_strip() {
            let outcome = match &self.engine {
                Some(engine) => engine.decode_strip(&request, &mut host).await,
                None => Err(EngineError::NotKept),
            };
            match outcome {
                Ok(()) => {}
                Err(error @ EngineError::Device { .. }) => self.scope.stop(error.to_string()),
                Err(error) => self.scope.post(Event::Task {
                    id: request.task,
                    event: TaskEvent::Failed {
                        message: error.to_string(),
                    },
                }),
            }
        }
    }
}
