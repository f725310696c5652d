//! Locks among the tabs of one browser, by the Web Locks API.

use std::cell::RefCell;

use futures::channel::oneshot;
use js_sys::{Function, Object, Promise};
use wasm_bindgen::prelude::*;

use super::js;

/// A lock that one tab has at a time, until it is dropped. The browser releases the lock of a tab that is
/// closed.
pub struct Lock {
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
    /// Takes the lock of a name if no other tab has it. In a browser without Web Locks every tab gets one.
    pub async fn try_acquire(name: &str) -> Option<Lock> {
        Self::request(name, true).await
    }

    /// Waits until no other tab has the lock of a name, and takes it.
    pub async fn acquire(name: &str) -> Lock {
        let lock = Self::request(name, false).await;
        lock.unwrap_or(Lock { release: None })
    }

    async fn request(name: &str, if_available: bool) -> Option<Lock> {
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
        let arguments = [name.into(), options.into(), granted.as_ref().clone()];
        if js::call(&locks, "request", &arguments).is_err() {
            return without;
        }
        // The browser calls it once, or never where the tab or the worker ends before.
        granted.forget();
        receiver.await.unwrap_or(without)
    }
}
