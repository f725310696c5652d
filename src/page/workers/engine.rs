//! The page's end of the worker: starts it, talks to it, replaces it when it dies, and turns its
//! events into signals. Nothing else on the page posts a message.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

use super::grid::{CellState, Job, StepTaken, StripStep};
use crate::history::Listing;
use crate::protocol::engine::{
    DeviceInfo, Errand, ErrandId, Event, Extent, JobId, PROTOCOL_VERSION, PairInfo, Request,
};
use crate::recipe::device::DevicePreference;
use crate::recipe::{CellAddress, Recipe};
use crate::view::address::OWN_PAIR_ADDRESS;
use crate::view::jobs::Activity;
use crate::view::progress::{Progress, StepClock};

/// The worker's loader, relative to the page.
const WORKER_ADDRESS: &str = "./worker_loader.js";

/// What the visitor has to know, and perhaps to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What is wrong and what to do.
    pub sentence: String,
    /// Label of the button for [`EngineClient::go_on`].
    pub remedy: &'static str,
}

/// The engine as the page sees it.
#[derive(Clone, Copy)]
pub struct EngineClient {
    pub device: RwSignal<Option<DeviceInfo>>,
    /// None until the manifest has been read.
    pub pair: RwSignal<Option<PairInfo>>,
    /// Address of the pair's manifest, relative to the page.
    pub pair_address: RwSignal<String>,
    pub activity: RwSignal<Activity>,
    pub progress: RwSignal<Progress>,
    /// Jobs that wait for the running one.
    pub queued: RwSignal<usize>,
    /// The job whose grid is on show.
    pub job: RwSignal<Option<Arc<Job>>>,
    pub problem: RwSignal<Option<Problem>>,
    /// What the visitor should know though the work goes on.
    pub notice: RwSignal<Option<String>>,
    /// The history of runs; none until it has been asked for.
    pub history: RwSignal<Option<Listing>>,
    connection: StoredValue<Connection, LocalStorage>,
}

/// What lies behind the signals.
struct Connection {
    worker: Option<Worker>,
    /// Kept for as long as the page lives: every worker gets the same.
    handlers: Option<Handlers>,
    /// Whether the worker takes jobs: it has read the pair's manifest.
    ready: bool,
    device: DevicePreference,
    next_job: JobId,
    running: bool,
    clock: StepClock,
    /// Jobs that have not begun, the next one first.
    waiting: VecDeque<Order>,
    /// What a dead worker or a failed job left undone.
    undone: Vec<Order>,
    next_errand: ErrandId,
    /// Whether the worker hears messages: its module runs.
    hears: bool,
    /// Errands that it has not heard of.
    unheard: Vec<(ErrandId, Errand)>,
    /// Who waits for an errand.
    errands: HashMap<ErrandId, ErrandReplies>,
    /// Called when the worker takes jobs.
    when_ready: Option<(Callback<Extent>, Extent)>,
}

/// A job as it was ordered.
#[derive(Clone)]
struct Order {
    id: JobId,
    recipe: Recipe,
    extent: Extent,
    /// The grid that it goes on with; none: a new one.
    grid: Option<Arc<Job>>,
}

/// Who waits for an errand. No [`Callback`], which ends with the component that was at work when it
/// was made: a file is to be saved also where the panel with its button is closed meanwhile.
type ErrandReplies = Rc<dyn Fn(ErrandReply)>;

/// What comes of an errand. The last one is `Done` or `Failed`.
#[derive(Clone)]
pub enum ErrandReply {
    /// A step of a strip.
    Step(StripStep),
    /// The distance of each step's target to the final image.
    Convergence(Vec<f64>),
    /// An encoded file.
    File(Vec<u8>),
    /// All of it has come.
    Done,
    /// It can't be done: a sentence that says what is wrong and what to do.
    Failed(String),
}

struct Handlers {
    message: Closure<dyn FnMut(MessageEvent)>,
    error: Closure<dyn FnMut(web_sys::Event)>,
}

