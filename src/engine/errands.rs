//! Work beside the jobs that needs neither the device nor the models: files to save, the history.

use web_sys::DedicatedWorkerGlobalScope;

use super::{
    protocol::{Errand, ErrandId, Event},
    worker::post,
};

/// Does an errand while the worker waits for something else.
pub(super) fn run(scope: DedicatedWorkerGlobalScope, errand: ErrandId, task: Errand) {
    wasm_bindgen_futures::spawn_local(async move {
        let message = match task {
            Errand::Strip { .. } | Errand::File(_) | Errand::History(_) => String::new(),
        };
        post(&scope, &Event::ErrandFailed { errand, message });
    });
}
