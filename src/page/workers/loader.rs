//! The page's client of the loader: turns the events of its [`WorkerLink`] into signals, and resumes
//! the loads of a dead worker in the next one. The first request starts the worker.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::rc::Rc;
use std::time::Duration;

use leptos::leptos_dom::helpers::IntervalHandle;
use leptos::prelude::*;

use super::link::{FromLink, Program, WorkerLink, change};
use super::load_state::{AwaitedLoad, LoadProblem, OpenPreflight};
use super::unfinished;
use crate::protocol::loader::{
    AdapterEntry, AdapterSource, Event, Library, LoadProgress, NetworkEntry, Origin,
    PROTOCOL_VERSION, PairEntry, PairSource, PairState, Phase, Request,
};
use crate::recipe::size::ImageSize;
use crate::view::loading;
use crate::view::requested_loads::{AfterDeath, RequestedLoads};
use crate::view::worker_link::{Silence, Watchdog};

const LOADER: Program = Program {
    script: "./start_loader.js",
    worker_name: "",
    name: "loader",
    version: PROTOCOL_VERSION,
};

/// The interval of the [`Watchdog`]: while a load runs, the worker posts events far more often.
const SILENCE: Duration = Duration::from_secs(10);

/// The most sentences about a load that are shown, the last ones.
const MAXIMUM_NOTICES: usize = 20;

/// The page's client of the loader. Pairs are named by their addresses.
#[derive(Clone, Copy)]
pub struct LoaderClient {
    /// None until the worker has listed the pairs.
    pub library: RwSignal<Option<Library>>,
    /// The pre-flight that the panel shows; none: the panel shows none.
    pub preflight: RwSignal<Option<OpenPreflight>>,
    /// The running loads, in this tab or another.
    pub loads: RwSignal<BTreeMap<String, LoadProgress>>,
    /// The pair whose load the engine waits for: the engine's status shows that load.
    pub awaited: RwSignal<Option<String>>,
    /// Sentences about the mishaps that each load has recovered from.
    pub notices: RwSignal<BTreeMap<String, Vec<String>>>,
    /// The problem of each pair; under the key none, one that concerns no pair.
    pub problems: RwSignal<BTreeMap<Option<String>, LoadProblem>>,
    /// The pair that became complete last, until the visitor has dismissed the news.
    pub loaded: RwSignal<Option<String>>,
    /// The pairs whose load has begun, now or on an earlier visit, and has neither ended nor been
    /// paused.
    pub unfinished: RwSignal<BTreeSet<String>>,
    /// Whether a pair is being added.
    pub is_adding: RwSignal<bool>,
    /// Whether an adapter is being stored.
    pub is_adding_adapter: RwSignal<bool>,
    /// Why the last adapter could not be stored, as a sentence.
    pub adapter_problem: RwSignal<Option<String>>,
    /// The adapter that was stored last.
    pub added_adapter: RwSignal<Option<AdapterEntry>>,
    /// The networks that measure pictures; none until they have been asked for and listed.
    pub networks: RwSignal<Option<Vec<NetworkEntry>>>,
    /// The size of pictures that pre-flights count the memory for; none: each pair's own.
    size: Signal<Option<ImageSize>>,
    /// The hashes of the adapters that they count beside the models.
    adapters: Signal<Vec<String>>,
    link: WorkerLink<Request, Event>,
    inner: StoredValue<Inner, LocalStorage>,
}

/// The client's state that no component reads.
#[derive(Default)]
struct Inner {
    requested: RequestedLoads,
    /// The engine's receiver of news of the awaited load.
    on_awaited: Option<Rc<dyn Fn(AwaitedLoad)>>,
    /// Called once the library is known, or can't be listed.
    when_listed: Vec<Box<dyn FnOnce()>>,
    watchdog: Watchdog,
    interval: Option<IntervalHandle>,
}

