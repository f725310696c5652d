//! The kept experiments: one request after the other, so that none finds half of what another one writes.
//!
//! What the open experiment has found is held in memory, and written as it comes. A network measures between
//! two jobs, as it needs the device; what it finds comes in order as everything else.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use futures::lock::{Mutex, OwnedMutexGuard};
use gloo_timers::future::TimeoutFuture;
use wasm_bindgen_futures::spawn_local;

use crate::browser::globals::worker_scope::WorkerScope;
use crate::engine::error::EngineError;
use crate::engine::findings::Findings;
use crate::engine::perceptual::Perceptual;
use crate::history::experiment_store::ExperimentStore;
use crate::history::experiments::{
    ExperimentId, Opened, Reply, Request, add_picture, add_row, known_row,
};
use crate::history::store::HistoryError;
use crate::metrics::MetricsError;
use crate::picture::archive::archive;
use crate::picture::png_file::{self, Texts};
use crate::picture::stack::unstacked;
use crate::protocol::engine::{Event, TaskEvent, TaskId};
use crate::recipe::experiment::{ExperimentError, PictureFile, PictureId, Study};
use crate::results::manifest::RunManifest;
use crate::results::{
    ChangeRecord, NetworkFindings, Results, ResultsError, RowRecord, STRUCTURAL, change_distances,
    completed_row, files, report,
};

/// What there is to do.
pub(super) enum Work {
    /// A request of the page; [`Request::Begin`] comes as [`Work::Begun`].
    Asked(Request),
    /// An experiment begins, with its manifest or a sentence that says why it can't.
    Begun {
        id: ExperimentId,
        manifest: Result<RunManifest, String>,
    },
    /// A network has measured an experiment's pictures.
    Found {
        id: ExperimentId,
        found: Result<NetworkFindings, String>,
    },
}

/// Why a request can't be answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExperimentsError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] HistoryError),
    /// The text holds no results.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// The experiment can't be run.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// Pictures can't be compared.
    #[error("The pictures of the experiment can't be compared: {0}")]
    Metrics(#[from] MetricsError),
    /// It was deleted, perhaps in another tab.
    #[error("The experiment is not kept any more: it was deleted, perhaps in another tab.")]
    Gone,
    /// Why a manifest can't be made, or a network not measure.
    #[error("{0}")]
    Engine(String),
    /// There is more than a ZIP can hold.
    #[error("The experiment can't be saved as one file ({0}): save its results as JSON.")]
    Archive(String),
    /// There is nothing that a network could look at.
    #[error(
        "The pictures of this experiment are not kept here: opened results bring their numbers alone. Run it \
         again to measure its pictures."
    )]
    NoPictures,
}

/// The worker's state of the experiments.
#[derive(Default)]
pub(super) struct Experiments {
    waiting: RefCell<VecDeque<(TaskId, Work)>>,
    is_working: Cell<bool>,
    /// The experiment that was asked for last.
    open: RefCell<Option<(ExperimentId, Arc<Mutex<Results>>)>>,
}

impl Experiments {
    /// Does something after all that came before.
    pub fn take(self: &Rc<Self>, scope: &WorkerScope<Event>, task: TaskId, work: Work) {
        self.waiting.borrow_mut().push_back((task, work));
        if self.is_working.replace(true) {
            return;
        }
        let (own, scope) = (self.clone(), scope.clone());
        spawn_local(async move {
            while let Some((id, work)) = own.next() {
                let event = match own.answer(work).await {
                    Ok(event) => {
                        scope.post(Event::Task { id, event });
                        TaskEvent::Done
                    }
                    Err(error) => TaskEvent::Failed {
                        message: error.to_string(),
                    },
                };
                scope.post(Event::Task { id, event });
            }
            own.is_working.set(false);
        });
    }

    fn next(&self) -> Option<(TaskId, Work)> {
        self.waiting.borrow_mut().pop_front()
    }