impl EngineClient {
    /// A client without a worker: [`EngineClient::connect`] starts one.
    pub fn new() -> Self {
        let client = EngineClient {
            device: RwSignal::new(None),
            pair: RwSignal::new(None),
            pair_address: RwSignal::new(OWN_PAIR_ADDRESS.to_owned()),
            activity: RwSignal::new(Activity::Stopped),
            progress: RwSignal::default(),
            queued: RwSignal::new(0),
            job: RwSignal::new(None),
            problem: RwSignal::new(None),
            notice: RwSignal::new(None),
            history: RwSignal::new(None),
            connection: StoredValue::new_local(Connection {
                worker: None,
                handlers: None,
                ready: false,
                device: DevicePreference::Automatic,
                next_job: 1,
                running: false,
                clock: StepClock::start(),
                waiting: VecDeque::new(),
                undone: Vec::new(),
                next_errand: 1,
                hears: false,
                unheard: Vec::new(),
                errands: HashMap::new(),
                when_ready: None,
            }),
        };
        let handlers = Handlers {
            message: Closure::new(move |message: MessageEvent| client.take_message(message)),
            error: Closure::new(move |event: web_sys::Event| {
                let reason = event.dyn_ref::<ErrorEvent>().map(ErrorEvent::message);
                client.worker_died(reason.as_deref().unwrap_or_default());
            }),
        };
        client
            .connection
            .update_value(|connection| connection.handlers = Some(handlers));
        client
    }

    /// Turns to this device and pair. A worker that has nothing to do on that
    /// device changes the pair; any other is replaced.
    pub fn connect(&self, device: DevicePreference, pair: String) {
        let has_idle_worker = self.connection.with_value(|connection| {
            connection.ready
                && !connection.running
                && connection.waiting.is_empty()
                && connection.device == device
        });
        if !has_idle_worker {
            self.disconnect(CellState::Cancelled);
            self.device.set(None);
        }
        self.connection.update_value(|connection| {
            // A link never draws by itself, whatever the visitor had asked of the last one.
            connection.when_ready = None;
            connection.device = device;
            connection.undone.clear();
            connection.ready = false;
        });
        self.pair_address.set(pair);
        self.pair.set(None);
        self.problem.set(None);
        if has_idle_worker {
            self.activity.set(Activity::Starting { draws_next: false });
            self.start_pair();
        } else {
            self.start_worker();
        }
    }

    /// Draws a new grid, as far as the extent says; it waits while another job runs.
    pub fn generate(&self, recipe: Recipe, extent: Extent) {
        self.order(recipe, extent, None);
    }

    /// Goes on with cells of the grid on show, to their end or until so many of their steps are done.
    pub fn resume(&self, cells: Vec<CellAddress>, depth: Option<u32>) {
        if let Some(grid) = self.job.get_untracked()
            && !cells.is_empty()
        {
            let extent = Extent {
                resumes: true,
                cells: Some(cells),
                depth,
            };
            self.order(grid.recipe.clone(), extent, Some(grid));
        }
    }

    fn order(&self, recipe: Recipe, extent: Extent, grid: Option<Arc<Job>>) {
        self.problem.set(None);
        let ready = self.with_connection(|connection| {
            let id = connection.next_job;
            connection.next_job += 1;
            connection.undone.clear();
            connection.waiting.push_back(Order {
                id,
                recipe: recipe.clone(),
                extent: extent.clone(),
                grid,
            });
            connection.ready.then_some(id)
        });
        match ready {
            Some(job) => {
                self.post(&Request::Generate {
                    job,
                    recipe,
                    extent,
                });
                if !self.is_running() {
                    self.activity.set(Activity::Waiting);
                }
            }
            None => self.start_worker_if_stopped(true),
        }
        self.count_queued();
    }

    /// Has an errand done. `reply` is called as its results come, unless it is forgotten before.
    pub fn run_errand(&self, task: Errand, reply: impl Fn(ErrandReply) + 'static) -> ErrandId {
        let (errand, has_worker, hears) = self.with_connection(|connection| {
            let errand = connection.next_errand;
            connection.next_errand += 1;
            connection.errands.insert(errand, Rc::new(reply));
            (errand, connection.worker.is_some(), connection.hears)
        });
        if hears {
            self.post(&Request::Errand { errand, task });
        } else if has_worker {
            self.with_connection(|connection| connection.unheard.push((errand, task)));
        } else {
            self.reply(
                errand,
                ErrandReply::Failed("The engine is stopped: reload the page.".to_owned()),
            );
        }
        errand
    }

    /// Lets nothing more be heard of an errand.
    pub fn forget_errand(&self, errand: ErrandId) {
        self.with_connection(|connection| connection.errands.remove(&errand));
    }

