//! What other programs write into their pictures, read as far as it can be drawn here: each program has
//! a file, and all of them give [`ReadParameters`](read_parameters::ReadParameters).

pub mod comfy_ui;
pub mod plain_json;
pub mod read_parameters;
pub mod web_ui;