    async fn answer(&self, work: Work) -> Result<TaskEvent, ExperimentsError> {
        let store = ExperimentStore::open().await?;
        let request = match work {
            Work::Begun { id, manifest } => {
                let manifest = manifest.map_err(ExperimentsError::Engine)?;
                store.begin(id, &manifest.to_json()?).await?;
                let results = Results {
                    manifest,
                    pictures: Vec::new(),
                    rows: Vec::new(),
                    changes: Vec::new(),
                    scores: Vec::new(),
                    targets: Vec::new(),
                };
                self.hold(id, results);
                return Ok(TaskEvent::Experiment(Reply::Done));
            }
            Work::Found { id, found } => {
                let found = found.map_err(ExperimentsError::Engine)?;
                if found.rows.is_empty() {
                    return Err(ExperimentsError::NoPictures);
                }
                let mut results = self.results(&store, id).await?;
                results.take(found.clone());
                let manifest = results.manifest.to_json()?;
                store.keep_findings(id, &found, &manifest).await?;
                let report = report(&results)?;
                return Ok(TaskEvent::Experiment(Reply::Report(Box::new(report))));
            }
            Work::Asked(request) => request,
        };
        let reply = match request {
            Request::List => Reply::List(store.list().await?),
            // They come as work of their own.
            Request::Begin { .. } | Request::MeasureByNetwork { .. } | Request::StopMeasuring => {
                Reply::Done
            }
            Request::Picture {
                id,
                record,
                picture,
                latent,
                targets,
            } => {
                let mut results = self.results(&store, id).await?;
                store
                    .keep_picture(id, &record, &picture, &latent, &targets)
                    .await?;
                add_picture(&mut results, *record);
                Reply::Done
            }
            Request::Row { id, row } => {
                let mut results = self.results(&store, id).await?;
                if add_row(&mut results, RowRecord::clone(&row)) {
                    store.keep_row(id, &row).await?;
                }
                Reply::Done
            }
            Request::Measure { id, rows } => {
                let mut results = self.results(&store, id).await?;
                for (prompt, condition) in rows {
                    measure(&store, id, &mut results, prompt, condition).await?;
                }
                Reply::Report(Box::new(report(&results)?))
            }
            Request::Report(id) => {
                let results = self.results(&store, id).await?;
                Reply::Report(Box::new(report(&results)?))
            }
            Request::Open(id) => {
                let results = self.results(&store, id).await?;
                Reply::Opened(Box::new(opened(&store, id, &results).await?))
            }
            Request::Import { id, text } => {
                let results = Results::from_json(&text)?;
                let id = match kept_already(&store, &results).await? {
                    Some(kept) => kept,
                    None => {
                        store.keep_results(id, &results).await?;
                        id
                    }
                };
                let opened = opened(&store, id, &results).await?;
                self.hold(id, results);
                Reply::Opened(Box::new(opened))
            }
            Request::Export(id) => {
                let bytes = self.results(&store, id).await?.to_json()?.into_bytes();
                return Ok(TaskEvent::File { bytes });
            }
            Request::ExportAll(id) => {
                let results = self.results(&store, id).await?;
                let bytes = everything(&store, id, &results).await?;
                return Ok(TaskEvent::File { bytes });
            }
            Request::Delete(id) => {
                self.open.take();
                store.delete(id).await?;
                Reply::List(store.list().await?)
            }
        };
        Ok(TaskEvent::Experiment(reply))
    }

    /// What an experiment has found so far: out of memory, where it is the open one.
    async fn results(
        &self,
        store: &ExperimentStore,
        id: ExperimentId,
    ) -> Result<OwnedMutexGuard<Results>, ExperimentsError> {
        if !store.has(id).await? {
            // Nothing is to be written beside what another tab has deleted.
            self.open.take();
            return Err(ExperimentsError::Gone);
        }
        let open = self.open.borrow().clone();
        let results = match open {
            Some((open, results)) if open == id => results,
            _ => {
                let results = store.results(id).await?.ok_or(ExperimentsError::Gone)?;
                self.hold(id, results)
            }
        };
        Ok(results.lock_owned().await)
    }

