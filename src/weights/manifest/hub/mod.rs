//! Where a visitor says that models are, and what hubs say of their files.
//!
//! A hub (Hugging Face's, or another that speaks its addresses) has repositories in diffusers'
//! layout. `<hub>/<repository>/resolve/<revision>/<path>` leads to a file, and `raw` in its place
//! to the Git LFS pointer of a large one, which holds its SHA-256 and size.
//! `<hub>/api/models/<repository>/tree/<revision>?recursive=true` lists the files with both.

mod address;
mod civitai;
mod error;
mod listing;
mod published;
mod refusal;
mod repository;

use serde_json::Value;

use super::file::ManifestFile;

pub use address::{ModelAddress, file_at_hub};
pub use civitai::{is_civitai, model_address, newest_file, version_of};
pub use error::HubError;
pub use listing::{
    DistilledFile, ListedFile, distilled_file, files_by_index, index_of, known_distilled, listing,
    next_page, steps_in_name, weight_files,
};
pub use published::{hash_in_header, lfs_pointer};
pub use refusal::refusal;

/// Puts another model in a component's place in a manifest's JSON: its config and its files. The
/// encodings stay as the manifest says.
#[expect(
    clippy::indexing_slicing,
    reason = "Value makes what is missing, and a manifest that was parsed is an object"
)]
pub fn replace_component(
    manifest: &mut Value,
    component: &str,
    config: Value,
    files: &[ManifestFile],
    prefix: &str,
) {
    let place = &mut manifest["components"][component];
    place["config"] = config;
    place["files"] = files.iter().map(file_json).collect();
    if !prefix.is_empty() {
        place["prefix"] = prefix.into();
    }
    // A whole model takes the place of an adapter, too.
    if let Some(place) = place.as_object_mut() {
        place.remove("adapter_on");
    }
}

fn file_json(file: &ManifestFile) -> Value {
    // Plain fields: there is nothing that could fail to be written.
    serde_json::to_value(file).unwrap_or_default()
}