    fn reply(&self, errand: ErrandId, reply: ErrandReply) {
        let ends = matches!(reply, ErrandReply::Done | ErrandReply::Failed(_));
        let waiting = self.with_connection(|connection| {
            if ends {
                connection.errands.remove(&errand)
            } else {
                connection.errands.get(&errand).cloned()
            }
        });
        if let Some(waiting) = waiting {
            waiting(reply);
        }
    }

    /// Has this called, which is to generate, as soon as the pair's defaults have come.
    pub fn when_ready(&self, draw: Callback<Extent>, extent: Extent) {
        self.with_connection(|connection| connection.when_ready = Some((draw, extent)));
        self.start_worker_if_stopped(true);
    }

    /// Ends the running job; once that is ending, or where none runs, the one that was sent last.
    pub fn cancel(&self) {
        let cancelling = self
            .activity
            .with_untracked(|activity| *activity == Activity::Cancelling);
        if self.is_running() && !cancelling {
            if let Some(job) = self.job.get_untracked() {
                self.activity.set(Activity::Cancelling);
                self.post(&Request::Cancel { job: job.id() });
            }
            return;
        }
        let (last, ready) = self.with_connection(|connection| {
            connection.when_ready = None;
            let last = connection.waiting.back().map(|order| order.id);
            (last, connection.ready)
        });
        match last {
            // The answer takes it out of the queue.
            Some(job) if ready => self.post(&Request::Cancel { job }),
            Some(job) => self.job_cancelled(job),
            None => {}
        }
        if matches!(self.activity.get_untracked(), Activity::Starting { .. }) {
            let draws_next = self
                .connection
                .with_value(|connection| !connection.waiting.is_empty());
            self.activity.set(Activity::Starting { draws_next });
        }
    }

    /// Takes up what a dead worker or a failed job left undone.
    pub fn go_on(&self) {
        self.problem.set(None);
        let undone = self.with_connection(|connection| mem::take(&mut connection.undone));
        self.start_worker_if_stopped(!undone.is_empty());
        for order in undone {
            self.order(order.recipe, order.extent, order.grid);
        }
    }

    /// Whether there is anything to cancel.
    pub fn busy(&self) -> Signal<bool> {
        let client = *self;
        Signal::derive(move || {
            client.queued.get() > 0
                || matches!(
                    client.activity.get(),
                    Activity::Starting { draws_next: true }
                        | Activity::Waiting
                        | Activity::Loading { .. }
                        | Activity::Compiling
                        | Activity::Drawing
                )
        })
    }

    fn with_connection<T>(&self, act: impl FnOnce(&mut Connection) -> T) -> T {
        self.connection
            .try_update_value(act)
            .unwrap_or_else(|| unreachable!("the client lives as long as the page"))
    }

    fn is_running(&self) -> bool {
        self.connection.with_value(|connection| connection.running)
    }

    fn start_worker_if_stopped(&self, draws_next: bool) {
        if self
            .connection
            .with_value(|connection| connection.worker.is_none())
        {
            self.problem.set(None);
            self.start_worker();
        }
        if matches!(self.activity.get_untracked(), Activity::Starting { .. }) {
            self.activity.set(Activity::Starting { draws_next });
        }
    }

    fn start_worker(&self) {
        self.notice.set(None);
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = match Worker::new_with_options(WORKER_ADDRESS, &options) {
            Ok(worker) => worker,
            Err(_) => {
                self.stop(
                    "This browser can't start the engine's worker. Use a current version of \
                     Chrome, Edge, Firefox or Safari."
                        .to_owned(),
                );
                return;
            }
        };
        self.with_connection(|connection| {
            if let Some(handlers) = &connection.handlers {
                let message = handlers.message.as_ref().unchecked_ref();
                worker.set_onmessage(Some(message));
                worker.set_onerror(Some(handlers.error.as_ref().unchecked_ref()));
                // A message that can't be deserialized is as bad as none.
                let error = handlers.error.as_ref().unchecked_ref();
                if worker
                    .add_event_listener_with_callback("messageerror", error)
                    .is_err()
                {
                    leptos::logging::warn!("The worker's messageerror event can't be heard.");
                }
            }
            connection.worker = Some(worker);
        });
        self.activity.set(Activity::Starting { draws_next: false });
    }

