//! Runs an experiment as ordinary jobs of the engine, one grid after the other, and has the worker keep what
//! it finds. What comes next is decided by [`Run`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::*;

use super::save;
use crate::browser::globals::local_storage;
use crate::browser::globals::lock::Lock;
use crate::history::experiments::{ExperimentId, Kept, Opened, Reply, Request};
use crate::page::workers::engine::{EngineClient, absolute};
use crate::page::workers::grid::Grid;
use crate::page::workers::link::change;
use crate::page::workers::loader::LoaderClient;
use crate::protocol::engine::{JobEvent, Task, TaskEvent};
use crate::protocol::loader::PairState;
use crate::recipe::CellAddress;
use crate::recipe::experiment::{Experiment, ExperimentFile};
use crate::results::Report;
use crate::results::manifest::RunManifest;
use crate::sampler::ModelRole;
use crate::view::experiments::estimate::MeasuredTimes;
use crate::view::experiments::run::{Drawn, Next, Produced, Run};
use crate::view::jobs::Activity;

/// How long after a picture the tables are made anew, at the earliest.
const REPORT_PAUSE: Duration = Duration::from_millis(1500);

/// Under which the number of an experiment is that was deleted and can still be had back.
const DELETED: &str = "firststep-deleted-experiment";

/// Under which the address of the chosen network outlives the page.
const MEASURED_BY: &str = "firststep-measured-by";

/// What is being done with the experiment on show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// None is on show.
    Nothing,
    /// It begins as soon as its pair is there.
    Waiting,
    /// Its pictures are drawn and measured.
    Running,
    /// It can go on.
    Paused,
    /// All pictures are there.
    Finished,
}

/// The experiments of the page. It is a `Copy` handle, as leptos' signals are.
#[derive(Clone, Copy)]
pub struct Experiments {
    pub engine: EngineClient,
    pub loader: LoaderClient,
    /// Whether the view is shown in place of the pictures.
    pub is_open: RwSignal<bool>,
    pub state: RwSignal<RunState>,
    /// The experiment on show.
    pub shown: RwSignal<Option<(ExperimentId, Arc<Experiment>)>>,
    /// Pictures that are there, and all.
    pub progress: RwSignal<(u64, u64)>,
    /// What the experiment on show has found so far.
    pub report: RwSignal<Option<Arc<Report>>>,
    /// The kept experiments; none until they have come.
    pub kept: RwSignal<Option<Vec<Kept>>>,
    /// The kept experiment that is deleted as soon as the view is closed or another one is deleted: until then
    /// it can be had back.
    pub deleted: RwSignal<Option<Kept>>,
    /// Whether pictures of the experiment on show are kept: results that were opened bring numbers alone.
    pub has_images: RwSignal<bool>,
    /// What went wrong, as a sentence.
    pub problem: RwSignal<Option<String>>,
    /// An experiment to fill the form with.
    pub filled: RwSignal<Option<Arc<Experiment>>>,
    pub times: RwSignal<MeasuredTimes>,
    /// The address of the network that finished experiments are measured by beside the measure without a
    /// model.
    pub network: RwSignal<Option<String>>,
    /// Rows that the network has measured, and all; none where it doesn't measure.
    pub measuring: RwSignal<Option<(u32, u32)>>,
    /// Requests that have not been answered.
    pending: RwSignal<u32>,
    choose_pair: Callback<String>,
    inner: StoredValue<Inner, LocalStorage>,
}

/// What no component reads.
struct Inner {
    run: Option<Run>,
    /// Whether the run is kept.
    has_begun: bool,
    is_report_due: bool,
    times: MeasuredTimes,
    /// The job of which steps are timed.
    timed_job: u32,
    /// The models whose first step of that job, which may have compiled shaders, is over.
    warm: Vec<ModelRole>,
    /// Time of the steps of its cells so far.
    cells: HashMap<(u32, u32), f64>,
    /// Held while the experiment is under way: two tabs would draw and keep the same pictures.
    lock: Option<Lock>,
    /// Held while a deleted experiment can be had back: another tab is not to draw it.
    deleting: Option<Lock>,
}

