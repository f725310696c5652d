//! The form in which the visitor adds a pair.

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::page::form::open_picture::read_manifest;
use crate::page::form::opened_files::opened_files;
use crate::page::workers::loader::LoaderClient;
use crate::protocol::loader::PairSource;

/// A field for a hub's repository or an address, and a button to choose a manifest file.
#[component]
pub fn AddPair(loader: LoaderClient) -> impl IntoView {
    let text = RwSignal::new(String::new());
    let file_field = NodeRef::<html::Input>::new();
    let model_field = NodeRef::<html::Input>::new();
    let folder_field = NodeRef::<html::Input>::new();
    folder_field.on_load(|field| {
        // Browsers that can't choose folders choose files with it.
        let _ = field.set_attribute("webkitdirectory", "");
    });
    let file_problem = RwSignal::new(None::<String>);
    let is_adding = loader.is_adding;
    let add = move || {
        let typed = text.with_untracked(|text| text.trim().to_owned());
        if !typed.is_empty() && !is_adding.get_untracked() {
            file_problem.set(None);
            loader.add(PairSource::Typed(typed));
        }
    };
    // The field is emptied once its pair is in the list; a refused text stays, to be corrected.
    Effect::new(move |was_adding: Option<bool>| {
        let is_adding = is_adding.get();
        let is_refused = loader
            .problems
            .with_untracked(|problems| problems.contains_key(&None));
        if was_adding == Some(true) && !is_adding && !is_refused {
            text.set(String::new());
        }
        is_adding
    });
    let choose = move |_| {
        let Some(field) = file_field.get_untracked() else {
            return;
        };
        let file = field.files().and_then(|files| files.get(0));
        // Emptied so that the same file can be chosen again.
        field.set_value("");
        if let Some(file) = file {
            file_problem.set(None);
            spawn_local(async move {
                match read_manifest(&file).await {
                    Ok(manifest) => loader.add(PairSource::Manifest(manifest)),
                    // The panel may have been closed meanwhile.
                    Err(sentence) => drop(file_problem.try_set(Some(sentence))),
                }
            });
        }
    };
    let open = move |field: NodeRef<html::Input>| {
        let Some(field) = field.get_untracked() else {
            return;
        };
        let files = field.files().map(|files| opened_files(&files));
        field.set_value("");
        if let Some(files) = files.filter(|files| !files.is_empty()) {
            file_problem.set(None);
            loader.add(PairSource::Disk(files));
        }
    };
    view! {
        <section class="library-group add-pair">
            <h3 id="add-pair-heading">"Add a pair"</h3>
            <form
                aria-labelledby="add-pair-heading"
                novalidate
                on:submit=move |event| {
                    event.prevent_default();
                    add();
                }
            >
                <label for="add-pair-text">"Hub repository or address"</label>
                <div class="add-pair-line">
                    <input
                        id="add-pair-text"
                        type="text"
                        inputmode="url"
                        autocapitalize="off"
                        autocomplete="off"
                        spellcheck="false"
                        data-testid="add-pair-text"
                        aria-describedby="add-pair-help"
                        prop:value=move || text.get()
                        on:input=move |event| text.set(event_target_value(&event))
                    />
                    <button
                        type="submit"
                        data-testid="add-pair"
                        disabled=move || is_adding.get() || text.with(|text| text.trim().is_empty())
                    >
                        "Add"
                    </button>
                </div>
                <p id="add-pair-help" class="help">
                    "A fine-tune of SDXL as owner/name on the hub or by the address of its page there, the https address of a manifest, of a folder in diffusers' layout or of one checkpoint file, or two models with a plus sign between blanks: owner/base + owner/distilled, for a LoRA also with its strength, as in owner/base + owner/lora * 0.7. You see what it needs before anything is downloaded."
                </p>
            </form>
            <label class="file-button">
                <input
                    node_ref=file_field
                    type="file"
                    accept=".json,application/json"
                    data-testid="add-pair-file"
                    on:change=choose
                />
                <span>"Open a manifest…"</span>
            </label>
            <label class="file-button">
                <input
                    node_ref=model_field
                    type="file"
                    multiple=true
                    accept=".safetensors"
                    data-testid="add-pair-models"
                    aria-describedby="add-pair-disk-help"
                    on:change=move |_| open(model_field)
                />
                <span>"Open a model's files…"</span>
            </label>
            <label class="file-button">
                <input
                    node_ref=folder_field
                    type="file"
                    multiple=true
                    data-testid="add-pair-folder"
                    aria-describedby="add-pair-disk-help"
                    on:change=move |_| open(folder_field)
                />
                <span>"Open a model's folder…"</span>
            </label>
            <p id="add-pair-disk-help" class="help">
                "A checkpoint, a LoRA or both from your disk, or a folder in diffusers' layout; dropping them on the page does the same. They are read where they are and copied into this browser's store: nothing is uploaded. A LoRA alone is put on SDXL's own base."
            </p>
            <p role="status" class="help">
                {move || is_adding.get().then_some("Looking at it…")}
            </p>
            <div role="alert">
                {move || file_problem.get().map(|text| view! { <p class="problem">{text}</p> })}
            </div>
        </section>
    }
}