    /// Ends the worker. What it was to do is kept in `undone`; `unfinished` becomes of the cells
    /// that it leaves.
    fn disconnect(&self, unfinished: CellState) {
        let (worker, running, errands) = self.with_connection(|connection| {
            connection.ready = false;
            connection.hears = false;
            connection.unheard.clear();
            let running = mem::take(&mut connection.running);
            if running && let Some(job) = self.job.get_untracked() {
                connection.undone.push(unfinished_part(&job));
            }
            let waiting = connection.waiting.drain(..);
            connection.undone.extend(waiting);
            let errands = mem::take(&mut connection.errands);
            (connection.worker.take(), running, errands)
        });
        for reply in errands.into_values() {
            reply(ErrandReply::Failed(
                "The engine was started anew before this was done: try again.".to_owned(),
            ));
        }
        if let Some(worker) = worker {
            worker.set_onmessage(None);
            worker.set_onerror(None);
            worker.terminate();
        }
        if running && let Some(job) = self.job.get_untracked() {
            job.end_unfinished(unfinished);
        }
        self.count_queued();
    }

    /// Ends the worker for good, until the visitor asks for another.
    fn stop(&self, sentence: String) {
        self.disconnect(CellState::Failed);
        self.activity.set(Activity::Stopped);
        self.problem.set(Some(Problem {
            sentence,
            remedy: "Try again",
        }));
    }

    /// A trap in the worker, or a loader that can't be loaded. Who had taken jobs is replaced at
    /// once; who never came so far would only die again.
    fn worker_died(&self, reason: &str) {
        let was_ready = self.connection.with_value(|connection| connection.ready);
        let reason = reason.trim().trim_end_matches('.');
        let reason = if reason.is_empty() {
            String::new()
        } else {
            format!(" ({reason})")
        };
        if !was_ready {
            self.stop(format!(
                "The engine could not be started{reason}. Check the connection and try again."
            ));
            return;
        }
        self.disconnect(CellState::Failed);
        self.start_worker();
        self.problem.set(Some(Problem {
            sentence: format!(
                "The engine stopped unexpectedly{reason} and has been started anew; finished \
                 images stay."
            ),
            remedy: "Go on",
        }));
    }

    fn post(&self, request: &Request) {
        let posted = serde_wasm_bindgen::to_value(request)
            .map_err(JsValue::from)
            .and_then(|message| {
                self.connection
                    .with_value(|connection| match &connection.worker {
                        Some(worker) => worker.post_message(&message),
                        None => Ok(()),
                    })
            });
        if posted.is_err() {
            self.stop("The engine can't be reached. Reload the page.".to_owned());
        }
    }

    fn take_message(&self, message: MessageEvent) {
        match serde_wasm_bindgen::from_value(message.data()) {
            Ok(event) => self.take(event),
            Err(_) => self.stop(
                "The engine sent a message that this page doesn't understand. Reload the page."
                    .to_owned(),
            ),
        }
    }

