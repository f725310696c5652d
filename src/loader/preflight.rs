//! What a pair needs and whether it fits, before the first byte.

use super::protocol::{AdapterLimits, Licence, Preflight, Storage, Verdict};
use crate::weights::Manifest;

/// What a file of unknown stored size is taken to become: mostly 4 and 8 bits of 16.
const STORED_SHARE: f64 = 0.4;

/// Compares a pair with the browser. `missing` is what is still to be fetched of it; `is_complete`
/// says of a file's id whether all of it is here.
pub fn preflight(
    address: &str,
    manifest: &Manifest,
    is_accepted: bool,
    missing: u64,
    is_complete: impl Fn(&str) -> bool,
    adapter: Option<AdapterLimits>,
    storage: Storage,
) -> Preflight {
    let files = manifest.files();
    let stored = |file: &crate::weights::ManifestFile| {
        file.stored_size.unwrap_or_else(|| {
            if manifest.rules_of(file).is_empty() {
                file.size
            } else {
                (file.size as f64 * STORED_SHARE) as u64
            }
        })
    };
    let size: u64 = files.iter().map(|file| file.size).sum();
    let disk_needed = files
        .iter()
        .filter(|file| !is_complete(&file.id))
        .map(|file| stored(file))
        .sum();
    let disk_free = match (storage.quota, storage.usage) {
        (Some(quota), Some(usage)) => Some((quota - usage).max(0.0) as u64),
        _ => None,
    };
    let gpu_weights = files.iter().map(|file| stored(file)).sum();
    let [width, height] = manifest.image_size.map(u64::from);
    let largest_buffer = width * height;
    let gpu_activations = largest_buffer;
    let verdict = Verdict::Fits;
    let licences = if is_accepted {
        Vec::new()
    } else {
        let licence = |licence: &crate::weights::manifest::Licence| Licence {
            name: licence.name.clone(),
            url: licence.url.clone(),
        };
        manifest.licences_to_accept.iter().map(licence).collect()
    };
    Preflight {
        address: address.into(),
        name: manifest.name.clone(),
        download: missing,
        present: size.saturating_sub(missing),
        disk_needed,
        disk_free,
        gpu_weights,
        gpu_activations,
        largest_buffer,
        adapter,
        verdict,
        licences,
        unproven: files
            .iter()
            .filter(|file| !file.is_proven())
            .map(|file| file.path.clone())
            .collect(),
    }
}
