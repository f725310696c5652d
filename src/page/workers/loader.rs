//! The page's end of the loader's worker: starts it when something is first asked of it, talks to it,
//! replaces it when it dies, and turns its events into signals. Nothing else on the page posts to it.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use leptos::leptos_dom::helpers::IntervalHandle;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

use super::unfinished;
use crate::protocol::loader::{
    Event, Gift, Library, Origin, PROTOCOL_VERSION, PairEntry, PairState, Phase, Preflight,
    Progress, Request,
};
use crate::view::loading;

/// The worker's loader, relative to the page.
const WORKER_ADDRESS: &str = "./loader_loader.js";

/// A worker that was ended from outside raises no event. While a load runs it is heard at least so
/// often; after that it is asked for a sign of life, and after that again it is taken for dead.
const SILENCE: Duration = Duration::from_secs(10);

/// So many workers may die in the same place of a load before it is given up.
const MAXIMUM_DEATHS: u32 = 2;

/// So many sentences about a load are kept, the last ones.
const MAXIMUM_NOTICES: usize = 20;

/// The pre-flight that the visitor has asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The pair's address.
    pub address: String,
    /// None until the hosts have answered.
    pub preflight: Option<Preflight>,
}

/// What keeps a pair from being loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What is wrong and what to do.
    pub sentence: String,
    /// Whether deleting another pair would help: there is no room.
    pub is_full: bool,
}

/// The loader as the page sees it. Pairs are named by their addresses.
#[derive(Clone, Copy)]
pub struct LoaderClient {
    /// None until it has come.
    pub library: RwSignal<Option<Library>>,
    /// The pre-flight on show.
    pub look: RwSignal<Option<Look>>,
    /// The loads that run.
    pub loads: RwSignal<BTreeMap<String, Progress>>,
    /// What each load went through and got over, in sentences.
    pub notices: RwSignal<BTreeMap<String, Vec<String>>>,
    /// What went wrong with each pair, and with none of them.
    pub troubles: RwSignal<BTreeMap<Option<String>, Trouble>>,
    /// The pair that got complete last, until the visitor has been told.
    pub loaded: RwSignal<Option<String>>,
    /// The pairs whose load was begun, here or on an earlier visit, and neither ended nor paused.
    pub unfinished: RwSignal<BTreeSet<String>>,
    /// Whether a pair is being taken up.
    pub is_adding: RwSignal<bool>,
    connection: StoredValue<Connection, LocalStorage>,
}

/// What lies behind the signals.
struct Connection {
    worker: Option<Worker>,
    /// Kept for as long as the page lives: every worker gets the same.
    handlers: Option<Handlers>,
    /// Whether the worker hears messages: its module runs.
    hears: bool,
    /// Requests that it has not heard of.
    unheard: Vec<Request>,
    /// The loads that this page has asked for and that have not ended.
    wanted: BTreeMap<String, Wanted>,
    /// Called once the library is known, or can't be had.
    when_listed: Vec<Box<dyn FnOnce()>>,
    watch: Option<IntervalHandle>,
    /// Times that the watch has found nothing heard, on end.
    silences: u32,
}

/// A load that this page has asked for.
#[derive(Clone, Copy, Default)]
struct Wanted {
    accepts_licences: bool,
    /// The most bytes that it has had.
    received: u64,
    /// Workers that have died since it had more than ever before.
    deaths: u32,
}

struct Handlers {
    message: Closure<dyn FnMut(MessageEvent)>,
    error: Closure<dyn FnMut(web_sys::Event)>,
}

impl LoaderClient {
    /// A client without a worker, which the first request starts: a load that an earlier visit has
    /// left unfinished is one.
    pub fn new() -> Self {
        let left = unfinished::read();
        let is_left = !left.is_empty();
        let client = LoaderClient {
            library: RwSignal::new(None),
            look: RwSignal::new(None),
            loads: RwSignal::default(),
            notices: RwSignal::default(),
            troubles: RwSignal::default(),
            loaded: RwSignal::new(None),
            unfinished: RwSignal::new(left),
            is_adding: RwSignal::new(false),
            connection: StoredValue::new_local(Connection {
                worker: None,
                handlers: None,
                hears: false,
                unheard: Vec::new(),
                wanted: BTreeMap::new(),
                when_listed: Vec::new(),
                watch: None,
                silences: 0,
            }),
        };
        let handlers = Handlers {
            message: Closure::new(move |message: MessageEvent| client.take_message(message)),
            error: Closure::new(move |event: web_sys::Event| {
                let reason = event.dyn_ref::<ErrorEvent>().map(ErrorEvent::message);
                client.worker_died(reason.as_deref().unwrap_or_default());
            }),
        };
        client.with_connection(|connection| connection.handlers = Some(handlers));
        if is_left {
            client.list();
        }
        client
    }

