//! The engine in a dedicated Web Worker: messages in, events out, one job at a time.

mod device;
mod tasks;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, VecDeque},
    ops::ControlFlow,
    rc::Rc,
};

use futures::{StreamExt, channel::mpsc};
use gloo_timers::future::TimeoutFuture;
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use super::error::EngineError;
use super::generate::{Host, Outcome, StripRequest, generate, strip};
use super::grid_state::Kept;
use super::pair::{Pair, PairFiles, describe};
use crate::history::{self, MAXIMUM_THUMBNAILS, THUMBNAIL_SIDE};
use crate::protocol::engine::{
    Errand, Event, Extent, JobId, LoadingFrom, PROTOCOL_VERSION, Request,
};
use crate::recipe::device::DevicePreference;
use crate::recipe::saved_recipe::SavedRecipe;
use crate::recipe::{Mode, Recipe};
use crate::sampler::ModelRole;
use crate::weights::download::network::source::SourceError;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::manifest::Manifest;
use crate::weights::stored::files::{Files, FilesError};

/// The least time between two reports of how far the reading of a pair is.
const READING_MILLISECONDS: f64 = 200.0;

type Cancelled = Rc<RefCell<BTreeSet<JobId>>>;
/// Strips that are wanted, the first one first.
type Strips = Rc<RefCell<VecDeque<StripRequest>>>;

/// What the worker's loop wakes up for.
enum Incoming {
    Request(Request),
    /// There may be a strip to decode, if no job has come by it yet.
    Strip,
}

/// Starts the engine; it lives as long as its worker.
pub fn run() {
    report_panics();
    let scope = own_scope();
    let cancelled = Cancelled::default();
    let strips = Strips::default();
    let runs = Rc::<tasks::Runs>::default();
    let (sender, incoming) = mpsc::unbounded();
    let receive = {
        let scope = scope.clone();
        let cancelled = cancelled.clone();
        let strips = strips.clone();
        let runs = runs.clone();
        Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
            match serde_wasm_bindgen::from_value(message.data()) {
                // At once, and not in the order of the queue: the job that it ends is running.
                Ok(Request::Cancel { job }) => {
                    cancelled.borrow_mut().insert(job);
                }
                Ok(Request::Errand { errand, task }) => match task {
                    Errand::Strip {
                        recipe,
                        cell,
                        view,
                        skip,
                    } => {
                        strips.borrow_mut().push_back(StripRequest {
                            errand,
                            recipe,
                            cell,
                            view,
                            skip,
                        });
                        let _ = sender.unbounded_send(Incoming::Strip);
                    }
                    task => tasks::run(scope.clone(), runs.clone(), errand, task),
                },
                Ok(request) => {
                    // The receiver lives as long as the worker.
                    let _ = sender.unbounded_send(Incoming::Request(request));
                }
                Err(error) => post(
                    &scope,
                    &Event::Failed {
                        message: format!(
                            "The engine got a message that it can't read ({error}). Reload the page."
                        ),
                    },
                ),
            }
        })
    };
    scope.set_onmessage(Some(receive.as_ref().unchecked_ref()));
    receive.forget();
    post(
        &scope,
        &Event::Ready {
            version: PROTOCOL_VERSION,
        },
    );
    wasm_bindgen_futures::spawn_local(serve(scope, incoming, cancelled, strips, runs));
}

fn own_scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// A panic ends the worker's module in the middle of a promise, of which the page hears nothing:
/// this tells it, so that it can start another worker.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        post(
            &own_scope(),
            &Event::Failed {
                message: format!(
                    "The engine stopped by a mistake of its own or of the graphics driver ({panic}). What is stored stays; try again, or add device=cpu to the address to do without the graphics processor."
                ),
            },
        );
    }));
}

pub(super) fn post(scope: &DedicatedWorkerGlobalScope, event: &Event) {
    let posted = serde_wasm_bindgen::to_value(event)
        .map_err(JsValue::from)
        .and_then(|message| scope.post_message(&message));
    if let Err(error) = posted {
        web_sys::console::error_2(&"an event could not be posted".into(), &error);
    }
}

