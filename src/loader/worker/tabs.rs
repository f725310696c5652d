//! What the tabs of one browser share: a lock that one of them holds while it loads, and a channel on
//! which it tells the others.

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

/// From one tab to the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// What the tab that loads tells its page.
    Event(Event),
    /// Whoever loads the pair, or waits to, is to stop.
    Pause { address: String },
    /// The store is another than before.
    Changed,
}

/// Held while a pair is loaded or deleted: by one tab at a time, and let go when it is closed.
pub(super) struct Lock {
    release: Option<Function>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            // A promise's own function: it doesn't fail.
            let _ = release.call0(&JsValue::UNDEFINED);
        }
    }
}

impl Lock {
    /// Takes the lock if no other tab has it. A browser without locks is taken to have one tab.
    pub async fn take_now() -> Option<Lock> {
        Self::request(true).await
    }

    /// Waits for the lock.
    pub async fn wait() -> Lock {
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
            // The lock is held until this promise is kept.
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
        // Answered once, or never where the worker ends.
        granted.forget();
        receiver.await.unwrap_or(without)
    }
}

/// The channel to the other tabs; says and hears nothing where the browser has none.
pub(super) struct Channel {
    channel: Option<JsValue>,
    _hear: Option<Closure<dyn FnMut(MessageEvent)>>,
}

impl Channel {
    pub fn open(hear: impl Fn(Message) + 'static) -> Self {
        let open = || {
            let channel = js::construct("BroadcastChannel", &[CHANNEL.into()]).ok()?;
            let hear = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                // A tab of another version may say what can't be read here; it is not for this one.
                if let Ok(message) = serde_wasm_bindgen::from_value(event.data()) {
                    hear(message);
                }
            });
            js::set(&channel, "onmessage", hear.as_ref());
            Some((channel, hear))
        };
        match open() {
            Some((channel, hear)) => Channel {
                channel: Some(channel),
                _hear: Some(hear),
            },
            None => Channel {
                channel: None,
                _hear: None,
            },
        }
    }

    pub fn tell(&self, message: &Message) {
        let tell = || {
            let channel = self.channel.as_ref()?;
            let message = serde_wasm_bindgen::to_value(message).ok()?;
            js::call(channel, "postMessage", &[message]).ok()
        };
        // The other tabs see the store's state at their next look all the same.
        let _ = tell();
    }
}