impl Experiments {
    /// Without an experiment. `choose_pair` changes the page's pair.
    pub fn new(engine: EngineClient, loader: LoaderClient, choose_pair: Callback<String>) -> Self {
        let own = Experiments {
            engine,
            loader,
            is_open: RwSignal::new(false),
            state: RwSignal::new(RunState::Nothing),
            shown: RwSignal::new(None),
            progress: RwSignal::new((0, 0)),
            report: RwSignal::new(None),
            kept: RwSignal::new(None),
            deleted: RwSignal::new(None),
            has_images: RwSignal::new(true),
            problem: RwSignal::new(None),
            filled: RwSignal::new(None),
            times: RwSignal::default(),
            network: RwSignal::new(local_storage::read(MEASURED_BY)),
            measuring: RwSignal::new(None),
            pending: RwSignal::new(0),
            choose_pair,
            inner: StoredValue::new_local(Inner {
                run: None,
                has_begun: false,
                is_report_due: false,
                times: MeasuredTimes::default(),
                timed_job: 0,
                warm: Vec::new(),
                cells: HashMap::new(),
                lock: None,
                deleting: None,
            }),
        };
        engine.observe(move |grid, event| own.observe(grid, event));
        Effect::new(move |_| own.drive());
        Effect::new(move |_| own.measure_when_due());
        Effect::new(move |_| {
            own.network
                .with(|network| local_storage::write(MEASURED_BY, network.as_deref()));
        });
        Effect::new(move |_| {
            if !own.is_open.get() {
                own.forget_deleted();
            }
        });
        Effect::new(move |_| {
            if !own.is_running() {
                own.with(|inner| inner.lock = None);
            }
        });
        // Once: the header tells of one that isn't finished.
        Effect::new(move |was_asked: Option<bool>| {
            let is_there = engine.pair.with(Option::is_some);
            if is_there && was_asked != Some(true) {
                own.list();
                own.delete_leftover();
            }
            is_there || was_asked == Some(true)
        });
        // Another pair takes other times.
        Effect::new(move |before: Option<String>| {
            let address = engine.pair_address.get();
            if before.is_some_and(|before| before != address) {
                own.with(|inner| inner.times = MeasuredTimes::default());
                own.times.set(MeasuredTimes::default());
            }
            address
        });
        own
    }

    /// Asks for the list of kept experiments.
    pub fn list(&self) {
        self.ask(Request::List, |_, _| {});
    }

    /// Whether the experiment is under way and waits for a grid of the visitor's own that is drawn first.
    pub fn waits_for_a_grid(&self) -> bool {
        let is_drawing = || self.with(|inner| inner.run.as_ref().is_some_and(Run::is_drawing));
        self.engine.is_busy.get() && self.is_running() && !is_drawing()
    }

    /// Whether an experiment is under way.
    pub fn is_running(&self) -> bool {
        matches!(self.state.get(), RunState::Waiting | RunState::Running)
    }

    /// Begins an experiment.
    pub fn start(&self, experiment: Experiment) {
        self.end_measuring();
        let id = now();
        self.problem.set(None);
        self.report.set(None);
        self.shown.set(Some((id, Arc::new(experiment.clone()))));
        let run = Run::new(id, experiment, Vec::new());
        self.progress.set(run.progress());
        self.with(|inner| {
            inner.run = Some(run);
            inner.has_begun = false;
        });
        self.has_images.set(true);
        self.state.set(RunState::Paused);
        self.run_alone();
    }

    /// Goes on with the paused experiment on show, unless another tab does.
    fn run_alone(&self) {
        let Some((id, experiment)) = self.shown.get_untracked() else {
            return;
        };
        let own = *self;
        leptos::task::spawn_local(async move {
            let lock = Lock::try_acquire(&lock_name(id)).await;
            if !own.is_shown(id) || own.state.get_untracked() != RunState::Paused {
                return;
            }
            let Some(lock) = lock else {
                own.problem.set(Some(
                    "Another tab draws this experiment: watch it there, or pause it there and go on here."
                        .to_owned(),
                ));
                return;
            };
            own.with(|inner| inner.lock = Some(lock));
            own.wait_for(experiment.pair.clone());
        });
    }

