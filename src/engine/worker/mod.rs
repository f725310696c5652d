//! The engine in a dedicated Web Worker: it takes requests, runs one job at a time and posts events.

mod choices;
mod device;
mod experiments;
mod host;
mod meter;
mod preparation;
mod started;
mod tasks;

use std::rc::Rc;

use futures::{StreamExt, channel::mpsc};

use super::error::EngineError;
use super::host::{Outcome, StripRequest};
use crate::browser::globals::worker_scope::WorkerScope;
use crate::history::experiments::{self as kept, ExperimentId};
use crate::protocol::engine::{
    Event, Extent, JobEvent, JobId, PROTOCOL_VERSION, Request, Snapshot, StripView, Task,
    TaskEvent, TaskId,
};
use crate::recipe::Recipe;

use experiments::{Experiments, MeasuringError, Work};
use host::{Shared, WorkerHost};
use meter::Meter;
use started::{JobOutcome, PairAddress, StartedEngine};
use tasks::HistoryState;

/// What wakes the worker's loop.
enum Incoming {
    Request(Request),
    /// There may be a strip to decode, unless a job has decoded it meanwhile.
    Strip,
    /// Begin an experiment with the pair that is open by then.
    BeginExperiment {
        task: TaskId,
        experiment: ExperimentId,
        text: String,
    },
    /// Measure an experiment's pictures by a network.
    Measure {
        task: TaskId,
        experiment: ExperimentId,
        manifest_url: String,
    },
}

/// Starts the engine; it lives as long as its worker.
pub fn run() {
    let (sender, incoming) = mpsc::unbounded();
    let shared = Rc::<Shared>::default();
    let history = Rc::<HistoryState>::default();
    let experiments = Rc::<Experiments>::default();
    let scope = WorkerScope::own();
    let worker = Worker {
        experiments: experiments.clone(),
        scope: scope.clone(),
        shared: shared.clone(),
        history: history.clone(),
        engine: None,
    };
    wasm_bindgen_futures::spawn_local(worker.serve(incoming));
    let own = scope.clone();
    scope.open(PROTOCOL_VERSION, move |request| {
        let incoming = match request {
            // Takes effect at once, and not in the order of the queue: it may end the running job.
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
                        recipe: *recipe,
                        cell,
                        view,
                        skip,
                        sends_frames: true,
                    });
                    Incoming::Strip
                }
                Task::Convergence { recipe, cell } => {
                    shared.strips.borrow_mut().push_back(StripRequest {
                        task: id,
                        recipe: *recipe,
                        cell,
                        view: StripView::Target,
                        skip: 0,
                        sends_frames: false,
                    });
                    Incoming::Strip
                }
                Task::Experiment(kept::Request::Begin {
                    id: experiment,
                    experiment: text,
                }) => Incoming::BeginExperiment {
                    task: id,
                    experiment,
                    text,
                },
                Task::Experiment(kept::Request::MeasureByNetwork {
                    id: experiment,
                    manifest_url,
                }) => {
                    shared.stops_measuring.set(false);
                    Incoming::Measure {
                        task: id,
                        experiment,
                        manifest_url,
                    }
                }
                // At once, as it ends what runs.
                Task::Experiment(kept::Request::StopMeasuring) => {
                    shared.stops_measuring.set(true);
                    return own.post(Event::Task {
                        id,
                        event: TaskEvent::Done,
                    });
                }
                Task::Experiment(request) => {
                    return experiments.take(&own, id, Work::Asked(request));
                }
                // Counted at once, also while a job runs.
                Task::Tokens(prompts) => {
                    let tokenizers = shared.tokenizers.borrow();
                    return tasks::count_tokens(&own, tokenizers.as_deref(), id, &prompts);
                }
                Task::File(request) => return tasks::encode(own.clone(), id, *request),
                Task::History(request) => {
                    return tasks::change_history(own.clone(), history.clone(), id, request);
                }
            },
            request => Incoming::Request(request),
        };
        // The receiver lives as long as the worker.
        let _ = sender.unbounded_send(incoming);
    });
}

struct Worker {
    scope: WorkerScope<Event>,
    shared: Rc<Shared>,
    history: Rc<HistoryState>,
    experiments: Rc<Experiments>,
    /// None until a start by the page has succeeded.
    engine: Option<StartedEngine>,
}

