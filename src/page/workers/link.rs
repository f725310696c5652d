//! The page's link to a worker: carries out what [`WorkerLinkState`] decides. Only this module starts
//! workers and posts messages to them.

use std::rc::Rc;

use leptos::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use web_sys::{ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

use crate::browser::from_worker::FromWorker;
use crate::view::worker_link::{Death, Sending, WorkerLinkState, in_brackets};

/// The program that a worker runs.
#[derive(Clone, Copy)]
pub struct Program {
    /// The script that starts its module, relative to the page.
    pub script: &'static str,
    /// The `name` of its worker, by which the script knows what the page wants of it: a part of the
    /// script's address would be lost where a service worker answers.
    pub worker_name: &'static str,
    /// Its name in sentences, without the article.
    pub name: &'static str,
    /// The page's version of its messages.
    pub version: u32,
}

/// What the link tells its owner.
pub enum FromLink<Event> {
    /// An event of the worker.
    Event(Event),
    /// There is no worker any more, and another one would end in the same way. Holds a sentence that
    /// says what is wrong and what to do.
    Stopped(String),
    /// The program panicked, and the worker was ended. Holds the panic's message.
    Panicked(String),
    /// A worker that had shown that it works died. Holds the reason as
    /// [`in_brackets`] writes it.
    Died(String),
}

/// The link to one worker and its successors. It is a `Copy` handle, as leptos' signals are.
pub struct WorkerLink<Request: 'static, Event: 'static> {
    inner: StoredValue<Inner<Request, Event>, LocalStorage>,
}

impl<Request, Event> Clone for WorkerLink<Request, Event> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Request, Event> Copy for WorkerLink<Request, Event> {}

struct Inner<Request, Event> {
    program: Program,
    state: WorkerLinkState<Request>,
    worker: Option<Worker>,
    /// The event handlers, which every worker of this link gets.
    handlers: Option<Handlers>,
    /// None until [`WorkerLink::listen`].
    owner: Option<Owner<Event>>,
}

type Owner<Event> = Rc<dyn Fn(FromLink<Event>)>;

struct Handlers {
    message: Closure<dyn FnMut(MessageEvent)>,
    error: Closure<dyn FnMut(web_sys::Event)>,
}

impl<Request: Serialize, Event: DeserializeOwned> WorkerLink<Request, Event> {
    /// A link without a worker.
    pub fn new(program: Program) -> Self {
        let link = WorkerLink {
            inner: StoredValue::new_local(Inner {
                program,
                state: WorkerLinkState::new(program.version),
                worker: None,
                handlers: None,
                owner: None,
            }),
        };
        let handlers = Handlers {
            message: Closure::new(move |message: MessageEvent| link.receive(&message)),
            error: Closure::new(move |event: web_sys::Event| {
                let reason = event.dyn_ref::<ErrorEvent>().map(ErrorEvent::message);
                link.died(reason.as_deref().unwrap_or_default());
            }),
        };
        link.with(|inner| inner.handlers = Some(handlers));
        link
    }

    /// Calls `owner` with everything that comes from now on.
    pub fn listen(&self, owner: impl Fn(FromLink<Event>) + 'static) {
        self.with(|inner| inner.owner = Some(Rc::new(owner)));
    }

    /// Changes what the next worker runs.
    pub fn change_program(&self, program: Program) {
        self.with(|inner| inner.program = program);
    }

    /// Whether there is a worker, even one that still loads.
    pub fn has_worker(&self) -> bool {
        self.inner.with_value(|inner| inner.state.has_worker())
    }

    /// Whether the worker receives messages.
    pub fn is_ready(&self) -> bool {
        self.inner.with_value(|inner| inner.state.is_ready())
    }

    /// Starts a worker where there is none. Returns whether there is one now; where there isn't, the
    /// owner has been told why.
    pub fn start(&self) -> bool {
        if self.has_worker() {
            return true;
        }
        let Program {
            script,
            worker_name,
            name,
            ..
        } = self.program();
        let options = WorkerOptions::new();
        options.set_name(worker_name);
        options.set_type(WorkerType::Module);
        let Ok(worker) = Worker::new_with_options(script, &options) else {
            self.stop(format!(
                "This browser can't start the {name}'s worker. Use a current version of Chrome, Edge, \
                 Firefox or Safari."
            ));
            return false;
        };
        self.with(|inner| {
            if let Some(handlers) = &inner.handlers {
                let error = handlers.error.as_ref().unchecked_ref();
                worker.set_onmessage(Some(handlers.message.as_ref().unchecked_ref()));
                worker.set_onerror(Some(error));
                // Without a message that can't be deserialized, the page can't go on either.
                if worker
                    .add_event_listener_with_callback("messageerror", error)
                    .is_err()
                {
                    leptos::logging::warn!("The worker's messageerror event can't be heard.");
                }
            }
            inner.worker = Some(worker);
            inner.state.started();
        });
        true
    }

    /// Posts a request, as soon as the worker receives messages. Without a worker the request waits for
    /// the next one, unless [`WorkerLink::end`] comes before.
    pub fn send(&self, request: Request) {
        match self.with(|inner| inner.state.send(request)) {
            Sending::Post(request) => self.post(&request),
            Sending::Deferred | Sending::StartWorker => {}
        }
    }

    /// The worker has shown that it works: if it dies, another one is worth starting.
    pub fn prove(&self) {
        self.with(|inner| inner.state.prove());
    }

    /// Ends the worker. The owner hears nothing more of it, and deferred requests are dropped.
    pub fn end(&self) {
        let worker = self.with(|inner| {
            inner.state.stopped();
            inner.worker.take()
        });
        if let Some(worker) = worker {
            worker.set_onmessage(None);
            worker.set_onerror(None);
            worker.terminate();
        }
    }

    /// The worker died by itself, or counts as dead.
    pub fn died(&self, reason: &str) {
        let death = self.with(|inner| inner.state.died());
        self.end();
        let reason = in_brackets(reason);
        match death {
            Death::Restart => self.tell(FromLink::Died(reason)),
            Death::GiveUp => self.tell(FromLink::Stopped(format!(
                "The {} could not be started{reason}. Check the connection and try again.",
                self.program().name
            ))),
        }
    }

    fn program(&self) -> Program {
        self.inner.with_value(|inner| inner.program)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner<Request, Event>) -> T) -> T {
        change(self.inner, act)
    }

    fn stop(&self, sentence: String) {
        self.end();
        self.tell(FromLink::Stopped(sentence));
    }

    fn tell(&self, what: FromLink<Event>) {
        // Called outside `with`, as the owner may use the link.
        if let Some(owner) = self.with(|inner| inner.owner.clone()) {
            owner(what);
        }
    }

    fn post(&self, request: &Request) {
        let posted = serde_wasm_bindgen::to_value(request)
            .map_err(JsValue::from)
            .and_then(|message| {
                self.inner.with_value(|inner| match &inner.worker {
                    Some(worker) => worker.post_message(&message),
                    None => Ok(()),
                })
            });
        if posted.is_err() {
            let name = self.program().name;
            self.stop(format!("The {name} can't be reached. Reload the page."));
        }
    }

    fn receive(&self, message: &MessageEvent) {
        match serde_wasm_bindgen::from_value(message.data()) {
            Ok(FromWorker::Event(event)) => self.tell(FromLink::Event(event)),
            Ok(FromWorker::Ready { version }) => {
                match self.with(|inner| inner.state.ready(version)) {
                    Ok(deferred) => deferred.iter().for_each(|request| self.post(request)),
                    Err(_) => self.stop(format!(
                        "The page and the {} are of different versions. Reload the page.",
                        self.program().name
                    )),
                }
            }
            Ok(FromWorker::Panicked { message }) => {
                self.end();
                self.tell(FromLink::Panicked(message));
            }
            Ok(FromWorker::Stopped { message }) => self.stop(message),
            Err(_) => self.stop(format!(
                "The {} sent a message that this page doesn't understand. Reload the page.",
                self.program().name
            )),
        }
    }
}

/// Changes what lies behind a handle of the page's: it lives as long as the page.
pub fn change<T: 'static, R>(
    inner: StoredValue<T, LocalStorage>,
    act: impl FnOnce(&mut T) -> R,
) -> R {
    inner
        .try_update_value(act)
        .unwrap_or_else(|| unreachable!("nobody disposes of the page's handles"))
}
