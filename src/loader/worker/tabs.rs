//! The tabs of one browser: the lock that one of them holds while it loads, and the channel on which it
//! tells the others.

use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;
use web_sys::MessageEvent;

use crate::browser::globals::js;
use crate::protocol::loader::Event;

/// The lock for loading or deleting a pair.
pub(super) const LOCK: &str = "firststep-loading";
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