    /// Goes on with the experiment on show, from what is kept of it.
    pub fn go_on(&self) {
        self.problem.set(None);
        let Some((id, _)) = self.shown.get_untracked() else {
            return;
        };
        self.ask(Request::Open(id), move |own, reply| {
            if let Reply::Opened(opened) = reply {
                own.show(*opened);
                own.run_alone();
            }
        });
    }

    fn is_shown(&self, id: ExperimentId) -> bool {
        let is_own = |(shown, _): &(ExperimentId, _)| *shown == id;
        self.shown
            .with_untracked(|it| it.as_ref().is_some_and(is_own))
    }

    fn wait_for(&self, pair: String) {
        if self.engine.pair_address.get_untracked() != pair {
            self.choose_pair.run(pair);
        } else if self.engine.activity.get_untracked() == Activity::Stopped {
            self.engine.go_on();
        }
        self.state.set(RunState::Waiting);
    }

    /// Stops after the current step; what is finished stays.
    pub fn pause(&self) {
        let was_drawing = self.with(|inner| {
            let run = inner.run.as_mut();
            run.is_some_and(|run| {
                let was_drawing = run.is_drawing();
                run.interrupted();
                was_drawing
            })
        });
        if was_drawing {
            self.engine.cancel();
        }
        if self.is_running_untracked() {
            self.state.set(RunState::Paused);
        }
    }

    /// Stops, and shows no experiment any more; it stays in the list as far as it has come.
    pub fn close_run(&self) {
        self.pause();
        self.end_measuring();
        self.with(|inner| inner.run = None);
        self.shown.set(None);
        self.report.set(None);
        self.problem.set(None);
        self.state.set(RunState::Nothing);
        self.list();
    }

    /// Opens a kept experiment.
    pub fn open(&self, id: ExperimentId) {
        self.open_by(Request::Open(id));
    }

    fn open_by(&self, request: Request) {
        let drawn = self
            .shown
            .get_untracked()
            .filter(|_| self.is_running_untracked());
        self.pause();
        self.end_measuring();
        self.problem.set(None);
        self.ask(request, move |own, reply| {
            if let Reply::Opened(opened) = reply {
                let is_other = drawn.as_ref().is_some_and(|(drawn, _)| *drawn != opened.id);
                own.show(*opened);
                if is_other {
                    own.problem.set(Some(OTHER_WAS_PAUSED.to_owned()));
                }
                // With one that was under way until now.
                own.list();
            }
        });
    }

    /// The kept experiments but for the one that is being deleted.
    pub fn listed(&self) -> Vec<Kept> {
        let deleted = self.deleted.with(|it| it.as_ref().map(|it| it.id));
        let mut kept = self.kept.get().unwrap_or_default();
        kept.retain(|it| Some(it.id) != deleted);
        kept
    }

    /// Deletes a kept experiment; for a while it can be had back with [`Self::restore`].
    pub fn delete(&self, kept: Kept) {
        self.forget_deleted();
        let (own, id) = (*self, kept.id);
        let held = if self.is_shown(id) {
            self.with(|inner| inner.lock.take())
        } else {
            None
        };
        leptos::task::spawn_local(async move {
            let lock = match held {
                Some(lock) => Some(lock),
                None => Lock::try_acquire(&lock_name(id)).await,
            };
            let Some(lock) = lock else {
                return own.problem.set(Some(
                    "Another tab draws this experiment, or deletes it: it was not deleted here."
                        .to_owned(),
                ));
            };
            own.with(|inner| inner.deleting = Some(lock));
            local_storage::write(DELETED, Some(&id.to_string()));
            own.deleted.set(Some(kept));
            if own.is_shown(id) {
                own.close_run();
            }
        });
    }

