//! Telling adapters that compute on the CPU from those of a GPU.

/// Names of adapters that compute on the CPU, in the words of their descriptions. A browser may
/// leave out `isFallbackAdapter` and still offer one of these.
const SOFTWARE_ADAPTERS: [&str; 5] = [
    "swiftshader",
    "llvmpipe",
    "lavapipe",
    "basic render",
    "software",
];

/// Whether an adapter with this description is one of them.
pub fn is_software(description: &str) -> bool {
    let lower_case = description.to_lowercase();
    SOFTWARE_ADAPTERS
        .iter()
        .any(|name| lower_case.contains(name))
}