impl LoaderClient {
    /// A client without a worker: the first request starts one. Where an earlier visit has left a load
    /// unfinished, the client makes a request at once.
    pub fn new(size: Signal<Option<ImageSize>>, adapters: Signal<Vec<String>>) -> Self {
        let left = unfinished::read();
        let is_left = !left.is_empty();
        let client = LoaderClient {
            library: RwSignal::new(None),
            preflight: RwSignal::new(None),
            loads: RwSignal::default(),
            awaited: RwSignal::new(None),
            notices: RwSignal::default(),
            problems: RwSignal::default(),
            loaded: RwSignal::new(None),
            unfinished: RwSignal::new(left),
            is_adding: RwSignal::new(false),
            is_adding_adapter: RwSignal::new(false),
            adapter_problem: RwSignal::new(None),
            added_adapter: RwSignal::new(None),
            networks: RwSignal::new(None),
            size,
            adapters,
            link: WorkerLink::new(LOADER),
            inner: StoredValue::new_local(Inner::default()),
        };
        client.link.listen(move |from_link| match from_link {
            FromLink::Event(event) => {
                client.with(|inner| inner.watchdog.heard());
                client.link.prove();
                client.take(event);
            }
            FromLink::Stopped(sentence) => client.stopped(sentence),
            FromLink::Panicked(words) => client.died(&format!(" ({words})")),
            FromLink::Died(reason) => client.died(&reason),
        });
        if is_left {
            client.list();
        }
        client
    }

    /// Requests the list of all pairs and the storage again.
    pub fn list(&self) {
        self.request(Request::List);
    }

    /// Requests the networks that measure pictures, with those at typed addresses.
    pub fn list_networks(&self, further: Vec<String>) {
        for address in &further {
            self.clear_problem(Some(address));
        }
        self.request(Request::ListNetworks { further });
    }

    /// What a pair or a network is called; its address where that isn't known.
    pub fn name_of(&self, address: &str) -> String {
        if let Some(pair) = self.entry(address) {
            return pair.name;
        }
        let network = self.network(address).map(|network| network.name);
        network.unwrap_or_else(|| address.to_owned())
    }

    /// A network that measures pictures; none until they are listed.
    pub fn network(&self, address: &str) -> Option<NetworkEntry> {
        self.networks.with(|networks| {
            let mut networks = networks.iter().flatten();
            networks.find(|it| it.address == address).cloned()
        })
    }

    /// Calls `act` once the library is known, or can't be listed.
    pub fn when_listed(&self, act: impl FnOnce() + 'static) {
        if self.library.with_untracked(Option::is_some) {
            act();
        } else {
            self.with(|inner| inner.when_listed.push(Box::new(act)));
            self.list();
        }
    }

    /// Adds a pair; its pre-flight follows.
    pub fn add(&self, source: PairSource) {
        self.clear_problem(None);
        self.is_adding.set(true);
        self.request(Request::Add(source));
    }

    /// Stores an adapter; [`LoaderClient::added_adapter`] or [`LoaderClient::adapter_problem`] follows.
    pub fn add_adapter(&self, source: AdapterSource) {
        self.adapter_problem.set(None);
        self.is_adding_adapter.set(true);
        self.request(Request::AddAdapter(source));
    }

    /// Deletes an adapter from the store.
    pub fn delete_adapter(&self, hash: String) {
        self.adapter_problem.set(None);
        self.request(Request::DeleteAdapter { hash });
    }

    /// Opens the pre-flight of a pair and requests its content.
    pub fn check(&self, address: String) {
        self.clear_problem(Some(&address));
        self.preflight.set(Some(OpenPreflight {
            address: address.clone(),
            preflight: None,
        }));
        let size = self.size.get_untracked();
        let adapters = self.adapters.get_untracked();
        self.request(Request::Check {
            address,
            size,
            adapters,
        });
    }

    /// Closes the pre-flight.
    pub fn dismiss_preflight(&self) {
        self.preflight.set(None);
    }

    /// Starts or resumes the load of a pair.
    pub fn load(&self, address: String, accepts_licences: bool) {
        self.start_load(address, accepts_licences, None);
    }

    fn start_load(&self, address: String, accepts_licences: bool, manifest: Option<String>) {
        self.clear_problem(Some(&address));
        self.preflight.set(None);
        self.with(|inner| inner.requested.request(&address, accepts_licences));
        self.begin(&address);
        self.remember(&address, true);
        self.request(Request::Load {
            address,
            accepts_licences,
            manifest,
        });
    }

    /// Pauses a load, in this tab or another.
    pub fn pause(&self, address: String) {
        self.with(|inner| inner.requested.pause(&address));
        self.remember(&address, false);
        self.request(Request::Pause { address });
    }

