//! The scope of a worker, for the program that runs in it.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use crate::browser::from_worker::FromWorker;

/// The scope of the worker in which this program runs; `Event` is the type of the program's events.
pub struct WorkerScope<Event> {
    scope: DedicatedWorkerGlobalScope,
    event: PhantomData<fn(Event)>,
}

impl<Event> Clone for WorkerScope<Event> {
    fn clone(&self) -> Self {
        WorkerScope {
            scope: self.scope.clone(),
            event: PhantomData,
        }
    }
}

impl<Event: Serialize + 'static> WorkerScope<Event> {
    /// The scope of the program's own worker. Panics are posted from now on: a panic ends the program
    /// inside a promise, and the page gets no event of that.
    pub fn own() -> Self {
        report_panics();
        WorkerScope {
            scope: js_sys::global().unchecked_into(),
            event: PhantomData,
        }
    }

    /// Receives messages from now on, and posts [`FromWorker::Ready`].
    pub fn open<Request: DeserializeOwned + 'static>(
        &self,
        version: u32,
        take: impl Fn(Request) + 'static,
    ) {
        let receive = {
            let scope = self.clone();
            Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
                match serde_wasm_bindgen::from_value(message.data()) {
                    Ok(request) => take(request),
                    Err(error) => scope.stop(format!(
                        "A message of the page could not be read ({error}). Reload the page."
                    )),
                }
            })
        };
        self.scope
            .set_onmessage(Some(receive.as_ref().unchecked_ref()));
        // The closure is called for as long as the worker lives.
        receive.forget();
        post::<Event>(&self.scope, &FromWorker::Ready { version });
    }

    /// Posts an event to the page.
    pub fn post(&self, event: Event) {
        post(&self.scope, &FromWorker::Event(event));
    }

    /// Tells the page that this program can't go on. `message` is a sentence that says what is wrong and
    /// what to do.
    pub fn stop(&self, message: String) {
        post::<Event>(&self.scope, &FromWorker::Stopped { message });
    }

    /// A clock that never goes back, in milliseconds.
    pub fn milliseconds(&self) -> f64 {
        self.scope
            .performance()
            .map_or_else(js_sys::Date::now, |performance| performance.now())
    }
}

fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        let message = panic.to_string();
        post::<()>(
            &js_sys::global().unchecked_into(),
            &FromWorker::Panicked { message },
        );
    }));
}

fn post<Event: Serialize>(scope: &DedicatedWorkerGlobalScope, message: &FromWorker<Event>) {
    let posted = serde_wasm_bindgen::to_value(message)
        .map_err(JsValue::from)
        .and_then(|message| scope.post_message(&message));
    if let Err(error) = posted {
        web_sys::console::error_2(&"a message could not be posted".into(), &error);
    }
}
