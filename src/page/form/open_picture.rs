//! Pictures that come back, and manifests of pairs: dropped anywhere on the page, pasted, or chosen.
//! What a picture says fills the controls, and a manifest's pair goes to the models' panel; nothing is
//! drawn or downloaded by itself.

use js_sys::Uint8Array;
use leptos::ev;
use leptos::html::Input;
use leptos::portal::Portal;
use leptos::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DataTransfer, File};

use super::opened_files::{Dropped, dropped, files_in};
use crate::browser::opened_file::OpenedFile;
use crate::picture::find_recipe::{FindError, FoundRecipe, find_recipe};
use crate::recipe::foreign::read_parameters::ReadParameters;
use crate::recipe::saved_recipe::SavedRecipe;
use crate::view::opened_text::{OpenedText, opened_text};
use crate::view::units;

/// The largest file that is read, in bytes.
const MAXIMUM_FILE_BYTES: f64 = 64e6;

/// The largest text that is read, in bytes: results of thousands of pictures.
const MAXIMUM_TEXT_BYTES: f64 = 64e6;

/// What is read from a file.
enum Found {
    /// The recipe in a picture of this page.
    Recipe(Box<SavedRecipe>),
    /// What another program says in its picture.
    Parameters(Box<ReadParameters>),
    /// The text of a pair's manifest.
    Manifest(String),
    /// The text of an experiment, or of its results.
    Experiment(String),
    /// The text of a table.
    Table(String),
}

/// A button to choose a picture with, and the whole page as a place to drop one at. `on_problem` gets
/// a sentence about a file that can't be used, and nothing else happens.
#[component]
pub fn OpenPicture(
    /// Before a file is looked at: what was said of another one is over.
    on_begin: Callback<()>,
    on_open: Callback<SavedRecipe>,
    /// For pictures of other programs.
    on_parameters: Callback<ReadParameters>,
    /// For the text of a pair's manifest.
    on_manifest: Callback<String>,
    /// For the text of an experiment, or of its results.
    on_experiment: Callback<String>,
    /// For the text of a table of prompts.
    on_table: Callback<String>,
    /// For files of models that were dropped.
    on_models: Callback<Vec<OpenedFile>>,
    on_problem: Callback<String>,
    /// For what is to be known beside all that.
    on_notice: Callback<String>,
) -> impl IntoView {
    let field = NodeRef::<Input>::new();
    let is_dragging = RwSignal::new(false);
    // What became of the last file, for those who can't see the fields change.
    let opened = RwSignal::new(None::<String>);
    // The number of the last file: when two are read at once, the earlier one is dropped.
    let latest = StoredValue::new(0u32);

    let open = move |file: File, others: Option<String>| {
        opened.set(None);
        on_begin.run(());
        let number = latest.with_value(|latest| latest.wrapping_add(1));
        latest.set_value(number);
        spawn_local(async move {
            let found = read(&file).await;
            if latest.get_value() != number {
                return;
            }
            match found {
                Ok(Found::Recipe(recipe)) => {
                    on_open.run(*recipe);
                    opened.set(Some(format!(
                        "The recipe of “{}” is in the fields: press Generate to draw it.",
                        file.name()
                    )));
                }
                Ok(Found::Parameters(parameters)) => on_parameters.run(*parameters),
                Ok(Found::Manifest(text)) => on_manifest.run(text),
                Ok(Found::Experiment(text)) => on_experiment.run(text),
                Ok(Found::Table(text)) => on_table.run(text),
                Err(sentence) => on_problem.run(sentence),
            }
            if let Some(others) = others {
                on_notice.run(others);
            }
        });
    };

    let dragover = window_event_listener(ev::dragover, move |event| {
        if event.data_transfer().is_some_and(|it| holds_files(&it)) {
            // Without this the browser would leave the page for the file.
            event.prevent_default();
            if !is_dragging.get_untracked() {
                is_dragging.set(true);
            }
        }
    });
    let dragleave = window_event_listener(ev::dragleave, move |event| {
        // A drag that goes from one element to another stays on the page.
        if event.related_target().is_none() {
            is_dragging.set(false);
        }
    });
    let drop = window_event_listener(ev::drop, move |event| {
        is_dragging.set(false);
        let Some(data) = event.data_transfer().filter(holds_files) else {
            return;
        };
        event.prevent_default();
        match dropped(&data) {
            Some(Dropped::Files(files)) => {
                on_begin.run(());
                let others = left_alone(&data, files.len());
                on_models.run(files);
                if let Some(others) = others {
                    on_notice.run(others);
                }
                return;
            }
            Some(Dropped::Folders(folders)) => {
                on_begin.run(());
                return spawn_local(async move { on_models.run(files_in(folders).await) });
            }
            None => {}
        }
        match data.files().and_then(|files| files.get(0)) {
            Some(file) => open(file, left_alone(&data, 1)),
            None => on_problem.run(
                "Nothing that was dropped can be read as a file: save the picture first and drop \
                 its file."
                    .to_owned(),
            ),
        }
    });
    let paste = window_event_listener(ev::paste, move |event| {
        let files = event.clipboard_data().and_then(|data| data.files());
        if let Some(file) = files.and_then(|files| files.get(0)) {
            event.prevent_default();
            open(file, None);
        }
    });
    on_cleanup(move || {
        dragover.remove();
        dragleave.remove();
        drop.remove();
        paste.remove();
    });

    let choose = move |_| {
        let Some(field) = field.get_untracked() else {
            return;
        };
        let file = field.files().and_then(|files| files.get(0));
        // So that the same file can be chosen again.
        field.set_value("");
        if let Some(file) = file {
            open(file, None);
        }
    };
    view! {
        <div class="open-picture">
            <label class="file-button">
                <input
                    node_ref=field
                    type="file"
                    accept="image/png,image/jpeg,image/webp"
                    data-testid="open-picture"
                    aria-describedby="open-picture-help"
                    on:change=choose
                />
                <span>"Open a picture…"</span>
            </label>
            <p id="open-picture-help" class="help">
                "or drop one here: a picture that was saved from this page brings its recipe back, and another program's its prompt and settings."
            </p>
            <p class="help" role="status" data-testid="opened">
                {opened}
            </p>
        </div>
        // Outside of the form, whose parts would lie above it.
        <Portal>
            {move || {
                is_dragging
                    .get()
                    .then(|| {
                        view! {
                            <div class="drop-target" data-testid="drop-target" aria-hidden="true">
                                <p>
                                    "Drop it: a picture's recipe fills the page; a model's files or folder, or a manifest, are looked at. Nothing is drawn or downloaded yet, and nothing is uploaded."
                                </p>
                            </div>
                        }
                    })
            }}
        </Portal>
    }
}