    /// Looks anew at all pairs and the storage.
    pub fn list(&self) {
        self.request(Request::List);
    }

    /// Calls this once the library is known, or can't be had.
    pub fn when_listed(&self, act: impl FnOnce() + 'static) {
        if self.library.with_untracked(Option::is_some) {
            act();
        } else {
            self.with_connection(|connection| connection.when_listed.push(Box::new(act)));
            self.list();
        }
    }

    /// Takes up a pair that the visitor gives; its pre-flight follows.
    pub fn add(&self, gift: Gift) {
        self.clear_trouble(None);
        self.is_adding.set(true);
        self.request(Request::Add(gift));
    }

    /// Finds out what a pair needs.
    pub fn look_at(&self, address: String) {
        self.clear_trouble(Some(&address));
        self.look.set(Some(Look {
            address: address.clone(),
            preflight: None,
        }));
        self.request(Request::Check { address });
    }

    /// Puts the pre-flight away.
    pub fn look_away(&self) {
        self.look.set(None);
    }

    /// Loads a pair, or goes on with it.
    pub fn load(&self, address: String, accepts_licences: bool) {
        self.clear_trouble(Some(&address));
        self.look.set(None);
        self.with_connection(|connection| {
            let wanted = connection.wanted.entry(address.clone()).or_default();
            wanted.accepts_licences |= accepts_licences;
            wanted.deaths = 0;
        });
        self.begin(&address);
        self.remember(&address, true);
        self.request(Request::Load {
            address,
            accepts_licences,
        });
    }

    /// Stops a load, here or in another tab.
    pub fn pause(&self, address: String) {
        self.with_connection(|connection| connection.wanted.remove(&address));
        self.remember(&address, false);
        self.request(Request::Pause { address });
    }

    /// Deletes a pair's weights, but for what others use.
    pub fn delete(&self, address: String) {
        self.clear_trouble(Some(&address));
        self.notices.update(|notices| {
            notices.remove(&address);
        });
        if self
            .loaded
            .with_untracked(|loaded| loaded.as_ref() == Some(&address))
        {
            self.loaded.set(None);
        }
        self.with_connection(|connection| connection.wanted.remove(&address));
        self.remember(&address, false);
        self.request(Request::Delete { address });
    }

    /// Forgets what went wrong with none of the pairs.
    pub fn dismiss_trouble(&self) {
        self.clear_trouble(None);
    }

    /// A pair of the library.
    pub fn entry(&self, address: &str) -> Option<PairEntry> {
        self.library
            .with(|library| find(library.as_ref()?, address).cloned())
    }

    /// Whether the engine fetches a pair by itself, as far as is known.
    pub fn leaves_to_engine(&self, address: &str) -> bool {
        self.library.with(Option::is_some)
            && self
                .entry(address)
                .is_none_or(|pair| pair.origin == Origin::Bundled)
    }

    /// Whether a pair is one that this loader would have to load before it can be drawn with. What
    /// the library doesn't know is fetched by the engine.
    pub fn lacks(&self, address: &str) -> bool {
        self.entry(address)
            .is_some_and(|pair| pair.origin != Origin::Bundled && pair.state != PairState::Complete)
    }

    fn with_connection<T>(&self, act: impl FnOnce(&mut Connection) -> T) -> T {
        self.connection
            .try_update_value(act)
            .unwrap_or_else(|| unreachable!("the client lives as long as the page"))
    }

    /// Notes whether a load is to be brought to mind on the next visit.
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

    fn clear_trouble(&self, address: Option<&String>) {
        let address = address.cloned();
        if self
            .troubles
            .with_untracked(|troubles| troubles.contains_key(&address))
        {
            self.troubles.update(|troubles| {
                troubles.remove(&address);
            });
        }
    }

    fn set_trouble(&self, address: Option<String>, sentence: String, is_full: bool) {
        self.troubles.update(|troubles| {
            troubles.insert(address, Trouble { sentence, is_full });
        });
    }