    /// Has the deleted experiment back.
    pub fn restore(&self) {
        self.deleted.set(None);
        self.with(|inner| inner.deleting = None);
        local_storage::write(DELETED, None);
    }

    fn forget_deleted(&self) {
        if let Some(kept) = self.deleted.get_untracked() {
            self.delete_for_good(kept.id);
        }
    }

    /// Deletes what the page had deleted when it was left before it was for good, unless another tab may have
    /// it back.
    fn delete_leftover(&self) {
        let id = local_storage::read(DELETED).and_then(|id| id.parse().ok());
        if let Some(id) = id {
            let own = *self;
            leptos::task::spawn_local(async move {
                if let Some(lock) = Lock::try_acquire(&lock_name(id)).await {
                    own.with(|inner| inner.deleting = Some(lock));
                    own.delete_for_good(id);
                }
            });
        }
    }

    fn delete_for_good(&self, id: ExperimentId) {
        self.ask(Request::Delete(id), move |own, _| {
            let deleted = own.deleted.with_untracked(|it| it.as_ref().map(|it| it.id));
            // Another one may have been deleted since.
            if deleted.is_none_or(|it| it == id) {
                own.restore();
            }
        });
    }

    /// Saves the results of the experiment on show as a file.
    pub fn export(&self) {
        if let Some((id, _)) = self.shown.get_untracked() {
            self.ask(Request::Export(id), |_, _| {});
        }
    }

    /// Saves all that there is of the experiment on show as a ZIP.
    pub fn export_all(&self) {
        if let Some((id, _)) = self.shown.get_untracked() {
            self.ask(Request::ExportAll(id), |_, _| {});
        }
    }

    /// Opens a link to an experiment: the form is filled, and nothing is drawn.
    pub fn open_link(&self, hash: &str) {
        self.is_open.set(true);
        match Experiment::from_link(hash) {
            Ok(experiment) => self.fill(experiment),
            Err(error) => self.problem.set(Some(error.to_string())),
        }
    }

    /// Opens the text of a file: results, a run's manifest or an experiment. Returns whether it is one.
    pub fn open_text(&self, text: String) -> bool {
        let has = |name: &str| text.contains(&format!("\"{name}\""));
        let is_run = has("results_version");
        let is_experiment = has("study") && has("prompts");
        if !is_run && !is_experiment {
            return false;
        }
        self.is_open.set(true);
        if is_run && has("pictures") {
            self.open_by(Request::Import { id: now(), text });
            return true;
        }
        let defaults = self
            .engine
            .pair
            .with_untracked(|pair| pair.as_ref().map(|pair| pair.recipe.clone()))
            .unwrap_or_default();
        let experiment = if is_run {
            RunManifest::from_json(&text)
                .map_err(|error| error.to_string())
                .and_then(|it| it.experiment().map_err(|error| error.to_string()))
        } else {
            ExperimentFile::from_json(&text)
                .and_then(|it| it.with_defaults(&defaults))
                .map_err(|error| error.to_string())
        };
        match experiment {
            Ok(experiment) => self.fill(experiment),
            Err(sentence) => self.problem.set(Some(sentence)),
        }
        true
    }

    fn fill(&self, experiment: Experiment) {
        self.problem.set(None);
        self.filled.set(Some(Arc::new(experiment)));
    }

    fn show(&self, opened: Opened) {
        let Opened {
            id,
            experiment,
            pictures,
            has_images,
            report,
        } = opened;
        let experiment = match Experiment::from_json(&experiment) {
            Ok(experiment) => experiment,
            Err(error) => return self.problem.set(Some(error.to_string())),
        };
        // One that was deleted, and came back as a file.
        if self
            .deleted
            .with_untracked(|it| it.as_ref().is_some_and(|it| it.id == id))
        {
            self.deleted.set(None);
        }
        self.filled.set(Some(Arc::new(experiment.clone())));
        self.shown.set(Some((id, Arc::new(experiment.clone()))));
        self.report.set(Some(Arc::new(report)));
        self.has_images.set(has_images || pictures.is_empty());
        let mut run = Run::new(id, experiment, pictures);
        let (there, all) = run.progress();
        self.progress.set((there, all));
        let is_finished = there == all;
        // Where it crashed between the last picture and its distances.
        if is_finished && let Next::Measure(rows) = run.what_next() {
            self.ask(Request::Measure { id, rows }, |_, _| {});
        }
        self.with(|inner| {
            inner.run = Some(run);
            inner.has_begun = true;
        });
        self.state.set(if is_finished {
            RunState::Finished
        } else {
            RunState::Paused
        });
    }

