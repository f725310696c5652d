//! The page's client of the engine: turns the events of its [`WorkerLink`] into signals, and has the
//! page's jobs and tasks.

use std::collections::HashMap;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::*;

use super::grid::{CellState, Grid};
use super::link::{FromLink, Program, WorkerLink, change};
use super::load_state::AwaitedLoad;
use super::loader::LoaderClient;
use crate::history::Listing;
use crate::history::favourite::Favourite;
use crate::protocol::engine::{
    DeviceInfo, Event, Extent, JobEvent, JobId, PROTOCOL_VERSION, PairInfo, Request, Snapshot,
    Task, TaskEvent, TaskId,
};
use crate::recipe::device::DevicePreference;
use crate::recipe::{CellAddress, Recipe};
use crate::view::address::{EngineTarget, OWN_PAIR_ADDRESS};
use crate::view::engine_watch::EngineWatch;
use crate::view::jobs::{Activity, Cancelling, Jobs, MissingWeights, Order, Ordered};
use crate::view::progress::{JobProgress, StepClock};
use crate::view::recovery::{AfterFailure, Recovery, device_failure};
use crate::view::stats::Stats;

const ENGINE: Program = Program {
    script: "./start_engine.js",
    worker_name: "",
    name: "engine",
    version: PROTOCOL_VERSION,
};

/// The same with the counters of what it asks of WebGPU.
const MEASURED_ENGINE: Program = Program {
    worker_name: "stats",
    ..ENGINE
};

/// A problem for the visitor, with a button to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// A sentence that says what is wrong and what to do.
    pub sentence: String,
    /// Label of the button that goes on: by [`EngineClient::go_on`], or to the pair below.
    pub remedy: &'static str,
    /// The pair that the button opens; none where it goes on with this one.
    pub pair: Option<String>,
}

/// A pair that couldn't be opened.
#[derive(Clone, Debug, PartialEq)]
pub struct LostPair {
    /// Address of its manifest, relative to the page.
    pub address: String,
    /// A sentence that says why.
    pub reason: String,
}

/// The page's client of the engine.
#[derive(Clone, Copy)]
pub struct EngineClient {
    pub device: RwSignal<Option<DeviceInfo>>,
    /// None until the manifest has been read.
    pub pair: RwSignal<Option<PairInfo>>,
    /// Bytes that the first run of the pair fetches; 0 until that is known.
    pub missing: RwSignal<u64>,
    /// Address of the pair's manifest, relative to the page.
    pub pair_address: RwSignal<String>,
    pub activity: RwSignal<Activity>,
    /// Whether there is anything to cancel.
    pub is_busy: RwSignal<bool>,
    pub progress: RwSignal<JobProgress>,
    /// The number of jobs that wait for the running one.
    pub queued: RwSignal<usize>,
    /// The grid that the page shows; none before the first job.
    pub grid: RwSignal<Option<Arc<Grid>>>,
    pub problem: RwSignal<Option<Problem>>,
    /// The pair that couldn't be opened last; whoever knows the page's address opens another one.
    pub lost_pair: RwSignal<Option<LostPair>>,
    /// A sentence for the visitor about something that doesn't stop the work.
    pub notice: RwSignal<Option<String>>,
    /// The history of runs; none until it has been asked for.
    pub history: RwSignal<Option<Listing>>,
    /// The favourites, the last one first; none until they have been asked for.
    pub favourites: RwSignal<Option<Vec<Favourite>>>,
    /// Whether the engine counts the tokens of prompts.
    pub counts_tokens: RwSignal<bool>,
    /// What was measured on the current device and pair; none where nothing is.
    pub stats: RwSignal<Option<Stats>>,
    loader: LoaderClient,
    link: WorkerLink<Request, Event>,
    inner: StoredValue<Inner, LocalStorage>,
}

/// The client's state that no component reads.
pub(super) struct Inner {
    device: DevicePreference,
    measures: bool,
    pub(super) jobs: Jobs<Arc<Grid>>,
    recovery: Recovery,
    pub(super) watch: EngineWatch,
    /// Times the steps of the running job.
    clock: StepClock,
    next_task: TaskId,
    pub(super) replies: HashMap<TaskId, Reply>,
    /// The callback that draws once the pair's defaults are known, and its argument.
    when_ready: Option<(Callback<Extent>, Extent)>,
    /// Hears of the events of every grid, before they are shown.
    observer: Option<Observer>,
}

/// What hears of the events of grids.
type Observer = Rc<dyn Fn(&Grid, &JobEvent)>;