    /// Shows a load that was asked for until it says more itself.
    fn begin(&self, address: &str) {
        let (received, total) = self
            .entry_untracked(address)
            .and_then(|pair| {
                let total = pair.download_size?;
                Some((total.saturating_sub(pair.missing.unwrap_or(total)), total))
            })
            .unwrap_or_default();
        let progress = Progress {
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

    /// A load has ended, one way or another.
    fn end(&self, address: &str) {
        self.with_connection(|connection| connection.wanted.remove(address));
        self.loads.update(|loads| {
            loads.remove(address);
        });
    }

    /// Has the worker do something, as soon as it hears.
    fn request(&self, request: Request) {
        let (has_worker, hears) = self
            .connection
            .with_value(|connection| (connection.worker.is_some(), connection.hears));
        if hears {
            self.post(&request);
            return;
        }
        self.with_connection(|connection| connection.unheard.push(request));
        if !has_worker {
            self.clear_trouble(None);
            self.start_worker();
        }
    }

    fn start_worker(&self) {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = match Worker::new_with_options(WORKER_ADDRESS, &options) {
            Ok(worker) => worker,
            Err(_) => {
                self.stop(
                    "This browser can't start the loader's worker. Use a current version of \
                     Chrome, Edge, Firefox or Safari."
                        .to_owned(),
                );
                return;
            }
        };
        let client = *self;
        let watch = set_interval_with_handle(move || client.listen(), SILENCE);
        self.with_connection(|connection| {
            if let Some(handlers) = &connection.handlers {
                let message = handlers.message.as_ref().unchecked_ref();
                worker.set_onmessage(Some(message));
                let error = handlers.error.as_ref().unchecked_ref();
                worker.set_onerror(Some(error));
                // A message that can't be deserialized is as bad as none.
                if worker
                    .add_event_listener_with_callback("messageerror", error)
                    .is_err()
                {
                    leptos::logging::warn!("The loader's messageerror event can't be heard.");
                }
            }
            connection.worker = Some(worker);
            connection.silences = 0;
            // Without a watch a worker that ends itself is still noticed.
            connection.watch = watch.ok();
        });
    }

    fn disconnect(&self) {
        let (worker, watch) = self.with_connection(|connection| {
            connection.hears = false;
            connection.unheard.clear();
            (connection.worker.take(), connection.watch.take())
        });
        if let Some(watch) = watch {
            watch.clear();
        }
        if let Some(worker) = worker {
            worker.set_onmessage(None);
            worker.set_onerror(None);
            worker.terminate();
        }
    }

    /// Ends the worker until the visitor asks for something else.
    fn stop(&self, sentence: String) {
        self.disconnect();
        self.with_connection(|connection| connection.wanted.clear());
        self.loads.update(BTreeMap::clear);
        self.forget_questions();
        self.set_trouble(None, sentence, false);
        self.tell_listed();
    }

    /// What was asked and will have no answer.
    fn forget_questions(&self) {
        self.is_adding.set(false);
        let unanswered =
            |look: &Option<Look>| look.as_ref().is_some_and(|look| look.preflight.is_none());
        if self.look.with_untracked(unanswered) {
            self.look.set(None);
        }
    }

    fn tell_listed(&self) {
        let waiting = self.with_connection(|connection| mem::take(&mut connection.when_listed));
        for act in waiting {
            act();
        }
    }

    /// A trap in the worker, a worker that is heard no more, or a module that can't be loaded. Who
    /// had heard messages is replaced at once, and goes on with the loads; who never came so far
    /// would only die again, and so would one that dies in the same place each time.
    fn worker_died(&self, reason: &str) {
        let reason = reason.trim().trim_end_matches('.');
        let reason = if reason.is_empty() {
            String::new()
        } else {
            format!(" ({reason})")
        };
        if !self.connection.with_value(|connection| connection.hears) {
            self.stop(format!(
                "The loader could not be started{reason}. Check the connection and try again."
            ));
            return;
        }
        self.disconnect();
        let wanted = self.with_connection(|connection| mem::take(&mut connection.wanted));
        // Those of other tabs will be heard of again.
        self.loads.update(BTreeMap::clear);
        if wanted.is_empty() && (self.is_adding.get_untracked() || self.look_is_open()) {
            let sentence = format!("The loader stopped unexpectedly{reason}: try again.");
            self.set_trouble(None, sentence, false);
        }
        self.forget_questions();
        self.start_worker();
        for (address, mut load) in wanted {
            load.deaths += 1;
            if load.deaths > MAXIMUM_DEATHS {
                let sentence = format!(
                    "The loader stopped {} times without coming any further{reason}. What has come \
                     stays: go on to try again.",
                    load.deaths
                );
                self.set_trouble(Some(address), sentence, false);
                continue;
            }
            self.take_notice(
                &address,
                format!(
                    "The loader stopped unexpectedly{reason} and has been started anew. The load \
                     goes on where it was."
                ),
            );
            self.begin(&address);
            self.with_connection(|connection| connection.wanted.insert(address.clone(), load));
            self.request(Request::Load {
                address,
                accepts_licences: load.accepts_licences,
            });
        }
    }

    fn look_is_open(&self) -> bool {
        self.look.with_untracked(Option::is_some)
    }

    /// Notices a worker that was ended from outside.
    fn listen(&self) {
        let silences = self.with_connection(|connection| {
            if connection.hears && !connection.wanted.is_empty() {
                connection.silences += 1;
            }
            connection.silences
        });
        match silences {
            // It may just have been heard, or have had nothing to say.
            0 | 1 => {}
            2 => self.post(&Request::List),
            _ => self.worker_died("it was not heard any more"),
        }
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
            self.stop("The loader can't be reached. Reload the page.".to_owned());
        }
    }

    fn take_message(&self, message: MessageEvent) {
        self.with_connection(|connection| connection.silences = 0);
        match serde_wasm_bindgen::from_value(message.data()) {
            Ok(event) => self.take(event),
            Err(_) => self.stop(
                "The loader sent a message that this page doesn't understand. Reload the page."
                    .to_owned(),
            ),
        }
    }

    fn take(&self, event: Event) {
        match event {
            Event::Ready { version } => self.worker_ready(version),
            Event::Library(library) => {
                self.library.set(Some(library));
                self.tell_listed();
            }
            Event::Added { address } => {
                self.is_adding.set(false);
                self.look_at(address);
            }
            Event::Checked(preflight) => {
                let is_wanted = self.look.with_untracked(|look| {
                    look.as_ref()
                        .is_some_and(|look| look.address == preflight.address)
                });
                if is_wanted {
                    self.look.set(Some(Look {
                        address: preflight.address.clone(),
                        preflight: Some(*preflight),
                    }));
                }
            }
            Event::Progress(progress) => self.take_progress(progress),
            Event::Notice { address, message } => self.take_notice(&address, message),
            Event::Loaded { address } => {
                self.end(&address);
                self.clear_trouble(Some(&address));
                self.remember(&address, false);
                // Before the list comes anew, so that nothing is said to be missing meanwhile.
                self.library.update(|library| {
                    let pairs = library.iter_mut().flat_map(|library| &mut library.pairs);
                    for pair in pairs.filter(|pair| pair.address == address) {
                        pair.state = PairState::Complete;
                        pair.missing = Some(0);
                    }
                });
                self.loaded.set(Some(address));
                self.list();
            }
            Event::Paused { address } => {
                self.end(&address);
                self.remember(&address, false);
                self.list();
            }
            Event::Full { address, missing } => {
                self.end(&address);
                self.set_trouble(Some(address), loading::full(missing), true);
                self.list();
            }
            Event::Failed { address, message } => {
                match &address {
                    Some(address) => {
                        self.end(address);
                        if self.look.with_untracked(|look| {
                            look.as_ref().is_some_and(|look| look.address == *address)
                        }) {
                            self.look.set(None);
                        }
                        self.list();
                    }
                    None => {
                        self.is_adding.set(false);
                        self.tell_listed();
                    }
                }
                self.set_trouble(address, message, false);
            }
        }
    }

    fn take_progress(&self, progress: Progress) {
        let address = progress.address.clone();
        self.with_connection(|connection| {
            if let Some(wanted) = connection.wanted.get_mut(&address)
                && progress.received > wanted.received
            {
                wanted.received = progress.received;
                wanted.deaths = 0;
            }
        });
        self.clear_trouble(Some(&address));
        self.loads.update(|loads| {
            loads.insert(address, progress);
        });
    }

    fn take_notice(&self, address: &str, message: String) {
        self.notices.update(|notices| {
            let sentences = notices.entry(address.to_owned()).or_default();
            // The same twice on end says nothing more.
            if sentences.last() != Some(&message) {
                sentences.push(message);
            }
            let surplus = sentences.len().saturating_sub(MAXIMUM_NOTICES);
            sentences.drain(..surplus);
        });
    }

    fn worker_ready(&self, version: u32) {
        if version != PROTOCOL_VERSION {
            self.stop(
                "The page and its loader are of different versions. Reload the page.".to_owned(),
            );
            return;
        }
        let page_url = document().base_uri().ok().flatten().unwrap_or_default();
        let unheard = self.with_connection(|connection| {
            connection.hears = true;
            mem::take(&mut connection.unheard)
        });
        self.post(&Request::Start {
            version: PROTOCOL_VERSION,
            page_url,
        });
        for request in unheard {
            // The library follows the start by itself.
            if request != Request::List {
                self.post(&request);
            }
        }
    }
}

/// A pair of the library by its address.
pub fn find<'a>(library: &'a Library, address: &str) -> Option<&'a PairEntry> {
    library.pairs.iter().find(|pair| pair.address == address)
}