/// Takes the requests one after the other: a job that comes while another runs waits here.
async fn serve(
    scope: DedicatedWorkerGlobalScope,
    mut incoming: mpsc::UnboundedReceiver<Incoming>,
    cancelled: Cancelled,
    strips: Strips,
    runs: Rc<tasks::Runs>,
) {
    let mut engine: Option<Engine> = None;
    while let Some(incoming) = incoming.next().await {
        let request = match incoming {
            Incoming::Request(request) => request,
            Incoming::Strip => {
                // No job runs: the number is that of none, so that nothing cancels it.
                let mut host = WorkerHost {
                    scope: &scope,
                    cancelled: &cancelled,
                    strips: &strips,
                    job: 0,
                };
                while let Some(request) = host.take_strip() {
                    decode_strip(engine.as_ref(), &request, &mut host).await;
                }
                continue;
            }
        };
        match request {
            Request::Start {
                version,
                device,
                manifest_url,
                pair_address,
            } => {
                let address = PairAddress {
                    manifest_url,
                    on_page: pair_address,
                };
                let started = match engine.take() {
                    Some(running) if running.preference == device => {
                        running.change_pair(&scope, address).await
                    }
                    _ => Engine::start(&scope, version, device, address).await,
                };
                match started {
                    Ok(started) => engine = Some(started),
                    Err(error) => post(
                        &scope,
                        &Event::Failed {
                            message: error.to_string(),
                        },
                    ),
                }
            }
            Request::Generate {
                job,
                recipe,
                extent,
            } => {
                let mut host = WorkerHost {
                    scope: &scope,
                    cancelled: &cancelled,
                    strips: &strips,
                    job,
                };
                let outcome = match &mut engine {
                    Some(engine) => engine.run(&recipe, &extent, &mut host).await,
                    None => Err(EngineError::NotStarted),
                };
                let has_ended = outcome.is_ok();
                host.emit(match outcome {
                    Ok(Outcome::Done) => Event::JobDone { job },
                    Ok(Outcome::Cancelled) => Event::JobCancelled { job },
                    // A device that has failed once fails for good: the page starts a new worker.
                    Err(error @ EngineError::Device { .. }) => Event::Failed {
                        message: error.to_string(),
                    },
                    Err(error) => Event::JobFailed {
                        job,
                        message: error.to_string(),
                    },
                });
                cancelled.borrow_mut().remove(&job);
                if has_ended
                    && let Some(engine) = &engine
                    && let Some(entry) = engine.history_entry(&recipe)
                {
                    let stores_nothing = engine.files.notice().is_some();
                    tasks::remember(scope.clone(), runs.clone(), entry, stores_nothing);
                }
            }
            Request::Cancel { .. } | Request::Errand { .. } => {}
        }
    }
}

/// The worker as the job loop sees it.
struct WorkerHost<'a> {
    scope: &'a DedicatedWorkerGlobalScope,
    cancelled: &'a Cancelled,
    strips: &'a Strips,
    job: JobId,
}

impl Host for WorkerHost<'_> {
    fn emit(&mut self, event: Event) {
        post(self.scope, &event);
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.borrow().contains(&self.job)
    }

    async fn pause(&self) {
        TimeoutFuture::new(0).await;
    }

    fn milliseconds(&self) -> f64 {
        self.scope
            .performance()
            .map_or_else(js_sys::Date::now, |performance| performance.now())
    }

    fn take_strip(&mut self) -> Option<StripRequest> {
        self.strips.borrow_mut().pop_front()
    }
}

/// Decodes a strip between two jobs.
async fn decode_strip(engine: Option<&Engine>, request: &StripRequest, host: &mut WorkerHost<'_>) {
    let pair = engine.and_then(|engine| Some((engine.pair.as_deref()?, &engine.kept)));
    let outcome = match pair {
        Some((pair, kept)) => strip(pair, kept, request, host).await,
        None => Err(EngineError::NotKept),
    };
    match outcome {
        Ok(()) => {}
        Err(error @ EngineError::Device { .. }) => host.emit(Event::Failed {
            message: error.to_string(),
        }),
        Err(error) => host.emit(Event::ErrandFailed {
            errand: request.errand,
            message: error.to_string(),
        }),
    }
}

/// How far a job's reading is.
struct Reading {
    /// Bytes of all that is to be read.
    total: u64,
    received: Cell<u64>,
    /// When the page was told last, in milliseconds.
    told: Cell<f64>,
}

/// The files as one job reads them: cancelling the job ends the reading.
struct JobFiles<'a> {
    files: &'a Files,
    host: &'a WorkerHost<'a>,
    reading: &'a Reading,
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
            post(
                self.host.scope,
                &Event::Loading {
                    job: self.host.job,
                    received: received.get(),
                    total: *total,
                    from: LoadingFrom::Store,
                },
            );
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

/// Cancelling while files are read or loaded is an outcome, and no failure.
fn cancelled_or(error: EngineError) -> Result<Outcome, EngineError> {
    match error {
        EngineError::Files(error) if error.is_cancelled() => Ok(Outcome::Cancelled),
        error => Err(error),
    }
}

/// Where a pair's manifest is.
struct PairAddress {
    manifest_url: String,
    /// Relative to the page.
    on_page: String,
}

/// A started engine: a device, a manifest with its files, and the pair once a job has needed it.
struct Engine {
    /// What the device was chosen by.
    preference: DevicePreference,
    device: burn::tensor::Device,
    files: Files,
    manifest: Manifest,
    address: PairAddress,
    /// Apart: moved by value, the models take a third of a megabyte of a stack that has one.
    pair: Option<Box<Pair>>,
    kept: Kept,
}