/// The receiver of a task's events. It is no [`Callback`], as that ends with the component that made it:
/// a file has to be saved even if the panel with its button is closed meanwhile.
pub(super) type Reply = Rc<dyn Fn(TaskEvent)>;

impl EngineClient {
    /// A client without a worker: [`EngineClient::connect`] starts one. `loader` loads the weights that
    /// the engine lacks.
    pub fn new(loader: LoaderClient) -> Self {
        let client = EngineClient {
            device: RwSignal::new(None),
            pair: RwSignal::new(None),
            missing: RwSignal::new(0),
            pair_address: RwSignal::new(OWN_PAIR_ADDRESS.to_owned()),
            activity: RwSignal::new(Activity::Stopped),
            is_busy: RwSignal::new(false),
            progress: RwSignal::default(),
            queued: RwSignal::new(0),
            grid: RwSignal::new(None),
            problem: RwSignal::new(None),
            lost_pair: RwSignal::new(None),
            notice: RwSignal::new(None),
            history: RwSignal::new(None),
            favourites: RwSignal::new(None),
            counts_tokens: RwSignal::new(false),
            stats: RwSignal::new(None),
            loader,
            link: WorkerLink::new(ENGINE),
            inner: StoredValue::new_local(Inner {
                device: DevicePreference::Automatic,
                measures: false,
                jobs: Jobs::default(),
                recovery: Recovery::default(),
                watch: EngineWatch::default(),
                clock: StepClock::start(1),
                next_task: 1,
                replies: HashMap::new(),
                when_ready: None,
                observer: None,
            }),
        };
        client.link.listen(move |from_link| match from_link {
            FromLink::Event(event) => client.take(event),
            FromLink::Stopped(sentence) => client.could_not_start(sentence),
            FromLink::Panicked(words) => match device_failure(&words) {
                Some(reason) => client.device_failed(reason),
                None => client.stopped(format!(
                    "The engine stopped by a mistake of its own or of the graphics driver \
                     ({words}). What is stored stays; try again, or add device=cpu to the address \
                     to do without the graphics processor."
                )),
            },
            FromLink::Died(reason) => client.died(&reason),
        });
        client.watch();
        client
    }

    /// Changes to this device and pair. An idle worker on that device changes its pair, unless it would
    /// have to measure and doesn't, or the other way round; any other worker is replaced.
    pub fn connect(&self, target: EngineTarget) {
        let EngineTarget {
            device,
            pair,
            shows_stats: measures,
        } = target;
        let changes_pair = self.inner.with_value(|inner| {
            inner.jobs.is_idle() && inner.device == device && inner.measures == measures
        });
        if !changes_pair {
            self.link.end();
            self.abandon(CellState::Cancelled);
            self.device.set(None);
        }
        self.with(|inner| {
            // A new link never draws by itself, even where the visitor wanted the last one drawn.
            inner.when_ready = None;
            inner.device = device;
            inner.measures = measures;
            inner.recovery = Recovery::default();
            inner.jobs.forget_undone();
        });
        self.link
            .change_program(if measures { MEASURED_ENGINE } else { ENGINE });
        self.stats.set(measures.then(Stats::default));
        self.pair_address.set(pair);
        self.pair.set(None);
        self.missing.set(0);
        self.problem.set(None);
        self.start_pair();
    }

    /// Has the events of every grid told from now on, before they are shown: its steps, its images and its
    /// end. One that died with its worker has none.
    pub fn observe(&self, observer: impl Fn(&Grid, &JobEvent) + 'static) {
        self.with(|inner| inner.observer = Some(Rc::new(observer)));
    }

    fn tell(&self, grid: &Grid, event: &JobEvent) {
        if let Some(observer) = self.with(|inner| inner.observer.clone()) {
            observer(grid, event);
        }
    }

    /// Whether the engine takes jobs and has none.
    pub fn is_idle(&self) -> bool {
        self.inner.with_value(|inner| inner.jobs.is_idle())
    }

    /// Draws a new grid, as far as the extent says; it waits while another job runs.
    pub fn generate(&self, recipe: Recipe, extent: Extent) {
        self.order(recipe, extent, None, Vec::new());
    }

    /// Resumes cells of the grid that the page shows, to their end or until `depth` of their steps are
    /// done.
    pub fn resume(&self, cells: Vec<CellAddress>, depth: Option<u32>) {
        if let Some(grid) = self.grid.get_untracked()
            && !cells.is_empty()
        {
            let extent = Extent {
                resumes: true,
                cells: Some(cells),
                depth,
                is_of_experiment: grid.extent().is_of_experiment,
            };
            let snapshots = grid.snapshots(&extent);
            self.order(grid.recipe.clone(), extent, Some(grid), snapshots);
        }
    }