    /// Deletes a pair's weights, except those that other pairs use.
    pub fn delete(&self, address: String) {
        self.clear_problem(Some(&address));
        self.notices.update(|notices| {
            notices.remove(&address);
        });
        if self
            .loaded
            .with_untracked(|loaded| loaded.as_ref() == Some(&address))
        {
            self.loaded.set(None);
        }
        self.with(|inner| inner.requested.end(&address));
        self.remember(&address, false);
        self.request(Request::Delete { address });
    }

    /// Removes the problem that concerns no pair.
    pub fn dismiss_problem(&self) {
        self.clear_problem(None);
    }

    /// A pair of the library; none until the library is known.
    pub fn entry(&self, address: &str) -> Option<PairEntry> {
        self.library
            .with(|library| find(library.as_ref()?, address).cloned())
    }

    /// Whether the library is known and has no reason to ask before a pair is loaded and drawn with.
    pub fn loads_at_once(&self, address: &str) -> bool {
        self.library.with(Option::is_some)
            && self
                .entry(address)
                .is_none_or(|pair| pair.origin == Origin::Bundled)
    }

    /// Whether the visitor has to be asked before a pair is loaded and drawn with.
    pub fn lacks(&self, address: &str) -> bool {
        self.entry(address)
            .is_some_and(|pair| pair.origin != Origin::Bundled && pair.state != PairState::Complete)
    }

    /// Loads a pair for the engine, whose status shows the load. `tell` gets the news until the load has
    /// ended. A load that already runs is joined.
    pub fn load_awaited(
        &self,
        address: String,
        manifest: String,
        tell: impl Fn(AwaitedLoad) + 'static,
    ) {
        self.with(|inner| inner.on_awaited = Some(Rc::new(tell)));
        self.awaited.set(Some(address.clone()));
        self.start_load(address, false, Some(manifest));
    }

    /// Pauses the load that the engine waits for; its receiver gets no news of that.
    pub fn stop_awaited(&self) {
        self.with(|inner| inner.on_awaited = None);
        if let Some(address) = self.awaited.get_untracked() {
            self.awaited.set(None);
            self.pause(address);
        }
    }

    /// Tells the engine news of a load. Returns whether the engine waits for that load: then nothing
    /// else has to show it.
    fn tell_engine(&self, address: &str, awaited_load: AwaitedLoad) -> bool {
        let is_awaited = self
            .awaited
            .with_untracked(|awaited| awaited.as_deref() == Some(address));
        if !is_awaited {
            return false;
        }
        let tell = if matches!(awaited_load, AwaitedLoad::Progress(_)) {
            self.with(|inner| inner.on_awaited.clone())
        } else {
            self.awaited.set(None);
            self.with(|inner| inner.on_awaited.take())
        };
        if let Some(tell) = tell {
            tell(awaited_load);
        }
        true
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        change(self.inner, act)
    }

    /// Stores whether a load is unfinished, so that the next visit shows it.
    pub fn remember(&self, address: &str, is_unfinished: bool) {
        if self
            .unfinished
            .with_untracked(|unfinished| unfinished.contains(address) != is_unfinished)
        {
            self.unfinished.update(|unfinished| {
                if is_unfinished {
                    unfinished.insert(address.to_owned());
                } else {
                    unfinished.remove(address);
                }
            });
            unfinished::set(address, is_unfinished);
        }
    }

    fn clear_problem(&self, address: Option<&String>) {
        let address = address.cloned();
        if self
            .problems
            .with_untracked(|problems| problems.contains_key(&address))
        {
            self.problems.update(|problems| {
                problems.remove(&address);
            });
        }
    }

    fn set_problem(&self, address: Option<String>, sentence: String, is_full: bool) {
        self.problems.update(|problems| {
            problems.insert(address, LoadProblem { sentence, is_full });
        });
    }

    /// Shows a requested load until its first event.
    fn begin(&self, address: &str) {
        let (received, total) = self
            .entry_untracked(address)
            .and_then(|pair| {
                let total = pair.download_size?;
                Some((total.saturating_sub(pair.missing.unwrap_or(total)), total))
            })
            .unwrap_or_default();
        let progress = LoadProgress {
            address: address.to_owned(),
            phase: Phase::Asking,
            file: String::new(),
            received,
            total,
            speed: 0.0,
        };
        self.loads.update(|loads| {
            loads.entry(address.to_owned()).or_insert(progress);
        });
    }

    fn entry_untracked(&self, address: &str) -> Option<PairEntry> {
        untrack(|| self.entry(address))
    }

    /// A load has ended for whatever reason.
    fn end(&self, address: &str) {
        self.with(|inner| inner.requested.end(address));
        self.loads.update(|loads| {
            loads.remove(address);
        });
    }