    fn take(&self, event: Event) {
        match event {
            Event::Ready { version } => self.worker_ready(version),
            Event::Device(device) => self.device.set(Some(device)),
            Event::Pair(pair) => self.pair_read(*pair),
            Event::Failed { message } => self.stop(message),
            Event::Notice { message } => self.notice.set(Some(message)),
            Event::JobStarted { job } => self.job_started(job),
            Event::Loading {
                job,
                received,
                total,
                from,
            } => self.while_running(job, |_| {
                self.show_unless_cancelling(Activity::Loading {
                    received,
                    total,
                    from,
                });
            }),
            Event::Compiling { job } => {
                self.while_running(job, |_| self.show_unless_cancelling(Activity::Compiling));
            }
            Event::CellStarted { job, cell } => self.while_running(job, |shown| {
                if let Some(cell) = shown.cell(cell) {
                    cell.view.update(|view| view.state = CellState::Running);
                }
            }),
            Event::Step {
                job,
                cell,
                step,
                steps,
                timestep,
                model,
                preview,
                digest,
            } => self.while_running(job, |shown| {
                self.show_unless_cancelling(Activity::Drawing);
                if let Some(cell) = shown.cell(cell) {
                    cell.view.update(|view| {
                        // A cell that starts over says its steps anew.
                        let before = usize::try_from(step.saturating_sub(1)).unwrap_or(usize::MAX);
                        view.digests.truncate(before);
                        view.digests.push(digest);
                        view.state = CellState::Running;
                        view.step = Some(StepTaken {
                            step,
                            steps,
                            timestep,
                            model,
                        });
                        view.frame = Some(Arc::new(preview));
                    });
                }
                self.step_taken(shown, cell.row);
            }),
            Event::Image {
                job,
                cell,
                image,
                milliseconds,
            } => self.while_running(job, |shown| {
                if let Some(cell) = shown.cell(cell) {
                    cell.view.update(|view| {
                        view.state = CellState::Done;
                        view.frame = Some(Arc::new(image));
                        view.milliseconds = Some(milliseconds);
                    });
                }
            }),
            Event::CellRests { job, cell } => self.while_running(job, |shown| {
                if let Some(cell) = shown.cell(cell) {
                    cell.view.update(|view| view.state = CellState::Resting);
                }
            }),
            Event::Diversity {
                job,
                row,
                diversity,
            } => self.while_running(job, |shown| {
                if let Some(row) = usize::try_from(row)
                    .ok()
                    .and_then(|row| shown.rows.get(row))
                {
                    row.diversity.set(Some(diversity));
                }
            }),
            Event::StripFrame {
                errand,
                step,
                steps,
                timestep,
                model,
                frame,
            } => self.reply(
                errand,
                ErrandReply::Step(StripStep {
                    step,
                    steps,
                    timestep,
                    model,
                    frame: Arc::new(frame),
                }),
            ),
            Event::Convergence { errand, distances } => {
                self.reply(errand, ErrandReply::Convergence(distances));
            }
            Event::File { errand, bytes } => self.reply(errand, ErrandReply::File(bytes)),
            Event::History(listing) => self.history.set(Some(*listing)),
            Event::ErrandDone { errand } => self.reply(errand, ErrandReply::Done),
            Event::ErrandFailed { errand, message } => {
                self.reply(errand, ErrandReply::Failed(message));
            }
            Event::JobDone { job } => self.while_running(job, |shown| {
                let seconds = self.with_connection(|connection| {
                    connection.running = false;
                    connection.clock.elapsed().as_secs_f64()
                });
                self.activity.set(Activity::Done {
                    images: shown
                        .cells_that(|cell| {
                            cell.view
                                .with_untracked(|view| view.state == CellState::Done)
                        })
                        .len(),
                    seconds,
                });
            }),
            Event::JobCancelled { job } => self.job_cancelled(job),
            Event::JobFailed { job, message } => self.job_failed(job, message),
        }
    }

    fn worker_ready(&self, version: u32) {
        if version != PROTOCOL_VERSION {
            self.stop(
                "The page and its engine are of different versions. Reload the page.".to_owned(),
            );
            return;
        }
        let unheard = self.with_connection(|connection| {
            connection.hears = true;
            mem::take(&mut connection.unheard)
        });
        for (errand, task) in unheard {
            self.post(&Request::Errand { errand, task });
        }
        self.start_pair();
    }

    fn start_pair(&self) {
        let device = self.connection.with_value(|connection| connection.device);
        let pair_address = self.pair_address.get_untracked();
        match manifest_url(&pair_address) {
            Some(manifest_url) => self.post(&Request::Start {
                version: PROTOCOL_VERSION,
                device,
                manifest_url,
                pair_address,
            }),
            None => self.stop(format!(
                "“{pair_address}” is not an address on this page's own host. Correct the link's \
                 pair."
            )),
        }
    }

    fn pair_read(&self, pair: PairInfo) {
        // A worker that takes another's place reads the same pair: the visitor's values stay.
        if self
            .pair
            .with_untracked(|known| known.as_ref() != Some(&pair))
        {
            self.pair.set(Some(pair));
        }
        let (waiting, when_ready) = self.with_connection(|connection| {
            connection.ready = true;
            let waiting: Vec<_> = connection.waiting.iter().cloned().collect();
            (waiting, connection.when_ready.take())
        });
        self.activity.set(if waiting.is_empty() {
            Activity::Idle
        } else {
            Activity::Waiting
        });
        for order in waiting {
            self.post(&Request::Generate {
                job: order.id,
                recipe: order.recipe,
                extent: order.extent,
            });
        }
        if let Some((draw, extent)) = when_ready {
            // The controls get the pair's defaults from an effect, which runs after this event.
            set_timeout(move || draw.run(extent), Duration::ZERO);
        }
    }