    fn is_running_untracked(&self) -> bool {
        untrack(|| self.is_running())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        change(self.inner, act)
    }

    /// Has the worker do something; `then` gets its answer.
    fn ask(&self, request: Request, then: impl Fn(Experiments, Reply) + 'static) {
        self.pending.update(|pending| *pending += 1);
        let own = *self;
        let of = match &request {
            Request::Measure { id, .. }
            | Request::MeasureByNetwork { id, .. }
            | Request::Report(id) => Some(*id),
            _ => None,
        };
        // Another one may have come on show since.
        let is_shown = move || {
            let shown = own.shown.with_untracked(|it| it.as_ref().map(|it| it.0));
            of == shown
        };
        self.engine
            .run_task(Task::Experiment(request), move |event| match event {
                TaskEvent::Experiment(reply) => {
                    match &reply {
                        Reply::List(kept) => own.kept.set(Some(kept.clone())),
                        Reply::Report(report) if is_shown() => {
                            own.report.set(Some(Arc::new(Report::clone(report))));
                        }
                        Reply::Measured(done, all) if is_shown() => {
                            own.measuring.set(Some((*done, *all)));
                        }
                        _ => {}
                    }
                    then(own, reply);
                }
                TaskEvent::File { bytes } => {
                    let study = own.shown.with_untracked(|shown| {
                        let shown = shown.as_ref();
                        shown.map_or("results", |(_, experiment)| experiment.study.key())
                    });
                    let saved = save::results(&bytes, study);
                    own.problem
                        .set(saved.is_err().then(|| save::REFUSED.to_owned()));
                }
                TaskEvent::Done => own.answered(),
                TaskEvent::Failed { message } => {
                    own.answered();
                    own.failed(message);
                }
                _ => {}
            });
    }

    fn answered(&self) {
        self.pending
            .update(|pending| *pending = pending.saturating_sub(1));
    }

    fn failed(&self, sentence: String) {
        self.problem.set(Some(sentence));
        if self.measuring.get_untracked().is_some() {
            self.measuring.set(None);
            // Not again by itself.
            self.network.set(None);
        }
        let has_begun = self.with(|inner| inner.has_begun);
        self.pause();
        if !has_begun {
            self.with(|inner| inner.run = None);
            self.shown.set(None);
            self.state.set(RunState::Nothing);
        }
    }

    /// Takes an event of a grid, whoever ordered it.
    fn observe(&self, grid: &Grid, event: &JobEvent) {
        self.time(grid, event);
        if self.state.get_untracked() != RunState::Running {
            return;
        }
        let produced = self.with(|inner| {
            let run = inner.run.as_mut()?;
            let is_own = run.experiment.pair == grid.pair_address && run.is_own(&grid.recipe);
            is_own.then(|| run.take(event)).flatten()
        });
        if let Some(produced) = produced {
            self.keep(grid, produced);
        }
    }

    fn keep(&self, grid: &Grid, produced: Produced) {
        let Some(id) = self.with(|inner| inner.run.as_ref().map(|run| run.id)) else {
            return;
        };
        match produced {
            Produced::Picture(drawn) => {
                let Drawn {
                    record,
                    image,
                    latent,
                    targets,
                } = *drawn;
                let request = Request::Picture {
                    id,
                    record: Box::new(record),
                    picture: image,
                    latent,
                    targets,
                };
                self.ask(request, |own, _| own.report_soon());
                if let Some(progress) =
                    self.with(|inner| inner.run.as_ref().map(|run| run.progress()))
                {
                    self.progress.set(progress);
                }
            }
            Produced::Row(row) => self.ask(Request::Row { id, row }, |_, _| {}),
            Produced::Unmeasured(cell) => self.measure_steps(grid, cell),
        }
    }

