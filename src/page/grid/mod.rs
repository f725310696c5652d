//! The grid of images, and what is done with them.

pub mod cell;
pub mod compare;
pub mod empty_state;
pub mod examples;
pub mod favourite_marks;
pub mod label_painter;
pub mod model_bar;
mod row_diversity;
pub mod save;
pub mod selection;
pub mod share_link;
pub mod table;
pub mod toolbar;
pub mod visibility;