    fn order(
        &self,
        recipe: Recipe,
        extent: Extent,
        grid: Option<Arc<Grid>>,
        snapshots: Vec<Snapshot>,
    ) {
        self.problem.set(None);
        let ordered = self.change_jobs(|jobs| jobs.order(recipe, extent, grid, snapshots));
        self.carry_out(ordered);
    }

    fn carry_out(&self, ordered: Ordered) {
        match ordered {
            Ordered::Post(request) => self.link.send(request),
            Ordered::PostLater => {}
            Ordered::StartWorker => self.start_pair_if_stopped(),
        }
    }

    /// Sends a task to the engine. `reply` gets its events, unless the task is forgotten before.
    pub fn run_task(&self, task: Task, reply: impl Fn(TaskEvent) + 'static) -> TaskId {
        let id = self.with(|inner| {
            let id = inner.next_task;
            inner.next_task += 1;
            inner.replies.insert(id, Rc::new(reply));
            id
        });
        if self.link.has_worker() {
            self.link.send(Request::Task { id, task });
        } else {
            let message = "The engine is stopped: reload the page.".to_owned();
            self.reply(id, TaskEvent::Failed { message });
        }
        id
    }

    /// Drops the receiver of a task's events.
    pub fn forget_task(&self, id: TaskId) {
        self.with(|inner| inner.replies.remove(&id));
    }

    fn reply(&self, id: TaskId, event: TaskEvent) {
        let ends = matches!(event, TaskEvent::Done | TaskEvent::Failed { .. });
        let reply = self.with(|inner| {
            if ends {
                inner.replies.remove(&id)
            } else {
                inner.replies.get(&id).cloned()
            }
        });
        if let Some(reply) = reply {
            reply(event);
        }
    }

    /// Calls `draw` with `extent` as soon as the pair's defaults are known.
    pub fn when_ready(&self, draw: Callback<Extent>, extent: Extent) {
        self.with(|inner| inner.when_ready = Some((draw, extent)));
        self.start_pair_if_stopped();
        self.change_jobs(|jobs| jobs.draw_next(true));
    }

    /// Cancels the running job. Where that is ending already, or no job runs, cancels the one that was
    /// ordered last.
    pub fn cancel(&self) {
        self.with(|inner| inner.when_ready = None);
        self.with(|inner| inner.watch.heard());
        match self.change_jobs(Jobs::cancel) {
            Cancelling::Post(request) => self.link.send(request),
            Cancelling::StopFetching => self.loader.stop_awaited(),
            Cancelling::Ended | Cancelling::Nothing => {}
        }
    }

    /// Orders the jobs again that a dead worker or a failure left undone.
    pub fn go_on(&self) {
        self.problem.set(None);
        self.with(|inner| inner.recovery.is_well());
        self.go_on_with_undone();
    }

    pub(super) fn go_on_with_undone(&self) {
        let ordered = self.change_jobs(Jobs::go_on);
        if ordered.is_empty() {
            self.start_pair_if_stopped();
        }
        for ordered in ordered {
            self.carry_out(ordered);
        }
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        change(self.inner, act)
    }

    /// Changes the jobs and updates the signals that show them.
    fn change_jobs<T>(&self, change: impl FnOnce(&mut Jobs<Arc<Grid>>) -> T) -> T {
        let (outcome, activity, queued, is_busy) = self.with(|Inner { jobs, .. }| {
            let outcome = change(jobs);
            (
                outcome,
                jobs.activity().clone(),
                jobs.queued(),
                jobs.is_busy(),
            )
        });
        show(self.activity, activity);
        show(self.queued, queued);
        show(self.is_busy, is_busy);
        outcome
    }

    fn start_pair_if_stopped(&self) {
        if !self.link.has_worker() {
            self.problem.set(None);
            self.start_pair();
        }
    }

