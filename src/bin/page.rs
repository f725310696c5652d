//! The page's program: mounts the leptos components on the document.

#[cfg(target_family = "wasm")]
fn main() {
    console_error_panic_hook::set_once();
    leptos::mount::mount_to_body(firststep::page::App);
}

/// The page runs only in browsers: on other targets the program does nothing.
#[cfg(not(target_family = "wasm"))]
fn main() {}