    /// Sends a request, to a new worker where there is none.
    fn request(&self, request: Request) {
        if !self.link.has_worker() {
            self.clear_problem(None);
            if !self.start_worker() {
                return;
            }
        }
        // The worker answers its start with the library, too.
        if request != Request::List || self.link.is_ready() {
            self.link.send(request);
        }
    }

    fn start_worker(&self) -> bool {
        if !self.link.start() {
            return false;
        }
        self.link.send(Request::Start {
            page_url: document().base_uri().ok().flatten().unwrap_or_default(),
        });
        let client = *self;
        let interval = set_interval_with_handle(move || client.listen(), SILENCE);
        self.with(|inner| {
            inner.watchdog.heard();
            // Without an interval only a worker that the browser ends goes unnoticed.
            inner.interval = interval.ok();
        });
        true
    }

    fn stop_watching(&self) {
        if let Some(interval) = self.with(|inner| inner.interval.take()) {
            interval.clear();
        }
    }

    /// The worker has ended, and no other one is started before the visitor's next request.
    fn stopped(&self, sentence: String) {
        self.stop_watching();
        self.with(|inner| inner.requested.clear());
        self.loads.update(BTreeMap::clear);
        self.forget_questions();
        let awaited = self.awaited.get_untracked();
        let concerns_engine = awaited.is_some_and(|address| {
            self.tell_engine(&address, AwaitedLoad::Failed(sentence.clone()))
        });
        if !concerns_engine {
            self.set_problem(None, sentence, false);
        }
        self.tell_listed();
    }

    /// Closes what waits for answers that won't come.
    fn forget_questions(&self) {
        self.is_adding.set(false);
        self.is_adding_adapter.set(false);
        let unanswered = |open: &Option<OpenPreflight>| {
            open.as_ref().is_some_and(|open| open.preflight.is_none())
        };
        if self.preflight.with_untracked(unanswered) {
            self.preflight.set(None);
        }
    }

    fn tell_listed(&self) {
        let waiting = self.with(|inner| mem::take(&mut inner.when_listed));
        for act in waiting {
            act();
        }
    }

    /// The worker died. Its loads are resumed in another one, except those that made several workers die
    /// at the same point. Where no load runs, the next request starts the next worker.
    fn died(&self, reason: &str) {
        self.stop_watching();
        let requested = self.with(|inner| inner.requested.worker_died());
        // Loads of other tabs come back with their next events.
        self.loads.update(BTreeMap::clear);
        if requested.is_empty() {
            let sentence = format!("The loader stopped unexpectedly{reason}: try again.");
            self.set_problem(None, sentence, false);
        }
        self.forget_questions();
        self.tell_listed();
        for (address, outcome) in requested {
            let accepts_licences = match outcome {
                AfterDeath::GoesOn { accepts_licences } => accepts_licences,
                AfterDeath::GivenUp { deaths } => {
                    let sentence = format!(
                        "The loader stopped {deaths} times without coming any further{reason}. What \
                         has come stays: go on to try again."
                    );
                    self.load_failed(&address, sentence);
                    continue;
                }
            };
            self.take_notice(
                &address,
                format!(
                    "The loader stopped unexpectedly{reason} and has been started anew. The load \
                     goes on where it was."
                ),
            );
            self.begin(&address);
            self.request(Request::Load {
                address,
                accepts_licences,
                manifest: None,
            });
        }
    }

    /// Notices a worker that the browser has ended.
    fn listen(&self) {
        let is_expected = self.link.is_ready();
        let silence = self.with(|inner| {
            let is_owed = !inner.requested.is_empty() || !inner.when_listed.is_empty();
            inner.watchdog.interval_passed(is_expected && is_owed)
        });
        match silence {
            Silence::Harmless => {}
            Silence::Ping => self.link.send(Request::List),
            Silence::Dead => self.link.died("it was not heard any more"),
        }
    }