impl Worker {
    /// Serves the requests one after the other: a job that comes while another runs waits in the
    /// channel.
    async fn serve(mut self, mut incoming: mpsc::UnboundedReceiver<Incoming>) {
        while let Some(incoming) = incoming.next().await {
            match incoming {
                Incoming::Strip => self.decode_strips().await,
                Incoming::BeginExperiment {
                    task,
                    experiment: id,
                    text,
                } => {
                    let manifest = match &self.engine {
                        Some(engine) => engine.run_manifest(&text).await,
                        None => Err(EngineError::NotStarted),
                    };
                    let manifest = manifest.map_err(|error| error.to_string());
                    let begun = Work::Begun { id, manifest };
                    self.experiments.take(&self.scope, task, begun);
                }
                Incoming::Measure {
                    task,
                    experiment,
                    manifest_url,
                } => self.measure(task, experiment, &manifest_url).await,
                Incoming::Request(Request::Start {
                    device,
                    manifest_url,
                    pair_address,
                    measures,
                    at_most,
                }) => {
                    let address = PairAddress {
                        manifest_url,
                        on_page: pair_address,
                    };
                    self.shared.tokenizers.take();
                    let started = match self.engine.take() {
                        Some(running)
                            if running.preference() == device
                                && running.meter().is_some() == measures =>
                        {
                            running.change_pair(&self.scope, address, at_most).await
                        }
                        _ => {
                            StartedEngine::start(&self.scope, device, address, measures, at_most)
                                .await
                        }
                    };
                    match started {
                        Ok(started) => {
                            if let Some(tokenizers) = started.tokenizers().await {
                                self.shared.count_with(&tokenizers, &self.scope);
                            }
                            self.engine = Some(started);
                        }
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
                    snapshots,
                }) => self.generate(job, &recipe, &extent, &snapshots).await,
                // These never enter the queue.
                Incoming::Request(Request::Cancel { .. } | Request::Task { .. }) => {}
            }
        }
    }

    async fn generate(
        &mut self,
        job: JobId,
        recipe: &Recipe,
        extent: &Extent,
        snapshots: &[Snapshot],
    ) {
        let mut host = WorkerHost::new(&self.scope, &self.shared, job, self.meter());
        let outcome = match &mut self.engine {
            Some(engine) => engine.run(recipe, extent, snapshots, &mut host).await,
            None => Err(EngineError::NotStarted),
        };
        self.shared.cancelled.borrow_mut().remove(&job);
        let event = match outcome {
            Ok(JobOutcome::LacksWeights { manifest }) => JobEvent::LacksWeights { manifest },
            Ok(JobOutcome::Ended(Outcome::Done)) => JobEvent::Done,
            Ok(JobOutcome::Ended(Outcome::Cancelled)) => JobEvent::Cancelled,
            Err(EngineError::Device { reason }) => return self.device_failed(reason),
            Err(error) => JobEvent::Failed {
                message: error.to_string(),
            },
        };
        let has_ended = matches!(event, JobEvent::Done | JobEvent::Cancelled);
        self.scope.post(Event::Job { job, event });
        if has_ended
            && !extent.is_of_experiment
            && let Some(engine) = &self.engine
            && let Some(entry) = engine.history_entry(recipe)
        {
            let (scope, history) = (self.scope.clone(), self.history.clone());
            tasks::remember(scope, history, entry, engine.stores_nothing());
        }
    }

    /// Has a network measure an experiment's pictures. It leaves the device afterwards: to read it again takes
    /// less than its memory is worth.
    async fn measure(&mut self, task: TaskId, id: ExperimentId, manifest_url: &str) {
        let tell = |done, all| {
            let event = TaskEvent::Experiment(kept::Reply::Measured(done, all));
            self.scope.post(Event::Task { id: task, event });
        };
        let watched = experiments::Watched {
            is_stopped: &self.shared.stops_measuring,
            tell: &tell,
        };
        let network = match &mut self.engine {
            Some(engine) => engine.network(manifest_url).await,
            None => Err(EngineError::NotStarted),
        };
        let found = match network {
            Ok(network) => experiments::measure_by(&network, id, watched).await,
            Err(error) => Err(error.into()),
        };
        let found = match found {
            Ok(Some(found)) => Ok(found),
            Ok(None) => {
                return self.scope.post(Event::Task {
                    id: task,
                    event: TaskEvent::Done,
                });
            }
            Err(MeasuringError::Engine(EngineError::Device { reason })) => {
                return self.device_failed(reason);
            }
            Err(error) => Err(error.to_string()),
        };
        let found = Work::Found { id, found };
        self.experiments.take(&self.scope, task, found);
    }

    fn meter(&self) -> Option<Rc<Meter>> {
        self.engine.as_ref()?.meter()
    }

    /// A device that has failed once fails for good: the page starts a new worker, of which it needs no
    /// more than the reason.
    fn device_failed(&self, reason: String) {
        let sentence = EngineError::Device {
            reason: reason.clone(),
        };
        self.scope.post(Event::DeviceFailed { reason });
        self.scope.stop(sentence.to_string());
    }

    /// Decodes the requested strips between two jobs.
    async fn decode_strips(&self) {
        let mut host = WorkerHost::without_job(&self.scope, &self.shared, self.meter());
        while let Some(request) = host.next_strip() {
            let outcome = match &self.engine {
                Some(engine) => engine.decode_strip(&request, &mut host).await,
                None => Err(EngineError::StepsDiscarded),
            };
            match outcome {
                Ok(()) => {}
                Err(EngineError::Device { reason }) => self.device_failed(reason),
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