    /// Has the steps of a finished cell measured, and then keeps its picture.
    fn measure_steps(&self, grid: &Grid, cell: CellAddress) {
        self.pending.update(|pending| *pending += 1);
        let own = *self;
        let task = Task::Convergence {
            recipe: Box::new(grid.recipe.clone()),
            cell,
        };
        let grid = own.engine.grid.get_untracked();
        self.engine.run_task(task, move |event| match event {
            TaskEvent::Convergence { distances, targets } => {
                let produced =
                    own.with(|inner| inner.run.as_mut()?.measured(cell, &distances, targets));
                if let (Some(produced), Some(grid)) = (produced, &grid) {
                    own.keep(grid, produced);
                }
            }
            TaskEvent::Done => own.answered(),
            TaskEvent::Failed { message } => {
                own.answered();
                own.failed(message);
            }
            _ => {}
        });
    }

    /// Has the chosen network measure a finished experiment, unless it has.
    fn measure_when_due(&self) {
        self.engine.activity.track();
        let is_free = self.state.get() == RunState::Finished
            && self.has_images.get()
            && self.measuring.get().is_none()
            && self.pending.get() == 0
            && self.engine.is_idle();
        let chosen = self.network.get();
        let Some(network) = chosen.and_then(|address| self.loader.network(&address)) else {
            return;
        };
        let key = format!("diversity-{}", network.id);
        let is_measured = self.report.with(|report| {
            let mut tables = report.iter().flat_map(|report| &report.tables);
            tables.any(|table| table.key == key)
        });
        if !is_free || is_measured || network.state != PairState::Complete {
            return;
        }
        let shown = self.shown.get_untracked();
        if let (Some((id, _)), Some(manifest_url)) =
            (shown, absolute(&network.address).map(|url| url.href()))
        {
            self.problem.set(None);
            self.measuring.set(Some((0, 0)));
            let request = Request::MeasureByNetwork { id, manifest_url };
            self.ask(request, |own, reply| {
                if matches!(reply, Reply::Report(_)) {
                    own.measuring.set(None);
                }
            });
        }
    }

    /// Ends the network's measuring; it begins anew once the network is chosen again.
    pub fn stop_measuring(&self) {
        self.network.set(None);
        self.end_measuring();
    }

    /// Ends the measuring of what is on show, as something else comes there.
    fn end_measuring(&self) {
        if self.measuring.get_untracked().is_some() {
            self.measuring.set(None);
            self.ask(Request::StopMeasuring, |_, _| {});
        }
    }

    fn report_soon(&self) {
        if self.with(|inner| std::mem::replace(&mut inner.is_report_due, true)) {
            return;
        }
        let own = *self;
        set_timeout(
            move || {
                own.with(|inner| inner.is_report_due = false);
                if let Some((id, _)) = own.shown.get_untracked() {
                    own.ask(Request::Report(id), |_, _| {});
                }
            },
            REPORT_PAUSE,
        );
    }

