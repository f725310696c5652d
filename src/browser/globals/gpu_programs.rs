//! Compiling programs for the graphics card ahead of their first launch, where `www/start_engine.js` has
//! loaded `www/programs.mjs`.

use wasm_bindgen::JsValue;

use super::js;

/// The programs that this worker compiles ahead.
#[derive(Clone)]
pub struct GpuPrograms(JsValue);

/// How far programs have got that are compiled ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// Programs that have been compiled, or could not be.
    pub done: u32,
    /// Programs that were begun.
    pub total: u32,
}

impl GpuPrograms {
    /// Those of this worker; none where the module was not loaded before the program.
    pub fn own() -> Option<Self> {
        js::global("gpuPrograms").map(GpuPrograms)
    }

    /// Compiles what is launched for the first time without waiting for it, until the guard is dropped.
    pub fn ahead(&self) -> Ahead {
        js::set(&self.0, "isAhead", true);
        Ahead(self.0.clone())
    }

    /// How many programs were begun since [`GpuPrograms::forget`], and how many of them have ended.
    pub fn compiled(&self) -> Compiled {
        let number = |name: &str| {
            let number = js::get(&self.0, name).and_then(|number| number.as_f64());
            number.unwrap_or(0.0) as u32
        };
        Compiled {
            done: number("ended"),
            total: number("begun"),
        }
    }

    /// Why one of them could not be compiled, in the browser's words; none while there is no such one.
    pub fn failure(&self) -> Option<String> {
        js::get(&self.0, "failure")?.as_string()
    }

    /// Waits until one more of them has ended, or none is left.
    pub async fn next(&self) {
        // The promise is never rejected.
        let _ = js::call_async(&self.0, "next", &[]).await;
    }

    /// Counts anew from here on.
    pub fn forget(&self) {
        let forgotten = js::call(&self.0, "forget", &[]);
        debug_assert!(forgotten.is_ok(), "the module has this function");
    }
}

/// Programs are compiled ahead while it lives.
pub struct Ahead(JsValue);

impl Drop for Ahead {
    fn drop(&mut self) {
        js::set(&self.0, "isAhead", false);
    }
}