impl Engine {
    async fn start(
        scope: &DedicatedWorkerGlobalScope,
        version: u32,
        preference: DevicePreference,
        address: PairAddress,
    ) -> Result<Self, EngineError> {
        if version != PROTOCOL_VERSION {
            return Err(EngineError::ProtocolVersion {
                page: version,
                engine: PROTOCOL_VERSION,
            });
        }
        let (device, info) = device::select(preference).await?;
        post(scope, &Event::Device(info));
        let mut files = Files::open().await;
        if let Some(message) = files.renewal() {
            post(
                scope,
                &Event::Notice {
                    message: message.into(),
                },
            );
        }
        let manifest = files.manifest(&address.manifest_url).await?;
        post(scope, &Event::Pair(Box::new(describe(&manifest)?)));
        Ok(Self {
            preference,
            device,
            files,
            manifest,
            address,
            pair: None,
            kept: Kept::default(),
        })
    }

    /// The same device and files with another pair, whose models take the place of this one's.
    async fn change_pair(
        mut self,
        scope: &DedicatedWorkerGlobalScope,
        address: PairAddress,
    ) -> Result<Self, EngineError> {
        self.pair = None;
        self.kept.clear();
        self.manifest = self.files.manifest(&address.manifest_url).await?;
        self.address = address;
        post(scope, &Event::Pair(Box::new(describe(&self.manifest)?)));
        Ok(self)
    }

    async fn run(
        &mut self,
        recipe: &Recipe,
        extent: &Extent,
        host: &mut WorkerHost<'_>,
    ) -> Result<Outcome, EngineError> {
        let job = host.job;
        if host.is_cancelled() {
            return Ok(Outcome::Cancelled);
        }
        host.emit(Event::JobStarted { job });
        recipe.validate()?;
        let mut reading = self.reading(&recipe.modes).await?;
        if self.pair.is_none() {
            match self.load(&recipe.modes, &mut reading, host).await {
                Ok(pair) => self.pair = Some(pair),
                Err(error) => return cancelled_or(error),
            }
        }
        let Some(pair) = &mut self.pair else {
            return Err(EngineError::NotLoaded);
        };
        let files = JobFiles {
            files: &self.files,
            host,
            reading: &reading,
        };
        match pair.load_unets(&recipe.modes, &files).await {
            Ok(true) => host.emit(Event::Compiling { job }),
            Ok(false) => {}
            Err(error) => {
                // The next job asks for all files anew: a damaged record has been discarded.
                self.pair = None;
                return cancelled_or(error);
            }
        }
        let Some(pair) = &self.pair else {
            return Err(EngineError::NotLoaded);
        };
        generate(pair, job, recipe, extent, &mut self.kept, host).await
    }

    /// A run as the history keeps it; none where no image of it is finished.
    fn history_entry(&self, recipe: &Recipe) -> Option<history::Entry> {
        let images = u32::try_from(self.kept.images()).ok()?;
        if images == 0 || !self.kept.is_of(recipe) {
            return None;
        }
        let (address, name) = (&self.address.on_page, &self.manifest.name);
        Some(history::Entry {
            recipe: SavedRecipe::new(address, name, recipe.clone(), None),
            drawn_at: js_sys::Date::now(),
            images,
            thumbnails: self.kept.thumbnails(MAXIMUM_THUMBNAILS, THUMBNAIL_SIDE),
        })
    }

    /// What a job with these modes reads from the store: nothing of what is loaded.
    async fn reading(&self, modes: &[Mode]) -> Result<Reading, EngineError> {
        let components = &self.manifest.components;
        let lacks = |role| {
            let pair = self.pair.as_ref();
            pair.is_none_or(|pair| pair.unet(role).is_err())
        };
        let distilled =
            modes.iter().any(|mode| mode.needs_distilled()) && lacks(ModelRole::Distilled);
        let adapts = distilled && components.unet_distilled.adapter_on.is_some();
        let base = modes.iter().any(|mode| mode.needs_base()) || adapts;
        let mut total = 0;
        for (name, component) in components.iter() {
            let is_read = match name {
                "unet" => base && lacks(ModelRole::Base),
                "unet_distilled" => distilled,
                _ => self.pair.is_none(),
            };
            for file in component.files.iter().filter(|_| is_read) {
                total += self.files.stored_size(&file.id).await?;
            }
        }
        Ok(Reading {
            total,
            received: Cell::new(0),
            told: Cell::new(0.0),
        })
    }

    /// Brings the files and loads all of the pair but the UNets.
    async fn load(
        &mut self,
        modes: &[Mode],
        reading: &mut Reading,
        host: &mut WorkerHost<'_>,
    ) -> Result<Box<Pair>, EngineError> {
        let job = host.job;
        let mut arrived = false;
        self.files
            .ensure(
                &self.manifest,
                &self.address.manifest_url,
                |received, total| {
                    arrived = true;
                    host.emit(Event::Loading {
                        job,
                        received,
                        total,
                        from: LoadingFrom::Network,
                    });
                    if host.is_cancelled() {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                },
            )
            .await?;
        if let Some(message) = self.files.notice() {
            host.emit(Event::Notice {
                message: message.into(),
            });
        }
        if arrived {
            *reading = self.reading(modes).await?;
        }
        let files = JobFiles {
            files: &self.files,
            host,
            reading,
        };
        let pair = Pair::load(self.manifest.clone(), self.device.clone(), &files).await?;
        Ok(Box::new(pair))
    }
}