    /// Makes the worker read the pair's manifest, and starts a worker where there is none.
    pub(super) fn start_pair(&self) {
        let pair_address = self.pair_address.get_untracked();
        let Some(manifest_url) = manifest_url(&pair_address) else {
            self.link.end();
            self.could_not_start(format!(
                "“{pair_address}” is not an address on this page's own host. Correct the link's \
                 pair."
            ));
            return;
        };
        if !self.link.has_worker() {
            self.notice.set(None);
            if !self.link.start() {
                return;
            }
            self.with(|inner| inner.watch.replaced());
        }
        self.counts_tokens.set(false);
        self.change_jobs(Jobs::starting);
        let (device, measures) = self
            .inner
            .with_value(|inner| (inner.device, inner.measures));
        self.link.send(Request::Start {
            device,
            manifest_url,
            pair_address,
            measures,
            at_most: self.inner.with_value(|inner| inner.recovery.at_most()),
        });
    }

    /// The worker is gone: its jobs become undone, its tasks fail, and unfinished cells get the state
    /// `unfinished`. Returns the grid that it drew; none where no job ran.
    pub(super) fn abandon(&self, unfinished: CellState) -> Option<Arc<Grid>> {
        self.loader.stop_awaited();
        let grid = self.grid.get_untracked();
        let was_running =
            self.change_jobs(|jobs| jobs.stopped(|| grid.as_ref().map(unfinished_part)));
        let grid = grid.filter(|_| was_running);
        if let Some(grid) = &grid {
            grid.end_unfinished(unfinished);
        }
        self.fail_tasks();
        grid
    }

    /// The same for a worker whose job was cancelled: that job is not undone.
    pub(super) fn abandon_cancelled(&self) {
        self.loader.stop_awaited();
        let was_running = self.change_jobs(|jobs| jobs.stopped(|| None));
        if let Some(grid) = self.grid.get_untracked().filter(|_| was_running) {
            grid.end_unfinished(CellState::Cancelled);
        }
        self.fail_tasks();
    }

    fn fail_tasks(&self) {
        for reply in self
            .with(|inner| mem::take(&mut inner.replies))
            .into_values()
        {
            reply(TaskEvent::Failed {
                message: "The engine was started anew before this was done: try again.".to_owned(),
            });
        }
    }

    pub(super) fn has_worker(&self) -> bool {
        self.link.has_worker()
    }

    pub(super) fn end_worker(&self) {
        self.link.end();
    }

    /// The worker has ended by itself, with a sentence that says why. Where it had chosen its device and
    /// couldn't read a pair, another pair is opened in its place.
    fn could_not_start(&self, sentence: String) {
        let address = self.pair_address.get_untracked();
        let lacks_pair = self.device.with_untracked(Option::is_some)
            && self.pair.with_untracked(Option::is_none)
            && address != OWN_PAIR_ADDRESS;
        if !lacks_pair {
            return self.stopped(sentence);
        }
        self.abandon(CellState::Failed);
        self.lost_pair.set(Some(LostPair {
            address,
            reason: sentence,
        }));
    }

    /// The worker has ended, and no other one is started before the visitor asks for it.
    pub(super) fn stopped(&self, sentence: String) {
        self.abandon(CellState::Failed);
        self.show_problem(sentence, "Try again");
    }

    /// The worker died, and is replaced at once.
    fn died(&self, reason: &str) {
        self.abandon(CellState::Failed);
        self.start_pair();
        self.show_problem(
            format!(
                "The engine stopped unexpectedly{reason} and has been started anew; finished \
                 images stay."
            ),
            "Go on",
        );
    }

    /// The device failed, and its worker with it. The next worker uses less of the device and goes on by
    /// itself, unless that has been of no use before.
    fn device_failed(&self, reason: &str) {
        self.link.end();
        let after = self.with(|inner| {
            let is_loading = matches!(
                inner.jobs.activity(),
                Activity::Loading { .. } | Activity::Preparing { .. }
            );
            inner.recovery.failed(reason, is_loading)
        });
        match after {
            AfterFailure::GoOn(sentence) => {
                if let Some(grid) = self.abandon(CellState::Cancelled) {
                    grid.wait_again();
                }
                self.start_pair();
                self.go_on_with_undone();
                self.notice.set(Some(sentence));
            }
            AfterFailure::GiveUp(sentence) => self.stopped(sentence),
        }
    }

    fn show_problem(&self, sentence: String, remedy: &'static str) {
        self.problem.set(Some(Problem {
            sentence,
            remedy,
            pair: None,
        }));
    }

