//! What can be wrong with a manifest.

use crate::vocabulary::VocabularyError;
use crate::weights::format::sha256::HASH_DIGITS;

/// The manifest's format that this program writes, and the latest that it reads. In the files of format
/// 2, quantized convolutions can have their values in another
/// [`Order`](crate::weights::format::order::Order) than in those of format 1; nothing else differs.
pub const MANIFEST_FORMAT: u64 = 2;

/// The earliest format that this program reads.
pub const EARLIEST_MANIFEST_FORMAT: u64 = 1;

/// The largest width or height of an image, in pixels.
pub(super) const MAXIMUM_IMAGE_SIZE: u32 = 4096;

/// The largest size of an adapter's strength.
pub const MAXIMUM_STRENGTH: f32 = 10.0;

/// Why a manifest can't be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences name every field")]
pub enum ManifestError {
    /// Not JSON, or a field is missing or of another type.
    #[error(
        "The manifest of the model pair can't be read: {reason}. Ask whoever hosts the pair to mend it."
    )]
    Malformed { reason: String },
    /// A version of the format that is not read here.
    #[error(
        "The manifest of the model pair has format {found}; this version of the page reads the formats \
         {EARLIEST_MANIFEST_FORMAT} to {MANIFEST_FORMAT}. Reload the page to get its newest version."
    )]
    Format { found: String },
    /// A component is not listed.
    #[error(
        "The manifest of the model pair lacks the component {component}, which a pair can't do without."
    )]
    MissingComponent { component: &'static str },
    /// A path that could lead out of the pair's folder.
    #[error(
        "The manifest of the model pair names the file {path}; only plain relative paths below the \
         manifest's own folder are allowed."
    )]
    Path { path: String },
    /// A hash that is not a SHA-256 in lower-case hexadecimal digits.
    #[error(
        "The manifest of the model pair gives the file {path} a SHA-256 that is not {HASH_DIGITS} \
         lower-case hexadecimal digits: {hash}."
    )]
    Hash { path: String, hash: String },
    /// A file beside the manifest whose size or hash is not said.
    #[error(
        "The manifest of the model pair doesn't say the size and SHA-256 of the file {path}; only \
         files in a hub's repository or with an address of their own may leave them out."
    )]
    Unresolved { path: String },
    /// An address that files are not loaded from.
    #[error(
        "The manifest of the model pair names the address {url}; only https addresses are loaded \
         from, and http ones of this very machine."
    )]
    Address { url: String },
    /// A hub's repository or revision with characters that none has.
    #[error(
        "The manifest of the model pair names the repository {repository} at {revision}, which is \
         not of the form owner/name with a commit, tag or branch."
    )]
    Repository {
        repository: String,
        revision: String,
    },
    /// Two entries of one hash that contradict each other.
    #[error(
        "The manifest of the model pair lists the files {first} and {second} with the same SHA-256 \
         but another size or compression."
    )]
    Contradiction { first: String, second: String },
    /// An adapter where whole weights belong.
    #[error(
        "The manifest of the model pair says that the component {component} is an adapter; only \
         unet_distilled can be one."
    )]
    Adapter { component: &'static str },
    /// A strength that no adapter has.
    #[error(
        "The manifest of the model pair puts an adapter on the component {component} {strength} times as \
         strongly as its file says; from -{MAXIMUM_STRENGTH} to {MAXIMUM_STRENGTH} is possible."
    )]
    Strength {
        component: &'static str,
        strength: f32,
    },
    /// An image without pixels, or with too many.
    #[error(
        "The manifest of the model pair has images of {width} × {height} pixels; each has to be \
         between 1 and {MAXIMUM_IMAGE_SIZE}."
    )]
    ImageSize { width: u32, height: u32 },
    /// Sides of further sizes that no picture has.
    #[error(
        "The manifest of the model pair has images with sides from {shortest} to {longest} pixels; each \
         has to be between 1 and {MAXIMUM_IMAGE_SIZE}, and the first one the smaller."
    )]
    ImageSides { shortest: u32, longest: u32 },
    /// A vocabulary that the page can't show.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
}