/// Whether something is dragged that has a file, and no text or link of the page itself.
fn holds_files(data: &DataTransfer) -> bool {
    data.types().includes(&"Files".into(), 0)
}

/// A sentence about dropped files beside those that are opened.
fn left_alone(data: &DataTransfer, opened: usize) -> Option<String> {
    let all = data.files().map_or(0, |files| files.length() as usize);
    let others = all.checked_sub(opened).filter(|others| *others > 0)?;
    let files = units::count(others, "other file", "other files");
    Some(format!(
        "{files} of what was dropped stayed unopened: pictures, recipes and results are opened one at a time."
    ))
}

/// What a file says; a sentence where it says nothing.
async fn read(file: &File) -> Result<Found, String> {
    if is_json(file) {
        let text = read_text(file).await?;
        let opened = opened_text(&file.name(), &text);
        return Ok(match opened.map_err(|error| error.to_string())? {
            OpenedText::Recipe(recipe) => Found::Recipe(recipe),
            OpenedText::Parameters(parameters) => Found::Parameters(parameters),
            OpenedText::Experiment => Found::Experiment(text),
            OpenedText::Manifest => Found::Manifest(text),
        });
    }
    let name = file.name().to_ascii_lowercase();
    if name.ends_with(".csv") || name.ends_with(".tsv") {
        return read_text(file).await.map(Found::Table);
    }
    if name.ends_with(".txt") {
        // Some programs write a picture's parameters beside it.
        let parameters = ReadParameters::parse(&read_text(file).await?);
        return if parameters.steps.is_some() || parameters.seed.is_some() {
            Ok(Found::Parameters(Box::new(parameters)))
        } else {
            Err(FindError::NotPicture.to_string())
        };
    }
    let size = file.size();
    if size > MAXIMUM_FILE_BYTES {
        return Err(format!(
            "“{}” has {:.0} MB, and pictures of up to {:.0} MB are read: open the picture that was \
             saved from this page.",
            file.name(),
            size / 1e6,
            MAXIMUM_FILE_BYTES / 1e6
        ));
    }
    let buffer = JsFuture::from(file.array_buffer()).await;
    let buffer = buffer.map_err(|_| unreadable(file))?;
    let bytes = Uint8Array::new(&buffer).to_vec();
    match find_recipe(&bytes).map_err(|error| error.to_string())? {
        FoundRecipe::Recipe(text) => SavedRecipe::from_json(&text)
            .map(|recipe| Found::Recipe(Box::new(recipe)))
            .map_err(|error| error.to_string()),
        FoundRecipe::Parameters(parameters) => Ok(Found::Parameters(Box::new(parameters))),
    }
}

/// Whether a file calls itself JSON. Systems differ in whether they name its type.
fn is_json(file: &File) -> bool {
    file.type_() == "application/json" || file.name().to_ascii_lowercase().ends_with(".json")
}

/// The text of a pair's manifest in a file; a sentence where it is none.
pub async fn read_manifest(file: &File) -> Result<String, String> {
    let text = read_text(file).await?;
    match opened_text(&file.name(), &text) {
        Ok(OpenedText::Manifest) => Ok(text),
        Ok(_) => Err(format!(
            "“{}” is no manifest of a model pair: drop it on the page to open it.",
            file.name()
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// The text of a file; a sentence where it can't be read.
async fn read_text(file: &File) -> Result<String, String> {
    if file.size() > MAXIMUM_TEXT_BYTES {
        return Err(format!(
            "“{}” has {:.0} MB, and texts of up to {:.0} MB are read.",
            file.name(),
            file.size() / 1e6,
            MAXIMUM_TEXT_BYTES / 1e6
        ));
    }
    let text = JsFuture::from(file.text()).await;
    text.ok()
        .and_then(|text| text.as_string())
        .ok_or_else(|| unreadable(file))
}

fn unreadable(file: &File) -> String {
    format!(
        "“{}” can't be read: it may have been moved or deleted, or it is a folder.",
        file.name()
    )
}
