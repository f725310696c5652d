//! Files to save, as the page asks the engine for them: encoding takes time that the page's thread
//! has not.

use serde::{Deserialize, Serialize};

use crate::engine::protocol::Frame;

/// A file to encode. `recipe` is [`super::saved_recipe::SavedRecipe::to_json`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FileRequest {
    /// A picture as PNG.
    Picture {
        /// The picture.
        frame: Frame,
        /// The recipe's text.
        recipe: String,
        /// The `parameters` text that other programs read.
        parameters: String,
    },
    /// A strip as animated PNG.
    Animation {
        /// The frames, all of one size.
        frames: Vec<Frame>,
        /// How long each is shown, in milliseconds.
        delays: Vec<u16>,
        /// The recipe's text.
        recipe: String,
    },
    /// A grid or a strip as one PNG; see [`super::contact_sheet::ContactSheet`]. Labels are pictures
    /// that the page has drawn.
    Sheet {
        /// Number of columns.
        columns: u32,
        /// The frames row by row; none leaves its place empty.
        frames: Vec<Option<Frame>>,
        /// A label under each frame; as many as frames, or none at all.
        captions: Vec<Frame>,
        /// A label above each column, or none at all.
        column_headers: Vec<Frame>,
        /// A label before each row, or none at all.
        row_headers: Vec<Frame>,
        /// Pixels around the sheet and between its parts.
        padding: u32,
        /// Red, green and blue of the background.
        background: [u8; 3],
        /// The recipe's text.
        recipe: String,
    },
}