    fn take(&self, event: Event) {
        self.with(|inner| match &event {
            Event::Job {
                event: JobEvent::Started,
                ..
            } => inner.watch.job_begins(),
            Event::Job {
                event: JobEvent::Step { .. },
                ..
            } => inner.watch.step(),
            _ => inner.watch.heard(),
        });
        match event {
            Event::Device(device) => self.device.set(Some(device)),
            Event::Pair(pair) => self.pair_read(*pair),
            Event::Missing { bytes } => self.missing.set(bytes),
            Event::Allowance(allowance) => self.with(|inner| inner.recovery.uses(allowance)),
            Event::DeviceFailed { reason } => self.device_failed(&reason),
            Event::CountsTokens => self.counts_tokens.set(true),
            Event::Notice { message } => self.notice.set(Some(message)),
            Event::History(listing) => self.history.set(Some(*listing)),
            Event::Favourites(favourites) => self.favourites.set(Some(favourites)),
            Event::Measured(measurement) => self.stats.update(|stats| {
                if let Some(stats) = stats {
                    stats.take(*measurement);
                }
            }),
            Event::Job { job, event } => self.take_job_event(job, event),
            Event::Task { id, event } => self.reply(id, event),
        }
    }

    fn pair_read(&self, pair: PairInfo) {
        self.link.prove();
        // A worker that replaces a dead one reads the same pair: the visitor's values stay.
        if self
            .pair
            .with_untracked(|known| known.as_ref() != Some(&pair))
        {
            self.pair.set(Some(pair));
        }
        self.post_all(self.change_jobs(Jobs::takes_jobs));
        if let Some((draw, extent)) = self.with(|inner| inner.when_ready.take()) {
            // An effect fills the controls with the pair's defaults, and it runs after this event.
            set_timeout(move || draw.run(extent), Duration::ZERO);
        }
    }

    fn post_all(&self, requests: Vec<Request>) {
        for request in requests {
            self.link.send(request);
        }
    }

    fn take_job_event(&self, job: JobId, event: JobEvent) {
        match event {
            JobEvent::LacksWeights { manifest } => self.lacks_weights(job, manifest),
            JobEvent::Started => self.job_started(job),
            JobEvent::Loading {
                received,
                total,
                from,
            } => self.reports(
                job,
                Activity::Loading {
                    received,
                    total,
                    from,
                },
            ),
            JobEvent::Preparing { done, total } => {
                self.reports(job, Activity::Preparing { done, total });
            }
            JobEvent::Done => {
                if let Some(grid) = self.running_grid(job) {
                    self.tell(&grid, &JobEvent::Done);
                }
                self.job_done(job);
            }
            JobEvent::Cancelled => {
                if self.change_jobs(|jobs| jobs.cancelled(job)) {
                    self.end_unfinished(job, CellState::Cancelled);
                }
            }
            JobEvent::Failed { message } => self.job_failed(job, message),
            JobEvent::Planned { .. }
            | JobEvent::CellStarted { .. }
            | JobEvent::Step { .. }
            | JobEvent::CellRests { .. }
            | JobEvent::Image { .. }
            | JobEvent::Diversity { .. }
            | JobEvent::Change { .. } => {
                if let Some(grid) = self.running_grid(job) {
                    let row_of_step = match &event {
                        JobEvent::Step { cell, .. } => Some(cell.row),
                        _ => None,
                    };
                    self.tell(&grid, &event);
                    grid.show(event);
                    if let Some(row) = row_of_step {
                        self.step_taken(job, &grid, row);
                    }
                }
            }
        }
    }

    fn step_taken(&self, job: JobId, grid: &Grid, row: u32) {
        self.reports(job, Activity::Drawing);
        let progress = self.with(|inner| {
            inner.clock.step(row);
            inner.clock.progress(&grid.steps())
        });
        self.progress.set(progress);
    }

    fn reports(&self, job: JobId, activity: Activity) {
        self.change_jobs(|jobs| jobs.reports(job, activity));
    }

    fn job_started(&self, id: JobId) {
        let order = self.change_jobs(|jobs| jobs.started(id));
        let Some(order) = order else { return };
        self.with(|inner| inner.clock = StepClock::start(inner.recovery.batch()));
        let pair_address = self.pair_address.get_untracked();
        let grid = order.grid.or_else(|| {
            self.pair.with_untracked(|pair| {
                let grid = Grid::new(order.recipe, pair.as_ref()?, pair_address);
                Some(Arc::new(grid))
            })
        });
        let Some(grid) = grid else { return };
        for cell in grid.cells() {
            if order.extent.includes(cell.address) {
                cell.view.update(|view| view.state = CellState::Waiting);
            }
        }
        grid.begin(id, order.extent);
        self.progress
            .set(self.with(|inner| inner.clock.progress(&grid.steps())));
        let is_shown = self
            .grid
            .with_untracked(|shown| shown.as_ref().is_some_and(|it| Arc::ptr_eq(it, &grid)));
        if !is_shown {
            self.grid.set(Some(grid));
        }
    }

