//! The tabs of one browser: the lock that one of them holds while it loads, and the channel on which it
//! tells the others.

use std::cell::RefCell;

use futures::channel::oneshot;
use js_sys::{Function, Object, Promise};
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;
use web_sys::MessageEvent;

use crate::browser::globals::js;
use crate::protocol::loader::Event;

const LOCK: &str = "firststep-loading";
const CHANNEL: &str = "firststep-loading";

/// A message from one tab to the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// An event that the loading tab also tells its own page.
    Event(Event),
    /// The tab that loads the pair, and those that wait to, have to stop.
    Pause { address: String },
    /// The store has changed, so the other tabs' lists are out of date.
    Changed,
}

/// The lock for loading or deleting a pair. One tab has it at a time; the browser releases the lock of
/// a tab that is closed.
pub(super) struct Lock {
    release: Option<Function>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            // A promise's `resolve` doesn't throw.
            let _ = release.call0(&JsValue::UNDEFINED);
        }
    }
}

impl Lock {
    /// Takes the lock if no other tab has it. In a browser without Web Locks every tab gets one.
    pub async fn try_acquire() -> Option<Lock> {
        Self::request(true).await
    }

    /// Waits until no other tab has the lock, and takes it.
    pub async fn acquire() -> Lock {
        Self::request(false).await.unwrap_or(Lock { release: None })
    }

    async fn request(if_available: bool) -> Option<Lock> {
        let without = Some(Lock { release: None });
        let locks = js::global("navigator").and_then(|navigator| js::get(&navigator, "locks"));
        let Some(locks) = locks else {
            return without;
        };
        let options = Object::new();
        js::set(&options, "ifAvailable", if_available);
        let (sender, receiver) = oneshot::channel();
        let granted = Closure::once(move |lock: JsValue| -> Promise {
            if lock.is_null() {
                let _ = sender.send(None);
                return Promise::resolve(&JsValue::UNDEFINED);
            }
            let sender = RefCell::new(Some(sender));
            // The browser holds the lock until this promise is resolved.
            Promise::new(&mut |resolve, _| {
                if let Some(sender) = sender.borrow_mut().take() {
                    let _ = sender.send(Some(Lock {
                        release: Some(resolve),
                    }));
                }
            })
        });
        let arguments = [LOCK.into(), options.into(), granted.as_ref().clone()];
        if js::call(&locks, "request", &arguments).is_err() {
            return without;
        }
        // The browser calls it once, or never where the worker ends before.
        granted.forget();
        receiver.await.unwrap_or(without)
    }
}

/// The `BroadcastChannel` to the other tabs; in a browser without one it sends and receives nothing.
pub(super) struct Channel {
    channel: Option<JsValue>,
    _on_message: Option<Closure<dyn FnMut(MessageEvent)>>,
}

impl Channel {
    pub fn open(receive: impl Fn(Message) + 'static) -> Self {
        let open = || {
            let channel = js::construct("BroadcastChannel", &[CHANNEL.into()]).ok()?;
            let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                // A tab of another version may send messages that this version doesn't know.
                if let Ok(message) = serde_wasm_bindgen::from_value(event.data()) {
                    receive(message);
                }
            });
            js::set(&channel, "onmessage", on_message.as_ref());
            Some((channel, on_message))
        };
        match open() {
            Some((channel, on_message)) => Channel {
                channel: Some(channel),
                _on_message: Some(on_message),
            },
            None => Channel {
                channel: None,
                _on_message: None,
            },
        }
    }

    pub fn post(&self, message: &Message) {
        let post = || {
            let channel = self.channel.as_ref()?;
            let message = serde_wasm_bindgen::to_value(message).ok()?;
            js::call(channel, "postMessage", &[message]).ok()
        };
        // A tab that misses a message sees the store's state when it lists the pairs again.
        let _ = post();
    }
}
