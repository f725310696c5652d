//! The loader in its Web Worker: it takes requests and posts events. Only one tab loads at a time.

mod adapters;
mod added;
mod catalogue;
mod error;
mod resolve;
mod storage;
mod tabs;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures::lock::Mutex;
use wasm_bindgen_futures::spawn_local;

use super::preflight::{self, Drawn};
use crate::browser::globals::gpu;
use crate::browser::globals::lock::Lock;
use crate::browser::globals::worker_scope::WorkerScope;
use crate::protocol::loader::{
    Event, Library, LoadProgress, PROTOCOL_VERSION, PairSource, Phase, Preflight, Request,
};
use crate::weights::adapter_file::adapter_id;
use crate::weights::download::network::arrival::{Arrival, ArrivalError, ArrivalObserver};
use crate::weights::download::network::transfer::{Control, Report};
use crate::weights::download::speed::Speed;
use crate::weights::either_manifest::EitherManifest;
use crate::weights::stored::store::{FileRecord, PairRecord, Store, StoreError};
use catalogue::{Networks, Pairs, missing};
use error::LibraryError;
use resolve::Resolved;
use tabs::{Channel, LOCK, Message};

/// The least time between two reports of a load's progress.
const REPORT_MILLISECONDS: f64 = 200.0;

/// How often a load begins again with a store that was closed under it.
const RENEWALS: u32 = 2;

/// Starts the loader; it lives as long as its worker.
pub fn run() {
    let scope = WorkerScope::own();
    let loader = Rc::new(Loader::new(scope.clone()));
    scope.open(PROTOCOL_VERSION, move |request| {
        let loader = loader.clone();
        spawn_local(async move { loader.answer(request).await });
    });
}

struct Loader {
    scope: WorkerScope<Event>,
    /// None until [`Request::Start`], and where there is no store. Locked while pairs are listed,
    /// resolved, added or deleted.
    pairs: Mutex<Option<Pairs>>,
    channel: RefCell<Option<Rc<Channel>>>,
    /// Typed addresses of networks that measure pictures; none: the page shows no networks.
    networks: RefCell<Option<BTreeSet<String>>>,
    /// The loads of this tab that run or wait, by address.
    loads: RefCell<BTreeMap<String, Rc<Control>>>,
}

/// Why a request ended.
enum Failure {
    Library(LibraryError),
    Arrive(ArrivalError),
    Sentence(String),
    /// Another tab loaded the pair, or paused its load.
    LoadedElsewhere,
}

impl Failure {
    /// Whether the store was closed under the request.
    fn is_of_closed_store(&self) -> bool {
        matches!(
            self,
            Failure::Arrive(ArrivalError::Store(StoreError::Closed))
                | Failure::Library(LibraryError::Store(StoreError::Closed))
        )
    }
}

impl<E: Into<LibraryError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Library(error.into())
    }
}

impl Loader {
    fn new(scope: WorkerScope<Event>) -> Self {
        Loader {
            scope,
            pairs: Mutex::default(),
            channel: RefCell::default(),
            networks: RefCell::default(),
            loads: RefCell::default(),
        }
    }

    fn post(&self, event: Event) {
        self.scope.post(event);
    }