    fn job_done(&self, id: JobId) {
        let images = self.running_grid(id).map_or(0, |grid| {
            let is_done = |state| state == CellState::Done;
            grid.cells_that(|cell| cell.view.with_untracked(|view| is_done(view.state)))
                .len()
        });
        let seconds = self.with(|inner| inner.clock.elapsed().as_secs_f64());
        if self.change_jobs(|jobs| jobs.done(id, images, seconds)) {
            self.with(|inner| inner.recovery.is_well());
        }
    }

    fn job_failed(&self, id: JobId, sentence: String) {
        let grid = self.grid.get_untracked();
        let was_running =
            self.change_jobs(|jobs| jobs.failed(id, || grid.as_ref().map(unfinished_part)));
        if was_running {
            self.end_unfinished(id, CellState::Failed);
        }
        self.show_problem(sentence, "Try again");
    }

    /// The engine lacks weights for a job: the loader loads them.
    fn lacks_weights(&self, id: JobId, manifest: String) {
        match self.change_jobs(|jobs| jobs.lacks_weights(id)) {
            MissingWeights::Fetch => {
                let client = *self;
                let address = self.pair_address.get_untracked();
                self.loader.load_awaited(address, manifest, move |load| {
                    client.take_awaited_load(load);
                });
            }
            MissingWeights::NothingToDo => {}
            MissingWeights::GiveUp => self.job_failed(
                id,
                "The models on the server were changed while they were loading. Reload the page."
                    .to_owned(),
            ),
        }
    }

    fn take_awaited_load(&self, load: AwaitedLoad) {
        if !self
            .inner
            .with_value(|inner| inner.jobs.waits_for_weights())
        {
            return;
        }
        match load {
            AwaitedLoad::Progress(progress) => self.change_jobs(|jobs| jobs.fetches(progress)),
            AwaitedLoad::Loaded => self.post_all(self.change_jobs(Jobs::fetched)),
            AwaitedLoad::NotStored => {
                self.link.send(Request::HoldWeights);
                self.post_all(self.change_jobs(Jobs::fetched));
            }
            AwaitedLoad::Failed(sentence) => {
                self.change_jobs(Jobs::fetch_failed);
                self.show_problem(sentence, "Try again");
            }
            AwaitedLoad::Paused => {
                self.change_jobs(Jobs::fetch_paused);
                self.show_problem("Loading the models was paused.".to_owned(), "Go on");
            }
        }
    }

    /// The grid that the running job draws; none for another job, whose events are late.
    fn running_grid(&self, id: JobId) -> Option<Arc<Grid>> {
        let is_running = self
            .inner
            .with_value(|inner| inner.jobs.running() == Some(id));
        self.grid
            .get_untracked()
            .filter(|grid| is_running && grid.id() == id)
    }

    fn end_unfinished(&self, id: JobId, state: CellState) {
        if let Some(grid) = self.grid.get_untracked().filter(|grid| grid.id() == id) {
            grid.end_unfinished(state);
        }
    }
}

/// Sets a signal only if its value changes, so that nothing is drawn in vain.
fn show<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.with_untracked(|shown| *shown != value) {
        signal.set(value);
    }
}

/// The rest of a grid's job that ended too early: the cells in its extent that are not finished.
fn unfinished_part(grid: &Arc<Grid>) -> Order<Arc<Grid>> {
    let mut extent = grid.extent();
    extent.resumes = true;
    let unfinished = grid.cells_that(|cell| {
        let is_unfinished = cell
            .view
            .with_untracked(|view| !matches!(view.state, CellState::Done | CellState::Resting));
        is_unfinished && extent.includes(cell.address)
    });
    extent.cells = Some(unfinished);
    Order {
        id: 0,
        recipe: grid.recipe.clone(),
        snapshots: grid.snapshots(&extent),
        extent,
        grid: Some(grid.clone()),
    }
}

/// The absolute address of a manifest; none if it is not on the page's own host.
fn manifest_url(address: &str) -> Option<String> {
    let url = absolute(address)?;
    let own = web_sys::Url::new(&document().base_uri().ok()??).ok()?;
    (url.origin() == own.origin()).then(|| url.href())
}

/// An address relative to the page as an absolute one.
pub fn absolute(address: &str) -> Option<web_sys::Url> {
    let base = document().base_uri().ok()??;
    web_sys::Url::new_with_base(address, &base).ok()
}
