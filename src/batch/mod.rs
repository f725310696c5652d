//! Experiments without a browser: folders of pictures that grow picture by picture, in shards that may be
//! killed at any moment and go on where they were, and the tables and figures of what they hold.
//!
//! The pictures are drawn by the very engine of the page. Nothing here schedules anything: a shard is a
//! process, and whatever starts processes starts shards.
//!
//! A folder has
//!
//! | file | what |
//! |---|---|
//! | `run.json` | what runs: [`RunManifest`](crate::results::manifest::RunManifest) |
//! | `pictures/CONDITION/PROMPT-SEED.png` | the pictures, each with its recipe as the page saves it |
//! | `latents/CONDITION/PROMPT-SEED.npy` | their last latents, where they are asked for |
//! | `targets/CONDITION/PROMPT-SEED.png` | in a study of them, the Diffusion Targets of its steps and the final image, below each other |
//! | `records/SHARD.jsonl` | a [`PictureRecord`](crate::results::PictureRecord) in each line |
//! | `results.json`, `report/` | what was measured, once all pictures are there |

mod collect;
mod draw;
mod error;
mod file_folder;
mod folder;
mod host;
mod manifest;
mod network;
mod pair_folder;
mod source;

pub use collect::{collect, measured, merge, read_pictures, write_report};
pub use draw::{DrawOptions, Progress, draw};
pub use error::BatchError;
pub use file_folder::FileFolder;
pub use folder::{RunFolder, Shard};
pub use manifest::run_manifest;
pub use network::{add_network, read_network};
pub use pair_folder::PairFolder;
pub use source::Source;