    fn hold(&self, id: ExperimentId, results: Results) -> Arc<Mutex<Results>> {
        let results = Arc::new(Mutex::new(results));
        self.open.replace(Some((id, results.clone())));
        results
    }
}

/// Whether measuring is to go on, and who hears of it.
pub(super) struct Watched<'a> {
    /// Becomes true when it is to end.
    pub is_stopped: &'a Cell<bool>,
    /// Told of the rows that are measured, and of all.
    pub tell: &'a dyn Fn(u32, u32),
}

/// Has a network measure all pictures of an experiment that are kept; none where it was stopped. No picture
/// stays in memory beyond its row.
pub(super) async fn measure_by(
    network: &Perceptual,
    id: ExperimentId,
    watched: Watched<'_>,
) -> Result<Option<NetworkFindings>, MeasuringError> {
    let store = ExperimentStore::open().await?;
    let results = store.results(id).await?.ok_or(ExperimentsError::Gone)?;
    let experiment = results.manifest.experiment()?;
    let steps: BTreeMap<PictureId, usize> = results
        .pictures
        .iter()
        .map(|it| (it.id, it.steps.len()))
        .collect();
    drop(results);
    let mut findings = Findings::new(network, &experiment);
    let rows = Findings::rows(&experiment);
    let all = rows.len() as u32;
    for (done, (prompt, condition)) in (1..).zip(rows) {
        if watched.is_stopped.get() {
            return Ok(None);
        }
        let pictures = store.whole_row(id, prompt, condition).await?;
        findings.take_row(prompt, condition, &pictures).await?;
        for (image, png) in store.targets(id, prompt, condition).await? {
            if watched.is_stopped.get() {
                return Ok(None);
            }
            let picture = PictureId {
                prompt,
                condition,
                image,
            };
            let stack = png_file::decode(&png).ok();
            let taken = steps.get(&picture).zip(stack);
            if let Some(targets) = taken.and_then(|(steps, it)| unstacked(&it, steps + 1)) {
                findings.take_targets(picture, &targets).await?;
            }
            // The page may ask to stop.
            TimeoutFuture::new(0).await;
        }
        (watched.tell)(done, all);
        // The page may ask to stop.
        TimeoutFuture::new(0).await;
    }
    Ok(Some(findings.finish()))
}

