//! Models on the visitor's disk: files and folders that were chosen or dropped. Nothing of them is read here.

use futures::future::{LocalBoxFuture, join_all};
use js_sys::{Array, Promise};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DataTransfer, File, FileList};

use crate::browser::globals::js;
use crate::browser::opened_file::OpenedFile;

/// Endings of the files that hold models or adapters.
const ENDINGS: [&str; 4] = [".safetensors", ".pt", ".bin", ".ckpt"];
/// The deepest folder that is looked into: a model's own are one or two below the one that is dropped.
const MOST_LEVELS: usize = 4;
/// The most files that are taken of a folder.
const MOST_FILES: usize = 1000;

/// What was dropped, as far as it is a model's.
pub(super) enum Dropped {
    /// Files with tensors.
    Files(Vec<OpenedFile>),
    /// Folders, whose files are still to be listed.
    Folders(Vec<JsValue>),
}

/// A file as the loader takes it. One that was chosen with its folder has its path there.
fn opened(file: File, path: Option<String>) -> OpenedFile {
    let relative = js::get(&file, "webkitRelativePath").and_then(|path| path.as_string());
    let path = path.or(relative).filter(|path| !path.is_empty());
    OpenedFile {
        path: path.unwrap_or_else(|| file.name()),
        // Both are whole numbers far below 2^53.
        size: file.size() as u64,
        modified: file.last_modified().max(0.0) as u64,
        file: file.into(),
    }
}

/// The files of a list.
pub fn opened_files(list: &FileList) -> Vec<OpenedFile> {
    let files = (0..list.length()).filter_map(|index| list.get(index));
    files
        .take(MOST_FILES)
        .map(|file| opened(file, None))
        .collect()
}

/// Whether a file calls itself one with a model's tensors.
fn is_model(file: &OpenedFile) -> bool {
    let path = file.path.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| path.ends_with(ending))
}

/// What was dropped where it is a model: files with tensors, or folders. It has to be asked for while the drop
/// is handled.
pub(super) fn dropped(data: &DataTransfer) -> Option<Dropped> {
    let files: Vec<OpenedFile> = data
        .files()
        .map(|files| opened_files(&files))
        .unwrap_or_default()
        .into_iter()
        .filter(is_model)
        .collect();
    if !files.is_empty() {
        return Some(Dropped::Files(files));
    }
    let items = js::get(data, "items")?;
    let folders: Vec<JsValue> = Array::from(&items)
        .iter()
        .filter_map(|item| js::call(&item, "webkitGetAsEntry", &[]).ok())
        .filter(|entry| is_true(entry, "isDirectory"))
        .collect();
    (!folders.is_empty()).then_some(Dropped::Folders(folders))
}

/// The files in folders that were dropped.
pub(super) async fn files_in(folders: Vec<JsValue>) -> Vec<OpenedFile> {
    let files = join_all(folders.into_iter().map(|folder| files_below(folder, 0))).await;
    let mut files: Vec<OpenedFile> = files.into_iter().flatten().collect();
    files.truncate(MOST_FILES);
    files
}

fn files_below(folder: JsValue, level: usize) -> LocalBoxFuture<'static, Vec<OpenedFile>> {
    Box::pin(async move {
        let Ok(reader) = js::call(&folder, "createReader", &[]) else {
            return Vec::new();
        };
        let mut files = Vec::new();
        // A folder is listed in parts; an empty one is the last.
        while let Ok(entries) = called_back(&reader, "readEntries").await {
            let entries = Array::from(&entries);
            if entries.length() == 0 || files.len() > MOST_FILES {
                break;
            }
            for entry in entries {
                if is_true(&entry, "isDirectory") {
                    if level < MOST_LEVELS {
                        files.extend(files_below(entry, level + 1).await);
                    }
                    continue;
                }
                let path = js::get(&entry, "fullPath").and_then(|path| path.as_string());
                let path = path.map(|path| path.trim_start_matches('/').to_owned());
                let file = called_back(&entry, "file").await;
                if let Some(file) = file.ok().and_then(|file| file.dyn_into::<File>().ok()) {
                    files.push(opened(file, path));
                }
            }
        }
        files
    })
}

/// What a function gives to the first of its two callbacks.
async fn called_back(object: &JsValue, name: &str) -> Result<JsValue, JsValue> {
    let promise = Promise::new(&mut |resolve, reject| {
        // The promise stays unresolved only where the object has no such function, which it has.
        if let Err(error) = js::call(object, name, &[resolve.into(), reject.clone().into()]) {
            let _ = reject.call1(&JsValue::UNDEFINED, &error);
        }
    });
    JsFuture::from(promise).await
}

fn is_true(object: &JsValue, name: &str) -> bool {
    js::get(object, name).is_some_and(|value| value.is_truthy())
}