    async fn answer(self: Rc<Self>, request: Request) {
        match request {
            Request::Start { page_url } => self.start(page_url).await,
            Request::List => self.list().await,
            Request::ListNetworks { further } => {
                self.networks
                    .borrow_mut()
                    .get_or_insert_default()
                    .extend(further);
                self.list_networks().await;
            }
            Request::Add(source) => {
                let added = self.add(&source).await;
                match added {
                    Ok(address) => {
                        self.changed().await;
                        self.post(Event::Added { address });
                    }
                    Err(failure) => self.fail(None, failure).await,
                }
            }
            Request::Check {
                address,
                size,
                adapters,
            } => match self
                .check(
                    &address,
                    size.map(|size| [size.width, size.height]),
                    &adapters,
                )
                .await
            {
                Ok(preflight) => self.post(Event::Checked(Box::new(preflight))),
                Err(failure) => self.fail(Some(address), failure).await,
            },
            Request::Pause { address } => {
                self.pause(&address);
                self.broadcast(&Message::Pause { address });
            }
            Request::Delete { address } => {
                self.pause(&address);
                self.broadcast(&Message::Pause {
                    address: address.clone(),
                });
                if let Err(failure) = self.delete(&address).await {
                    self.fail(Some(address), failure).await;
                }
                self.changed().await;
            }
            Request::AddAdapter(source) => match self.add_adapter(source).await {
                Ok(entry) => {
                    self.changed().await;
                    self.post(Event::AdapterAdded(entry));
                }
                Err(error) => self.post(Event::AdapterFailed {
                    message: error.to_string(),
                }),
            },
            Request::DeleteAdapter { hash } => {
                if let Err(error) = self.delete_adapter(&hash).await {
                    self.post(Event::AdapterFailed {
                        message: error.to_string(),
                    });
                }
                self.changed().await;
            }
            Request::Load {
                address,
                accepts_licences,
                manifest,
            } => self.run_load(address, accepts_licences, manifest).await,
        }
    }

    /// Loads a pair, unless this tab does already.
    async fn run_load(
        self: &Rc<Self>,
        address: String,
        accepts_licences: bool,
        manifest: Option<String>,
    ) {
        if self.loads.borrow().contains_key(&address) {
            return;
        }
        let control = Rc::new(Control::default());
        self.loads
            .borrow_mut()
            .insert(address.clone(), control.clone());
        let mut left = RENEWALS;
        let outcome = loop {
            let outcome = self
                .load(&address, accepts_licences, manifest.clone(), &control)
                .await;
            // The store was closed, or emptied, under the load: the next attempt opens it anew.
            let is_closed = matches!(&outcome, Err(failure) if failure.is_of_closed_store());
            if !is_closed || left == 0 || control.is_paused() {
                break outcome;
            }
            left -= 1;
        };
        // A paused load has left its place, and another one may have taken it meanwhile.
        let current = self.loads.borrow().get(&address).cloned();
        let is_replaced = current.is_some_and(|current| !Rc::ptr_eq(&current, &control));
        if is_replaced {
            return;
        }
        self.loads.borrow_mut().remove(&address);
        match outcome {
            Ok(()) => self.announce(Event::Loaded { address }),
            // The tab that loaded the pair announces it.
            Err(Failure::LoadedElsewhere) => return,
            Err(Failure::Arrive(ArrivalError::Paused)) => self.announce(Event::Paused { address }),
            Err(failure) => self.fail(Some(address), failure).await,
        }
        self.changed().await;
    }

    async fn start(self: &Rc<Self>, page_url: String) {
        let receive = {
            let loader = Rc::downgrade(self);
            move |message| {
                if let Some(loader) = loader.upgrade() {
                    loader.receive(message);
                }
            }
        };
        *self.channel.borrow_mut() = Some(Rc::new(Channel::open(receive)));
        // Locked until the store is open: requests that come meanwhile wait for it.
        let mut pairs = self.pairs.lock().await;
        match Store::open().await {
            Ok(store) => {
                if let Some(notice) = store.notice() {
                    self.post(Event::Notice {
                        address: String::new(),
                        message: notice.to_owned(),
                    });
                }
                *pairs = Some(Pairs::new(page_url, Rc::new(store)));
                drop(pairs);
                self.list().await;
            }
            Err(error) => self.post(Event::Failed {
                address: None,
                message: match error {
                    StoreError::Unavailable { .. } => NO_STORE.to_owned(),
                    error => error.to_string(),
                },
            }),
        }
    }

    /// Takes a message of another tab.
    fn receive(self: &Rc<Self>, message: Message) {
        match message {
            Message::Event(Event::Progress(progress)) => {
                self.follow(&progress.address);
                let phase = match progress.phase {
                    Phase::Loading | Phase::Asking => Phase::ElsewhereLoading,
                    phase => phase,
                };
                self.post(Event::Progress(LoadProgress { phase, ..progress }));
            }
            Message::Event(event) => {
                if let Event::Failed {
                    address: Some(address),
                    ..
                }
                | Event::Full { address, .. } = &event
                {
                    // A load that failed in the other tab would fail in this one.
                    self.pause(address);
                }
                self.post(event);
            }
            Message::Pause { address } => self.pause(&address),
            Message::Changed => {
                let loader = self.clone();
                spawn_local(async move { loader.list_all().await });
            }
        }
    }