    fn job_started(&self, id: JobId) {
        let order = self.with_connection(|connection| {
            let position = connection.waiting.iter().position(|order| order.id == id)?;
            connection.running = true;
            connection.clock = StepClock::start();
            connection.waiting.remove(position)
        });
        self.count_queued();
        let Some(order) = order else { return };
        let pair_address = self.pair_address.get_untracked();
        let job = order.grid.or_else(|| {
            self.pair.with_untracked(|pair| {
                Some(Arc::new(Job::new(
                    order.recipe,
                    pair.as_ref()?,
                    pair_address,
                )))
            })
        });
        if let Some(job) = job {
            for cell in job.cells() {
                if order.extent.includes(cell.address) {
                    cell.view.update(|view| view.state = CellState::Waiting);
                }
            }
            job.begin(id, order.extent);
            let progress =
                self.with_connection(|connection| connection.clock.progress(&job.steps()));
            self.progress.set(progress);
            let is_shown = self
                .job
                .with_untracked(|shown| shown.as_ref().is_some_and(|it| Arc::ptr_eq(it, &job)));
            if !is_shown {
                self.job.set(Some(job));
            }
            self.activity.set(Activity::Waiting);
        }
    }

    fn step_taken(&self, job: &Job, row: u32) {
        let progress = self.with_connection(|connection| {
            connection.clock.step(row);
            connection.clock.progress(&job.steps())
        });
        self.progress.set(progress);
    }

    fn job_cancelled(&self, id: JobId) {
        if !self.end_if_running(id, CellState::Cancelled) {
            self.with_connection(|connection| connection.waiting.retain(|order| order.id != id));
            self.count_queued();
        }
        if !self.is_running() && self.connection.with_value(|connection| connection.ready) {
            self.activity.set(Activity::Cancelled);
        }
    }

    fn job_failed(&self, id: JobId, sentence: String) {
        let undone = if self.end_if_running(id, CellState::Failed) {
            self.job
                .with_untracked(|job| job.as_ref().map(unfinished_part))
        } else {
            let waiting = self.with_connection(|connection| {
                let position = connection.waiting.iter().position(|order| order.id == id)?;
                connection.waiting.remove(position)
            });
            self.count_queued();
            waiting
        };
        self.with_connection(|connection| connection.undone.extend(undone));
        self.problem.set(Some(Problem {
            sentence,
            remedy: "Try again",
        }));
        if !self.is_running() {
            self.activity.set(Activity::Failed);
        }
    }

    /// Ends the job if it is the one that runs.
    fn end_if_running(&self, id: JobId, state: CellState) -> bool {
        let mut was_running = false;
        self.while_running(id, |job| {
            was_running = true;
            self.with_connection(|connection| connection.running = false);
            job.end_unfinished(state);
        });
        was_running
    }

    /// Acts on the running job; events of another one are late and of no use.
    fn while_running(&self, id: JobId, act: impl FnOnce(&Job)) {
        if let Some(job) = self.job.get_untracked()
            && job.id() == id
            && self.is_running()
        {
            act(&job);
        }
    }

    fn show_unless_cancelling(&self, activity: Activity) {
        if self
            .activity
            .with_untracked(|current| *current != Activity::Cancelling && *current != activity)
        {
            self.activity.set(activity);
        }
    }

    fn count_queued(&self) {
        let queued = self.connection.with_value(|connection| {
            let next_to_run = usize::from(!connection.running);
            connection.waiting.len().saturating_sub(next_to_run)
        });
        if self.queued.get_untracked() != queued {
            self.queued.set(queued);
        }
    }
}

/// What is left of a grid's run that ended too early: the cells that it was to draw and did not.
fn unfinished_part(job: &Arc<Job>) -> Order {
    let mut extent = job.extent();
    extent.resumes = true;
    let unfinished = job.cells_that(|cell| {
        let is_unfinished = cell
            .view
            .with_untracked(|view| !matches!(view.state, CellState::Done | CellState::Resting));
        is_unfinished && extent.includes(cell.address)
    });
    extent.cells = Some(unfinished);
    Order {
        id: 0,
        recipe: job.recipe.clone(),
        extent,
        grid: Some(job.clone()),
    }
}

/// The absolute address of a manifest; none if it is not on the page's own host.
fn manifest_url(address: &str) -> Option<String> {
    let base = document().base_uri().ok()??;
    let url = web_sys::Url::new_with_base(address, &base).ok()?;
    let own = web_sys::Url::new(&base).ok()?;
    (url.origin() == own.origin()).then(|| url.href())
}
