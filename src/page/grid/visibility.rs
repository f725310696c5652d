//! Which elements are in sight: one observer for all that are watched.

use leptos::html::Td;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{Element, IntersectionObserver, IntersectionObserverEntry, IntersectionObserverInit};

/// How far out of sight an element counts as in sight, so that a scrolled grid is never empty.
const MARGIN: &str = "60%";

/// An observer and the elements that it watches.
#[derive(Clone, Copy)]
pub struct Visibility(StoredValue<Observer, LocalStorage>);

struct Observer {
    observer: Option<IntersectionObserver>,
    watched: Vec<(Element, RwSignal<bool>)>,
    /// Called by the observer for as long as it lives.
    _notify: Option<Closure<dyn FnMut(js_sys::Array)>>,
}

impl Visibility {
    /// An observer that ends with the component that makes it.
    pub fn new() -> Self {
        let shared = Visibility(StoredValue::new_local(Observer {
            observer: None,
            watched: Vec::new(),
            _notify: None,
        }));
        let notify = Closure::new(move |entries: js_sys::Array| {
            for entry in entries.iter() {
                let Ok(entry) = entry.dyn_into::<IntersectionObserverEntry>() else {
                    continue;
                };
                let target = entry.target();
                let signal = shared
                    .0
                    .try_with_value(|it| {
                        it.watched
                            .iter()
                            .find(|(element, _)| *element == target)
                            .map(|(_, signal)| *signal)
                    })
                    .flatten();
                if let Some(signal) = signal {
                    // The signal may be gone with its cell.
                    let _ = signal.try_set(entry.is_intersecting());
                }
            }
        });
        let options = IntersectionObserverInit::new();
        options.set_root_margin(MARGIN);
        // Without an observer everything counts as in sight.
        let observer =
            IntersectionObserver::new_with_options(notify.as_ref().unchecked_ref(), &options).ok();
        shared.0.update_value(|it| {
            it.observer = observer;
            it._notify = Some(notify);
        });
        on_cleanup(move || {
            shared.0.try_update_value(|it| {
                if let Some(observer) = it.observer.take() {
                    observer.disconnect();
                }
                it.watched.clear();
            });
        });
        shared
    }

    /// Whether an element is in sight.
    pub fn watch(&self, element: NodeRef<Td>) -> Signal<bool> {
        let shared = *self;
        let in_sight = RwSignal::new(false);
        Effect::new(move |watched: Option<bool>| {
            let Some(element) = element.get() else {
                return false;
            };
            if watched != Some(true) {
                let element: &Element = &element;
                shared.0.try_update_value(|it| {
                    match &it.observer {
                        Some(observer) => observer.observe(element),
                        None => in_sight.set(true),
                    }
                    it.watched.push((element.clone(), in_sight));
                });
            }
            true
        });
        in_sight.into()
    }
}