    fn take(&self, event: Event) {
        match event {
            Event::Library(library) => self.take_library(library),
            Event::Networks(networks) => self.networks.set(Some(networks)),
            Event::AdapterAdded(entry) => {
                self.is_adding_adapter.set(false);
                self.added_adapter.set(Some(entry));
            }
            Event::AdapterFailed { message } => {
                self.is_adding_adapter.set(false);
                self.adapter_problem.set(Some(message));
            }
            Event::Added { address } => {
                self.is_adding.set(false);
                self.check(address);
            }
            Event::Checked(preflight) => {
                let is_open = self.preflight.with_untracked(|open| {
                    open.as_ref()
                        .is_some_and(|open| open.address == preflight.address)
                });
                if is_open {
                    self.preflight.set(Some(OpenPreflight {
                        address: preflight.address.clone(),
                        preflight: Some(*preflight),
                    }));
                }
            }
            Event::Progress(progress) => self.take_progress(progress),
            Event::Notice { address, message } => self.take_notice(&address, message),
            Event::Loaded { address } => self.take_loaded(address),
            Event::Paused { address } => {
                if !self.with(|inner| inner.requested.paused(&address)) {
                    return;
                }
                self.end(&address);
                self.remember(&address, false);
                self.tell_engine(&address, AwaitedLoad::Paused);
                self.list();
            }
            Event::Full { address, missing } => {
                self.end(&address);
                if self.tell_engine(&address, AwaitedLoad::NotStored) {
                    self.remember(&address, false);
                } else {
                    self.set_problem(Some(address), loading::full(missing), true);
                }
                self.list();
            }
            Event::Failed {
                address: Some(address),
                message,
            } => {
                self.end(&address);
                if self.preflight.with_untracked(|open| {
                    open.as_ref().is_some_and(|open| open.address == address)
                }) {
                    self.preflight.set(None);
                }
                self.list();
                self.load_failed(&address, message);
            }
            Event::Failed {
                address: None,
                message,
            } => {
                self.is_adding.set(false);
                self.tell_listed();
                self.set_problem(None, message, false);
            }
        }
    }

    fn take_library(&self, library: Library) {
        // Bundled pairs were loaded without a question, so their loads are resumed without one.
        let goes_on: Vec<String> = self.unfinished.with_untracked(|unfinished| {
            let of_page = library.pairs.iter().filter(|pair| {
                pair.origin == Origin::Bundled && unfinished.contains(&pair.address)
            });
            of_page.map(|pair| pair.address.clone()).collect()
        });
        self.library.set(Some(library));
        self.tell_listed();
        for address in goes_on {
            let is_loading = self.with(|inner| inner.requested.contains(&address));
            let has_failed = self
                .problems
                .with_untracked(|problems| problems.contains_key(&Some(address.clone())));
            if !is_loading && !has_failed {
                self.load(address, false);
            }
        }
    }

    fn take_loaded(&self, address: String) {
        self.end(&address);
        self.clear_problem(Some(&address));
        self.remember(&address, false);
        // The list comes later; until then nothing may be shown as missing.
        self.library.update(|library| {
            let pairs = library.iter_mut().flat_map(|library| &mut library.pairs);
            for pair in pairs.filter(|pair| pair.address == address) {
                pair.state = PairState::Complete;
                pair.missing = Some(0);
            }
        });
        let is_pair = untrack(|| self.entry(&address)).is_some();
        if !self.tell_engine(&address, AwaitedLoad::Loaded) && is_pair {
            self.loaded.set(Some(address));
        }
        self.list();
    }

    /// Shows a load's failure: in the engine's status if the engine waits for it, else beside the pair.
    fn load_failed(&self, address: &str, sentence: String) {
        if !self.tell_engine(address, AwaitedLoad::Failed(sentence.clone())) {
            self.set_problem(Some(address.to_owned()), sentence, false);
        }
    }

    fn take_progress(&self, progress: LoadProgress) {
        let address = progress.address.clone();
        self.with(|inner| inner.requested.progress(&address, progress.received));
        self.clear_problem(Some(&address));
        self.tell_engine(&address, AwaitedLoad::Progress(progress.clone()));
        self.loads.update(|loads| {
            loads.insert(address, progress);
        });
    }

    fn take_notice(&self, address: &str, message: String) {
        self.notices.update(|notices| {
            let sentences = notices.entry(address.to_owned()).or_default();
            // A repeated sentence adds nothing.
            if sentences.last() != Some(&message) {
                sentences.push(message);
            }
            let surplus = sentences.len().saturating_sub(MAXIMUM_NOTICES);
            sentences.drain(..surplus);
        });
    }
}

/// A pair of the library by its address.
pub fn find<'a>(library: &'a Library, address: &str) -> Option<&'a PairEntry> {
    library.pairs.iter().find(|pair| pair.address == address)
}