    /// Waits for the lock of the tab that loads a pair, to take over if that tab is closed.
    fn follow(self: &Rc<Self>, address: &str) {
        if !self.loads.borrow().contains_key(address) {
            let (loader, address) = (self.clone(), address.to_owned());
            spawn_local(async move { loader.run_load(address, false, None).await });
        }
    }

    fn broadcast(&self, message: &Message) {
        if let Some(channel) = self.channel.borrow().clone() {
            channel.post(message);
        }
    }

    /// Posts an event to this page and to those of the other tabs.
    fn announce(&self, event: Event) {
        self.post(event.clone());
        self.broadcast(&Message::Event(event));
    }

    async fn list(&self) {
        let mut pairs = self.pairs.lock().await;
        let listed = match started(&mut pairs).await {
            Ok(pairs) => pairs.list().await,
            // Whoever waits for the list goes on without it.
            Err(failure) => return self.fail(None, failure).await,
        };
        match listed {
            Ok(library) => self.post(Event::Library(Library {
                storage: storage::storage().await,
                ..library
            })),
            Err(error) => self.post(Event::Failed {
                address: None,
                message: error.to_string(),
            }),
        }
    }

    async fn list_networks(&self) {
        let Some(further) = self.networks.borrow().clone() else {
            return;
        };
        let mut pairs = self.pairs.lock().await;
        let listed = match started(&mut pairs).await {
            Ok(pairs) => pairs.list_networks(&further).await.map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        drop(pairs);
        match listed {
            Ok(Networks { entries, unread }) => {
                self.post(Event::Networks(entries));
                for (address, error) in unread {
                    // Once: it is not asked for again unless it is typed again.
                    if let Some(further) = &mut *self.networks.borrow_mut() {
                        further.remove(&address);
                    }
                    let message = error.to_string();
                    self.post(Event::Failed {
                        address: Some(address),
                        message,
                    });
                }
            }
            Err(failure) => self.fail(None, failure).await,
        }
    }

    async fn list_all(&self) {
        self.list().await;
        self.list_networks().await;
    }

    async fn changed(&self) {
        self.list_all().await;
        self.broadcast(&Message::Changed);
    }

    async fn fail(&self, address: Option<String>, failure: Failure) {
        let message = match failure {
            Failure::Arrive(ArrivalError::Store(StoreError::Quota)) => {
                if let Some(address) = address {
                    let missing = self.missing(&address).await.unwrap_or(0);
                    self.announce(Event::Full { address, missing });
                    return;
                }
                StoreError::Quota.to_string()
            }
            Failure::Arrive(error) => error.to_string(),
            Failure::Library(error) => error.to_string(),
            Failure::Sentence(message) => message,
            Failure::LoadedElsewhere => return,
        };
        self.announce(Event::Failed { address, message });
    }

    async fn add(&self, source: &PairSource) -> Result<String, Failure> {
        let mut pairs = self.pairs.lock().await;
        Ok(started(&mut pairs).await?.add(source).await?)
    }

    async fn resolve(
        &self,
        address: &str,
        manifest: Option<String>,
    ) -> Result<(Resolved, Rc<Store>), Failure> {
        let mut pairs = self.pairs.lock().await;
        let pairs = started(&mut pairs).await?;
        let resolved = pairs.resolve(address, manifest).await?;
        Ok((resolved, pairs.store.clone()))
    }

    async fn missing(&self, address: &str) -> Result<u64, Failure> {
        let (resolved, store) = self.resolve(address, None).await?;
        let files = store.files().await?.into_iter().collect();
        let begun = store.begun().await?.into_iter().collect();
        Ok(missing(&resolved.manifest.files(), &files, &begun))
    }

    /// `size`: width and height of the pictures; `adapters`: hashes of those that are put beside the models.
    async fn check(
        &self,
        address: &str,
        size: Option<[u32; 2]>,
        adapters: &[String],
    ) -> Result<Preflight, Failure> {
        let (resolved, store) = self.resolve(address, None).await?;
        let files: BTreeMap<String, FileRecord> = store.files().await?.into_iter().collect();
        let begun = store.begun().await?.into_iter().collect();
        let Resolved {
            manifest, record, ..
        } = resolved;
        let EitherManifest::Pair(manifest) = manifest else {
            return Err(LibraryError::Unknown(address.to_owned()).into());
        };
        // One that isn't here takes nothing, and is said where it is asked for.
        let adapters = adapters
            .iter()
            .filter_map(|hash| files.get(&adapter_id(hash)));
        let adapters = adapters.map(|record| record.stored).sum();
        let mut preflight = preflight::preflight(
            address,
            &manifest,
            Drawn {
                image_size: manifest.drawn_size(size),
                adapters,
            },
            missing(&manifest.files(), &files, &begun),
            |id| files.contains_key(id),
            gpu::request_adapter().await,
            storage::storage().await,
        );
        if record.is_accepted {
            preflight.licences.clear();
        }
        Ok(preflight)
    }

    fn pause(&self, address: &str) {
        // It ends a moment later: a load that is asked for before that doesn't join it.
        if let Some(control) = self.loads.borrow_mut().remove(address) {
            control.pause();
        }
    }

    async fn delete(&self, address: &str) -> Result<(), Failure> {
        // No tab may load meanwhile: it would write what is deleted here.
        let _lock = Lock::acquire(LOCK).await;
        let mut pairs = self.pairs.lock().await;
        let pairs = started(&mut pairs).await?;
        let url = pairs.url(address)?;
        pairs.store.remove_pair(&url).await?;
        pairs.store.remove_unnamed_files().await?;
        Ok(())
    }

    async fn load(
        self: &Rc<Self>,
        address: &str,
        accepts_licences: bool,
        manifest: Option<String>,
        control: &Rc<Control>,
    ) -> Result<(), Failure> {
        let progress = |phase| LoadProgress {
            address: address.to_owned(),
            phase,
            file: String::new(),
            received: 0,
            total: 0,
            speed: 0.0,
        };
        let lock = Lock::try_acquire(LOCK).await;
        let follows = lock.is_none();
        self.post(Event::Progress(progress(if follows {
            Phase::ElsewhereLoading
        } else {
            Phase::Asking
        })));
        let _lock = match lock {
            Some(lock) => lock,
            None => Lock::acquire(LOCK).await,
        };
        if control.is_paused() {
            return Err(if follows {
                Failure::LoadedElsewhere
            } else {
                Failure::Arrive(ArrivalError::Paused)
            });
        }
        let (resolved, store) = self.resolve(address, manifest).await?;
        let Resolved {
            manifest,
            mut record,
            url,
        } = resolved;
        if !manifest.licences_to_accept().is_empty() && !accepts_licences && !record.is_accepted {
            return Err(Failure::Sentence(format!(
                "The licences of “{}” have to be accepted before it is downloaded.",
                manifest.name()
            )));
        }
        record.is_accepted |= accepts_licences;
        record.last_used = js_sys::Date::now();
        if follows && self.missing(address).await? == 0 {
            return Err(Failure::LoadedElsewhere);
        }
        // From here on a stored manifest names the files, so they are not deleted as unnamed ones.
        store.put_pair(&url, &record).await?;
        self.broadcast(&Message::Changed);
        let begun: BTreeMap<_, _> = store.begun().await?.into_iter().collect();
        let arrivals = {
            let mut pairs = self.pairs.lock().await;
            let pairs = started(&mut pairs).await?;
            let arrival = |file: &crate::weights::manifest::ManifestFile| {
                Ok(Arrival {
                    origin: pairs.origin(&url, file)?,
                    rules: manifest.rules_of(file),
                    file: file.clone(),
                })
            };
            let files = manifest.files().into_iter().map(arrival);
            files.collect::<Result<Vec<_>, LibraryError>>()?
        };
        let total = manifest.download_size();
        let mut done = 0;
        for arrival in arrivals {
            let size = arrival.file.size;
            let before = begun.get(&arrival.file.id).map_or(0, |it| it.position);
            let load = Rc::new(FileLoad {
                loader: self.clone(),
                address: address.to_owned(),
                file: arrival.file.name().to_owned(),
                done,
                total,
                received: Cell::new(before),
                phase: RefCell::new(Phase::Loading),
                last_retry: RefCell::new(None),
                reported: Cell::new(0.0),
                speed: RefCell::new(Speed::default()),
            });
            arrival
                .run(&store, control, &load)
                .await
                .map_err(Failure::Arrive)?;
            done += size;
        }
        if let Some(record) = store.pair(&url).await? {
            let last_used = js_sys::Date::now();
            let record = PairRecord {
                last_used,
                ..record
            };
            store.put_pair(&url, &record).await?;
            if !record.is_pinned {
                // A manifest that isn't pinned may have changed, and its old files are unnamed now.
                store.remove_unnamed_files().await?;
            }
        }
        Ok(())
    }
}

/// What is said where there is no store: the engine alone holds weights in memory, and only those of
/// pairs that come with the page.
const NO_STORE: &str = "This browser doesn't let the page store models, as private windows do: the pairs \
    that come with the page are drawn from memory, and others can't be loaded. Open the page in an \
    ordinary window to use them.";

/// The pairs, with a store that is open: one that was closed under the page is opened again.
async fn started(pairs: &mut Option<Pairs>) -> Result<&mut Pairs, Failure> {
    let pairs = pairs
        .as_mut()
        .ok_or_else(|| Failure::Sentence(NO_STORE.to_owned()))?;
    if pairs.store.is_closed() {
        pairs.store = Rc::new(Store::open().await?);
    }
    Ok(pairs)
}

/// The arrival of one file, which it reports to the pages.
struct FileLoad {
    loader: Rc<Loader>,
    address: String,
    file: String,
    /// Bytes of the pair's files before this one.
    done: u64,
    /// Bytes of all files of the pair.
    total: u64,
    /// Bytes of this file so far.
    received: Cell<u64>,
    phase: RefCell<Phase>,
    /// The last reason for a retry: only another one is worth a notice.
    last_retry: RefCell<Option<String>>,
    /// The time of the last report, in milliseconds.
    reported: Cell<f64>,
    speed: RefCell<Speed>,
}

impl FileLoad {
    fn tell(&self, phase: Phase) {
        let now = js_sys::Date::now();
        let is_new = *self.phase.borrow() != phase;
        if !is_new && now - self.reported.get() < REPORT_MILLISECONDS {
            return;
        }
        self.reported.set(now);
        *self.phase.borrow_mut() = phase.clone();
        let received = self.received.get();
        self.loader.announce(Event::Progress(LoadProgress {
            address: self.address.clone(),
            phase,
            file: self.file.clone(),
            received: self.done + received,
            total: self.total,
            speed: self.speed.borrow_mut().at(now, received),
        }));
    }
}

impl ArrivalObserver for FileLoad {
    fn progress(&self, received: u64) {
        self.received.set(received);
        let phase = match &*self.phase.borrow() {
            Phase::Searching => Phase::Searching,
            _ => Phase::Loading,
        };
        self.tell(phase);
    }

    fn report(&self, report: Report) {
        match report {
            Report::Flows => {
                let is_over = matches!(*self.phase.borrow(), Phase::Retrying(_) | Phase::Offline);
                if is_over {
                    self.tell(Phase::Loading);
                }
            }
            Report::Retries(reason) => {
                let is_new = self.last_retry.replace(Some(reason.clone())) != Some(reason.clone());
                let sentence = format!("{}, so it is asked again.", capitalized(&reason));
                if is_new {
                    self.notice(sentence.clone());
                }
                self.tell(Phase::Retrying(sentence));
            }
            Report::Offline => self.tell(Phase::Offline),
        }
    }

    fn second_reading_begins(&self) {
        self.tell(Phase::Searching);
    }

    fn notice(&self, message: String) {
        self.loader.announce(Event::Notice {
            address: self.address.clone(),
            message,
        });
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}