/// Why a network could not measure.
#[derive(Debug, thiserror::Error)]
pub(super) enum MeasuringError {
    /// The device or the network fails.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The experiment can't be read.
    #[error(transparent)]
    Experiments(#[from] ExperimentsError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] HistoryError),
    /// It is no experiment.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
}

/// The experiment that has found the same, as one whose file comes back.
async fn kept_already(
    store: &ExperimentStore,
    results: &Results,
) -> Result<Option<ExperimentId>, ExperimentsError> {
    let experiment = results.manifest.experiment()?.to_json()?;
    for kept in store.list().await? {
        if kept.experiment == experiment
            && kept.pictures as usize == results.pictures.len()
            && let Some(known) = store.results(kept.id).await?
            && is_same(&known, results)
        {
            return Ok(Some(kept.id));
        }
    }
    Ok(None)
}

/// Whether results have the same in whatever order: a store has its own.
fn is_same(known: &Results, results: &Results) -> bool {
    fn have_same<T: PartialEq>(some: &[T], others: &[T]) -> bool {
        some.len() == others.len() && some.iter().all(|it| others.contains(it))
    }
    known.manifest == results.manifest
        && known.pictures == results.pictures
        && have_same(&known.rows, &results.rows)
        && have_same(&known.changes, &results.changes)
        && have_same(&known.scores, &results.scores)
        && have_same(&known.targets, &results.targets)
}

async fn opened(
    store: &ExperimentStore,
    id: ExperimentId,
    results: &Results,
) -> Result<Opened, ExperimentsError> {
    Ok(Opened {
        has_images: store.has_images(id).await?,
        id,
        experiment: results.manifest.experiment()?.to_json()?,
        pictures: results.pictures.iter().map(|it| it.id).collect(),
        report: report(results)?,
    })
}

/// A ZIP of an experiment, with the paths of the folder that `bin/run` writes.
async fn everything(
    store: &ExperimentStore,
    id: ExperimentId,
    results: &Results,
) -> Result<Vec<u8>, ExperimentsError> {
    let experiment = results.manifest.experiment()?;
    let json = results.to_json()?.into_bytes();
    let mut all = vec![("results.json".to_owned(), json)];
    let report = files(results)?.into_iter();
    all.extend(report.map(|(name, bytes)| (format!("report/{name}"), bytes)));
    for (prompt, condition) in Findings::rows(&experiment) {
        let path = |file, image| {
            let picture = PictureId {
                prompt,
                condition,
                image,
            };
            experiment.path_of(file, picture)
        };
        for (image, picture) in store.whole_row(id, prompt, condition).await? {
            let view = picture.view().map_err(MetricsError::from)?;
            if let Ok(bytes) = png_file::encode(view, Texts::NONE) {
                all.push((path(PictureFile::Picture, image), bytes));
            }
        }
        for (image, bytes) in store.latents(id, prompt, condition).await? {
            all.push((path(PictureFile::Latent, image), bytes));
        }
        for (image, bytes) in store.targets(id, prompt, condition).await? {
            all.push((path(PictureFile::Targets, image), bytes));
        }
    }
    let (names, contents): (Vec<String>, Vec<Vec<u8>>) = all.into_iter().unzip();
    archive(names.iter().map(String::as_str).zip(contents))
        .map_err(|error| ExperimentsError::Archive(error.to_string()))
}

/// Measures what is missing between a row's pictures, and in a study of an adapter between them and those
/// that they are compared with.
async fn measure(
    store: &ExperimentStore,
    id: ExperimentId,
    results: &mut Results,
    prompt: u32,
    condition: u32,
) -> Result<(), ExperimentsError> {
    let finished = results.of(prompt, condition).count();
    let known = known_row(results, STRUCTURAL, prompt, condition);
    let experiment = results.manifest.experiment()?;
    let is_transfer = matches!(experiment.study, Study::Transfer(_));
    if known.columns.len() >= finished && !is_transfer {
        return Ok(());
    }
    let pictures = store.row(id, prompt, condition).await?;
    if pictures.len() >= 2 && known.columns.len() < pictures.len() {
        let row = RowRecord {
            prompt,
            condition,
            measure: STRUCTURAL.to_owned(),
            distances: completed_row(&known, &pictures)?,
        };
        store.keep_row(id, &row).await?;
        add_row(results, row);
    }
    if !is_transfer {
        return Ok(());
    }
    let conditions = experiment.conditions();
    let own = usize::try_from(condition).ok();
    let own = own.and_then(|place| conditions.get(place));
    let reference = own.and_then(|own| experiment.reference_of(own));
    let Some(reference) = reference.and_then(|place| u32::try_from(place).ok()) else {
        return Ok(());
    };
    let others = store.row(id, prompt, reference).await?;
    let (images, distances) = change_distances(&pictures, &others)?;
    if images.is_empty() {
        return Ok(());
    }
    let change = ChangeRecord {
        prompt,
        condition,
        measure: STRUCTURAL.to_owned(),
        images,
        distances,
    };
    store.keep_change(id, &change).await?;
    let is_same = |it: &ChangeRecord| (it.prompt, it.condition) == (prompt, condition);
    results.changes.retain(|it| !is_same(it));
    results.changes.push(change);
    let order = |it: &ChangeRecord| (it.prompt, it.condition);
    results.changes.sort_by_key(order);
    Ok(())
}
