//! What a pair was trained to draw, and what that says about a prompt: how the word that is being
//! typed may go on, and which words the pair never saw.
//!
//! Pure text, tested natively: the manifest brings a vocabulary (`weights`), `protocol` carries it to
//! the page, and the prompt's field uses it (`page::form`).

#![expect(
    clippy::indexing_slicing,
    reason = "places in a text come from that text"
)]

mod entries;
mod lookup;
mod scene;
mod suggestions;
mod text;

pub use entries::{
    Group, MAXIMUM_GROUP_SIZE, MAXIMUM_NAME_CHARACTERS, MAXIMUM_NAMES, Thing, Vocabulary,
    VocabularyError,
};
pub use lookup::{Lookup, UnknownWord};
pub use scene::{Scene, ScenePart};
pub use suggestions::{MAXIMUM_SUGGESTIONS, Suggestion};
pub use text::{to_byte_index, to_utf16_index};