    /// Does what comes next, whenever something changes that it waits for.
    fn drive(&self) {
        let state = self.state.get();
        let activity = self.engine.activity.get();
        let is_free = self.pending.get() == 0 && self.engine.is_idle();
        let address = self.engine.pair_address.get();
        let has_pair = self.engine.pair.with(Option::is_some);
        let Some((pair, is_drawing, has_begun, id)) = self.with(|inner| {
            let run = inner.run.as_ref()?;
            let pair = run.experiment.pair.clone();
            Some((pair, run.is_drawing(), inner.has_begun, run.id))
        }) else {
            return;
        };
        let is_lost = matches!(
            activity,
            Activity::Failed | Activity::Stopped | Activity::Cancelled | Activity::Idle
        );
        match state {
            RunState::Waiting | RunState::Running if address != pair => {
                self.pause();
                self.problem.set(Some(
                    "The experiment was paused, as the page draws with another pair now. Go on to change back."
                        .to_owned(),
                ));
            }
            RunState::Waiting if !has_pair && activity == Activity::Stopped => self.pause(),
            RunState::Waiting if has_pair && has_begun => self.state.set(RunState::Running),
            RunState::Waiting if has_pair && is_free => self.begin(id),
            RunState::Running if is_drawing && is_lost => {
                self.pause();
                if activity == Activity::Cancelled {
                    self.problem.set(Some(
                        "The experiment was paused, as its grid was cancelled: go on with it here."
                            .to_owned(),
                    ));
                }
            }
            RunState::Running if !is_drawing && is_free => self.next(id),
            RunState::Running if !is_drawing && activity == Activity::Stopped => self.pause(),
            _ => {}
        }
    }

    fn begin(&self, id: ExperimentId) {
        let Some((_, experiment)) = self.shown.get_untracked() else {
            return;
        };
        let experiment = match experiment.to_json() {
            Ok(experiment) => experiment,
            Err(error) => return self.failed(error.to_string()),
        };
        self.ask(Request::Begin { id, experiment }, |own, _| {
            own.with(|inner| inner.has_begun = true);
            if own.state.get_untracked() == RunState::Waiting {
                own.state.set(RunState::Running);
            }
        });
    }

    fn next(&self, id: ExperimentId) {
        let next = self.with(|inner| inner.run.as_mut().map(Run::what_next));
        match next {
            Some(Next::Measure(rows)) => self.ask(Request::Measure { id, rows }, |_, _| {}),
            Some(Next::Draw(recipe, extent)) => self.engine.generate(*recipe, extent),
            Some(Next::Finished) => {
                self.state.set(RunState::Finished);
                self.list();
            }
            Some(Next::Stuck) => {
                self.pause();
                self.problem.set(Some(
                    "A grid of the experiment ended without a new picture: go on to draw it again, or \
                     reload the page."
                        .to_owned(),
                ));
            }
            None => {}
        }
    }

    /// Times steps and decodes, to tell how long an experiment will take.
    fn time(&self, grid: &Grid, event: &JobEvent) {
        let is_image = matches!(event, JobEvent::Image { .. });
        self.with(|inner| {
            if inner.timed_job != grid.id() {
                inner.timed_job = grid.id();
                inner.warm.clear();
                inner.cells.clear();
            }
            match event {
                JobEvent::Step {
                    cell,
                    step,
                    model,
                    milliseconds,
                    ..
                } => {
                    let before = inner
                        .cells
                        .insert((cell.row, cell.column), *milliseconds)
                        .or((*step == 1).then_some(0.0));
                    if !inner.warm.contains(model) {
                        inner.warm.push(*model);
                    } else if let (Some(before), Some(row)) =
                        (before, grid.rows.get(cell.row as usize))
                    {
                        let own = milliseconds - before;
                        inner.times.step(&grid.recipe, &row.row, *model, own);
                    }
                }
                JobEvent::Image {
                    cell, milliseconds, ..
                } => {
                    if let Some(before) = inner.cells.remove(&(cell.row, cell.column)) {
                        inner.times.decoded(milliseconds - before);
                    }
                }
                _ => {}
            }
        });
        if is_image {
            self.times.set(self.with(|inner| inner.times));
        }
    }
}

/// What takes the place of an experiment that is being drawn.
const OTHER_WAS_PAUSED: &str = "The experiment that was being drawn was paused, as this one has its place: open it in the list to go on with it.";

/// The name of the lock of an experiment among the tabs.
fn lock_name(id: ExperimentId) -> String {
    format!("firststep-experiment-{id}")
}

/// Milliseconds since 1970: the number of what begins now.
fn now() -> ExperimentId {
    // Far below 2^53.
    js_sys::Date::now() as ExperimentId
}
